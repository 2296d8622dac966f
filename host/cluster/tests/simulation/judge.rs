//! Looks on from outside, and says what mustn't have happened.

use std::collections::{BTreeMap, BTreeSet};

use sidenote_cluster::call::{Acquire, Acquired, Add, Commit, Release, Renew, Renewed};
use sidenote_cluster::claims::Claims;
use sidenote_cluster::ids::{Epoch, Member, Once, Partition, Payload, Producer, Resource};
use sidenote_cluster::input::Input;
use sidenote_cluster::partition::{Partitions, once};
use sidenote_cluster::row::RowKey;
use sidenote_cluster::rules::Rules;

use crate::work::{Item, LOG, items};
use crate::world::{STREAMS, Tally, shard_of_partition};

/// How long an event takes to a reader at most.
pub(crate) const UNDER_WAY: u64 = 16;

/// The server lost what was done between two moments.
struct Failover {
    shard: usize,
    since: u64,
    at: u64,
}

/// What somebody sent to a host.
struct Note {
    start: u64,
    to: Partition,
    /// Of which session, where it is to be in a log.
    of: Option<u64>,
    accepted: Option<u64>,
}

/// An event of the stream.
#[derive(Default)]
struct Event {
    at: u64,
    /// Which starts of hosts were sent it.
    sent_to: BTreeSet<u64>,
    /// When it came into an inbox, and of which shard.
    added: Vec<(u64, usize)>,
    /// A reader took over from one that was gone, and was never sent it.
    excused: bool,
}

#[derive(Default)]
pub(crate) struct Judge {
    pub(crate) tally: Tally,
    writers: BTreeMap<(Partition, Epoch), Member>,
    let_go: BTreeSet<(Resource, Member, Epoch)>,
    /// When a start of a host last let the stream go.
    streams_let_go: BTreeMap<u64, u64>,
    /// Calls to platforms: whose of which partition, and their deadlines.
    calls: BTreeMap<Partition, (u64, u64)>,
    failovers: Vec<Failover>,
    notes: BTreeMap<u64, Note>,
    events: Vec<Event>,
    ids: BTreeMap<Once, usize>,
    /// Starts of hosts that are no more, and which had no successor for what they read.
    gone: BTreeSet<u64>,
    /// When a reader was given the stream.
    readers: Vec<u64>,
    now: u64,
}

impl Judge {
    pub(crate) fn clock(&mut self, now: u64) {
        self.now = now;
    }

    pub(crate) fn died(&mut self, start: u64) {
        self.gone.insert(start);
    }

    pub(crate) fn failed_over(&mut self, shard: usize, since: u64, at: u64) {
        self.failovers.push(Failover { shard, since, at });
    }

    pub(crate) fn submitted(&mut self, number: u64, start: u64, to: Partition, of: Option<u64>) {
        self.notes.insert(number, Note { start, to, of, accepted: None });
    }

    pub(crate) fn accepted(&mut self, number: u64) {
        let now = self.now;
        if let Some(note) = self.notes.get_mut(&number) {
            note.accepted = Some(now);
        }
    }

    pub(crate) fn happened(&mut self, sent_to: BTreeSet<u64>) -> u64 {
        let event = self.events.len();
        self.ids.insert(once("acme", &event.to_string()), event);
        self.events.push(Event { at: self.now, sent_to, ..Event::default() });
        self.tally.events += 1;
        event as u64
    }

    pub(crate) fn never_came(&mut self, event: u64, start: u64) {
        self.events[usize::try_from(event).unwrap()].sent_to.remove(&start);
    }

    /// A second reader that is needed no more goes; one that had the stream must have handed over what it had then.
    pub(crate) fn disconnected(&mut self, start: u64) {
        let let_go = self.streams_let_go.get(&start).copied().unwrap_or_default();
        self.events.iter_mut().filter(|event| event.at + UNDER_WAY >= let_go).for_each(|event| {
            event.sent_to.remove(&start);
        });
    }

