//! The open batch: actions accepted but not sealed into a note.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::rules::Delivery;
use crate::session::payload::Action;

/// Actions that arrived together; one row of the store.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When the host took them, by its own clock: the client's clock decides nothing.
    pub arrived: Timestamp,
    /// Size in the batch, in bytes; what the bounds count.
    pub bytes: usize,
    /// The actions, in the order sent.
    pub actions: Vec<Action>,
}

/// The entries of one session that wait for a note, oldest first, each with its row number.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct OpenBatch {
    entries: VecDeque<(u64, Entry)>,
    actions: usize,
    bytes: usize,
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
        self.actions += entry.actions.len();
        self.bytes += entry.bytes;
        self.entries.push_back((row, entry));
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
        self.entries.back().map_or(0, |(row, _)| row + 1)
    }

    /// How many actions the oldest entry holds.
    pub fn first_actions(&self) -> Option<usize> {
        self.entries.front().map(|(_, entry)| entry.actions.len())
    }

    /// When the oldest entry arrived.
    pub fn oldest(&self) -> Option<Timestamp> {
        self.entries.front().map(|(_, entry)| entry.arrived)
    }

    /// When the batch is to become a note: `debounce` after the last arrival, `max_wait` after the
    /// first, at once when it is full. `None` while it is empty.
    pub fn due(&self, rules: &Delivery) -> Option<Timestamp> {
        let (first, last) = (self.entries.front()?.1.arrived, self.entries.back()?.1.arrived);
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
        while let Some((_, entry)) = self.entries.front() {
            let over = self.entries.len() > 1
                && (self.actions > rules.pre_link_max_actions
                    || self.bytes > rules.pre_link_max_bytes);
            if entry.arrived >= oldest && !over {
                break;
            }
            if let Some((row, entry)) = self.pop() {
                trimmed.rows.push(row);
                trimmed.actions += entry.actions.len();
            }
        }
        trimmed
    }

    /// Takes the oldest entries for one note: as many as fit into `max_actions`, at least one.
    pub fn take(&mut self, max_actions: usize) -> (Vec<u64>, Vec<Action>) {
        let (mut rows, mut actions) = (Vec::new(), Vec::new());
        while let Some((_, entry)) = self.entries.front() {
            if !rows.is_empty() && actions.len() + entry.actions.len() > max_actions {
                break;
            }
            if let Some((row, entry)) = self.pop() {
                rows.push(row);
                actions.extend(entry.actions);
            }
        }
        (rows, actions)
    }

    fn pop(&mut self) -> Option<(u64, Entry)> {
        let (row, entry) = self.entries.pop_front()?;
        self.actions -= entry.actions.len();
        self.bytes -= entry.bytes;
        Some((row, entry))
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
