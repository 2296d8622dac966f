//! What people and faults do.

use std::time::Duration;

use sidenote_cluster::claims::{self, Message};
use sidenote_cluster::ids::{HostId, Incarnation, Member, Partition};
use sidenote_cluster::input::Input;
use sidenote_cluster::node::Node;
use sidenote_cluster::owner::Settings;
use sidenote_cluster::placement::Weight;
use sidenote_cluster::time::Times;

use super::{HOSTS, Happening, LEASE, SESSIONS, SHARDS, SUBJECTS, World, partitions, stream};
use crate::work::{Item, partition_of, session, subject};

impl World {
    pub(super) fn calm(&mut self) {
        self.loss = 0;
        for host in 0..HOSTS {
            self.hosts[host].hangs.clear();
            self.hosts[host].paused_until = 0;
            if self.hosts[host].node.is_none() {
                self.start(host);
            }
        }
    }

    pub(super) fn start(&mut self, host: usize) {
        self.starts += 1;
        let name = HostId::new(&format!("h{host}")).unwrap();
        // The server's time at the start, which grows.
        let me = Member::new(name, Incarnation::new(self.starts));
        let times = Times::of_lease(Duration::from_millis(LEASE));
        let settings = Settings { times, rules: self.rules, partitions: partitions(), me };
        let it = &mut self.hosts[host];
        it.node = Some(Node::new(settings, Weight::ONE, &[stream()]));
        (it.start, it.reads, it.drains) = (self.starts, false, false);
        it.sent.clear();
        let start = it.start;
        self.at(self.now + 1, Happening::Tick { host, start });
    }

    fn kill(&mut self, host: usize) {
        if self.hosts[host].node.take().is_some() {
            self.judge.tally.kills += 1;
            self.judge.died(self.hosts[host].start);
            self.hosts[host].hangs.clear();
        }
    }

    /// Somebody sends something to a host that is there.
    pub(super) fn sends(&mut self) {
        let there: Vec<usize> =
            (0..HOSTS).filter(|host| self.hosts[*host].node.is_some()).collect();
        let Some(host) = there.get(usize::try_from(self.chance.below(there.len() as u64)).unwrap())
        else {
            return;
        };
        let (host, of, number) = (*host, self.chance.below(SESSIONS), self.notes);
        self.notes += 1;
        let start = self.hosts[host].start;
        let (what, input) = match self.chance.below(10) {
            0..5 => (Some(of), Input::work(None, Item::Note(number, start).body(of)).encode()),
            5..9 => {
                let to = subject(self.chance.below(SUBJECTS));
                (None, claims::told(&Message::Link(session(of), to)))
            }
            _ => (None, claims::told(&Message::Unlink(session(of)))),
        };
        let to = partition_of(partitions(), of);
        if let Some(node) = &mut self.hosts[host].node
            && node.submit(to, input, number).is_ok()
        {
            self.judge.submitted(number, start, to, what);
        }
    }

    pub(super) fn fault(&mut self) {
        let host = usize::try_from(self.chance.below(HOSTS as u64)).unwrap();
        let fault = self.chance.below(9);
        self.trace(|| format!("fault {fault} at h{host}"));
        match fault {
            0 | 1 => {
                let pause = self.chance.between(LEASE * 2, LEASE * 3);
                self.hosts[host].paused_until = self.now + pause;
            }
            2 | 3 => {
                self.kill(host);
                self.hosts[host].reads = false;
            }
            4 => {
                if self.hosts[host].node.is_none() {
                    self.start(host);
                }
            }
            5 => {
                if let Some(node) = &mut self.hosts[host].node {
                    node.drain();
                    self.hosts[host].drains = true;
                }
            }
            6 => {
                let partition = Partition::new(u16::try_from(self.chance.below(4)).unwrap());
                let until = self.now + self.chance.between(LEASE, LEASE * 3);
                self.hosts[host].hangs.insert(partition, until);
            }
            7 => {
                // The server is away, and has all when it is back.
                let shard = usize::try_from(self.chance.below(SHARDS as u64)).unwrap();
                if !self.shards[shard].is_away && self.shards[shard].replica.is_none() {
                    self.shards[shard].is_away = true;
                    let back = self.now + self.chance.between(LEASE / 2, LEASE * 2);
                    self.at(back, Happening::IsBack { shard });
                }
            }
            _ if self.fails_over => {
                let shard = usize::try_from(self.chance.below(SHARDS as u64)).unwrap();
                let it = &mut self.shards[shard];
                if it.replica.is_none() && !it.is_away {
                    it.replica = Some((it.server.clone(), self.now));
                    let at = self.now + self.chance.between(5, LEASE / 4);
                    self.at(at, Happening::FailsOver { shard });
                }
            }
            _ => {
                if self.hosts[host].node.is_none() {
                    self.start(host);
                } else {
                    self.kill(host);
                    self.hosts[host].reads = false;
                    self.start(host);
                }
            }
        }
    }
}
