//! Deliveries: what is sealed waits, is tried, and is delivered or becomes a dead letter.
//!
//! | file | what |
//! |---|---|
//! | `pipeline` | queue, attempts, retries, expiry, dead letters: once, for every kind |
//! | `lanes`, `kind` | what waits in order: a lane of a session, or of each plugin of it |
//! | `notes`, `sinks`, `timers` | the kinds that wait in lanes: a file and a triple of tables each |
//! | `messages` | the kind that the person sees: one at a time, never sent twice |
//! | `redactions` | the kind that waits in no order |
//! | `orders` | what a person decides |
//! | `ended` | what ended, kept for a while |
//! | `call` | what is called, and what comes of it |
//!
//! Each kind has queues of its own: a sink that is slow or away holds up neither notes nor other sinks, and a timer holds
//! up neither.

mod backlog;
mod ended;
mod kind;
mod lanes;
mod messages;
mod notes;
mod orders;
mod pipeline;
mod redactions;
mod sinks;
mod timers;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

pub use backlog::Backlog;
pub(super) use ended::keep as keep_ended;
pub use notes::MAX_SENT;

use self::kind::Kind;
use self::lanes::{Lanes, Place};
use self::messages::{AllMessages, Messages};
pub(super) use self::pipeline::{FirstAttempt, Sealer};
use self::pipeline::{Pass, Pipeline};
use self::redactions::Redactions;
use super::call::{Ended, Outcome};
use super::counters::Counters;
use super::gate::{Accounts, CallKind, EndedCall, EngineId, Gate};
use super::kept::{self, Reason, Wanted};
use super::order::{Decision, LaneKind, NoteRef};
use super::plugins::Plugins;
use super::rows::{delete, put, session_group};
use super::settings::Settings;
use super::tx::Tx;
use super::view::{Missing, View};
use crate::clock::Timestamp;
use crate::ids::{PluginName, SessionKey};
use crate::outbox::account::Heard;
use crate::outbox::attempt::{Attempts, Course};
use crate::outbox::due_timer::DueTimer;
use crate::outbox::ended::EndedDelivery;
use crate::outbox::lane::{Lane, State as Attempt};
use crate::outbox::message::{self, Job as MessageJob, Message, Sending};
use crate::outbox::note::{Note, PostError, Posted, Redaction, SentNote};
use crate::outbox::redaction::{Job, State, Why};
use crate::outbox::sink_delivery::{Content, SinkDelivery};
use crate::rows::{Rows, Table};
use crate::rules::Delivery;
use crate::session::payload::ActionsPayload;
use crate::session::state::{Record, Sealing, Target};

/// How often it is asked whether a plugin that is being made ready is.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// All that waits to be delivered, as far as it is in memory.
#[derive(Default)]
pub(super) struct Deliveries {
    notes: Pipeline<Lanes<Note>>,
    sinks: Pipeline<Lanes<SinkDelivery>>,
    timers: Pipeline<Lanes<DueTimer>>,
    messages: AllMessages,
    redactions: Redactions,
    /// Whether anything may wait for a sink: where not, nobody looks.
    has_sinks: bool,
    /// The same of due timers.
    has_timers: bool,
    /// Sessions whose lanes have something in the store only.
    hungry: Vec<SessionKey>,
    /// Plugins that are being made ready, and for which something waits.
    coming: HashSet<PluginName>,
    /// Sessions with messages that are to end for want of time, and that aren't ready for it.
    late: Vec<SessionKey>,
    /// Plugins for which batches may wait that aren't sealed yet.
    unsealed_for: HashSet<PluginName>,
    /// Plugins of which it was said that their notes stay, and why.
    said: HashSet<(PluginName, Reason)>,
}

/// A note that is being posted.
#[derive(Clone, Copy)]
pub(super) struct Posting {
    /// Its number among the notes of its session.
    pub(super) seq: u64,
    /// Whether an earlier attempt ended without an outcome.
    pub(super) unknown: bool,
}

/// The tables of a kind that stands in lanes.
pub(super) fn tables_of(lane: LaneKind) -> [Table; 2] {
    let tables = match lane {
        LaneKind::Note => <Note as Kind>::TABLES,
        LaneKind::Sink => <SinkDelivery as Kind>::TABLES,
        LaneKind::Timer => <DueTimer as Kind>::TABLES,
    };
    [tables.queued, tables.dead]
}

