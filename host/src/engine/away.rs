//! While the store can't be reached: actions are accepted into the local journal, links are
//! refused, and nothing else happens. When it is back, the journal is replayed in order before
//! anything newer.
//!
//! A store that refuses what the host needs isn't away: it may do so for ever, so nothing is accepted into the
//! journal, the streams are paused, and the host isn't ready until a person has seen to it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::error::TryRecvError;

use crate::clock::Timestamp;
use crate::engine::core::link::LinkError;
use crate::engine::core::rows::{encode, journal_group, put, read};
use crate::engine::core::{Answer, Command};
use crate::engine::driver::{Engine, EngineError};
use crate::engine::inbox::{Asked, Input};
use crate::engine::state::StoreState;
use crate::ids::SessionKey;
use crate::session::payload::ActionsPayload;
use crate::session::state::Covers;
use crate::store::{Change, JournalError, Key, StoreError, Table};

/// Pause before the store is tried again.
const PAUSE: Duration = Duration::from_millis(500);
/// Pause before a store that refused is asked again.
const REFUSED_PAUSE: Duration = Duration::from_secs(2);
/// Batches that are put into the journal at once: each time is an fsync.
const TOGETHER: usize = 256;
/// Bytes of the journal that are replayed in one round.
const PAGE: usize = 1 << 20;
/// The number of the row that says how far a journal was replayed.
const MARK: u64 = 0;

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

impl Journalled {
    /// The record of a command that can be accepted without the store.
    fn of(command: &Command, now: Timestamp) -> Option<Self> {
        match command {
            Command::Actions { key, batch, bytes, accepted_at } => Some(Self {
                key: key.clone(),
                batch: batch.clone(),
                summary: None,
                forwarded_at: 0.0,
                bytes: *bytes,
                at: accepted_at.unwrap_or(now),
            }),
            Command::Summary { key, text, covers, forwarded_at, accepted_at } => Some(Self {
                key: key.clone(),
                batch: ActionsPayload::default(),
                summary: Some((text.clone(), *covers)),
                forwarded_at: *forwarded_at,
                bytes: text.len(),
                at: accepted_at.unwrap_or(now),
            }),
            // Who brings it is told to come again, and asks again.
            Command::Page(_)
            | Command::Adopt(..)
            | Command::Link(_)
            | Command::Decide(..)
            | Command::Erase(_)
            | Command::Offer(_)
            | Command::Reply(_)
            | Command::Turn(_)
            | Command::Resend(_)
            | Command::Help(_)
            | Command::Key(_)
            | Command::Switch(_)
            | Command::KeysUsed(_)
            | Command::ClearKv(_)
            | Command::RemoveTimers(..)
            | Command::Audit(..)
            | Command::Scrubbed(_)
            | Command::Ended(_)
            | Command::Drain
            | Command::Stop => None,
        }
    }

