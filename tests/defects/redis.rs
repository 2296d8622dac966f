//! Rows on sessions that are shared through a Redis server; a real one.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sidenote::config::{self, Delivery, Product};
use sidenote::engine::Settings;
use sidenote::engine::link::LinkError;
use sidenote::ids::SessionId;
use sidenote::store::{Journal, RedisStore, Snapshots, Store};
use sidenote_tests::world::{BEGIN, Platform, World, product};
use sidenote_tests::{RedisServer, eventually};

const LINKED: &[u8] = include_bytes!("../data/sdk-snapshots/linked.json");

async fn held(config: &config::Redis) -> Arc<RedisStore> {
    let store = RedisStore::open(config).await.expect("the server is there");
    store.hold().await.expect("nobody else holds it");
    Arc::new(store)
}

fn session(name: &str) -> SessionId {
    SessionId::new(name).expect("not empty")
}

async fn stored(snapshots: &dyn Snapshots, name: &str) -> Option<Value> {
    let stored = snapshots.read(&[session(name)]).await.expect("the server answers").remove(0)?;
    Some(serde_json::from_slice(&stored).expect("JSON"))
}

/// A host beside which an application of the SDK counts in the same snapshot.
#[tokio::test(flavor = "multi_thread")]
async fn d38_two_processes_that_change_one_session_lose_neither_change() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let store = held(&server.config()).await;
    let beside = RedisStore::open(&server.config()).await.unwrap().snapshots().unwrap();
    for n in 0..20 {
        let name = format!("s{n}");
        let world = World::start(store.clone(), Platform::new([]), Delivery::default());
        let count = async {
            for step in 1..=20 {
                loop {
                    let old = beside.read(&[session(&name)]).await.unwrap().remove(0);
                    let mut new: Value = match &old {
                        Some(old) => serde_json::from_slice(old).unwrap(),
                        None => {
                            let id = json!(name);
                            let mut fresh: Value = serde_json::from_slice(LINKED).unwrap();
                            fresh["session_id"] = id;
                            fresh["conversation_linked"] = json!(false);
                            fresh["conversation_id"] = Value::Null;
                            fresh["metadata"] = json!({"product_id": "p"});
                            fresh
                        }
                    };
                    new["metadata"]["count"] = json!(step);
                    let new = serde_json::to_vec(&new).unwrap();
                    if beside.swap(&session(&name), old.as_deref(), &new).await.unwrap() {
                        break;
                    }
                }
            }
        };
        let link = async {
            world.act(&name, "a").await;
            world.link(&name, "c").await.unwrap();
            // What somebody else changed first is put together at the next change of the session.
            world.act(&name, "b").await;
        };
        tokio::join!(count, link);
        world.act(&name, "c").await;
        world.end().await;
        let shared = stored(&*beside, &name).await.unwrap();
        assert_eq!(
            (&shared["metadata"]["count"], &shared["conversation_id"]),
            (&json!(20), &json!("c"))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn d39_a_read_that_times_out_overwrites_nothing() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let mut config = server.config();
    config.timeout = Duration::from_millis(200);
    let store = held(&config).await;
    let world = World::start(store.clone(), Platform::new([]), Delivery::default());
    world.link("s", "c").await.unwrap();
    world.end().await;
    let before = stored(&*store.snapshots().unwrap(), "s").await;
    assert_eq!(before.as_ref().unwrap()["conversation_id"], "c");

    // A host that doesn't have the session in memory.
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(&folder.path().join("journal"), 1 << 20).unwrap();
    let world = World::start_with_journal(store.clone(), Platform::new([]), journal);
    eventually(|| match world.handle.counters().commits.get() {
        0 => Ok(()),
        n => Err(format!("{n} commits")),
    })
    .await;
    server.pause();
    let refused = world.link("s", "another").await;
    assert_eq!(refused, Err(LinkError::Unavailable));
    server.resume();
    eventually(|| match world.handle.counters().store_away.get() {
        0 => Ok(()),
        _ => Err("the store is away".to_owned()),
    })
    .await;
    world.act("s", "a").await;
    assert_eq!(world.record("s").await.link.unwrap().conversation.as_str(), "c");
    world.end().await;
    assert_eq!(stored(&*store.snapshots().unwrap(), "s").await.unwrap()["conversation_id"], "c");
}

#[tokio::test(flavor = "multi_thread")]
async fn d39_a_record_of_a_later_version_is_kept_as_it_is() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let store = held(&server.config()).await;
    let snapshots = store.snapshots().unwrap();
    let later = br#"{"_v": 99, "session_id": "s", "conversation_linked": "by other means"}"#;
    assert!(snapshots.swap(&session("s"), None, later).await.unwrap());
    let world = World::start(store.clone(), Platform::new([]), Delivery::default());
    world.act("s", "a").await;
    world.link("s", "c").await.unwrap();
    eventually(|| match world.handle.counters().snapshots_left.get() {
        0 => Err("nothing was reported".to_owned()),
        _ => Ok(()),
    })
    .await;
    assert_eq!(world.end().await, ["c: [1] a"]);
    let kept = snapshots.read(&[session("s")]).await.unwrap().remove(0);
    assert_eq!(kept.as_deref(), Some(&later[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn d60_the_shared_record_lives_on_with_activity() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let store = held(&server.config()).await;
    let mut client =
        redis::Client::open(server.config().url.as_str()).unwrap().get_connection().unwrap();
    let world = World::start(store.clone(), Platform::new([]), Delivery::default());
    world.link("s", "c").await.unwrap();
    world.end().await;
    let key = "autoplay:session_state:s";
    let mut left = move |command: &str| -> i64 {
        let mut command = redis::cmd(command);
        command.arg(key);
        command.query(&mut client).unwrap()
    };
    assert!(left("PTTL") > 86_000_000);
    let mut client =
        redis::Client::open(server.config().url.as_str()).unwrap().get_connection().unwrap();
    let () = redis::cmd("PEXPIRE").arg(key).arg(60_000).query(&mut client).unwrap();
    assert!(left("PTTL") <= 60_000);

    let world =
        World::start_at(BEGIN + 3600.0, store.clone(), Platform::new([]), Delivery::default());
    world.act("s", "a").await;
    world.end().await;
    assert!(left("PTTL") > 86_000_000, "an action an hour later keeps it");
}

/// Bytes that the SDK itself wrote.
#[tokio::test(flavor = "multi_thread")]
async fn d03_a_link_that_the_sdk_stored_is_taken_over() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let store = held(&server.config()).await;
    let snapshots = store.snapshots().unwrap();
    let linked: Value = serde_json::from_slice(LINKED).unwrap();
    let name = linked["session_id"].as_str().unwrap().to_owned();
    assert!(snapshots.swap(&session(&name), None, LINKED).await.unwrap());

    // The SDK's key names no product: with one product only there is no doubt.
    let only = Product::of(vec!["bot".into()], Delivery::default());
    let settings = Settings::of_products([(product("p"), only)]);
    let platform = Platform::new([]);
    let world = World::start_with(BEGIN, store.clone(), platform.clone(), settings);
    world.act(&name, "a").await;
    let posts = world.end().await;
    let conversation = linked["conversation_id"].as_str().unwrap();
    assert_eq!(posts, [format!("{conversation}: [1] a")]);
    let shared = stored(&*snapshots, &name).await.unwrap();
    assert_eq!((&shared["_v"], &shared["conversation_id"]), (&json!(2), &json!(conversation)));
}
