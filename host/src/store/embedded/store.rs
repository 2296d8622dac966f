//! The store: one open file, opened again after a full disk, left closed after any other failure.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use redb::backends::FileBackend;
use redb::{Database, ReadableDatabase};

use super::disk::{Disk, LocalDisk};
use super::error::OpenError;
use super::file::{OpenFile, Refused};
use super::rows;
use crate::histogram::Histogram;
use crate::store::{BackupError, Change, FileFacts, Group, Key, Rows, Store, StoreError, Table};

/// Pause before a read tries again to open the file; doubled each time up to `REOPEN_PAUSE_MAX`.
const REOPEN_PAUSE: Duration = Duration::from_millis(10);

/// The longest such pause.
const REOPEN_PAUSE_MAX: Duration = Duration::from_secs(1);

/// Space that must be free beside what the rows take before the file is written anew, in bytes.
const REWRITE_SLACK: u64 = 4 << 20;

/// A store in one file. One process at a time has it open.
#[derive(Clone)]
pub struct EmbeddedStore(Arc<Shared>);

struct Shared {
    disk: Box<dyn Disk>,
    /// Calls hold it for reading while they use the file, so that it is closed only between calls.
    file: RwLock<State>,
    /// One commit, or one change of the reserve, at a time: neither takes the other's space.
    committing: Mutex<()>,
    /// One copy of the file at a time, whatever it is for: the file isn't exchanged while it is copied.
    copying: Mutex<()>,
    short: AtomicBool,
    /// How long the file's syncs took; that of one in whose place another was put goes on.
    syncs: Arc<Histogram>,
}

enum State {
    Open(OpenFile),
    /// After the disk was full: redb takes nothing more until its file is opened again.
    Closed,
    /// For ever.
    Failed(String),
}

impl EmbeddedStore {
    /// Opens the file, or makes it, and keeps no reserve. Repairs the file after a crash. Blocks.
    ///
    /// # Errors
    /// Why the file can't be used.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Self::open_with_reserve(path, 0)
    }

    /// As [`EmbeddedStore::open`], with a reserve of `reserve` bytes in the file `<path>.reserve`. Where
    /// there is no space for it, the store opens all the same and is short.
    ///
    /// # Errors
    /// Why the file can't be used.
    pub fn open_with_reserve(path: &Path, reserve: u64) -> Result<Self, OpenError> {
        let unmade = |cause| OpenError::Folder { path: path.display().to_string(), cause };
        Self::open_on(LocalDisk::new(path, reserve).map_err(unmade)?)
    }

    /// Opens the file of `disk`, which may be a simulated one.
    ///
    /// # Errors
    /// Why the file can't be used.
    pub fn open_on(disk: impl Disk) -> Result<Self, OpenError> {
        let syncs = Arc::default();
        let mut opened = OpenFile::open(&disk, &syncs);
        if let Err(Refused::Full(cause)) = &opened
            && give_up_reserve(&disk)
        {
            tracing::warn!(
                "store: the disk is full: {cause}. It is opened with the reserve's space"
            );
            opened = OpenFile::open(&disk, &syncs);
        }
        let file = opened.map_err(|refused| refused.at_start(disk.name()))?;
        let shared = Shared {
            disk: Box::new(disk),
            file: RwLock::new(State::Open(file)),
            committing: Mutex::new(()),
            copying: Mutex::new(()),
            short: AtomicBool::new(true),
            syncs,
        };
        if !shared.has_room() {
            tracing::warn!("store: there is no space for the reserve; free some");
        }
        Ok(Self(Arc::new(shared)))
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let shared = self.0.clone();
        let worked = tokio::task::spawn_blocking(move || work(&shared)).await;
        worked.unwrap_or_else(|error| {
            let cause = format!("the store's thread ended: {error}");
            Err(self.0.give_up(StoreError::Fatal(cause)))
        })
    }

    /// A read waits for as long as the file can't be opened again.
    async fn reading<T: Send + 'static>(
        &self,
        work: impl Fn(&Database) -> Result<T, redb::Error> + Clone + Send + 'static,
    ) -> Result<T, StoreError> {
        let mut pause = REOPEN_PAUSE;
        loop {
            let work = work.clone();
            match self.blocking(move |shared| shared.attempt(work)).await {
                Err(error @ StoreError::Full(_)) => {
                    tracing::error!("{error}");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(REOPEN_PAUSE_MAX);
                }
                done => return done,
            }
        }
    }
}

