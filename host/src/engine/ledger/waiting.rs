//! How much waits, per plugin: what a host says when it stops.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::engine::core::rows::decode;
use crate::ids::PluginName;
use crate::store::{Store, StoreError, Table};

/// Rows that are read at once: they hold whole notes.
const PAGE: usize = 256;
/// Rows that are counted at most.
const MOST: usize = 20_000;

/// What waits in the store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waiting {
    /// How many notes, by plugin.
    pub notes: BTreeMap<PluginName, u64>,
    /// How many batches and summaries for sinks, by sink.
    pub for_sinks: BTreeMap<PluginName, u64>,
    /// How many due timers, by plugin.
    pub timers: BTreeMap<PluginName, u64>,
    /// Whether there are more than were counted.
    pub more: bool,
}

/// The plugin of a note, of what is for a sink, or of a timer.
#[derive(Deserialize)]
struct Of {
    plugin: PluginName,
}

/// Counts what waits.
///
/// # Errors
/// The store can't be read.
pub async fn waiting(store: &dyn Store) -> Result<Waiting, StoreError> {
    let (notes, more_notes) = counted(store, Table::Outbox).await?;
    let (for_sinks, more_for_sinks) = counted(store, Table::SinkQueue).await?;
    let (timers, more_timers) = counted(store, Table::TimerQueue).await?;
    Ok(Waiting { notes, for_sinks, timers, more: more_notes || more_for_sinks || more_timers })
}

async fn counted(
    store: &dyn Store,
    table: Table,
) -> Result<(BTreeMap<PluginName, u64>, bool), StoreError> {
    let (mut counts, mut after, mut seen) = (BTreeMap::new(), None, 0);
    loop {
        let rows = store.scan(table, after.take(), PAGE).await?;
        let at_end = rows.len() < PAGE;
        after = rows.last().map(|(key, _)| key.clone());
        seen += rows.len();
        for (_, value) in rows {
            // One that can't be read is nobody's; whoever reads it for its own sake says so.
            if let Ok(Of { plugin }) = decode(&value) {
                *counts.entry(plugin).or_insert(0) += 1;
            }
        }
        if at_end || seen >= MOST {
            return Ok((counts, !at_end));
        }
    }
}
