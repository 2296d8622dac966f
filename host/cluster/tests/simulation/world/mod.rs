//! Hosts, a server that can fail over, and what lies between them. Everything that happens is drawn from one seed.

mod faults;
mod network;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::time::Duration;

use sidenote_cluster::call::{Answer, Call};
use sidenote_cluster::ids::{Epoch, Partition, Resource, StreamId};
use sidenote_cluster::input::Input;
use sidenote_cluster::model::Server;
use sidenote_cluster::node::{Effect, Node};
use sidenote_cluster::partition::{Partitions, once};
use sidenote_cluster::rules::Rules;
use sidenote_cluster::time::Moment;

use crate::chance::Chance;
use crate::judge::{self, Judge};
use crate::work::{Item, Log, partition_of};

/// In milliseconds, as all times here.
pub(crate) const LEASE: u64 = 400;
pub(crate) const PARTITIONS: u16 = 4;
pub(crate) const SESSIONS: u64 = 5;
const SUBJECTS: u64 = 2;
const HOSTS: usize = 4;
const SHARDS: usize = 2;
/// The shard of the streams' leases.
pub(crate) const STREAMS: usize = 0;
const TICK: u64 = LEASE / 40;
/// Whoever runs a host waits so long for an answer.
const TIMEOUT: u64 = LEASE / 2;
/// Faults end then.
const CHAOS: u64 = 3000;
/// Every partition must have an owner by then. A call of before can be three leases late, and bring a lease back that its
/// host doesn't know of.
const OWNED: u64 = CHAOS + 8 * LEASE;
/// And by then all must be well.
const END: u64 = CHAOS + 12_000;

enum Happening {
    Tick {
        host: usize,
        start: u64,
    },
    /// A call arrives at the server; a copy of it brings no answer.
    Arrives {
        host: usize,
        start: u64,
        call: Call,
        ends: Option<u64>,
    },
    Answered {
        host: usize,
        start: u64,
        call: Call,
        answer: Option<Answer>,
    },
    Event,
    Reads {
        host: usize,
        start: u64,
    },
    /// A lease was let go, or something was added.
    Rings {
        host: usize,
        start: u64,
        of: Resource,
    },
    Sent,
    Fault,
    /// Faults end.
    Calm,
    FailsOver {
        shard: usize,
    },
    IsBack {
        shard: usize,
    },
}

struct Host {
    node: Option<Node<Log>>,
    start: u64,
    paused_until: u64,
    /// Partitions whose work hangs, until when.
    hangs: BTreeMap<Partition, u64>,
    reads: bool,
    /// Events that it was sent and hasn't read yet.
    sent: VecDeque<(u64, u64)>,
    drains: bool,
    /// Its clock, beside the server's.
    clock: u64,
}

struct Shard {
    server: Server,
    /// What a replica has, and since when it falls behind.
    replica: Option<(Server, u64)>,
    is_away: bool,
}

pub(crate) struct World {
    chance: Chance,
    rules: Rules,
    now: u64,
    queue: BinaryHeap<Reverse<(u64, u64, usize)>>,
    happenings: Vec<Option<Happening>>,
    hosts: Vec<Host>,
    shards: Vec<Shard>,
    starts: u64,
    notes: u64,
    loss: u64,
    fails_over: bool,
    /// Whether everything is told as it happens.
    traces: bool,
    judge: Judge,
}

/// What happened in a schedule, so that a test can see that something did.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) kills: u64,
    pub(crate) stale: u64,
    pub(crate) commits: u64,
    pub(crate) failovers: u64,
    pub(crate) events: u64,
    pub(crate) excused: u64,
    pub(crate) links: u64,
    pub(crate) calls: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        self.kills += other.kills;
        self.stale += other.stale;
        self.commits += other.commits;
        self.failovers += other.failovers;
        self.events += other.events;
        self.excused += other.excused;
        self.links += other.links;
        self.calls += other.calls;
    }
}

fn stream() -> StreamId {
    StreamId::new("acme").unwrap()
}

fn partitions() -> Partitions {
    Partitions::new(PARTITIONS).unwrap()
}

