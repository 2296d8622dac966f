//! Files that are written anew: nothing of what was removed is left in them, and nothing else changes.

use std::sync::Arc;

use sidenote::store::{Change, EmbeddedStore, Group, Journal, Key, Store, Table};
use sidenote_tests::files_with;

const MARKER: &str = "what-is-to-be-gone";

fn key(session: &str, number: u64) -> Key {
    Key { table: Table::Open, group: Group("p".into(), session.into()), number }
}

fn put(session: &str, number: u64, value: &str) -> Change {
    Change::Put(key(session, number), value.as_bytes().to_vec())
}

async fn commit(store: &EmbeddedStore, changes: impl IntoIterator<Item = Change>) {
    store.commit(changes.into_iter().collect::<Vec<_>>().into()).await.unwrap();
}

async fn all(store: &EmbeddedStore) -> Vec<(Key, Vec<u8>)> {
    let mut rows = Vec::new();
    for table in Table::ALL {
        rows.extend(store.scan(table, None, usize::MAX).await.unwrap());
    }
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_scrubbed_holds_its_rows_and_nothing_of_those_that_went() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = EmbeddedStore::open_with_reserve(&path, 1 << 20).unwrap();
    for n in 0..200 {
        let long = format!("{MARKER} {}", "x".repeat(n * 37));
        commit(&store, [put("stays", n as u64, "stays"), put(MARKER, n as u64, &long)]).await;
    }
    commit(&store, (0..200).map(|n| Change::Delete(key(MARKER, n)))).await;
    assert_eq!(files_with(folder.path(), MARKER).len(), 1, "free pages tell of what was there");
    let before = all(&store).await;

    // Others go on meanwhile; what they commit is there afterwards.
    let busy = store.clone();
    let others = async move {
        for n in 0..20 {
            commit(&busy, [put("meanwhile", n, "taken")]).await;
            assert!(all(&busy).await.len() > 200);
        }
    };
    let (scrubbed, ()) = tokio::join!(store.scrub(), others);
    scrubbed.unwrap();
    store.scrub().await.unwrap();
    assert_eq!(files_with(folder.path(), MARKER).len(), 0);
    let mut after = all(&store).await;
    after.retain(|(key, _)| *key.group.1 != *"meanwhile");
    assert!(after == before, "rows changed");
    assert!(!store.is_short() && store.has_room().await, "the reserve stands");

    commit(&store, [put("stays", 1000, "later")]).await;
    drop(store);
    let store = EmbeddedStore::open_with_reserve(&path, 1 << 20).unwrap();
    assert_eq!(all(&store).await.len(), 221);
    let names: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "the file and the reserve: {names:?}");
}

#[tokio::test]
async fn what_a_scrub_left_that_was_cut_off_is_removed_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    std::fs::write(folder.path().join("store.redb.rewrite"), MARKER).unwrap();
    std::fs::write(folder.path().join("journal.rewrite"), MARKER).unwrap();
    drop(EmbeddedStore::open(&path).unwrap());
    drop(Journal::open(&folder.path().join("journal"), 1 << 20).unwrap());
    assert_eq!(files_with(folder.path(), MARKER).len(), 0);
}

#[tokio::test]
async fn a_journal_that_is_scrubbed_holds_its_records_and_goes_on_counting() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let journal = Journal::open(&path, 1 << 20).unwrap();
    let id = journal.id().to_owned();
    let record = |text: &str| text.as_bytes().to_vec();
    journal.append(vec![record(MARKER), record("stays")]).await.unwrap();
    journal.remove_through(1).await.unwrap();
    assert_eq!(files_with(folder.path(), MARKER).len(), 1);
    journal.scrub().await.unwrap();
    assert_eq!(files_with(folder.path(), MARKER).len(), 0);
    journal.append(vec![record("later")]).await.unwrap();
    let expected = vec![(2, record("stays")), (3, record("later"))];
    assert_eq!(journal.peek(1 << 20).await.unwrap(), expected);
    journal.remove_through(3).await.unwrap();
    journal.scrub().await.unwrap();
    assert!(Journal::open(&path, 1 << 20).is_err(), "it is still this process's alone");
    drop(journal);
    let journal = Journal::open(&path, 1 << 20).unwrap();
    assert_eq!((journal.id(), journal.len()), (&*id, 0));
    journal.append(vec![record("last")]).await.unwrap();
    assert_eq!(journal.peek(1 << 20).await.unwrap(), vec![(4, record("last"))]);
}

/// A store on no real disk has nothing to write anew, and says so by doing nothing.
#[tokio::test]
async fn every_store_can_be_asked() {
    let store: Arc<dyn Store> = Arc::new(sidenote::store::MemoryStore::new());
    store.scrub().await.unwrap();
    assert_eq!(store.scan(Table::Open, None, 10).await.unwrap(), []);
}
