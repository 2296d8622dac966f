//! The embedded store on a disk that fails while the power stays on: nothing is tried again, nothing is
//! acknowledged any more, and a process that starts anew finds all that was.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rand::SeedableRng;
use rand::rngs::StdRng;
use sidenote::store::{Change, EmbeddedStore, Group, Key, OpenError, Store, StoreError, Table};

use crate::disk::{Counts, EDQUOT, EIO, ENOSPC, Fault, Kind, SimulatedDisk};
use crate::history::{Known, RowMap, read_all, short_history};

#[tokio::test]
async fn after_any_failed_operation_nothing_is_acknowledged_or_tried_again() {
    let cases = [
        (Kind::Sync, EIO),
        (Kind::Write, EIO),
        (Kind::SetLen, EIO),
        (Kind::Read, EIO),
        // Room that is missed at a sync is missed too late.
        (Kind::Sync, ENOSPC),
    ];
    for (kind, number) in cases {
        for image in [Vec::new(), left_by_a_crash().await] {
            let rows = rows_in(&image).await;
            let begins = if image.is_empty() { "an empty file" } else { "a file to repair" };
            let mut nth = 1;
            while fail_at(&image, &rows, kind, nth, Fault::Error(number)).await {
                nth += 1;
            }
            println!("{kind:?} fails with {number}, from {begins}: each of {} tried", nth - 1);
            // Reads of an empty file are its length only, and of any file are cached after that.
            assert!(nth > 2, "{kind:?} never happens");
        }
    }
}

/// Runs the short history; `false` if there is no such operation in it.
async fn fail_at(image: &[u8], rows: &RowMap, kind: Kind, nth: u64, fault: Fault) -> bool {
    let case = format!("{kind:?} {nth}, {fault:?}");
    let disk = SimulatedDisk::holding(image.to_vec(), nth).with_reserve(1 << 20);
    let mut known = Known::of(rows.clone());
    disk.plan(kind, nth, fault);
    match EmbeddedStore::open_on(disk.clone()) {
        Ok(store) => {
            for changes in short_history() {
                let had_failed = disk.has_fired();
                let answer = store.commit(changes.clone().into()).await;
                let failed = disk.has_fired();
                match answer {
                    Ok(()) => {
                        assert!(!failed, "{case}: acknowledged after it");
                        known.acknowledged(&changes);
                    }
                    Err(StoreError::Fatal(_)) => {
                        assert!(failed, "{case}: failed before it");
                        if !had_failed {
                            known.cut_off(&changes);
                        }
                    }
                    Err(error) => panic!("{case}: {error}"),
                }
            }
            if disk.has_fired() {
                is_given_up(&store, &case).await;
            }
        }
        Err(OpenError::Failing { .. }) => assert!(disk.has_fired(), "{case}"),
        Err(error) => panic!("{case}: {error}"),
    }
    // The store is closed here, which must write nothing either.
    if !disk.has_fired() {
        return false;
    }
    assert_eq!(disk.operations_since(), 0, "{case}: the disk was used after it");
    let mut rng = StdRng::seed_from_u64(nth);
    let restarted = disk.after_a_restart();
    for image in [restarted, disk.survivor(&mut rng).image] {
        let mut known = known.clone();
        known.settle(&rows_in(&image).await).unwrap_or_else(|wrong| panic!("{case}: {wrong}"));
    }
    true
}

async fn is_given_up(store: &EmbeddedStore, case: &str) {
    let group = Group("p".into(), "s".into());
    let refused = [
        store.commit(Arc::new([])).await.err(),
        store.load(Table::Open, &[group]).await.err(),
        store.scan(Table::Session, None, 1).await.err(),
    ];
    for refused in refused {
        assert!(matches!(refused, Some(StoreError::Fatal(_))), "{case}: {refused:?}");
    }
}

/// A read that needs memory has redb write pages that wait for the next commit. redb passes over a
/// failure of that, and writes them again later.
#[tokio::test]
async fn a_write_that_failed_during_a_read_is_not_tried_again() {
    let disk = SimulatedDisk::holding(Vec::new(), 0);
    let store = larger_than_memory(&disk).await;
    disk.plan(Kind::Write, 1, Fault::Error(EIO));
    for number in 0..24 {
        let after = put(number, Vec::new()).key().clone();
        if store.scan(Table::Outbox, Some(after), 1).await.is_err() {
            break;
        }
    }
    assert!(disk.has_fired(), "nothing was written during the reads");
    let refused = store.commit(Arc::new([put(0, vec![3])])).await;
    assert!(matches!(refused, Err(StoreError::Fatal(_))), "{refused:?}");
    is_given_up(&store, "a write during a read").await;
    drop(store);
    assert_eq!(disk.operations_since(), 0);
}

