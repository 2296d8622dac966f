//! The plugins by name: what the rest of the host calls.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::cache::CacheTotals;
use super::compiler::Compiler;
use super::counters::PluginTotals;
use super::error::LoadError;
use super::folder::{self, Look};
use super::kv::{KvOfCall, TimersOfCall};
use super::lines::Line;
use super::loader::Loader;
use super::pool::{Around, Pool, Queue};
use super::shadow::reads::Remembering;
use super::shadow::shadows::Shadows;
use super::shadow::watch::Watch;
use super::slot::{Absent, Slot};
use super::state::{InstanceState, PluginState, ReloadTotals};
use super::supervise::Condition;
use super::tally::Tally;
use crate::clock::Clock;
use crate::config::{Cache, Config, Plugin as PluginConfig, Sha256};
use crate::egress::Network;
use crate::histogram::Distribution;
use crate::ids::PluginName;
use crate::kv::CallKv;
use crate::outbox::sink_delivery::Roles;
use crate::store::Store;
use crate::timer::TimersHeld;
use crate::traces::{SpanTotals, TraceContext, Traces};

/// Every plugin, by the name that it is configured under.
pub struct Registry {
    pub(super) folder: PathBuf,
    pub(super) loader: Loader,
    slots: RwLock<BTreeMap<PluginName, Arc<Slot>>>,
    /// The folder before it was loaded; used by whoever watches it.
    first_look: Mutex<Option<Look>>,
    /// The files that the last look found.
    found: Mutex<BTreeSet<String>>,
    /// Files that are to be loaded.
    wanted: Mutex<BTreeSet<String>>,
    /// Told when there are more of them.
    more_wanted: Notify,
    /// Told when a plugin was read, loaded or refused.
    progress: watch::Sender<()>,
    pub(super) reloads: Tally<ReloadTotals>,
    clock: Clock,
    traces: Traces,
    /// Where what plugins keep under keys is read; without one they keep nothing.
    store: Option<Arc<dyn Store>>,
    /// How many timers each plugin has.
    timers: TimersHeld,
    /// New versions that are tried on live calls.
    pub(super) shadows: Shadows,
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

impl Registry {
    /// A registry that has yet to read what is configured: [`Registry::watch`] does. Until a plugin
    /// is compiled, its calls are answered as those of a platform that asks for a pause: no attempt
    /// is used up.
    ///
    /// # Errors
    /// As [`Registry::load`].
    pub fn open(
        compiler: Compiler,
        from: &Path,
        plugins: &BTreeMap<PluginName, PluginConfig>,
        cache: Option<&Cache>,
    ) -> Result<Self, LoadError> {
        Self::with(Loader::new(cache, compiler, Network::new())?, from, plugins)
    }

    /// As [`Registry::open`], of these plugins of a configuration, by its rules of where they may come from.
    ///
    /// # Errors
    /// As [`Registry::load`].
    pub fn open_of(
        compiler: Compiler,
        config: &Config,
        plugins: &BTreeMap<PluginName, PluginConfig>,
    ) -> Result<Self, LoadError> {
        let loader = Loader::new(Some(&config.cache), compiler, Network::new())?;
        Self::with(loader.supplied(&config.supply), &config.plugins_folder, plugins)
    }

