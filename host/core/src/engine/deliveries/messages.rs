//! Messages as deliveries: what the person sees, one at a time per session, behind the notes that were there before.
//!
//! They are few and short-lived: all of them are in memory. A message's row is its progress.

use super::pipeline::{Counts, Finished, Pipeline, Started, Turn, Waiting};
use crate::clock::Timestamp;
use crate::engine::call::Work;
use crate::engine::counters::Counters;
use crate::engine::gate::CallKind;
use crate::engine::rows::{delete, put, read, session_group};
use crate::engine::tx::Tx;
use crate::ids::{PluginName, SessionKey};
use crate::outbox::attempt::Course;
use crate::outbox::message::{Content, Ended, Job, Message, Sending, State};
use crate::outbox::note::PostError;
use crate::rows::{Change, Rows, Table};
use crate::rules::Delivery;
use crate::session::state::Target;

/// One session's, the oldest first.
#[derive(Default)]
pub(super) struct Messages {
    jobs: Vec<Job>,
    /// Whether the session waits for its turn with a plugin.
    queued: bool,
    /// Whether notes are in front.
    blocked: bool,
    /// When the attempt under way was begun.
    began: Timestamp,
    /// Those that ended for want of time, and how.
    spent: Vec<(Job, Ended)>,
}

impl Waiting for Messages {
    type Done = (Job, Ended);
    type Dead = (Job, Ended);
    const CALL: CallKind = CallKind::Post;

    fn counts(counters: &Counters) -> Counts<'_> {
        Counts { failed: &counters.message_attempts_failed, dead: &counters.messages_expired }
    }

    fn take_ready(&mut self, now: Timestamp) -> Vec<PluginName> {
        let ready = self.ready(now).filter(|_| !self.queued);
        let plugin = ready.map(|job| job.message.plugin.clone());
        self.queued |= plugin.is_some();
        plugin.into_iter().collect()
    }

    fn turn(&mut self, plugin: &PluginName, now: Timestamp) -> Turn {
        self.queued = false;
        match self.ready(now).map(|job| job.message.clone()) {
            None => Turn::Nothing,
            Some(message) if message.plugin != *plugin => {
                self.queued = true;
                Turn::By(message.plugin.clone())
            }
            Some(message) => Turn::Now(Some(message.conversation.clone())),
        }
    }

    fn hold(
        &mut self,
        key: &SessionKey,
        _: &PluginName,
        _: Timestamp,
        until: Timestamp,
    ) -> Option<Change> {
        let job = self.jobs.first_mut()?;
        job.state = State::Until(until);
        Some(row(key, job))
    }

    fn start(&mut self, key: &SessionKey, _: &PluginName, now: Timestamp) -> Option<Started> {
        self.ready(now)?;
        self.began = now;
        let job = self.jobs.first_mut()?;
        job.start(now);
        let (message, unknown) = (job.message.clone(), job.unknown_since.is_some());
        let work = Work::Message { message, unknown };
        let row = Some(row(key, job));
        Some(Started { row, work, attempt: job.attempts, limit: job.limit(now) })
    }

    fn take_spent(&mut self, now: Timestamp, _: &Delivery) -> Vec<(Job, Ended)> {
        let mut spent = Vec::new();
        self.jobs.retain(|job| match job.spent(now) {
            Some(ended) => {
                spent.push((job.clone(), ended));
                false
            }
            None => true,
        });
        spent
    }

    /// It isn't tried any more. What that means for its session is decided elsewhere.
    fn dead_letter(&mut self, key: &SessionKey, (job, ended): (Job, Ended), tx: &mut Tx) {
        tx.push(delete(Table::Message, session_group(key), job.message.seq));
        tx.undelivered(Work::Message { message: job.message.clone(), unknown: false });
        self.spent.push((job, ended));
    }

    fn next_timer(&self, _: &Delivery) -> Option<Timestamp> {
        let timers = self.jobs.iter().enumerate();
        timers.filter_map(|(n, job)| job.next_timer(self.queued || self.blocked || n > 0)).min()
    }

    fn cut(&mut self, key: &SessionKey) -> Vec<Change> {
        let began = self.began;
        let under_way = self.jobs.iter_mut().filter(|job| job.state == State::InFlight);
        let cut = under_way.map(|job| {
            job.cut(began);
            row(key, job)
        });
        cut.collect()
    }

    fn is_empty(&self) -> bool {
        self.jobs.is_empty() && self.spent.is_empty()
    }
}

