use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sidenote::store::{Lost, RedisStore, Store, StoreError, Table};
use sidenote_tests::{DEADLINE, RedisServer, eventually};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::{client, held, put, row, rows, send};

fn is_lost(result: Result<(), StoreError>) -> Lost {
    match result {
        Err(StoreError::Lost(lost)) => lost,
        other => panic!("{other:?}"),
    }
}

fn is_taken_over(result: Result<(), StoreError>) {
    let lost = is_lost(result);
    assert!(matches!(lost, Lost::TakenOver { .. }), "{lost}");
}

fn is_fatal(result: Result<(), StoreError>, words: &str) {
    match result {
        Err(StoreError::Fatal(said)) => assert!(said.contains(words), "{said}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn nothing_is_written_without_the_lease() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let store = RedisStore::open(&server.config()).await.unwrap();
    is_fatal(store.commit(row(1, "a")).await, "doesn't hold");
    store.hold().await.unwrap();
    store.commit(row(1, "a")).await.unwrap();
    store.release().await;
    is_fatal(store.commit(row(2, "b")).await, "doesn't hold");
    assert_eq!(rows(&store).await.unwrap(), [(1, "a".to_owned())]);
}

#[tokio::test]
async fn a_second_host_stands_by_until_the_first_gives_the_lease_back() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let first = held(&server.config()).await;
    first.commit(row(1, "first")).await.unwrap();
    let second = RedisStore::open(&server.config()).await.unwrap();
    let waited = timeout(Duration::from_millis(2500), second.hold()).await;
    assert!(waited.is_err(), "it stood by");
    is_fatal(second.commit(row(1, "second")).await, "doesn't hold");

    first.release().await;
    timeout(Duration::from_secs(5), second.hold()).await.expect("at once").unwrap();
    assert_eq!(rows(&second).await.unwrap(), [(1, "first".to_owned())]);
    second.commit(row(1, "second")).await.unwrap();
}

#[tokio::test]
async fn a_standby_waits_until_the_server_is_back() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let mut config = server.config();
    config.timeout = Duration::from_millis(200);
    let store = RedisStore::open(&config).await.unwrap();
    server.pause();
    assert!(timeout(Duration::from_secs(1), store.hold()).await.is_err(), "it waited");
    server.resume();
    timeout(DEADLINE, store.hold()).await.expect("it is its turn").unwrap();
    store.commit(row(1, "a")).await.unwrap();
}

/// A dropped store shows no sign of life: its lease runs out.
#[tokio::test]
async fn a_host_that_is_gone_is_taken_over_when_its_lease_has_run_out() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let first = held(&server.config()).await;
    first.commit(row(1, "first")).await.unwrap();
    drop(first);
    let second = RedisStore::open(&server.config()).await.unwrap();
    let waited = timeout(Duration::from_secs(14), second.hold()).await;
    waited.expect("nobody renews the lease of a store that is gone").unwrap();
    assert_eq!(rows(&second).await.unwrap(), [(1, "first".to_owned())]);
}

#[tokio::test]
async fn a_living_host_keeps_the_lease_for_longer_than_it_lasts() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let mut client = client(&server.config()).await;
    let first = held(&server.config()).await;
    // The renewal, not a commit, brings the time left back up.
    let deadline = tokio::time::Instant::now() + DEADLINE;
    let () = send(&mut client, &["PEXPIRE", "sidenote:lease", "9000"]).await;
    while send::<i64>(&mut client, &["PTTL", "sidenote:lease"]).await <= 9000 {
        assert!(tokio::time::Instant::now() < deadline, "nobody renewed it");
        sleep(Duration::from_millis(50)).await;
    }
    first.commit(row(1, "first")).await.unwrap();
}

#[tokio::test]
async fn a_host_that_was_taken_over_changes_nothing_any_more() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let first = held(&server.config()).await;
    first.commit(row(1, "first")).await.unwrap();
    // As if the first had been asleep for longer than the lease lasts.
    let () = send(&mut client(&server.config()).await, &["DEL", "sidenote:lease"]).await;
    let second = held(&server.config()).await;
    second.commit(row(1, "second")).await.unwrap();

    is_taken_over(first.commit(row(1, "stale")).await);
    is_taken_over(first.commit(row(2, "stale")).await);
    assert_eq!(rows(&second).await.unwrap(), [(1, "second".to_owned())]);
    // Nor does it give back what isn't its own.
    first.release().await;
    assert!(send::<bool>(&mut client(&server.config()).await, &["EXISTS", "sidenote:lease"]).await);
    second.commit(row(1, "second again")).await.unwrap();
}

#[tokio::test]
async fn a_lease_that_ran_out_and_that_nobody_took_is_taken_again_by_the_next_commit() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let mut client = client(&server.config()).await;
    let store = held(&server.config()).await;
    let () = send(&mut client, &["DEL", "sidenote:lease"]).await;
    store.commit(row(1, "a")).await.unwrap();
    assert!(send::<i64>(&mut client, &["PTTL", "sidenote:lease"]).await > 9000);
    let second = RedisStore::open(&server.config()).await.unwrap();
    assert!(timeout(Duration::from_millis(1500), second.hold()).await.is_err());
}

