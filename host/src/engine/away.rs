//! While the store can't be reached: actions are accepted into the local journal, links are refused, and
//! nothing else happens. When it is back, the journal is played back in order before anything newer.
//!
//! A store that refuses what the host needs isn't away: it may do so for ever, so nothing is accepted into the
//! journal, the streams are paused, and the host isn't ready until a person has seen to it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::clock::Timestamp;
use crate::engine::handle::Summary;
use crate::engine::inbox::Input;
use crate::engine::link::LinkError;
use crate::engine::round::{Answer, Engine, EngineError};
use crate::engine::rows::{journal_group, put, read};
use crate::ids::SessionKey;
use crate::session::payload::ActionsPayload;
use crate::session::state::Covers;
use crate::store::{JournalError, StoreError, Table};

/// Pause before the store is tried again.
const PAUSE: Duration = Duration::from_millis(500);
/// Pause before a store that refused is asked again.
const REFUSED_PAUSE: Duration = Duration::from_secs(2);
/// Batches that are put into the journal at once: each time is an fsync.
const TOGETHER: usize = 256;
/// Bytes of the journal that are played back in one round.
const PAGE: usize = 1 << 20;

/// A batch or a summary in the journal.
#[derive(Serialize, Deserialize)]
struct Journalled {
    key: SessionKey,
    /// Empty where it is a summary.
    batch: ActionsPayload,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    summary: Option<(String, Covers)>,
    /// When its source sent the summary.
    #[serde(default)]
    forwarded_at: f64,
    bytes: usize,
    at: Timestamp,
}

/// What of an input isn't part of its record.
struct Waiting {
    accepted_at: Option<Timestamp>,
    room: Option<OwnedSemaphorePermit>,
    accepted: Option<oneshot::Sender<()>>,
    reply: Option<oneshot::Sender<Summary>>,
}

impl Journalled {
    fn into_input(self, waiting: Waiting) -> Input {
        let Self { key, batch, summary, forwarded_at, bytes, .. } = self;
        let Waiting { accepted_at, room, accepted, reply } = waiting;
        match summary {
            None => Input::Actions { key, batch, bytes, accepted_at, room, accepted },
            Some((text, covers)) => {
                Input::Summary { key, text, covers, forwarded_at, accepted_at, room, reply }
            }
        }
    }
}

impl Engine {
    /// Waits before the store is tried again, and takes actions into the journal meanwhile.
    ///
    /// # Errors
    /// The store failed for good, or somebody wants the host to end.
    pub(super) async fn wait_for_store(&mut self, error: StoreError) -> Result<(), EngineError> {
        let refused = match error {
            StoreError::Away(_) => false,
            StoreError::Refused(_) => true,
            StoreError::Full(_) | StoreError::Fatal(_) => return Err(error.into()),
        };
        if refused && self.counters.store_refused.get() == 0 {
            tracing::error!("{error}; webhooks are answered 503");
        } else if !refused && self.counters.store_away.get() == 0 {
            tracing::error!(
                "{error}; actions are accepted into the journal, webhooks are answered 503"
            );
        }
        self.counters.store_refused.set(u64::from(refused));
        self.counters.store_away.set(u64::from(!refused));
        let pause = if refused { REFUSED_PAUSE } else { PAUSE };
        let until = self.clock.instant(self.clock.now() + pause);
        loop {
            let kept =
                |input: &Input| matches!(input, Input::Actions { .. } | Input::Summary { .. });
            let open = !refused && self.journal.is_some() && !self.put_off.iter().any(kept);
            tokio::select! {
                () = tokio::time::sleep_until(until) => return Ok(()),
                Some(order) = self.control.recv() => {
                    if let Input::Stop = order {
                        self.stopping = true;
                        return Err(error.into());
                    }
                    self.put_off.push(order);
                }
                Some(input) = self.inbox.recv(), if open => self.journal_from(input).await?,
            }
        }
    }

    /// The store answered.
    pub(super) fn is_back(&mut self) {
        if self.counters.store_away.get() > 0 || self.counters.store_refused.get() > 0 {
            self.counters.store_away.set(0);
            self.counters.store_refused.set(0);
            tracing::info!("store: it is back; the host goes on");
        }
    }

