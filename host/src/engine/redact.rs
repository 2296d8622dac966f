//! Notes that are to be redacted: in memory as far as there is room, all of them in the store. They
//! are dealt with like posts, and behind them.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::clock::Timestamp;
use crate::engine::accounts::{self, CallKind};
use crate::engine::deliveries::notes::MAX_SENT;
use crate::engine::erase::kept::{self, Reason, Wanted};
use crate::engine::inbox::{Input, Redacted};
use crate::engine::round::{Engine, Round, Start};
use crate::engine::rows::{delete, put, read, session_group, session_key};
use crate::ids::{PluginName, SessionKey, shown};
use crate::outbox::account::Heard;
use crate::outbox::note::{Call, Found, Note, PostError, Redaction, SentNote};
use crate::outbox::redaction::{Finished, Job, Queue, State, Why};
use crate::post::Post;
use crate::store::{Change, Key, Store, StoreError, Table};

/// So many jobs are in memory; the others are read from the store when half of these are done.
const IN_MEMORY: usize = 10_000;
/// Rows that are read at once.
const PAGE: usize = 1000;

/// The jobs in memory.
pub(super) struct Redactions {
    queues: HashMap<SessionKey, Waiting>,
    timers: BTreeSet<(Timestamp, SessionKey)>,
    jobs: usize,
    /// Whether the store may have jobs that aren't in memory, and from where on it is looked for them.
    behind: bool,
    after: Option<Key>,
    /// Whether a job found no room since the look from the first row on was begun.
    missed: bool,
    /// Sessions for which there may be something to begin, or another timer to set.
    touched: Vec<SessionKey>,
    /// Plugins of which it was said that their notes stay, and why.
    said: HashSet<(PluginName, Reason)>,
}

/// One session's.
#[derive(Default)]
struct Waiting {
    queue: Queue,
    /// Whether the session waits for its turn with a plugin.
    queued: bool,
    timer: Option<Timestamp>,
}

impl Default for Redactions {
    fn default() -> Self {
        Self {
            queues: HashMap::new(),
            timers: BTreeSet::new(),
            jobs: 0,
            // What the last run left is read like what found no room.
            behind: true,
            after: None,
            missed: false,
            touched: Vec::new(),
            said: HashSet::new(),
        }
    }
}

impl Redactions {
    /// Whether jobs are to be read from the store.
    pub(super) fn is_hungry(&self) -> bool {
        self.behind && self.jobs <= IN_MEMORY / 2
    }

    /// Reads jobs that aren't in memory, if there is room.
    pub(super) async fn refill(
        &mut self,
        store: &dyn Store,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if !self.is_hungry() {
            return Ok(());
        }
        let rows = store.scan(Table::Redact, self.after.clone(), PAGE).await?;
        let at_end = rows.len() < PAGE;
        for (row, value) in rows {
            let job = read::<Job>(Table::Redact, row.number, &value);
            let place = session_key(&row.group).map(|key| (key, row.number));
            self.after = Some(row);
            let (Some((key, seq)), Some(job)) = (place, job) else { continue };
            if job.state != State::GivenUp && self.job(&key, seq).is_none() {
                self.insert(&key, seq, job.taken_up(now));
            }
        }
        if at_end {
            self.after = None;
            self.behind = std::mem::take(&mut self.missed);
        }
        Ok(())
    }

    /// A job that is in memory.
    pub(super) fn job(&self, key: &SessionKey, seq: u64) -> Option<&Job> {
        self.queues.get(key)?.queue.get(seq)
    }

    /// Takes a job whose row is stored, or is about to be.
    pub(super) fn insert(&mut self, key: &SessionKey, seq: u64, job: Job) {
        if self.job(key, seq).is_none() {
            // The outcome of a post that is under way must find its job.
            if self.jobs >= IN_MEMORY && job.state != State::Posting {
                (self.behind, self.missed) = (true, true);
                return;
            }
            self.jobs += 1;
        }
        self.queues.entry(key.clone()).or_default().queue.insert(seq, job);
        self.touched.push(key.clone());
    }

