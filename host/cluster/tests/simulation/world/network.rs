//! What lies between hosts and the server: calls are late, lost and repeated.

use sidenote_cluster::call::{Added, Answer, Call, Committed};
use sidenote_cluster::ids::{Partition, Resource};

use super::{
    HOSTS, Happening, LEASE, PARTITIONS, TIMEOUT, World, partitions, shard_of, shard_of_partition,
};

impl World {
    pub(super) fn asks(&mut self, host: usize, start: u64, call: Call) {
        let ends = self.now + TIMEOUT;
        let (calm, loss) = (self.is_calm(), self.loss);
        if self.chance.percent(loss) {
            self.at(ends, Happening::Answered { host, start, call, answer: None });
            return;
        }
        let slow = match calm {
            true => 1,
            false if self.chance.percent(4) => 1 + self.chance.below(LEASE * 3),
            false => 1 + self.chance.below(10),
        };
        if !calm && self.chance.percent(3) {
            // The client's own repeat.
            let later = self.now + slow + 1 + self.chance.below(LEASE);
            let copy = Happening::Arrives { host, start, call: call.clone(), ends: None };
            self.at(later, copy);
        }
        let arrives = self.now + slow;
        if arrives < ends {
            self.at(arrives, Happening::Arrives { host, start, call, ends: Some(ends) });
        } else {
            // Nobody waits for it any more, and it is done all the same.
            let late = Happening::Arrives { host, start, call: call.clone(), ends: None };
            self.at(arrives, late);
            self.at(ends, Happening::Answered { host, start, call, answer: None });
        }
    }

    pub(super) fn arrives(
        &mut self,
        host: usize,
        start: u64,
        call: Call,
        ends: Option<u64>,
    ) -> Result<(), String> {
        let shard = shard_of(&call);
        if self.shards[shard].is_away {
            if let Some(ends) = ends {
                let at = ends.max(self.now);
                self.at(at, Happening::Answered { host, start, call, answer: None });
            }
            return Ok(());
        }
        let answer = self.executes(shard, &call)?;
        let Some(ends) = ends else { return Ok(()) };
        let slow = 1 + if self.is_calm() { 0 } else { self.chance.below(10) };
        let loss = self.loss;
        let in_time = self.now + slow <= ends && !self.chance.percent(loss);
        let (at, answer) = if in_time { (self.now + slow, Some(answer)) } else { (ends, None) };
        self.at(at, Happening::Answered { host, start, call, answer });
        Ok(())
    }

    /// The server does it; whoever looks on judges.
    fn executes(&mut self, shard: usize, call: &Call) -> Result<Answer, String> {
        let now = self.now;
        let server = &mut self.shards[shard].server;
        let answer = server.call(now, call);
        let is_told = !matches!(call, Call::Beat(_) | Call::Read(_) | Call::Load(_));
        if self.traces && is_told {
            println!("{now:6} {call:?} -> {answer:?}");
        }
        let server = &mut self.shards[shard].server;
        match (call, &answer) {
            (Call::Commit(commit), Answer::Commit(Committed::Done)) => {
                self.judge.tally.commits += 1;
                let of = Resource::Partition(commit.partition);
                let (stored, _) = server.held(now, &of);
                self.judge.wrote(stored, commit)?;
                let all = (0..PARTITIONS).map(Partition::new);
                let shards = &self.shards;
                let rows = all.flat_map(|it| shards[shard_of_partition(it)].server.rows(it));
                self.judge.looks_at_links(partitions(), rows, false)?;
            }
            (Call::Commit(_), Answer::Commit(Committed::TakenOver(_) | Committed::Stale)) => {
                self.judge.tally.stale += 1;
            }
            (Call::Add(add), Answer::Add(Added::In(_))) => {
                self.judge.added(add);
                self.rings(Resource::Partition(add.partition));
            }
            (Call::Acquire(acquire), Answer::Acquire(answer)) => {
                self.judge.asked(acquire, answer)?;
            }
            (Call::Renew(renew), Answer::Renew(answer)) => self.judge.renewed(renew, answer)?,
            (Call::Release(release), Answer::Release(true)) => {
                self.judge.released(release);
                self.rings(release.of.clone());
            }
            _ => {}
        }
        Ok(answer)
    }

    /// Hosts hear that there is something new, most of the time.
    fn rings(&mut self, of: Resource) {
        for host in 0..HOSTS {
            if self.chance.percent(80) {
                let (start, of) = (self.hosts[host].start, of.clone());
                let at = self.now + 1 + self.chance.below(5);
                self.at(at, Happening::Rings { host, start, of });
            }
        }
    }
}
