//! What every instance of a plugin shares.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::counters::Counters;
use super::cpu_permits::CpuPermits;
use super::lines::Lines;
use super::manifest::Mismatch;
use super::samples::Samples;
use super::stdout::Stdout;
use crate::config::PluginLimits;
use crate::egress::EgressClient;
use crate::ids::PluginName;

/// What is granted to a plugin and what it is bounded by, for one version of it.
pub(super) struct Ground {
    pub(super) name: PluginName,
    pub(super) config: BTreeMap<String, String>,
    pub(super) limits: PluginLimits,
    pub(super) egress: EgressClient,
    /// Whether it may keep something under keys.
    pub(super) kv: bool,
    /// Whether it may set timers.
    pub(super) timer: bool,
    /// Whether it exports what is called for a timer.
    pub(super) wakes: bool,
    /// The host's standard output, where it is granted.
    pub(super) stdout: Option<Stdout>,
    pub(super) permits: Arc<CpuPermits>,
    pub(super) counters: Arc<Counters>,
    /// Where what it computes is kept, while it is tried out.
    pub(super) samples: Option<Samples>,
    /// What it wrote lately.
    pub(super) lines: Arc<Lines>,
    /// What it asks for and isn't granted.
    pub(super) unmet: Vec<Mismatch>,
    /// Whether it is a shadow's, which reaches nobody.
    pub(super) is_shadow: bool,
}

impl Ground {
    /// The same for a shadow: what it asks for leads nowhere, and what it does is counted by nobody.
    pub(super) fn shadowed(&self) -> Self {
        Self {
            name: self.name.clone(),
            config: self.config.clone(),
            limits: self.limits.clone(),
            egress: self.egress.without_network(),
            kv: self.kv,
            timer: self.timer,
            wakes: self.wakes,
            stdout: None,
            permits: Arc::new(CpuPermits::new()),
            counters: Arc::default(),
            samples: None,
            lines: Arc::default(),
            unmet: self.unmet.clone(),
            is_shadow: true,
        }
    }
}
