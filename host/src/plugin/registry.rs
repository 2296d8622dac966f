//! The plugins by name: what the rest of the host calls.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::time::Instant;

use super::admit::AdmitError;
use super::cache::CacheTotals;
use super::exports::Interface;
use super::folder::{self, Look};
use super::loader::{self, Compiled, Loader};
use super::pool::{Pool, Shared};
use super::reload::{ReloadCounters, ReloadTotals};
use super::source;
use super::state::{Health, InstanceState, PluginState};
use super::supervise::Condition;
use crate::clock::Clock;
use crate::config::{Cache, Plugin as PluginConfig};
use crate::egress::{Detour, Network, NetworkError};
use crate::ids::PluginName;
use crate::outbox::parcel::Roles;

/// Every plugin, by the name that it is configured under.
pub struct Registry {
    pub(super) folder: PathBuf,
    pub(super) loader: Loader,
    slots: RwLock<BTreeMap<PluginName, Arc<Slot>>>,
    /// The folder before it was loaded; taken by whoever watches it.
    pub(super) first_look: Mutex<Option<Look>>,
    pub(super) reloads: ReloadCounters,
    clock: Clock,
}

/// One plugin, whatever its version.
pub(super) struct Slot {
    pub(super) name: PluginName,
    pub(super) config: PluginConfig,
    pub(super) shared: Arc<Shared>,
    current: RwLock<Current>,
    swaps: AtomicU64,
}

/// What runs under a name.
struct Current {
    plugin: Result<Arc<Pool>, AdmitError>,
    /// Why the file isn't what runs.
    refused: Option<String>,
}

/// Why a plugin can't be called.
pub(super) enum NoPool {
    /// No plugin has this name.
    Unknown,
    /// It couldn't be loaded, or is held back, for this reason.
    Failed(String),
}

/// Why there are no plugins at all. A plugin that can't be used is no such error: see
/// [`PluginState::failed`].
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The engine doesn't start.
    #[error(
        "plugins: the WebAssembly engine doesn't start: {0}; is this machine's processor supported?"
    )]
    Engine(String),
    /// The folder can't be read.
    #[error(
        "plugins: the folder {folder} can't be read: {cause}; check `plugins_folder` and its permissions"
    )]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why not.
        cause: std::io::Error,
    },
    /// There is no network.
    #[error(transparent)]
    Network(#[from] NetworkError),
}

impl Registry {
    /// Loads what is configured, and every other `.wasm` file of the folder under its stem, without
    /// settings, secrets or grants. A file that can't be used stops nothing else. Everything is compiled.
    ///
    /// # Errors
    /// Only where nothing at all can be loaded.
    pub async fn load(
        from: &Path,
        plugins: &BTreeMap<PluginName, PluginConfig>,
    ) -> Result<Self, LoadError> {
        Self::load_with(from, plugins, Loader::new(None)?).await
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
        Self::load_with(from, plugins, Loader::new(Some(cache))?).await
    }

    /// As [`Registry::load`], for trying plugins out: what they send to some hosts goes to stand-ins. With a
    /// cache as [`Registry::load_cached`].
    ///
    /// # Errors
    /// As [`Registry::load`].
    pub async fn load_on_trial(
        from: &Path,
        plugins: &BTreeMap<PluginName, PluginConfig>,
        detours: Vec<Detour>,
        cache: Option<&Cache>,
    ) -> Result<Self, LoadError> {
        let network = Network::new()?.with_detours(detours);
        Self::load_with(from, plugins, Loader::with_network(cache, network)?).await
    }

    async fn load_with(
        from: &Path,
        plugins: &BTreeMap<PluginName, PluginConfig>,
        loader: Loader,
    ) -> Result<Self, LoadError> {
        let files = plugins.values().map(|plugin| plugin.file.clone()).collect();
        // Before anything is read: what changes while it is read is seen as a change.
        let look = folder::look(from, &files)?;
        look.warn_of_left_out(0);
        let wanted = folder::wanted(plugins, look.files.keys());

        let mut by_file: BTreeMap<String, Vec<(PluginName, PluginConfig)>> = BTreeMap::new();
        for (name, config) in wanted {
            by_file.entry(config.file.clone()).or_default().push((name, config));
        }
        let mut slots = BTreeMap::new();
        for (file, users) in by_file {
            let users = users.into_iter().map(|(name, config)| Slot::new(name, config)).collect();
            for (slot, outcome) in load_file(&loader, from, &file, users).await {
                slot.start_with(outcome);
                slots.insert(slot.name.clone(), slot);
            }
        }
        Ok(Self {
            folder: from.to_owned(),
            loader,
            slots: RwLock::new(slots),
            first_look: Mutex::new(Some(look)),
            reloads: ReloadCounters::default(),
            clock: Clock::system(),
        })
    }

