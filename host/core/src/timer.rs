//! Timers that plugins set: what a call asks for, and how many each plugin has.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::bytes::Bytes;
use crate::clock::Timestamp;
use crate::ids::PluginName;

/// No timer is due sooner than this behind the call that sets it: one that sets itself again never keeps the host busy.
pub const SHORTEST: Duration = Duration::from_secs(1);

/// A timer as a call sets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetTimer {
    /// When it is due.
    pub at: Timestamp,
    /// When it was set, where its delay was given; `None` where its moment was.
    pub set_at: Option<Timestamp>,
    /// What the plugin is given back.
    pub payload: Bytes,
}

/// How many timers of each plugin wait. Cloning shares it.
#[derive(Clone, Default)]
pub struct TimersHeld(Arc<Mutex<HashMap<PluginName, u64>>>);

impl TimersHeld {
    /// A plugin has so many timers, and no other has any.
    pub fn holding(plugin: &PluginName, timers: u64) -> Self {
        Self(Arc::new(Mutex::new(HashMap::from([(plugin.clone(), timers)]))))
    }

    /// How many timers of a plugin wait, those that are due left out.
    pub fn of(&self, plugin: &str) -> u64 {
        self.open().get(plugin).copied().unwrap_or_default()
    }

    /// How many timers of all plugins wait.
    pub fn all(&self) -> u64 {
        self.open().values().sum()
    }

    /// So many more wait.
    pub(crate) fn add(&self, plugin: &PluginName, timers: u64) {
        *self.open().entry(plugin.clone()).or_default() += timers;
    }

    /// So many wait no more.
    pub(crate) fn take(&self, plugin: &PluginName, timers: u64) {
        let mut held = self.open();
        let left = held.get(plugin).copied().unwrap_or_default().saturating_sub(timers);
        match left {
            0 => drop(held.remove(plugin)),
            _ => drop(held.insert(plugin.clone(), left)),
        }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<PluginName, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for TimersHeld {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TimersHeld({})", self.all())
    }
}