impl Deliveries {
    /// Something may wait for a sink from here on.
    pub(super) fn expect_sinks(&mut self) {
        self.has_sinks = true;
    }

    /// Whether anything may wait for a sink.
    pub(super) fn has_sinks(&self) -> bool {
        self.has_sinks
    }

    /// Due timers may wait from here on.
    pub(super) fn expect_timers(&mut self) {
        self.has_timers = true;
    }

    /// Whether any due timer may wait.
    pub(super) fn has_timers(&self) -> bool {
        self.has_timers
    }

    /// Takes up the notes of a session that were read.
    pub(super) fn load_notes(
        &mut self,
        key: &SessionKey,
        items: &Rows,
        attempts: &Rows,
        now: Timestamp,
    ) {
        self.notes.put(key, Lanes::load(items, attempts, now));
    }

    /// Takes up what waits for the sinks of a session.
    pub(super) fn load_sinks(
        &mut self,
        key: &SessionKey,
        items: &Rows,
        attempts: &Rows,
        now: Timestamp,
    ) {
        self.sinks.put(key, Lanes::load(items, attempts, now));
    }

    /// Takes up the due timers of a session.
    pub(super) fn load_timers(
        &mut self,
        key: &SessionKey,
        items: &Rows,
        attempts: &Rows,
        now: Timestamp,
    ) {
        self.timers.put(key, Lanes::load(items, attempts, now));
    }

    /// Whether something is to be read before it can go on.
    pub(super) fn is_hungry(&self) -> bool {
        !self.hungry.is_empty() || self.redactions.is_hungry()
    }

    /// Whether what waits for sessions is to be read before it can go on.
    pub(super) fn has_hungry_lanes(&self) -> bool {
        !self.hungry.is_empty()
    }

    /// Reads the next deliveries of lanes that have none left in memory.
    pub(super) fn refill_lanes(&mut self, view: &View) -> Result<(), Missing> {
        for key in &self.hungry {
            self.notes.refill(view, key)?;
            self.sinks.refill(view, key)?;
            self.timers.refill(view, key)?;
        }
        Ok(())
    }

    /// The sessions whose lanes were refilled.
    pub(super) fn take_hungry(&mut self) -> Vec<SessionKey> {
        std::mem::take(&mut self.hungry)
    }

    /// Reads redactions that aren't in memory, where there is capacity.
    pub(super) fn refill_redactions(&mut self, view: &View, now: Timestamp) -> Result<(), Missing> {
        self.redactions.refill(view, now)
    }

    /// When a batch of a session that goes by this plugin is sealed.
    pub(super) fn sealing(
        &self,
        key: &SessionKey,
        plugin: Option<&PluginName>,
        accounts: &Accounts,
        now: Timestamp,
    ) -> Sealing {
        if self.notes.get(key).is_some_and(|lanes| !lanes.is_idle(false)) {
            return Sealing::Gather;
        }
        match plugin.is_none_or(|plugin| self.allows(plugin, accounts, now)) {
            true => Sealing::AtItsTurn,
            false => Sealing::Now,
        }
    }

    /// Whether a batch of a session waits for its turn to be sealed.
    pub(super) fn has_unsealed(&self, key: &SessionKey) -> bool {
        self.notes.get(key).is_some_and(Lanes::has_unsealed)
    }

    fn allows(&self, plugin: &PluginName, accounts: &Accounts, now: Timestamp) -> bool {
        !self.coming.contains(plugin) && accounts.allows(plugin, now)
    }

    /// A sealed note waits from here on.
    pub(super) fn add_note(&mut self, note: Arc<Note>, tx: &mut Tx) {
        tx.push(put(Table::Outbox, session_group(&note.key), note.seq, &*note));
        tx.touched.push(note.key.clone());
        self.notes.open(&note.key).of(&note.plugin).lane.push(note.clone());
    }

    /// Something for a sink waits from here on.
    pub(super) fn add_sink(
        &mut self,
        (key, seq): (&SessionKey, u64),
        plugin: &PluginName,
        content: Content,
        tx: &mut Tx,
        counters: &Counters,
    ) {
        let delivery = Arc::new(SinkDelivery::new(key, seq, plugin, content, tx.now));
        tx.push(put(Table::SinkQueue, session_group(key), seq, &*delivery));
        tx.touched.push(key.clone());
        let place = self.sinks.open(key).of(plugin);
        place.lane.push(delivery.clone());
        place.last = Some(delivery);
        counters.sink_deliveries_made.add(1);
    }

