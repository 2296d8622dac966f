//! One plugin by its name: what runs under it, and what comes in its place.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::time::Instant;

use super::error::AdmitError;
use super::exports::Interface;
use super::pool::{Pool, Queue, Shared};
use super::source;
use super::state::{Health, PluginState, ReloadTotals};
use super::supervise::Condition;
use super::tally::Tally;
use crate::clock::Clock;
use crate::config::Plugin as PluginConfig;
use crate::ids::PluginName;
use crate::outbox::sink_delivery::Roles;

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

/// The result of a file for one of its users.
pub(super) enum Outcome {
    /// It can be swapped in.
    Loaded(Box<Pool>),
    /// It is what runs.
    Same,
    /// It can't be used.
    Refused(AdmitError),
}

impl Slot {
    /// A name that nothing runs under yet.
    pub(super) fn new(name: PluginName, config: PluginConfig) -> Arc<Self> {
        let shared = Arc::new(Shared::new(config.limits.concurrency));
        Self::over(name, config, shared, 0)
    }

    /// The same name with other settings, under which nothing runs yet. What was counted, and which webhooks
    /// were accepted, goes on.
    pub(super) fn succeeded_by(&self, config: PluginConfig) -> Arc<Self> {
        let shared = if config.limits.concurrency == self.config.limits.concurrency {
            self.shared.clone()
        } else {
            Arc::new(self.shared.with_capacity_for(config.limits.concurrency))
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

    /// Takes the result of its file.
    pub(super) fn settle(&self, outcome: Outcome, reloads: &Tally<ReloadTotals>) {
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
                reloads.count(|totals| totals.swapped += 1);
            }
            (Outcome::Refused(error), Err(_)) => {
                tracing::error!(plugin = %self.name, file, %error, "plugins: it can't be used yet; the others go on");
                self.refuse(error);
                reloads.count(|totals| totals.refused += 1);
            }
            (Outcome::Refused(error), Ok(before)) => {
                let goes_on = source::short(before.version());
                tracing::error!(plugin = %self.name, file, %error, goes_on, "plugins: the file can't be used; what runs goes on");
                self.refuse(error);
                reloads.count(|totals| totals.refused += 1);
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
    pub(super) fn absent(&self) -> Option<Absent> {
        self.pool().err()
    }

    /// What it can do, by its file where it doesn't run; `None` where that can't be told.
    pub(super) fn roles(&self) -> Option<Roles> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        let Ok(pool) = &current.plugin else { return current.roles };
        let exports = |interface| pool.admitted().exports(interface);
        Some(Roles { writer: exports(Interface::Writer), sink: exports(Interface::Sink) })
    }

    /// How it is, for people.
    pub(super) fn state(&self, clock: Clock) -> PluginState {
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
            mean_call_ms: counters.mean_call().map(|mean| 1000.0 * mean.as_secs_f64()),
            last_trap: counters.last_trap(|at| (clock.now() - at.elapsed()).as_secs_f64()),
        }
    }
}