    /// When something is to be done.
    pub(super) fn next_timer(&self) -> Option<Timestamp> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// The rows of redactions that are cut off.
    pub(super) fn cut(&mut self) -> Vec<Change> {
        let cut = |(key, waiting): (&SessionKey, &mut Waiting)| {
            let (seq, job) = waiting.queue.cut()?;
            Some(row(key, seq, job))
        };
        self.queues.iter_mut().filter_map(cut).collect()
    }

    /// Does something to a session's queue, and keeps count.
    pub(super) fn change<T>(
        &mut self,
        key: &SessionKey,
        change: impl FnOnce(&mut Queue) -> T,
    ) -> Option<T> {
        let waiting = self.queues.get_mut(key)?;
        let before = waiting.queue.len();
        let changed = change(&mut waiting.queue);
        self.jobs -= before - waiting.queue.len();
        self.touched.push(key.clone());
        Some(changed)
    }

    fn due(&mut self, now: Timestamp) {
        while self.timers.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, key)) = self.timers.pop_first() {
                if let Some(waiting) = self.queues.get_mut(&key) {
                    waiting.timer = None;
                }
                self.touched.push(key);
            }
        }
    }

    /// Sets the session's timer; forgets the session where it has no jobs.
    fn settle(&mut self, key: &SessionKey) {
        let Some(waiting) = self.queues.get_mut(key) else { return };
        let timer = waiting.queue.next_timer(waiting.queued);
        if waiting.timer != timer {
            if let Some(at) = waiting.timer {
                self.timers.remove(&(at, key.clone()));
            }
            if let Some(at) = timer {
                self.timers.insert((at, key.clone()));
            }
            waiting.timer = timer;
        }
        if waiting.queue.is_empty() {
            self.queues.remove(key);
        }
    }
}

impl Engine {
    /// A note is replaced by a summary. One that the platform gave no name can't be redacted.
    pub(super) fn replace(
        &mut self,
        round: &mut Round,
        key: &SessionKey,
        seq: u64,
        note: SentNote,
        now: Timestamp,
    ) {
        if note.note_id.is_none() {
            self.counters.redactions_queued.add(1);
            let job = Job::new(note, Why::Replaced, now);
            self.leave(round, key, seq, job, Reason::NoNoteId, now);
            return;
        }
        round.changes.push(delete(Table::Sent, session_group(key), seq));
        self.queue_redaction(round, key, seq, Job::new(note, Why::Replaced, now));
    }

    /// Puts a job on record.
    pub(super) fn queue_redaction(
        &mut self,
        round: &mut Round,
        key: &SessionKey,
        seq: u64,
        job: Job,
    ) {
        self.counters.redactions_queued.add(1);
        round.changes.push(row(key, seq, &job));
        self.redactions.insert(key, seq, job);
    }

    /// Gives up what was tried for too long; looks at the sessions whose timer is due.
    pub(super) fn give_up_spent(&mut self, round: &mut Round, now: Timestamp) {
        self.redactions.due(now);
        let mut touched = self.redactions.touched.clone();
        touched.sort();
        touched.dedup();
        for key in touched {
            let rules = self.settings.rules(&key.product);
            let spent = self.redactions.change(&key, |queue| queue.take_spent(now, rules));
            for (seq, job) in spent.into_iter().flatten() {
                self.give_up_redaction(round, &key, seq, &job, now);
            }
        }
    }