    /// A timer is due and waits for its plugin from here on.
    pub(super) fn add_timer(&mut self, timer: DueTimer, tx: &mut Tx, counters: &Counters) {
        let timer = Arc::new(timer);
        tx.push(put(Table::TimerQueue, session_group(&timer.key), timer.seq, &*timer));
        tx.touched.push(timer.key.clone());
        self.has_timers = true;
        self.timers.open(&timer.key).of(&timer.plugin).lane.push(timer.clone());
        counters.timers_due.add(1);
    }

    /// Adds a batch to the sink delivery that waits last, where enough wait already or the sink takes none.
    pub(super) fn join_sink(
        &mut self,
        key: &SessionKey,
        plugin: &PluginName,
        batch: &ActionsPayload,
        (accounts, rules): (&Accounts, &Delivery),
        tx: &mut Tx,
        counters: &Counters,
    ) -> bool {
        let allowed = self.allows(plugin, accounts, tx.now);
        let place = self.sinks.get_mut(key).and_then(|lanes| lanes.get_mut(plugin));
        let Some(Place { lane, last, .. }) = place else { return false };
        let held = !lane.is_empty() && !allowed;
        if !held && !lane.is_congested(tx.now, rules) {
            return false;
        }
        let joined = last.as_ref().and_then(|last| last.joined(batch, rules.max_gathered_actions));
        let Some(joined) = joined.map(Arc::new).filter(|joined| lane.amend(joined.clone())) else {
            return false;
        };
        tx.push(put(Table::SinkQueue, session_group(key), joined.seq, &*joined));
        tx.touched.push(key.clone());
        *last = Some(joined);
        counters.sink_deliveries_joined.add(1);
        true
    }

    /// Takes up the messages of a session that were read.
    pub(super) fn load_messages(&mut self, key: &SessionKey, rows: &Rows, now: Timestamp) {
        self.messages.put(key, Messages::load(rows, now));
    }

    /// A message waits from here on.
    pub(super) fn add_message(&mut self, job: MessageJob, tx: &mut Tx) {
        let key = job.message.key.clone();
        self.messages.open(&key).add(job, tx);
        tx.touched.push(key);
    }

    /// Takes out the removals of a session whose calls aren't under way.
    pub(super) fn cancel_removals(&mut self, key: &SessionKey, tx: &mut Tx) -> Vec<MessageJob> {
        let cancelled = self.messages.get_mut(key).map(Messages::cancel_removals);
        let cancelled = cancelled.unwrap_or_default();
        for job in &cancelled {
            tx.push(delete(Table::Message, session_group(key), job.message.seq));
            ended::keep(key, &EndedDelivery::message(job, None, tx.now), tx);
            tx.touched.push(key.clone());
        }
        cancelled
    }

    /// Takes what came of an attempt at a message. Returns it where it has ended.
    pub(super) fn end_message(
        &mut self,
        message: &Message,
        result: Result<Sending, PostError>,
        course: &Course,
        rules: &Delivery,
        tx: &mut Tx,
        counters: &Counters,
    ) -> Option<(MessageJob, message::Ended)> {
        let how = (tx.now, rules, course);
        let finish = |messages: &mut Messages| messages.finish(message, result, how);
        let ended = self.messages.end(&message.key, finish, tx, counters)?;
        tx.push(delete(Table::Message, session_group(&message.key), message.seq));
        Some(ended)
    }

    /// Takes the answers of a session to a conversation that aren't sent any more: see [`Messages::take_replies`].
    pub(super) fn take_replies(
        &mut self,
        key: &SessionKey,
        target: &Target,
        tx: &mut Tx,
    ) -> Vec<MessageJob> {
        let Some(messages) = self.messages.get_mut(key) else { return Vec::new() };
        let taken = messages.take_replies(target, tx);
        for job in &taken {
            ended::keep(key, &EndedDelivery::message(job, None, tx.now), tx);
        }
        tx.touched.push(key.clone());
        taken
    }

    /// The session's conversation is alive: what waits for a moment of the host's choice is due at once.
    pub(super) fn nudge(&mut self, key: &SessionKey, tx: &mut Tx) {
        if let Some(lanes) = self.notes.get_mut(key) {
            lanes.iter_mut().for_each(Lane::nudge);
            tx.touched.push(key.clone());
        }
    }

