//! The plugins by name: what the rest of the host calls.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::admit::AdmitError;
use super::cache::CacheTotals;
use super::compiler::Compiler;
use super::exports::Interface;
use super::folder::{self, Look};
use super::loader::Loader;
use super::pool::{Pool, Queue, Shared};
use super::reload::{ReloadCounters, ReloadTotals};
use super::source;
use super::state::{Health, InstanceState, PluginState};
use super::supervise::Condition;
use super::take_in::Outcome;
use crate::clock::Clock;
use crate::config::{Cache, Plugin as PluginConfig};
use crate::egress::{Detour, Network, NetworkError};
use crate::ids::PluginName;
use crate::outbox::sink_delivery::Roles;

/// Every plugin, by the name that it is configured under.
pub struct Registry {
    pub(super) folder: PathBuf,
    pub(super) loader: Loader,
    slots: RwLock<BTreeMap<PluginName, Arc<Slot>>>,
    /// The folder before it was loaded; taken by whoever watches it.
    pub(super) first_look: Mutex<Option<Look>>,
    /// The files that the last look found.
    pub(super) found: Mutex<BTreeSet<String>>,
    /// Files that are to be taken in.
    pub(super) wanted: Mutex<BTreeSet<String>>,
    /// Told when there are more of them.
    pub(super) more_wanted: Notify,
    /// Told when a plugin was read, loaded or refused.
    progress: watch::Sender<()>,
    pub(super) reloads: ReloadCounters,
    clock: Clock,
}

/// One plugin, whatever its version.
pub(super) struct Slot {
    pub(super) name: PluginName,
    pub(super) config: PluginConfig,
    pub(super) shared: Arc<Shared>,
    current: RwLock<Current>,
    /// Whether anything came of its file yet.
    begun: AtomicBool,
    swaps: AtomicU64,
}

/// What runs under a name.
struct Current {
    plugin: Result<Arc<Pool>, Absent>,
    /// What the exports in its file say that it does, once that was read.
    roles: Option<Roles>,
    /// Why the file isn't what runs.
    refused: Option<String>,
}

/// Why nothing runs under a name.
#[derive(Debug, Clone)]
pub(super) enum Absent {
    /// Its file has yet to be read.
    Unread,
    /// Its file is being compiled, or waits for its turn.
    Compiling,
    /// It can't be used.
    Failed(AdmitError),
}

/// Why a plugin can't be called.
pub(super) enum NoPool {
    /// No plugin has this name.
    Unknown,
    /// It is being compiled.
    Compiling,
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

    /// As [`Registry::load_by`], for trying plugins out: what they send to some hosts goes to fakes.
    ///
    /// # Errors
    /// As [`Registry::load`].
    pub async fn load_on_trial(
        compiler: Compiler,
        from: &Path,
        plugins: &BTreeMap<PluginName, PluginConfig>,
        detours: Vec<Detour>,
        cache: Option<&Cache>,
    ) -> Result<Self, LoadError> {
        let network = Network::new()?.with_detours(detours);
        let registry = Self::with(Loader::new(cache, compiler, network)?, from, plugins)?;
        registry.take_in_wanted().await;
        Ok(registry)
    }

    /// A registry that has yet to read what is configured: [`Registry::watch`] does. Until a plugin is
    /// compiled, its calls are answered as those of a platform that asks for a pause: no attempt is burned.
    ///
    /// # Errors
    /// As [`Registry::load`].
    pub fn open(
        compiler: Compiler,
        from: &Path,
        plugins: &BTreeMap<PluginName, PluginConfig>,
        cache: Option<&Cache>,
    ) -> Result<Self, LoadError> {
        Self::with(Loader::new(cache, compiler, Network::new()?)?, from, plugins)
    }

    fn with(
        loader: Loader,
        from: &Path,
        plugins: &BTreeMap<PluginName, PluginConfig>,
    ) -> Result<Self, LoadError> {
        let files: BTreeSet<_> = plugins.values().map(|plugin| plugin.file.clone()).collect();
        // Before anything is read: what changes while it is read is seen as a change.
        let look = folder::look(from, &files)?;
        look.warn_of_left_out(0);
        let found: BTreeSet<_> = look.files.keys().cloned().collect();
        for file in found.difference(&files) {
            folder::tell_stray(file);
        }
        let slots = plugins
            .iter()
            .map(|(name, config)| (name.clone(), Slot::new(name.clone(), config.clone())));
        Ok(Self {
            folder: from.to_owned(),
            loader,
            slots: RwLock::new(slots.collect()),
            first_look: Mutex::new(Some(look)),
            found: Mutex::new(found),
            wanted: Mutex::new(files),
            more_wanted: Notify::new(),
            progress: watch::Sender::new(()),
            reloads: ReloadCounters::default(),
            clock: Clock::system(),
        })
    }

