//! What every store must keep to.

use std::collections::BTreeMap;
use std::sync::Arc;

use sidenote::store::{Change, EmbeddedStore, Group, Key, MemoryStore, Store, Table};

/// A page that no table here outgrows, in rows.
const EVERYTHING: usize = 100_000;

#[tokio::test]
async fn memory_keeps_the_contract() {
    contract(Arc::new(MemoryStore::new())).await;
}

#[tokio::test]
async fn embedded_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/store.redb");
    contract(Arc::new(EmbeddedStore::open(&path).unwrap())).await;
}

/// Asserts all that a store promises while it runs; durability is for its own tests. To be called with
/// every store that there is, each empty.
pub(crate) async fn contract(store: Arc<dyn Store>) {
    if let Err(error) = store.hold().await {
        panic!("a store that nobody else uses is ours: {error}");
    }
    let mut model = Model { store: store.clone(), rows: BTreeMap::new() };
    model.is_stored("a store begins empty").await;
    assert_eq!(loaded(&*store, Table::Open, ("p", "s")).await, [], "an unknown group has no rows");
    assert_eq!(store.load(Table::Open, &[]).await.unwrap(), Vec::<Vec<_>>::new());
    assert!(store.has_room().await && !store.is_short());

    rows_are_by_number_and_group(&mut model).await;
    a_later_change_wins(&mut model).await;
    no_name_is_special(&mut model).await;
    numbers_are_in_numeric_order(&mut model).await;
    tables_are_apart(&mut model).await;
    pages_are_the_whole(&mut model).await;
    large_values_are_whole(&mut model).await;
    many_groups_are_in_the_order_asked(&mut model).await;
    concurrent_commits_lose_nothing(&mut model).await;
    everything_can_be_deleted(&mut model).await;
}

async fn rows_are_by_number_and_group(model: &mut Model) {
    model
        .commit(vec![
            put(Table::Open, ("p", "s"), 10, "ten"),
            put(Table::Open, ("p", "s"), 9, "nine"),
            put(Table::Outbox, ("p", "s"), 9, "other table"),
            put(Table::Open, ("p", "s2"), 9, "other group"),
            put(Table::Open, ("ps", ""), 9, "the same letters, another group"),
        ])
        .await;
    let rows = loaded(&*model.store, Table::Open, ("p", "s")).await;
    assert_eq!(rows, [(9, b"nine".to_vec()), (10, b"ten".to_vec())], "of this group and table");
    let groups = [("p", "none"), ("p", "s2"), ("ps", ""), ("p", "s2")].map(group);
    let counts: Vec<_> =
        model.store.load(Table::Open, &groups).await.unwrap().iter().map(Vec::len).collect();
    assert_eq!(counts, [0, 1, 1, 1], "in the order asked, as often as asked");
    model.is_stored("rows of several groups").await;
}

async fn a_later_change_wins(model: &mut Model) {
    model
        .commit(vec![
            put(Table::Open, ("p", "s"), 9, "first"),
            put(Table::Open, ("p", "s"), 9, "last"),
            delete(Table::Open, ("p", "s"), 10),
            delete(Table::Open, ("p", "s"), 77),
            put(Table::Open, ("p", "s"), 11, "gone"),
            delete(Table::Open, ("p", "s"), 11),
            delete(Table::Open, ("p", "s"), 12),
            put(Table::Open, ("p", "s"), 12, "came back"),
        ])
        .await;
    let rows = loaded(&*model.store, Table::Open, ("p", "s")).await;
    assert_eq!(rows, [(9, b"last".to_vec()), (12, b"came back".to_vec())]);
    model.commit(vec![put(Table::Open, ("p", "s"), 9, "")]).await;
    model.is_stored("a value can be replaced by an empty one").await;
    model.commit(Vec::new()).await;
    model.is_stored("a commit of nothing changes nothing").await;
}

/// Pairs that would be one and the same if they were glued together, and names that mean something to
/// somebody else.
const NAMES: [(&str, &str); 22] = [
    ("a", "bc"),
    ("ab", "c"),
    ("abc", ""),
    ("", "abc"),
    ("", ""),
    ("a:b", "c"),
    ("a", "b:c"),
    ("a:", "b:c"),
    (":", ":"),
    ("{a}", "b"),
    ("{a", "}b"),
    ("{}", "{"),
    ("}", "{a}{b}"),
    ("a/b", "c"),
    ("a", "b/c"),
    ("*", "?[a-z]"),
    ("%s", "\\x00"),
    ("line\nbreak", "tab\tand \"quotes\" 'too'"),
    ("日本", "🙂"),
    ("日", "本🙂"),
    ("e\u{301}", "composed"),
    ("é", "composed"),
];