    /// Carries a person's decision about one delivery out. `false`: there was nothing to be done.
    pub(super) fn decide(
        &mut self,
        decision: Decision,
        of: &NoteRef,
        gate: &Gate,
        tx: &mut Tx,
        counters: &Counters,
    ) -> bool {
        let enable = |plugin: &PluginName, tx: &mut Tx| {
            let enabled = gate.open().enable(plugin, tx.now, counters);
            if enabled {
                tx.accounts.insert(plugin.clone());
            }
            enabled
        };
        let done = match of.lane {
            LaneKind::Note => self.notes.decide(decision, of, tx, counters, enable),
            LaneKind::Sink => self.sinks.decide(decision, of, tx, counters, enable),
            LaneKind::Timer => self.timers.decide(decision, of, tx, counters, enable),
        };
        if done {
            tx.touched.push(of.key.clone());
        }
        done
    }

    /// Whether what a call was made for still is what it was: its session wasn't erased meanwhile.
    pub(super) fn is_under_way(&self, outcome: &Outcome) -> bool {
        match outcome {
            Outcome::Note { note, .. } => {
                self.notes.get(&note.key).is_some_and(|lanes| lanes.is_in_flight(&**note))
            }
            Outcome::Sink { delivery, .. } => {
                self.sinks.get(&delivery.key).is_some_and(|lanes| lanes.is_in_flight(&**delivery))
            }
            Outcome::Timer { timer, .. } => {
                self.timers.get(&timer.key).is_some_and(|lanes| lanes.is_in_flight(&**timer))
            }
            Outcome::Message { message, .. } => {
                let messages = self.messages.get(&message.key);
                messages.is_some_and(|messages| messages.is_in_flight(message))
            }
            Outcome::Redaction { key, seq, .. } => {
                self.redactions.job(key, *seq).is_some_and(|job| job.why != Why::Erased)
            }
        }
    }

    /// The account learns what came of a call.
    pub(super) fn heard(
        &self,
        gate: (&Gate, EngineId),
        ended: &Ended,
        tx: &mut Tx,
        counters: &Counters,
    ) {
        let Ended { outcome, course, .. } = ended;
        let (plugin, conversation, kind, heard) = match outcome {
            Outcome::Note { note, result, .. } => {
                (&note.plugin, Some(&note.conversation), CallKind::Post, Heard::of(result))
            }
            Outcome::Sink { delivery, result } => {
                let result = result.clone().map(|()| Posted { note_id: None, pause: None });
                (&delivery.plugin, None, CallKind::Sink, Heard::of(&result))
            }
            Outcome::Timer { timer, result } => {
                let result = result.clone().map(|()| Posted { note_id: None, pause: None });
                (&timer.plugin, None, CallKind::Sink, Heard::of(&result))
            }
            Outcome::Message { message, result } => {
                let heard = match result {
                    Ok(Sending::Posted(posted)) => Heard::of(&Ok(posted.clone())),
                    Ok(Sending::NotThere) => Heard::of(&Ok(Posted { note_id: None, pause: None })),
                    // Nobody was asked.
                    Ok(Sending::CantTell) => {
                        Heard::of(&Err(PostError::Unavailable { message: String::new() }))
                    }
                    Err(error) => Heard::of(&Err(error.clone())),
                };
                (&message.plugin, Some(&message.conversation), CallKind::Post, heard)
            }
            Outcome::Redaction { note, result, .. } => {
                let heard = Heard::of_redaction(result);
                (&note.plugin, Some(&note.conversation), CallKind::Redaction, heard)
            }
        };
        let call = EndedCall { plugin, conversation, kind, probe: course.probe, heard };
        if gate.0.open().end(gate.1, call, tx.now, course.random, counters) {
            tx.accounts.insert(plugin.clone());
        }
    }

    /// Takes what came of a post. Returns whether the note is on record as sent with this transaction.
    pub(super) fn end_note(
        &mut self,
        note: &Note,
        result: Result<Posted, PostError>,
        course: &Course,
        (rules, record): (&Delivery, Option<&Record>),
        tx: &mut Tx,
        counters: &Counters,
    ) -> bool {
        let posted = ended(&mut self.notes, note, result, course, rules, tx, counters);
        let Some(posted) = posted else { return false };
        self.remember(note, posted, record, tx, counters);
        true
    }