    /// Has a file taken in, again where it was, by whoever watches.
    pub(super) fn want(&self, file: &str) {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner).insert(file.to_owned());
        self.more_wanted.notify_one();
    }

    /// Waits until of every plugin it is known what it exports, or that its file can't be read.
    pub async fn surveyed(&self) {
        self.until(|slot| !matches!(slot.absent(), Some(Absent::Unread))).await;
    }

    /// Waits until every plugin runs or can't be used. With nobody who watches it may wait for ever.
    pub async fn loaded(&self) {
        self.until(|slot| matches!(slot.absent(), None | Some(Absent::Failed(_)))).await;
    }

    /// Whether [`Registry::surveyed`] would wait.
    pub fn is_surveyed(&self) -> bool {
        !self.slots().iter().any(|slot| matches!(slot.absent(), Some(Absent::Unread)))
    }

    async fn until(&self, is: impl Fn(&Slot) -> bool) {
        let mut progress = self.progress.subscribe();
        // The sender is ours: it isn't gone.
        while !self.slots().iter().all(|slot| is(slot)) && progress.changed().await.is_ok() {}
    }

    /// Tells who waits for it that a plugin was read, loaded or refused.
    pub(super) fn progressed(&self) {
        self.progress.send_replace(());
    }

    /// The plugin's instances, for calls of this kind. Whoever holds them stays with one version.
    pub(super) fn pool(&self, plugin: &str, queue: Queue) -> Result<Arc<Pool>, NoPool> {
        let slot = self.slot(plugin).ok_or(NoPool::Unknown)?;
        let pool = slot.pool().map_err(|absent| match absent {
            Absent::Unread | Absent::Compiling => NoPool::Compiling,
            Absent::Failed(error) => NoPool::Failed(error.to_string()),
        })?;
        match pool.condition(queue) {
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

    /// Whether a plugin can post notes, as far as is known: one that couldn't be read may.
    pub fn writes(&self, plugin: &str) -> bool {
        self.slot(plugin).is_some_and(|slot| slot.roles().is_none_or(|roles| roles.writer))
    }

    /// What a plugin can do with what people do, by its file where it doesn't run yet; `None` where there is
    /// none that could be told of.
    pub fn roles(&self, plugin: &str) -> Option<Roles> {
        self.slot(plugin)?.roles()
    }

    /// How every plugin is, by name; after them the files of the folder that nobody configured.
    pub fn states(&self) -> Vec<PluginState> {
        let slots = self.slots();
        let mut states: Vec<_> = slots.iter().map(|slot| slot.state(self.clock)).collect();
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let strays =
            found.iter().filter(|file| slots.iter().all(|slot| slot.config.file != **file));
        let is_taken = |name: &str| slots.iter().any(|slot| &*slot.name == name);
        states.extend(strays.map(|file| PluginState::stray(file, is_taken)));
        states
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

    /// Adds a slot; returns the one that was there under its name.
    pub(super) fn add(&self, slot: Arc<Slot>) -> Option<Arc<Slot>> {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        slots.insert(slot.name.clone(), slot)
    }

    /// Removes a slot; nothing is called under its name from here on.
    pub(super) fn remove(&self, plugin: &str) -> Option<Arc<Slot>> {
        self.slots.write().unwrap_or_else(PoisonError::into_inner).remove(plugin)
    }

    pub(super) fn slot(&self, plugin: &str) -> Option<Arc<Slot>> {
        self.slots.read().unwrap_or_else(PoisonError::into_inner).get(plugin).cloned()
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("plugins", &self.states()).finish_non_exhaustive()
    }
}

impl Slot {
    /// A name that nothing runs under yet.
    pub(super) fn new(name: PluginName, config: PluginConfig) -> Arc<Self> {
        let shared = Arc::new(Shared::new(config.limits.concurrency));
        Self::over(name, config, shared, 0)
    }

    /// The same name with other settings, under which nothing runs yet. What was counted, and which webhooks were
    /// taken, goes on.
    pub(super) fn succeeded_by(&self, config: PluginConfig) -> Arc<Self> {
        let shared = if config.limits.concurrency == self.config.limits.concurrency {
            self.shared.clone()
        } else {
            Arc::new(self.shared.with_room_for(config.limits.concurrency))
        };
        Self::over(self.name.clone(), config, shared, self.swaps.load(Relaxed) + 1)
    }

    fn over(name: PluginName, config: PluginConfig, shared: Arc<Shared>, swaps: u64) -> Arc<Self> {
        let current = Current { plugin: Err(Absent::Unread), roles: None, refused: None };
        let (current, begun) = (RwLock::new(current), AtomicBool::new(false));
        Arc::new(Self { name, config, shared, current, begun, swaps: AtomicU64::new(swaps) })
    }

    /// Another slot has its name. Idle instances go at once, the others with their calls.
    pub(super) fn retire(&self) {
        if let Ok(pool) = self.pool() {
            pool.retire();
        }
    }

    /// Its file was read, and is compiled from here on unless it runs already.
    pub(super) fn survey(&self, roles: Option<Roles>) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.plugin.is_err() {
            current.plugin = Err(Absent::Compiling);
            current.roles = roles;
        }
    }

    /// Takes what became of its file.
    pub(super) fn settle(&self, outcome: Outcome, reloads: &ReloadCounters) {
        let file = &self.config.file;
        let before = self.current.read().unwrap_or_else(PoisonError::into_inner).plugin.clone();
        let begins = !self.begun.swap(true, Relaxed);
        match (outcome, before) {
            (Outcome::Loaded(pool), _) if begins => {
                tracing::info!(plugin = %self.name, file, version = source::short(pool.version()), interfaces = ?pool.admitted().interfaces(), "plugin loaded");
                self.put(*pool);
            }
            (Outcome::Refused(error), Err(_)) if begins => {
                tracing::error!(plugin = %self.name, file, %error, "plugin can't be used; the others go on");
                self.refuse(error);
            }
            (Outcome::Loaded(pool), before) => {
                let before = before.ok().map(|pool| source::short(pool.version()));
                tracing::info!(plugin = %self.name, file, version = source::short(pool.version()), before, interfaces = ?pool.admitted().interfaces(), "plugins: swapped in");
                self.put(*pool);
                self.swaps.fetch_add(1, Relaxed);
                reloads.swapped();
            }
            (Outcome::Refused(error), before) => {
                let goes_on = before.ok().map(|pool| source::short(pool.version()));
                tracing::error!(plugin = %self.name, file, %error, goes_on, "plugins: the file can't be used; what runs goes on");
                self.refuse(error);
                reloads.refused();
            }
            (Outcome::Same, _) => {
                self.current.write().unwrap_or_else(PoisonError::into_inner).refused = None;
                tracing::info!(plugin = %self.name, file, "plugins: the file is what runs already");
            }
        }
    }

    /// Puts a version in the place of the one that runs. Calls under way finish on that.
    fn put(&self, pool: Pool) {
        let next = Current { plugin: Ok(Arc::new(pool)), roles: None, refused: None };
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
            Err(absent) => *absent = Absent::Failed(error),
        }
    }

    /// The version that runs, or why none does.
    pub(super) fn pool(&self) -> Result<Arc<Pool>, Absent> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).plugin.clone()
    }

    /// Why nothing runs, where nothing does.
    fn absent(&self) -> Option<Absent> {
        self.pool().err()
    }

    fn roles(&self) -> Option<Roles> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        let Ok(pool) = &current.plugin else { return current.roles };
        let exports = |interface| pool.admitted().exports(interface);
        Some(Roles { writer: exports(Interface::Writer), sink: exports(Interface::Sink) })
    }

    fn state(&self, clock: Clock) -> PluginState {
        let refused = self.current.read().unwrap_or_else(PoisonError::into_inner).refused.clone();
        let epoch = |until: Instant| {
            (clock.now() + until.saturating_duration_since(Instant::now())).as_secs_f64()
        };
        let (mut health, mut held_back_until, mut webhooks_trap, mut failed) =
            (Health::Loaded, None, false, None);
        let pool = self.pool();
        match &pool {
            Err(Absent::Unread | Absent::Compiling) => health = Health::Compiling,
            Err(Absent::Failed(error)) => {
                (health, failed) = (Health::Failed, Some(error.to_string()));
            }
            Ok(pool) => {
                match pool.condition(Queue::Posts) {
                    Condition::Sound => {}
                    Condition::OnTrial => health = Health::Unhealthy,
                    Condition::HeldBack(until) => {
                        (health, held_back_until) = (Health::HeldBack, Some(epoch(until)));
                    }
                }
                webhooks_trap = pool.condition(Queue::Webhooks) != Condition::Sound;
            }
        }
        let pool = pool.ok();
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
            webhooks_trap,
            failed,
            refused,
            next_step: None,
            calls: counters.calls.load(Relaxed),
            failures: counters.failures.load(Relaxed),
            traps: counters.traps.load(Relaxed),
            repeats: counters.repeats.load(Relaxed),
            swaps: self.swaps.load(Relaxed),
        }
    }
}
