//! A host of several: what it wants, has, reads and adds. It is fed with time, answers, events and inputs, and says what
//! is to be asked of the server.
//!
//! Whoever runs it sends each [`Call`] once, within a time limit, and brings it back with the answer or without one. A
//! partition's work is run by [`Node::work`], which also shows that it isn't hung; [`Node::tick`] never waits for it.

mod reading;
mod slot;

use std::collections::{BTreeMap, BTreeSet};

use crate::call::{Acquired, Add, Added, Answer, Call, Loaded, Standing};
use crate::ids::{
    Epoch, HostId, Incarnation, Member, Once, Partition, Payload, Producer, Resource, StreamId,
};
use crate::lease::{Lease, Loss};
use crate::members::Members;
use crate::outgoing::{Full, Outcome, Outgoing};
use crate::owner::{Owner, Settings, Work};
use crate::placement::{Weight, place, readers};
use crate::reader::Reader;
use crate::rules::Rule;
use crate::time::Moment;
use reading::{Place, Reading};
use slot::Slot;

/// What a host is to do, or hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// To be asked of the server.
    Call(Call),
    /// The input of this number is in an inbox: it is accepted.
    Accepted(u64),
    /// A partition is this host's, with its rows loaded.
    Owned(Partition, Epoch),
    /// A partition isn't this host's any more: calls to platforms in its name are cut. Where it lets it go itself, this
    /// comes before the call that does so.
    Lost(Partition, Option<Loss>),
    /// A stream is to be read.
    Connect(StreamId),
    /// A stream isn't to be read any more.
    Disconnect(StreamId),
    /// All is handed over; the host can end.
    Drained,
    /// Another start of this host is there, later than this one: this one asks for nothing any more, and must end.
    Replaced,
    /// The namespace is laid out in another way, in so many partitions: the host must end.
    Layout(u32, u16),
}

/// A host.
#[derive(Debug)]
pub struct Node<W> {
    settings: Settings,
    members: Members,
    partitions: BTreeMap<Partition, Slot<W>>,
    streams: BTreeMap<StreamId, Reading>,
    inputs: BTreeMap<Partition, Outgoing<u64>>,
    /// Which hosts there are, as of which the next two were made.
    hosts: BTreeMap<HostId, Weight>,
    wanted: BTreeSet<Partition>,
    reads: BTreeSet<StreamId>,
    standing: Standing,
    /// Some work hung: until then the others are to have what this host had.
    hung: Option<Moment>,
    ticked: Moment,
}

impl<W: Work> Node<W> {
    /// A host that has nothing yet and will read these streams, or be the second to.
    #[must_use]
    pub fn new(settings: Settings, weight: Weight, streams: &[StreamId]) -> Self {
        let Settings { times, me, partitions, .. } = &settings;
        let lease = |of| Lease::new(*times, of, me.clone(), *partitions);
        let slot =
            |partition| (partition, Slot::new(partition, lease(Resource::Partition(partition))));
        let reading = |stream: &StreamId| {
            let lease = lease(Resource::Stream(stream.clone()));
            (stream.clone(), Reading::new(stream.clone(), lease))
        };
        Self {
            members: Members::new(*times, me.clone(), weight),
            partitions: partitions.all().map(slot).collect(),
            streams: streams.iter().map(reading).collect(),
            inputs: BTreeMap::new(),
            hosts: BTreeMap::new(),
            wanted: BTreeSet::new(),
            reads: BTreeSet::new(),
            standing: Standing::Working,
            hung: None,
            ticked: Moment::default(),
            settings,
        }
    }

    /// It is to hand over all that it has. It still accepts inputs meanwhile.
    pub fn drain(&mut self) {
        if self.standing == Standing::Working {
            self.standing = Standing::Draining;
            self.members.stand(Standing::Draining);
            self.hosts.clear();
        }
    }

    /// The partitions that it owns.
    pub fn owned(&self) -> impl Iterator<Item = (Partition, &Owner<W>)> {
        self.partitions.iter().filter_map(|(partition, slot)| Some((*partition, slot.owner()?)))
    }

    /// Whether a call to a platform in the name of a partition may begin: the lease outlives its deadline.
    #[must_use]
    pub fn covers(&self, partition: Partition, deadline: Moment) -> bool {
        self.partitions.get(&partition).is_some_and(|slot| slot.lease.covers(deadline))
    }

    /// The readers of its streams.
    pub fn readers(&self) -> impl Iterator<Item = (&StreamId, &Reader, Option<Epoch>)> {
        self.streams.iter().filter_map(|(stream, reading)| {
            Some((stream, reading.reader()?, reading.lease.epoch()))
        })
    }

    /// Whether everything that came to this host is in an inbox for long enough.
    #[must_use]
    pub fn has_settled(&self) -> bool {
        self.inputs.values().all(Outgoing::is_empty)
    }

