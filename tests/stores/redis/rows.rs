use std::collections::HashSet;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sidenote::store::{Change, MemoryStore, Store, StoreError, Table};
use sidenote_tests::RedisServer;

use super::{client, group, held, key, put, row, rows, send};
use crate::contract::contract;

#[tokio::test]
async fn redis_keeps_the_contract() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    contract(Arc::new(held(&server.config()).await)).await;
}

/// Names that are glued, escaped or sorted wrongly where anything is.
const NAMES: [&str; 12] =
    ["", "a", "ab", "b", "a\0", "a\0b", "\u{1}", "a|b", "}{", "%7C", "日本", "é"];

fn some_changes(random: &mut StdRng) -> Arc<[Change]> {
    let tables = [Table::Open, Table::Outbox, Table::Dead];
    let change = |random: &mut StdRng| {
        let name = |random: &mut StdRng| NAMES[random.random_range(0..NAMES.len())];
        let of = (name(random), name(random));
        let table = tables[random.random_range(0..tables.len())];
        let number = [0, 1, 9, 10, u64::MAX][random.random_range(0..5)];
        match random.random_bool(0.6) {
            true => put(table, of, number, &random.random::<u32>().to_string()),
            false => Change::Delete(key(table, of, number)),
        }
    };
    (0..random.random_range(1..40)).map(|_| change(random)).collect()
}

#[tokio::test]
async fn redis_holds_the_same_rows_in_the_same_order_as_memory() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let store = held(&server.config()).await;
    let model = MemoryStore::new();
    let mut random = StdRng::seed_from_u64(7);
    for _ in 0..30 {
        let changes = some_changes(&mut random);
        store.commit(changes.clone()).await.unwrap();
        model.commit(changes).await.unwrap();

        for table in [Table::Open, Table::Outbox, Table::Dead] {
            let groups: Vec<_> =
                NAMES.iter().flat_map(|a| NAMES.iter().map(|b| group(a, b))).collect();
            let loaded = store.load(table, &groups).await.unwrap();
            assert_eq!(loaded, model.load(table, &groups).await.unwrap());
            let all = model.scan(table, None, usize::MAX).await.unwrap();
            assert_eq!(store.scan(table, None, all.len() + 1).await.unwrap(), all);
            let mut after = all.iter().map(|(key, _)| Some(key.clone())).collect::<Vec<_>>();
            after.push(Some(key(table, (NAMES[random.random_range(0..12)], "nowhere"), 5)));
            after.push(None);
            for after in after {
                let limit = random.random_range(1..8);
                let page = store.scan(table, after.clone(), limit).await.unwrap();
                assert_eq!(page, model.scan(table, after, limit).await.unwrap());
            }
        }
    }
}

#[tokio::test]
async fn a_commit_of_twenty_thousand_changes_and_eight_mib_is_one() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let store = held(&server.config()).await;
    let value = "x".repeat(420);
    let mut changes = Vec::new();
    for number in 0..10_000 {
        changes.push(put(Table::Open, ("p", "one session"), number, &value));
        changes.push(put(Table::Outbox, ("p", &format!("s{}", number % 5000)), number, &value));
    }
    store.commit(changes.into()).await.unwrap();
    let open = store.load(Table::Open, &[group("p", "one session")]).await.unwrap().remove(0);
    assert_eq!(open.len(), 10_000);
    assert!(
        open.iter()
            .zip(0..)
            .all(|((number, stored), wanted)| { *number == wanted && *stored == value.as_bytes() })
    );
    assert_eq!(store.scan(Table::Outbox, None, 20_000).await.unwrap().len(), 10_000);

    let gone =
        (0..10_000).map(|number| Change::Delete(key(Table::Open, ("p", "one session"), number)));
    store.commit(gone.collect()).await.unwrap();
    assert_eq!(store.scan(Table::Open, None, 1).await.unwrap(), []);
}

