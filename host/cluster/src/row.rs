//! Rows, as a partition keeps them, and what one transaction changes.

use std::fmt;
use std::sync::Arc;

use crate::ids::{Partition, Payload};

/// A row's place: its table, the two names of its group, and its number there.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey {
    /// Which table.
    pub table: Arc<str>,
    /// Which group of it.
    pub group: (Arc<str>, Arc<str>),
    /// Which row of the group.
    pub number: u64,
}

impl RowKey {
    /// The row `number` of a group.
    #[must_use]
    pub fn new(table: &str, first: &str, second: &str, number: u64) -> Self {
        Self { table: table.into(), group: (first.into(), second.into()), number }
    }
}

impl fmt::Debug for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RowKey({}, …, {})", self.table, self.number)
    }
}

/// A change of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It has this value now.
    Put(RowKey, Payload),
    /// It is gone.
    Delete(RowKey),
}

impl Change {
    /// Which row.
    #[must_use]
    pub const fn key(&self) -> &RowKey {
        match self {
            Self::Put(key, _) | Self::Delete(key) => key,
        }
    }
}

/// What is decided together: it is stored together or not at all.
#[derive(Debug, Default)]
pub struct Tx {
    pub(crate) changes: Vec<Change>,
    pub(crate) messages: Vec<(Partition, Payload)>,
}

impl Tx {
    /// A row has this value.
    pub fn put(&mut self, key: RowKey, value: Payload) {
        self.changes.push(Change::Put(key, value));
    }

    /// A row is gone.
    pub fn delete(&mut self, key: RowKey) {
        self.changes.push(Change::Delete(key));
    }

    /// The changes so far, in order; what is told isn't among them.
    #[must_use]
    pub fn into_changes(self) -> Vec<Change> {
        self.changes
    }

    /// Another partition, or this one, is told something once this is stored.
    pub fn tell(&mut self, partition: Partition, message: Payload) {
        self.messages.push((partition, message));
    }
}
