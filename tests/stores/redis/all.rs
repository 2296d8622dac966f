//! The rows of all partitions, read as those of one store.

use std::collections::BTreeMap;

use sidenote::store::{AllPartitions, Change, Group, Key, Store, StoreError, Table};
use sidenote_cluster::ids::Partition;
use sidenote_cluster::partition::{Partitions, SessionKey};
use sidenote_tests::RedisServer;
use sidenote_tests::partition::{member, partition, shared};

use super::{group, key, put};

const PARTITIONS: [Partition; 3] = [Partition::new(0), Partition::new(7), Partition::new(40)];

/// Some sessions of product `p` in a partition.
fn sessions_in(of: Partition) -> impl Iterator<Item = String> {
    let all = Partitions::default();
    let names = (0..).map(|number| format!("s-{number}"));
    let is_there = move |session: &String| {
        let key = SessionKey { product: "p".into(), session: session.as_str().into() };
        all.of_session(&key) == of
    };
    names.filter(is_there).take(4)
}

/// All rows of a table, by pages of so many.
async fn paged(store: &AllPartitions, table: Table, limit: usize) -> Vec<(Key, Vec<u8>)> {
    let (mut rows, mut after) = (Vec::new(), None);
    loop {
        let page = store.scan(table, after.take(), limit).await.unwrap();
        assert!(page.len() <= limit);
        after = page.last().map(|(key, _)| key.clone());
        let is_last = page.len() < limit;
        rows.extend(page);
        if is_last {
            return rows;
        }
    }
}

#[tokio::test]
async fn the_rows_of_all_partitions_are_read_as_one_in_order_and_by_page() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let shared = shared(&server.config()).await;
    let mut expected: BTreeMap<Key, Vec<u8>> = BTreeMap::new();
    for (place, of) in PARTITIONS.into_iter().enumerate() {
        let mut changes = Vec::new();
        for session in sessions_in(of) {
            changes.extend([1, 2, 300].map(|it| put(Table::Open, ("p", &session), it, &session)));
        }
        // Of a person's sessions each partition has its own, under numbers that don't meet.
        for number in 0..5 {
            let number = number * 3 + place as u64;
            changes.push(put(Table::Person, ("p", "ann"), number, &of.to_string()));
        }
        changes.push(put(Table::Person, ("p", &of.to_string()), 1, "alone"));
        // What is the namespace's counts where that is, and nowhere else.
        let own = put(Table::Key, (&of.to_string(), ""), 0, "a key");
        for change in changes.iter().chain([&own].into_iter().filter(|_| place == 0)) {
            let Change::Put(key, value) = change else { panic!("{change:?}") };
            expected.insert(key.clone(), value.clone());
        }
        changes.push(own);
        let store = partition(&shared, of, &member("a")).await;
        store.commit(changes.into()).await.unwrap();
    }
    let all = AllPartitions::new(shared.clone(), Partitions::default());
    for table in [Table::Open, Table::Person, Table::Key, Table::Dead] {
        let of_table: Vec<_> = expected.iter().filter(|(key, _)| key.table == table).collect();
        for limit in [1, 2, 3, 7, of_table.len().max(1), 1000] {
            let found = paged(&all, table, limit).await;
            let found: Vec<_> = found.iter().map(|(key, value)| (key, value)).collect();
            assert_eq!(found, of_table, "{table:?} by {limit}");
        }
    }

    let session = sessions_in(PARTITIONS[1]).next().unwrap();
    let groups = [group("p", &session), group("p", "nobody"), group("q", &session)];
    let found = all.load(Table::Open, &groups).await.unwrap();
    assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [3, 0, 0]);
    let found = all.load(Table::Person, &[Group("p".into(), "ann".into())]).await.unwrap();
    let numbers: Vec<u64> = found[0].iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (0..15).collect::<Vec<u64>>());
    let behind = all.scan(Table::Person, Some(key(Table::Person, ("p", "ann"), 13)), 2).await;
    let behind: Vec<u64> = behind.unwrap().iter().map(|(key, _)| key.number).collect();
    assert_eq!(behind, [14, 1], "the last one of the group, and the first of the next");
}

#[tokio::test]
async fn nothing_is_written_through_all_partitions() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let shared = shared(&server.config()).await;
    let all = AllPartitions::new(shared, Partitions::default());
    let refused = all.commit([put(Table::Open, ("p", "s"), 1, "x")].into()).await;
    assert!(matches!(refused, Err(StoreError::Fatal(_))), "{refused:?}");
    assert!(all.scan(Table::Open, None, 1).await.unwrap().is_empty());
}
