//! Watches the plugins folder while everything runs, and has changed files loaded.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::blocking::{Ended, on_thread};
use super::error::{AdmitError, LoadError};
use super::folder::{self, Look};
use super::registry::Registry;
use super::signed::EXTENSION as SIGNATURE;
use super::watch::{Change, Watch};

/// How long a look at the folder may take before it is said to be unreadable.
const LOOK_TIMEOUT: Duration = Duration::from_secs(30);

impl Registry {
    /// Takes in what is configured and has yet to be read, and looks at the plugins folder as often as told,
    /// until it is told to stop: a file that changed and has come to rest is read, compiled and tried beside
    /// what runs, and then swapped in. Whatever fails on the way leaves what runs as it is. One at a time
    /// watches a folder.
    ///
    /// The configuration isn't read again for that: a changed file gets what its plugin is granted by the one that
    /// is in force.
    pub async fn watch(&self, every: Duration, stop: CancellationToken) {
        let Some(first) = self.take_first_look() else {
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
            self.found(look.components());
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
        let (Change::Seen(file) | Change::AtRest(file) | Change::Gone(file)) = &change;
        if let Some(signed) = file.strip_suffix(SIGNATURE) {
            // Only where one is wanted does it change anything. One that is replaced is gone for a moment.
            let is_wanted = !self.loader.supply().trusted_keys.is_empty();
            if is_wanted && matches!(change, Change::AtRest(_)) {
                self.want(signed);
            }
            return;
        }
        match change {
            Change::Seen(file) => {
                self.reloads.count(|totals| totals.seen += 1);
                tracing::info!(
                    file,
                    "plugins: a file is new or changed; waiting until it has come to rest"
                );
            }
            Change::Gone(file) => self.gone(&file),
            Change::AtRest(file) if self.users(&file).is_empty() => folder::tell_stray(&file),
            Change::AtRest(file) => {
                self.reloads.count(|totals| totals.read += 1);
                self.want(&file);
            }
        }
    }

    /// What is loaded goes on: who replaces a file by removing it first shall lose no notes.
    fn gone(&self, file: &str) {
        self.reloads.count(|totals| totals.gone += 1);
        for slot in self.users(file) {
            tracing::warn!(plugin = %slot.name, file, "plugins: the file is gone; what was loaded of it goes on until the next start, or until another file comes");
            slot.refuse(AdmitError::Missing);
        }
    }
}
