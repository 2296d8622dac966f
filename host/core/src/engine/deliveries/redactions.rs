//! Redactions as deliveries: a job for each note that is to go, one at a time per session, behind posts.
//!
//! They are in memory as far as they fit, all of them in the store: a person who is erased may have thousands of
//! notes. They need no session in memory, and outlive it.

use super::pipeline::{Counts, Finished, Pipeline, Started, Turn, Waiting};
use crate::clock::Timestamp;
use crate::engine::call::Work;
use crate::engine::counters::Counters;
use crate::engine::gate::CallKind;
use crate::engine::kept::{self, Reason, Wanted};
use crate::engine::rows::{put, read, session_group, session_key};
use crate::engine::tx::Tx;
use crate::engine::view::{Missing, View};
use crate::ids::{PluginName, SessionKey, shown};
use crate::outbox::attempt::Course;
use crate::outbox::note::{PostError, Redaction};
use crate::outbox::redaction::{self, Job, Queue, State};
use crate::rows::{Change, Key, Table};
use crate::rules::Delivery;

/// So many jobs are in memory; the others are read from the store when half of these are done.
const IN_MEMORY: usize = 10_000;
/// Rows that are read at once.
const PAGE: usize = 1000;

/// One session's.
#[derive(Default)]
pub(super) struct Jobs {
    queue: Queue,
    /// Whether the session waits for its turn with a plugin.
    queued: bool,
}

impl Waiting for Jobs {
    type Done = (Job, Redaction);
    type Dead = (u64, Job);
    const CALL: CallKind = CallKind::Redaction;

    fn counts(counters: &Counters) -> Counts<'_> {
        Counts { failed: &counters.redactions_failed, dead: &counters.redactions_dead }
    }

    fn take_ready(&mut self, now: Timestamp) -> Vec<PluginName> {
        let ready = self.queue.ready(now).filter(|_| !self.queued);
        let plugin = ready.map(|(_, job)| job.note.plugin.clone());
        self.queued |= plugin.is_some();
        plugin.into_iter().collect()
    }

    fn turn(&mut self, plugin: &PluginName, now: Timestamp) -> Turn {
        self.queued = false;
        match self.queue.ready(now) {
            None => Turn::Nothing,
            Some((_, job)) if job.note.plugin != *plugin => {
                self.queued = true;
                Turn::By(job.note.plugin.clone())
            }
            Some((_, job)) => Turn::Now(Some(job.note.conversation.clone())),
        }
    }

    fn hold(
        &mut self,
        key: &SessionKey,
        _: &PluginName,
        now: Timestamp,
        until: Timestamp,
    ) -> Option<Change> {
        let (seq, _) = self.queue.ready(now)?;
        self.queue.hold(seq, now, until).map(|job| row(key, seq, job))
    }

    fn start(&mut self, key: &SessionKey, _: &PluginName, now: Timestamp) -> Option<Started> {
        let (seq, _) = self.queue.ready(now)?;
        let job = self.queue.start(seq, now)?;
        let work = Work::Redaction {
            key: key.clone(),
            seq,
            note: Box::new(job.note.clone().without_its_story()),
            idempotency_key: job.idempotency_key(),
        };
        Some(Started { row: Some(row(key, seq, job)), work, attempt: job.attempts, limit: None })
    }

    fn take_spent(&mut self, now: Timestamp, rules: &Delivery) -> Vec<(u64, Job)> {
        self.queue.take_spent(now, rules)
    }

    /// The note stays, and that is put on record.
    fn dead_letter(&mut self, key: &SessionKey, (seq, job): (u64, Job), tx: &mut Tx) {
        tracing::error!(
            plugin = %job.note.plugin,
            attempts = job.attempts,
            product = shown(key.product.as_str()),
            conversation = shown(job.note.conversation.as_str()),
            why = ?job.why,
            reason = job.failure.as_deref().unwrap_or("it was never tried"),
            "redaction: a note could not be redacted and stays; it is tried again when its session is erased"
        );
        let wanted = Wanted::by(&job, tx.now);
        let stays = kept::row(&key.product, &job.note, Reason::GivenUp, wanted);
        tx.extend([row(key, seq, &job), stays]);
        let idempotency_key = job.idempotency_key();
        tx.undelivered(Work::Redaction {
            key: key.clone(),
            seq,
            note: Box::new(job.note),
            idempotency_key,
        });
    }

    fn next_timer(&self, _: &Delivery) -> Option<Timestamp> {
        self.queue.next_timer(self.queued)
    }

    fn cut(&mut self, key: &SessionKey) -> Vec<Change> {
        let cut = self.queue.cut().map(|(seq, job)| row(key, seq, job));
        cut.into_iter().collect()
    }

    fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

/// The jobs in memory.
pub(super) struct Redactions {
    pub(super) pipeline: Pipeline<Jobs>,
    jobs: usize,
    /// Whether the store may have jobs that aren't in memory, and from where on it is looked for them.
    behind: bool,
    after: Option<Key>,
    /// Whether a job didn't fit since the look from the first row on was begun.
    missed: bool,
    /// Sessions whose jobs may have been tried for too long already when they came.
    came: Vec<SessionKey>,
}

