//! The first failure of a file is its last operation.

use std::io;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use redb::{BackendError, StorageBackend};
use tokio::time::Instant;

use crate::histogram::Histogram;

/// What went wrong first.
#[derive(Debug, Clone)]
pub(super) enum Failure {
    /// There was no space to write. What is on the disk is whole, and the file can be opened again.
    Full(String),
    /// Anything else: what is on the disk isn't known, or can't be read.
    Broken(String),
}

/// The place where a failure stays; shared with who has to judge it.
pub(super) type Failed = Arc<OnceLock<Failure>>;

/// What is told of a file while it is used.
#[derive(Debug, Clone, Default)]
pub(super) struct Watched {
    /// Its length.
    pub(super) bytes: Arc<AtomicU64>,
    /// How long its syncs took that succeeded.
    pub(super) syncs: Arc<Histogram>,
}

/// A file that does nothing more once an operation has failed. redb stops at most failures itself, but
/// passes over a write that failed while a read made space in memory, and writes the page again later;
/// and it says only of the first operation that failed why it did.
#[derive(Debug)]
pub(super) struct Latch {
    file: Box<dyn StorageBackend>,
    failed: Failed,
    watched: Watched,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Read,
    Write,
    Sync,
}

impl Latch {
    pub(super) fn new(file: Box<dyn StorageBackend>, watched: Watched) -> (Self, Failed) {
        let failed = Failed::default();
        (Self { file, failed: failed.clone(), watched }, failed)
    }

    fn run<T>(&self, step: Step, operation: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        if self.failed.get().is_some() {
            return Err(io::Error::other("an operation on the file failed before"));
        }
        operation().inspect_err(|error| {
            self.failed.get_or_init(|| {
                // A sync that found no space has lost what it should have written: that can't be
                // waited out.
                if step == Step::Write && is_full(error) {
                    Failure::Full(error.to_string())
                } else {
                    Failure::Broken(error.to_string())
                }
            });
        })
    }
}

/// Whether an operation failed for want of space only.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

impl StorageBackend for Latch {
    fn len(&self) -> io::Result<u64> {
        let len = self.run(Step::Read, || self.file.len())?;
        self.watched.bytes.store(len, Ordering::Relaxed);
        Ok(len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.run(Step::Read, || self.file.read(offset, out))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.run(Step::Write, || self.file.set_len(len))?;
        self.watched.bytes.store(len, Ordering::Relaxed);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let began = Instant::now();
        self.run(Step::Sync, || self.file.sync_data())?;
        self.watched.syncs.observe(began.elapsed());
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.run(Step::Write, || self.file.write(offset, data))
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}
