//! Redacting notes: those that a summary replaces, and those of somebody who is to be erased.
//!
//! A note that is to be redacted is a *job* of its session. Jobs of one session are done one at a time,
//! in the order of their notes as far as they are due; one that waits holds up no other. A plugin answers
//! the same when it is asked again, so a job whose outcome isn't known is simply done again.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::backoff::Backoff;
use crate::clock::Timestamp;
use crate::outbox::attempt::{Attempts, Because, Course, Status, Then};
use crate::outbox::note::{FailureKind, PostError, Redaction, SentNote};
use crate::rules::Delivery;

/// A note that couldn't be redacted for so long is left where it is.
pub const MAX_AGE: Duration = Duration::from_secs(7 * 24 * 3600);

/// So much of the last failure's text is kept, in bytes.
const MAX_FAILURE: usize = 200;

/// A note that is to be redacted; a row of the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The note. Without an id of the platform's, it isn't known whether the platform has it.
    pub note: SentNote,
    /// Why it is redacted.
    pub why: Why,
    /// When that was decided.
    pub since: Timestamp,
    /// Attempts that were begun and count.
    pub attempts: u32,
    /// Attempts that don't count; they lengthen the pauses all the same.
    pub uncounted: u32,
    /// What it waits for.
    pub state: State,
    /// When the wait was decided.
    pub decided: Timestamp,
    /// Why the last attempt failed, as `code: message`.
    pub failure: Option<String>,
    /// The attempts to redact it.
    #[serde(default, rename = "log", skip_serializing_if = "Attempts::is_empty")]
    pub tries: Attempts,
    /// The erasure that it is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erasure: Option<ErasureId>,
    /// Of a note that is being posted: whether the platform may have it by an earlier attempt. A start asks for it in
    /// any case.
    #[serde(skip)]
    pub unknown: bool,
}

/// The name of an erasure, by which what stays of it is looked up. Says nothing of whom it was about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(with = "String")]
#[serde(try_from = "String", into = "String")]
pub struct ErasureId(pub u64);

/// Text that names no erasure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no erasure's name: 16 hexadecimal digits, as the erasure answered")]
pub struct InvalidErasureId;

impl std::fmt::Display for ErasureId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl std::str::FromStr for ErasureId {
    type Err = InvalidErasureId;

    fn from_str(text: &str) -> Result<Self, InvalidErasureId> {
        let is_name = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let id = is_name.then(|| u64::from_str_radix(text, 16).ok()).flatten();
        id.map(Self).ok_or(InvalidErasureId)
    }
}

impl TryFrom<String> for ErasureId {
    type Error = InvalidErasureId;

    fn try_from(text: String) -> Result<Self, InvalidErasureId> {
        text.parse()
    }
}

impl From<ErasureId> for String {
    fn from(id: ErasureId) -> Self {
        id.to_string()
    }
}

/// Why a note is redacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// A summary stands in its place. Where it can't be redacted, it is remembered as sent.
    Replaced,
    /// Its person or session is erased. Nothing is remembered of it.
    Erased,
}

/// What a job waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// For the end of its note's post, which was under way when it was to be redacted.
    Posting,
    /// For its turn.
    Due,
    /// For the outcome of an attempt.
    InFlight,
    /// For a moment.
    Until(Timestamp),
    /// For a person: the note is still there.
    GivenUp,
}

/// How a job ended, or didn't.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finished {
    /// The call answered; the job has left the queue.
    Ended(Box<Job>, Redaction),
    /// It is tried again. Its row must be stored.
    Retry,
    /// It isn't tried any more and has left the queue; its row must be stored, so that a person can see it.
    GivenUp(Box<Job>),
}

impl Job {
    /// A job that is due.
    pub fn new(note: SentNote, why: Why, now: Timestamp) -> Self {
        let (attempts, uncounted, failure, erasure, unknown) = (0, 0, None, None, false);
        Self {
            note,
            why,
            since: now,
            attempts,
            uncounted,
            state: State::Due,
            decided: now,
            failure,
            tries: Attempts::NONE,
            erasure,
            unknown,
        }
    }

    /// A job whose note is being posted at this moment. `unknown`: an earlier attempt at that ended without an outcome.
    pub fn of_post(note: SentNote, why: Why, unknown: bool, now: Timestamp) -> Self {
        Self { state: State::Posting, unknown, ..Self::new(note, why, now) }
    }

