//! The open batch: actions accepted but not sealed into a note.

use std::collections::{HashMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::rules::Delivery;
use crate::session::packed::Packed;

/// Actions that arrived together; one row of the store.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When the host took them, by its own clock: the client's clock decides nothing.
    pub arrived: Timestamp,
    /// Size in the batch, in bytes; what the bounds count.
    pub bytes: usize,
    /// The actions, in the order sent.
    pub actions: Packed,
}

/// An entry as its row has it. What the session's history keeps too is stored once, there; the row says where.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredEntry {
    /// As [`Entry::arrived`].
    pub arrived: Timestamp,
    /// As [`Entry::bytes`].
    pub bytes: usize,
    /// Its actions, where they are here or were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actions: Option<Packed>,
    /// The number of the history's row that has them, and how many there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kept: Option<(u64, u32)>,
}

impl StoredEntry {
    /// An entry that the history has under this number.
    pub fn kept(entry: &Entry, number: u64) -> Self {
        let Entry { arrived, bytes, actions } = entry;
        let count = u32::try_from(actions.len()).expect("what arrives together is bounded");
        Self { arrived: *arrived, bytes: *bytes, actions: None, kept: Some((number, count)) }
    }

    /// The number of the history's row that has its actions, where they aren't here.
    pub fn kept_under(&self) -> Option<u64> {
        self.kept.map(|(number, _)| number)
    }

    /// How many actions it has.
    pub fn count(&self) -> usize {
        match (&self.actions, self.kept) {
            (Some(actions), _) => actions.len(),
            (None, kept) => kept.map_or(0, |(_, count)| count as usize),
        }
    }

    /// The same with the actions that the history has of it; `None` where they can't be its.
    pub fn with(self, actions: Packed) -> Option<Self> {
        (actions.len() == self.count()).then_some(Self { actions: Some(actions), ..self })
    }

    /// The same with its actions in its own row. They were [read](StoredEntry::with).
    #[must_use]
    pub fn here(self) -> Self {
        Self { kept: self.kept.filter(|_| self.actions.is_none()), ..self }
    }
}

impl From<Entry> for StoredEntry {
    fn from(Entry { arrived, bytes, actions }: Entry) -> Self {
        Self { arrived, bytes, actions: Some(actions), kept: None }
    }
}

/// The entries of one session that wait for a note, oldest first, each with its row number.
///
/// Their actions can leave the memory ([`OpenBatch::unload`]), for their rows have them; before a note is made they are
/// [read again](OpenBatch::restore).
#[derive(Debug, Default, Clone, PartialEq)]
pub struct OpenBatch {
    entries: VecDeque<Waiting>,
    actions: usize,
    bytes: usize,
    /// How many entries have their actions in their rows only.
    unloaded: usize,
    /// Bytes of memory that the others' actions take.
    held: usize,
}

/// An entry that waits.
#[derive(Debug, Clone, PartialEq)]
struct Waiting {
    row: u64,
    arrived: Timestamp,
    bytes: usize,
    count: usize,
    /// `None`: they are in the row only, or in the history's.
    actions: Option<Packed>,
    /// The number of the history's row that has them, where that is.
    kept: Option<u64>,
}

/// Who else needs a row of the history.
#[derive(Debug, Default, PartialEq)]
pub enum Needed {
    /// Nobody.
    #[default]
    Not,
    /// The entry of this row, whose actions are in memory: it has them from here on.
    By(u64, StoredEntry),
    /// An entry whose actions aren't in memory.
    ByUnloaded,
}

/// What left the batch without becoming a note.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Trimmed {
    /// Rows that are gone.
    pub rows: Vec<u64>,
    /// Actions that they held.
    pub actions: usize,
}

impl OpenBatch {
    /// One in which nothing waits.
    pub const EMPTY: Self =
        Self { entries: VecDeque::new(), actions: 0, bytes: 0, unloaded: 0, held: 0 };

    /// Adds an entry behind the others.
    pub fn push(&mut self, row: u64, entry: Entry) {
        self.push_stored(row, entry.into());
    }

    /// The entries as their rows have them. Unless the actions of all were read, none of them are in memory.
    pub fn read(stored: Vec<(u64, StoredEntry)>) -> Self {
        let mut batch = Self::default();
        let loaded = stored.iter().all(|(_, entry)| entry.actions.is_some());
        for (row, entry) in stored {
            batch.push_stored(row, entry);
        }
        if !loaded {
            batch.entries.iter_mut().for_each(|entry| entry.actions = None);
            (batch.unloaded, batch.held) = (batch.entries.len(), 0);
        }
        batch
    }