async fn no_name_is_special(model: &mut Model) {
    let rows = |table: Table| {
        NAMES.iter().map(move |name| {
            let value = format!("{table:?} of {name:?}");
            Change::Put(key(table, *name, 1), value.into_bytes())
        })
    };
    model.commit(rows(Table::Conversation).chain(rows(Table::Person)).collect()).await;
    let groups = NAMES.map(group);
    let loaded = model.store.load(Table::Person, &groups).await.unwrap();
    for (name, rows) in NAMES.iter().zip(loaded) {
        assert_eq!(rows, [(1, format!("Person of {name:?}").into_bytes())]);
    }
    let half = NAMES.iter().step_by(2).map(|name| delete(Table::Person, *name, 1)).collect();
    model.commit(half).await;
    model.is_stored("each name is a group of its own").await;
}

/// Beyond 2^53 and 2^63 too, where doubles and signed numbers end.
const NUMBERS: [u64; 11] =
    [u64::MAX, 1 << 63, (1 << 63) - 1, (1 << 53) + 1, 1 << 53, (1 << 53) - 1, 10, 9, 100, 2, 0];

async fn numbers_are_in_numeric_order(model: &mut Model) {
    let name = ("numbers", "s");
    model.commit(NUMBERS.iter().map(|number| put(Table::Dead, name, *number, "")).collect()).await;
    let mut sorted = NUMBERS;
    sorted.sort_unstable();
    let found: Vec<_> =
        loaded(&*model.store, Table::Dead, name).await.into_iter().map(|row| row.0).collect();
    assert_eq!(found, sorted);
    model.commit(vec![delete(Table::Dead, name, 1 << 53)]).await;
    model.is_stored("a neighbour of a large number stays").await;
}

async fn tables_are_apart(model: &mut Model) {
    let name = ("every", "table");
    let all = |value: &'static str| {
        Table::ALL.into_iter().map(move |table| put(table, name, 5, &format!("{value} {table:?}")))
    };
    model.commit(all("first").collect()).await;
    model.is_stored("a row in each table").await;
    let mixed = all("second").enumerate().map(|(at, change)| {
        if at % 2 == 0 { change } else { Change::Delete(change.key().clone()) }
    });
    model.commit(mixed.collect()).await;
    model.is_stored("one commit changes all tables").await;
}

async fn pages_are_the_whole(model: &mut Model) {
    let table = Table::Sent;
    let mut changes = Vec::new();
    for (at, name) in NAMES.iter().enumerate() {
        for number in 0..=(at as u64 % 7) {
            changes.push(put(table, *name, number * 3, "row"));
        }
    }
    model.commit(changes).await;
    model.is_stored("groups of several rows").await;
    let store = &*model.store;
    let all = store.scan(table, None, EVERYTHING).await.unwrap();
    for limit in [1, 2, 3, 5, 7, all.len() - 1, all.len(), all.len() + 1] {
        let mut paged = Vec::new();
        while let page = store.scan(table, paged.last().cloned(), limit).await.unwrap()
            && !page.is_empty()
        {
            assert!(page.len() <= limit);
            paged.extend(page.into_iter().map(|row| row.0));
        }
        assert!(paged.iter().eq(all.iter().map(|row| &row.0)), "pages of {limit} are the whole");
    }
    // From behind each row, in the middle of a group as well, and from where there is no row.
    for (at, (key, _)) in all.iter().enumerate() {
        let next = store.scan(table, Some(key.clone()), 2).await.unwrap();
        assert_eq!(next, all[at + 1..].iter().take(2).cloned().collect::<Vec<_>>());
        let between = Key { number: key.number + 1, ..key.clone() };
        assert_eq!(store.scan(table, Some(between), 2).await.unwrap(), next);
    }
    assert!(store.scan(table, None, 0).await.unwrap().is_empty());
    let last = Key { table, group: group(("\u{10ffff}", "\u{10ffff}")), number: u64::MAX };
    assert!(store.scan(table, Some(last), 10).await.unwrap().is_empty());
}

async fn large_values_are_whole(model: &mut Model) {
    let bytes =
        |seed: u8, len: usize| -> Vec<u8> { (0..len).map(|at| (at % 251) as u8 ^ seed).collect() };
    let name = ("large", "values");
    let large = |number, value| Change::Put(key(Table::Outbox, name, number), value);
    model.commit(vec![large(1, bytes(1, 4 << 20)), large(2, bytes(2, 1))]).await;
    model.commit(vec![large(2, bytes(3, 4 << 20)), large(3, (0..=255).collect())]).await;
    model.is_stored("values of 4 MiB").await;
    model.commit(vec![large(1, bytes(4, 10)), delete(Table::Outbox, name, 2)]).await;
    model.is_stored("large values can go").await;
}