    /// Puts this input and those behind it into the journal. What finds no room waits for the store, and
    /// with it the stream.
    async fn journal_from(&mut self, first: Input) -> Result<(), EngineError> {
        let Some(journal) = self.journal.clone() else { return Ok(()) };
        let mut accepted: Vec<(Journalled, Waiting)> = Vec::new();
        let at = self.clock.now();
        let mut next = Ok(first);
        while let Ok(input) = next {
            match input {
                Input::Link { reply, .. } => drop(reply.send(Err(LinkError::Unavailable))),
                Input::Actions { key, batch, bytes, accepted_at, room, accepted: told } => {
                    let (summary, forwarded_at) = (None, 0.0);
                    let record = Journalled { key, batch, summary, forwarded_at, bytes, at };
                    accepted
                        .push((record, Waiting { accepted_at, room, accepted: told, reply: None }));
                }
                Input::Summary { key, text, covers, forwarded_at, accepted_at, room, reply } => {
                    let (batch, bytes) = (ActionsPayload::default(), text.len());
                    let summary = Some((text, covers));
                    let record = Journalled { key, batch, summary, forwarded_at, bytes, at };
                    accepted.push((record, Waiting { accepted_at, room, accepted: None, reply }));
                }
                other @ (Input::Decide { .. }
                | Input::Erase(_)
                | Input::Scrubbed(_)
                | Input::Outcome(_)
                | Input::Redacted(_)
                | Input::Written(_)
                | Input::Settings(_)
                | Input::Drain
                | Input::Stop) => self.put_off.push(other),
            }
            next = if accepted.len() < TOGETHER {
                self.inbox.try_recv()
            } else {
                Err(TryRecvError::Empty)
            };
        }
        let record = |(record, _): &(Journalled, _)| {
            serde_json::to_vec(record).expect("batches are text and numbers")
        };
        match journal.append(accepted.iter().map(record).collect()).await {
            Ok(()) => {
                self.counters.journalled.set(journal.len());
                for (record, waiting) in accepted {
                    self.counters.actions_accepted.add(record.batch.actions.len() as u64);
                    waiting.accepted.into_iter().map(Answer::Accepted).for_each(Answer::tell);
                    let kept = |reply| Answer::Summary(reply, Summary::Journalled);
                    waiting.reply.into_iter().map(kept).for_each(Answer::tell);
                }
            }
            Err(error @ JournalError::Full(_)) => {
                tracing::error!("{error}; nothing more is accepted until the store is back");
                let kept = |(record, waiting): (Journalled, Waiting)| record.into_input(waiting);
                self.put_off.extend(accepted.into_iter().map(kept));
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Whether something waits in the journal.
    pub(super) fn has_journalled(&self) -> bool {
        self.journal.as_ref().is_some_and(|journal| !journal.is_empty())
    }

    /// Reads how far this journal was played back: the host may have ended before it was emptied.
    pub(super) async fn find_place_in_journal(&mut self) -> Result<(), StoreError> {
        let Some(journal) = &self.journal else { return Ok(()) };
        let rows = self.store.load(Table::Journal, &[journal_group(journal.id())]).await?;
        let mut rows = rows.into_iter().flatten();
        self.played = rows.next().and_then(|(n, value)| read(Table::Journal, n, &value));
        Ok(())
    }

    /// One round of what waits in the journal. How far it went is stored with it, so that nothing is
    /// played twice.
    pub(super) async fn play_back(&mut self) -> Result<(), EngineError> {
        let Some(journal) = self.journal.clone() else { return Ok(()) };
        let records = journal.peek(PAGE).await?;
        let Some((last, _)) = records.last() else { return Ok(()) };
        let last = *last;
        let unplayed = records.iter().filter(|(n, _)| self.played.is_none_or(|played| *n > played));
        let batches = unplayed.filter_map(|(n, record)| read(Table::Journal, *n, record));
        let mut inputs: Vec<_> = batches
            .map(|record: Journalled| {
                let accepted_at = Some(record.at);
                record.into_input(Waiting { accepted_at, room: None, accepted: None, reply: None })
            })
            .collect();
        while let Some(outcome) = self.posts.try_join_next() {
            inputs.push(outcome.map_err(EngineError::Panic)?);
        }
        let mark = put(Table::Journal, journal_group(journal.id()), 0, &last);
        self.round(inputs, vec![mark]).await?;
        self.played = Some(last);
        journal.remove_through(last).await?;
        self.counters.journalled.set(journal.len());
        Ok(())
    }
}
