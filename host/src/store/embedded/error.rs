//! Why the file can't be used.

use super::format::FORMAT;
use crate::see::See;

/// The file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file, or its folder, can't be made.
    #[error("store: `{path}` can't be made: {cause}. Choose another `store.path`")]
    Folder {
        /// The file.
        path: String,
        /// The system's words.
        cause: std::io::Error,
    },
    /// Another process has it open.
    #[error(
        "store: `{0}` is open in another process. Stop that one, or choose another `store.path` {see}",
        see = See::StoreInUse
    )]
    InUse(String),
    /// There is no space to open it in, though the reserve was freed.
    #[error(
        "store: `{path}` can't be opened: the disk is full: {cause}. Free space and start again {see}",
        see = See::DiskFull
    )]
    Full {
        /// The file.
        path: String,
        /// The system's words.
        cause: String,
    },
    /// The disk failed. What was acknowledged may be there all the same.
    #[error(
        "store: `{path}` can't be opened: {cause}. Check the disk, and keep the file: it was left as it is"
    )]
    Failing {
        /// The file.
        path: String,
        /// The system's words.
        cause: String,
    },
    /// A later build wrote it.
    #[error(
        "store: `{path}` has the format {format}, and this build reads those up to {FORMAT}. It was left as it is: run the build that wrote it, or put a copy from before the upgrade in its place"
    )]
    Newer {
        /// The file.
        path: String,
        /// Its format.
        format: u64,
    },
    /// It wasn't closed in order, which only matters to whoever just wants to look.
    #[error("store: `{0}` wasn't closed in order; the next start repairs it, and loses nothing")]
    Unrepaired(String),
    /// It isn't a store, or it is damaged.
    #[error(
        "store: `{path}` can't be opened: {cause}. Move it away, or choose another `store.path`"
    )]
    Unusable {
        /// The file.
        path: String,
        /// redb's words.
        cause: String,
    },
}
