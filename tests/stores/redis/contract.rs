//! What every store keeps: the suite of `sidenote`'s own tests, run against a server.

use std::sync::Arc;

use sidenote::store::{Change, Group, Store, Table};

use super::{key, put};

async fn load(store: &dyn Store, table: Table, group: (&str, &str)) -> Vec<(u64, String)> {
    let group = Group(group.0.into(), group.1.into());
    let rows = store.load(table, &[group]).await.unwrap().remove(0);
    rows.into_iter().map(|(number, value)| (number, String::from_utf8(value).unwrap())).collect()
}
pub(super) async fn contract(store: Arc<dyn Store>) {
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
