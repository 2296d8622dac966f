//! Watches the plugins folder while everything runs, and has changed files taken in.

use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::admit::AdmitError;
use super::folder::{self, Look};
use super::loader::{Ended, on_thread};
use super::registry::{LoadError, Registry};
use super::watch::{Change, Watch};

/// How long a look at the folder may take before it is said to be unreadable.
const LOOK_TIMEOUT: Duration = Duration::from_secs(30);

/// What became of changed files since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadTotals {
    /// Changes that were seen: a file is new, or is another one.
    pub seen: u64,
    /// Files that had come to rest and were read.
    pub read: u64,
    /// Plugins that got another version.
    pub swapped: u64,
    /// Plugins that kept what they had, because what stood in the file can't be used.
    pub refused: u64,
    /// Files that went away; what was loaded of them goes on.
    pub gone: u64,
}

#[derive(Default)]
pub(super) struct ReloadCounters {
    seen: AtomicU64,
    read: AtomicU64,
    swapped: AtomicU64,
    refused: AtomicU64,
    gone: AtomicU64,
}

impl ReloadCounters {
    pub(super) fn swapped(&self) {
        self.swapped.fetch_add(1, Relaxed);
    }

    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    pub(super) fn totals(&self) -> ReloadTotals {
        ReloadTotals {
            seen: self.seen.load(Relaxed),
            read: self.read.load(Relaxed),
            swapped: self.swapped.load(Relaxed),
            refused: self.refused.load(Relaxed),
            gone: self.gone.load(Relaxed),
        }
    }
}

impl Registry {
    /// Takes in what is configured and has yet to be read, and looks at the plugins folder as often as told,
    /// until it is told to stop: a file that changed and has come to rest is read, compiled and tried beside
    /// what runs, and then swapped in. Whatever fails on the way leaves what runs as it is. One at a time
    /// watches a folder.
    ///
    /// The configuration isn't read again for that: a changed file gets what its plugin is granted by the one that
    /// is in force.
    pub async fn watch(&self, every: Duration, stop: CancellationToken) {
        let taken = self.first_look.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(first) = taken else {
            tracing::warn!("the plugins folder is watched already");
            return;
        };
        // A look waits for the disk, and a file for its turn: neither waits for the other.
        let watching =
            async { tokio::join!(self.look_always(first, every), self.take_in_always()) };
        stop.run_until_cancelled(watching).await;
    }

    async fn look_always(&self, first: Look, every: Duration) {
        let mut left_out = first.left_out;
        let mut watch = Watch::new(first.files);
        let mut readable = true;
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            for slot in self.slots() {
                if let Ok(pool) = slot.pool() {
                    pool.sweep(Instant::now());
                }
            }
            let look = match self.look().await {
                Ok(look) => look,
                Err(error) => {
                    if std::mem::take(&mut readable) {
                        tracing::error!("{error}; what is loaded goes on");
                    }
                    continue;
                }
            };
            readable = true;
            look.warn_of_left_out(left_out);
            left_out = look.left_out;
            *self.found.lock().unwrap_or_else(PoisonError::into_inner) =
                look.files.keys().cloned().collect();
            for change in watch.look(look.files) {
                self.change(change);
            }
        }
    }

    async fn look(&self) -> Result<Look, LoadError> {
        let configured = self.slots().iter().map(|slot| slot.config.file.clone()).collect();
        let folder = self.folder.clone();
        let unreadable =
            |cause: std::io::Error| LoadError::Folder { folder: self.folder.clone(), cause };
        let looked =
            on_thread("plugin-look", LOOK_TIMEOUT, move || folder::look(&folder, &configured));
        match looked.await {
            Ok(Ended::Done(look)) => look,
            Ok(Ended::Panicked) => Err(unreadable(std::io::Error::other("the look panicked"))),
            Ok(Ended::TooLate) => Err(unreadable(std::io::ErrorKind::TimedOut.into())),
            Err(error) => Err(unreadable(std::io::Error::other(error.to_string()))),
        }
    }

    fn change(&self, change: Change) {
        match change {
            Change::Seen(file) => {
                self.reloads.seen.fetch_add(1, Relaxed);
                tracing::info!(
                    file,
                    "plugins: a file is new or changed; waiting until it has come to rest"
                );
            }
            Change::Gone(file) => self.gone(&file),
            Change::AtRest(file) if self.users(&file).is_empty() => folder::tell_stray(&file),
            Change::AtRest(file) => {
                self.reloads.read.fetch_add(1, Relaxed);
                self.want(&file);
            }
        }
    }

    /// What is loaded goes on: who replaces a file by removing it first shall lose no notes.
    fn gone(&self, file: &str) {
        self.reloads.gone.fetch_add(1, Relaxed);
        for slot in self.users(file) {
            tracing::warn!(plugin = %slot.name, file, "plugins: the file is gone; what was loaded of it goes on until the next start, or until another file comes");
            slot.refuse(AdmitError::Missing);
        }
    }
}
