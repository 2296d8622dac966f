//! What waits to be delivered, counted when somebody asks. Nothing is decided by it.

use std::collections::BTreeMap;

use super::Deliveries;
use super::kind::Kind;
use super::lanes::Lanes;
use super::pipeline::Pipeline;
use crate::clock::Timestamp;
use crate::engine::order::LaneKind;
use crate::ids::{PluginName, SessionKey};

/// What waits for one plugin, as far as its sessions are in memory: one whose lane waits for a person may not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backlog {
    /// The plugin.
    pub plugin: PluginName,
    /// Notes, what is for a sink, or due timers.
    pub kind: LaneKind,
    /// How many wait, those in flight and batches that are due included.
    pub waiting: u64,
    /// Since when the oldest of them waits.
    pub oldest: Option<Timestamp>,
}

impl Deliveries {
    /// What waits for each plugin. `open` tells since when the open batch of a session waits.
    pub(in crate::engine) fn backlog(
        &self,
        open: impl Fn(&SessionKey) -> Option<Timestamp>,
    ) -> Vec<Backlog> {
        let mut backlog = of_kind(LaneKind::Note, &self.notes, open);
        backlog.extend(of_kind(LaneKind::Sink, &self.sinks, |_| None));
        backlog.extend(of_kind(LaneKind::Timer, &self.timers, |_| None));
        backlog
    }
}

fn of_kind<K: Kind>(
    kind: LaneKind,
    pipeline: &Pipeline<Lanes<K>>,
    open: impl Fn(&SessionKey) -> Option<Timestamp>,
) -> Vec<Backlog> {
    let mut of_plugins: BTreeMap<&PluginName, Backlog> = BTreeMap::new();
    for (key, lanes) in pipeline.iter() {
        for (plugin, waiting, since) in lanes.waiting() {
            let of_plugin = of_plugins.entry(plugin).or_insert_with(|| Backlog {
                plugin: plugin.clone(),
                kind,
                waiting: 0,
                oldest: None,
            });
            of_plugin.waiting += waiting as u64;
            let since = since.or_else(|| open(key));
            of_plugin.oldest = of_plugin.oldest.into_iter().chain(since).min();
        }
    }
    of_plugins.into_values().collect()
}
