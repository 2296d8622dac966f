//! Takes changed files of the plugins folder in, one after the other, while everything runs.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::admit::AdmitError;
use super::folder::{self, Look};
use super::loader::{Ended, on_thread};
use super::registry::{LoadError, Outcome, Registry, Slot, load_file};
use super::source;
use super::watch::{Change, Watch};

/// How long a look at the folder may take before it is said to be unreadable.
const LOOK_TIMEOUT: Duration = Duration::from_secs(30);

/// Names are kept when their files go. With so many of them, no further ones are taken while the host runs.
const MAX_PLUGINS: usize = 1024;

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
    /// Looks at the plugins folder as often as told, until it is told to stop, and takes in what changed:
    /// a file that has come to rest is read, compiled and tried beside what runs, and then swapped in.
    /// Whatever fails on the way leaves what runs as it is. One at a time watches a folder.
    ///
    /// The configuration isn't read again: a changed file gets what its plugin was granted at the start.
    pub async fn watch(&self, every: Duration, stop: CancellationToken) {
        let taken = self.first_look.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(first) = taken else {
            tracing::warn!("the plugins folder is watched already");
            return;
        };
        let mut left_out = first.left_out;
        let mut watch = Watch::new(first.files);
        let mut readable = true;
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let watching = async {
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
                for change in watch.look(look.files) {
                    self.change(change).await;
                }
            }
        };
        stop.run_until_cancelled(watching).await;
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

    async fn change(&self, change: Change) {
        match change {
            Change::Seen(file) => {
                self.reloads.seen.fetch_add(1, Relaxed);
                tracing::info!(
                    file,
                    "plugins: a file is new or changed; waiting until it has come to rest"
                );
            }
            Change::Gone(file) => self.gone(&file),
            Change::AtRest(file) => self.take_in(&file).await,
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

    async fn take_in(&self, file: &str) {
        self.reloads.read.fetch_add(1, Relaxed);
        let mut users = self.users(file);
        if users.is_empty() {
            let Some((name, config)) = folder::bare_use(file) else { return };
            let slots = self.slots();
            if slots.len() >= MAX_PLUGINS {
                tracing::warn!(plugin = %name, file, limit = MAX_PLUGINS, "plugins: the file isn't used: too many others came and went; restart to forget them");
                return;
            }
            if slots.iter().any(|slot| slot.name == name) {
                tracing::warn!(plugin = %name, file, "plugins: the file isn't used: the plugin of its name has another one");
                return;
            }
            users.push(Slot::new(name, config));
        }
        for (slot, outcome) in load_file(&self.loader, &self.folder, file, users).await {
            let running = slot.pool().ok().map(|pool| pool.version());
            match outcome {
                Outcome::Same => {
                    slot.confirm();
                    tracing::info!(plugin = %slot.name, file, "plugins: the file is what runs already");
                }
                Outcome::Loaded(pool) => {
                    self.reloads.swapped.fetch_add(1, Relaxed);
                    tracing::info!(plugin = %slot.name, file, version = source::short(pool.version()), before = running.map(source::short), interfaces = ?pool.admitted().interfaces(), "plugins: swapped in");
                    slot.swap(pool);
                }
                Outcome::Refused(error) => {
                    self.reloads.refused.fetch_add(1, Relaxed);
                    let goes_on = running.map(source::short);
                    tracing::error!(plugin = %slot.name, file, %error, goes_on, "plugins: the file can't be used; what runs goes on");
                    slot.refuse(error);
                }
            }
            self.add(slot);
        }
    }

    fn users(&self, file: &str) -> Vec<Arc<Slot>> {
        self.slots().into_iter().filter(|slot| slot.config.file == file).collect()
    }
}