#[async_trait::async_trait]
impl Store for EmbeddedStore {
    async fn load(&self, table: Table, groups: &[Group]) -> Result<Vec<Rows>, StoreError> {
        let groups = groups.to_vec();
        self.reading(move |database| rows::load(database, table, &groups)).await
    }

    async fn scan(
        &self,
        table: Table,
        after: Option<Key>,
        limit: usize,
    ) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
        self.reading(move |database| rows::scan(database, table, after.as_ref(), limit)).await
    }

    async fn commit(&self, changes: Arc<[Change]>) -> Result<(), StoreError> {
        self.blocking(move |shared| shared.commit(&changes)).await
    }

    async fn scrub(&self) -> Result<(), StoreError> {
        self.blocking(Shared::rewrite).await
    }

    async fn backup(&self) -> Result<std::fs::File, BackupError> {
        let shared = self.0.clone();
        // What goes wrong with a copy is no fault of the store's.
        let copied = tokio::task::spawn_blocking(move || shared.backup()).await;
        copied.unwrap_or_else(|error| Err(BackupError::Failed(error.to_string())))
    }

    async fn has_room(&self) -> bool {
        self.blocking(|shared| Ok(shared.has_room())).await.unwrap_or(false)
    }

    fn is_short(&self) -> bool {
        self.0.short.load(Ordering::Acquire)
    }

    fn file(&self) -> Option<FileFacts> {
        // Nobody waits for one that is being opened again.
        let bytes = match self.0.file.try_read().as_deref() {
            Ok(State::Open(file)) => Some(file.bytes()),
            Ok(State::Closed | State::Failed(_)) | Err(_) => None,
        };
        Some(FileFacts { bytes, syncs: self.0.syncs.distribution() })
    }
}

impl Shared {
    fn commit(&self, changes: &[Change]) -> Result<(), StoreError> {
        let _one = self.one_at_a_time();
        if changes.is_empty() {
            return self.attempt(|_| Ok(()));
        }
        loop {
            let cause = match self.attempt(|database| rows::commit(database, changes)) {
                Err(StoreError::Full(cause)) => cause,
                done => return done,
            };
            self.short.store(true, Ordering::Release);
            let freed = give_up_reserve(&*self.disk);
            // The disk may have been found full when the commit was done already, while the file was
            // trimmed or the next commit prepared. The file that is opened again knows.
            if self.attempt(|database| rows::hold(database, changes))? {
                return Ok(());
            }
            if !freed {
                return Err(StoreError::Full(cause));
            }
            tracing::warn!(
                "store: the disk is full: {cause}. The reserve's space is used for what is under way; free space"
            );
        }
    }

    /// Writes the rows into a fresh file and puts that in the place of the file: redb keeps what was removed
    /// in pages that are free, until they are written to. Whatever fails before the exchange leaves the
    /// file as it was.
    fn rewrite(&self) -> Result<(), StoreError> {
        let _still = self.one_copy();
        let _one = self.one_at_a_time();
        let size = self.attempt(rows::size)?;
        let full =
            |cause: String| StoreError::Full(format!("the file can't be written anew: {cause}"));
        let begun = self.disk.begin_rewrite(size + size / 2 + REWRITE_SLACK);
        let Some(file) = begun.map_err(|error| full(error.to_string()))? else { return Ok(()) };
        let copied =
            OpenFile::on(file, &self.syncs).map_err(Refused::while_running).and_then(|fresh| {
                self.attempt(|database| {
                    let reading = database.begin_read()?;
                    // A failure of the fresh file must not count as one of the file.
                    Ok(fresh.run(|to| rows::copy(&reading, to)))
                })??;
                Ok(fresh)
            });
        let fresh = match copied {
            Ok(fresh) => fresh,
            Err(error) => {
                if let Err(error) = self.disk.abandon_rewrite() {
                    tracing::error!("store: a file that was begun can't be removed: {error}");
                }
                return Err(full(error.to_string()));
            }
        };
        let mut state = self.file.write().unwrap_or_else(PoisonError::into_inner);
        if let State::Failed(cause) = &*state {
            return Err(StoreError::Fatal(cause.clone()));
        }
        if let Err(error) = self.disk.finish_rewrite() {
            let cause = format!("the file that was written anew can't be put in place: {error}");
            *state = State::Failed(cause.clone());
            return Err(StoreError::Fatal(cause));
        }
        *state = State::Open(fresh);
        Ok(())
    }