    /// Begins what can be begun; posts went first.
    pub(super) fn begin_redactions(&mut self, round: &mut Round, now: Timestamp) {
        loop {
            if !self.stopping {
                self.fill_redaction_slots(round, now);
            }
            let mut touched = std::mem::take(&mut self.redactions.touched);
            if touched.is_empty() {
                break;
            }
            touched.sort();
            touched.dedup();
            for key in &touched {
                let Some(waiting) = self.redactions.queues.get_mut(key) else { continue };
                if !waiting.queued
                    && let Some((_, job)) = waiting.queue.ready(now)
                {
                    waiting.queued = true;
                    let plugin = &job.note.plugin;
                    self.accounts.queue(CallKind::Redaction, plugin, key.clone(), now);
                }
                self.redactions.settle(key);
            }
        }
        self.counters.redactions_waiting.set(self.redactions.jobs as u64);
    }

    fn fill_redaction_slots(&mut self, round: &mut Round, now: Timestamp) {
        for plugin in self.accounts.wanted(CallKind::Redaction) {
            while let Some(key) = self.accounts.next(CallKind::Redaction, &plugin, now) {
                self.redactions.touched.push(key.clone());
                let Some(waiting) = self.redactions.queues.get_mut(&key) else { continue };
                waiting.queued = false;
                let Some((seq, job)) = waiting.queue.ready(now) else { continue };
                if job.note.plugin != plugin {
                    continue;
                }
                if let Some(until) = self.accounts.limit_of(&plugin, &job.note.conversation, now) {
                    let held = waiting.queue.hold(seq, now, until);
                    round.changes.extend(held.map(|job| row(&key, seq, job)));
                    continue;
                }
                let Some(job) = waiting.queue.start(seq) else { continue };
                round.changes.push(row(&key, seq, job));
                let job = job.clone();
                let probe = self.accounts.begin(&plugin, CallKind::Redaction, now);
                if probe {
                    round.accounts.insert(plugin.clone());
                }
                let start = self.redaction(key, seq, job, probe);
                round.starts.push(start);
            }
        }
    }

    /// The call that redacts a note, to be begun after the commit.
    fn redaction(&self, key: SessionKey, seq: u64, job: Job, probe: bool) -> Start {
        let call = self.call(&key, job.idempotency_key(), job.attempts);
        let asking = self.call(&key, job.note.idempotency_key.clone(), job.attempts);
        let post = self.post.clone();
        Box::pin(async move {
            let asked = match &job.note.note_id {
                Some(id) => Ok(Ok(id.clone())),
                None => find(&*post, asking, &key, seq, &job.note).await,
            };
            let SentNote { plugin, conversation, .. } = job.note;
            let result = match asked {
                Ok(Ok(id)) => post.redact_note(call, &plugin, &conversation, &id).await,
                Ok(Err(redaction)) => Ok(redaction),
                Err(error) => Err(error),
            };
            Input::Redacted(Redacted { key, seq, plugin, conversation, probe, result })
        })
    }

    pub(super) fn end_redaction(&mut self, round: &mut Round, redacted: Redacted, now: Timestamp) {
        let Redacted { key, seq, plugin, conversation, probe, result } = redacted;
        let random = (self.settings.jitter)();
        let call = accounts::Call {
            plugin: &plugin,
            conversation: Some(&conversation),
            kind: CallKind::Redaction,
            probe,
            heard: Heard::of_redaction(&result),
        };
        if self.accounts.end(call, now, random, &self.counters) {
            round.accounts.insert(plugin);
        }
        let rules = self.settings.rules(&key.product);
        let finished = self.redactions.change(&key, |queue| {
            let finished = queue.finish(seq, result, probe, now, rules, random)?;
            let changed = queue.get(seq).map(|job| row(&key, seq, job));
            Some((finished, changed))
        });
        let Some((finished, changed)) = finished.flatten() else { return };
        round.changes.extend(changed);
        match finished {
            Finished::Retry => self.counters.redactions_failed.add(1),
            Finished::GivenUp(job) => self.give_up_redaction(round, &key, seq, &job, now),
            Finished::Ended(job, redaction) => {
                round.changes.push(delete(Table::Redact, session_group(&key), seq));
                if job.why == Why::Erased {
                    self.want_scrub(round, now);
                }
                match redaction {
                    Redaction::Removed | Redaction::Overwritten => {
                        self.counters.redactions_done.add(1);
                        // Of what a summary replaces nothing is on record before it was asked for.
                        if job.why == Why::Erased {
                            round.changes.push(kept::gone(&job.note));
                        }
                    }
                    Redaction::Unsupported => {
                        let reason = match self.post.redacts(&job.note.plugin) {
                            Some(false) => Reason::NoRedactor,
                            Some(true) | None if job.note.note_id.is_none() => {
                                Reason::OutcomeUnknown
                            }
                            Some(true) | None => Reason::Unsupported,
                        };
                        self.leave(round, &key, seq, *job, reason, now);
                    }
                }
            }
        }
    }

