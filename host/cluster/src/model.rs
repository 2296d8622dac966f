//! What the scripts do on the server, as a state machine: for the simulation, and to hold the scripts against.

use std::collections::BTreeMap;

use crate::call::{
    Acquire, Acquired, Add, Added, Answer, Beat, Call, Commit, Committed, Entry, LAYOUT, Loaded,
    Read, Release, Renew, Renewed, Seen, Standing, TOLD,
};
use crate::ids::{
    Epoch, Mark, Member, Number, Offset, Partition, Payload, Producer, Resource, StreamId,
};
use crate::row::{Change, RowKey};
use crate::rules::{Rule, Rules};

/// How many entries an inbox keeps where a test trims it by its length.
const SHORT: usize = 6;

/// A server, or the part of one that fails over by itself.
#[derive(Clone, Debug)]
pub struct Server {
    rules: Rules,
    /// In milliseconds.
    lease: u64,
    slots: BTreeMap<Resource, Slot>,
    beats: BTreeMap<Member, (Standing, u8, u64)>,
}

/// What is stored under one tag.
#[derive(Clone, Debug, Default)]
struct Slot {
    /// Whose, and until when.
    lease: Option<(Member, u64)>,
    layout: Option<(u32, u16)>,
    epoch: u64,
    holder: Option<Member>,
    seq: u64,
    offset: Offset,
    /// The last that was ever added.
    added: Offset,
    mark: Option<Mark>,
    /// Who is ready to take over, and when it said so.
    next: Option<(Member, u64)>,
    inbox: BTreeMap<u64, Entry>,
    producers: BTreeMap<Producer, (u64, u64)>,
    readers: BTreeMap<StreamId, u64>,
    rows: BTreeMap<RowKey, Payload>,
}

impl Server {
    /// An empty one, where leases last so many milliseconds.
    #[must_use]
    pub const fn new(rules: Rules, lease: u64) -> Self {
        Self { rules, lease, slots: BTreeMap::new(), beats: BTreeMap::new() }
    }

    /// Does what a call says. `now`: the server's clock, in milliseconds.
    pub fn call(&mut self, now: u64, call: &Call) -> Answer {
        match call {
            Call::Acquire(acquire) => Answer::Acquire(self.acquire(now, acquire)),
            Call::Renew(renew) => Answer::Renew(self.renew(now, renew)),
            Call::Release(release) => Answer::Release(self.release(release)),
            Call::Commit(commit) => Answer::Commit(self.commit(now, commit)),
            Call::Add(add) => Answer::Add(self.add(now, add)),
            Call::Beat(beat) => Answer::Beat(self.beat(now, beat)),
            Call::Load(load) => Answer::Load(self.load(now, load.partition)),
            Call::Read(read) => Answer::Read(self.read(read)),
        }
    }

    fn slot(&mut self, of: &Resource) -> &mut Slot {
        if !self.slots.contains_key(of) {
            self.slots.insert(of.clone(), Slot::default());
        }
        self.slots.get_mut(of).expect("it was just put there")
    }

    fn partition(&mut self, partition: Partition) -> &mut Slot {
        self.slot(&Resource::Partition(partition))
    }

    fn acquire(&mut self, now: u64, acquire: &Acquire) -> Acquired {
        let (lease, rules) = (self.lease, self.rules);
        let slot = self.slot(&acquire.of);
        let layout = (LAYOUT, acquire.partitions.count());
        if let Some((layout, partitions)) = slot.layout.filter(|stored| *stored != layout) {
            return Acquired::Layout { layout, partitions };
        }
        let (mark, latest) = (slot.mark, Epoch::new(slot.epoch));
        match (slot.lease_at(now), &slot.holder) {
            (Some(by), _) if *by != acquire.by => {
                let by = by.clone();
                if acquire.ready && matches!(acquire.of, Resource::Stream(_)) {
                    slot.next = Some((acquire.by.clone(), now));
                }
                return Acquired::Held { by, epoch: latest, mark };
            }
            (Some(_), _) => {}
            (None, None) if mark.is_some() && !acquire.ready => {
                return Acquired::Free { epoch: latest, mark };
            }
            (None, Some(by)) if *by != acquire.by && Some(by) != acquire.over.as_ref() => {
                return Acquired::Expired { by: by.clone(), epoch: latest, mark };
            }
            (None, _) => {}
        }
        if latest != acquire.seen {
            return Acquired::Moved { epoch: latest, mark };
        }
        let released = slot.holder.is_none();
        let epoch = slot.epoch + 1;
        slot.epoch = if rules.holds(Rule::EpochFromTime) { epoch.max(now) } else { epoch };
        slot.layout = Some(layout);
        slot.holder = Some(acquire.by.clone());
        (slot.seq, slot.next) = (0, None);
        if let Some(from) = acquire.from {
            slot.mark = Some(Mark::Before(from));
        }
        slot.lease = Some((acquire.by.clone(), now + lease));
        Acquired::Ours { epoch: Epoch::new(slot.epoch), mark: slot.mark, released }
    }

