//! The ordered queue of one session's notes: one in flight, the head first, always.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::backoff::Backoff;
use crate::clock::Timestamp;
use crate::ids::{ConversationId, PluginName, SessionKey};
use crate::outbox::attempt::{Attempts, Because, Course, Then};
use crate::outbox::note::{Crash, FailureKind, Note, PostError, Posted};
use crate::rules::{DeadHead, Delivery};

/// A note that was in flight in so many crashes or traps is dead-lettered: it may be what causes them.
pub const MAX_CRASHES: u32 = 3;

/// So many notes of a lane are in memory; those behind them are read from the store when their turn
/// comes, so that a platform that is away for hours fills the disk and not the memory.
pub const IN_MEMORY: usize = 4;

/// So much of the last failure's text is kept with a note that waits, in bytes.
const MAX_FAILURE: usize = 200;

/// What can stand in a lane: a note, or what a sink is sent.
pub trait Item {
    /// Its session.
    fn key(&self) -> &SessionKey;

    /// Its place in its lane: it goes before those with a higher one.
    fn seq(&self) -> u64;

    /// The plugin that delivers it.
    fn plugin(&self) -> &PluginName;

    /// The conversation that it is for, where it is for one: the platform can limit each.
    fn conversation(&self) -> Option<&ConversationId>;

    /// The same for every attempt; no two share it.
    fn idempotency_key(&self) -> &str;

    /// When it was sealed; its age counts from then on.
    fn sealed_at(&self) -> Timestamp;

    /// Since when it, or the oldest of what it tells of, could have been delivered; where that is known.
    fn waits_since(&self) -> Option<Timestamp>;

    /// Whether the first attempt at it began when it was sealed.
    fn begun(&self) -> bool {
        false
    }

    /// How far the attempts are where no row says so.
    fn first_progress(&self) -> Progress {
        if self.begun() { Progress::begun(self.sealed_at()) } else { Progress::FRESH }
    }
}

impl Item for Note {
    fn key(&self) -> &SessionKey {
        &self.key
    }

    fn seq(&self) -> u64 {
        self.seq
    }

    fn plugin(&self) -> &PluginName {
        &self.plugin
    }

    fn conversation(&self) -> Option<&ConversationId> {
        Some(&self.conversation)
    }

    fn idempotency_key(&self) -> &str {
        &self.idempotency_key
    }

    fn sealed_at(&self) -> Timestamp {
        self.sealed_at
    }

    fn waits_since(&self) -> Option<Timestamp> {
        self.waits_since
    }

    fn begun(&self) -> bool {
        self.begun
    }
}

/// A lane, of notes where nothing else is said. What is told of a note holds for any [`Item`].
#[derive(Debug, Clone)]
pub struct Lane<T = Note> {
    /// The first notes.
    notes: VecDeque<Queued<T>>,
    /// How many more are in the store only.
    behind: usize,
    /// The number of the last note that was in memory.
    last: u64,
}

impl<T> Default for Lane<T> {
    fn default() -> Self {
        Self { notes: VecDeque::new(), behind: 0, last: 0 }
    }
}

/// A note of a lane with its history.
#[derive(Debug, PartialEq)]
pub struct Queued<T = Note> {
    /// The sealed note.
    pub note: Arc<T>,
    /// How far the attempts at it are.
    pub progress: Progress,
}

impl<T> Clone for Queued<T> {
    fn clone(&self) -> Self {
        Self { note: self.note.clone(), progress: self.progress.clone() }
    }
}

/// How far the attempts at a note are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Whether the platform may have the note: an attempt ended without a word of it.
    #[serde(default)]
    pub unknown: bool,
    /// When a person had it sent again; its age counts from then on.
    #[serde(default, rename = "revived")]
    pub requeued: Option<Timestamp>,
    /// Why the last attempt failed, as `code: message`.
    #[serde(default)]
    pub failure: Option<String>,
    /// The attempts.
    #[serde(default, rename = "log", skip_serializing_if = "Attempts::is_empty")]
    pub tries: Attempts,
}

