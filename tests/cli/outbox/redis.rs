//! `outbox` on a Redis store: it changes nothing beside a host that writes.

use std::sync::Arc;

use sidenote::config::Delivery;
use sidenote::outbox::note::FailureKind;
use sidenote::store::{RedisStore, Store, Table};
use sidenote_tests::RedisServer;
use sidenote_tests::world::{Platform, World, failed};

use super::filled::{Filled, post, until};

// The lease is renewed while the command runs.
#[tokio::test(flavor = "multi_thread")]
async fn a_redis_store_is_changed_only_where_no_host_writes_to_it() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let filled = Filled::empty();
    let config = std::fs::read_to_string(filled.config()).unwrap();
    let redis = format!("kind = \"redis\"\nurl = \"{}\"", server.url());
    std::fs::write(filled.config(), config.replace("path = \"sidenote.redb\"", &redis)).unwrap();

    // A host of another machine, as far as the command can see.
    let store: Arc<dyn Store> = Arc::new(RedisStore::open(&server.config()).await.unwrap());
    store.hold().await.unwrap();
    let platform = Platform::new([failed(FailureKind::Invalid, None)]);
    let mut world = World::start(store.clone(), platform, Delivery::default());
    post(&world, "p", "refused", "c").await;
    until(&world, Table::Dead, "refused", |_| true).await;

    let list = ["list", "--json"];
    let run = filled.outbox(&list);
    assert_eq!((run.code, run.stdout.lines().count()), (0, 1), "{}", run.stderr);
    let run = filled.outbox(&["purge", "--all", "--dry-run"]);
    assert!(run.stderr.contains("1 note would be purged"), "{}", run.stderr);
    let run = filled.outbox(&["purge", "--all", "--yes"]);
    assert_eq!((run.code, run.stdout.as_str()), (1, ""));
    assert!(run.stderr.contains("a host writes to the store"), "{}", run.stderr);
    assert_eq!(world.rows(Table::Dead).await, 1);

    world.handle.stop().await;
    world.ended().await.expect("the engine stops");
    store.release().await;
    let run = filled.outbox(&["purge", "--all", "--yes"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!(run.stderr.lines().last(), Some("1 note purged"));
    assert_eq!(filled.outbox(&list).stdout, "");
    // The command has let go of the store: the next host needn't wait for it.
    let next = RedisStore::open(&server.config()).await.unwrap();
    next.hold().await.unwrap();
    assert!(next.scan(Table::Dead, None, 10).await.unwrap().is_empty());
}