    /// Writes what is committed by now into a file without a name. The file is held for as long as it takes to say which
    /// moment is copied: neither commits nor a full disk wait for the copy.
    fn backup(&self) -> Result<std::fs::File, BackupError> {
        let _still = self.one_copy();
        let failed = |error: StoreError| BackupError::Failed(error.to_string());
        let begun = self.attempt(|database| {
            let reading = database.begin_read()?;
            let size = rows::size_at(&reading)?;
            Ok((reading, size))
        });
        let (reading, size) = begun.map_err(failed)?;
        let full = |error: std::io::Error| BackupError::Full(error.to_string());
        let file = self.disk.nameless(size + size / 2 + REWRITE_SLACK).map_err(full)?;
        let file = file.ok_or(BackupError::NoFile)?;
        let unusable = |error: String| BackupError::Failed(error);
        let written = file.try_clone().map_err(|error| unusable(error.to_string()))?;
        let backend = FileBackend::new(written).map_err(|error| unusable(error.to_string()))?;
        // Its syncs aren't the store's, and tell nothing of the store's disk.
        let fresh = OpenFile::on(Box::new(backend), &Arc::default())
            .map_err(|refused| failed(refused.while_running()))?;
        fresh.run(|to| rows::copy(&reading, to)).map_err(|error| match error {
            StoreError::Full(cause) => BackupError::Full(cause),
            error @ (StoreError::Away(_)
            | StoreError::Refused(_)
            | StoreError::Lost(_)
            | StoreError::Fatal(_)) => failed(error),
        })?;
        drop(fresh);
        Ok(file)
    }

    fn has_room(&self) -> bool {
        if !self.short.load(Ordering::Acquire) {
            return true;
        }
        let _one = self.one_at_a_time();
        let kept = self.disk.keep_reserve().unwrap_or_else(|error| {
            tracing::error!(
                "store: the reserve can't be kept: {error}. Check the folder of the file"
            );
            false
        });
        self.short.store(!kept, Ordering::Release);
        kept
    }

    /// Does the work with the open file; opens it again where the disk was full before.
    fn attempt<T>(
        &self,
        work: impl Fn(&Database) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        let tried = {
            let state = self.file.read().unwrap_or_else(PoisonError::into_inner);
            match &*state {
                State::Open(file) => Some(file.run(&work)),
                State::Closed => None,
                State::Failed(cause) => return Err(StoreError::Fatal(cause.clone())),
            }
        };
        let tried = match tried {
            Some(tried) => tried,
            None => self.reopened(&work),
        };
        tried.map_err(|error| self.give_up(error))
    }

    fn reopened<T>(
        &self,
        work: impl Fn(&Database) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        let mut state = self.file.write().unwrap_or_else(PoisonError::into_inner);
        if matches!(&*state, State::Closed) {
            *state = State::Open(
                OpenFile::open(&*self.disk, &self.syncs).map_err(Refused::while_running)?,
            );
        }
        match &*state {
            State::Open(file) => file.run(work),
            State::Closed => Err(StoreError::Full("the file isn't open".to_owned())),
            State::Failed(cause) => Err(StoreError::Fatal(cause.clone())),
        }
    }

    /// Lets go of the file after a failure: until it is opened again, or for ever.
    fn give_up(&self, error: StoreError) -> StoreError {
        let mut state = self.file.write().unwrap_or_else(PoisonError::into_inner);
        let cause = match &error {
            StoreError::Full(_) => {
                // Another call may have opened it again since.
                if matches!(&*state, State::Open(file) if file.has_failed()) {
                    *state = State::Closed;
                }
                return error;
            }
            StoreError::Fatal(cause) | StoreError::Away(cause) | StoreError::Refused(cause) => {
                cause.clone()
            }
            StoreError::Lost(lost) => lost.to_string(),
        };
        if !matches!(&*state, State::Failed(_)) {
            *state = State::Failed(cause);
        }
        error
    }

    /// To be asked for before [`Shared::one_at_a_time`].
    fn one_copy(&self) -> MutexGuard<'_, ()> {
        // It guards no data.
        self.copying.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn one_at_a_time(&self) -> MutexGuard<'_, ()> {
        // It guards no data.
        self.committing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether there was a reserve whose space is free from here on.
fn give_up_reserve(disk: &dyn Disk) -> bool {
    disk.give_up_reserve().unwrap_or_else(|error| {
        tracing::error!("store: the reserve can't be freed: {error}. Check the folder of the file");
        false
    })
}
