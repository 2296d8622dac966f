//! A start: what the last run left is taken up.

use std::collections::HashSet;

use crate::engine::round::{Engine, EngineError, Round};
use crate::engine::rows::session_key;
use crate::store::Table;

/// Sessions that are read at once.
const PAGE: usize = 1000;

impl Engine {
    /// Reads the sessions that have work to do: queued notes, an open batch, or something for a sink.
    pub(super) async fn recover(&mut self) -> Result<(), EngineError> {
        self.accounts.load(&*self.store, self.clock.now()).await?;
        self.find_place_in_journal().await?;
        self.find_scrub().await?;
        for table in [Table::SinkQueue, Table::SinkDead] {
            self.memory.has_sinks |= !self.store.scan(table, None, 1).await?.is_empty();
        }
        for table in [Table::Outbox, Table::Open, Table::SinkQueue] {
            let mut after = None;
            loop {
                let rows = self.store.scan(table, after.take(), PAGE).await?;
                let Some((last, _)) = rows.last() else { break };
                after = Some(last.clone());
                let keys: HashSet<_> =
                    rows.iter().filter_map(|(key, _)| session_key(&key.group)).collect();
                let now = self.clock.now();
                let names = self.settings.names();
                let loaded = self.memory.load_sessions(&*self.store, &keys, names, now);
                let (_, changes) = loaded.await?;
                let mut round = Round { changes, ..Round::default() };
                for key in keys {
                    let Some(live) = self.memory.sessions.get_mut(&key) else {
                        continue;
                    };
                    let rules = self.settings.rules(&key.product);
                    let notes = live.notes.take_poisoned(now, rules);
                    let sink_deliveries = live.sinks.take_poisoned(now, rules);
                    notes.iter().for_each(|dead| self.dead_letter(&mut round, dead));
                    sink_deliveries.iter().for_each(|dead| self.dead_letter(&mut round, dead));
                    round.touched.push(key);
                }
                self.finish(round, now).await?;
                self.memory.evict(now, true);
            }
        }
        Ok(())
    }
}