    /// The plugin's instances. Whoever holds them stays with one version.
    pub(super) fn pool(&self, plugin: &str) -> Result<Arc<Pool>, NoPool> {
        let slot = self.slot(plugin).ok_or(NoPool::Unknown)?;
        let pool = slot.pool().map_err(NoPool::Failed)?;
        match pool.condition() {
            Condition::Sound | Condition::OnTrial => Ok(pool),
            Condition::HeldBack(until) => Err(NoPool::Failed(format!(
                "the plugin `{plugin}` traps again and again and is held back for {:?}; the log says why it traps",
                until.saturating_duration_since(Instant::now()),
            ))),
        }
    }

    /// The wall clock, for deadlines.
    pub(super) fn clock(&self) -> Clock {
        self.clock
    }

    /// Whether a plugin can post notes, as far as is known: one that couldn't be loaded may.
    pub fn writes(&self, plugin: &str) -> bool {
        self.slot(plugin).is_some_and(|slot| match slot.pool() {
            Ok(pool) => pool.admitted().interfaces().contains(&"writer"),
            Err(_) => true,
        })
    }

    /// What a plugin can do with what people do; `None` where there is none that can be asked.
    pub fn roles(&self, plugin: &str) -> Option<Roles> {
        let pool = self.slot(plugin)?.pool().ok()?;
        let exports = |interface| pool.admitted().exports(interface);
        Some(Roles { writer: exports(Interface::Writer), sink: exports(Interface::Sink) })
    }

    /// How every plugin is, by name.
    pub fn states(&self) -> Vec<PluginState> {
        self.slots().iter().map(|slot| slot.state(self.clock)).collect()
    }

    /// The instances of a plugin that wait for a call, the one that is called next last; none of one that
    /// can't be called.
    pub fn instances(&self, plugin: &str) -> Vec<InstanceState> {
        let pool = self.slot(plugin).and_then(|slot| slot.pool().ok());
        pool.map(|pool| pool.instances()).unwrap_or_default()
    }

    /// What became of changed files since the start.
    pub fn reloads(&self) -> ReloadTotals {
        self.reloads.totals()
    }

    /// What the cache did since the start; zeros where there is none.
    pub fn cache(&self) -> CacheTotals {
        self.loader.cache_totals()
    }

    pub(super) fn slots(&self) -> Vec<Arc<Slot>> {
        self.slots.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub(super) fn add(&self, slot: Arc<Slot>) {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        slots.insert(slot.name.clone(), slot);
    }

    fn slot(&self, plugin: &str) -> Option<Arc<Slot>> {
        self.slots.read().unwrap_or_else(PoisonError::into_inner).get(plugin).cloned()
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("plugins", &self.states()).finish_non_exhaustive()
    }
}

/// What became of a file for one of its users.
pub(super) enum Outcome {
    /// It can be swapped in.
    Loaded(Pool),
    /// It is what runs.
    Same,
    /// It can't be used.
    Refused(AdmitError),
}

/// Takes a file in for everybody who uses it. What one of them is refused for stops no other.
pub(super) async fn load_file(
    loader: &Loader,
    folder: &Path,
    file: &str,
    users: Vec<Arc<Slot>>,
) -> Vec<(Arc<Slot>, Outcome)> {
    let source = match folder::path(folder, file) {
        Ok(path) => loader.read(&path).await,
        Err(error) => Err(error),
    };
    let source = match source {
        Ok(source) => source,
        Err(error) => return all(users, &error),
    };
    let mut loaded = Vec::new();
    let mut fitting = Vec::new();
    for slot in users {
        let runs = slot.pool().is_ok_and(|pool| pool.version() == source.version);
        match loader::check_pin(&source, &slot.config) {
            Ok(()) if runs => loaded.push((slot, Outcome::Same)),
            Ok(()) => fitting.push(slot),
            Err(error) => loaded.push((slot, Outcome::Refused(error))),
        }
    }
    if fitting.is_empty() {
        return loaded;
    }
    match loader.compile(source).await {
        Ok(compiled) => {
            for slot in fitting {
                let outcome = slot.admit(loader, &compiled).await;
                loaded.push((slot, outcome));
            }
        }
        Err(error) => loaded.extend(all(fitting, &error)),
    }
    loaded
}

fn all(users: Vec<Arc<Slot>>, error: &AdmitError) -> Vec<(Arc<Slot>, Outcome)> {
    users.into_iter().map(|slot| (slot, Outcome::Refused(error.clone()))).collect()
}

impl Slot {
    /// A name that nothing runs under yet.
    pub(super) fn new(name: PluginName, config: PluginConfig) -> Arc<Self> {
        let shared = Arc::new(Shared::new(config.limits.concurrency));
        let current = RwLock::new(Current { plugin: Err(AdmitError::Missing), refused: None });
        Arc::new(Self { name, config, shared, current, swaps: AtomicU64::new(0) })
    }

