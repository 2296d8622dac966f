//! The store of one partition against a real server.

use std::sync::Arc;
use std::time::Duration;

use sidenote::config::Delivery;
use sidenote::engine::EngineError;
use sidenote::store::{Beside, Lost, Owner, PartitionStore, Store, StoreError, Table};
use sidenote_cluster::call::{Add, Answer, Call, Read};
use sidenote_cluster::ids::{Number, Offset, Partition, Payload, Producer};
use sidenote_cluster::row::{Change, RowKey};
use sidenote_tests::RedisServer;
use sidenote_tests::partition::{acquire, member, partition, shared};
use sidenote_tests::world::{Platform, World};

use super::{client, group, row, send};
use crate::contract::contract;

const OF: Partition = Partition::new(7);

async fn rows(store: &PartitionStore) -> Vec<(u64, String)> {
    let mut loaded = store.load(Table::Open, &[group("p", "s")]).await.unwrap();
    let text = |value| String::from_utf8(value).unwrap();
    loaded.remove(0).into_iter().map(|(number, value)| (number, text(value))).collect()
}

#[tokio::test]
async fn a_partition_keeps_the_contract_and_all_its_keys_have_its_tag() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let shared = shared(&server.config()).await;
    let store = partition(&shared, OF, &member("a")).await;
    contract(Arc::new(store)).await;
    let other = partition(&shared, Partition::new(8), &member("a")).await;
    contract(Arc::new(other)).await;
    let keys: Vec<String> = send(&mut client(&server.config()).await, &["KEYS", "*"]).await;
    let tagged = |key: &&String| {
        ["sidenote:{p007}:", "sidenote:{p008}:"].iter().any(|it| key.starts_with(it))
    };
    assert!(keys.iter().all(|key| tagged(&key)), "{keys:?}");
}

#[tokio::test]
async fn what_is_empty_leaves_nothing_behind_in_a_partition() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let store = partition(&shared(&server.config()).await, OF, &member("a")).await;
    store.commit(row(1, "a")).await.unwrap();
    let gone = sidenote::store::Change::Delete(super::key(Table::Open, ("p", "s"), 1));
    store.commit(Arc::new([gone])).await.unwrap();
    let mut keys: Vec<String> = send(&mut client(&server.config()).await, &["KEYS", "*"]).await;
    keys.sort();
    assert_eq!(keys, ["sidenote:{p007}:fence", "sidenote:{p007}:lease"]);
}

#[tokio::test]
async fn an_owner_that_was_taken_over_stores_nothing_and_hears_by_whose_epoch() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let shared = shared(&server.config()).await;
    let (a, b) = (member("a"), member("b"));
    let first = partition(&shared, OF, &a).await;
    first.commit(row(1, "first")).await.unwrap();
    let () = send(&mut client(&server.config()).await, &["DEL", "sidenote:{p007}:lease"]).await;
    let epoch = acquire(&shared, OF, &b, Some(&a)).await.unwrap();
    let next = Owner { partition: OF, by: b, epoch };
    let second = PartitionStore::open(shared, next).await.unwrap();
    let lost = Lost::TakenOver { own: first.owner().epoch.get(), stored: epoch.get() };
    for _ in 0..2 {
        match first.commit(row(1, "stale")).await {
            Err(StoreError::Lost(why)) => assert_eq!(why, lost),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(rows(&second).await, [(1, "first".to_owned())]);
    second.commit(row(1, "second")).await.unwrap();
}

#[tokio::test]
async fn a_lost_lease_ends_the_engine_of_that_partition_and_no_other() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let shared = shared(&server.config()).await;
    let (a, b) = (member("a"), member("b"));
    let mut worlds = Vec::new();
    for of in [OF, Partition::new(8)] {
        let store = Arc::new(partition(&shared, of, &a).await);
        let world = World::start(store, Platform::new([]), Delivery::default());
        world.act("s", "before").await;
        worlds.push(world);
    }
    let () = send(&mut client(&server.config()).await, &["DEL", "sidenote:{p007}:lease"]).await;
    acquire(&shared, OF, &b, Some(&a)).await.unwrap();
    let batch = sidenote_tests::world::batch("s", [sidenote_tests::world::action("after")]);
    assert!(worlds[0].handle.accept_committed(batch, 10).await.is_err(), "nothing is accepted");
    let ended = worlds[0].ended().await;
    let lost = matches!(ended, Err(EngineError::Store(StoreError::Lost(Lost::TakenOver { .. }))));
    assert!(lost, "{ended:?}");
    worlds[1].act("s", "after").await;
    assert_eq!(worlds[1].rows(Table::Open).await, 2);
}

