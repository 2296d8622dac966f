//! What a commit costs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sidenote::store::{Change, EmbeddedStore, Group, Key, Store, Table};

use crate::disk::SimulatedDisk;

fn changes(count: u64, round: u64) -> Arc<[Change]> {
    let row = |at| {
        let group = Group("product".into(), format!("session {at}").into());
        let key = Key { table: Table::Open, group, number: round };
        Change::Put(key, vec![at as u8; 200])
    };
    (0..count).map(row).collect()
}

/// Two phases are two syncs: of what is written, and of the header that makes it count. A file that must
/// grow first has its length synced besides, each time that it grows.
#[tokio::test]
async fn a_commit_costs_two_syncs_however_many_changes_it_has() {
    let disk = SimulatedDisk::holding(Vec::new(), 0);
    let store = EmbeddedStore::open_on(disk.clone()).unwrap();
    for (count, round, growths) in [(1, 0, 0), (16, 0, 0), (256, 0, 2), (256, 0, 0), (16, 1, 0)] {
        let before = disk.counts();
        store.commit(changes(count, round)).await.unwrap();
        let after = disk.counts();
        let (syncs, writes) = (after.syncs - before.syncs, after.writes - before.writes);
        println!("{count} changes: {syncs} syncs, {writes} writes, the file grew {growths} times");
        assert_eq!((syncs, after.set_lens - before.set_lens), (2 + growths, growths));
    }
    let before = disk.counts();
    store.commit(Arc::new([])).await.unwrap();
    assert_eq!(disk.counts(), before, "a commit of nothing costs something");
}

/// Prints commits and changes per second on a real file, in the folder for temporary files.
#[tokio::test]
#[ignore = "a measurement: run it alone, with --nocapture"]
#[expect(clippy::disallowed_methods, reason = "it measures real time")]
async fn commits_per_second() {
    let folder = tempfile::tempdir().unwrap();
    for count in [1, 16, 256] {
        let store = EmbeddedStore::open(&folder.path().join(format!("{count}.redb"))).unwrap();
        store.commit(changes(count, 0)).await.unwrap();
        let begin = Instant::now();
        let mut commits = 0;
        while begin.elapsed() < Duration::from_secs(3) {
            commits += 1;
            store.commit(changes(count, commits)).await.unwrap();
        }
        let per_second = commits as f64 / begin.elapsed().as_secs_f64();
        println!(
            "{count} changes: {per_second:.0} commits/s, {:.0} changes/s, {:.2} ms each",
            per_second * count as f64,
            1000.0 / per_second
        );
        assert!(commits > 0);
    }
}
