//! Compiled components in a private folder, so that a start needn't compile them again.
//!
//! A file's name is its key: the hash of the component's bytes and of the engine's version and settings.
//! A file is written beside its place and renamed, so that it is whole or not there. A cache that can't
//! be used, or a file in it that isn't sound, costs the time to compile and nothing else.

use std::fs::{File, FileTimes};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use wasmtime::Engine;
use wasmtime::component::Component;

use super::artifact::{self, Key};
use super::tally::Tally;
use crate::clock::Clock;
use crate::config::Cache as CacheConfig;

const EXTENSION: &str = "artifact";
const PART: &str = ".part-";
/// A part that is so old was left by a crash.
const STALE: Duration = Duration::from_secs(3600);
/// Permissions that let others write.
const OTHERS_WRITE: u32 = 0o022;

/// The cache.
pub(super) struct Cache {
    folder: PathBuf,
    /// Who this process is to the file system.
    owner: u32,
    max_bytes: u64,
    clock: Clock,
    counters: Tally<CacheTotals>,
}

/// What the cache did since the start.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct CacheTotals {
    /// Components that needn't be compiled.
    pub used: u64,
    /// Components that were compiled and stored.
    pub stored: u64,
    /// Files that weren't what was stored, or weren't safe to use.
    pub unsound: u64,
    /// Files that were removed because the cache was full.
    pub removed: u64,
}

/// Why there is no cache. Everything works without, and starts slowly.
#[derive(Debug, thiserror::Error)]
pub(super) enum CacheError {
    /// The folder can't be made or written in.
    #[error(
        "cache: {} can't be used: {cause}; plugins are compiled at every start. Name another folder with `cache_folder`, or make it writable for this user",
        .folder.display()
    )]
    Unusable { folder: PathBuf, cause: std::io::Error },
    /// The folder is somebody else's.
    #[error(
        "cache: {} belongs to another user (id {owner}, and this process is {us}); what it holds would be run, so it isn't used. Name another folder with `cache_folder`, or `chown` it",
        .folder.display()
    )]
    NotOurs { folder: PathBuf, owner: u32, us: u32 },
    /// Others can write in it.
    #[error(
        "cache: others can write in {} (mode {mode:o}); what it holds would be run, so it isn't used. Run `chmod 700 {}`, after emptying it",
        .folder.display(),
        .folder.display()
    )]
    Shared { folder: PathBuf, mode: u32 },
}

