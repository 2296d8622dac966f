//! One contract, run against every store.

use std::sync::Arc;

use super::{Change, EmbeddedStore, Group, Key, MemoryStore, OpenError, Store, Table};

fn key(table: Table, group: (&str, &str), number: u64) -> Key {
    Key { table, group: Group(group.0.into(), group.1.into()), number }
}

fn put(table: Table, group: (&str, &str), number: u64, value: &str) -> Change {
    Change::Put(key(table, group, number), value.as_bytes().to_vec())
}

async fn load(store: &dyn Store, table: Table, group: (&str, &str)) -> Vec<(u64, String)> {
    let group = Group(group.0.into(), group.1.into());
    let rows = store.load(table, &[group]).await.unwrap().remove(0);
    rows.into_iter().map(|(number, value)| (number, String::from_utf8(value).unwrap())).collect()
}

async fn contract(store: Arc<dyn Store>) {
    let store = &*store;
    assert!(load(store, Table::Open, ("p", "s")).await.is_empty(), "an unknown group has no rows");

    store
        .commit(Arc::new([
            put(Table::Open, ("p", "s"), 10, "ten"),
            put(Table::Open, ("p", "s"), 9, "nine"),
            put(Table::Outbox, ("p", "s"), 9, "other table"),
            put(Table::Open, ("p", "s2"), 9, "other group"),
            put(Table::Open, ("ps", ""), 9, "the same letters, another group"),
        ]))
        .await
        .unwrap();
    let rows = load(store, Table::Open, ("p", "s")).await;
    assert_eq!(
        rows,
        [(9, "nine".into()), (10, "ten".into())],
        "by number, of this group and table"
    );

    let groups = [("p", "none"), ("p", "s2"), ("ps", "")].map(|(a, b)| Group(a.into(), b.into()));
    let loaded = store.load(Table::Open, &groups).await.unwrap();
    let counts: Vec<_> = loaded.iter().map(Vec::len).collect();
    assert_eq!(counts, [0, 1, 1], "in the order asked");

    store
        .commit(Arc::new([
            put(Table::Open, ("p", "s"), 9, "first"),
            put(Table::Open, ("p", "s"), 9, "last"),
            Change::Delete(key(Table::Open, ("p", "s"), 10)),
            Change::Delete(key(Table::Open, ("p", "s"), 77)),
            put(Table::Open, ("p", "s"), 11, "gone"),
            Change::Delete(key(Table::Open, ("p", "s"), 11)),
        ]))
        .await
        .unwrap();
    assert_eq!(
        load(store, Table::Open, ("p", "s")).await,
        [(9, "last".into())],
        "a later change wins"
    );

    let all = store.scan(Table::Open, None, 100).await.unwrap();
    let mut paged = Vec::new();
    let mut after = None;
    loop {
        let page = store.scan(Table::Open, after.clone(), 1).await.unwrap();
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        paged.extend(page);
    }
    assert_eq!(paged, all, "pages of one are the whole");
    assert_eq!(all.len(), 3);
    assert!(all.iter().all(|(key, _)| key.table == Table::Open));
    assert!(all.is_sorted_by_key(|(key, _)| key.clone()));

    store.commit(Arc::new([put(Table::Session, ("日本", "🙂"), u64::MAX, "")])).await.unwrap();
    assert_eq!(load(store, Table::Session, ("日本", "🙂")).await, [(u64::MAX, String::new())]);
    store.commit(Arc::new([])).await.unwrap();
}

#[tokio::test]
async fn memory_keeps_the_contract() {
    contract(Arc::new(MemoryStore::new())).await;
}

#[tokio::test]
async fn embedded_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    contract(Arc::new(EmbeddedStore::open(&folder.path().join("new/store.redb")).unwrap())).await;
}

#[tokio::test]
async fn embedded_has_everything_after_a_reopen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = EmbeddedStore::open(&path).unwrap();
    store.commit(Arc::new([put(Table::Dead, ("p", "s"), 1, "kept")])).await.unwrap();
    drop(store);
    let store = EmbeddedStore::open(&path).unwrap();
    assert_eq!(load(&store, Table::Dead, ("p", "s")).await, [(1, "kept".into())]);
}

#[test]
fn embedded_is_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = EmbeddedStore::open(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    drop(store);
}

#[test]
fn embedded_says_who_has_it_open_and_what_is_no_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = EmbeddedStore::open(&path).unwrap();
    assert!(matches!(EmbeddedStore::open(&path), Err(OpenError::InUse(_))));
    drop(store);
    let other = folder.path().join("text.redb");
    std::fs::write(&other, "not a store").unwrap();
    assert!(matches!(EmbeddedStore::open(&other), Err(OpenError::Unusable { .. })));
}

#[tokio::test]
async fn embedded_takes_a_full_disk_back_into_use_when_space_returns() {
    let folder = tempfile::tempdir().unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"])
        .arg(folder.path())
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        println!("left out: a small file system can't be mounted here, it needs root");
        return;
    }
    let ballast = folder.path().join("ballast");
    let path = folder.path().join("store.redb");
    let store = EmbeddedStore::open(&path).unwrap();
    store.commit(Arc::new([put(Table::Open, ("p", "s"), 1, "before")])).await.unwrap();
    // Fill what is left, then ask for more.
    let mut size = 4 << 20;
    while size > 4096 && std::fs::write(&ballast, vec![0; size]).is_err() {
        size -= 64 << 10;
    }
    let large = "x".repeat(3 << 20);
    let change: Arc<[Change]> = Arc::new([put(Table::Open, ("p", "s"), 2, &large)]);
    for _ in 0..3 {
        let refused = store.commit(change.clone()).await;
        assert!(matches!(refused, Err(super::StoreError::Full(_))), "{refused:?}");
    }
    std::fs::remove_file(&ballast).unwrap();
    let small: Arc<[Change]> = Arc::new([put(Table::Open, ("p", "s"), 3, "after")]);
    store.commit(small).await.unwrap();
    let numbers: Vec<_> =
        load(&store, Table::Open, ("p", "s")).await.into_iter().map(|row| row.0).collect();
    assert_eq!(numbers, [1, 3], "what was committed is there, what was refused is not");
    drop(store);
    let unmounted = std::process::Command::new("umount").arg("-l").arg(folder.path()).status();
    assert!(unmounted.unwrap().success());
}
