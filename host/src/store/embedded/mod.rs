//! Rows in one file (redb): durable with no server.
//!
//! **A commit** is one transaction in two phases: the rows are written and synced, then the header that
//! makes them the current ones is written and synced. With one phase, what a power loss left behind
//! would have to be told apart by a checksum that isn't made against people, in a file that is full of
//! what people typed; with two, the header never names what isn't on the disk. That costs a second sync
//! for each commit. The engine puts all that happened in a few milliseconds into one commit, so
//! throughput is batch size.
//!
//! **A full disk** can be waited out. The space that a *reserve* holds beside the file is freed at the
//! first commit that finds none, so that what is under way can still be recorded; the store is *short*
//! from then until the reserve stands again.
//!
//! **Any other failure** of the disk, a failed sync above all, is final: the system may have forgotten
//! what it couldn't write, and would answer the next sync with a lie. Nothing is tried again, nothing
//! reaches the file any more, and every call answers [`StoreError::Fatal`](super::StoreError::Fatal)
//! until a process that starts anew has read what the disk really holds.

mod disk;
mod error;
mod file;
mod folder;
mod format;
mod inspect;
mod latch;
mod reserve;
mod rows;
mod store;
#[cfg(test)]
mod tests;

pub use disk::Disk;
pub use error::OpenError;
pub(super) use folder::{folder_of, sync_folder};
pub use format::FORMAT;
pub use inspect::{FileReport, inspect};
pub use store::EmbeddedStore;
