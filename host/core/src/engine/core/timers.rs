//! Timers of plugins: they are stored with what came of calls, and become deliveries when they are due.

use crate::engine::core::{Core, is_on_record};
use crate::engine::plugin_timers::{TimerRow, rows_of};
use crate::engine::rows::{delete, read, session_group, session_key};
use crate::engine::tx::Tx;
use crate::engine::view::{Missing, View};
use crate::ids::{PluginName, SessionKey};
use crate::outbox::due_timer::DueTimer;
use crate::rows::{Key, Table};
use crate::timer::TimersHeld;

/// Rows that are read at once at a start.
const PAGE: usize = 1000;

impl Core {
    /// Tells here how many timers each plugin has.
    pub fn tell_timers(&mut self, held: TimersHeld) {
        self.timers.tell(held);
    }

    /// Takes up a page of the timers that wait. Returns behind which row the next page is; `None`: there is none.
    pub(super) fn recover_timers(
        &mut self,
        after: Option<Key>,
        view: &View,
        tx: &mut Tx,
    ) -> Result<Option<Key>, Missing> {
        let rows = view.scan(Table::Timer, after, PAGE)?;
        for (place, value) in rows {
            let row = read::<TimerRow>(Table::Timer, place.number, value);
            if let (Some(key), Some(row)) = (session_key(&place.group), row) {
                self.timers.take_up(&key, place.number, &row, tx);
            }
        }
        Ok(rows.last().map(|(key, _)| key.clone()))
    }

    /// Sessions of which timers become deliveries with the next transaction. While the host ends, and where nothing is
    /// posted, none do.
    pub(super) fn sessions_with_due_timers(&self, tx: &Tx) -> Vec<SessionKey> {
        if self.rests() { Vec::new() } else { self.timers.due(tx.now) }
    }

    /// Whether due timers are left where they are.
    pub(super) fn rests(&self) -> bool {
        self.draining || self.stopping || !self.settings.posts()
    }

    /// Makes deliveries of the timers that are due, each once: its row goes with the same transaction. Those of sessions
    /// that weren't read are left for the next one.
    pub(super) fn run_timers(&mut self, tx: &mut Tx) {
        for key in self.sessions_with_due_timers(tx) {
            let group = session_group(&key);
            if !self.sessions.has(&key) || tx.view.group(Table::Timer, &group).is_none() {
                continue;
            }
            let (mut due, waiting): (Vec<_>, Vec<_>) =
                rows_of(&key, tx).into_iter().partition(|(_, row)| row.at <= tx.now);
            due.sort_by_key(|(number, row)| (row.at, *number));
            let is_known = is_on_record(&key, tx);
            for (number, row) in due {
                tx.push(delete(Table::Timer, group.clone(), number));
                if is_known {
                    self.run_timer_of(&key, row, tx);
                } else {
                    self.counters.timers_dropped.add(1);
                }
            }
            self.timers.settle(&key, waiting.iter().map(|(_, row)| row));
        }
    }

    fn run_timer_of(&mut self, key: &SessionKey, row: TimerRow, tx: &mut Tx) {
        let Some(session) = self.sessions.get_mut(key, tx.now) else { return };
        let (seq, record) = (session.number_sink_delivery(), session.record());
        let link = record.link.as_ref().filter(|link| link.plugin == row.plugin);
        let timer = DueTimer {
            key: key.clone(),
            seq,
            conversation: link.map(|link| link.conversation.clone()),
            user_id: record.user_id.clone(),
            email: record.email.clone(),
            idempotency_key: DueTimer::idempotency_key(key, seq, &row.plugin, tx.now),
            plugin: row.plugin,
            name: row.name,
            payload: row.payload,
            at: row.at,
            sealed_at: tx.now,
        };
        tx.records.insert(key.clone());
        self.deliveries.add_timer(timer, tx, &self.counters);
    }

    /// Removes the timers of a plugin that sessions have. Returns how many there were.
    pub(super) fn remove_timers(
        &mut self,
        plugin: &PluginName,
        keys: &[SessionKey],
        tx: &mut Tx,
    ) -> u64 {
        let removed = keys.iter().map(|key| self.timers.remove(plugin, key, tx)).sum();
        self.counters.timers_removed.add(removed);
        removed
    }
}