/// Damage that a read finds is final too, though no operation failed: the file is left as it is.
#[tokio::test]
async fn a_file_that_is_found_damaged_is_left_as_it_is() {
    let disk = SimulatedDisk::holding(Vec::new(), 0);
    let store = larger_than_memory(&disk).await;
    disk.damage(1 << 20);
    let before = disk.counts();
    let mut found = Ok(Vec::new());
    for number in 0..24 {
        found = store.scan(Table::Outbox, Some(put(number, Vec::new()).key().clone()), 1).await;
        if found.is_err() {
            break;
        }
    }
    assert!(matches!(found, Err(StoreError::Fatal(_))), "{:?}", found.err());
    is_given_up(&store, "damage").await;
    drop(store);
    let now = disk.counts();
    let changes = |counts: Counts| (counts.writes, counts.set_lens, counts.syncs);
    assert_eq!(changes(now), changes(before), "a damaged file was written to");

    // After a crash everything is looked at before anything is used.
    let opened = EmbeddedStore::open_on(SimulatedDisk::holding(disk.after_a_restart(), 0));
    assert!(matches!(opened, Err(OpenError::Unusable { .. })), "{:?}", opened.err());
}

/// Rows that take more than the memory for pages. The last commit left something to write.
async fn larger_than_memory(disk: &SimulatedDisk) -> EmbeddedStore {
    let store = EmbeddedStore::open_on(disk.clone()).unwrap();
    for number in 0..24 {
        store.commit(Arc::new([put(number, vec![1; 3 << 20])])).await.unwrap();
    }
    store.commit(Arc::new([put(0, vec![2])])).await.unwrap();
    store
}

#[tokio::test]
async fn with_a_reserve_a_commit_that_finds_no_room_is_done_all_the_same() {
    find_no_room_anywhere(true).await;
}

#[tokio::test]
async fn without_a_reserve_a_commit_that_finds_no_room_is_refused_whole_and_can_be_tried_again() {
    find_no_room_anywhere(false).await;
}

async fn find_no_room_anywhere(with_reserve: bool) {
    let to_repair = left_by_a_crash().await;
    let cases = [
        (&Vec::new(), Kind::Write, ENOSPC),
        (&to_repair, Kind::Write, EDQUOT),
        (&Vec::new(), Kind::SetLen, ENOSPC),
        (&to_repair, Kind::SetLen, ENOSPC),
    ];
    for (image, kind, number) in cases {
        let rows = rows_in(image).await;
        let mut nth = 1;
        while find_no_room_at(image, &rows, kind, nth, number, with_reserve).await {
            nth += 1;
        }
        println!("{kind:?} fails with {number}, reserve {with_reserve}: each of {} tried", nth - 1);
        assert!(nth > 2, "{kind:?} never happens");
    }
}

/// Runs the short history; `false` if there is no such operation in it.
async fn find_no_room_at(
    image: &[u8],
    rows: &RowMap,
    kind: Kind,
    nth: u64,
    number: i32,
    with_reserve: bool,
) -> bool {
    let case = format!("{kind:?} {nth} fails with {number}, reserve: {with_reserve}");
    let disk = SimulatedDisk::holding(image.to_vec(), nth);
    let disk = disk.with_reserve(if with_reserve { 1 << 20 } else { 0 });
    // The one before left its reserve.
    assert!(sidenote::store::Disk::keep_reserve(&disk).unwrap());
    let mut known = Known::of(rows.clone());
    disk.plan(kind, nth, Fault::Error(number));
    let store = match EmbeddedStore::open_on(disk.clone()) {
        Err(OpenError::Full { .. }) if !with_reserve => EmbeddedStore::open_on(disk.clone()),
        opened => opened,
    };
    let store = store.unwrap_or_else(|error| panic!("{case}: {error}"));
    let fired_at_open = disk.has_fired();
    for changes in short_history() {
        match store.commit(changes.clone().into()).await {
            Ok(()) => {}
            Err(StoreError::Full(_)) if !with_reserve => {
                assert!(read_all(&store).await.unwrap() == known.rows, "{case}: half a commit");
                store.commit(changes.clone().into()).await.unwrap();
            }
            Err(error) => panic!("{case}: {error}"),
        }
        known.acknowledged(&changes);
    }
    let fired = disk.has_fired() && !fired_at_open;
    assert_eq!(store.is_short(), fired, "{case}");
    assert_eq!(disk.has_reserve(), with_reserve && !fired, "{case}");
    assert!(store.has_room().await && !store.is_short(), "{case}: the room is back");
    assert_eq!(disk.has_reserve(), with_reserve, "{case}");
    assert!(read_all(&store).await.unwrap() == known.rows, "{case}");
    let had_fired = disk.has_fired();
    drop(store);
    let found = rows_in(&disk.after_a_restart()).await;
    known.settle(&found).unwrap_or_else(|wrong| panic!("{case}, after a restart: {wrong}"));
    had_fired
}