impl Progress {
    /// Of a note that was never tried.
    pub const FRESH: Self = Self {
        attempts: 0,
        uncounted: 0,
        crashes: 0,
        state: State::Due,
        since: Timestamp(i64::MIN),
        unknown: false,
        requeued: None,
        failure: None,
        tries: Attempts::NONE,
    };

    /// Of a note whose first attempt began at this moment.
    pub fn begun(at: Timestamp) -> Self {
        let tries = Attempts::begun(at);
        Self { attempts: 1, state: State::InFlight, since: at, tries, ..Self::FRESH }
    }

    /// Of a note that a person had sent again: as if never tried, but for the log of what was.
    pub fn requeued(now: Timestamp, tries: Attempts) -> Self {
        Self { requeued: Some(now), tries, ..Self::FRESH }
    }

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
    /// For a person: it is a dead letter, and holds its lane.
    GivenUp,
}

/// What an outcome did to the head of a lane.
#[derive(Debug, Clone, PartialEq)]
pub enum Finished<T = Note> {
    /// It was posted and left the lane.
    Sent(Posted, Attempts),
    /// It stays the head and is tried again.
    Retry {
        /// When.
        at: Timestamp,
    },
    /// It is a dead letter; it left the lane, or holds it where the rules say so.
    Dead(DeadLetter<T>),
}

/// A note that isn't tried any more: kept, so that a person can see it and send it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeadLetter<T = Note> {
    /// The note.
    pub note: Arc<T>,
    /// Why, as `code: message`.
    pub reason: String,
    /// After how many attempts.
    pub attempts: u32,
    /// When.
    pub at: Timestamp,
    /// Whether its lane waits for a person's decision.
    #[serde(default)]
    pub holds_lane: bool,
    /// The attempts.
    #[serde(default = "none", rename = "log", skip_serializing_if = "Attempts::is_empty")]
    pub tries: Attempts,
}

fn none() -> Attempts {
    Attempts::NONE
}

impl<T: Item> Queued<T> {
    /// Whether what is stored of the note itself says that its first attempt is under way, and nothing else is to be said.
    pub fn is_begun(&self) -> bool {
        let Some(began) = self.progress.tries.last().map(|last| last.began) else { return false };
        let since = Progress::FRESH.since;
        self.note.begun() && self.progress == Progress { since, ..Progress::begun(began) }
    }
}

impl<T> Queued<T> {
    /// What was in flight in an earlier life of the host has an unknown outcome.
    fn take_up(&mut self) {
        if self.progress.state == State::InFlight {
            self.progress.state = State::Due;
            self.progress.crashes += 1;
            self.progress.unknown = true;
            self.progress.tries.cut();
        }
    }
}

impl<T: Item> Lane<T> {
    /// A lane from its rows, in order. A note in flight when the host stopped has an unknown outcome:
    /// it is sent again under the same key, and the crash counts.
    pub fn load(rows: impl IntoIterator<Item = Queued<T>>) -> Self {
        let mut notes: VecDeque<_> = rows.into_iter().collect();
        notes.iter_mut().for_each(Queued::take_up);
        let behind = notes.len().saturating_sub(IN_MEMORY);
        notes.truncate(IN_MEMORY);
        let last = notes.back().map_or(0, |queued| queued.note.seq());
        Self { notes, behind, last }
    }

    /// The number of the note after which the lane must be refilled from the store, if it must.
    pub fn wants_after(&self) -> Option<u64> {
        (self.notes.is_empty() && self.behind > 0).then_some(self.last)
    }

    /// Takes the rows behind [`Lane::wants_after`] in order: the number of each, and its note where it
    /// can be read. No rows at all means that the store has no more.
    pub fn refill(&mut self, rows: impl IntoIterator<Item = (u64, Option<Queued<T>>)>) {
        let mut any = false;
        for (number, queued) in rows.into_iter().take(IN_MEMORY) {
            any = true;
            self.last = number;
            // What stands in front by order may have been queued after an attempt at this one was cut off.
            self.notes.extend(queued.map(|mut queued| {
                queued.take_up();
                queued
            }));
        }
        // Rows that can't be read were never counted.
        self.behind = if any { self.behind.saturating_sub(self.notes.len()) } else { 0 };
    }