    /// As [`Registry::open`], with a loader.
    pub(super) fn with(
        loader: Loader,
        from: &Path,
        plugins: &BTreeMap<PluginName, PluginConfig>,
    ) -> Result<Self, LoadError> {
        let files: BTreeSet<_> = plugins.values().map(|plugin| plugin.file.clone()).collect();
        // Before anything is read: what changes while it is read is seen as a change.
        let look = folder::look(from, &files)?;
        look.warn_of_left_out(0);
        let found = look.components();
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
            reloads: Tally::default(),
            clock: Clock::system(),
            traces: Traces::off(),
            store: None,
            timers: TimersHeld::default(),
            shadows: Shadows::default(),
        })
    }

    /// Records spans of its calls and of their requests.
    #[must_use]
    pub fn with_traces(mut self, traces: Traces) -> Self {
        self.traces = traces;
        self
    }

    /// Has plugins read here what they keep under keys. Who makes their calls stores what they write.
    #[must_use]
    pub fn with_store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    /// Has plugins' timers counted here, by whoever stores them.
    #[must_use]
    pub fn with_timers(mut self, timers: TimersHeld) -> Self {
        self.timers = timers;
        self
    }

    /// Where plugins read what they keep.
    pub(super) fn store(&self) -> Option<&Arc<dyn Store>> {
        self.store.as_ref()
    }

    /// How many timers of a plugin wait.
    pub fn timers_of(&self, plugin: &str) -> u64 {
        self.timers.of(plugin)
    }

    /// How many timers of all plugins wait.
    pub fn timers(&self) -> u64 {
        self.timers.all()
    }

    /// What a call of a plugin has beside what it is given, and what watches it for a shadow where there is one.
    pub(super) fn around(
        &self,
        pool: &Pool,
        call: &CallKv,
        place: Option<TraceContext>,
    ) -> (Around, Option<Arc<Watch>>) {
        let shadow = self.shadows.of(pool.name(), pool.version());
        let watch = shadow.map(|it| Arc::new(it.watch(call, self.timers.of(pool.name()))));
        let kv = self.kv(call, watch.as_deref());
        (Around { place, kv, watch: watch.clone() }, watch)
    }

    /// What a call may read and write of what its plugin keeps.
    fn kv(&self, call: &CallKv, watch: Option<&Watch>) -> KvOfCall {
        let Some(store) = self.store.clone() else { return KvOfCall::none() };
        let store = match watch {
            Some(watch) => Arc::new(Remembering { store, reads: watch.reads.clone() }),
            None => store,
        };
        let timers = TimersOfCall { clock: self.clock, held: self.timers.clone(), stored: None };
        KvOfCall::of(store, call, timers)
    }

    /// How many spans became what.
    pub fn spans(&self) -> SpanTotals {
        self.traces.totals()
    }

    /// Where spans go.
    pub(super) fn traces(&self) -> &Traces {
        &self.traces
    }

    /// Has a file loaded, again where it was, by whoever watches.
    pub(super) fn want(&self, file: &str) {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner).insert(file.to_owned());
        self.more_wanted.notify_one();
    }

    /// What is to be loaded: whoever asks does it.
    pub(super) fn take_wanted(&self) -> BTreeSet<String> {
        std::mem::take(&mut *self.wanted.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until more is to be loaded.
    pub(super) async fn more_wanted(&self) {
        self.more_wanted.notified().await;
    }

    /// The folder as it was before it was loaded; for whoever asks first.
    pub(super) fn take_first_look(&self) -> Option<Look> {
        self.first_look.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Takes down which files the folder has.
    pub(super) fn found(&self, files: BTreeSet<String>) {
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = files;
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

    /// The latest lines that a configured plugin wrote, behind the one of this number; `None` where there is no such
    /// plugin.
    pub fn lines(&self, plugin: &str, behind: u64, limit: usize) -> Option<Vec<Line>> {
        Some(self.slot(plugin)?.shared.lines().behind(behind, limit))
    }

    /// The results of changed files since the start.
    pub fn reloads(&self) -> ReloadTotals {
        self.reloads.totals()
    }

    /// What was counted of every configured plugin, by name.
    pub fn totals(&self) -> Vec<(PluginName, PluginTotals)> {
        self.slots().iter().map(|slot| (slot.name.clone(), slot.shared.totals())).collect()
    }

    /// How long it took to compile plugins since the start.
    pub fn compile_times(&self) -> Distribution {
        self.loader.compile_times()
    }

    /// What the cache did since the start; zeros where there is none.
    pub fn cache(&self) -> CacheTotals {
        self.loader.cache_totals()
    }

    pub(super) fn slots(&self) -> Vec<Arc<Slot>> {
        self.slots.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// What is in use of what was pulled.
    pub(super) fn pinned(&self) -> BTreeSet<Sha256> {
        let slots = self.slots();
        slots.iter().filter_map(|slot| Some(slot.config.registry.as_ref()?.digest)).collect()
    }

    /// Who uses a file.
    pub(super) fn users(&self, file: &str) -> Vec<Arc<Slot>> {
        self.slots().into_iter().filter(|slot| slot.config.file == file).collect()
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