    /// Takes what came of handing something to a sink.
    pub(super) fn end_sink(
        &mut self,
        delivery: &SinkDelivery,
        result: Result<(), PostError>,
        course: &Course,
        rules: &Delivery,
        tx: &mut Tx,
        counters: &Counters,
    ) {
        let result = result.map(|()| Posted { note_id: None, pause: None });
        let accepted = ended(&mut self.sinks, delivery, result, course, rules, tx, counters);
        if let Some((_, tries)) = accepted {
            ended::keep(&delivery.key, &EndedDelivery::sink(delivery, tries, tx.now), tx);
        }
    }

    /// Takes what came of calling a plugin for its timer.
    pub(super) fn end_timer(
        &mut self,
        timer: &DueTimer,
        result: Result<(), PostError>,
        course: &Course,
        rules: &Delivery,
        tx: &mut Tx,
        counters: &Counters,
    ) {
        let result = result.map(|()| Posted { note_id: None, pause: None });
        let called = ended(&mut self.timers, timer, result, course, rules, tx, counters);
        if let Some((_, tries)) = called {
            ended::keep(&timer.key, &EndedDelivery::timer(timer, tries, tx.now), tx);
        }
    }

    /// A note is remembered as sent. A summary takes the place of what it covers; a note that a summary took the
    /// place of before, such as a dead letter that was sent again, goes right away.
    fn remember(
        &mut self,
        note: &Note,
        (posted, tries): (Posted, Attempts),
        record: Option<&Record>,
        tx: &mut Tx,
        counters: &Counters,
    ) {
        let (key, group, seq) = (&note.key, session_group(&note.key), note.seq);
        if let Some(old) = seq.checked_sub(MAX_SENT) {
            tx.push(delete(Table::Sent, group.clone(), old));
        }
        let sent = SentNote::of(note, posted.note_id, tx.now).with_tries(tries);
        // Read only where some may be replaced.
        let others: Vec<(u64, SentNote)> = match tx.view.group(Table::Sent, &group) {
            Some(_) => tx.read_rows(Table::Sent, &group),
            None => Vec::new(),
        };
        if others.iter().any(|(other_seq, other)| sent.is_replaced_by(seq, other, *other_seq)) {
            self.replace(key, seq, sent, record, tx, counters);
            return;
        }
        tx.push(put(Table::Sent, group, seq, &sent));
        for (other_seq, other) in others {
            if !other.stays && other.is_replaced_by(other_seq, &sent, seq) {
                self.replace(key, other_seq, other, record, tx, counters);
            }
        }
    }

    /// A note is replaced by a summary. One that the platform gave no name can't be redacted.
    fn replace(
        &mut self,
        key: &SessionKey,
        seq: u64,
        note: SentNote,
        record: Option<&Record>,
        tx: &mut Tx,
        counters: &Counters,
    ) {
        let nameless = note.note_id.is_none();
        let job = Job::new(note, Why::Replaced, tx.now);
        if nameless {
            counters.redactions_queued.add(1);
            self.leave((key, seq), job, Reason::NoNoteId, record, tx, counters);
            return;
        }
        tx.push(delete(Table::Sent, session_group(key), seq));
        self.add_redaction(key, seq, job, tx, counters);
    }

    /// A note is to be redacted.
    pub(super) fn add_redaction(
        &mut self,
        key: &SessionKey,
        seq: u64,
        job: Job,
        tx: &mut Tx,
        counters: &Counters,
    ) {
        counters.redactions_queued.add(1);
        tx.touched.push(key.clone());
        self.redactions.queue(key, seq, job, tx);
    }

    /// A redaction that is in memory.
    pub(super) fn redaction(&self, key: &SessionKey, seq: u64) -> Option<&Job> {
        self.redactions.job(key, seq)
    }

    /// A note isn't to be redacted any more.
    pub(super) fn remove_redaction(&mut self, key: &SessionKey, seq: u64, tx: &mut Tx) {
        self.redactions.remove(key, seq, tx);
    }

