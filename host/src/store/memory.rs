//! Rows in memory: lost when the process ends. For tests and trials.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Change, Group, Key, Rows, Store, StoreError, Table};

/// A store without durability.
#[derive(Default)]
pub struct MemoryStore {
    rows: Mutex<BTreeMap<Key, Vec<u8>>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn rows(&self) -> MutexGuard<'_, BTreeMap<Key, Vec<u8>>> {
        // No method panics half way through a change, so the rows behind a poisoned lock are whole.
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait::async_trait]
impl Store for MemoryStore {
    async fn load(&self, table: Table, groups: &[Group]) -> Result<Vec<Rows>, StoreError> {
        let rows = self.rows();
        let of_group = |group: &Group| {
            let first = Key { table, group: group.clone(), number: 0 };
            let last = Key { table, group: group.clone(), number: u64::MAX };
            rows.range(first..=last).map(|(key, value)| (key.number, value.clone())).collect()
        };
        Ok(groups.iter().map(of_group).collect())
    }

    async fn scan(
        &self,
        table: Table,
        after: Option<Key>,
        limit: usize,
    ) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
        let rows = self.rows();
        let first = Key { table, group: Group("".into(), "".into()), number: 0 };
        let from = after.map_or(Bound::Included(first), Bound::Excluded);
        let of_table =
            rows.range((from, Bound::Unbounded)).take_while(|(key, _)| key.table == table);
        Ok(of_table.take(limit).map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    async fn commit(&self, changes: Arc<[Change]>) -> Result<(), StoreError> {
        let mut rows = self.rows();
        for change in changes.iter().cloned() {
            match change {
                Change::Put(key, value) => drop(rows.insert(key, value)),
                Change::Delete(key) => drop(rows.remove(&key)),
            }
        }
        Ok(())
    }
}
