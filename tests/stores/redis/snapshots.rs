use std::sync::Arc;
use std::time::Duration;

use sidenote::ids::SessionId;
use sidenote::store::{RedisStore, Snapshots, Store, StoreError};
use sidenote_tests::RedisServer;
use tokio::task::JoinSet;

use super::{client, send};

fn id(id: &str) -> SessionId {
    SessionId::new(id).unwrap()
}

#[tokio::test]
async fn a_snapshot_is_under_the_references_key_and_replaced_only_where_it_is_the_expected_one() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let mut client = client(&server.config()).await;
    let store = RedisStore::open(&server.config()).await.unwrap();
    let snapshots = store.snapshots().unwrap();
    let session = id("a:b {c} 日本");
    let key = "autoplay:session_state:a:b {c} 日本";

    assert!(!snapshots.swap(&session, Some(b""), b"x").await.unwrap(), "there is none");
    assert!(snapshots.swap(&session, None, b"one\0\xFF").await.unwrap());
    assert_eq!(send::<Vec<u8>>(&mut client, &["GET", key]).await, b"one\0\xFF");
    assert!(!snapshots.swap(&session, None, b"x").await.unwrap(), "there is one");
    assert!(!snapshots.swap(&session, Some(b"one"), b"x").await.unwrap(), "it is another one");
    assert!(snapshots.swap(&session, Some(b"one\0\xFF"), b"").await.unwrap());
    assert!(!snapshots.swap(&session, None, b"x").await.unwrap(), "an empty one is one");
    assert!(snapshots.swap(&session, Some(b""), b"two").await.unwrap());

    assert!(!snapshots.remove(&session, b"one").await.unwrap(), "it is another one");
    assert!(!snapshots.remove(&id("none"), b"").await.unwrap(), "there is none");

    let () = send(&mut client, &["SET", "autoplay:session_state:other", "by the SDK"]).await;
    let read = snapshots.read(&[id("other"), id("none"), session]).await.unwrap();
    assert_eq!(read, [Some(b"by the SDK".to_vec()), None, Some(b"two".to_vec())]);
    assert_eq!(snapshots.read(&[]).await.unwrap(), Vec::<Option<Vec<u8>>>::new());
    let session = id("a:b {c} 日本");
    assert!(snapshots.remove(&session, b"two").await.unwrap());
    assert_eq!(snapshots.read(&[session]).await.unwrap(), [None]);
}

#[tokio::test]
async fn every_swap_has_the_snapshot_live_for_as_long_as_a_session_does() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let mut client = client(&server.config()).await;
    let mut config = server.config();
    config.session_ttl = Duration::from_secs(3600);
    let store = RedisStore::open(&config).await.unwrap();
    let snapshots = store.snapshots().unwrap();
    let key = "autoplay:session_state:s";
    let left = async |client: &mut _| send::<i64>(client, &["PTTL", key]).await;

    assert!(snapshots.swap(&id("s"), None, b"one").await.unwrap());
    assert!((3_590_000..=3_600_000).contains(&left(&mut client).await));
    let () = send(&mut client, &["PEXPIRE", key, "5000"]).await;
    assert!(!snapshots.swap(&id("s"), None, b"x").await.unwrap());
    assert!(left(&mut client).await <= 5000, "a swap that was refused changes nothing");
    assert!(snapshots.swap(&id("s"), Some(b"one"), b"two").await.unwrap());
    assert!((3_590_000..=3_600_000).contains(&left(&mut client).await));
}

/// Two hosts, each with a connection of its own, count up one snapshot.
#[tokio::test(flavor = "multi_thread")]
async fn no_change_is_lost_where_two_hosts_change_one_snapshot() {
    const EACH: u64 = 1000;
    let Some(server) = RedisServer::start(&[]).await else { return };
    let mut tasks = JoinSet::new();
    for _ in 0..2 {
        let store = RedisStore::open(&server.config()).await.unwrap();
        let snapshots = store.snapshots().unwrap();
        tasks.spawn(async move {
            let mut met = 0;
            for _ in 0..EACH {
                while !count_up(&snapshots).await {
                    met += 1;
                }
            }
            met
        });
    }
    let met: u64 = tasks.join_all().await.into_iter().sum();
    let mut client = client(&server.config()).await;
    let counted: u64 = send(&mut client, &["GET", "autoplay:session_state:s"]).await;
    assert_eq!(counted, 2 * EACH);
    assert!(met > 0, "they never met, so nothing was shown");
}

async fn count_up(snapshots: &Arc<dyn Snapshots>) -> bool {
    let stored = snapshots.read(&[id("s")]).await.unwrap().remove(0);
    let count: u64 =
        stored.as_deref().map_or(0, |stored| std::str::from_utf8(stored).unwrap().parse().unwrap());
    let next = (count + 1).to_string();
    snapshots.swap(&id("s"), stored.as_deref(), next.as_bytes()).await.unwrap()
}

#[tokio::test]
async fn what_somebody_else_keeps_there_is_left_alone() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let mut client = client(&server.config()).await;
    let store = RedisStore::open(&server.config()).await.unwrap();
    let () = send(&mut client, &["RPUSH", "autoplay:session_state:s", "theirs"]).await;
    let swapped = store.snapshots().unwrap().swap(&id("s"), None, b"ours").await;
    assert!(matches!(swapped, Err(StoreError::Fatal(_))), "{swapped:?}");
    assert_eq!(send::<u64>(&mut client, &["LLEN", "autoplay:session_state:s"]).await, 1);
}