/// Hosts write one session's rows while they take over from each other.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_there_and_what_was_refused_is_not_over_many_takeovers() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let mut client = client(&server.config()).await;
    let (mut acknowledged, mut refused) = (Vec::new(), Vec::new());
    let mut tasks = JoinSet::new();
    for host in 0..10u64 {
        let store = Arc::new(RedisStore::open(&server.config()).await.unwrap());
        // In one step, as the host before this one commits all the while.
        let seize = "redis.call('DEL', KEYS[1]); return redis.call('HINCRBY', KEYS[2], 'epoch', 1)";
        let _: u64 =
            send(&mut client, &["EVAL", seize, "2", "sidenote:lease", "sidenote:fence"]).await;
        store.hold().await.unwrap();
        let count = Arc::new(AtomicU64::new(0));
        for task in 0..4 {
            let (store, count) = (store.clone(), count.clone());
            tasks.spawn(async move {
                let mut told = Vec::new();
                for number in (0..100).map(|number| host * 1000 + task * 100 + number) {
                    told.push((number, store.commit(row(number, "x")).await.is_ok()));
                    count.fetch_add(1, Ordering::Relaxed);
                }
                told
            });
        }
        eventually(|| match count.load(Ordering::Relaxed) {
            tried if tried < 40 => Err(format!("{tried} commits")),
            _ => Ok(()),
        })
        .await;
    }
    while let Some(told) = tasks.join_next().await {
        for (number, stored) in told.unwrap() {
            if stored { &mut acknowledged } else { &mut refused }.push(number);
        }
    }
    acknowledged.sort_unstable();
    let store = RedisStore::open(&server.config()).await.unwrap();
    let stored: Vec<_> = rows(&store).await.unwrap().into_iter().map(|row| row.0).collect();
    assert_eq!(stored, acknowledged);
    assert!(!acknowledged.is_empty() && !refused.is_empty(), "both happened");
}

/// An attempt that was given up for lost can still arrive, over a connection of its own.
#[tokio::test]
async fn an_attempt_that_arrives_late_changes_nothing() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let mut client = client(&server.config()).await;
    let store = held(&server.config()).await;
    store.commit(row(1, "a")).await.unwrap();
    store.commit(row(1, "b")).await.unwrap();
    let holder: String = send(&mut client, &["GET", "sidenote:lease"]).await;
    let script = include_str!("../../../host/src/store/redis/commit.lua");
    let late = |seq: &str| {
        let mut call = redis::cmd("EVAL");
        call.arg(script).arg(4);
        call.arg(&["sidenote:lease", "sidenote:fence"]);
        call.arg(&["sidenote:index:open", "sidenote:{p|s}:open"]);
        call.arg(&[&holder, "10000", "1", seq, "0", "1", "1"]);
        call.arg(&["1", "p\0\0s", "1", "0", "1", "late"]);
        call
    };
    for seq in ["1", "2"] {
        let outcome: (u8, u64) = late(seq).query_async(&mut client).await.unwrap();
        assert_eq!(outcome, (2, 1));
        assert_eq!(rows(&store).await.unwrap(), [(1, "b".to_owned())]);
    }
    let outcome: (u8, u64) = late("3").query_async(&mut client).await.unwrap();
    assert_eq!(outcome, (0, 1), "the same call with a number of its own would have been taken");
    let again = store.commit(row(1, "c")).await;
    assert!(matches!(again, Err(StoreError::Away(_))), "its number was taken: {again:?}");
    store.commit(row(1, "c")).await.unwrap();
}

/// The server comes back without anything, or as of its last snapshot.
#[tokio::test]
async fn a_server_that_lost_acknowledged_commits_ends_the_host() {
    for snapshot in [false, true] {
        let Some(mut server) = RedisServer::start(&[]).await else { return };
        let store = held(&server.config()).await;
        store.commit(row(1, "before the snapshot")).await.unwrap();
        if snapshot {
            let () = send(&mut client(&server.config()).await, &["SAVE"]).await;
        }
        store.commit(row(1, "after it")).await.unwrap();
        assert!(server.restart().await);
        let deadline = tokio::time::Instant::now() + DEADLINE;
        let outcome = loop {
            match store.commit(row(2, "b")).await {
                Err(StoreError::Away(_)) => assert!(tokio::time::Instant::now() < deadline),
                other => break other,
            }
        };
        assert_eq!(is_lost(outcome), Lost::ByServer);
        let left: Vec<_> =
            snapshot.then(|| (1, "before the snapshot".to_owned())).into_iter().collect();
        assert_eq!(rows(&store).await.unwrap(), left);
    }
}

/// Epochs start anew then, and two hosts can be of the same one.
#[tokio::test]
async fn a_host_from_before_the_server_lost_everything_changes_nothing() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let first = held(&server.config()).await;
    first.commit(row(1, "first")).await.unwrap();
    let () = send(&mut client(&server.config()).await, &["FLUSHALL"]).await;
    let second = held(&server.config()).await;
    for _ in 0..3 {
        second.commit(row(1, "second")).await.unwrap();
    }
    for _ in 0..6 {
        is_taken_over(first.commit(row(1, "stale")).await);
    }
    assert_eq!(rows(&second).await.unwrap(), [(1, "second".to_owned())]);
}

#[tokio::test]
async fn rows_of_a_later_layout_are_left_alone() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let mut client = client(&server.config()).await;
    let () = send(&mut client, &["HSET", "sidenote:fence", "layout", "2"]).await;
    let store = RedisStore::open(&server.config()).await.unwrap();
    is_fatal(store.hold().await, "later release");
    assert!(!send::<bool>(&mut client, &["EXISTS", "sidenote:lease"]).await);
    is_fatal(store.commit(Arc::new([put(Table::Open, ("p", "s"), 1, "a")])).await, "hold");
}
