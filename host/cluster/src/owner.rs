//! The owner of a partition: reads its inbox, applies inputs, commits, and tells others.
//!
//! A commit is in flight at most once. One that may have been stored is tried again with the same changes and a higher
//! number before anything else is stored.

use crate::call::{Add, Added, Call, Commit, Committed, Entry, Loaded, Read};
use crate::claims::{self, Claims, Told};
use crate::ids::{CommitSeq, Epoch, Member, Offset, Partition, Payload, Producer};
use crate::inbox::Inbox;
use crate::input::{Body, Input};
use crate::lease::Loss;
use crate::outbox::{self, Numbered, Outbox};
use crate::partition::Partitions;
use crate::row::{Change, RowKey, Tx};
use crate::rules::{Rule, Rules};
use crate::seen::{self, SeenEvents};
use crate::time::{Moment, Times, millis};

/// How many inputs one commit has at most.
const ROUND: usize = 128;

/// Each so manyth commit trims the inbox.
const TRIM_EVERY: u64 = 16;

/// What a partition does with its inputs, beside claims. It keeps its state in memory, and changes rows as it changes that.
pub trait Work {
    /// That of a partition which has no rows yet.
    fn begin(partition: Partition) -> Self;

    /// What a row says.
    fn load(&mut self, key: &RowKey, value: &Payload);

    /// Does what an input says.
    fn apply(&mut self, input: &Payload, tx: &mut Tx);

    /// Hears the outcome of a session's claim.
    fn told(&mut self, told: &Told, tx: &mut Tx);
}

/// What is the same for all partitions of a host.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long things last.
    pub times: Times,
    /// Which rules hold.
    pub rules: Rules,
    /// How many partitions there are.
    pub partitions: Partitions,
    /// This start of this host.
    pub me: Member,
}

/// A partition in the hands of its owner.
#[derive(Debug)]
pub struct Owner<W> {
    settings: Settings,
    partition: Partition,
    epoch: Epoch,
    work: W,
    claims: Claims,
    seen: SeenEvents,
    outbox: Outbox,
    inbox: Inbox,
    /// Up to where the inbox was applied and stored.
    applied: Offset,
    stored: Offset,
    seq: CommitSeq,
    acknowledged: CommitSeq,
    commit: Option<InFlight>,
    forget: Vec<Producer>,
    /// An entry of a later release: it is never passed over.
    unreadable: Option<Offset>,
}

#[derive(Debug)]
struct InFlight {
    commit: Commit,
    numbered: Vec<Numbered>,
    /// `None` while it is to be sent again.
    sent: Option<Moment>,
    send_at: Moment,
}

/// What an answer to a commit means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// Nobody knows, or it was of another epoch.
    Unknown,
    /// It is stored; it was sent at this moment.
    Done(Moment),
    /// The partition is lost.
    Lost(Loss),
}

impl<W: Work> Owner<W> {
    /// The partition as it was loaded after its lease was acquired in `epoch`. `is_gone`: whether a member's host isn't
    /// there any more.
    pub fn new(
        settings: Settings,
        partition: Partition,
        epoch: Epoch,
        loaded: Loaded,
        is_gone: impl Fn(&Member) -> bool,
    ) -> Self {
        let Settings { times, rules, partitions, .. } = settings;
        let mut work = W::begin(partition);
        let mut claims = Claims::new(rules, partitions, epoch);
        let mut seen = SeenEvents::default();
        let mut outbox = Outbox::new(times, rules, partition, epoch);
        for (key, value) in &loaded.rows {
            match &*key.table {
                seen::TABLE => seen.load(key.number, value),
                outbox::TABLE => outbox.load(key, value),
                claims::SESSIONS | claims::SUBJECTS => claims.load(key, value),
                _ => work.load(key, value),
            }
        }
        let is_over = |producer: &Producer| match producer {
            Producer::Host(member, _) => is_gone(member),
            Producer::Reader(..) | Producer::Partition(..) => true,
        };
        let old = |age: u64| age > millis(times.forget());
        let producers = loaded.producers.into_iter();
        let forget = producers.filter(|(it, age)| old(*age) && is_over(it)).map(|(it, _)| it);
        Self {
            partition,
            epoch,
            work,
            claims,
            seen,
            outbox,
            inbox: Inbox::new(times, rules, partition, loaded.offset),
            applied: loaded.offset,
            stored: loaded.offset,
            seq: CommitSeq::default(),
            acknowledged: CommitSeq::default(),
            commit: None,
            forget: forget.collect(),
            unreadable: None,
            settings,
        }
    }

    /// In which epoch.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The last commit that the server acknowledged.
    #[must_use]
    pub const fn acknowledged(&self) -> CommitSeq {
        self.acknowledged
    }

    /// What the work is at.
    #[must_use]
    pub const fn work(&self) -> &W {
        &self.work
    }

    /// The claims of its sessions, and its part of the directory.
    #[must_use]
    pub const fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Where a later release's entry holds the inbox up: a host of that release must have the partition.
    #[must_use]
    pub const fn unreadable(&self) -> Option<Offset> {
        self.unreadable
    }

    /// Whether nothing is on its way that is to be stored: then the lease can be let go.
    #[must_use]
    pub const fn is_quiet(&self) -> bool {
        self.commit.is_none()
    }

