//! The open file.

use std::io;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use redb::{BackendError, Database, StorageBackend};

use super::disk::Disk;
use super::error::OpenError;
use super::latch::{Failed, Failure, Latch, Watched, is_full};
use super::{format, rows};
use crate::histogram::Histogram;
use crate::store::StoreError;

/// Memory for pages of the file, in bytes. The rows that are read are the latest ones, and few.
const CACHE: usize = 24 << 20;

/// A page of redb, in bytes; the first one holds its header.
const PAGE: usize = 4096;

/// The length of redb's mark at the start of a file, in bytes.
const MARK: usize = 9;

/// A file is at most so long, in bytes, before its mark is written.
const UNFINISHED: u64 = 2 << 20;

/// The open file, and what went wrong with it first.
pub(super) struct OpenFile {
    pub(super) database: Database,
    failed: Failed,
    bytes: Arc<AtomicU64>,
}

/// Why it didn't open. Words of the system, or of redb.
pub(super) enum Refused {
    /// Another process has it.
    InUse,
    /// There is no space.
    Full(String),
    /// The disk failed.
    Failing(String),
    /// It has a later format, this one.
    Newer(u64),
    /// It is damaged, or no store.
    Unusable(String),
}

impl OpenFile {
    /// Opens the file, repairs it after a crash, and makes the tables that aren't there.
    pub(super) fn open(disk: &dyn Disk, syncs: &Arc<Histogram>) -> Result<Self, Refused> {
        let file = disk.open_file().map_err(|error| {
            let full = is_full(&error);
            if full {
                Refused::Full(error.to_string())
            } else {
                Refused::Failing(error.to_string())
            }
        })?;
        Self::on(file, syncs)
    }

    /// As [`OpenFile::open`], with a file that is open already.
    pub(super) fn on(
        file: Box<dyn StorageBackend>,
        syncs: &Arc<Histogram>,
    ) -> Result<Self, Refused> {
        let bytes = Arc::<AtomicU64>::default();
        let watched = Watched { bytes: bytes.clone(), syncs: syncs.clone() };
        let (latch, failed) = Latch::new(file, watched);
        let refused = |cause: String| match failed.get() {
            Some(Failure::Full(cause)) => Refused::Full(cause.clone()),
            Some(Failure::Broken(cause)) => Refused::Failing(cause.clone()),
            None => Refused::Unusable(cause),
        };
        empty_if_unfinished(&latch).map_err(|error| refused(error.to_string()))?;
        let open = || Database::builder().set_cache_size(CACHE).create_with_backend(latch);
        let opened = caught(open).map_err(refused)?;
        let database = opened.map_err(|error| {
            let in_use = matches!(error, redb::DatabaseError::DatabaseAlreadyOpen);
            if in_use { Refused::InUse } else { refused(error.to_string()) }
        })?;
        let file = Self { database, failed: failed.clone(), bytes };
        let number = file.work(format::number).map_err(refused)?;
        if let Some(newer) = number.filter(|number| *number > format::FORMAT) {
            return Err(Refused::Newer(newer));
        }
        file.work(rows::make_tables).map_err(|cause| {
            let refused = refused(cause.clone());
            file.fail(&cause);
            refused
        })?;
        Ok(file)
    }

    /// Its length.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether anything went wrong with it.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.get().is_some()
    }

    /// Does the work. What redb says of a failure is judged by what the file said first; where the file
    /// said nothing, what it holds isn't what it should be, and it is touched no more.
    pub(super) fn run<T>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        self.work(work).map_err(|cause| match self.fail(&cause) {
            Failure::Full(cause) => StoreError::Full(cause.clone()),
            Failure::Broken(cause) => StoreError::Fatal(cause.clone()),
        })
    }

    fn work<T>(&self, work: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, String> {
        // What redb has in memory could still be read, but would be of no use to anybody.
        if self.has_failed() {
            return Err("the file has failed".to_owned());
        }
        caught(|| work(&self.database))?.map_err(|error| error.to_string())
    }

    /// Nothing reaches the file from here on, its closing included. The first failure stays the one that
    /// counts.
    fn fail(&self, cause: &str) -> &Failure {
        self.failed.get_or_init(|| Failure::Broken(cause.to_owned()))
    }
}

impl Refused {
    /// As the answer to who starts the host.
    pub(super) fn at_start(self, path: String) -> OpenError {
        match self {
            Self::InUse => OpenError::InUse(path),
            Self::Full(cause) => OpenError::Full { path, cause },
            Self::Failing(cause) => OpenError::Failing { path, cause },
            Self::Newer(format) => OpenError::Newer { path, format },
            Self::Unusable(cause) => OpenError::Unusable { path, cause },
        }
    }

    /// As the answer to a call while the host runs.
    pub(super) fn while_running(self) -> StoreError {
        match self {
            Self::InUse => StoreError::Fatal("another process has opened the file".to_owned()),
            Self::Full(cause) => StoreError::Full(cause),
            Self::Newer(format) => {
                StoreError::Fatal(format!("the file has the format {format} by now"))
            }
            Self::Failing(cause) | Self::Unusable(cause) => StoreError::Fatal(cause),
        }
    }
}

/// redb answers some damage with a panic. It must stop the store before another call gets in.
fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    let worked = catch_unwind(AssertUnwindSafe(work));
    worked.map_err(|_| "redb panicked: the file is damaged, or redb has a bug".to_owned())
}

/// Empties a file whose making was cut off, which redb would refuse. redb writes its mark once all else
/// of an empty store is on the disk, and rows only after that: a file without the mark and with nothing
/// behind the header never held a row. Anything else is left as it is.
fn empty_if_unfinished(file: &dyn StorageBackend) -> io::Result<()> {
    let whole = (Bound::Unbounded, Bound::Unbounded);
    // Another process may be making it just now. A disk without locks has one process.
    let locked = match file.try_lock_range(whole.0, whole.1) {
        Ok(true) => true,
        Ok(false) => return Ok(()),
        Err(BackendError::Unsupported) => false,
        Err(error) => return Err(io::Error::other(error.to_string())),
    };
    let done = is_unfinished(file).and_then(|unfinished| {
        if unfinished {
            tracing::warn!("store: the file's making was cut off before; it is made again");
            file.set_len(0)?;
            file.sync_data()?;
        }
        Ok(())
    });
    if locked {
        file.unlock_range(whole.0, whole.1).map_err(|error| io::Error::other(error.to_string()))?;
    }
    done
}

fn is_unfinished(file: &dyn StorageBackend) -> io::Result<bool> {
    let len = file.len()?;
    if len == 0 || len > UNFINISHED {
        return Ok(false);
    }
    let mut page = vec![0; PAGE];
    let mut offset = 0;
    while offset < len {
        let page = &mut page[..usize::try_from(len - offset).unwrap_or(PAGE).min(PAGE)];
        file.read(offset, page)?;
        let counts = if offset == 0 { &page[..page.len().min(MARK)] } else { page };
        if counts.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        offset += PAGE as u64;
    }
    Ok(true)
}