    /// Takes what came of a redaction. Returns whether something of an erasure ended with it.
    pub(super) fn end_redaction(
        &mut self,
        (key, seq): (&SessionKey, u64),
        result: Result<Redaction, PostError>,
        course: &Course,
        (rules, record, plugins): (&Delivery, Option<&Record>, &dyn Plugins),
        tx: &mut Tx,
        counters: &Counters,
    ) -> bool {
        let ended = self.redactions.end((key, seq), result, course, rules, tx, counters);
        let Some((job, redaction)) = ended else { return false };
        tx.push(delete(Table::Redact, session_group(key), seq));
        let erased = job.why == Why::Erased;
        // Of somebody who is erased nothing is kept.
        if !erased {
            let ended = EndedDelivery::redaction(seq, job.clone(), redaction, tx.now);
            ended::keep(key, &ended, tx);
        }
        match redaction {
            Redaction::Removed | Redaction::Overwritten => {
                counters.redactions_done.add(1);
                // Of what a summary replaces nothing is on record before it was asked for.
                if erased {
                    tx.push(kept::gone(&job.note));
                }
            }
            Redaction::Unsupported => {
                let reason = match plugins.redacts(&job.note.plugin) {
                    Some(false) => Reason::NoRedactor,
                    Some(true) | None if job.note.note_id.is_none() => Reason::OutcomeUnknown,
                    Some(true) | None => Reason::Unsupported,
                };
                self.leave((key, seq), job, reason, record, tx, counters);
            }
        }
        erased
    }

    /// Takes the outcome of a post whose session was erased meanwhile. `None`: it is another one's. `true`: nothing is
    /// left to be done for the note.
    pub(super) fn end_erased_post(
        &mut self,
        note: &Note,
        result: &Result<Posted, PostError>,
        record: Option<&Record>,
        tx: &mut Tx,
        counters: &Counters,
    ) -> Option<bool> {
        let ours = |job: &&Job| {
            job.state == State::Posting && job.note.idempotency_key == note.idempotency_key
        };
        let job = self.redactions.job(&note.key, note.seq).filter(ours)?.clone();
        let note_id = match result {
            Ok(posted) => posted.note_id.clone(),
            Err(_) => None,
        };
        let unknown = |error: &PostError| error.is_unknown() || job.unknown;
        if note_id.is_some() || result.as_ref().is_err_and(unknown) {
            self.redactions.posted(&note.key, note.seq, note_id, tx);
            return Some(false);
        }
        self.redactions.remove(&note.key, note.seq, tx);
        tx.push(delete(Table::Redact, session_group(&note.key), note.seq));
        match result {
            Ok(_) => {
                let place = (&note.key, note.seq);
                self.leave(place, job, Reason::NoNoteId, record, tx, counters);
            }
            // It never came there.
            Err(_) => tx.push(kept::gone(&job.note)),
        }
        Some(true)
    }

    /// A note can't be redacted, and that is put on record. Where a summary was to take its place it is remembered
    /// as sent, as long as its session, whose `record` this is, still is.
    fn leave(
        &mut self,
        (key, seq): (&SessionKey, u64),
        job: Job,
        reason: Reason,
        record: Option<&Record>,
        tx: &mut Tx,
        counters: &Counters,
    ) {
        counters.redactions_unsupported.add(1);
        tx.push(kept::row(&key.product, &job.note, reason, Wanted::by(&job, tx.now)));
        let Job { note, why, .. } = job;
        if self.said.insert((note.plugin.clone(), reason)) {
            tracing::warn!(
                plugin = %note.plugin,
                reason = reason.name(),
                "redaction: notes stay at the platform, for {}. Which ones is listed by `sidenote erase --list \
                 --replaced`; this is said once",
                reason.words()
            );
        }
        let remembered = |notes: u64| why == Why::Replaced && seq + MAX_SENT > notes;
        if record.is_some_and(|record| record.link.is_some() && remembered(record.notes)) {
            let note = SentNote { stays: true, ..note };
            tx.push(put(Table::Sent, session_group(key), seq, &note));
        }
    }

    /// What was in flight in too many crashes is dead; asked after a start.
    pub(super) fn expire_poisoned(
        &mut self,
        key: &SessionKey,
        rules: &Delivery,
        tx: &mut Tx,
        counters: &Counters,
    ) {
        poisoned(&mut self.notes, key, rules, tx, counters);
        poisoned(&mut self.sinks, key, rules, tx, counters);
        poisoned(&mut self.timers, key, rules, tx, counters);
    }