    /// Whether there is nothing left to do.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.is_quiet() && self.inbox.is_empty() && self.outbox.is_empty()
    }

    /// Whether it read all up to this entry.
    #[must_use]
    pub const fn has_read(&self, end: Offset) -> bool {
        self.inbox.has_read(end)
    }

    /// The inbox may have something new, also where an answer is still to come.
    pub fn rings(&mut self) {
        self.inbox.rings();
    }

    /// The inbox has entries up to here.
    pub fn rung(&mut self, end: Offset) {
        self.inbox.rung(end);
    }

    /// A turn: what is to be read, stored and told now. `stops`: nothing new is to be stored.
    pub fn tick(&mut self, now: Moment, stops: bool) -> Vec<Call> {
        let mut calls = Vec::new();
        if self.commit.is_none() && !stops {
            self.round(now);
        }
        calls.extend(self.send(now));
        if !stops {
            calls.extend(self.inbox.tick(now).map(Call::Read));
        }
        calls.extend(self.outbox.tick(now).into_iter().map(Call::Add));
        calls
    }

    /// Applies what waits, as one transaction.
    fn round(&mut self, now: Moment) {
        let mut tx = Tx::default();
        let mut count = 0;
        while count < ROUND && self.unreadable.is_none() {
            let Some(entry) = self.inbox.first() else { break };
            let Some(input) = Input::decode(&entry.payload) else {
                self.unreadable = Some(entry.offset);
                break;
            };
            let message = match &input.body {
                Body::Work(_) => None,
                Body::Claims(message) => match claims::read(message) {
                    Some(message) => Some(message),
                    None => {
                        self.unreadable = Some(entry.offset);
                        break;
                    }
                },
            };
            self.applied = entry.offset;
            self.inbox.pop();
            count += 1;
            self.apply(&input, message, &mut tx);
        }
        if count == 0 && !self.outbox.has_settled() && self.forget.is_empty() {
            return;
        }
        self.seen.forget(self.settings.times, self.applied.at(), &mut tx);
        let numbered = self.outbox.write(&mut tx);
        let mut changes = last_of_each(tx.changes);
        if !self.settings.rules.holds(Rule::DedupeCommitted) {
            changes.retain(|change| &*change.key().table != seen::TABLE);
        }
        // Without the rule the offset is stored one commit later.
        let offset = match self.settings.rules.holds(Rule::OffsetInCommit) {
            true => self.applied,
            false => self.stored,
        };
        let commit = Commit {
            partition: self.partition,
            by: self.settings.me.clone(),
            epoch: self.epoch,
            seq: self.seq,
            acknowledged: self.acknowledged,
            offset,
            trim: self.acknowledged.get().is_multiple_of(TRIM_EVERY),
            changes,
            forget: std::mem::take(&mut self.forget),
        };
        self.commit = Some(InFlight { commit, numbered, sent: None, send_at: now });
    }

    fn apply(&mut self, input: &Input, message: Option<claims::Message>, tx: &mut Tx) {
        if let Some(once) = input.once
            && !self.seen.is_new(once, self.applied.at(), tx)
        {
            return;
        }
        if let Body::Work(body) = &input.body {
            self.work.apply(body, tx);
        }
        if let Some(told) = message.and_then(|message| self.claims.apply(message, tx)) {
            self.work.told(&told, tx);
        }
    }

    /// The commit that is to be sent: each attempt has a number of its own.
    fn send(&mut self, now: Moment) -> Option<Call> {
        let flight = self.commit.as_mut()?;
        if flight.sent.is_some() || now < flight.send_at {
            return None;
        }
        self.seq = self.seq.next();
        flight.commit.seq = self.seq;
        flight.sent = Some(now);
        Some(Call::Commit(flight.commit.clone()))
    }

    /// A commit was answered, or wasn't.
    pub fn committed(&mut self, now: Moment, commit: &Commit, answer: Option<Committed>) -> Stored {
        let Some(flight) = &mut self.commit else { return Stored::Unknown };
        let (Some(sent), true) =
            (flight.sent, commit.epoch == self.epoch && commit.seq == flight.commit.seq)
        else {
            return Stored::Unknown;
        };
        match answer {
            None | Some(Committed::Stale) => {
                (flight.sent, flight.send_at) = (None, now + self.settings.times.retry());
                Stored::Unknown
            }
            Some(Committed::Done) => {
                self.acknowledged = commit.seq;
                self.stored = self.applied;
                let numbered = std::mem::take(&mut flight.numbered);
                self.commit = None;
                self.outbox.committed(numbered);
                Stored::Done(sent)
            }
            Some(Committed::TakenOver(stored)) => Stored::Lost(Loss::TakenOver(stored)),
            Some(Committed::ServerLost(stored)) => Stored::Lost(Loss::ServerLost(stored)),
        }
    }

    /// The inbox was read, or wasn't. Whether it is still the one that was read before: else the server has lost some of
    /// it, and the partition must be loaded anew.
    #[must_use]
    pub fn read(&mut self, now: Moment, read: &Read, answer: Option<Vec<Entry>>) -> bool {
        self.inbox.answered(now, read, answer)
    }

    /// An add of a message was answered, or wasn't.
    pub fn added(&mut self, now: Moment, add: &Add, answer: Option<Added>) {
        self.outbox.answered(now, add, answer);
    }
}

/// The last change of each row.
fn last_of_each(changes: Vec<Change>) -> Vec<Change> {
    let mut last = std::collections::BTreeMap::new();
    for change in changes {
        last.insert(change.key().clone(), change);
    }
    last.into_values().collect()
}