    async fn admit(&self, loader: &Loader, compiled: &Compiled) -> Outcome {
        if let Err(error) = compiled.check_settings(&self.config) {
            return Outcome::Refused(error);
        }
        match loader.pool(compiled, &self.name, &self.config, self.shared.clone()).await {
            Ok(pool) => Outcome::Loaded(pool),
            Err(error) => Outcome::Refused(error),
        }
    }

    /// What was found at the start.
    fn start_with(&self, outcome: Outcome) {
        let file = &self.config.file;
        match outcome {
            Outcome::Loaded(pool) => {
                tracing::info!(plugin = %self.name, file, version = source::short(pool.version()), interfaces = ?pool.admitted().interfaces(), "plugin loaded");
                self.put(pool);
            }
            Outcome::Refused(error) => {
                tracing::error!(plugin = %self.name, file, %error, "plugin can't be used; the others go on");
                self.refuse(error);
            }
            Outcome::Same => {}
        }
    }

    /// Puts another version in the place of the one that runs. Calls under way finish on that.
    pub(super) fn swap(&self, pool: Pool) {
        self.put(pool);
        self.swaps.fetch_add(1, Relaxed);
    }

    fn put(&self, pool: Pool) {
        let next = Current { plugin: Ok(Arc::new(pool)), refused: None };
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *current, next);
        // What is dropped is dropped outside of the lock.
        drop(current);
        if let Ok(pool) = before.plugin {
            pool.retire();
        }
    }

    /// Leaves what runs, and remembers why. Where nothing runs, this is why.
    pub(super) fn refuse(&self, error: AdmitError) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        match &mut current.plugin {
            Ok(_) => current.refused = Some(error.to_string()),
            Err(failed) => *failed = error,
        }
    }

    /// The file is again what runs.
    pub(super) fn confirm(&self) {
        self.current.write().unwrap_or_else(PoisonError::into_inner).refused = None;
    }

    /// The version that runs, or why none does.
    pub(super) fn pool(&self) -> Result<Arc<Pool>, String> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.plugin.as_ref().map(Arc::clone).map_err(ToString::to_string)
    }

    fn state(&self, clock: Clock) -> PluginState {
        let refused = self.current.read().unwrap_or_else(PoisonError::into_inner).refused.clone();
        let (failed, pool) = match self.pool() {
            Ok(pool) => (None, Some(pool)),
            Err(why) => (Some(why), None),
        };
        let (health, held_back_until) = match pool.as_ref().map(|pool| pool.condition()) {
            None => (Health::Failed, None),
            Some(Condition::Sound) => (Health::Loaded, None),
            Some(Condition::OnTrial) => (Health::Unhealthy, None),
            Some(Condition::HeldBack(until)) => {
                let left = until.saturating_duration_since(Instant::now());
                (Health::HeldBack, Some((clock.now() + left).as_secs_f64()))
            }
        };
        let interfaces = pool.as_ref().map(|pool| pool.admitted().interfaces());
        let interfaces = interfaces.map(|names| names.into_iter().map(Cow::Borrowed).collect());
        let counters = self.shared.counters();
        PluginState {
            name: self.name.clone(),
            file: self.config.file.clone(),
            version: pool.as_ref().map(|pool| source::short(pool.version())),
            interfaces: interfaces.unwrap_or_default(),
            health,
            held_back_until,
            failed,
            refused,
            calls: counters.calls.load(Relaxed),
            failures: counters.failures.load(Relaxed),
            traps: counters.traps.load(Relaxed),
            repeats: counters.repeats.load(Relaxed),
            swaps: self.swaps.load(Relaxed),
        }
    }
}