    fn push_stored(&mut self, row: u64, entry: StoredEntry) {
        let (count, kept) = (entry.count(), entry.kept_under());
        let StoredEntry { arrived, bytes, actions, .. } = entry;
        self.actions += count;
        self.bytes += bytes;
        self.held += actions.as_ref().map_or(0, Packed::bytes);
        self.entries.push_back(Waiting { row, arrived, bytes, count, actions, kept });
    }

    /// The actions of the entry in this row, if it waits, are stored in the history under this number.
    pub fn keep(&mut self, row: u64, number: u64) {
        if let Some(entry) = self.entries.iter_mut().rev().find(|entry| entry.row == row) {
            entry.kept = Some(number);
        }
    }

    /// The history is about to drop its row of this number: whether an entry needs that. One whose actions are in
    /// memory is to be stored as it is given back, and doesn't need it any more.
    pub fn let_go(&mut self, number: u64) -> Needed {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.kept == Some(number)) else {
            return Needed::Not;
        };
        let Some(actions) = entry.actions.clone() else { return Needed::ByUnloaded };
        entry.kept = None;
        let Waiting { row, arrived, bytes, .. } = *entry;
        Needed::By(row, Entry { arrived, bytes, actions }.into())
    }

    /// The actions of the entry in this row are in the row itself.
    pub fn is_here(&mut self, row: u64) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.row == row) {
            entry.kept = None;
        }
    }

    /// How many bytes of memory its actions take.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Whether all of it is in memory.
    pub fn is_loaded(&self) -> bool {
        self.unloaded == 0
    }

    /// Takes its actions out of memory. Their rows must be stored.
    pub fn unload(&mut self) {
        // What left before stands in front of what came since.
        for entry in self.entries.iter_mut().rev().take_while(|it| it.actions.is_some()) {
            entry.actions = None;
        }
        (self.unloaded, self.held) = (self.entries.len(), 0);
    }

    /// Takes in actions that were read from their rows. An entry whose row isn't among them is gone, or can't be read:
    /// it doesn't wait any more. Returns how many actions are missed.
    pub fn restore(&mut self, rows: impl IntoIterator<Item = (u64, StoredEntry)>) -> usize {
        let mut rows: HashMap<u64, StoredEntry> = rows.into_iter().collect();
        for entry in self.entries.iter_mut().filter(|it| it.actions.is_none()) {
            let read = rows.remove(&entry.row).filter(|read| read.count() == entry.count);
            entry.actions = read.and_then(|read| read.actions);
        }
        let before = self.actions;
        let missing = |entry: &Waiting| entry.actions.is_none();
        for entry in self.entries.iter().filter(|it| missing(it)) {
            self.actions -= entry.count;
            self.bytes -= entry.bytes;
        }
        self.entries.retain(|entry| !missing(entry));
        self.unloaded = 0;
        self.held =
            self.entries.iter().filter_map(|it| it.actions.as_ref()).map(Packed::bytes).sum();
        before - self.actions
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many actions wait.
    pub fn actions(&self) -> usize {
        self.actions
    }

    /// The row number behind the last one.
    pub fn next_row(&self) -> u64 {
        self.entries.back().map_or(0, |last| last.row + 1)
    }

    /// How many actions the oldest entry holds.
    pub fn first_actions(&self) -> Option<usize> {
        self.entries.front().map(|first| first.count)
    }

    /// When the oldest entry arrived.
    pub fn oldest(&self) -> Option<Timestamp> {
        self.entries.front().map(|first| first.arrived)
    }

    /// When the batch is to become a note: `debounce` after the last arrival, `max_wait` after the
    /// first, at once when it is full. `None` while it is empty.
    pub fn due(&self, rules: &Delivery) -> Option<Timestamp> {
        let (first, last) = (self.entries.front()?.arrived, self.entries.back()?.arrived);
        if self.actions >= rules.max_note_actions {
            return Some(first);
        }
        Some((last + rules.debounce).min(first + rules.max_wait))
    }

    /// Drops what the pre-link window doesn't hold: entries that arrived longer ago than the window,
    /// then the oldest ones beyond the bounds of count and bytes. The newest entry always fits.
    pub fn trim(&mut self, now: Timestamp, rules: &Delivery) -> Trimmed {
        let oldest = now - rules.pre_link_window;
        let mut trimmed = Trimmed::default();
        while let Some(entry) = self.entries.front() {
            let over = self.entries.len() > 1
                && (self.actions > rules.pre_link_max_actions
                    || self.bytes > rules.pre_link_max_bytes);
            if entry.arrived >= oldest && !over {
                break;
            }
            if let Some(entry) = self.pop() {
                trimmed.rows.push(entry.row);
                trimmed.actions += entry.count;
            }
        }
        trimmed
    }

    /// Takes the oldest entries for one note: as many as fit into `max_actions`, at least one. All of it is in memory.
    pub fn take(&mut self, max_actions: usize) -> (Vec<u64>, Packed) {
        let (mut rows, mut parts, mut count) = (Vec::new(), Vec::new(), 0);
        while let Some(entry) = self.entries.front() {
            if !rows.is_empty() && count + entry.count > max_actions {
                break;
            }
            if let Some(entry) = self.pop() {
                rows.push(entry.row);
                count += entry.count;
                parts.extend(entry.actions);
            }
        }
        (rows, Packed::joined(&parts))
    }

    fn pop(&mut self) -> Option<Waiting> {
        let entry = self.entries.pop_front()?;
        self.actions -= entry.count;
        self.bytes -= entry.bytes;
        match &entry.actions {
            Some(actions) => self.held -= actions.bytes(),
            None => self.unloaded -= 1,
        }
        if self.entries.is_empty() {
            // An idle session keeps no memory for what may come.
            self.entries = VecDeque::new();
        }
        Some(entry)
    }
}