    fn into_command(self) -> Command {
        let Self { key, batch, summary, forwarded_at, bytes, at } = self;
        let accepted_at = Some(at);
        match summary {
            None => Command::Actions { key, batch, bytes, accepted_at },
            Some((text, covers)) => {
                Command::Summary { key, text, covers, forwarded_at, accepted_at }
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
        let state = match error {
            StoreError::Away(_) => StoreState::Away,
            StoreError::Refused(_) => StoreState::Refused,
            StoreError::Full(_) | StoreError::Lost(_) | StoreError::Fatal(_) => {
                return Err(error.into());
            }
        };
        let refused = state == StoreState::Refused;
        if self.state.get() != state {
            match refused {
                true => tracing::error!("{error}; webhooks are answered 503"),
                false => tracing::error!(
                    "{error}; actions are accepted into the journal, webhooks are answered 503"
                ),
            }
        }
        self.state.set(state);
        self.turns.took_one();
        let pause = if refused { REFUSED_PAUSE } else { PAUSE };
        let until = self.clock.instant(self.clock.now() + pause);
        loop {
            let open = !refused && self.journal.is_some() && !self.put_off.iter().any(is_accepting);
            tokio::select! {
                () = tokio::time::sleep_until(until) => return Ok(()),
                Some(order) = self.control.recv() => {
                    if let Some(Command::Stop) = order.command() {
                        self.stopping = true;
                        return Err(error.into());
                    }
                    self.put_off.push(order);
                }
                Some(input) = self.inbox.recv(), if open => self.journal_from(input).await?,
            }
        }
    }

    /// Puts this input and those behind it into the journal. What doesn't fit waits for the store, and
    /// with it the stream.
    async fn journal_from(&mut self, first: Input) -> Result<(), EngineError> {
        let Some(journal) = self.journal.clone() else { return Ok(()) };
        let mut kept: Vec<(Vec<u8>, Box<Asked>)> = Vec::new();
        let now = self.clock.now();
        let mut next = Ok(first);
        while let Ok(input) = next {
            match input {
                Input::Command(asked) => match Journalled::of(&asked.command, now) {
                    None if matches!(asked.command, Command::Link(_)) => {
                        asked.reply.tell(Answer::Linked(Err(LinkError::Unavailable)));
                    }
                    // Whoever wants an offer, or a change, is told that there is none now: the reply is dropped.
                    None if is_for_now(&asked.command) => {}
                    Some(record) => {
                        kept.push((encode(&record), asked));
                    }
                    None => self.put_off.push(Input::Command(asked)),
                },
                // A partition has no journal of its own.
                other @ (Input::Settings(_) | Input::Entry(_)) => self.put_off.push(other),
            }
            next = if kept.len() < TOGETHER {
                self.inbox.try_recv()
            } else {
                Err(TryRecvError::Empty)
            };
        }
        let (records, asked): (Vec<_>, Vec<_>) = kept.into_iter().unzip();
        match journal.append(records).await {
            Ok(()) => {
                self.counters.journalled.set(journal.len());
                for asked in asked {
                    let Asked { command, reply, .. } = *asked;
                    if let Command::Actions { batch, .. } = &command {
                        self.counters.actions_accepted.add(batch.actions.len() as u64);
                    }
                    reply.journalled();
                }
            }
            Err(error @ JournalError::Full(_)) => {
                tracing::error!("{error}; nothing more is accepted until the store is back");
                self.put_off.extend(asked.into_iter().map(Input::Command));
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Whether something waits in the journal.
    pub(super) fn has_journalled(&self) -> bool {
        self.journal.as_ref().is_some_and(|journal| !journal.is_empty())
    }

    /// Reads how far this journal was replayed: the host may have ended before it was emptied.
    pub(super) async fn find_place_in_journal(&mut self) -> Result<(), StoreError> {
        let Some(journal) = &self.journal else { return Ok(()) };
        let rows = self.store.load(Table::Journal, &[journal_group(journal.id())]).await?;
        // Under other numbers are records that can't be read.
        let mark = rows.iter().flatten().find(|(number, _)| *number == MARK);
        self.played = mark.and_then(|(n, value)| read(Table::Journal, *n, value));
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
        let (mut inputs, mut unreadable) = (Vec::new(), Vec::new());
        for (number, record) in unplayed {
            match read::<Journalled>(Table::Journal, *number, record) {
                Some(record) => inputs.push(record.into_command().into()),
                None => unreadable.push((*number, record.clone())),
            }
        }
        self.take_outcomes(&mut inputs)?;
        let group = journal_group(journal.id());
        // What can't be read is left as it is: its row stays in the store when the journal is emptied.
        let aside = unreadable.into_iter().map(|(number, record)| {
            let number = number + MARK + 1;
            Change::Put(Key { table: Table::Journal, group: group.clone(), number }, record)
        });
        let mark = put(Table::Journal, group.clone(), MARK, &last);
        self.round(inputs, aside.chain([mark]).collect()).await?;
        self.played = Some(last);
        journal.remove_through(last).await?;
        self.counters.journalled.set(journal.len());
        Ok(())
    }
}

/// Whether an input is one that the journal takes.
fn is_accepting(input: &Input) -> bool {
    let Input::Command(asked) = input else { return false };
    matches!(asked.command, Command::Actions { .. } | Command::Summary { .. })
}

/// Whether a command is for this moment only: it isn't carried out when the store is back.
fn is_for_now(command: &Command) -> bool {
    matches!(
        command,
        Command::Page(_)
            | Command::Offer(_)
            | Command::Reply(_)
            | Command::Turn(_)
            | Command::Help(_)
            | Command::Resend(_)
            | Command::Key(_)
            | Command::Switch(_)
            | Command::KeysUsed(_)
            | Command::ClearKv(_)
            | Command::RemoveTimers(..)
            | Command::Audit(..)
    )
}
