//! The ordered queue of one session's notes: one in flight, the head first, always.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::config::Delivery;
use crate::outbox::note::{FailureKind, Note, PostError, Posted};
use crate::outbox::retry::Backoff;

/// A note that was in flight in so many crashes or traps is given up: it may be what causes them.
pub const MAX_CRASHES: u32 = 3;

/// So many notes of a lane are in memory; those behind them are read from the store when their turn
/// comes, so that a platform that is away for hours fills the disk and not the memory.
pub const IN_MEMORY: usize = 4;

/// A note that could not be delivered for so long is given up, however often it was tried.
pub const MAX_AGE: Duration = Duration::from_secs(24 * 3600);

/// A lane.
#[derive(Debug, Default, Clone)]
pub struct Lane {
    /// The first notes.
    notes: VecDeque<Queued>,
    /// How many more are in the store only.
    behind: usize,
    /// The number of the last note that was in memory.
    last: u64,
}

/// A note of a lane with its history.
#[derive(Debug, Clone, PartialEq)]
pub struct Queued {
    /// The sealed note.
    pub note: Arc<Note>,
    /// How far the attempts at it are.
    pub progress: Progress,
}

/// How far the attempts at a note are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Attempts that were begun and count.
    pub attempts: u32,
    /// Attempts that don't count, such as those that met a limit; they lengthen the pauses all the same.
    #[serde(default)]
    pub uncounted: u32,
    /// Attempts in which the plugin or the host crashed.
    pub crashes: u32,
    /// What it waits for.
    pub state: State,
    /// When the wait was decided.
    #[serde(default)]
    pub since: Timestamp,
}

impl Progress {
    /// Of a note that was never tried.
    pub const FRESH: Self = Self {
        attempts: 0,
        uncounted: 0,
        crashes: 0,
        state: State::Due,
        since: Timestamp(i64::MIN),
    };

    /// The same at a host whose clock shows `now`: a wait that was decided later than that, by a clock
    /// that was set back since, takes no longer than it was to take in all.
    #[must_use]
    pub fn by_the_clock_at(mut self, now: Timestamp) -> Self {
        if self.since > now {
            if let State::RetryAt(at) | State::HeldUntil(at) = &mut self.state {
                *at = now + at.since(self.since);
            }
            self.since = now;
        }
        self
    }
}

/// What a queued note waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// For its turn.
    Due,
    /// For the outcome of an attempt.
    InFlight,
    /// For a moment that the host chose.
    RetryAt(Timestamp),
    /// For a moment that the platform asked for.
    HeldUntil(Timestamp),
}

/// What an outcome did to the head of a lane.
#[derive(Debug, Clone, PartialEq)]
pub enum Finished {
    /// It was posted and left the lane.
    Sent(Posted),
    /// It stays the head and is tried again.
    Retry {
        /// When.
        at: Timestamp,
    },
    /// It was given up and left the lane.
    Dead(DeadLetter),
}

/// A note given up: kept, so that a person can see it and send it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The note.
    pub note: Arc<Note>,
    /// Why, as `code: message`.
    pub reason: String,
    /// After how many attempts.
    pub attempts: u32,
    /// When.
    pub at: Timestamp,
}

impl Lane {
    /// A lane from its rows, in order. A note in flight when the host stopped has an unknown outcome:
    /// it is sent again under the same key, and the crash counts.
    pub fn load(rows: impl IntoIterator<Item = Queued>) -> Self {
        let mut notes: VecDeque<_> = rows.into_iter().collect();
        for Queued { progress, .. } in &mut notes {
            if progress.state == State::InFlight {
                progress.state = State::Due;
                progress.crashes += 1;
            }
        }
        let behind = notes.len().saturating_sub(IN_MEMORY);
        notes.truncate(IN_MEMORY);
        let last = notes.back().map_or(0, |queued| queued.note.seq);
        Self { notes, behind, last }
    }

    /// The number of the note after which the lane must be refilled from the store, if it must.
    pub fn wants_after(&self) -> Option<u64> {
        (self.notes.is_empty() && self.behind > 0).then_some(self.last)
    }

    /// Takes the rows behind [`Lane::wants_after`] in order: the number of each, and its note where it
    /// can be read. No rows at all means that the store has no more.
    pub fn refill(&mut self, rows: impl IntoIterator<Item = (u64, Option<Queued>)>) {
        let mut any = false;
        for (number, queued) in rows.into_iter().take(IN_MEMORY) {
            any = true;
            self.last = number;
            self.notes.extend(queued);
        }
        // Rows that can't be read were never counted.
        self.behind = if any { self.behind.saturating_sub(self.notes.len()) } else { 0 };
    }

    /// Gives the head up if it was in flight in [`MAX_CRASHES`] crashes; asked after [`Lane::load`].
    pub fn take_poisoned(&mut self, now: Timestamp) -> Option<DeadLetter> {
        self.head().filter(|head| head.progress.crashes >= MAX_CRASHES)?;
        let queued = self.notes.pop_front()?;
        let reason = format!("poison: it was in flight in {} crashes", queued.progress.crashes);
        Some(DeadLetter { note: queued.note, reason, attempts: queued.progress.attempts, at: now })
    }