    /// What could not be delivered for too long is dead. Returns the messages that ended for want of time; those of
    /// sessions that aren't ready for it end when they are.
    pub(super) fn expire(
        &mut self,
        settings: &Settings,
        mut is_ready: impl FnMut(&SessionKey) -> bool,
        tx: &mut Tx,
        counters: &Counters,
    ) -> Vec<(MessageJob, message::Ended)> {
        for key in self.notes.take_due(tx.now) {
            self.notes.expire(&key, settings.rules(&key.product), tx, counters);
        }
        for key in self.sinks.take_due(tx.now) {
            self.sinks.expire(&key, settings.rules(&key.product), tx, counters);
        }
        for key in self.timers.take_due(tx.now) {
            self.timers.expire(&key, settings.rules(&key.product), tx, counters);
        }
        let mut ended = Vec::new();
        let late = std::mem::take(&mut self.late);
        for key in late.into_iter().chain(self.messages.take_due(tx.now)) {
            if !is_ready(&key) {
                self.late.push(key);
                continue;
            }
            self.messages.expire(&key, settings.rules(&key.product), tx, counters);
            ended.extend(self.messages.get_mut(&key).into_iter().flat_map(Messages::take_ended));
        }
        let due = self.redactions.pipeline.take_due(tx.now);
        self.redactions.expire(due, |key| settings.rules(&key.product), tx, counters);
        ended
    }

    /// Has what can be tried of this session wait for its turn. `due_for`: a batch of it is due, and goes by this
    /// plugin.
    pub(super) fn enqueue(
        &mut self,
        key: &SessionKey,
        due_for: Option<&PluginName>,
        now: Timestamp,
    ) {
        self.notes.want_turn(key, due_for);
        if let Some(plugin) = due_for.filter(|plugin| !self.unsealed_for.contains(*plugin)) {
            self.unsealed_for.insert(plugin.clone());
        }
        self.notes.enqueue(key, now);
        self.sinks.enqueue(key, now);
        self.timers.enqueue(key, now);
        if let Some(messages) = self.messages.get_mut(key) {
            let heads = self.notes.get(key).into_iter().flat_map(Lanes::iter);
            messages.wait_for(heads.filter_map(Lane::head).map(|head| head.note.seq).min());
            self.messages.enqueue(key, now);
        }
        self.redactions.pipeline.enqueue(key, now);
    }

    /// Begins what can be begun: posts go first. Their sessions are touched.
    pub(super) fn begin(
        &mut self,
        accounts: &mut Accounts,
        engine: EngineId,
        settings: &Settings,
        plugins: &dyn Plugins,
        sealer: &mut dyn Sealer,
        tx: &mut Tx,
    ) {
        self.coming = self.wanted().filter(|plugin| plugins.is_coming(plugin)).cloned().collect();
        let notes_wait = HashSet::new();
        let coming = &self.coming;
        let now = tx.now;
        let closed = |it: &PluginName| coming.contains(it) || !accounts.allows(it, now);
        // What waits for longer than for its turn is a note, which people can see and which ages.
        let closed: Vec<_> = self.unsealed_for.iter().filter(|it| closed(it)).cloned().collect();
        for plugin in closed {
            if self.notes.seal_waiting(&plugin, sealer, tx) {
                self.unsealed_for.remove(&plugin);
            }
        }
        let mut pass = Pass { accounts, engine, settings, coming, notes_wait, sealer };
        // They are late soonest.
        let mut turns = self.messages.begin(&mut pass, tx);
        turns.extend(self.notes.begin(&mut pass, tx));
        pass.notes_wait = self.notes.wanted().cloned().collect();
        turns.extend(self.sinks.begin(&mut pass, tx));
        turns.extend(self.timers.begin(&mut pass, tx));
        turns.extend(self.redactions.pipeline.begin(&mut pass, tx));
        tx.touched.extend(turns);
    }

    fn wanted(&self) -> impl Iterator<Item = &PluginName> {
        let messages = self.messages.wanted();
        let in_lanes = self.notes.wanted().chain(self.sinks.wanted()).chain(self.timers.wanted());
        in_lanes.chain(messages).chain(self.redactions.pipeline.wanted())
    }

    /// Whether something waits for nothing but a slot.
    pub(super) fn wants_slot(&self, accounts: &Accounts, now: Timestamp) -> bool {
        self.wanted().any(|plugin| self.allows(plugin, accounts, now))
    }

