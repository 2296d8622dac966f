//! When the store's files are written anew, so that nothing of what was erased is left in them.

use std::time::Duration;

use super::counters::Counters;
use super::rows::{delete, put};
use super::tx::Tx;
use crate::clock::Timestamp;
use crate::rows::{Group, Table};

/// Between two times there is at least so long, and so many times as long as the last one took: commits
/// wait meanwhile.
const PAUSE: Duration = Duration::from_secs(60);
const SHARE: u32 = 20;
/// Pause after a failure.
const AGAIN: Duration = Duration::from_secs(600);

/// Whether the files are to be written anew.
pub(super) struct Scrub {
    /// How often that was wanted, and up to which time it was done.
    wanted: u64,
    done: u64,
    /// The one under way, and since when.
    under_way: Option<(u64, Timestamp)>,
    not_before: Timestamp,
}

impl Default for Scrub {
    fn default() -> Self {
        Self { wanted: 0, done: 0, under_way: None, not_before: Timestamp(i64::MIN) }
    }
}

impl Scrub {
    /// When it is to be begun.
    pub(super) fn next_timer(&self) -> Option<Timestamp> {
        (self.is_due() && self.under_way.is_none()).then_some(self.not_before)
    }

    /// Whether something of what was erased may be left in the files.
    pub(super) fn is_due(&self) -> bool {
        self.wanted > self.done
    }

    /// The last run left something to be done.
    pub(super) fn take_up(&mut self, counters: &Counters) {
        self.wanted += 1;
        counters.scrub_due.set(1);
    }

    /// Something was erased that may be left in the files.
    pub(super) fn want(&mut self, tx: &mut Tx, counters: &Counters) {
        tx.push(put(Table::Scrub, group(), 0, &tx.now));
        self.take_up(counters);
    }

    /// Begins where that is due; what was erased is committed by then.
    pub(super) fn begin(&mut self, now: Timestamp) -> bool {
        let due = self.next_timer().is_some_and(|at| at <= now);
        if due {
            self.under_way = Some((self.wanted, now));
        }
        due
    }

    pub(super) fn end(&mut self, scrubbed: Result<(), String>, tx: &mut Tx, counters: &Counters) {
        let now = tx.now;
        let Some((n, since)) = self.under_way.take() else { return };
        if let Err(error) = scrubbed {
            self.not_before = now + AGAIN;
            tracing::error!(
                "erase: something of what was erased may be left in free pages of the store's files: {error}. It is tried again"
            );
            return;
        }
        counters.scrubs.add(1);
        self.done = n;
        self.not_before = now + PAUSE.max(now.since(since) * SHARE);
        if !self.is_due() {
            tx.push(delete(Table::Scrub, group(), 0));
            counters.scrub_due.set(0);
        }
    }
}

/// The group of the one row that says so.
pub(super) fn group() -> Group {
    Group("".into(), "".into())
}
