//! What a partition tells others: rows of the commit that caused it, sent after it, gone once they are in for long
//! enough.
//!
//! To each partition the messages of earlier epochs go first. A producer is a partition in an epoch, so what a server
//! lost and what is told in its place have different names.

use std::collections::BTreeMap;

use crate::call::{Add, Added};
use crate::ids::{Epoch, Number, Partition, Payload, Producer};
use crate::outgoing::{Outcome, Outgoing};
use crate::row::{RowKey, Tx};
use crate::rules::{Rule, Rules};
use crate::time::{Moment, Times};

/// Their table.
pub const TABLE: &str = "told";

/// The messages of a partition to others.
#[derive(Debug)]
pub struct Outbox {
    times: Times,
    rules: Rules,
    partition: Partition,
    epoch: Epoch,
    /// The next number to each partition.
    next: BTreeMap<Partition, Number>,
    queues: BTreeMap<(Partition, Epoch), Outgoing<RowKey>>,
    /// Rows that go with the next commit.
    settled: Vec<RowKey>,
}

/// A message that is numbered and not committed yet.
#[derive(Clone, Debug)]
pub struct Numbered(Partition, RowKey, Payload);

impl Outbox {
    /// That of a partition which is owned since `epoch`: nothing yet.
    #[must_use]
    pub const fn new(times: Times, rules: Rules, partition: Partition, epoch: Epoch) -> Self {
        Self {
            times,
            rules,
            partition,
            epoch,
            next: BTreeMap::new(),
            queues: BTreeMap::new(),
            settled: Vec::new(),
        }
    }

    /// What a row says. Rows of a group come in the order of their numbers.
    pub fn load(&mut self, key: &RowKey, value: &Payload) {
        let number = |text: &str, before| text.strip_prefix(before).and_then(|it| it.parse().ok());
        let partition = number(&key.group.0, "p").and_then(|it: u64| u16::try_from(it).ok());
        let epoch = match &*key.group.1 {
            "next" => Some(0),
            epoch => number(epoch, ""),
        };
        let (Some(to), Some(epoch)) = (partition.map(Partition::new), epoch) else { return };
        let (epoch, least) = (Epoch::new(epoch), self.epoch.get() << 8);
        if !self.rules.holds(Rule::EpochInName) && value.bytes().is_empty() {
            self.next.insert(to, Number::new(key.number));
            return;
        }
        let queue = self.queue(to, epoch);
        if queue.is_empty() {
            queue.begin_at(Number::new(key.number), least);
        }
        queue.put(value.clone(), key.clone());
    }

    fn queue(&mut self, to: Partition, epoch: Epoch) -> &mut Outgoing<RowKey> {
        let (times, rules, from) = (self.times, self.rules, self.partition);
        let new = || Outgoing::new(times, rules, to, Producer::Partition(from, epoch, 0), None);
        self.queues.entry((to, epoch)).or_insert_with(new)
    }

    /// Numbers what a transaction tells, and puts it into the transaction, together with the removal of what is settled.
    pub fn write(&mut self, tx: &mut Tx) -> Vec<Numbered> {
        for key in self.settled.drain(..) {
            tx.changes.push(crate::row::Change::Delete(key));
        }
        let mut numbered = Vec::new();
        for (to, payload) in std::mem::take(&mut tx.messages) {
            let epoch = self.epoch_of_names();
            let next = self.next.entry(to).or_insert(Number::new(1));
            let key = RowKey::new(TABLE, &to.to_string(), &epoch.to_string(), next.get());
            *next = next.next();
            if !self.rules.holds(Rule::EpochInName) {
                let (before, next) = (key.number, next.get());
                let place = |number| RowKey::new(TABLE, &to.to_string(), "0", number);
                tx.delete(RowKey {
                    group: (to.to_string().into(), "next".into()),
                    ..place(before)
                });
                tx.put(
                    RowKey { group: (to.to_string().into(), "next".into()), ..place(next) },
                    Payload::default(),
                );
            }
            if self.rules.holds(Rule::OutboxKept) {
                tx.put(key.clone(), payload.clone());
            }
            numbered.push(Numbered(to, key, payload));
        }
        if self.rules.holds(Rule::SendAfterCommit) {
            return numbered;
        }
        self.committed(numbered);
        Vec::new()
    }