    /// Gives the head up if it was in flight in [`MAX_CRASHES`] crashes; asked after [`Lane::load`].
    pub fn take_poisoned(&mut self, now: Timestamp, rules: &Delivery) -> Option<DeadLetter<T>> {
        let waits = |head: &&Queued<T>| head.progress.state != State::GivenUp;
        let head = self.head().filter(waits)?;
        let crashes = Some(head.progress.crashes).filter(|crashes| *crashes >= MAX_CRASHES)?;
        self.dead_letter(format!("poison: it was in flight in {crashes} crashes"), now, rules)
    }

    /// Gives the head up if it could not be delivered for [`Delivery::max_age`]. One in flight is left alone.
    pub fn take_expired(&mut self, now: Timestamp, rules: &Delivery) -> Option<DeadLetter<T>> {
        let expired = self.expiry(rules).is_some_and(|at| at <= now);
        let head = self.head().filter(|_| expired)?;
        let last = head.progress.failure.as_deref().unwrap_or("it was never tried");
        let reason = format!("expired: not delivered for {:?}; last: {last}", rules.max_age);
        self.dead_letter(reason, now, rules)
    }

    /// When the head is dead-lettered for its age; `None` for one in flight, or a dead letter already.
    fn expiry(&self, rules: &Delivery) -> Option<Timestamp> {
        let head = self.head()?;
        match head.progress.state {
            State::InFlight | State::GivenUp => None,
            State::Due | State::RetryAt(_) | State::HeldUntil(_) => {
                Some(head.progress.requeued.unwrap_or(head.note.sealed_at()) + rules.max_age)
            }
        }
    }

    fn dead_letter(
        &mut self,
        reason: String,
        now: Timestamp,
        rules: &Delivery,
    ) -> Option<DeadLetter<T>> {
        let holds_lane = rules.dead_head == DeadHead::Hold;
        let head = self.notes.front_mut()?;
        let (note, attempts) = (head.note.clone(), head.progress.attempts);
        // The log is in the dead letter alone.
        let tries = std::mem::take(&mut head.progress.tries);
        if holds_lane {
            head.progress.state = State::GivenUp;
        } else {
            self.notes.pop_front();
        }
        Some(DeadLetter { note, reason, attempts, at: now, holds_lane, tries })
    }

    /// A person has a note sent again: a dead letter takes its place by its number, as if never
    /// tried, but not before one in flight; one that waits for a moment of the host's choice is due. The
    /// note's row must be stored. `tries` is the dead letter's log. `false`: there is nothing to be done for it.
    pub fn requeue(&mut self, note: &Arc<T>, tries: Attempts, now: Timestamp) -> bool {
        let fresh = Progress::requeued(now, tries);
        if let Some(queued) = self.notes.iter_mut().find(|queued| queued.note.seq() == note.seq()) {
            return match queued.progress.state {
                State::GivenUp => {
                    queued.progress = fresh;
                    true
                }
                State::RetryAt(_) => {
                    queued.progress.state = State::Due;
                    true
                }
                State::Due | State::InFlight | State::HeldUntil(_) => false,
            };
        }
        let fixed =
            usize::from(self.head().is_some_and(|head| head.progress.state == State::InFlight));
        let behind_it = |queued: &Queued<T>| queued.note.seq() > note.seq();
        let place = self.notes.iter().skip(fixed).position(behind_it).map(|place| place + fixed);
        match place {
            Some(place) => {
                self.notes.insert(place, Queued { note: note.clone(), progress: fresh });
                if self.notes.len() > IN_MEMORY {
                    self.notes.pop_back();
                    self.behind += 1;
                }
                self.last = self.notes.back().map_or(0, |queued| queued.note.seq());
            }
            None if self.behind > 0 || self.notes.len() >= IN_MEMORY => {
                // Its number may be lower than that of a note that left: what is read next begins there.
                self.behind += 1;
                self.last = self.last.min(note.seq().saturating_sub(1));
            }
            None => {
                self.last = note.seq();
                self.notes.push_back(Queued { note: note.clone(), progress: fresh });
            }
        }
        true
    }

