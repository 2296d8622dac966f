//! Timers that plugins set, until they are due: rows of their sessions, and when each session's first is due, in order.
//!
//! A session with timers needn't be in memory: it is read when one of them is due. A timer that is due leaves its row in
//! the transaction in which it becomes a delivery.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::counters::Counters;
use super::rows::{delete, put, session_group};
use super::tx::Tx;
use super::view::{Missing, View};
use crate::bytes::Bytes;
use crate::clock::Timestamp;
use crate::ids::{PluginName, SessionKey};
use crate::kv::Writes;
use crate::rows::{Change, Table};
use crate::timer::TimersHeld;

/// Sessions whose due timers are looked at in one transaction.
const AT_ONCE: usize = 64;

/// A timer that waits: its row.
#[derive(Clone, Serialize, Deserialize)]
pub struct TimerRow {
    /// Who set it.
    pub plugin: PluginName,
    /// What the plugin calls it.
    pub name: Arc<str>,
    /// When it is due.
    pub at: Timestamp,
    /// When it was set, where its delay was given.
    pub set_at: Option<Timestamp>,
    /// What the plugin is given back.
    pub payload: Bytes,
}

impl TimerRow {
    /// The same at a host whose clock shows `now`: one that was set with a delay, by a clock that was set back since, waits
    /// no longer than that. `None`: nothing changes.
    fn by_the_clock_at(&self, now: Timestamp) -> Option<Self> {
        let set_at = self.set_at.filter(|set_at| *set_at > now)?;
        Some(Self { at: now + self.at.since(set_at), set_at: Some(now), ..self.clone() })
    }
}

/// All timers that wait.
#[derive(Default)]
pub(super) struct PluginTimers {
    of: HashMap<SessionKey, Waiting>,
    due: BTreeSet<(Timestamp, SessionKey)>,
    held: TimersHeld,
}

/// A session's.
struct Waiting {
    /// When the first is due.
    at: Timestamp,
    /// How many of each plugin there are.
    of: Vec<(PluginName, u64)>,
}

impl Waiting {
    fn none() -> Self {
        Self { at: Timestamp(i64::MAX), of: Vec::new() }
    }

    fn add(&mut self, row: &TimerRow) {
        self.at = self.at.min(row.at);
        match self.of.iter_mut().find(|(plugin, _)| *plugin == row.plugin) {
            Some((_, timers)) => *timers += 1,
            None => self.of.push((row.plugin.clone(), 1)),
        }
    }
}

impl PluginTimers {
    /// Tells here how many there are.
    pub(super) fn tell(&mut self, held: TimersHeld) {
        for (plugin, timers) in self.of.values().flat_map(|waiting| &waiting.of) {
            held.add(plugin, *timers);
        }
        self.held = held;
    }

    /// When the next is due.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Sessions with a timer that is due, those that wait the longest first; not more than are looked at at once.
    pub(super) fn due(&self, now: Timestamp) -> Vec<SessionKey> {
        let due = self.due.iter().take_while(|(at, _)| *at <= now);
        due.take(AT_ONCE).map(|(_, key)| key.clone()).collect()
    }

    /// Takes up a row at a start.
    pub(super) fn take_up(&mut self, key: &SessionKey, number: u64, row: &TimerRow, tx: &mut Tx) {
        let changed = row.by_the_clock_at(tx.now);
        if let Some(row) = &changed {
            tx.push(put(Table::Timer, session_group(key), number, row));
        }
        let mut waiting = self.take(key).unwrap_or_else(Waiting::none);
        waiting.add(changed.as_ref().unwrap_or(row));
        self.put(key, waiting);
    }