/// Runs the schedule of a seed. What went wrong, where something did.
pub(crate) fn run(seed: u64, rules: Rules) -> Result<Tally, String> {
    let mut chance = Chance::new(seed);
    let host = |clock| Host {
        node: None,
        start: 0,
        paused_until: 0,
        hangs: BTreeMap::new(),
        reads: false,
        sent: VecDeque::new(),
        drains: false,
        clock,
    };
    let hosts = (0..HOSTS).map(|_| host(chance.below(10_000_000))).collect();
    let shard = || Shard { server: Server::new(rules, LEASE), replica: None, is_away: false };
    let loss = [0, 3, 8][usize::try_from(chance.below(3)).unwrap()];
    let mut world = World {
        rules,
        now: 0,
        queue: BinaryHeap::new(),
        happenings: Vec::new(),
        hosts,
        shards: (0..SHARDS).map(|_| shard()).collect(),
        starts: 0,
        notes: 0,
        loss,
        fails_over: chance.percent(40),
        traces: std::env::var_os("SIDENOTE_TRACE").is_some(),
        judge: Judge::default(),
        chance,
    };
    world.run().map_err(|wrong| format!("at {} ms: {wrong}", world.now))?;
    Ok(world.judge.tally)
}

impl World {
    fn at(&mut self, time: u64, happening: Happening) {
        let place = self.happenings.len();
        self.happenings.push(Some(happening));
        // What is due at the same moment comes in any order.
        let tie = self.chance.below(1 << 20);
        self.queue.push(Reverse((time, tie, place)));
    }

    fn trace(&self, what: impl FnOnce() -> String) {
        if self.traces {
            println!("{:6} {}", self.now, what());
        }
    }

    fn is_calm(&self) -> bool {
        self.now >= CHAOS
    }

    fn run(&mut self) -> Result<(), String> {
        for host in 0..HOSTS - 1 {
            self.start(host);
        }
        for _ in 0..self.chance.between(15, 40) {
            let at = self.chance.below(CHAOS);
            self.at(at, Happening::Sent);
        }
        for _ in 0..self.chance.between(10, 40) {
            let at = self.chance.between(100, CHAOS);
            self.at(at, Happening::Event);
        }
        for _ in 0..self.chance.between(3, 14) {
            let at = self.chance.between(200, CHAOS - 1);
            self.at(at, Happening::Fault);
        }
        self.at(CHAOS, Happening::Calm);
        let (mut looked, mut owned) = (0, false);
        while let Some(Reverse((time, _, place))) = self.queue.pop() {
            self.now = time;
            self.judge.clock(time);
            if time > CHAOS && time > looked + 50 {
                looked = time;
                owned |= self.owned() == usize::from(PARTITIONS);
                if time > OWNED && !owned {
                    return Err(format!("{} partitions have an owner", self.owned()));
                }
                match self.unsettled() {
                    None => return self.verdict(),
                    Some(what) if time > END => return Err(format!("never settled: {what}")),
                    Some(_) => {}
                }
            }
            if let Some(happening) = self.happenings[place].take() {
                self.happens(happening)?;
            }
        }
        Err("nothing happens any more".to_owned())
    }

    fn moment(&self, host: usize) -> Moment {
        Moment::from_millis(self.now + self.hosts[host].clock)
    }

    /// When it can do something: now, or after its pause.
    fn awake(&self, host: usize) -> u64 {
        self.hosts[host].paused_until.max(self.now)
    }