    /// Takes a note out for good, as a person wishes. `false`: it isn't in memory, or in flight.
    pub fn purge(&mut self, seq: u64) -> bool {
        let waits = |queued: &Queued<T>| {
            queued.note.seq() == seq && queued.progress.state != State::InFlight
        };
        let Some(place) = self.notes.iter().position(waits) else { return false };
        self.notes.remove(place).is_some()
    }

    /// A note whose row was taken out of the store was one of those that are not in memory.
    pub fn purged_behind(&mut self) {
        self.behind = self.behind.saturating_sub(1);
    }

    /// Whether a note's row, if there is one, is among those that are not in memory.
    pub fn is_behind(&self, seq: u64) -> bool {
        // One that is in memory may stand behind what is read next by its number: an earlier one was requeued.
        let in_memory = || self.notes.iter().any(|queued| queued.note.seq() == seq);
        self.behind > 0 && seq > self.last && !in_memory()
    }

    /// Adds a note behind the others.
    pub fn push(&mut self, note: Arc<T>) {
        if self.behind > 0 || self.notes.len() >= IN_MEMORY {
            self.behind += 1;
            return;
        }
        self.last = note.seq();
        self.notes.push_back(Queued { note, progress: Progress::FRESH });
    }

    /// Puts another note in the place of a waiting one that was never tried; its row must be stored.
    /// `false`: there is none of its number, or it was tried.
    pub fn amend(&mut self, note: Arc<T>) -> bool {
        if self.is_behind(note.seq()) {
            return true;
        }
        let place = self.notes.iter_mut().find(|queued| queued.note.seq() == note.seq());
        let Some(queued) = place.filter(|queued| queued.progress == Progress::FRESH) else {
            return false;
        };
        queued.note = note;
        true
    }

    /// Whether no note waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many notes wait.
    pub fn len(&self) -> usize {
        self.notes.len() + self.behind
    }

    /// A note of the lane that is in memory.
    pub fn queued(&self, seq: u64) -> Option<&Queued<T>> {
        self.notes.iter().find(|queued| queued.note.seq() == seq)
    }

    /// The head.
    pub fn head(&self) -> Option<&Queued<T>> {
        self.notes.front()
    }

    /// Whether the head can be sent at `now`.
    pub fn is_ready(&self, now: Timestamp) -> bool {
        self.head().is_some_and(|head| match head.progress.state {
            State::Due => true,
            State::RetryAt(at) | State::HeldUntil(at) => at <= now,
            State::InFlight | State::GivenUp => false,
        })
    }

    /// When something is to be done for the head: it can be sent, where it waits for a moment and is not
    /// `queued` for its turn, or is dead-lettered for its age.
    pub fn next_timer(&self, queued: bool, rules: &Delivery) -> Option<Timestamp> {
        let sent = match self.head()?.progress.state {
            State::RetryAt(at) | State::HeldUntil(at) if !queued => Some(at),
            State::RetryAt(_) | State::HeldUntil(_) => None,
            State::Due | State::InFlight | State::GivenUp => None,
        };
        sent.into_iter().chain(self.expiry(rules)).min()
    }

    /// Whether what comes behind does better to gather: enough notes wait, or the platform asked for a
    /// pause.
    pub fn is_congested(&self, now: Timestamp, rules: &Delivery) -> bool {
        let held =
            |head: &Queued<T>| matches!(head.progress.state, State::HeldUntil(at) if at > now);
        self.len() >= rules.max_lane_notes || self.head().is_some_and(held)
    }

    /// Whether the lane waits for nothing but a person's decision.
    pub fn waits_for_a_person(&self) -> bool {
        self.head().is_some_and(|head| head.progress.state == State::GivenUp)
    }

    /// The platform takes nothing for the conversation before `until`.
    pub fn hold(&mut self, now: Timestamp, until: Timestamp) -> Option<&Queued<T>> {
        let head = self.notes.front_mut()?;
        match head.progress.state {
            State::InFlight | State::GivenUp => return None,
            State::Due | State::RetryAt(_) | State::HeldUntil(_) => {}
        }
        head.progress.since = now;
        head.progress.state = State::HeldUntil(until);
        Some(head)
    }

