//! The shadows by their plugins.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::files::Kept;
use super::sums::{ExportReport, ShadowTotals};
use super::watch::Comparison;
use crate::config::Sha256;
use crate::ids::PluginName;
use crate::plugin::slot::Slot;
use crate::plugin::source;

/// The shadows, one per plugin at most.
#[derive(Default)]
pub(in crate::plugin) struct Shadows {
    entries: RwLock<BTreeMap<PluginName, Entry>>,
    /// Whether there is one that compares: most calls ask no further.
    any: AtomicBool,
    /// One at a time starts, ends and follows what its plugin became.
    pub(super) changing: tokio::sync::Mutex<()>,
    /// Told when a plugin may have become another one, or a shadow is to be started.
    pub(super) changed: Notify,
}

/// A shadow, or the last one and how it ended.
pub(super) struct Entry {
    /// What is kept of it.
    pub(super) kept: Kept,
    /// How far it is.
    pub(super) stage: Stage,
    /// Why it was begun anew, waits, or ended.
    pub(super) word: Option<String>,
}

/// How far a shadow is.
pub(super) enum Stage {
    /// It is being compiled.
    Compiling,
    /// Its plugin doesn't run.
    Waiting,
    /// It is given what live calls are given.
    Comparing(Running),
    /// It is no more.
    Ended,
}

/// A shadow that compares.
pub(super) struct Running {
    /// Where calls are recorded, and what was found.
    pub(super) comparison: Arc<Comparison>,
    /// The plugin as it was configured then.
    pub(super) slot: Arc<Slot>,
    /// Since when, in seconds since the epoch.
    pub(super) since: f64,
    /// What the plugin exports and the new version doesn't.
    pub(super) missing_exports: Vec<String>,
    /// Ends it.
    pub(super) stop: CancellationToken,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// How far a shadow is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ShadowState {
    /// The new version is being compiled.
    Compiling,
    /// The plugin itself doesn't run at the moment.
    Waiting,
    /// The new version is given what live calls are given.
    Comparing,
    /// The shadow is no more: `word` says why.
    Ended,
}

/// What a new version of a plugin does differently. No value of a request or of an answer is in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ShadowReport {
    /// The plugin.
    pub plugin: PluginName,
    /// How far its shadow is.
    pub state: ShadowState,
    /// Why it was begun anew, waits, or ended.
    pub word: Option<String>,
    /// The version that runs, by the first digits of its hash.
    pub live_version: Option<String>,
    /// The new one.
    pub version: String,
    /// When the shadow was started, in seconds since the epoch.
    pub started_at: f64,
    /// Since when calls are compared: a restart and a reload begin anew.
    pub since: Option<f64>,
    /// Interfaces that the plugin exports and the new version doesn't.
    pub missing_exports: Vec<String>,
    /// How many calls came to what.
    pub totals: ShadowTotals,
    /// What was found in each export that was called.
    pub exports: Vec<ExportReport>,
}

impl Entry {
    fn report(&self, plugin: &PluginName) -> ShadowReport {
        let state = match self.stage {
            Stage::Compiling => ShadowState::Compiling,
            Stage::Waiting => ShadowState::Waiting,
            Stage::Comparing(_) => ShadowState::Comparing,
            Stage::Ended => ShadowState::Ended,
        };
        let running = match &self.stage {
            Stage::Comparing(running) => Some(running),
            Stage::Compiling | Stage::Waiting | Stage::Ended => None,
        };
        let sums = running.map(|running| running.comparison.sums());
        ShadowReport {
            plugin: plugin.clone(),
            state,
            word: self.word.clone(),
            live_version: running.map(|running| source::short(running.comparison.live)),
            version: source::short(self.kept.sha256),
            started_at: self.kept.started_at,
            since: running.map(|running| running.since),
            missing_exports: running.map(|it| it.missing_exports.clone()).unwrap_or_default(),
            totals: sums.as_ref().map(|sums| sums.totals()).unwrap_or_default(),
            exports: sums.map(|sums| sums.exports()).unwrap_or_default(),
        }
    }
}

impl Shadows {
    /// A plugin may have become another one: its shadow is to follow.
    pub(in crate::plugin) fn follow(&self) {
        self.changed.notify_one();
    }

    /// Ends the work on all of them. What is kept stays.
    pub(super) fn rest(&self) {
        self.change(std::mem::take);
    }

    /// The shadow that calls of this version of a plugin are recorded for.
    pub(in crate::plugin) fn of(&self, plugin: &str, version: Sha256) -> Option<Arc<Comparison>> {
        if !self.any.load(Relaxed) {
            return None;
        }
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        match &entries.get(plugin)?.stage {
            Stage::Comparing(running) if running.comparison.live == version => {
                Some(running.comparison.clone())
            }
            Stage::Comparing(_) | Stage::Compiling | Stage::Waiting | Stage::Ended => None,
        }
    }

    /// How the shadow of a plugin is, or the last one was.
    pub(super) fn report(&self, plugin: &str) -> Option<ShadowReport> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let (name, entry) = entries.get_key_value(plugin)?;
        Some(entry.report(name))
    }

    /// The totals of those that compare.
    pub(super) fn totals(&self) -> Vec<(PluginName, ShadowTotals)> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let totals = |(name, entry): (&PluginName, &Entry)| match &entry.stage {
            Stage::Comparing(running) => Some((name.clone(), running.comparison.totals())),
            Stage::Compiling | Stage::Waiting | Stage::Ended => None,
        };
        entries.iter().filter_map(totals).collect()
    }

    /// The plugins that have one which hasn't ended.
    pub(super) fn plugins(&self) -> Vec<PluginName> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let there = entries.iter().filter(|(_, entry)| !matches!(entry.stage, Stage::Ended));
        there.map(|(name, _)| name.clone()).collect()
    }

    /// Looks at the one of a plugin.
    pub(super) fn look<T>(&self, plugin: &str, look: impl FnOnce(&Entry) -> T) -> Option<T> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).get(plugin).map(look)
    }

    /// Has this one in the place of another.
    pub(super) fn put(&self, plugin: &PluginName, entry: Entry) {
        self.change(|entries| entries.insert(plugin.clone(), entry));
    }

    /// Has one be somewhere else.
    pub(super) fn become_(&self, plugin: &str, stage: Stage, word: Option<String>) {
        self.change(|entries| {
            let entry = entries.get_mut(plugin)?;
            entry.word = word;
            Some(std::mem::replace(&mut entry.stage, stage))
        });
    }

    /// Forgets the one of a plugin.
    pub(super) fn forget(&self, plugin: &str) {
        self.change(|entries| entries.remove(plugin));
    }

    fn change<T>(&self, change: impl FnOnce(&mut BTreeMap<PluginName, Entry>) -> T) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let before = change(&mut entries);
        let any = entries.values().any(|entry| matches!(entry.stage, Stage::Comparing(_)));
        self.any.store(any, Relaxed);
        // What is dropped is dropped outside of the lock.
        drop(entries);
        drop(before);
    }
}