    fn renew(&mut self, now: u64, renew: &Renew) -> Renewed {
        let (lease, rules) = (self.lease, self.rules);
        let slot = self.slot(&renew.of);
        let stored = Epoch::new(slot.epoch);
        if stored < renew.epoch {
            return Renewed::ServerLost(stored);
        }
        if stored > renew.epoch || slot.holder.as_ref() != Some(&renew.by) {
            return Renewed::TakenOver(stored);
        }
        if slot.seq < renew.acknowledged.get() && rules.holds(Rule::OffsetChecked) {
            return Renewed::ServerLost(stored);
        }
        slot.lease = Some((renew.by.clone(), now + lease));
        slot.mark = renew.mark.or(slot.mark);
        let next = slot.next.as_ref().filter(|(_, at)| now < at + lease / 2);
        let next = next.map(|(member, _)| member.clone());
        Renewed::Ours { end: slot.added, next }
    }

    fn release(&mut self, release: &Release) -> bool {
        let clears = self.rules.holds(Rule::ReleaseClearsHolder);
        let slot = self.slot(&release.of);
        if slot.epoch != release.epoch.get() || slot.holder.as_ref() != Some(&release.by) {
            return false;
        }
        slot.lease = None;
        slot.mark = release.mark.or(slot.mark);
        if clears {
            (slot.holder, slot.next) = (None, None);
        }
        true
    }

    fn commit(&mut self, now: u64, commit: &Commit) -> Committed {
        let (lease, rules) = (self.lease, self.rules);
        let slot = self.partition(commit.partition);
        let stored = Epoch::new(slot.epoch);
        if rules.holds(Rule::Fence) {
            let other = stored == commit.epoch && slot.holder.as_ref() != Some(&commit.by);
            if stored > commit.epoch || other {
                return Committed::TakenOver(stored);
            }
            if stored < commit.epoch || slot.seq < commit.acknowledged.get() {
                return Committed::ServerLost(stored);
            }
            if slot.seq == commit.seq.get() {
                return Committed::Done;
            }
            if slot.seq > commit.seq.get() {
                return Committed::Stale;
            }
        }
        if commit.offset.number() > slot.offset.number() && rules.holds(Rule::OffsetChecked) {
            let entry = slot.inbox.get(&commit.offset.number());
            if entry.is_none_or(|entry| entry.offset != commit.offset) {
                return Committed::ServerLost(stored);
            }
        }
        slot.seq = commit.seq.get();
        slot.offset = commit.offset;
        slot.lease = Some((commit.by.clone(), now + lease));
        for change in &commit.changes {
            match change {
                Change::Put(key, value) => slot.rows.insert(key.clone(), value.clone()),
                Change::Delete(key) => slot.rows.remove(key),
            };
        }
        if commit.trim {
            let offset = slot.offset.number();
            slot.inbox.retain(|number, _| *number > offset);
        }
        for producer in &commit.forget {
            slot.producers.remove(producer);
        }
        Committed::Done
    }

    fn add(&mut self, now: u64, add: &Add) -> Added {
        let rules = self.rules;
        let slot = self.partition(add.partition);
        if let Some((stream, epoch)) = &add.reader {
            let latest = slot.readers.entry(stream.clone()).or_default();
            if *latest > epoch.get() && rules.holds(Rule::ReaderFenced) {
                return Added::Fenced(Epoch::new(*latest));
            }
            *latest = epoch.get().max(*latest);
        }
        let last = slot.producers.get(&add.producer).map_or(0, |(last, _)| *last);
        if add.first.get() > last + 1 && rules.holds(Rule::GapRefused) {
            return Added::Gap(Number::new(last));
        }
        if add.payloads.is_empty() {
            return Added::In(Number::new(last));
        }
        for (number, payload) in (add.first.get()..).zip(&add.payloads) {
            if number > last || !rules.holds(Rule::NumberChecked) {
                let before = slot.added;
                let offset = Offset::new(before.number() + 1, now);
                let entry = Entry { offset, before: before.at(), payload: payload.clone() };
                slot.added = offset;
                slot.inbox.insert(offset.number(), entry);
            }
        }
        let last = last.max(add.first.get() + add.payloads.len() as u64 - 1);
        slot.producers.insert(add.producer.clone(), (last, now));
        while !rules.holds(Rule::TrimByOffset) && slot.inbox.len() > SHORT {
            slot.inbox.pop_first();
        }
        Added::In(Number::new(last))
    }