    /// Begins an attempt at the head. The row must be stored before the call is made.
    pub fn start(&mut self, now: Timestamp) -> Option<&Queued<T>> {
        let head = self.notes.front_mut()?;
        head.progress.state = State::InFlight;
        head.progress.attempts += 1;
        head.progress.tries.begin(now);
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
    pub fn cut(&mut self) -> Option<&Queued<T>> {
        let head = self.notes.front_mut().filter(|head| head.progress.state == State::InFlight)?;
        head.progress.state = State::Due;
        head.progress.tries.cut();
        Some(head)
    }

    /// Ends the attempt at the head.
    pub fn finish(
        &mut self,
        outcome: Result<Posted, PostError>,
        course: &Course,
        now: Timestamp,
        rules: &Delivery,
    ) -> Option<Finished<T>> {
        let head = self.notes.front_mut()?;
        let error = match outcome {
            Ok(posted) => {
                head.progress.tries.succeed(course);
                let tries = std::mem::take(&mut head.progress.tries);
                self.notes.pop_front();
                return Some(Finished::Sent(posted, tries));
            }
            Err(error) => error,
        };
        let verdict = judge(&mut head.progress, &error, course.probe, rules);
        let reason = error.reason();
        head.progress.unknown |= error.is_unknown();
        let aged =
            now.since(head.progress.requeued.unwrap_or(head.note.sealed_at())) >= rules.max_age;
        let because = match verdict {
            Verdict::Dead(because) => Some(because),
            Verdict::Retry | Verdict::RetryFree => aged.then_some(Because::Age),
        };
        if let Some(because) = because {
            head.progress.tries.fail(course, &error, Then::End(because));
            return self.dead_letter(reason, now, rules).map(Finished::Dead);
        }
        let head = self.notes.front_mut()?;
        let mut reason = reason;
        reason.truncate(reason.floor_char_boundary(MAX_FAILURE));
        head.progress.failure = Some(reason);
        let backoff = Backoff { initial: rules.retry_initial, max: rules.retry_max };
        let asked = error.retry_after();
        let tried = head.progress.attempts.saturating_add(head.progress.uncounted).max(1);
        let at = now + backoff.pause(tried, asked, course.random);
        head.progress.tries.fail(course, &error, Then::Again(at));
        if verdict == Verdict::RetryFree {
            head.progress.attempts -= 1;
            head.progress.uncounted = head.progress.uncounted.saturating_add(1);
        }
        head.progress.since = now;
        // What the platform asked for holds whatever happens meanwhile, and a limit of unknown length too.
        let held = asked.is_some() || error.is_limit();
        head.progress.state = if held { State::HeldUntil(at) } else { State::RetryAt(at) };
        Some(Finished::Retry { at })
    }
}

#[derive(PartialEq, Eq)]
enum Verdict {
    /// Try again.
    Retry,
    /// Try again; the attempt doesn't count.
    RetryFree,
    /// Dead-letter it.
    Dead(Because),
}

fn judge(progress: &mut Progress, error: &PostError, free: bool, rules: &Delivery) -> Verdict {
    let spent = !free && progress.attempts >= rules.max_attempts;
    let retry = if free { Verdict::RetryFree } else { Verdict::Retry };
    match error {
        PostError::Unavailable { .. } => Verdict::RetryFree,
        PostError::Crashed { crash, .. } => {
            if *crash != Crash::Timeout {
                progress.crashes += 1;
            }
            match (progress.crashes >= MAX_CRASHES, spent) {
                (true, _) => Verdict::Dead(Because::Crashes),
                (false, true) => Verdict::Dead(Because::Attempts),
                (false, false) => retry,
            }
        }
        PostError::Failed(failure) => match failure.kind {
            FailureKind::RateLimited => Verdict::RetryFree,
            FailureKind::Transient | FailureKind::Auth if !spent => retry,
            FailureKind::Transient | FailureKind::Auth => Verdict::Dead(Because::Attempts),
            FailureKind::NotFound | FailureKind::Invalid | FailureKind::Permanent => {
                Verdict::Dead(Because::Refused)
            }
        },
    }
}
