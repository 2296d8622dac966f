//! Rows, and one transaction per commit. The store doesn't know what a row means.
//!
//! A row has a [`Table`], a [`Group`] (two names, such as product and session) and a number in its
//! group. Reads see what was committed; a commit is all or nothing and, in a durable store, survives a
//! power loss once it has answered.

mod embedded;
mod journal;
mod memory;
mod redis;

pub use self::redis::{
    AllPartitions, AnswerPlace, Bells, Beside, OpenError as RedisOpenError, Owner, PartitionStore,
    RedisStore, SharedServer, Warning as RedisWarning,
};
pub use embedded::{Disk, EmbeddedStore, FORMAT, FileReport, OpenError, inspect};
pub use journal::{Journal, JournalError};
pub use memory::MemoryStore;

use std::sync::Arc;

pub use sidenote_core::rows::{Change, Group, Key, Rows, Table};

use crate::histogram::Distribution;
use crate::ids::SessionId;
use crate::see::See;

/// Why the store didn't do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no space. Nothing of the commit was stored; it can be tried again.
    #[error("store: there is no space: {0}. Free some; the host goes on by itself {see}", see = See::DiskFull)]
    Full(String),
    /// The store can't be reached. A commit may have been stored all the same: the same changes must be
    /// tried again before any others.
    #[error("store: it can't be reached: {0}. The host goes on by itself when it is back {see}", see = See::RedisAway)]
    Away(String),
    /// The store lets the host do less than it needs, and will until a person sees to it: this doesn't pass by
    /// waiting. A commit can be tried again with the same changes, before any others.
    #[error(
        "store: it refuses what the host needs: {0}. Nothing is accepted meanwhile; the host goes on by itself when it is let {see}",
        see = See::RedisRefused
    )]
    Refused(String),
    /// Somebody else has the rows now, or the server has others. Nothing is stored through this store any more: its
    /// engine ends, and with it whatever else it works for.
    #[error(
        "store: {0}. This host has ended its work with these rows; start it again to have it go on from what is stored"
    )]
    Lost(Lost),
    /// It can't be said whether the last commit was stored. The process must end and start again.
    #[error("store: {0}. The process must be restarted; check the disk")]
    Fatal(String),
}

/// Why a host must not write any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// Another host, or another start of this one, has the lease.
    #[error(
        "another host has taken over (epoch {stored}, this one's is {own}); nothing more is stored by this one"
    )]
    TakenOver {
        /// In which epoch this one wrote.
        own: u64,
        /// In which epoch the other one has it.
        stored: u64,
    },
    /// The server has less than it acknowledged.
    #[error(
        "the Redis server came back without commits that it had acknowledged; what it has is what counts"
    )]
    ByServer,
}

/// Why there is no copy of the store. It goes on as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackupError {
    /// The rows aren't in a file of this host's.
    #[error(
        "store: its rows aren't in a file of this host's: `memory` keeps nothing, and a Redis server is copied by its own means"
    )]
    NoFile,
    /// There is no space for the copy beside the file.
    #[error("store: there is no space for a copy: {0}")]
    Full(String),
    /// The file was closed or exchanged meanwhile, or can't be read.
    #[error("store: the copy failed: {0}")]
    Failed(String),
}

/// What can be told of a store's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFacts {
    /// Its length; `None` while it isn't open.
    pub bytes: Option<u64>,
    /// How long it took until what was written was on the disk.
    pub syncs: Distribution,
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

    /// Waits until this process alone may write; called once, before anything is read. A store that
    /// only one process can open has nothing to wait for.
    ///
    /// # Errors
    /// The store can't be used.
    async fn hold(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Gives back what [`Store::hold`] waited for, so that another process needn't wait for this one to be
    /// believed dead. Called once, at the end of an orderly shutdown; no commit comes after it.
    async fn release(&self) {}

    /// Whether there is space again after [`StoreError::Full`], the reserve for what is under way
    /// included. Commits may succeed before: what is under way is recorded from the reserve.
    async fn has_room(&self) -> bool {
        true
    }

    /// Whether the disk was found full and [`Store::has_room`] hasn't answered `true` since. Commits may
    /// succeed meanwhile, from the reserve. Cheap: to be asked after every commit.
    fn is_short(&self) -> bool {
        false
    }

    /// Sees to it that nothing of rows that were removed is left in the store's files. Takes time; commits
    /// wait meanwhile, reads don't. A store whose removed rows are gone at once has nothing to do.
    ///
    /// # Errors
    /// [`StoreError::Full`]: there is no space for it; nothing changed, and it can be tried again.
    async fn scrub(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// What can be told of the store's file, where it has one of its own on this machine. Must not wait for the disk.
    fn file(&self) -> Option<FileFacts> {
        None
    }

    /// Copies everything that is committed by now, at one moment, into a file without a name that is a store by itself.
    /// Commits don't wait for it. One copy at a time is made.
    ///
    /// # Errors
    /// There is no copy, and the store goes on as it was.
    async fn backup(&self) -> Result<std::fs::File, BackupError> {
        Err(BackupError::NoFile)
    }

    /// Sessions in the form in which autoplay-sdk shares them, where this store does.
    fn snapshots(&self) -> Option<Arc<dyn Snapshots>> {
        None
    }
}

/// Sessions as autoplay-sdk keeps them, under a key of their own beside the rows. Values are
/// opaque here.
#[async_trait::async_trait]
pub trait Snapshots: Send + Sync + 'static {
    /// The stored values, in the order asked.
    ///
    /// # Errors
    /// [`StoreError::Away`]: nothing is known of them, and nothing may be written on that account.
    async fn read(&self, sessions: &[SessionId]) -> Result<Vec<Option<Vec<u8>>>, StoreError>;

    /// Stores `new` where the stored value still is `expected` (`None`: there is none), and has it live
    /// for as long as sessions do from here on. `false`: somebody else changed it; nothing was stored.
    ///
    /// # Errors
    /// [`StoreError::Away`].
    async fn swap(
        &self,
        session: &SessionId,
        expected: Option<&[u8]>,
        new: &[u8],
    ) -> Result<bool, StoreError>;

    /// Removes the value where it still is `expected`. `false`: somebody else changed it, or there is
    /// none; nothing was removed.
    ///
    /// # Errors
    /// [`StoreError::Away`].
    async fn remove(&self, session: &SessionId, expected: &[u8]) -> Result<bool, StoreError>;
}
