//! Which batches are kept of the sessions in memory.

use std::collections::{HashMap, VecDeque};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::SUMMARY;
use crate::config::History as Rules;
use crate::ids::SessionKey;
use crate::store::Rows;

/// The history_indexes of the sessions to which something happened lately.
#[derive(Default)]
pub(in crate::engine) struct HistoryIndexes {
    history_indexes: HashMap<SessionKey, HistoryIndex>,
}

impl HistoryIndexes {
    /// Whether the session's is in memory.
    pub(super) fn has(&self, key: &SessionKey) -> bool {
        self.history_indexes.contains_key(key)
    }

    /// The session's, where it is in memory.
    pub(super) fn get_mut(&mut self, key: &SessionKey) -> Option<&mut HistoryIndex> {
        self.history_indexes.get_mut(key)
    }

    /// The session's, empty where it isn't in memory.
    pub(super) fn open(&mut self, key: &SessionKey) -> &mut HistoryIndex {
        self.history_indexes.entry(key.clone()).or_default()
    }

    /// Takes what was read.
    pub(super) fn put(&mut self, key: SessionKey, index: HistoryIndex) {
        self.history_indexes.insert(key, index);
    }

    /// A batch of the session isn't kept any more.
    pub(in crate::engine) fn remove(&mut self, key: &SessionKey, first: u64) {
        if let Some(index) = self.history_indexes.get_mut(key) {
            index.slots.retain(|slot| slot.first != first);
        }
    }

    /// Nothing is kept of the session any more.
    pub(in crate::engine) fn forget(&mut self, key: &SessionKey) {
        self.history_indexes.remove(key);
    }

    /// Forgets those that aren't wanted: they are read again when something happens to their sessions.
    pub(in crate::engine) fn retain(&mut self, wanted: impl Fn(&SessionKey) -> bool) {
        self.history_indexes.retain(|key, _| wanted(key));
    }
}

/// The batches of one session, the oldest first.
#[derive(Default)]
pub(super) struct HistoryIndex {
    slots: VecDeque<Slot>,
}

/// One batch.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    pub(super) first: u64,
    pub(super) actions: u64,
    pub(super) bytes: usize,
}

impl Slot {
    fn last(&self) -> u64 {
        self.first + self.actions.saturating_sub(1)
    }
}

impl HistoryIndex {
    pub(super) fn of(rows: &Rows) -> Self {
        let batches = rows.iter().filter(|(number, _)| *number != SUMMARY);
        let slot = |(number, value): &(u64, Vec<u8>)| Slot {
            first: *number,
            actions: actions(value),
            bytes: value.len(),
        };
        Self { slots: batches.map(slot).collect() }
    }

    /// Puts a batch behind the others. Returns those that have no room any more; the newest always has.
    pub(super) fn push(&mut self, slot: Slot, rules: &Rules) -> Vec<Slot> {
        self.slots.push_back(slot);
        let (mut kept_actions, mut kept_bytes) = (0, 0);
        let fits = self.slots.iter().rev().take_while(|slot| {
            kept_actions += slot.actions;
            kept_bytes += slot.bytes;
            kept_actions <= rules.max_actions && kept_bytes <= rules.max_bytes
        });
        let kept = fits.count().max(1);
        self.slots.drain(..self.slots.len() - kept).collect()
    }

    /// Takes the batches all of whose actions are covered up to this ordinal.
    pub(super) fn take_covered(&mut self, through: u64) -> Vec<Slot> {
        let covered = self.slots.iter().take_while(|slot| slot.last() <= through).count();
        self.slots.drain(..covered).collect()
    }

    /// The numbers of the batches' rows.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u64> {
        self.slots.iter().map(|slot| slot.first)
    }
}

/// How many actions a row holds; one that can't be read counts as one.
pub(in crate::engine) fn actions(row: &[u8]) -> u64 {
    #[derive(Deserialize)]
    struct Row {
        batch: Batch,
    }
    #[derive(Deserialize)]
    struct Batch {
        actions: Vec<IgnoredAny>,
    }
    serde_json::from_slice::<Row>(row).map_or(1, |row| row.batch.actions.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(first: u64, actions: u64, bytes: usize) -> Slot {
        Slot { first, actions, bytes }
    }

    fn firsts(slots: &[Slot]) -> Vec<u64> {
        slots.iter().map(|slot| slot.first).collect()
    }

    #[test]
    fn the_oldest_batches_make_room_by_count_and_by_bytes_and_the_newest_stays() {
        let rules = Rules { max_actions: 5, max_bytes: 100, ..Rules::default() };
        let mut index = HistoryIndex::default();
        assert!(index.push(slot(1, 3, 10), &rules).is_empty());
        assert!(index.push(slot(4, 2, 10), &rules).is_empty());
        assert_eq!(firsts(&index.push(slot(6, 1, 10), &rules)), [1]);
        assert_eq!(firsts(&index.push(slot(7, 1, 85), &rules)), [4]);
        assert_eq!(firsts(&index.push(slot(8, 9, 500), &rules)), [6, 7]);
        assert_eq!(index.slots.len(), 1);
    }

    #[test]
    fn a_batch_that_is_covered_in_part_stays() {
        let rules = Rules::default();
        let mut index = HistoryIndex::default();
        for first in [1, 4, 7] {
            index.push(slot(first, 3, 1), &rules);
        }
        assert_eq!(firsts(&index.take_covered(5)), [1]);
        assert_eq!(firsts(&index.take_covered(9)), [4, 7]);
        assert!(index.take_covered(99).is_empty());
    }
}