/// The disk stays full: the reserve is used up, then commits are refused, each as a whole; when there is
/// room again, the reserve is put back first.
#[tokio::test]
async fn a_disk_that_stays_full_is_waited_out() {
    let reserve = 256 << 10;
    let disk = SimulatedDisk::holding(Vec::new(), 0);
    disk.limit(1 << 20, reserve);
    let store = EmbeddedStore::open_on(disk.clone()).unwrap();
    let mut known = Known::default();
    let (mut number, mut refused, mut while_short) = (0, 0, 0);
    while refused < 5 {
        number += 1;
        assert!(number < 1000, "a megabyte took {number} rows");
        let changes = [put(number, vec![7; 20_000])];
        match store.commit(Arc::new(changes.clone())).await {
            Ok(()) => {
                assert_eq!(disk.has_reserve(), !store.is_short());
                while_short += u64::from(store.is_short());
                known.acknowledged(&changes);
            }
            Err(StoreError::Full(_)) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(while_short > 1, "the reserve took {while_short} commits");
    assert!(store.is_short() && !store.has_room().await && store.is_short());
    known.settle(&read_all(&store).await.unwrap()).unwrap();

    disk.grow(1 << 20);
    assert!(store.has_room().await && !store.is_short() && disk.has_reserve());
    let changes = [put(number, vec![8; 20_000])];
    store.commit(Arc::new(changes.clone())).await.unwrap();
    known.acknowledged(&changes);
    drop(store);
    known.settle(&rows_in(&disk.after_a_restart()).await).unwrap();
}

#[tokio::test]
async fn reads_wait_for_a_file_that_finds_no_room_to_open() {
    let disk = SimulatedDisk::holding(left_by_a_crash().await, 0);
    let store = EmbeddedStore::open_on(disk.clone()).unwrap();
    let rows = read_all(&store).await.unwrap();
    // The commit finds no room, and neither do the first openings after it.
    disk.plan(Kind::Write, 1, Fault::Error(ENOSPC));
    for _ in 0..3 {
        disk.then(Kind::Write, 1, Fault::Error(ENOSPC));
    }
    let refused = store.commit(Arc::new([put(1, vec![1])])).await;
    assert!(matches!(refused, Err(StoreError::Full(_))), "{refused:?}");
    assert!(disk.has_more_planned());
    assert!(read_all(&store).await.unwrap() == rows);
    assert!(!disk.has_more_planned());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_go_on_while_commits_find_no_room() {
    let disk = SimulatedDisk::holding(Vec::new(), 0);
    let store = EmbeddedStore::open_on(disk.clone()).unwrap();
    store.commit(Arc::new([put(0, vec![0])])).await.unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let (store, done) = (store.clone(), done.clone());
        readers.spawn(async move {
            let (mut reads, mut last) = (0_u64, 0);
            while !done.load(Ordering::Acquire) {
                let group = Group("p".into(), "s".into());
                let rows = store.load(Table::Outbox, &[group]).await.unwrap().remove(0);
                let highest = rows.len() as u64 - 1;
                assert!(rows.iter().map(|row| row.0).eq(0..=highest), "half a state was read");
                assert!(highest >= last, "what was read is gone");
                (reads, last) = (reads + 1, highest);
            }
            reads
        });
    }
    let mut refused = 0;
    for number in 1..40 {
        disk.plan(Kind::Write, 1 + number % 5, Fault::Error(ENOSPC));
        while let Err(error) = store.commit(Arc::new([put(number, vec![1])])).await {
            assert!(matches!(error, StoreError::Full(_)), "{error}");
            refused += 1;
        }
    }
    done.store(true, Ordering::Release);
    while let Some(reads) = readers.join_next().await {
        assert!(reads.unwrap() > 0);
    }
    assert_eq!(refused, 39, "each commit was refused once");
}

fn put(number: u64, value: Vec<u8>) -> Change {
    let group = Group("p".into(), "s".into());
    Change::Put(Key { table: Table::Outbox, group, number }, value)
}

/// A file with rows in it that nobody closed.
async fn left_by_a_crash() -> Vec<u8> {
    let disk = SimulatedDisk::holding(Vec::new(), 0);
    let store = EmbeddedStore::open_on(disk.clone()).unwrap();
    for changes in short_history().into_iter().take(4) {
        store.commit(changes.into()).await.unwrap();
    }
    disk.after_a_restart()
}

async fn rows_in(image: &[u8]) -> RowMap {
    let store = EmbeddedStore::open_on(SimulatedDisk::holding(image.to_vec(), 0)).unwrap();
    read_all(&store).await.unwrap()
}