    fn beat(&mut self, now: u64, beat: &Beat) -> Vec<Seen> {
        self.beats.insert(beat.by.clone(), (beat.standing, beat.weight, now));
        let oldest = now.saturating_sub(TOLD * self.lease);
        self.beats.retain(|_, (_, _, at)| *at >= oldest);
        let seen = |(member, (standing, weight, at)): (&Member, &(Standing, u8, u64))| Seen {
            member: member.clone(),
            standing: *standing,
            weight: *weight,
            age: now.saturating_sub(*at),
        };
        self.beats.iter().map(seen).collect()
    }

    fn load(&mut self, now: u64, partition: Partition) -> Loaded {
        let slot = self.partition(partition);
        let producers = slot.producers.iter();
        Loaded {
            rows: slot.rows.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
            offset: slot.offset,
            producers: producers
                .map(|(it, (_, at))| (it.clone(), now.saturating_sub(*at)))
                .collect(),
        }
    }

    fn read(&mut self, read: &Read) -> Vec<Entry> {
        let slot = self.partition(read.partition);
        let behind = slot.inbox.range(read.after.number() + 1..).map(|(_, entry)| entry.clone());
        behind.take(read.limit as usize).collect()
    }

    /// The epoch of a lease, and whose it is at this moment of the server's clock.
    #[must_use]
    pub fn held(&self, now: u64, of: &Resource) -> (Epoch, Option<&Member>) {
        self.slots
            .get(of)
            .map_or((Epoch::default(), None), |slot| (Epoch::new(slot.epoch), slot.lease_at(now)))
    }

    /// The rows of a partition.
    pub fn rows(&self, partition: Partition) -> impl Iterator<Item = (&RowKey, &Payload)> {
        self.slots.get(&Resource::Partition(partition)).into_iter().flat_map(|slot| &slot.rows)
    }

    /// The last entry that was added to a partition's inbox.
    #[must_use]
    pub fn end(&self, partition: Partition) -> Offset {
        self.slots.get(&Resource::Partition(partition)).map_or(Offset::START, |slot| slot.added)
    }

    /// A lease runs out.
    pub fn expire(&mut self, of: &Resource) {
        self.slot(of).lease = None;
    }

    /// All of it, as lines to be compared with what a real server has.
    #[must_use]
    pub fn lines(&self, now: u64) -> Vec<String> {
        let mut lines = Vec::new();
        for (of, slot) in &self.slots {
            let tag = of.tag();
            let text = |member: Option<&Member>| member.map_or(String::new(), Member::to_string);
            let mark = slot.mark.map_or(String::new(), |mark| mark.to_string());
            lines.push(format!("{tag} lease {}", text(slot.lease_at(now))));
            let (epoch, holder, seq) = (slot.epoch, text(slot.holder.as_ref()), slot.seq);
            lines.push(format!("{tag} epoch {epoch} holder {holder} seq {seq} mark {mark}"));
            let (offset, added) = (slot.offset, slot.added);
            lines.push(format!("{tag} offset {} {}", offset.number(), offset.at()));
            lines.push(format!("{tag} added {} {}", added.number(), added.at()));
            let (next, at) = slot.next.as_ref().map_or((None, 0), |(next, at)| (Some(next), *at));
            lines.push(format!("{tag} next {} {at}", text(next)));
            for Entry { offset, before, payload } in slot.inbox.values() {
                let (number, at, bytes) = (offset.number(), offset.at(), payload.bytes());
                lines.push(format!("{tag} inbox {number} {at} {before} {bytes:?}"));
            }
            for (producer, (last, at)) in &slot.producers {
                lines.push(format!("{tag} producer {producer} {last}:{at}"));
            }
            for (stream, epoch) in &slot.readers {
                lines.push(format!("{tag} reader {} {epoch}", stream.as_str()));
            }
            for (key, value) in &slot.rows {
                let (first, second) = &key.group;
                let (table, number) = (&key.table, key.number);
                let value = value.bytes();
                lines.push(format!("{tag} row {table} {first}|{second} {number} {value:?}"));
            }
        }
        for (member, (standing, weight, at)) in &self.beats {
            lines.push(format!("member {member} {standing:?} {weight} {at}"));
        }
        lines.sort();
        lines
    }
}

impl Slot {
    fn lease_at(&self, now: u64) -> Option<&Member> {
        self.lease.as_ref().filter(|(_, until)| *until >= now).map(|(member, _)| member)
    }
}
