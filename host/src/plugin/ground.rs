//! What every instance of a plugin shares.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::counters::Counters;
use super::cpu_permits::CpuPermits;
use super::lines::Lines;
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
}
