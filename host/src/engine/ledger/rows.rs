//! The rows of one session, read for whoever looks at it.

use serde::de::DeserializeOwned;

use crate::engine::core::rows::{read, session_group};
use crate::ids::SessionKey;
use crate::store::{Key, Rows, Store, StoreError, Table};

/// Where they are.
pub(super) struct SessionRows<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) key: &'a SessionKey,
}

impl SessionRows<'_> {
    /// The row of this number, which isn't 0.
    pub(super) async fn one<T: DeserializeOwned>(
        &self,
        table: Table,
        number: u64,
    ) -> Result<Option<T>, StoreError> {
        let rows = self.first(table, number.saturating_sub(1), 1).await?;
        let row = rows.into_iter().find(|(found, _)| *found == number);
        Ok(row.and_then(|(_, value)| read(table, number, &value)))
    }

    /// Up to so many rows behind this number.
    pub(super) async fn first(
        &self,
        table: Table,
        after: u64,
        most: usize,
    ) -> Result<Rows, StoreError> {
        let group = session_group(self.key);
        let after = Key { table, group: group.clone(), number: after };
        let rows = self.store.scan(table, Some(after), most).await?;
        let ours = rows.into_iter().filter(|(row, _)| row.group == group);
        Ok(ours.map(|(row, value)| (row.number, value)).collect())
    }

    /// All rows.
    pub(super) async fn all(&self, table: Table) -> Result<Rows, StoreError> {
        let rows = self.store.load(table, &[session_group(self.key)]).await?;
        Ok(rows.into_iter().next().unwrap_or_default())
    }
}