impl Cache {
    /// Opens the folder, which is made where it isn't there.
    pub(super) fn open(config: &CacheConfig) -> Result<Self, CacheError> {
        let unusable = |cause| CacheError::Unusable { folder: config.folder.clone(), cause };
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&config.folder);
        made.map_err(unusable)?;
        // From here on no symbolic link on the way can lead elsewhere.
        let folder = config.folder.canonicalize().map_err(unusable)?;
        let about = folder.metadata().map_err(unusable)?;
        let (owner, mode) = (about.uid(), about.mode() & 0o7777);
        if mode & OTHERS_WRITE != 0 {
            return Err(CacheError::Shared { folder, mode });
        }
        // Who we are is told by a file of ours.
        let probe = part(&folder).map_err(unusable)?;
        let us = probe.as_file().metadata().map_err(unusable)?.uid();
        if us != owner {
            return Err(CacheError::NotOurs { folder, owner, us });
        }
        let cache = Self {
            folder,
            owner,
            max_bytes: config.max_bytes as u64,
            clock: Clock::system(),
            counters: Tally::default(),
        };
        cache.sweep(None);
        Ok(cache)
    }

    /// The compiled component, where a sound one is there. Waits for the disk.
    pub(super) fn load(&self, engine: &Engine, key: &Key) -> Option<Component> {
        let path = self.path(key);
        let component = match self.read(&path) {
            Ok(Some(sealed)) => {
                artifact::open(engine, key, &sealed).map_err(|unsound| unsound.to_string())
            }
            Ok(None) => return None,
            Err(cause) => Err(cause),
        };
        match component {
            Ok(component) => {
                self.counters.count(|totals| totals.used += 1);
                Some(component)
            }
            Err(cause) => {
                self.counters.count(|totals| totals.unsound += 1);
                tracing::warn!(file = %path.display(), cause, "cache: a compiled plugin isn't used; it is compiled again");
                None
            }
        }
    }

    /// Keeps the sealed artifact of a component that was just compiled. Waits for the disk.
    pub(super) fn store(&self, key: &Key, sealed: &[u8]) {
        match self.write(key, sealed) {
            Ok(()) => {
                self.counters.count(|totals| totals.stored += 1);
                self.sweep(Some(&self.path(key)));
            }
            Err(cause) => {
                tracing::warn!(folder = %self.folder.display(), %cause, "cache: a compiled plugin can't be kept; it is compiled again at the next start");
            }
        }
    }

    /// What it did since the start.
    pub(super) fn totals(&self) -> CacheTotals {
        self.counters.totals()
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.folder.join(hex::encode(key)).with_extension(EXTENSION)
    }

    /// The whole file; `None` where there is none.
    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, String> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        // Asked of the open file: what its name leads to can change.
        let about = file.metadata().map_err(|error| error.to_string())?;
        if !about.is_file() || about.uid() != self.owner || about.mode() & OTHERS_WRITE != 0 {
            return Err("others could have written it".to_owned());
        }
        if about.len() > self.max_bytes {
            return Err("it is larger than the whole cache may be".to_owned());
        }
        let mut sealed = Vec::with_capacity(usize::try_from(about.len()).unwrap_or(0));
        let limited = &mut (&mut file).take(self.max_bytes);
        limited.read_to_end(&mut sealed).map_err(|error| error.to_string())?;
        // What was used last goes last; a file system that doesn't keep the time removes in another order.
        if let Err(error) = file.set_times(FileTimes::new().set_modified(self.now())) {
            tracing::debug!(%error, "cache: the time of use can't be kept");
        }
        Ok(Some(sealed))
    }

    fn write(&self, key: &Key, sealed: &[u8]) -> std::io::Result<()> {
        let mut file = part(&self.folder)?;
        file.write_all(sealed)?;
        // No fsync: what a power loss leaves half done is found by its checksum.
        file.persist(self.path(key))?;
        Ok(())
    }

    /// Removes what was used longest ago until the rest fits, and what crashes left.
    fn sweep(&self, just_stored: Option<&Path>) {
        let mut artifacts = Vec::new();
        for entry in std::fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let (path, Ok(about)) = (entry.path(), entry.metadata()) else { continue };
            let modified = about.modified().unwrap_or(UNIX_EPOCH);
            if entry.file_name().to_string_lossy().starts_with(PART) {
                if self.now().duration_since(modified).is_ok_and(|age| age > STALE) {
                    self.remove(&path);
                }
            } else if path.extension().is_some_and(|extension| extension == EXTENSION) {
                artifacts.push((modified, path, about));
            }
        }
        let mut bytes: u64 = artifacts.iter().map(|(_, _, about)| about.len()).sum();
        artifacts.sort_by_key(|(modified, ..)| *modified);
        for (_, path, about) in artifacts {
            if bytes <= self.max_bytes {
                break;
            }
            if just_stored != Some(&*path) {
                self.remove(&path);
                bytes = bytes.saturating_sub(about.len());
            }
        }
        if bytes > self.max_bytes
            && let Some(path) = just_stored
        {
            tracing::warn!(
                bytes,
                cache_max = self.max_bytes,
                "cache: a compiled plugin is larger than the cache may be; raise `cache_max`"
            );
            self.remove(path);
        }
    }

    fn remove(&self, path: &Path) {
        match std::fs::remove_file(path) {
            Ok(()) => {
                self.counters.count(|totals| totals.removed += 1);
                tracing::debug!(file = %path.display(), "cache: removed");
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "cache: a file can't be removed")
            }
        }
    }

    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.clock.now().as_millis())
    }
}

/// A file of its own beside the others; only this user can read and write it. It goes when it is dropped.
fn part(folder: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    tempfile::Builder::new().prefix(PART).tempfile_in(folder)
}
