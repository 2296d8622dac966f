//! What was accepted of each session lately, kept for whoever reads it: the contexts, the summarizer.
//!
//! A batch is stored in the transaction that accepts it, a row each; so is the latest summary. A batch that a
//! summary covers wholly goes when the summary's note is on record as sent, or at once where none is
//! posted: where it becomes a dead letter, what it tells of is still there. What is kept of a session is
//! bounded by count and bytes, and by time. In memory is only which batches there are.
//!
//! What waits for a note too is stored once: the row of the open batch says which row here has its actions. Before
//! such a row goes, the actions are put into the other one.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use serde::Deserialize;

use super::counters::Counters;
use super::event::What;
pub use super::history_row::{KeptBatch, KeptSummary, SUMMARY};
use super::rows::{Person, decode, delete, encode, put, session_group};
use super::tx::Tx;
use super::view::{Missing, View};
use crate::clock::Timestamp;
use crate::ids::SessionKey;
use crate::rows::{Change, Group, Key, Rows, Table};
use crate::rules::History as Rules;
use crate::session::batch::Needed;
use crate::session::packed::Packed;
use crate::session::payload::ActionsPayload;
use crate::session::state::{Session, Summarized};

/// Where a batch stands among what its session did, and who did it as far as the session knew.
pub(super) struct Place {
    first: u64,
    user_id: Option<String>,
    email: Option<String>,
}

impl Place {
    /// The number of its row.
    pub(super) fn number(&self) -> u64 {
        self.first
    }

    /// That of a batch that the session is about to accept.
    pub(super) fn of(session: &Session, batch: &ActionsPayload) -> Self {
        let known = session.record();
        let told = |told: &Option<String>| told.clone().filter(|text| !text.is_empty());
        Self {
            first: session.actions() + 1,
            user_id: told(&batch.user_id).or_else(|| known.user_id.clone()),
            email: told(&batch.email).or_else(|| known.email.clone()),
        }
    }
}

/// Which batches are kept of the sessions to which something happened lately.
#[derive(Default)]
pub(super) struct History(HashMap<SessionKey, HistoryIndex>);

impl History {
    /// Reads which batches are kept of these sessions, where that isn't in memory.
    pub(super) fn load(&mut self, view: &View, keys: &[SessionKey]) -> Result<(), Missing> {
        let missing: Vec<_> = keys.iter().filter(|key| !self.0.contains_key(*key)).collect();
        let groups: Vec<_> = missing.iter().map(|key| session_group(key)).collect();
        let rows = view.load(Table::History, &groups)?;
        for (key, rows) in missing.into_iter().zip(rows) {
            self.0.insert(key.clone(), HistoryIndex::of(rows));
        }
        Ok(())
    }

    /// Keeps a batch that was accepted by its session, with its actions packed.
    pub(super) fn keep_batch(
        &mut self,
        (key, session): (&SessionKey, Option<&mut Session>),
        (batch, packed): (ActionsPayload, &Packed),
        (place, at): (Place, Timestamp),
        rules: &Rules,
        tx: &mut Tx,
        counters: &Counters,
    ) {
        if batch.actions.is_empty() {
            return;
        }
        let Place { first, user_id, email } = place;
        let kept = KeptBatch { first, at, batch: ActionsPayload { user_id, email, ..batch } };
        let value = encode(&kept.row(packed));
        let actions = kept.batch.actions.len() as u64;
        let slot = Slot { first: kept.first, actions, bytes: value.len() };
        let place = Key { table: Table::History, group: session_group(key), number: kept.first };
        let index = self.0.entry(key.clone()).or_default();
        let over = index.push(slot, rules);
        tx.push(Change::Put(place, value));
        let removed = remove(tx, (key, session), over, index);
        counters.history_dropped.add(removed);
        tx.tell(key, What::Batch(Arc::new(kept)));
    }

    /// Keeps a summary that was accepted, in the place of the one before it. Where no note of it is posted,
    /// what it covers goes at once.
    pub(super) fn keep_summary(
        &mut self,
        (key, session): (&SessionKey, &mut Session),
        text: String,
        summarized: Summarized,
        at: Timestamp,
        tx: &mut Tx,
    ) {
        let covers = session.record().covered;
        match summarized {
            Summarized::Stale => return,
            Summarized::Queued { .. } => {}
            Summarized::Unlinked => self.remove_covered((key, Some(session)), covers, tx),
        }
        let kept = KeptSummary { text, covers, at };
        tx.push(put(Table::History, session_group(key), SUMMARY, &kept));
        tx.tell(key, What::Summary(Arc::new(kept)));
    }