    /// Adds a note behind the others.
    pub fn push(&mut self, note: Arc<Note>) {
        if self.behind > 0 || self.notes.len() >= IN_MEMORY {
            self.behind += 1;
            return;
        }
        self.last = note.seq;
        self.notes.push_back(Queued { note, progress: Progress::FRESH });
    }

    /// Whether no note waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many notes wait.
    pub fn len(&self) -> usize {
        self.notes.len() + self.behind
    }

    /// The head.
    pub fn head(&self) -> Option<&Queued> {
        self.notes.front()
    }

    /// Whether the head can be sent at `now`.
    pub fn is_ready(&self, now: Timestamp) -> bool {
        self.head().is_some_and(|head| match head.progress.state {
            State::Due => true,
            State::RetryAt(at) | State::HeldUntil(at) => at <= now,
            State::InFlight => false,
        })
    }

    /// When the head can be sent, if it waits for a moment.
    pub fn next_timer(&self) -> Option<Timestamp> {
        match self.head()?.progress.state {
            State::RetryAt(at) | State::HeldUntil(at) => Some(at),
            State::Due | State::InFlight => None,
        }
    }

    /// Begins an attempt at the head. The row must be stored before the call is made.
    pub fn start(&mut self) -> Option<&Queued> {
        let head = self.notes.front_mut()?;
        head.progress.state = State::InFlight;
        head.progress.attempts += 1;
        Some(head)
    }

    /// The conversation is alive: a head that waits for a moment of the host's choice is due at once.
    /// What the platform asked for is kept.
    pub fn nudge(&mut self) {
        if let Some(head) = self.notes.front_mut()
            && let State::RetryAt(_) = head.progress.state
        {
            head.progress.state = State::Due;
        }
    }

    /// The host ends while the head is in flight: it is sent again after the next start. That is no crash.
    pub fn cut(&mut self) -> Option<&Queued> {
        let head = self.notes.front_mut().filter(|head| head.progress.state == State::InFlight)?;
        head.progress.state = State::Due;
        Some(head)
    }

    /// Ends the attempt at the head. `random` is in `0.0..=1.0`.
    pub fn finish(
        &mut self,
        outcome: Result<Posted, PostError>,
        now: Timestamp,
        rules: &Delivery,
        random: f64,
    ) -> Option<Finished> {
        let head = self.notes.front_mut()?;
        let error = match outcome {
            Ok(posted) => {
                self.notes.pop_front();
                return Some(Finished::Sent(posted));
            }
            Err(error) => error,
        };
        let mut verdict = judge(head, &error, rules);
        if now.since(head.note.sealed_at) >= MAX_AGE {
            verdict = Verdict::Dead;
        }
        let reason = reason(&error);
        if let Verdict::Dead = verdict {
            let queued = self.notes.pop_front()?;
            return Some(Finished::Dead(DeadLetter {
                note: queued.note,
                reason,
                attempts: queued.progress.attempts,
                at: now,
            }));
        }
        let backoff = Backoff { initial: rules.retry_initial, max: rules.retry_max };
        let floor = match &error {
            PostError::Failed(failure) => failure.retry_after,
            PostError::Crashed { .. } | PostError::Unavailable { .. } => None,
        };
        let tried = head.progress.attempts.saturating_add(head.progress.uncounted).max(1);
        let at = now + backoff.pause(tried, floor, random);
        if let Verdict::RetryFree = verdict {
            head.progress.attempts -= 1;
            head.progress.uncounted = head.progress.uncounted.saturating_add(1);
        }
        head.progress.since = now;
        head.progress.state =
            if floor.is_some() { State::HeldUntil(at) } else { State::RetryAt(at) };
        Some(Finished::Retry { at })
    }
}

enum Verdict {
    /// Try again.
    Retry,
    /// Try again; the attempt doesn't count.
    RetryFree,
    /// Give up.
    Dead,
}

fn judge(head: &mut Queued, error: &PostError, rules: &Delivery) -> Verdict {
    let spent = head.progress.attempts >= rules.max_attempts;
    match error {
        PostError::Unavailable { .. } => Verdict::RetryFree,
        PostError::Crashed { .. } => {
            head.progress.crashes += 1;
            if head.progress.crashes >= MAX_CRASHES || spent {
                Verdict::Dead
            } else {
                Verdict::Retry
            }
        }
        PostError::Failed(failure) => match failure.kind {
            FailureKind::RateLimited => Verdict::RetryFree,
            FailureKind::Transient | FailureKind::Auth if !spent => Verdict::Retry,
            FailureKind::Transient
            | FailureKind::Auth
            | FailureKind::NotFound
            | FailureKind::Invalid
            | FailureKind::Permanent => Verdict::Dead,
        },
    }
}

fn reason(error: &PostError) -> String {
    match error {
        PostError::Failed(failure) => format!("{}: {}", failure.code, failure.message),
        PostError::Crashed { crash, message } => format!("{}: {message}", crash.code()),
        PostError::Unavailable { message } => format!("unavailable: {message}"),
    }
}