    fn happens(&mut self, happening: Happening) -> Result<(), String> {
        match happening {
            Happening::Tick { host, start } => self.tick(host, start),
            Happening::Arrives { host, start, call, ends } => {
                return self.arrives(host, start, call, ends);
            }
            Happening::Answered { host, start, call, answer } => {
                let awake = self.awake(host);
                if awake > self.now {
                    self.at(awake, Happening::Answered { host, start, call, answer });
                    return Ok(());
                }
                let moment = self.moment(host);
                self.trace(|| format!("h{host}#{start} hears {answer:?} to {call:?}"));
                if self.hosts[host].start == start
                    && let Some(node) = &mut self.hosts[host].node
                {
                    let effects = node.answered(moment, &call, answer);
                    self.does(host, effects);
                }
            }
            Happening::Event => {
                let there = self.hosts.iter().filter(|host| host.reads).map(|host| host.start);
                let event = self.judge.happened(there.collect());
                self.trace(|| format!("event {event}"));
                for host in 0..HOSTS {
                    if self.hosts[host].reads {
                        let start = self.hosts[host].start;
                        let at = self.now + 1 + self.chance.below(judge::UNDER_WAY);
                        self.hosts[host].sent.push_back((at, event));
                        self.at(at, Happening::Reads { host, start });
                    }
                }
            }
            Happening::Reads { host, start } => {
                let awake = self.awake(host);
                if self.hosts[host].start != start {
                    return Ok(());
                }
                if awake > self.now {
                    self.at(awake, Happening::Reads { host, start });
                    return Ok(());
                }
                self.reads(host);
            }
            Happening::Rings { host, start, of } => {
                let (moment, awake) = (self.moment(host), self.awake(host) == self.now);
                let it = &mut self.hosts[host];
                if let Some(node) = it.node.as_mut().filter(|_| awake && it.start == start) {
                    node.freed(moment, &of);
                    if let Resource::Partition(partition) = of {
                        node.rung(partition);
                    }
                }
            }
            Happening::Sent => self.sends(),
            Happening::Fault => self.fault(),
            Happening::Calm => self.calm(),
            Happening::FailsOver { shard } => {
                let it = &mut self.shards[shard];
                if let Some((server, since)) = it.replica.take() {
                    it.server = server;
                    it.is_away = true;
                    self.judge.tally.failovers += 1;
                    self.judge.failed_over(shard, since, self.now);
                    let back = self.now + self.chance.between(5, LEASE / 2);
                    self.at(back, Happening::IsBack { shard });
                }
            }
            Happening::IsBack { shard } => self.shards[shard].is_away = false,
        }
        Ok(())
    }

    /// A host reads what arrived on its connection.
    fn reads(&mut self, host: usize) {
        let (moment, now) = (self.moment(host), self.now);
        let it = &mut self.hosts[host];
        while let Some((_, event)) = it.sent.pop_front_if(|(at, _)| *at <= now) {
            let (id, of) = (once("acme", &event.to_string()), event % SESSIONS);
            let input = Input::work(Some(id), Item::Event(event).body(of)).encode();
            if let Some(node) = &mut it.node {
                node.event(moment, &stream(), id, partition_of(partitions(), of), input);
            }
        }
    }

    fn tick(&mut self, host: usize, start: u64) {
        if self.hosts[host].start != start || self.hosts[host].node.is_none() {
            return;
        }
        let awake = self.awake(host);
        if awake > self.now {
            self.at(awake, Happening::Tick { host, start });
            return;
        }
        let jitter = if self.is_calm() { 0 } else { self.chance.below(TICK) };
        self.at(self.now + TICK + jitter, Happening::Tick { host, start });
        self.reads(host);
        let (moment, now) = (self.moment(host), self.now);
        let it = &mut self.hosts[host];
        let Some(node) = &mut it.node else { return };
        let mut effects = node.tick(moment);
        let owned: Vec<Partition> = node.owned().map(|(partition, _)| partition).collect();
        for partition in owned {
            // A platform is called for so long.
            let call = LEASE / 8;
            if node.covers(partition, moment + Duration::from_millis(call)) {
                self.judge.calls(partition, start, now + call);
            }
            if it.hangs.get(&partition).is_none_or(|until| *until <= now) {
                effects.extend(node.work(moment, partition));
            }
        }
        self.does(host, effects);
    }

    fn does(&mut self, host: usize, effects: Vec<Effect>) {
        let start = self.hosts[host].start;
        for effect in effects {
            if !matches!(effect, Effect::Call(_)) {
                self.trace(|| format!("h{host}#{start}: {effect:?}"));
            }
            match effect {
                Effect::Call(call) => self.asks(host, start, call),
                Effect::Accepted(number) => self.judge.accepted(number),
                Effect::Connect(_) => self.hosts[host].reads = true,
                Effect::Disconnect(_) => {
                    self.hosts[host].reads = false;
                    self.judge.disconnected(start);
                    // What is still on its way doesn't arrive.
                    for (_, event) in std::mem::take(&mut self.hosts[host].sent) {
                        self.judge.never_came(event, start);
                    }
                }
                Effect::Drained => {
                    // It ends, and perhaps comes again. What it read when nobody else was there has no successor.
                    self.hosts[host].node = None;
                    self.hosts[host].reads = false;
                    if self.hosts.iter().all(|host| host.node.is_none()) {
                        self.judge.died(start);
                    }
                    if self.is_calm() {
                        self.start(host);
                    }
                }
                Effect::Owned(..) | Effect::Replaced => {}
                Effect::Lost(partition, _) => self.judge.cuts(partition, start),
                Effect::Layout(..) => unreachable!("all have the same"),
            }
        }
    }