    /// The same at a start of the host: whatever was under way has an unknown outcome, and a clock that was
    /// set back since has made no wait longer.
    #[must_use]
    pub fn taken_up(mut self, now: Timestamp) -> Self {
        self.tries.cut();
        match &mut self.state {
            State::Posting | State::InFlight => self.state = State::Due,
            State::Until(at) if self.decided > now => *at = now + at.since(self.decided),
            State::Due | State::Until(_) | State::GivenUp => {}
        }
        self.decided = self.decided.min(now);
        self.since = self.since.min(now);
        self
    }

    /// The same for every attempt at this job, and another one than its note's.
    pub fn idempotency_key(&self) -> String {
        let mut hash = Sha256::new();
        hash.update("redact");
        hash.update(&self.note.idempotency_key);
        hex::encode(&hash.finalize()[..16])
    }

    fn is_ready(&self, now: Timestamp) -> bool {
        match self.state {
            State::Due => true,
            State::Until(at) => at <= now,
            State::Posting | State::InFlight | State::GivenUp => false,
        }
    }

    /// Whether it was tried for too long, or in too many crashes of the host.
    fn is_spent(&self, now: Timestamp, rules: &Delivery) -> bool {
        match self.state {
            State::Posting | State::InFlight | State::GivenUp => false,
            State::Due if self.attempts >= rules.max_attempts => true,
            State::Due | State::Until(_) => self.since + MAX_AGE <= now,
        }
    }
}

/// The jobs of one session, by their notes' numbers.
#[derive(Debug, Default, Clone)]
pub struct Queue {
    jobs: BTreeMap<u64, Job>,
}

impl Queue {
    /// Adds a job, or puts it in place of the one for the same note.
    pub fn insert(&mut self, seq: u64, job: Job) {
        self.jobs.insert(seq, job);
    }

    /// A job.
    pub fn get(&self, seq: u64) -> Option<&Job> {
        self.jobs.get(&seq)
    }

    /// Takes a job out, whatever it waits for.
    pub fn remove(&mut self, seq: u64) -> Option<Job> {
        self.jobs.remove(&seq)
    }