    /// A note can't be redacted, and that is put on record. Where a summary was to take its place it is
    /// remembered as sent.
    pub(super) fn leave(
        &mut self,
        round: &mut Round,
        key: &SessionKey,
        seq: u64,
        job: Job,
        reason: Reason,
        now: Timestamp,
    ) {
        self.counters.redactions_unsupported.add(1);
        round.changes.push(kept::row(&key.product, &job.note, reason, Wanted::by(&job, now)));
        let Job { note, why, .. } = job;
        if self.redactions.said.insert((note.plugin.clone(), reason)) {
            tracing::warn!(
                plugin = %note.plugin,
                reason = reason.name(),
                "redaction: notes stay at the platform, for {}. Which ones is listed by `sidenote erase --list \
                 --replaced`; this is said once",
                reason.words()
            );
        }
        let session = self.memory.sessions.get(key).map(|live| live.session.record());
        let remembered = |notes: u64| why == Why::Replaced && seq + MAX_SENT > notes;
        if session.is_some_and(|record| record.link.is_some() && remembered(record.notes)) {
            let note = SentNote { stays: true, ..note };
            round.changes.push(put(Table::Sent, session_group(key), seq, &note));
        }
    }

    fn give_up_redaction(
        &mut self,
        round: &mut Round,
        key: &SessionKey,
        seq: u64,
        job: &Job,
        now: Timestamp,
    ) {
        self.counters.redactions_dead.add(1);
        tracing::error!(
            plugin = %job.note.plugin,
            attempts = job.attempts,
            product = shown(key.product.as_str()),
            conversation = shown(job.note.conversation.as_str()),
            why = ?job.why,
            reason = job.failure.as_deref().unwrap_or("it was never tried"),
            "redaction: a note could not be redacted and stays; it is tried again when its session is erased"
        );
        let stays = kept::row(&key.product, &job.note, Reason::GivenUp, Wanted::by(job, now));
        round.changes.extend([row(key, seq, job), stays]);
    }
}

/// Asks what the platform calls a note of which it isn't known whether the platform has it; or says what
/// that comes to where it can't be redacted.
async fn find(
    post: &dyn Post,
    call: Call,
    key: &SessionKey,
    seq: u64,
    sent: &SentNote,
) -> Result<Result<String, Redaction>, PostError> {
    let note = Note {
        key: key.clone(),
        seq,
        plugin: sent.plugin.clone(),
        conversation: sent.conversation.clone(),
        user_id: None,
        email: None,
        kind: sent.kind,
        body: String::new(),
        actions: Vec::new(),
        through: sent.through,
        idempotency_key: sent.idempotency_key.clone(),
        sealed_at: sent.at,
    };
    Ok(match post.find_note(call, &note).await? {
        Found::Yes(Some(id)) => Ok(id),
        Found::No => Err(Redaction::Removed),
        Found::Yes(None) | Found::Unsupported => Err(Redaction::Unsupported),
    })
}

fn row(key: &SessionKey, seq: u64, job: &Job) -> Change {
    put(Table::Redact, session_group(key), seq, job)
}