impl std::fmt::Debug for StoredEntry {
    /// The actions are left out: they are customers' data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredEntry")
            .field("arrived", &self.arrived)
            .field("bytes", &self.bytes)
            .field("actions", &self.count())
            .field("kept", &self.kept)
            .finish()
    }
}

impl std::fmt::Debug for Entry {
    /// The actions are left out: they are customers' data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry")
            .field("arrived", &self.arrived)
            .field("bytes", &self.bytes)
            .field("actions", &self.actions.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::action::Action;

    fn entry(count: usize) -> Entry {
        let actions = Packed::of(&vec![Action::default(); count]);
        Entry { arrived: Timestamp(7), bytes: 10 * count, actions }
    }

    #[test]
    fn an_entry_of_an_earlier_version_is_read_and_one_that_is_kept_elsewhere_has_no_actions() {
        let earlier = rmp_serde::to_vec_named(&entry(2)).unwrap();
        let read: StoredEntry = rmp_serde::from_slice(&earlier).unwrap();
        assert_eq!((read.count(), read.kept_under()), (2, None));
        assert_eq!(read, entry(2).into());
        let stored = rmp_serde::to_vec_named(&StoredEntry::kept(&entry(2), 5)).unwrap();
        let read: StoredEntry = rmp_serde::from_slice(&stored).unwrap();
        assert_eq!((read.count(), read.kept_under(), read.actions.is_some()), (2, Some(5), false));
        assert!(read.clone().with(entry(1).actions).is_none(), "they are another's");
        assert_eq!(read.with(entry(2).actions).unwrap().here(), entry(2).into());
    }

    #[test]
    fn a_row_of_the_history_is_given_up_once_its_entry_has_its_actions() {
        let mut batch = OpenBatch::default();
        batch.push(0, entry(1));
        batch.push(1, entry(2));
        batch.keep(1, 2);
        assert_eq!(batch.let_go(1), Needed::Not);
        assert_eq!(batch.let_go(2), Needed::By(1, entry(2).into()));
        assert_eq!(batch.let_go(2), Needed::Not);
        batch.keep(1, 2);
        batch.unload();
        assert_eq!(batch.let_go(2), Needed::ByUnloaded);
        batch.is_here(1);
        assert_eq!(batch.let_go(2), Needed::Not);
    }

    #[test]
    fn a_batch_of_which_something_was_not_read_is_restored_as_a_whole() {
        let kept = StoredEntry::kept(&entry(2), 2);
        let mut batch = OpenBatch::read(vec![(0, entry(1).into()), (1, kept.clone())]);
        assert_eq!((batch.is_loaded(), batch.actions(), batch.held()), (false, 3, 0));
        batch.push(2, entry(4));
        let read = kept.with(entry(2).actions).unwrap();
        assert_eq!(batch.restore([(0, entry(1).into()), (1, read)]), 0);
        let (rows, actions) = batch.take(100);
        assert_eq!((rows, actions.len(), batch.held()), (vec![0, 1, 2], 7, 0));
    }
}