async fn many_groups_are_in_the_order_asked(model: &mut Model) {
    let names: Vec<_> =
        (0..500).map(|at| (format!("product {}", at % 7), at.to_string())).collect();
    let names = || names.iter().map(|(first, second)| (first.as_str(), second.as_str()));
    model.commit(names().map(|name| put(Table::Session, name, 0, name.1)).collect()).await;
    let groups: Vec<_> = names().rev().map(group).collect();
    let loaded = model.store.load(Table::Session, &groups).await.unwrap();
    let values: Vec<_> = loaded.into_iter().flatten().map(|row| row.1).collect();
    assert!(values.iter().map(Vec::as_slice).eq(names().rev().map(|name| name.1.as_bytes())));
    model.is_stored("many groups").await;
}

async fn concurrent_commits_lose_nothing(model: &mut Model) {
    let name = ("busy", "group");
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..8_u64 {
        let store = model.store.clone();
        tasks.spawn(async move {
            for round in 0..5 {
                let number = writer * 100 + round;
                let changes = [
                    put(Table::Attempt, name, number, "own"),
                    put(Table::Attempt, name, 1000, "shared"),
                ];
                store.commit(Arc::new(changes)).await.unwrap();
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    for number in (0..8).flat_map(|writer| (0..5).map(move |round| writer * 100 + round)) {
        model.rows.insert(key(Table::Attempt, name, number), b"own".to_vec());
    }
    model.rows.insert(key(Table::Attempt, name, 1000), b"shared".to_vec());
    model.is_stored("commits at once to rows of one group").await;
}

async fn everything_can_be_deleted(model: &mut Model) {
    model.commit(model.rows.keys().cloned().map(Change::Delete).collect()).await;
    assert!(model.rows.is_empty());
    model.is_stored("nothing is left").await;
}

/// What the store must hold.
struct Model {
    store: Arc<dyn Store>,
    rows: BTreeMap<Key, Vec<u8>>,
}

impl Model {
    async fn commit(&mut self, changes: Vec<Change>) {
        apply(&mut self.rows, &changes);
        self.store.commit(changes.into()).await.unwrap();
    }

    /// Reads everything, both ways.
    async fn is_stored(&self, what: &str) {
        let mut groups: BTreeMap<(Table, Group), Vec<_>> = BTreeMap::new();
        for (Key { table, group, number }, value) in &self.rows {
            groups.entry((*table, group.clone())).or_default().push((*number, value.clone()));
        }
        for table in Table::ALL {
            let scanned = self.store.scan(table, None, EVERYTHING).await.unwrap();
            let wanted = self.rows.iter().filter(|(key, _)| key.table == table);
            let differ = scanned.iter().map(|(key, value)| (key, value)).ne(wanted.clone());
            if differ {
                let keys: Vec<_> = scanned.iter().map(|row| &row.0).collect();
                let wanted: Vec<_> = wanted.map(|row| row.0).collect();
                panic!("{what}: {table:?} has {keys:?} (or other values), not {wanted:?}");
            }
            let of_table = || groups.iter().filter(|((of, _), _)| *of == table);
            let names: Vec<_> = of_table().map(|((_, group), _)| group.clone()).collect();
            let loaded = self.store.load(table, &names).await.unwrap();
            assert!(
                loaded.iter().eq(of_table().map(|(_, rows)| rows)),
                "{what}: {table:?} by group"
            );
        }
    }
}

/// What a commit of `changes` makes of `rows`.
pub(crate) fn apply(rows: &mut BTreeMap<Key, Vec<u8>>, changes: &[Change]) {
    for change in changes.iter().cloned() {
        match change {
            Change::Put(key, value) => drop(rows.insert(key, value)),
            Change::Delete(key) => drop(rows.remove(&key)),
        }
    }
}

fn group(name: (&str, &str)) -> Group {
    Group(name.0.into(), name.1.into())
}

fn key(table: Table, name: (&str, &str), number: u64) -> Key {
    Key { table, group: group(name), number }
}

fn put(table: Table, name: (&str, &str), number: u64, value: &str) -> Change {
    Change::Put(key(table, name, number), value.as_bytes().to_vec())
}

fn delete(table: Table, name: (&str, &str), number: u64) -> Change {
    Change::Delete(key(table, name, number))
}

async fn loaded(store: &dyn Store, table: Table, name: (&str, &str)) -> Vec<(u64, Vec<u8>)> {
    store.load(table, &[group(name)]).await.unwrap().remove(0)
}