    pub(crate) fn wrote(&mut self, stored: Epoch, commit: &Commit) -> Result<(), String> {
        let partition = commit.partition;
        if stored != commit.epoch {
            let (by, epoch) = (&commit.by, commit.epoch);
            return Err(format!(
                "{partition} is written by {by} of epoch {epoch} in epoch {stored}"
            ));
        }
        let writer = self.writers.entry((partition, stored)).or_insert_with(|| commit.by.clone());
        if *writer != commit.by {
            let by = &commit.by;
            return Err(format!(
                "{partition} has two writers in epoch {stored}: {writer} and {by}"
            ));
        }
        Ok(())
    }

    pub(crate) fn added(&mut self, add: &Add) {
        if !matches!(add.producer, Producer::Reader(..)) {
            return;
        }
        let of = |payload: &Payload| Input::decode(payload).and_then(|input| input.once);
        for id in add.payloads.iter().filter_map(of) {
            let event = &mut self.events[self.ids[&id]];
            event.added.push((self.now, shard_of_partition(add.partition)));
        }
    }

    /// A host may begin a call that ends by `deadline`.
    pub(crate) fn calls(&mut self, partition: Partition, start: u64, deadline: u64) {
        self.tally.calls += 1;
        self.calls.insert(partition, (start, deadline));
    }

    /// A host cuts its calls.
    pub(crate) fn cuts(&mut self, partition: Partition, start: u64) {
        if self.calls.get(&partition).is_some_and(|(of, _)| *of == start) {
            self.calls.remove(&partition);
        }
    }

    pub(crate) fn asked(&mut self, acquire: &Acquire, answer: &Acquired) -> Result<(), String> {
        let Acquired::Ours { .. } = answer else { return Ok(()) };
        if let Resource::Partition(partition) = &acquire.of
            && let Some((start, deadline)) = self.calls.get(partition)
            && *start != acquire.by.incarnation().get()
            && self.now < *deadline
            && self.failovers.is_empty()
        {
            let by = &acquire.by;
            return Err(format!("{by} acquired {partition} while start {start} may be calling"));
        }
        let Resource::Stream(_) = &acquire.of else { return Ok(()) };
        self.readers.push(self.now);
        if let Some(from) = acquire.from {
            let begins = self.ids[&from];
            let before = self.events.iter_mut().take(begins);
            before.filter(|event| event.added.is_empty()).for_each(|event| event.excused = true);
        }
        Ok(())
    }

    pub(crate) fn renewed(&mut self, renew: &Renew, answer: &Renewed) -> Result<(), String> {
        let lease = (renew.of.clone(), renew.by.clone(), renew.epoch);
        let is_back = matches!(answer, Renewed::Ours { .. }) && self.let_go.contains(&lease);
        if is_back && self.failovers.is_empty() {
            return Err(format!(
                "a lease that {} let go is back in epoch {}",
                renew.by, renew.epoch
            ));
        }
        Ok(())
    }

    pub(crate) fn released(&mut self, release: &Release) {
        if matches!(release.of, Resource::Stream(_)) {
            self.streams_let_go.insert(release.by.incarnation().get(), self.now);
        }
        self.let_go.insert((release.of.clone(), release.by.clone(), release.epoch));
    }

