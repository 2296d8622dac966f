//! When the store's files are written anew, so that nothing of what was erased is left in them.

use std::time::Duration;

use tokio::sync::watch;

use crate::clock::Timestamp;
use crate::engine::inbox::Input;
use crate::engine::round::{Engine, Round};
use crate::engine::rows::{delete, put};
use crate::store::{Group, JournalError, StoreError, Table};

/// Between two times there is at least so long, and so many times as long as the last one took: commits
/// wait meanwhile.
const PAUSE: Duration = Duration::from_secs(60);
const SHARE: u32 = 20;
/// Pause after a failure.
const AGAIN: Duration = Duration::from_secs(600);

/// Whether the files are to be written anew.
pub(in crate::engine) struct Scrub {
    /// How often that was wanted, and up to which time it was done.
    wanted: u64,
    done: u64,
    /// The one under way, and since when.
    under_way: Option<(u64, Timestamp)>,
    not_before: Timestamp,
    due: watch::Sender<bool>,
}

impl Scrub {
    /// Nothing is wanted yet; the receiver is told whether something is.
    pub(in crate::engine) fn new() -> (Self, watch::Receiver<bool>) {
        let (due, told) = watch::channel(false);
        let not_before = Timestamp(i64::MIN);
        (Self { wanted: 0, done: 0, under_way: None, not_before, due }, told)
    }

    /// When it is to be begun.
    pub(in crate::engine) fn next_timer(&self) -> Option<Timestamp> {
        (self.wanted > self.done && self.under_way.is_none()).then_some(self.not_before)
    }
}

impl Engine {
    /// Reads whether the last run left something to be done.
    pub(in crate::engine) async fn find_scrub(&mut self) -> Result<(), StoreError> {
        let rows = self.store.load(Table::Scrub, &[group()]).await?;
        if rows.iter().any(|rows| !rows.is_empty()) {
            self.tell_scrub_wanted();
        }
        Ok(())
    }

    /// Something was erased that may be left in the files.
    pub(in crate::engine) fn want_scrub(&mut self, round: &mut Round, now: Timestamp) {
        round.changes.push(put(Table::Scrub, group(), 0, &now));
        self.tell_scrub_wanted();
    }

    fn tell_scrub_wanted(&mut self) {
        self.scrub.wanted += 1;
        self.counters.scrub_due.set(1);
        self.scrub.due.send_replace(true);
    }

    /// Begins where that is due; what was erased is committed by then.
    pub(in crate::engine) fn begin_scrub(&mut self, now: Timestamp) {
        if self.stopping || self.scrub.next_timer().is_none_or(|at| at > now) {
            return;
        }
        let n = self.scrub.wanted;
        self.scrub.under_way = Some((n, now));
        let (store, journal) = (self.store.clone(), self.journal.clone());
        self.posts.spawn(async move {
            let mut scrubbed = store.scrub().await.map_err(|error| error.to_string());
            if let (Ok(()), Some(journal)) = (&scrubbed, journal) {
                scrubbed = journal.scrub().await.map_err(|error: JournalError| error.to_string());
            }
            Input::Scrubbed(scrubbed)
        });
    }

    pub(in crate::engine) fn end_scrub(
        &mut self,
        round: &mut Round,
        scrubbed: Result<(), String>,
        now: Timestamp,
    ) {
        let Some((n, since)) = self.scrub.under_way.take() else { return };
        if let Err(error) = scrubbed {
            self.scrub.not_before = now + AGAIN;
            tracing::error!(
                "erase: something of what was erased may be left in free pages of the store's files: {error}. It is tried again"
            );
            return;
        }
        self.counters.scrubs.add(1);
        self.scrub.done = n;
        self.scrub.not_before = now + PAUSE.max(now.since(since) * SHARE);
        if self.scrub.wanted == n {
            round.changes.push(delete(Table::Scrub, group(), 0));
            self.counters.scrub_due.set(0);
            self.scrub.due.send_replace(false);
        }
    }
}

fn group() -> Group {
    Group("".into(), "".into())
}