    /// Sets the session's timers, and has its lanes refilled before the next transaction where they must be.
    pub(super) fn settle(&mut self, key: &SessionKey, rules: &Delivery) {
        let hungry = self.notes.get(key).is_some_and(Lanes::is_hungry)
            || self.sinks.get(key).is_some_and(Lanes::is_hungry)
            || self.timers.get(key).is_some_and(Lanes::is_hungry);
        if hungry {
            self.hungry.push(key.clone());
        }
        self.notes.settle(key, rules);
        self.sinks.settle(key, rules);
        self.timers.settle(key, rules);
        self.messages.settle(key, rules);
        self.redactions.pipeline.settle(key, rules);
    }

    /// The next moment at which something is due.
    pub(super) fn next_timer(&self, accounts: &Accounts, now: Timestamp) -> Option<Timestamp> {
        let of_plugins = self.wanted().filter_map(|plugin| match self.coming.contains(plugin) {
            true => Some(now + LOOK_EVERY),
            false => accounts.next_timer(plugin, now),
        });
        let own = [
            self.notes.next_timer(),
            self.sinks.next_timer(),
            self.timers.next_timer(),
            self.messages.next_timer(),
            self.redactions.pipeline.next_timer(),
        ];
        own.into_iter().flatten().chain(of_plugins).min()
    }

    /// Whether nothing of a session's lanes waits for anything. `hard`: for anything but a person.
    pub(super) fn is_idle(&self, key: &SessionKey, timers_too: bool, hard: bool) -> bool {
        let waits =
            self.notes.has_timer(key) || self.sinks.has_timer(key) || self.timers.has_timer(key);
        let idle = self.notes.get(key).is_none_or(|lanes| lanes.is_idle(hard))
            && self.sinks.get(key).is_none_or(|lanes| lanes.is_idle(hard))
            && self.timers.get(key).is_none_or(|lanes| lanes.is_idle(hard))
            && self.messages.get(key).is_none_or(Messages::is_idle);
        idle && !(timers_too && waits)
    }

    /// Takes a session's lanes out of memory. Returns which note of it is being posted at this moment.
    pub(super) fn forget_lanes(&mut self, key: &SessionKey) -> Option<Posting> {
        self.sinks.remove(key);
        self.timers.remove(key);
        self.messages.remove(key);
        let lanes = self.notes.remove(key)?;
        let mut posting = lanes.iter().filter_map(Lane::head);
        let head = posting.find(|head| head.progress.state == Attempt::InFlight)?;
        Some(Posting { seq: head.note.seq, unknown: head.progress.unknown })
    }

    /// The host ends: the calls under way are put on record as cut off.
    pub(super) fn cut(&mut self, tx: &mut Tx) {
        tx.extend(self.notes.cut());
        tx.extend(self.sinks.cut());
        tx.extend(self.timers.cut());
        tx.extend(self.messages.cut());
        tx.extend(self.redactions.pipeline.cut());
    }

    /// How many redactions wait in memory.
    pub(super) fn redactions(&self) -> usize {
        self.redactions.len()
    }
}

/// Takes what came of an attempt at what stands in a lane. Returns what was answered where it is delivered.
fn ended<K: Kind>(
    pipeline: &mut Pipeline<Lanes<K>>,
    item: &K,
    result: Result<Posted, PostError>,
    course: &Course,
    rules: &Delivery,
    tx: &mut Tx,
    counters: &Counters,
) -> Option<(Posted, Attempts)> {
    let (key, now) = (item.key(), tx.now);
    let since = pipeline.get(key).and_then(|lanes| lanes.waits_since(item.plugin()));
    let finish = |lanes: &mut Lanes<K>| lanes.finish(item, result, course, now, rules);
    let done = pipeline.end(key, finish, tx, counters)?;
    K::delivered(counters).add(1);
    if let Some(since) = since {
        K::times(counters).observe(now.since(since));
    }
    lanes::remove::<K>(tx, key, item.seq());
    Some(done)
}

fn poisoned<K: Kind>(
    pipeline: &mut Pipeline<Lanes<K>>,
    key: &SessionKey,
    rules: &Delivery,
    tx: &mut Tx,
    counters: &Counters,
) {
    let dead = pipeline.get_mut(key).map(|lanes| lanes.take_poisoned(tx.now, rules));
    for dead in dead.into_iter().flatten() {
        pipeline.dead_letter(key, dead, tx, counters);
    }
}