    /// At any time a conversation has one session; after a failover, once all has settled.
    pub(crate) fn looks_at_links<'a>(
        &mut self,
        partitions: Partitions,
        rows: impl Iterator<Item = (&'a RowKey, &'a Payload)>,
        settled: bool,
    ) -> Result<(), String> {
        if !settled && !self.failovers.is_empty() {
            return Ok(());
        }
        let mut claims = Claims::new(Rules::all(), partitions, Epoch::default());
        rows.for_each(|(key, value)| claims.load(key, value));
        let mut linked = BTreeMap::new();
        for (session, subject, generation) in claims.links() {
            let (new, of) = (&session.session, &subject.name);
            if let Some((before, _)) = linked.insert(subject, (session, generation)) {
                return Err(format!("{of} has {} and {new}", before.session));
            }
        }
        if settled && self.failovers.is_empty() {
            let directory: BTreeMap<_, _> =
                claims.directory().map(|(subject, session, it)| (subject, (session, it))).collect();
            if directory != linked {
                let (has, knows) = (linked.len(), directory.len());
                return Err(format!("the directory knows of {knows} links, the sessions of {has}"));
            }
        }
        self.tally.links = linked.len() as u64;
        Ok(())
    }

    /// Everything that was accepted was applied once, in order.
    pub(crate) fn verdict<'a>(
        &mut self,
        rows: impl Iterator<Item = (&'a RowKey, &'a Payload)>,
    ) -> Result<(), String> {
        let mut applied = BTreeSet::new();
        for (key, value) in rows.filter(|(key, _)| &*key.table == LOG) {
            let (session, items) = (key.number, items(value));
            let mut last: BTreeMap<Option<u64>, u64> = BTreeMap::new();
            for item in items {
                if !applied.insert(item) {
                    return Err(format!("session {session}: {item:?} was applied twice"));
                }
                let (from, n) = match item {
                    Item::Event(n) => (None, n),
                    Item::Note(n, from) => (Some(from), n),
                };
                let behind = last.insert(from, n).filter(|before| *before > n);
                if let Some(before) = behind.filter(|_| from.is_some() || !self.lost_a_reader()) {
                    return Err(format!("session {session}: {item:?} is behind {before}"));
                }
            }
        }
        for (number, note) in &self.notes {
            let is_in = applied.contains(&Item::Note(*number, note.start));
            if note.of.is_some() && note.accepted.is_some() && !is_in && !self.may_be_lost(note) {
                return Err(format!(
                    "note {number} of start {} was accepted and is lost",
                    note.start
                ));
            }
        }
        for (n, event) in self.events.iter().enumerate() {
            if applied.contains(&Item::Event(n as u64)) {
                continue;
            }
            let nobody_is_left = event.sent_to.is_subset(&self.gone);
            if !event.excused && !nobody_is_left && !self.went_with_its_reader(event) {
                return Err(format!("event {n} is lost, which {:?} were sent", event.sent_to));
            }
            self.tally.excused += 1;
        }
        Ok(())
    }

    /// The server lost that it gave the stream to a reader: the one before may go on from where it was. Where that mustn't
    /// be, an acquired stream waits for its replica.
    fn lost_a_reader(&self) -> bool {
        let hit = |it: &Failover| {
            let given = |at: &u64| it.since <= *at && *at <= it.at;
            it.shard == STREAMS && self.readers.iter().any(given)
        };
        self.failovers.iter().any(hit)
    }

    /// The server lost it, and the host that would have added it again is gone.
    fn may_be_lost(&self, note: &Note) -> bool {
        let is_in = |it: &Failover, at: u64| it.since <= at && at <= it.at + crate::world::LEASE;
        let hit = |it: &Failover| {
            it.shard == shard_of_partition(note.to) && note.accepted.is_some_and(|at| is_in(it, at))
        };
        self.gone.contains(&note.start) && self.failovers.iter().any(hit)
    }

    /// The server lost it, and the reader that would have added it again isn't the reader any more, or is gone.
    fn went_with_its_reader(&self, event: &Event) -> bool {
        event.added.iter().any(|(at, shard)| {
            let hit = |it: &Failover| it.shard == *shard && it.since <= *at && *at <= it.at;
            let is_gone = event.sent_to.iter().any(|start| self.gone.contains(start));
            let is_another = self.readers.iter().any(|since| since >= at);
            self.failovers.iter().any(hit) && (is_gone || is_another)
        })
    }
}