impl Messages {
    /// From the rows of a session.
    pub(super) fn load(rows: &Rows, now: Timestamp) -> Self {
        let jobs = rows.iter().filter_map(|(n, value)| read::<Job>(Table::Message, *n, value));
        Self { jobs: jobs.map(|job| job.taken_up(now)).collect(), ..Self::default() }
    }

    /// Puts a message on record.
    pub(super) fn add(&mut self, job: Job, tx: &mut Tx) {
        tx.push(row(&job.message.key, &job));
        self.jobs.push(job);
    }

    /// Notes up to this one wait: those that came before a message go first.
    pub(super) fn wait_for(&mut self, first_note: Option<u64>) {
        let front = self.jobs.first().map(|job| job.message.after_note);
        self.blocked = front.zip(first_note).is_some_and(|(after, first)| first <= after);
    }

    /// Whether an attempt at this very message is under way.
    pub(super) fn is_in_flight(&self, message: &Message) -> bool {
        self.jobs.iter().any(|job| {
            job.message.idempotency_key == message.idempotency_key && job.state == State::InFlight
        })
    }

    /// Takes what came of an attempt.
    pub(super) fn finish(
        &mut self,
        message: &Message,
        result: Result<Sending, PostError>,
        (now, rules, course): (Timestamp, &Delivery, &Course),
    ) -> Option<Finished<Self>> {
        let place = self.jobs.iter().position(|job| {
            job.message.idempotency_key == message.idempotency_key && job.state == State::InFlight
        })?;
        let began = self.began;
        match self.jobs[place].finish(result, course, began, now, rules) {
            Some(ended) => Some(Finished::Done((self.jobs.remove(place), ended))),
            None => {
                let job = &self.jobs[place];
                let row = row(&message.key, job);
                Some(Finished::Retry(Some(row), job.next_timer(false)))
            }
        }
    }

    /// Takes the answers to a conversation that certainly didn't come there and whose call isn't under way: they aren't
    /// sent any more.
    pub(super) fn take_replies(&mut self, target: &Target, tx: &mut Tx) -> Vec<Job> {
        let is_meant = |job: &mut Job| {
            let message = &job.message;
            let here = message.plugin == target.0 && message.conversation == target.1;
            let is_reply = matches!(message.content, Content::Reply(_));
            here && is_reply && job.state != State::InFlight && job.unknown_since.is_none()
        };
        let taken: Vec<_> = self.jobs.extract_if(.., is_meant).collect();
        for job in &taken {
            let message = &job.message;
            tx.push(delete(Table::Message, session_group(&message.key), message.seq));
        }
        taken
    }

    /// Takes out the removals that aren't under way.
    pub(super) fn cancel_removals(&mut self) -> Vec<Job> {
        let idle = |job: &mut Job| {
            job.state != State::InFlight && matches!(job.message.content, Content::Removal { .. })
        };
        self.jobs.extract_if(.., idle).collect()
    }

    /// Takes those that ended for want of time.
    pub(super) fn take_ended(&mut self) -> Vec<(Job, Ended)> {
        std::mem::take(&mut self.spent)
    }

    /// Whether none is on its way.
    pub(super) fn is_idle(&self) -> bool {
        self.jobs.is_empty()
    }

    fn ready(&self, now: Timestamp) -> Option<&Job> {
        let job = self.jobs.first().filter(|job| !self.blocked && job.is_ready(now))?;
        job.spent(now).is_none().then_some(job)
    }
}

/// All messages of all sessions.
pub(super) type AllMessages = Pipeline<Messages>;

fn row(key: &SessionKey, job: &Job) -> Change {
    put(Table::Message, session_group(key), job.message.seq, job)
}