    /// The note of a summary is on record as sent: what it covers is not needed any more.
    pub(super) fn remove_covered(
        &mut self,
        of: (&SessionKey, Option<&mut Session>),
        through: u64,
        tx: &mut Tx,
    ) {
        if let Some(index) = self.0.get_mut(of.0) {
            let covered = index.take_covered(through);
            remove(tx, of, covered, index);
        }
    }

    /// What was kept until now has expired.
    pub(super) fn expire(&mut self, key: &SessionKey, first: u64) {
        if let Some(index) = self.0.get_mut(key) {
            index.slots.retain(|slot| slot.first != first);
        }
    }

    /// Nothing is kept of the session any more.
    pub(super) fn forget(&mut self, key: &SessionKey) {
        self.0.remove(key);
    }

    /// Forgets those that aren't wanted: they are read again when something happens to their sessions.
    pub(super) fn retain(&mut self, wanted: impl Fn(&SessionKey) -> bool) {
        self.0.retain(|key, _| wanted(key));
    }
}

/// Removes all that is kept of a session.
pub(super) fn remove_all(tx: &mut Tx, group: &Group, rows: &Rows) {
    // The summary's row is one of them.
    tx.extend(rows.iter().map(|(number, _)| delete(Table::History, group.clone(), *number)));
}

/// The batches of one session, the oldest first.
#[derive(Default)]
struct HistoryIndex {
    slots: VecDeque<Slot>,
}

/// One batch.
#[derive(Clone, Copy)]
struct Slot {
    first: u64,
    actions: u64,
    bytes: usize,
}

impl Slot {
    fn last(&self) -> u64 {
        self.first + self.actions.saturating_sub(1)
    }
}

impl HistoryIndex {
    fn of(rows: &Rows) -> Self {
        let batches = rows.iter().filter(|(number, _)| *number != SUMMARY);
        let slot = |(number, value): &(u64, Vec<u8>)| Slot {
            first: *number,
            actions: actions_in(value),
            bytes: value.len(),
        };
        Self { slots: batches.map(slot).collect() }
    }

    /// Puts a batch behind the others. Returns those that don't fit any more; the newest always does.
    fn push(&mut self, slot: Slot, rules: &Rules) -> Vec<Slot> {
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
    fn take_covered(&mut self, through: u64) -> Vec<Slot> {
        let covered = self.slots.iter().take_while(|slot| slot.last() <= through).count();
        self.slots.drain(..covered).collect()
    }
}

/// How many actions a row holds; one that can't be read counts as one.
pub(super) fn actions_in(row: &[u8]) -> u64 {
    actions_of(row).map_or(1, |actions| actions.len() as u64)
}

/// Removes the oldest batches of a session, which left the index. What waits for a note keeps its actions; where they
/// aren't in memory, the batch stays until they were. Returns how many actions aren't kept any more.
fn remove(
    tx: &mut Tx,
    (key, mut session): (&SessionKey, Option<&mut Session>),
    mut slots: Vec<Slot>,
    index: &mut HistoryIndex,
) -> u64 {
    let (mut removed, mut left) = (0, Vec::new());
    for slot in slots.drain(..) {
        let needed = session.as_mut().map_or(Needed::Not, |it| it.let_go(slot.first));
        match needed {
            Needed::Not => {}
            Needed::By(row, entry) => tx.push(put(Table::Open, session_group(key), row, &entry)),
            Needed::ByUnloaded => {
                left.push(slot);
                continue;
            }
        }
        removed += slot.actions;
        tx.push(delete(Table::History, session_group(key), slot.first));
    }
    left.into_iter().rev().for_each(|slot| index.slots.push_front(slot));
    removed
}

/// The actions of a row.
pub(super) fn actions_of(row: &[u8]) -> Option<Packed> {
    #[derive(Deserialize)]
    struct Row {
        batch: Batch,
    }
    #[derive(Deserialize)]
    struct Batch {
        actions: Packed,
    }
    decode::<Row>(row).ok().map(|row| row.batch.actions)
}

/// Whether a row tells of this person. Blanks around a user id don't count.
pub fn is_of(row: &[u8], person: &Person) -> bool {
    #[derive(Deserialize)]
    struct Row {
        batch: Who,
    }
    #[derive(Deserialize)]
    struct Who {
        user_id: Option<String>,
        email: Option<String>,
    }
    let Ok(Row { batch: Who { user_id, email } }) = decode(row) else {
        return false;
    };
    match person {
        Person::User(id) => user_id.is_some_and(|known| known.trim() == id.trim()),
        Person::Email(_) => Person::of(None, email.as_deref()).any(|known| known == *person),
    }
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