    /// What waits of a session is this from here on.
    pub(super) fn settle<'a>(
        &mut self,
        key: &SessionKey,
        rows: impl IntoIterator<Item = &'a TimerRow>,
    ) {
        self.take(key);
        let mut waiting = Waiting::none();
        rows.into_iter().for_each(|row| waiting.add(row));
        if !waiting.of.is_empty() {
            self.put(key, waiting);
        }
    }

    /// Nothing waits of a session any more. Returns how many there were.
    pub(super) fn forget(&mut self, key: &SessionKey) -> u64 {
        self.take(key).map_or(0, |waiting| waiting.of.iter().map(|(_, timers)| timers).sum())
    }

    fn put(&mut self, key: &SessionKey, waiting: Waiting) {
        self.due.insert((waiting.at, key.clone()));
        for (plugin, timers) in &waiting.of {
            self.held.add(plugin, *timers);
        }
        self.of.insert(key.clone(), waiting);
    }

    fn take(&mut self, key: &SessionKey) -> Option<Waiting> {
        let waiting = self.of.remove(key)?;
        self.due.remove(&(waiting.at, key.clone()));
        for (plugin, timers) in &waiting.of {
            self.held.take(plugin, *timers);
        }
        Some(waiting)
    }

    /// Stores the timers that a call set and cancelled. The rows were [loaded](load).
    pub(super) fn store(
        &mut self,
        plugin: &PluginName,
        session: &SessionKey,
        writes: &Writes,
        tx: &mut Tx,
        counters: &Counters,
    ) {
        let changes = changes(plugin, session, writes, tx);
        if changes.is_empty() {
            return;
        }
        let is_set = |change: &&Change| matches!(change, Change::Put(..));
        let set = changes.iter().filter(is_set).count() as u64;
        counters.timers_set.add(set);
        counters.timers_cancelled.add(changes.len() as u64 - set);
        tx.extend(changes);
        self.look_again(session, tx);
    }

    /// Removes the timers of a plugin and a session. Returns how many there were. The rows were read.
    pub(super) fn remove(&mut self, plugin: &PluginName, session: &SessionKey, tx: &mut Tx) -> u64 {
        let rows = rows_of(session, tx).into_iter();
        let gone: Vec<_> = rows.filter(|(_, row)| row.plugin == *plugin).collect();
        let group = session_group(session);
        tx.extend(gone.iter().map(|(number, _)| delete(Table::Timer, group.clone(), *number)));
        self.look_again(session, tx);
        gone.len() as u64
    }

    fn look_again(&mut self, session: &SessionKey, tx: &Tx) {
        let rows = rows_of(session, tx);
        self.settle(session, rows.iter().map(|(_, row)| row));
    }
}

/// The timers of a session as this transaction leaves them so far. They were read.
pub(super) fn rows_of(session: &SessionKey, tx: &Tx) -> Vec<(u64, TimerRow)> {
    tx.read_rows(Table::Timer, &session_group(session))
}

/// The rows that must be read before the timers that a call set can be stored.
///
/// # Errors
/// They are missing.
pub fn load(view: &View, session: &SessionKey, writes: &Writes) -> Result<(), Missing> {
    if writes.timers().len() == 0 {
        return Ok(());
    }
    view.load_all([Table::Session, Table::Timer], &[session_group(session)]).map(drop)
}

/// What the timers that a call set and cancelled come to. The rows were [loaded](load).
pub fn changes(plugin: &PluginName, session: &SessionKey, writes: &Writes, tx: &Tx) -> Vec<Change> {
    if writes.timers().len() == 0 {
        return Vec::new();
    }
    let group = session_group(session);
    let stored = rows_of(session, tx);
    // One that can't be read has a number all the same.
    let last = tx.rows(Table::Timer, &group).last_key_value().map(|(number, _)| *number);
    let mut next = last.unwrap_or_default();
    let mut changes = Vec::new();
    for (name, timer) in writes.timers() {
        let known = stored.iter().find(|(_, row)| row.plugin == *plugin && row.name == *name);
        let known = known.map(|(number, _)| *number);
        match (timer, known) {
            (Some(timer), known) => {
                let number = known.unwrap_or_else(|| {
                    next += 1;
                    next
                });
                let row = TimerRow {
                    plugin: plugin.clone(),
                    name: name.clone(),
                    at: timer.at,
                    set_at: timer.set_at,
                    payload: timer.payload.clone(),
                };
                changes.push(put(Table::Timer, group.clone(), number, &row));
            }
            (None, Some(number)) => changes.push(delete(Table::Timer, group.clone(), number)),
            (None, None) => {}
        }
    }
    changes
}