#[tokio::test]
async fn a_commit_that_the_server_would_never_take_is_no_reason_to_wait() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let store = held(&server.config()).await;
    let changes = (0..500_000).map(|number| put(Table::Open, ("p", "s"), number, ""));
    let refused = store.commit(changes.collect()).await;
    assert!(matches!(refused, Err(StoreError::Fatal(_))), "{refused:?}");
    let changes = (0..400_000).map(|number| put(Table::Open, ("p", "s"), number, ""));
    store.commit(changes.collect()).await.unwrap();
}

#[tokio::test]
async fn what_is_empty_leaves_nothing_behind() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let store = held(&server.config()).await;
    store.commit(row(1, "a")).await.unwrap();
    store.commit(Arc::new([Change::Delete(key(Table::Open, ("p", "s"), 1))])).await.unwrap();
    let mut keys: Vec<String> = send(&mut client(&server.config()).await, &["KEYS", "*"]).await;
    keys.sort();
    assert_eq!(keys, ["sidenote:fence", "sidenote:lease"]);
}

#[tokio::test]
async fn two_namespaces_never_meet() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let one = held(&server.config()).await;
    let mut config = server.config();
    config.namespace = "other".to_owned();
    let other = held(&config).await;
    one.commit(row(1, "one")).await.unwrap();
    other.commit(row(1, "other")).await.unwrap();
    assert_eq!(rows(&one).await.unwrap(), [(1, "one".to_owned())]);
    assert_eq!(rows(&other).await.unwrap(), [(1, "other".to_owned())]);
}

#[tokio::test]
async fn a_key_of_another_kind_fails_the_commit_as_a_whole() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let store = held(&server.config()).await;
    let mut client = client(&server.config()).await;
    let () = send(&mut client, &["SET", "sidenote:{p|z}:outbox", "not ours"]).await;
    let changes: Arc<[Change]> =
        Arc::new([put(Table::Open, ("p", "s"), 1, "a"), put(Table::Outbox, ("p", "z"), 1, "z")]);
    let failed = store.commit(changes).await;
    assert!(matches!(failed, Err(StoreError::Fatal(_))), "{failed:?}");
    assert_eq!(rows(&store).await.unwrap(), []);
    let read = store.load(Table::Outbox, &[group("p", "z")]).await;
    assert!(matches!(read, Err(StoreError::Fatal(_))), "an error, not an empty answer: {read:?}");
}

#[tokio::test]
async fn a_server_that_forgot_the_scripts_is_told_them_again() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let store = held(&server.config()).await;
    store.commit(row(1, "a")).await.unwrap();
    let () = send(&mut client(&server.config()).await, &["SCRIPT", "FLUSH"]).await;
    store.commit(row(2, "b")).await.unwrap();
    assert_eq!(rows(&store).await.unwrap().len(), 2);
}

#[tokio::test]
async fn all_keys_of_a_session_are_in_one_slot() {
    assert_eq!(slot("123456789"), 0x31C3, "the checksum of the cluster specification");
    assert_eq!(slot("{user1000}.following"), slot("{user1000}.followers"));
    let Some(server) = RedisServer::start(&[]).await else { return };
    let store = held(&server.config()).await;
    let session = ("acme}", "{s|1");
    let changes: Vec<_> = Table::ALL.map(|table| put(table, session, 1, "x")).into();
    store.commit(changes.into()).await.unwrap();
    let keys: Vec<String> =
        send(&mut client(&server.config()).await, &["KEYS", "sidenote:{*"]).await;
    assert_eq!(keys.len(), Table::ALL.len());
    let slots: HashSet<_> = keys.iter().map(|key| slot(key)).collect();
    assert_eq!(slots.len(), 1, "{keys:?}");
}

/// The slot of a key, as the cluster specification has it: CRC16 (XMODEM) of the hash tag.
pub(super) fn slot(key: &str) -> u16 {
    let tag = key.split_once('{').and_then(|(_, behind)| behind.split_once('}'));
    let hashed = tag.map(|(tag, _)| tag).filter(|tag| !tag.is_empty()).unwrap_or(key);
    let crc = hashed.bytes().fold(0u16, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| match crc & 0x8000 {
            0 => crc << 1,
            _ => (crc << 1) ^ 0x1021,
        })
    });
    crc % 16384
}