    /// Without the rule there is one name for all epochs, and its numbers go on.
    fn epoch_of_names(&self) -> Epoch {
        if self.rules.holds(Rule::EpochInName) { self.epoch } else { Epoch::default() }
    }

    /// What was numbered is committed.
    pub fn committed(&mut self, numbered: Vec<Numbered>) {
        let epoch = self.epoch_of_names();
        for Numbered(to, key, payload) in numbered {
            let queue = self.queue(to, epoch);
            if queue.is_empty() {
                queue.begin_at(Number::new(key.number), 0);
            }
            queue.put(payload, key);
        }
    }

    /// Whether rows wait for a commit to be removed.
    #[must_use]
    pub fn has_settled(&self) -> bool {
        !self.settled.is_empty()
    }

    /// Whether nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.settled.is_empty() && self.queues.values().all(Outgoing::is_empty)
    }

    /// The adds that are due: to each partition, what is of an earlier epoch first.
    pub fn tick(&mut self, now: Moment) -> Vec<Add> {
        let (mut adds, mut waits) = (Vec::new(), None);
        self.queues.retain(|(_, epoch), queue| !queue.is_empty() || *epoch == self.epoch);
        for ((to, _), queue) in &mut self.queues {
            if waits == Some(*to) && !queue.is_in() {
                continue;
            }
            adds.extend(queue.tick(now));
            if !queue.is_in() {
                waits = Some(*to);
            }
        }
        adds
    }

    /// An add was answered, or wasn't.
    pub fn answered(&mut self, now: Moment, add: &Add, answer: Option<Added>) {
        let queues = self.queues.range_mut((add.partition, Epoch::default())..);
        for (_, queue) in queues.take_while(|((to, _), _)| *to == add.partition) {
            for outcome in queue.answered(now, add, answer) {
                if let Outcome::Settled(key) = outcome {
                    self.settled.push(key);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::row::Change;

    fn outbox(epoch: u64) -> Outbox {
        let times = Times::of_lease(Duration::from_secs(10));
        Outbox::new(times, Rules::all(), Partition::new(1), Epoch::new(epoch))
    }

    fn at(ms: u64) -> Moment {
        Moment::from_millis(ms)
    }

    fn to() -> Partition {
        Partition::new(2)
    }

    fn tell(outbox: &mut Outbox, text: &[u8]) -> (Vec<Numbered>, Vec<Change>) {
        let mut tx = Tx::default();
        tx.tell(to(), Payload::new(text));
        (outbox.write(&mut tx), tx.changes)
    }

    #[test]
    fn a_message_is_sent_after_its_commit_and_its_row_goes_when_it_is_settled() {
        let mut outbox = outbox(5);
        let (numbered, changes) = tell(&mut outbox, b"one");
        assert!(matches!(&changes[..], [Change::Put(..)]) && outbox.tick(at(0)).is_empty());
        outbox.committed(numbered);
        let add = outbox.tick(at(0)).remove(0);
        assert_eq!(add.first, Number::new(1));
        outbox.answered(at(0), &add, Some(Added::In(Number::new(1))));
        assert!(!outbox.has_settled(), "the server could lose it");
        let check = outbox.tick(at(10_000)).remove(0);
        outbox.answered(at(10_000), &check, Some(Added::In(Number::new(1))));
        assert!(outbox.has_settled());
        let mut tx = Tx::default();
        outbox.write(&mut tx);
        assert!(matches!(&tx.changes[..], [Change::Delete(_)]) && outbox.is_empty());
    }

    #[test]
    fn the_next_owner_sends_what_is_left_before_its_own() {
        let mut first = outbox(5);
        let mut next = outbox(6);
        for text in [b"one", b"two"] {
            for change in tell(&mut first, text).1 {
                let Change::Put(key, value) = change else { panic!() };
                next.load(&key, &value);
            }
        }
        let (numbered, _) = tell(&mut next, b"three");
        next.committed(numbered);
        let adds = next.tick(at(0));
        assert_eq!((adds.len(), adds[0].payloads.len()), (1, 2));
        assert_eq!(adds[0].producer, Producer::Partition(Partition::new(1), Epoch::new(5), 0));
        next.answered(at(0), &adds[0], Some(Added::In(Number::new(2))));
        let adds = next.tick(at(1));
        assert_eq!(adds[0].producer, Producer::Partition(Partition::new(1), Epoch::new(6), 0));
    }
}