    /// Whether the server agrees that a partition is owned since this epoch.
    fn owns(&self, partition: Partition, epoch: Epoch) -> bool {
        let server = &self.shards[shard_of_partition(partition)].server;
        let (stored, holder) = server.held(self.now, &Resource::Partition(partition));
        epoch == stored && holder.is_some()
    }

    /// How many partitions have an owner.
    fn owned(&self) -> usize {
        let nodes = self.hosts.iter().filter_map(|host| host.node.as_ref());
        let owners =
            nodes.flat_map(Node::owned).filter(|(it, owner)| self.owns(*it, owner.epoch()));
        owners.map(|(partition, _)| partition).collect::<BTreeSet<_>>().len()
    }

    /// What isn't as it should be at the end, if something isn't.
    fn unsettled(&self) -> Option<String> {
        let (mut adder, mut unread) = (false, 0);
        for host in &self.hosts {
            let Some(node) = &host.node else {
                return Some("a host is still to start again".to_owned());
            };
            if !node.has_settled() {
                return Some("a host has inputs".to_owned());
            }
            for (partition, owner) in node.owned() {
                let server = &self.shards[shard_of_partition(partition)].server;
                let is_idle = owner.is_idle() && owner.has_read(server.end(partition));
                let waits = owner.claims().waiting() > 0;
                if self.owns(partition, owner.epoch()) && (!is_idle || waits) {
                    return Some(format!("{partition} has something left to do"));
                }
            }
            for (stream, reader, epoch) in node.readers() {
                let of = Resource::Stream(stream.clone());
                let (stored, holder) = self.shards[STREAMS].server.held(self.now, &of);
                adder |= epoch == Some(stored) && holder.is_some();
                unread += reader.len();
                if !host.sent.is_empty()
                    || epoch.is_some() && !(reader.is_in() && reader.has_settled())
                {
                    return Some("a reader has something to add".to_owned());
                }
            }
        }
        let owned = self.owned() == usize::from(PARTITIONS);
        let draining = self.hosts.iter().any(|host| host.drains);
        match (owned, draining) {
            (true, false) if adder || unread == 0 => None,
            (true, false) => Some("nobody adds what was read".to_owned()),
            (true, true) => Some("a host drains".to_owned()),
            (false, _) => Some(format!("{} partitions have an owner", self.owned())),
        }
    }

    fn verdict(&mut self) -> Result<(), String> {
        let all = (0..PARTITIONS).map(Partition::new);
        let rows: Vec<_> =
            all.flat_map(|it| self.shards[shard_of_partition(it)].server.rows(it)).collect();
        self.judge.looks_at_links(partitions(), rows.iter().copied(), true)?;
        self.judge.verdict(rows.into_iter())
    }
}

pub(crate) fn shard_of_partition(partition: Partition) -> usize {
    usize::from(partition.number()) % SHARDS
}

fn shard_of(call: &Call) -> usize {
    let of = |of: &Resource| match of {
        Resource::Partition(partition) => shard_of_partition(*partition),
        Resource::Stream(_) => STREAMS,
    };
    match call {
        Call::Acquire(it) => of(&it.of),
        Call::Renew(it) => of(&it.of),
        Call::Release(it) => of(&it.of),
        Call::Commit(it) => shard_of_partition(it.partition),
        Call::Add(it) => shard_of_partition(it.partition),
        Call::Load(it) => shard_of_partition(it.partition),
        Call::Read(it) => shard_of_partition(it.partition),
        Call::Beat(_) => SHARDS - 1,
    }
}
