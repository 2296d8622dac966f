//! Takes files of the plugins folder in: read, compiled in their turn, tried, put in place.
//!
//! Files wait for nobody but for their turn to be compiled, and every turn has an end. Another content of a
//! file that is being compiled ends that: what is replaced needn't be waited for.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;

use super::compiler::Compiler;
use super::error::{AdmitError, LoadError};
use super::loader::{self, Compiled, Loader};
use super::place::Place;
use super::registry::Registry;
use super::samples::Samples;
use super::slot::{Outcome, Slot};
use crate::config::{Cache, Config, Plugin as PluginConfig, Sha256};
use crate::egress::{Detour, Network};
use crate::ids::PluginName;

/// How soon a registry is asked again that didn't give a component, at first and after many times.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

impl Registry {
    /// Loads what is configured. A file that can't be used stops nothing else. Everything is compiled, on a
    /// thread of this process: see [`Compiler::in_process`].
    ///
    /// # Errors
    /// Only where nothing at all can be loaded.
    pub async fn load(
        from: &Path,
        plugins: &BTreeMap<PluginName, PluginConfig>,
    ) -> Result<Self, LoadError> {
        Self::load_by(Compiler::in_process(), from, plugins, None).await
    }

    /// As [`Registry::load`], but what is in the cache needn't be compiled. A cache that can't be used is
    /// logged and done without.
    ///
    /// # Errors
    /// As [`Registry::load`].
    pub async fn load_cached(
        from: &Path,
        plugins: &BTreeMap<PluginName, PluginConfig>,
        cache: &Cache,
    ) -> Result<Self, LoadError> {
        Self::load_by(Compiler::in_process(), from, plugins, Some(cache)).await
    }

    /// As [`Registry::load`] or [`Registry::load_cached`], with another compiler.
    ///
    /// # Errors
    /// As [`Registry::load`].
    pub async fn load_by(
        compiler: Compiler,
        from: &Path,
        plugins: &BTreeMap<PluginName, PluginConfig>,
        cache: Option<&Cache>,
    ) -> Result<Self, LoadError> {
        let registry = Self::open(compiler, from, plugins, cache)?;
        registry.take_in_wanted().await;
        Ok(registry)
    }

    /// As [`Registry::load_by`], of these plugins of a configuration, by its rules of where they may come from.
    ///
    /// # Errors
    /// As [`Registry::load`].
    pub async fn load_of(
        compiler: Compiler,
        config: &Config,
        plugins: &BTreeMap<PluginName, PluginConfig>,
    ) -> Result<Self, LoadError> {
        let registry = Self::open_of(compiler, config, plugins)?;
        registry.take_in_wanted().await;
        Ok(registry)
    }

    /// As [`Registry::load_by`], for trying plugins out: what they send to some hosts goes to fakes, and what they
    /// compute is kept where that is wanted.
    ///
    /// # Errors
    /// As [`Registry::load`].
    pub async fn load_on_trial(
        compiler: Compiler,
        from: &Path,
        plugins: &BTreeMap<PluginName, PluginConfig>,
        detours: Vec<Detour>,
        cache: Option<&Cache>,
        samples: Option<Samples>,
    ) -> Result<Self, LoadError> {
        let network = Network::new().with_detours(detours);
        let registry =
            Self::with(Loader::new(cache, compiler, network)?.sampled(samples), from, plugins)?;
        registry.take_in_wanted().await;
        Ok(registry)
    }

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
            for file in self.take_wanted() {
                number += 1;
                let (own, replaced) = (number, CancellationToken::new());
                if let Some((_, before)) = latest.insert(file.clone(), (own, replaced.clone())) {
                    before.cancel();
                }
                under_way.push(async move {
                    replaced.run_until_cancelled(self.take_in_file(&file, always)).await;
                    (file, own)
                });
            }
            if !always && under_way.is_empty() {
                return;
            }
            tokio::select! {
                () = self.more_wanted() => {}
                Some((file, ended)) = under_way.next() => {
                    if latest.get(&file).is_some_and(|(own, _)| *own == ended) {
                        latest.remove(&file);
                    }
                }
            }
        }
    }

    /// Takes a file in, `again` where its registry doesn't give it.
    async fn take_in_file(&self, file: &str, again: bool) {
        let mut pause = FIRST_PAUSE;
        loop {
            let outcomes = self.load_file(file, self.users(file)).await;
            let is_away = |(_, outcome): &(_, Outcome)| {
                matches!(outcome, Outcome::Refused(AdmitError::Registry(_)))
            };
            let wanted = again && outcomes.iter().any(is_away);
            for (slot, outcome) in outcomes {
                slot.settle(outcome, &self.reloads);
            }
            self.progressed();
            self.shadows.follow();
            if !wanted {
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    }

    /// Loads a file for everybody who uses it. What one of them is refused for stops no other.
    pub(super) async fn load_file(
        &self,
        file: &str,
        users: Vec<Arc<Slot>>,
    ) -> Vec<(Arc<Slot>, Outcome)> {
        let place = match self.place(file, &users).await {
            Ok(place) => place,
            Err(error) => return refused(users, &error),
        };
        let (mut outcomes, mut fitting) = (Vec::new(), Vec::new());
        let capacity = self.loader.capacity().await;
        let (source, roles) = match self.loader.read(&place).await {
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
                drop((source, capacity));
                self.compile(&place, version).await
            }
            Ok(Some(compiled)) => {
                drop((source, capacity));
                Ok(compiled)
            }
            Err(error) => Err(error),
        };
        match compiled {
            Ok(compiled) => {
                for slot in fitting {
                    let outcome = admit(&slot, &self.loader, &compiled).await;
                    outcomes.push((slot, outcome));
                }
            }
            Err(error) => outcomes.extend(refused(fitting, &error)),
        }
        outcomes
    }

    /// Compiles a file in its turn, where it is still what it was.
    async fn compile(&self, place: &Place, version: Sha256) -> Result<Compiled, AdmitError> {
        let turn = self.loader.turn().await;
        let (source, _) = self.loader.read(place).await?;
        if source.version != version {
            return Err(AdmitError::Changing);
        }
        self.loader.compile(source, turn).await
    }
}

async fn admit(slot: &Slot, loader: &Loader, compiled: &Compiled) -> Outcome {
    if let Err(error) = compiled.check_settings(&slot.config) {
        return Outcome::Refused(error);
    }
    match loader.pool(compiled, &slot.name, &slot.config, slot.shared.clone(), false).await {
        Ok(pool) => Outcome::Loaded(Box::new(pool)),
        Err(error) => Outcome::Refused(error),
    }
}

fn refused(users: Vec<Arc<Slot>>, error: &AdmitError) -> Vec<(Arc<Slot>, Outcome)> {
    users.into_iter().map(|slot| (slot, Outcome::Refused(error.clone()))).collect()
}
