//! What is committed to a store, and what must be found in it.

use std::collections::BTreeMap;

use rand::Rng;
use rand::rngs::StdRng;
use sidenote::store::{Change, EmbeddedStore, Group, Key, Store, StoreError, Table};

use crate::contract::apply;

pub(crate) type RowMap = BTreeMap<Key, Vec<u8>>;

/// What is known of a store: what was acknowledged, and what may have been stored besides.
#[derive(Default, Clone)]
pub(crate) struct Known {
    pub(crate) rows: RowMap,
    /// The rows with the commit that was under way when the store failed.
    doubtful: Option<RowMap>,
}

impl Known {
    pub(crate) fn of(rows: RowMap) -> Self {
        Self { rows, doubtful: None }
    }

    pub(crate) fn acknowledged(&mut self, changes: &[Change]) {
        apply(&mut self.rows, changes);
    }

    pub(crate) fn cut_off(&mut self, changes: &[Change]) {
        let mut with = self.rows.clone();
        apply(&mut with, changes);
        self.doubtful = Some(with);
    }

    /// Takes note of what a store that was opened again holds, or says what is wrong with it. What it
    /// once held, it must hold from then on.
    pub(crate) fn settle(&mut self, found: &RowMap) -> Result<(), String> {
        let doubtful = self.doubtful.take();
        if *found == self.rows {
            return Ok(());
        }
        match doubtful {
            Some(with) if *found == with => {
                self.rows = with;
                Ok(())
            }
            Some(with) => Err(format!(
                "neither what was acknowledged ({}), nor that and the whole of what was under way ({})",
                difference(&self.rows, found),
                difference(&with, found)
            )),
            None => Err(format!("not what was acknowledged: {}", difference(&self.rows, found))),
        }
    }
}

fn difference(wanted: &RowMap, found: &RowMap) -> String {
    let lost = wanted.keys().filter(|key| !found.contains_key(key)).count();
    let extra = found.keys().filter(|key| !wanted.contains_key(key)).count();
    let other =
        wanted.iter().filter(|(key, value)| found.get(key).is_some_and(|found| found != *value));
    format!("{lost} rows missing, {extra} too many, {} with another value", other.count())
}

/// Everything that a store holds.
pub(crate) async fn read_all(store: &EmbeddedStore) -> Result<RowMap, StoreError> {
    let mut rows = RowMap::new();
    for table in Table::ALL {
        rows.extend(store.scan(table, None, 1_000_000).await?);
    }
    Ok(rows)
}

/// A commit as the engine might make it, and now and then one as it never would: over several tables,
/// more often small than large, and now and then one that empties the store.
pub(crate) fn random_changes(rng: &mut StdRng, rows: &RowMap) -> Vec<Change> {
    if rng.random_bool(0.03) {
        return rows.keys().cloned().map(Change::Delete).collect();
    }
    let count =
        if rng.random_bool(0.1) { rng.random_range(20..80) } else { rng.random_range(1..8) };
    let mut changes = Vec::with_capacity(count);
    for _ in 0..count {
        let key = random_key(rng);
        if rng.random_bool(0.3) {
            changes.push(Change::Delete(key));
        } else {
            changes.push(Change::Put(key, random_value(rng)));
        }
    }
    changes
}

fn random_key(rng: &mut StdRng) -> Key {
    let table = Table::ALL[rng.random_range(0..Table::ALL.len())];
    let name = |rng: &mut StdRng| format!("{}", rng.random_range(0..3));
    let group = Group(name(rng).into(), name(rng).into());
    Key { table, group, number: rng.random_range(0..8) }
}

fn random_value(rng: &mut StdRng) -> Vec<u8> {
    let len = match rng.random_range(0..100) {
        0..80 => rng.random_range(0..300),
        80..97 => rng.random_range(300..9_000),
        97..99 => rng.random_range(9_000..60_000),
        _ => rng.random_range(60_000..600_000),
    };
    let first: u8 = rng.random();
    (0..len).map(|at| first.wrapping_add((at / 7) as u8)).collect()
}

/// A short history that has everything once: small and large rows, growth of the file, replaced rows,
/// deletes, and a store that is emptied, so that the file is cut shorter.
pub(crate) fn short_history() -> Vec<Vec<Change>> {
    let put = |table, number, len: usize| {
        let key = Key { table, group: Group("p".into(), "s".into()), number };
        Change::Put(key, vec![number as u8 + 1; len])
    };
    let all = |len| Table::ALL.iter().zip(0..).map(move |(table, number)| put(*table, number, len));
    let delete = |change: Change| Change::Delete(change.key().clone());
    vec![
        vec![put(Table::Open, 0, 10)],
        all(100).collect(),
        vec![put(Table::Outbox, 100, 1_500_000), put(Table::Open, 0, 20)],
        all(3_000).collect(),
        // More than fits beside the first: the file grows, one that had all before this too.
        vec![put(Table::SinkQueue, 100, 4_000_000)],
        vec![delete(put(Table::Outbox, 100, 0)), delete(put(Table::SinkQueue, 100, 0))],
        vec![put(Table::Dead, 7, 5_000)],
        all(0).map(delete).collect(),
        vec![put(Table::Session, 1, 50)],
        vec![put(Table::Session, 1, 60), put(Table::Sent, 9, 700)],
    ]
}
