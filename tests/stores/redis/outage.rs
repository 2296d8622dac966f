use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sidenote::store::{Change, RedisStore, Store, StoreError, Table};
use sidenote_tests::{DEADLINE, RedisServer, eventually};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::relay::Relay;
use super::{client, held, key, put, row, rows, send};

/// Commits until the server is back.
async fn commit(store: &RedisStore, changes: Arc<[Change]>) {
    let deadline = Instant::now() + DEADLINE;
    while let Err(error) = store.commit(changes.clone()).await {
        assert!(matches!(error, StoreError::Away(_)), "{error}");
        assert!(Instant::now() < deadline, "{error}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_server_that_stands_still_is_away_within_the_time_out_and_loses_nothing() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let mut config = server.config();
    config.timeout = Duration::from_millis(500);
    let store = held(&config).await;
    store.commit(row(1, "before")).await.unwrap();

    server.pause();
    let began = Instant::now();
    let read = rows(&store).await;
    assert!(matches!(read, Err(StoreError::Away(_))), "never an empty answer: {read:?}");
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    let scanned = store.scan(Table::Open, None, 1).await;
    assert!(matches!(scanned, Err(StoreError::Away(_))), "{scanned:?}");
    let session = sidenote::ids::SessionId::new("s").unwrap();
    let snapshots = store.snapshots().unwrap();
    assert!(matches!(snapshots.read(&[session]).await, Err(StoreError::Away(_))));
    let began = Instant::now();
    let written = store.commit(row(1, "during")).await;
    assert!(matches!(written, Err(StoreError::Away(_))), "{written:?}");
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert!(!store.has_room().await, "nobody can tell");

    server.resume();
    commit(&store, row(1, "during")).await;
    commit(&store, row(2, "after")).await;
    let stored = rows(&store).await.unwrap();
    assert_eq!(stored, [(1, "during".to_owned()), (2, "after".to_owned())]);
}

#[tokio::test]
async fn reads_alone_leave_everything_as_it_was_when_the_server_stood_still() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let mut config = server.config();
    config.timeout = Duration::from_millis(300);
    let store = held(&config).await;
    store.commit(row(1, "before")).await.unwrap();
    let before = stored(&config).await;
    server.pause();
    for _ in 0..3 {
        assert!(matches!(rows(&store).await, Err(StoreError::Away(_))));
    }
    server.resume();
    assert_eq!(stored(&config).await, before);
}

/// Everything but the lease, which is renewed.
async fn stored(config: &sidenote::config::Redis) -> Vec<(String, String)> {
    let mut client = client(config).await;
    let mut keys: Vec<String> = send(&mut client, &["KEYS", "*"]).await;
    keys.retain(|key| !key.ends_with(":lease"));
    keys.sort();
    let mut all = Vec::new();
    for key in keys {
        let value: Vec<u8> = send(&mut client, &["DUMP", &key]).await;
        all.push((key, format!("{value:?}")));
    }
    all
}

/// The server is killed while commits are under way, again and again.
#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_commit_is_there_after_kill_9() {
    let durable = [("appendonly", "yes"), ("appendfsync", "always")];
    let Some(mut server) = RedisServer::start(&durable).await else { return };
    let mut config = server.config();
    config.timeout = Duration::from_millis(500);
    let store = Arc::new(held(&config).await);
    let mut acknowledged = Vec::new();
    let count = Arc::new(AtomicU64::new(0));
    for round in 0..3u64 {
        let mut tasks = JoinSet::new();
        for task in 0..4u64 {
            let (store, count) = (store.clone(), count.clone());
            tasks.spawn(async move {
                let mut told = Vec::new();
                for number in (0..).map(|number| round * 1_000_000 + task * 10_000 + number) {
                    match store.commit(row(number, "x")).await {
                        Ok(()) => {
                            told.push(number);
                            count.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(StoreError::Away(_)) => break,
                        Err(error) => panic!("{error}"),
                    }
                }
                told
            });
        }
        let enough = 20 * (round + 1);
        eventually(|| match count.load(Ordering::Relaxed) {
            committed if committed < enough => Err(format!("{committed} commits")),
            _ => Ok(()),
        })
        .await;
        server.kill();
        while let Some(told) = tasks.join_next().await {
            acknowledged.extend(told.unwrap());
        }
        assert!(server.restart().await);
        commit(&store, row(round * 1_000_000 + 999_999, "x")).await;
        acknowledged.push(round * 1_000_000 + 999_999);
        let stored: Vec<_> = rows(&store).await.unwrap().into_iter().map(|row| row.0).collect();
        let missing: Vec<_> = acknowledged.iter().filter(|row| !stored.contains(row)).collect();
        assert!(missing.is_empty(), "{missing:?}");
        // What was under way may be there all the same: one attempt per task at most.
        assert!(stored.len() <= acknowledged.len() + 4 * (round as usize + 1));
    }
}

#[tokio::test]
async fn a_full_server_is_waited_out_and_takes_what_frees_room() {
    let limit = [("maxmemory", "50mb"), ("maxmemory-policy", "noeviction")];
    let Some(server) = RedisServer::start(&limit).await else { return };
    let mut client = client(&server.config()).await;
    let store = held(&server.config()).await;
    store.commit(row(1, "before")).await.unwrap();
    assert!(store.has_room().await);
    let () = send(&mut client, &["CONFIG", "SET", "maxmemory", "500kb"]).await;

    for _ in 0..3 {
        let refused = store.commit(row(2, "during")).await;
        assert!(matches!(refused, Err(StoreError::Full(_))), "{refused:?}");
        assert!(!store.has_room().await);
    }
    let mixed: Arc<[Change]> = Arc::new([
        Change::Delete(key(Table::Open, ("p", "s"), 1)),
        put(Table::Open, ("p", "s"), 2, "during"),
    ]);
    let refused = store.commit(mixed).await;
    assert!(matches!(refused, Err(StoreError::Full(_))), "{refused:?}");
    assert_eq!(rows(&store).await.unwrap(), [(1, "before".to_owned())], "all or nothing");
    store.commit(Arc::new([Change::Delete(key(Table::Open, ("p", "s"), 1))])).await.unwrap();
    assert_eq!(rows(&store).await.unwrap(), [], "what only removes rows gets through");

    let () = send(&mut client, &["CONFIG", "SET", "maxmemory", "50mb"]).await;
    store.commit(row(2, "after")).await.unwrap();
    assert!(store.has_room().await);
    assert_eq!(rows(&store).await.unwrap(), [(2, "after".to_owned())]);
}

#[tokio::test]
async fn a_server_that_may_not_write_is_away_until_it_may() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let mut client = client(&server.config()).await;
    let store = held(&server.config()).await;
    // A replica of a master that never answers: it reads, and refuses to write.
    let () = send(&mut client, &["REPLICAOF", "127.0.0.1", "1"]).await;
    let refused = store.commit(row(1, "a")).await;
    assert!(matches!(refused, Err(StoreError::Away(_))), "{refused:?}");
    let () = send(&mut client, &["REPLICAOF", "NO", "ONE"]).await;
    commit(&store, row(1, "a")).await;
    // Nor does one that can't write its replicas, or its disk.
    let () = send(&mut client, &["CONFIG", "SET", "min-replicas-to-write", "1"]).await;
    let refused = store.commit(row(2, "b")).await;
    assert!(matches!(refused, Err(StoreError::Away(_))), "{refused:?}");
    let () = send(&mut client, &["CONFIG", "SET", "min-replicas-to-write", "0"]).await;
    commit(&store, row(2, "b")).await;
    assert_eq!(rows(&store).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_connection_that_the_server_closes_is_made_again() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let mut client = client(&server.config()).await;
    let store = held(&server.config()).await;
    for number in 0..5 {
        let () = send(&mut client, &["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
        commit(&store, row(number, "x")).await;
    }
    assert_eq!(rows(&store).await.unwrap().len(), 5);
}

#[tokio::test]
async fn a_server_with_too_many_clients_is_waited_out() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let store = held(&server.config()).await;
    let mut client = client(&server.config()).await;
    let () = send(&mut client, &["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
    let () = send(&mut client, &["CONFIG", "SET", "maxclients", "1"]).await;
    for _ in 0..3 {
        let refused = store.commit(row(1, "a")).await;
        assert!(matches!(refused, Err(StoreError::Away(_))), "{refused:?}");
    }
    let () = send(&mut client, &["CONFIG", "SET", "maxclients", "100"]).await;
    commit(&store, row(1, "a")).await;
}

/// What answers to the name of the server can change while the connection stays.
#[tokio::test]
async fn a_line_that_is_dead_without_a_word_is_replaced() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let relay = Relay::start(server.config().url.rsplit_once('/').unwrap().1).await;
    let mut config = server.config();
    config.url = format!("redis://{}", relay.addr);
    config.timeout = Duration::from_millis(300);
    let store = held(&config).await;
    store.commit(row(1, "before")).await.unwrap();
    relay.cut();
    let lost = store.commit(row(2, "after")).await;
    assert!(matches!(lost, Err(StoreError::Away(_))), "{lost:?}");
    commit(&store, row(2, "after")).await;
    assert_eq!(rows(&store).await.unwrap().len(), 2);
}