impl Default for Redactions {
    fn default() -> Self {
        // What the last run left is read like what didn't fit.
        let (pipeline, jobs, behind, after, missed, came) =
            (Pipeline::default(), 0, true, None, false, Vec::new());
        Self { pipeline, jobs, behind, after, missed, came }
    }
}

impl Redactions {
    /// Whether jobs are to be read from the store.
    pub(super) fn is_hungry(&self) -> bool {
        self.behind && self.jobs <= IN_MEMORY / 2
    }

    /// How many are in memory.
    pub(super) fn len(&self) -> usize {
        self.jobs
    }

    /// Reads jobs that aren't in memory, if there is capacity.
    pub(super) fn refill(&mut self, view: &View, now: Timestamp) -> Result<(), Missing> {
        if !self.is_hungry() {
            return Ok(());
        }
        let rows = view.scan(Table::Redact, self.after.clone(), PAGE)?;
        for (row, value) in rows {
            self.after = Some(row.clone());
            let job = read::<Job>(Table::Redact, row.number, value);
            let (Some(key), Some(job)) = (session_key(&row.group), job) else { continue };
            if job.state != State::GivenUp && self.job(&key, row.number).is_none() {
                self.insert(&key, row.number, job.taken_up(now));
            }
        }
        if rows.len() < PAGE {
            self.after = None;
            self.behind = std::mem::take(&mut self.missed);
        }
        Ok(())
    }

    /// A job that is in memory.
    pub(super) fn job(&self, key: &SessionKey, seq: u64) -> Option<&Job> {
        self.pipeline.get(key)?.queue.get(seq)
    }

    /// Puts a job on record.
    pub(super) fn queue(&mut self, key: &SessionKey, seq: u64, job: Job, tx: &mut Tx) {
        tx.push(row(key, seq, &job));
        self.insert(key, seq, job);
    }

    fn insert(&mut self, key: &SessionKey, seq: u64, job: Job) {
        if self.job(key, seq).is_none() {
            // The outcome of a post that is under way must find its job.
            if self.jobs >= IN_MEMORY && job.state != State::Posting {
                (self.behind, self.missed) = (true, true);
                return;
            }
            self.jobs += 1;
        }
        self.pipeline.open(key).queue.insert(seq, job);
        self.came.push(key.clone());
    }

    /// Takes a job out, whatever it waits for.
    pub(super) fn remove(&mut self, key: &SessionKey, seq: u64, tx: &mut Tx) {
        self.changed(key, tx, |jobs| jobs.queue.remove(seq));
    }

    /// The post that a job waits for ended with the note at the platform, under this id where it says, or with
    /// nobody knowing.
    pub(super) fn posted(
        &mut self,
        key: &SessionKey,
        seq: u64,
        note_id: Option<String>,
        tx: &mut Tx,
    ) {
        let changed = self
            .changed(key, tx, |jobs| jobs.queue.posted(seq, note_id).map(|job| row(key, seq, job)));
        tx.extend(changed.flatten());
    }

    /// Takes what came of an attempt. Returns the job where it has ended.
    pub(super) fn end(
        &mut self,
        (key, seq): (&SessionKey, u64),
        result: Result<Redaction, PostError>,
        course: &Course,
        rules: &Delivery,
        tx: &mut Tx,
        counters: &Counters,
    ) -> Option<(Job, Redaction)> {
        let now = tx.now;
        let before = self.pipeline.get(key).map_or(0, |jobs| jobs.queue.len());
        let done = self.pipeline.end(
            key,
            |jobs| {
                Some(match jobs.queue.finish(seq, result, course, now, rules)? {
                    redaction::Finished::Ended(job, redaction) => Finished::Done((*job, redaction)),
                    redaction::Finished::Retry => {
                        Finished::Retry(jobs.queue.get(seq).map(|job| row(key, seq, job)), None)
                    }
                    redaction::Finished::GivenUp(job) => Finished::Dead((seq, *job)),
                })
            },
            tx,
            counters,
        );
        self.recount(key, before);
        done
    }

    /// Dead-letters what was tried for too long: of these sessions, and of those that came lately.
    pub(super) fn expire<'a>(
        &mut self,
        due: Vec<SessionKey>,
        rules: impl Fn(&SessionKey) -> &'a Delivery,
        tx: &mut Tx,
        counters: &Counters,
    ) {
        let mut keys = due;
        keys.append(&mut self.came);
        keys.sort();
        keys.dedup();
        for key in keys {
            let before = self.pipeline.get(&key).map_or(0, |jobs| jobs.queue.len());
            self.pipeline.expire(&key, rules(&key), tx, counters);
            self.recount(&key, before);
        }
    }

    fn changed<T>(
        &mut self,
        key: &SessionKey,
        tx: &mut Tx,
        change: impl FnOnce(&mut Jobs) -> T,
    ) -> Option<T> {
        let jobs = self.pipeline.get_mut(key)?;
        let before = jobs.queue.len();
        let changed = change(jobs);
        self.recount(key, before);
        tx.touched.push(key.clone());
        Some(changed)
    }

    fn recount(&mut self, key: &SessionKey, before: usize) {
        self.jobs -= before - self.pipeline.get(key).map_or(0, |jobs| jobs.queue.len());
    }
}

fn row(key: &SessionKey, seq: u64, job: &Job) -> Change {
    put(Table::Redact, session_group(key), seq, job)
}