    /// An input for a partition, of whatever host. `number` comes back when it is accepted.
    ///
    /// # Errors
    /// Where too many wait.
    pub fn submit(
        &mut self,
        partition: Partition,
        payload: Payload,
        number: u64,
    ) -> Result<(), Full> {
        let Settings { times, rules, me, .. } = &self.settings;
        let new = || {
            let me = match rules.holds(Rule::IncarnationInName) {
                true => me.clone(),
                false => Member::new(me.host().clone(), Incarnation::default()),
            };
            let producer = Producer::Host(me, 0);
            Outgoing::new(*times, *rules, partition, producer, None)
        };
        self.inputs.entry(partition).or_insert_with(new).push(payload, number)
    }

    /// An event of a stream. Whether there is capacity for another one: else reading must wait.
    pub fn event(
        &mut self,
        now: Moment,
        of: &StreamId,
        id: Once,
        to: Partition,
        payload: Payload,
    ) -> bool {
        let reader = self.streams.get_mut(of).and_then(Reading::reader_mut);
        reader.is_none_or(|reader| reader.received(now, id, to, payload))
    }

    /// Something was added for a partition. Where nobody rings, its owner finds it a little later.
    pub fn rung(&mut self, partition: Partition) {
        if let Some(owner) = self.partitions.get_mut(&partition).and_then(Slot::owner_mut) {
            owner.rings();
        }
    }

    /// Somebody let a lease go. Where nobody says so, who is to have it finds out a little later.
    pub fn freed(&mut self, now: Moment, of: &Resource) {
        let lease = match of {
            Resource::Partition(it) => self.partitions.get_mut(it).map(|it| &mut it.lease),
            Resource::Stream(it) => self.streams.get_mut(it).map(|it| &mut it.lease),
        };
        if let Some(lease) = lease {
            lease.freed(now);
        }
    }

    /// Whether the work of a partition hangs, or did lately, so that the host hands over what it has.
    #[must_use]
    pub const fn hangs(&self) -> bool {
        self.hung.is_some()
    }

    fn watch_work(&mut self, now: Moment) {
        // The whole host stood still: that says nothing of its work.
        if self.ticked + self.settings.times.beat() < now {
            self.partitions.values_mut().for_each(|slot| slot.lease.worked(now));
        }
        self.ticked = now;
        let hung = self.hung.is_some();
        if self.partitions.values().any(|slot| slot.lease.hangs(now)) {
            self.hung = Some(now + self.settings.times.apart());
        }
        self.hung = self.hung.filter(|until| now < *until);
        if self.standing == Standing::Working && hung != self.hung.is_some() {
            let standing = if hung { Standing::Working } else { Standing::Draining };
            self.members.stand(standing);
        }
    }

    /// What is due: beats, leases, adds.
    pub fn tick(&mut self, now: Moment) -> Vec<Effect> {
        self.watch_work(now);
        let mut effects = Vec::new();
        if self.members.is_replaced() {
            return effects;
        }
        effects.extend(self.members.tick(now).map(|beat| Effect::Call(Call::Beat(beat))));
        if self.members.has_heard() && self.standing != Standing::Leaving {
            self.look_around(now);
            self.tick_leases(now, &mut effects);
        }
        let adds = self.inputs.values_mut().filter_map(|outgoing| outgoing.tick(now));
        effects.extend(adds.map(|add| Effect::Call(Call::Add(add))));
        if self.standing == Standing::Draining && self.has_nothing() {
            self.standing = Standing::Leaving;
            self.members.stand(Standing::Leaving);
            effects.push(Effect::Drained);
        }
        effects
    }

    fn has_nothing(&self) -> bool {
        self.partitions.values().all(Slot::is_away)
            && self.streams.values().all(|reading| reading.reader().is_none())
            && self.inputs.values().all(Outgoing::is_empty)
            && self.members.has_heard()
    }

    /// Which partitions and streams are to be this host's.
    fn look_around(&mut self, now: Moment) {
        let hosts = self.members.hosts(now);
        if hosts == self.hosts {
            return;
        }
        let me = self.settings.me.host();
        (self.wanted, self.reads) = (BTreeSet::new(), BTreeSet::new());
        // Also the last one that drains keeps nothing: it ends without a successor.
        if self.standing == Standing::Working {
            let placed = place(self.settings.partitions, &hosts).into_iter();
            self.wanted = placed.filter(|(_, host)| host == me).map(|(it, _)| it).collect();
            let reads = |stream: &&StreamId| readers(stream.as_str(), &hosts).contains(me);
            self.reads = self.streams.keys().filter(reads).cloned().collect();
        }
        self.hosts = hosts;
    }

    fn tick_leases(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let members = &self.members;
        let is_gone = |member: &Member| !members.is_alive(now, member);
        // One after the other: those that wait go on working.
        let mut moves = self.partitions.values().any(|slot| slot.lease.is_releasing());
        for (partition, slot) in &mut self.partitions {
            let wanted = self.wanted.contains(partition);
            if !wanted && !moves {
                moves = slot.let_go(now, effects);
            }
            slot.tick(now, wanted, is_gone, effects);
        }
        for (stream, reading) in &mut self.streams {
            let place = Place {
                standing: self.standing,
                wanted: self.reads.contains(stream),
                alone: self.hosts.len() == 1,
            };
            reading.tick(now, &self.settings, place, is_gone, effects);
        }
    }

