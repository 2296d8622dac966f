//! Carrying out a person's decision about all notes that a filter means.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::cursor::Cursor;
use super::entry::Entry;
use super::filter::Filter;
use super::walk::Walk;
use crate::clock::{Clock, Timestamp};
use crate::engine::core::audit::{Act, Deed, Outcome};
use crate::engine::core::{Decision, NoteRef};
use crate::engine::handle::Handle;
use crate::engine::inbox::Closed;
use crate::ids::SessionKey;
use crate::store::{Key, Store, StoreError};

/// Notes that the engine is handed at once: one commit.
const CHUNK: usize = 500;

/// At most so many of the notes are named in what is told.
pub const MOST_SHOWN: usize = 1000;

/// How long is gone on with before what is left is left to another order.
const PATIENCE: Duration = Duration::from_secs(40);

/// What is decided about which notes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// What.
    pub decision: Decision,
    /// About which.
    pub filter: Filter,
    /// Those sealed, or dead-lettered, later than this are left alone; by default the moment of the order.
    pub until: Option<Timestamp>,
    /// Those behind this one.
    pub after: Option<Cursor>,
}

/// Bytes of a filter that are put on record.
const FILTER_BYTES: usize = 500;

impl Order {
    /// What is put on record of it.
    fn act(&self) -> Act {
        let mut filter = self.filter.for_log();
        filter.truncate(filter.floor_char_boundary(FILTER_BYTES));
        match self.decision {
            Decision::Retry => Act::OutboxRetry { filter },
            Decision::Purge => Act::OutboxPurge { filter },
        }
    }
}

/// Who decides, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Somebody at the HTTP API.
    Api,
    /// Somebody at the command line, with no host running.
    Cli,
}

/// What came of an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Decided {
    /// Notes that were meant.
    pub matched: u64,
    /// Notes for which it was carried out; 0 for a preview.
    pub done: u64,
    /// The first [`MOST_SHOWN`] that were meant, as they were before.
    pub entries: Vec<Entry>,
    /// Whether there were more.
    pub more: bool,
    /// The moment that bounds what was meant, in seconds since the Unix epoch.
    pub until: f64,
    /// For what is left, where the time was up.
    pub next: Option<Cursor>,
    /// Rows that were passed over because they can't be read.
    pub unreadable: u64,
}

/// Why an order wasn't carried out to its end. What was done before is done.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The store can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The engine has ended.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// What an order would mean; changes nothing.
///
/// # Errors
/// The store can't be read.
pub async fn preview(
    store: &dyn Store,
    order: &Order,
    clock: Clock,
) -> Result<Decided, StoreError> {
    let mut selection = Selection::new(store, order, clock);
    while let Some(notes) = selection.chunk().await? {
        drop(notes);
    }
    Ok(selection.decided)
}

/// Carries an order out, a chunk of notes at a time. Ends early when it takes too long, and says where
/// to go on.
///
/// # Errors
/// The store can't be read, or the engine has ended.
pub async fn carry_out(
    store: &dyn Store,
    engine: &Handle,
    order: &Order,
    clock: Clock,
    by: By,
) -> Result<Decided, LedgerError> {
    let mut selection = Selection::new(store, order, clock);
    let mut record = Record { by, order, matched: 0, done: 0 };
    let deed = engine.deed(order.act(), order.filter.product.as_ref());
    let deed = deed.map(|deed| Deed { order: Some(rand::random()), ..deed });
    while let Some(notes) = selection.chunk().await? {
        record.matched = selection.decided.matched;
        record.done += engine.decide_as(order.decision, notes, deed.clone()).await? as u64;
    }
    if let Some(deed) = deed.filter(|_| record.matched == 0) {
        engine.record(deed, Outcome::Done { affected: Some(0) }).await?;
    }
    selection.decided.done = record.done;
    Ok(selection.decided)
}

/// The notes that an order means, in chunks.
struct Selection<'a> {
    walk: Walk<'a>,
    clock: Clock,
    began: Timestamp,
    until: Timestamp,
    /// The last row that was looked at.
    last: Option<Key>,
    ended: bool,
    decided: Decided,
}

impl<'a> Selection<'a> {
    fn new(store: &'a dyn Store, order: &'a Order, clock: Clock) -> Self {
        let began = clock.now();
        let until = order.until.unwrap_or(began);
        Self {
            walk: Walk::new(store, &order.filter, order.after.as_ref()),
            clock,
            began,
            until,
            last: None,
            ended: false,
            decided: Decided {
                matched: 0,
                done: 0,
                entries: Vec::new(),
                more: false,
                until: until.as_secs_f64(),
                next: None,
                unreadable: 0,
            },
        }
    }

    /// The next notes, one at least; `None` at the end.
    async fn chunk(&mut self) -> Result<Option<Vec<NoteRef>>, StoreError> {
        let mut notes = Vec::new();
        while !self.ended && notes.len() < CHUNK {
            let now = self.clock.now();
            if now.since(self.began) >= PATIENCE {
                self.decided.next = self.last.take().map(Cursor::behind);
                self.ended = true;
                break;
            }
            let Some(page) = self.walk.page(now, false).await? else {
                self.ended = true;
                break;
            };
            for (_, entry) in page.found {
                match entry {
                    None => self.decided.unreadable += 1,
                    Some(entry) if self.is_later(&entry, now) => {}
                    Some(entry) => notes.push(self.take(entry)),
                }
            }
            self.last = page.last.or(self.last.take());
        }
        Ok((!notes.is_empty()).then_some(notes))
    }

    fn take(&mut self, entry: Entry) -> NoteRef {
        let (product, session) = (entry.product.clone(), entry.session.clone());
        let key = SessionKey { product, session };
        let note = NoteRef { key, lane: entry.lane, seq: entry.seq };
        self.decided.matched += 1;
        if self.decided.entries.len() < MOST_SHOWN {
            self.decided.entries.push(entry);
        } else {
            self.decided.more = true;
        }
        note
    }

    /// Whether a note came to be what it is after the moment that bounds the order. One that is from
    /// after this very moment is from before: the clock was set back since.
    fn is_later(&self, entry: &Entry, now: Timestamp) -> bool {
        let since = Timestamp::from_secs_f64(entry.dead_lettered_at.unwrap_or(entry.sealed_at));
        since > self.until && since <= now
    }
}

/// Says in the log what was done, however it ended: an order may be broken off when its client goes away.
struct Record<'a> {
    by: By,
    order: &'a Order,
    matched: u64,
    done: u64,
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        let by = match self.by {
            By::Api => "api",
            By::Cli => "cli",
        };
        let (matched, done, filter) = (self.matched, self.done, self.order.filter.for_log());
        match self.order.decision {
            Decision::Retry => {
                tracing::info!(by, matched, done, filter, "outbox: a retry was ordered")
            }
            Decision::Purge => {
                tracing::info!(by, matched, done, filter, "outbox: a purge was ordered")
            }
        }
    }
}
