//! Rows, and one transaction per commit. The store doesn't know what a row means.
//!
//! A row has a [`Table`], a [`Group`] (two names, such as product and session) and a number in its
//! group. Reads see what was committed; a commit is all or nothing and, in a durable store, survives a
//! power loss once it has answered.

mod embedded;
mod memory;
#[cfg(test)]
mod tests;

pub use embedded::{EmbeddedStore, OpenError};
pub use memory::MemoryStore;

use std::sync::Arc;

/// What a row belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    /// One row per session: who, linked where.
    Session,
    /// Entries of open batches, by session.
    Open,
    /// Sealed notes, by session; a row never changes.
    Outbox,
    /// How far the attempts at a note of `Outbox` are, under the same group and number.
    Attempt,
    /// Dead letters, by session.
    Dead,
    /// The sessions of a conversation, a row each. Grouped by plugin and conversation.
    Conversation,
    /// The sessions of a person, a row each. Grouped by product and user id or e-mail address.
    Person,
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 7] = [
        Self::Session,
        Self::Open,
        Self::Outbox,
        Self::Attempt,
        Self::Dead,
        Self::Conversation,
        Self::Person,
    ];
}

/// What rows are grouped by: a pair of names that is never glued into one string.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Group(pub Arc<str>, pub Arc<str>);

/// The place of a row.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Its table.
    pub table: Table,
    /// Its group.
    pub group: Group,
    /// Its number in the group.
    pub number: u64,
}

/// A change of one row.
#[derive(Clone, PartialEq, Eq)]
pub enum Change {
    /// Insert or replace.
    Put(Key, Vec<u8>),
    /// Remove; a row that isn't there is fine.
    Delete(Key),
}

impl Change {
    /// The row that is changed.
    pub fn key(&self) -> &Key {
        match self {
            Self::Put(key, _) | Self::Delete(key) => key,
        }
    }
}

impl std::fmt::Debug for Change {
    /// The value is left out: it is customers' data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Put(key, value) => write!(f, "Put({key:?}, {} bytes)", value.len()),
            Self::Delete(key) => write!(f, "Delete({key:?})"),
        }
    }
}

/// The rows of one group in one table, ascending: number and value.
pub type Rows = Vec<(u64, Vec<u8>)>;

/// Why the store didn't do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no room. Nothing of the commit was stored; it can be tried again.
    #[error("store: the disk is full: {0}. Free space; the host goes on by itself")]
    Full(String),
    /// It can't be said whether the last commit was stored. The process must end and start again.
    #[error("store: {0}. The process must be restarted; check the disk")]
    Fatal(String),
}

/// Where rows are kept.
#[async_trait::async_trait]
pub trait Store: Send + Sync + 'static {
    /// The rows of each group in `table`, in the order of `groups`.
    async fn load(&self, table: Table, groups: &[Group]) -> Result<Vec<Rows>, StoreError>;

    /// Up to `limit` rows of `table` in the order of their keys, from behind `after`.
    async fn scan(
        &self,
        table: Table,
        after: Option<Key>,
        limit: usize,
    ) -> Result<Vec<(Key, Vec<u8>)>, StoreError>;

    /// Stores all changes, or none. A later change of the same row wins.
    async fn commit(&self, changes: Arc<[Change]>) -> Result<(), StoreError>;
}