    /// The jobs.
    pub fn jobs(&self) -> impl Iterator<Item = (u64, &Job)> {
        self.jobs.iter().map(|(seq, job)| (*seq, job))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// The job whose turn it is; `None` while one is under way.
    pub fn ready(&self, now: Timestamp) -> Option<(u64, &Job)> {
        if self.jobs.values().any(|job| job.state == State::InFlight) {
            return None;
        }
        self.jobs().find(|(_, job)| job.is_ready(now))
    }

    /// When something is to be done: a job can be tried after a wait (unless one is `queued` for its turn
    /// already, or under way: what waits longer than that is looked at when it ends), or is too old.
    pub fn next_timer(&self, queued: bool) -> Option<Timestamp> {
        let busy = queued || self.jobs.values().any(|job| job.state == State::InFlight);
        let timers = self.jobs.values().flat_map(|job| {
            let age = Some(job.since + MAX_AGE);
            match job.state {
                State::Posting | State::InFlight | State::GivenUp => [None, None],
                State::Due => [None, age],
                State::Until(at) => [Some(at).filter(|_| !busy), age],
            }
        });
        timers.flatten().min()
    }

    /// Dead-letters what was tried for too long, or in too many crashes. The rows must be stored.
    pub fn take_spent(&mut self, now: Timestamp, rules: &Delivery) -> Vec<(u64, Job)> {
        let spent = self.jobs().filter(|(_, job)| job.is_spent(now, rules)).map(|(seq, _)| seq);
        let spent: Vec<_> = spent.collect();
        let given_up = |seq| Some((seq, given_up(self.jobs.remove(&seq)?, now)));
        spent.into_iter().filter_map(given_up).collect()
    }

    /// Begins an attempt. The row must be stored before the call is made.
    pub fn start(&mut self, seq: u64, now: Timestamp) -> Option<&Job> {
        let job = self.jobs.get_mut(&seq)?;
        job.state = State::InFlight;
        job.attempts += 1;
        job.tries.begin(now);
        Some(job)
    }

    /// The platform takes nothing for the conversation before `until`. The row must be stored.
    pub fn hold(&mut self, seq: u64, now: Timestamp, until: Timestamp) -> Option<&Job> {
        let job = self.jobs.get_mut(&seq)?;
        job.state = State::Until(until);
        job.decided = now;
        Some(job)
    }

    /// The host ends while an attempt is under way: it is made again after the next start, and doesn't
    /// count.
    pub fn cut(&mut self) -> Option<(u64, &Job)> {
        let under_way = |(_, job): &(&u64, &mut Job)| job.state == State::InFlight;
        let (seq, job) = self.jobs.iter_mut().find(under_way)?;
        job.state = State::Due;
        job.attempts -= 1;
        job.tries.cut();
        Some((*seq, job))
    }

    /// The post that a job waits for ended with the note at the platform, under this id where it says, or
    /// with nobody knowing. The row must be stored.
    pub fn posted(&mut self, seq: u64, note_id: Option<String>) -> Option<&Job> {
        let job = self.jobs.get_mut(&seq)?;
        job.note.note_id = note_id;
        job.state = State::Due;
        Some(job)
    }

    /// Ends an attempt. `None`: there is no such attempt.
    pub fn finish(
        &mut self,
        seq: u64,
        outcome: Result<Redaction, PostError>,
        course: &Course,
        now: Timestamp,
        rules: &Delivery,
    ) -> Option<Finished> {
        let free = course.probe;
        let job = self.jobs.get_mut(&seq).filter(|job| job.state == State::InFlight)?;
        let error = match outcome {
            Ok(redaction) => {
                match redaction {
                    Redaction::Removed | Redaction::Overwritten => job.tries.succeed(course),
                    Redaction::Unsupported => job.tries.end_as(course, Status::Invalid),
                }
                return Some(Finished::Ended(Box::new(self.jobs.remove(&seq)?), redaction));
            }
            Err(error) => error,
        };
        let spent = !free && job.attempts >= rules.max_attempts;
        let verdict = match judge(&error, spent) {
            Verdict::Retry if free => Verdict::RetryFree,
            verdict @ (Verdict::Retry | Verdict::RetryFree | Verdict::Gone | Verdict::GiveUp) => {
                verdict
            }
        };
        let because = match error {
            PostError::Failed(ref failure) if failure.kind != FailureKind::Transient => {
                Because::Refused
            }
            PostError::Failed(_) | PostError::Crashed { .. } | PostError::Unavailable { .. } => {
                Because::Attempts
            }
        };
        let mut failure = error.reason();
        failure.truncate(failure.floor_char_boundary(MAX_FAILURE));
        job.failure = Some(failure);
        let aged = job.since + MAX_AGE <= now;
        match verdict {
            Verdict::Gone => {
                job.tries.succeed(course);
                let job = self.jobs.remove(&seq)?;
                return Some(Finished::Ended(Box::new(job), Redaction::Removed));
            }
            Verdict::GiveUp => {
                job.tries.fail(course, &error, Then::End(because));
                let job = self.jobs.remove(&seq)?;
                return Some(Finished::GivenUp(Box::new(given_up(job, now))));
            }
            Verdict::Retry | Verdict::RetryFree if aged => {
                job.tries.fail(course, &error, Then::End(Because::Age));
                let job = self.jobs.remove(&seq)?;
                return Some(Finished::GivenUp(Box::new(given_up(job, now))));
            }
            Verdict::Retry | Verdict::RetryFree => {}
        }
        let backoff = Backoff { initial: rules.retry_initial, max: rules.retry_max };
        let tried = job.attempts.saturating_add(job.uncounted).max(1);
        let at = now + backoff.pause(tried, error.retry_after(), course.random);
        job.tries.fail(course, &error, Then::Again(at));
        job.state = State::Until(at);
        job.decided = now;
        if verdict == Verdict::RetryFree {
            job.attempts -= 1;
            job.uncounted = job.uncounted.saturating_add(1);
        }
        Some(Finished::Retry)
    }
}

fn given_up(job: Job, now: Timestamp) -> Job {
    Job { state: State::GivenUp, decided: now, ..job }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Try again.
    Retry,
    /// Try again; the attempt doesn't count.
    RetryFree,
    /// The note isn't there.
    Gone,
    /// A person must see to it.
    GiveUp,
}

fn judge(error: &PostError, spent: bool) -> Verdict {
    let failure = match error {
        PostError::Unavailable { .. } => return Verdict::RetryFree,
        PostError::Crashed { .. } if spent => return Verdict::GiveUp,
        PostError::Crashed { .. } => return Verdict::Retry,
        PostError::Failed(failure) => failure,
    };
    match failure.kind {
        // A person must see to the credentials; the note waits for that, within its age.
        FailureKind::RateLimited | FailureKind::Auth => Verdict::RetryFree,
        FailureKind::NotFound => Verdict::Gone,
        FailureKind::Transient if !spent => Verdict::Retry,
        FailureKind::Transient | FailureKind::Invalid | FailureKind::Permanent => Verdict::GiveUp,
    }
}

#[cfg(test)]
mod tests;