#[tokio::test]
async fn a_server_that_lost_acknowledged_commits_is_a_loss_of_its_own() {
    let Some(mut server) = RedisServer::start(&[]).await else { return };
    let store = partition(&shared(&server.config()).await, OF, &member("a")).await;
    store.commit(row(1, "a")).await.unwrap();
    assert!(server.restart().await);
    let outcome = loop {
        match store.commit(row(2, "b")).await {
            Err(StoreError::Away(_)) => tokio::time::sleep(Duration::from_millis(20)).await,
            other => break other,
        }
    };
    assert!(matches!(outcome, Err(StoreError::Lost(Lost::ByServer))), "{outcome:?}");
}

#[tokio::test]
async fn how_far_the_inbox_was_read_and_what_is_told_are_stored_with_the_rows() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let shared = shared(&server.config()).await;
    let a = member("a");
    let payload = |text: &str| Payload::new(text.as_bytes());
    let add = Call::Add(Add {
        partition: OF,
        producer: Producer::Host(a.clone(), 0),
        first: Number::new(1),
        payloads: vec![payload("one"), payload("two")],
        reader: None,
    });
    shared.call(&add).await.unwrap();
    let store = partition(&shared, OF, &a).await;
    assert_eq!(store.read().await, Offset::START);
    assert_eq!(store.producers().len(), 1);
    let read = Call::Read(Read { partition: OF, after: Offset::START, limit: 10 });
    let Answer::Read(entries) = shared.call(&read).await.unwrap() else { panic!() };

    let told = RowKey::new("told", "p003", "1", 1);
    let beside = |read| Beside {
        read: Some(read),
        rows: vec![Change::Put(told.clone(), payload("message"))],
        forget: Vec::new(),
    };
    // An entry that the server doesn't have: nothing of the commit is stored.
    let never = Offset::new(entries[0].offset.number(), entries[0].offset.at() + 1);
    let refused = store.commit_with(&row(1, "x"), &beside(never)).await;
    assert!(matches!(refused, Err(StoreError::Lost(Lost::ByServer))), "{refused:?}");
    assert_eq!((rows(&store).await, store.read().await), (vec![], Offset::START));

    store.commit_with(&row(1, "a"), &beside(entries[0].offset)).await.unwrap();
    // A commit that read nothing says the same as the one before.
    store.commit(row(2, "b")).await.unwrap();
    assert_eq!(store.read().await, entries[0].offset);
    assert_eq!(rows(&store).await.len(), 2);
    let next = PartitionStore::open(shared.clone(), store.owner().clone()).await.unwrap();
    assert_eq!(next.read().await, entries[0].offset);
    let key = "sidenote:{p007}:rows:told:p003|1";
    let told: Vec<String> = send(&mut client(&server.config()).await, &["HVALS", key]).await;
    assert_eq!(told, ["message"]);
}

#[tokio::test]
async fn a_full_server_is_told_from_one_that_has_room() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let store = partition(&shared(&server.config()).await, OF, &member("a")).await;
    store.commit(row(1, "a")).await.unwrap();
    let mut client = client(&server.config()).await;
    let () = send(&mut client, &["CONFIG", "SET", "maxmemory", "1000"]).await;
    let refused = store.commit(row(2, "b")).await;
    assert!(matches!(refused, Err(StoreError::Full(_))), "{refused:?}");
    assert!(!store.has_room().await);
    let gone = sidenote::store::Change::Delete(super::key(Table::Open, ("p", "s"), 1));
    store.commit(Arc::new([gone])).await.unwrap();
    let () = send(&mut client, &["CONFIG", "SET", "maxmemory", "0"]).await;
    assert!(store.has_room().await);
    store.commit(row(2, "b")).await.unwrap();
}

#[tokio::test]
async fn a_server_that_forgot_the_scripts_of_partitions_is_told_them_again() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let store = partition(&shared(&server.config()).await, OF, &member("a")).await;
    store.commit(row(1, "a")).await.unwrap();
    let () = send(&mut client(&server.config()).await, &["SCRIPT", "FLUSH"]).await;
    store.commit(row(2, "b")).await.unwrap();
    assert_eq!(rows(&store).await.len(), 2);
}

#[tokio::test]
async fn a_commit_of_twenty_thousand_changes_is_one_and_one_of_too_many_is_refused() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let store = partition(&shared(&server.config()).await, OF, &member("a")).await;
    let changes: Vec<_> = (0..20_000)
        .map(|n| super::put(Table::Outbox, ("p", &format!("s{}", n % 5000)), n, &"x".repeat(200)))
        .collect();
    store.commit(changes.into()).await.unwrap();
    assert_eq!(store.scan(Table::Outbox, None, 30_000).await.unwrap().len(), 20_000);
    let changes = (0..500_000).map(|n| super::put(Table::Open, ("p", "s"), n, ""));
    let refused = store.commit(changes.collect()).await;
    assert!(matches!(refused, Err(StoreError::Fatal(_))), "{refused:?}");
}
