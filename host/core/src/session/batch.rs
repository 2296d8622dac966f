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
    /// `None`: they are in the row only.
    actions: Option<Packed>,
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
    /// Adds an entry behind the others.
    pub fn push(&mut self, row: u64, entry: Entry) {
        let Entry { arrived, bytes, actions } = entry;
        let count = actions.len();
        self.actions += count;
        self.bytes += bytes;
        self.held += actions.bytes();
        self.entries.push_back(Waiting { row, arrived, bytes, count, actions: Some(actions) });
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
    pub fn restore(&mut self, rows: impl IntoIterator<Item = (u64, Entry)>) -> usize {
        let mut rows: HashMap<u64, Packed> =
            rows.into_iter().map(|(row, entry)| (row, entry.actions)).collect();
        for entry in self.entries.iter_mut().filter(|it| it.actions.is_none()) {
            entry.actions = rows.remove(&entry.row).filter(|read| read.len() == entry.count);
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