    /// A turn of a partition's work.
    pub fn work(&mut self, now: Moment, partition: Partition) -> Vec<Effect> {
        let Some(slot) = self.partitions.get_mut(&partition) else { return Vec::new() };
        slot.lease.worked(now);
        let stops = !self.wanted.contains(&partition);
        let calls = slot.owner_mut().map(|owner| owner.tick(now, stops)).unwrap_or_default();
        calls.into_iter().map(Effect::Call).collect()
    }

    /// A call comes back, with its answer or without one.
    pub fn answered(&mut self, now: Moment, call: &Call, answer: Option<Answer>) -> Vec<Effect> {
        let mut effects = Vec::new();
        match call {
            Call::Beat(_) => {
                let before = self.members.is_replaced();
                self.members.answered(now, answer.and_then(Answer::beat));
                if self.members.is_replaced() && !before {
                    effects.push(Effect::Replaced);
                }
            }
            Call::Acquire(acquire) => {
                let answer = answer.and_then(Answer::acquire);
                match &acquire.of {
                    Resource::Partition(it) => self.asked(now, *it, answer, &mut effects),
                    Resource::Stream(it) => {
                        if let Some(reading) = self.streams.get_mut(it) {
                            reading.asked(now, answer, &mut effects);
                        }
                    }
                }
            }
            Call::Renew(renew) => {
                let answer = answer.and_then(Answer::renew);
                match &renew.of {
                    Resource::Partition(it) => {
                        if let Some(slot) = self.partitions.get_mut(it) {
                            slot.kept(now, renew.epoch, answer, &mut effects);
                        }
                    }
                    Resource::Stream(it) => {
                        if let Some(reading) = self.streams.get_mut(it) {
                            reading.kept(now, renew.epoch, answer);
                        }
                    }
                }
            }
            Call::Release(release) => {
                let lease = match &release.of {
                    Resource::Partition(it) => self.partitions.get_mut(it).map(|it| &mut it.lease),
                    Resource::Stream(it) => self.streams.get_mut(it).map(|it| &mut it.lease),
                };
                if let Some(lease) = lease {
                    lease.released(now, release.epoch, answer.and_then(Answer::release));
                }
            }
            Call::Load(load) => {
                let Some(slot) = self.partitions.get_mut(&load.partition) else { return effects };
                let answer = answer.and_then(Answer::load);
                if let Some(begin) = slot.loaded(now, &self.settings, load, answer) {
                    self.owns(now, load.partition, begin, &mut effects);
                }
            }
            Call::Commit(commit) => {
                if let Some(slot) = self.partitions.get_mut(&commit.partition) {
                    let answer = answer.and_then(Answer::commit);
                    slot.committed(now, commit, answer, &mut effects);
                }
            }
            Call::Read(read) => {
                if let Some(slot) = self.partitions.get_mut(&read.partition) {
                    slot.read(now, read, answer.and_then(Answer::read), &mut effects);
                }
            }
            Call::Add(add) => self.added(now, add, answer.and_then(Answer::add), &mut effects),
        }
        effects
    }

    fn asked(
        &mut self,
        now: Moment,
        partition: Partition,
        answer: Option<Acquired>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(slot) = self.partitions.get_mut(&partition) else { return };
        if let Some(begin) = slot.asked(now, &self.settings, answer, effects) {
            self.owns(now, partition, begin, effects);
        }
    }

    fn owns(
        &mut self,
        now: Moment,
        partition: Partition,
        (epoch, loaded): (Epoch, Loaded),
        effects: &mut Vec<Effect>,
    ) {
        let Some(slot) = self.partitions.get_mut(&partition) else { return };
        let is_gone = |member: &Member| !self.members.is_alive(now, member);
        slot.owns(Owner::new(self.settings.clone(), partition, epoch, loaded, is_gone), effects);
    }

    fn added(&mut self, now: Moment, add: &Add, answer: Option<Added>, effects: &mut Vec<Effect>) {
        match &add.producer {
            Producer::Partition(from, ..) => {
                if let Some(owner) = self.partitions.get_mut(from).and_then(Slot::owner_mut) {
                    owner.added(now, add, answer);
                }
            }
            Producer::Reader(stream, ..) => {
                if let Some(reading) = self.streams.get_mut(stream) {
                    reading.added(now, add, answer);
                }
            }
            Producer::Host(..) => {
                let Some(outgoing) = self.inputs.get_mut(&add.partition) else { return };
                for outcome in outgoing.answered(now, add, answer) {
                    match outcome {
                        Outcome::In(number) => effects.push(Effect::Accepted(number)),
                        Outcome::Settled(_) | Outcome::Fenced(_) => {}
                    }
                }
            }
        }
    }
}
