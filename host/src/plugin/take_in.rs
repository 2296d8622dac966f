//! Takes files of the plugins folder in: read, compiled in their turn, tried, put in place.
//!
//! Files wait for nobody but for their turn to be compiled, and every turn has an end. Another content of a
//! file that is being compiled ends that: what is replaced needn't be waited for.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, PoisonError};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;

use super::admit::AdmitError;
use super::folder;
use super::loader::{self, Compiled, Loader};
use super::pool::Pool;
use super::registry::{Registry, Slot};

/// What became of a file for one of its users.
pub(super) enum Outcome {
    /// It can be swapped in.
    Loaded(Box<Pool>),
    /// It is what runs.
    Same,
    /// It can't be used.
    Refused(AdmitError),
}

impl Registry {
    /// Takes in what is wanted, until nothing is.
    pub(super) async fn take_in_wanted(&self) {
        self.take_in(false).await;
    }

    /// Takes in what is wanted, again and again.
    pub(super) async fn take_in_always(&self) {
        self.take_in(true).await;
    }

    async fn take_in(&self, always: bool) {
        let mut under_way = FuturesUnordered::new();
        // The latest of each file.
        let mut latest: BTreeMap<String, (u64, CancellationToken)> = BTreeMap::new();
        let mut number = 0;
        loop {
            let wanted =
                std::mem::take(&mut *self.wanted.lock().unwrap_or_else(PoisonError::into_inner));
            for file in wanted {
                number += 1;
                let (own, replaced) = (number, CancellationToken::new());
                if let Some((_, before)) = latest.insert(file.clone(), (own, replaced.clone())) {
                    before.cancel();
                }
                under_way.push(async move {
                    replaced.run_until_cancelled(self.take_in_file(&file)).await;
                    (file, own)
                });
            }
            if !always && under_way.is_empty() {
                return;
            }
            tokio::select! {
                () = self.more_wanted.notified() => {}
                Some((file, ended)) = under_way.next() => {
                    if latest.get(&file).is_some_and(|(own, _)| *own == ended) {
                        latest.remove(&file);
                    }
                }
            }
        }
    }

    async fn take_in_file(&self, file: &str) {
        let users = self.users(file);
        for (slot, outcome) in self.load_file(file, users).await {
            slot.settle(outcome, &self.reloads);
        }
        self.progressed();
    }

    /// Who uses a file.
    pub(super) fn users(&self, file: &str) -> Vec<Arc<Slot>> {
        self.slots().into_iter().filter(|slot| slot.config.file == file).collect()
    }

    /// Loads a file for everybody who uses it. What one of them is refused for stops no other.
    pub(super) async fn load_file(
        &self,
        file: &str,
        users: Vec<Arc<Slot>>,
    ) -> Vec<(Arc<Slot>, Outcome)> {
        let path = match folder::path(&self.folder, file) {
            Ok(path) => path,
            Err(error) => return refused(users, &error),
        };
        let (mut outcomes, mut fitting) = (Vec::new(), Vec::new());
        let room = self.loader.room().await;
        let (source, roles) = match self.loader.read(&path).await {
            Ok(read) => read,
            Err(error) => return refused(users, &error),
        };
        for slot in users {
            let runs = slot.pool().is_ok_and(|pool| pool.version() == source.version);
            match loader::check_pin(&source, &slot.config) {
                Ok(()) if runs => outcomes.push((slot, Outcome::Same)),
                Ok(()) => {
                    slot.survey(roles);
                    fitting.push(slot);
                }
                Err(error) => outcomes.push((slot, Outcome::Refused(error))),
            }
        }
        self.progressed();
        if fitting.is_empty() {
            return outcomes;
        }
        let compiled = match self.loader.cached(&source).await {
            Ok(None) => {
                let version = source.version;
                // Many may wait for their turn, and a file may be large.
                drop((source, room));
                self.compile(&path, version).await
            }
            Ok(Some(compiled)) => {
                drop((source, room));
                Ok(compiled)
            }
            Err(error) => Err(error),
        };
        match compiled {
            Ok(compiled) => {
                for slot in fitting {
                    let outcome = slot.admit(&self.loader, &compiled).await;
                    outcomes.push((slot, outcome));
                }
            }
            Err(error) => outcomes.extend(refused(fitting, &error)),
        }
        outcomes
    }

    /// Compiles a file in its turn, where it is still what it was.
    async fn compile(
        &self,
        path: &Path,
        version: crate::config::Sha256,
    ) -> Result<Compiled, AdmitError> {
        let turn = self.loader.turn().await;
        let (source, _) = self.loader.read(path).await?;
        if source.version != version {
            return Err(AdmitError::Changing);
        }
        self.loader.compile(source, turn).await
    }
}

impl Slot {
    async fn admit(&self, loader: &Loader, compiled: &Compiled) -> Outcome {
        if let Err(error) = compiled.check_settings(&self.config) {
            return Outcome::Refused(error);
        }
        match loader.pool(compiled, &self.name, &self.config, self.shared.clone()).await {
            Ok(pool) => Outcome::Loaded(Box::new(pool)),
            Err(error) => Outcome::Refused(error),
        }
    }
}

fn refused(users: Vec<Arc<Slot>>, error: &AdmitError) -> Vec<(Arc<Slot>, Outcome)> {
    users.into_iter().map(|slot| (slot, Outcome::Refused(error.clone()))).collect()
}
