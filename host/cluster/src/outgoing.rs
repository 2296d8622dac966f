//! What one producer adds to one inbox: numbered, one add in flight, kept for a while after it was answered.

use std::collections::VecDeque;

use thiserror::Error;

use crate::call::{Add, Added};
use crate::ids::{Epoch, Number, Partition, Payload, Producer, StreamId};
use crate::rules::{Rule, Rules};
use crate::time::{Moment, Times};

/// How many one add has at most.
const BATCH: usize = 64;

/// How many bytes one add has at most, if it isn't a single one.
const BATCH_BYTES: usize = 1 << 20;

/// How many wait and are kept at most.
const BOUND: usize = 65_536;

/// How many bytes of them.
const BOUND_BYTES: usize = 64 << 20;

/// Nothing more is accepted until some of what waits is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "{BOUND} inputs for one partition wait or are kept; nothing more is accepted before some are in"
)]
pub struct Full;

/// The numbered queue of a producer for a partition. `T` is what its owner knows each by.
#[derive(Debug)]
pub struct Outgoing<T> {
    times: Times,
    rules: Rules,
    partition: Partition,
    producer: Producer,
    reader: Option<(StreamId, Epoch)>,
    /// The number of the first that is kept.
    first: Number,
    kept: VecDeque<Kept<T>>,
    /// Of what is kept.
    bytes: usize,
    /// How many at the beginning are in.
    leading: usize,
    in_flight: Vec<InFlight>,
    send_at: Moment,
    /// No name of the producer had such a number before it was in these hands.
    least: u64,
    /// How many can't be sent again though the inbox lost them.
    lost: u64,
}

#[derive(Debug)]
struct Kept<T> {
    payload: Payload,
    tag: T,
    answered: Option<Moment>,
    told: bool,
}

#[derive(Debug)]
struct InFlight {
    first: Number,
    count: usize,
    sent: Moment,
}

/// What an answer means.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    /// It is in the inbox. Told once.
    In(T),
    /// It is there for long enough: nobody needs it here any more.
    Settled(T),
    /// The stream has a later reader; nothing of this producer gets in any more.
    Fenced(Epoch),
}

impl<T: Clone> Outgoing<T> {
    /// Nothing yet. `reader`: which reader of a stream it is for.
    #[must_use]
    pub fn new(
        times: Times,
        rules: Rules,
        partition: Partition,
        producer: Producer,
        reader: Option<(StreamId, Epoch)>,
    ) -> Self {
        Self {
            times,
            rules,
            partition,
            producer,
            reader,
            first: Number::new(1),
            kept: VecDeque::new(),
            bytes: 0,
            leading: 0,
            in_flight: Vec::new(),
            send_at: Moment::default(),
            least: 0,
            lost: 0,
        }
    }

    /// Where to.
    #[must_use]
    pub const fn partition(&self) -> Partition {
        self.partition
    }

    /// Whose.
    #[must_use]
    pub const fn producer(&self) -> &Producer {
        &self.producer
    }

    /// One more, behind the others.
    ///
    /// # Errors
    /// Where too many wait.
    pub fn push(&mut self, payload: Payload, tag: T) -> Result<(), Full> {
        if self.kept.len() >= BOUND || self.bytes + payload.bytes().len() > BOUND_BYTES {
            return Err(Full);
        }
        self.put(payload, tag);
        Ok(())
    }

    /// One more that is a row already: its bound is that of the rows.
    pub(crate) fn put(&mut self, payload: Payload, tag: T) {
        self.bytes += payload.bytes().len();
        self.kept.push_back(Kept { payload, tag, answered: None, told: false });
    }

    /// Those that are rows, with the first one's number: before anything is sent. `least`: see [`Producer::renamed`].
    pub(crate) fn begin_at(&mut self, first: Number, least: u64) {
        (self.first, self.least) = (first, least);
    }

    /// Whether all are in.
    #[must_use]
    pub fn is_in(&self) -> bool {
        self.leading == self.kept.len()
    }

    /// Whether all are in and nothing is in flight: what is pushed now is sent at once.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.in_flight.is_empty() && self.is_in()
    }

    /// When [`tick`](Self::tick) has something, where nothing happens before; `None` while an add is in flight, or nothing
    /// is kept.
    #[must_use]
    pub fn due(&self) -> Option<Moment> {
        if !self.in_flight.is_empty() {
            return None;
        }
        if !self.is_in() {
            return Some(self.send_at);
        }
        let first = self.kept.front()?.answered?;
        Some(self.send_at.max(first + self.times.window()))
    }

    /// Whether nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// How many can't be sent again though the inbox lost them.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    fn number(&self, place: usize) -> Number {
        Number::new(self.first.get() + place as u64)
    }

    /// The add that is due.
    pub fn tick(&mut self, now: Moment) -> Option<Add> {
        // Without the rule, the faults of several in flight can be seen.
        let (flights, batch) = if self.rules.holds(Rule::GapRefused) { (1, BATCH) } else { (3, 1) };
        if self.in_flight.len() >= flights || now < self.send_at {
            return None;
        }
        let flying = |number: Number| {
            self.in_flight
                .iter()
                .any(|it| it.first <= number && number.get() < it.first.get() + it.count as u64)
        };
        let waits =
            |place: &usize| self.kept[*place].answered.is_none() && !flying(self.number(*place));
        let from = (self.leading..self.kept.len()).find(waits);
        let (from, to) = match from {
            Some(from) => {
                let (mut to, mut bytes) = (from, 0);
                while to < self.kept.len() && to - from < batch && waits(&to) {
                    bytes += self.kept[to].payload.bytes().len();
                    if to > from && bytes > BATCH_BYTES {
                        break;
                    }
                    to += 1;
                }
                (from, to)
            }
            // All are in: are they still?
            None if self.asks_again(now) => (self.kept.len(), self.kept.len()),
            None => return None,
        };
        let first = self.number(from);
        self.in_flight.push(InFlight { first, count: to - from, sent: now });
        Some(Add {
            partition: self.partition,
            producer: self.producer.clone(),
            first,
            payloads: self.kept.range(from..to).map(|kept| kept.payload.clone()).collect(),
            reader: self.reader.clone(),
        })
    }

    fn asks_again(&self, now: Moment) -> bool {
        let old = |kept: &Kept<T>| kept.answered.is_some_and(|at| at + self.times.window() <= now);
        self.in_flight.is_empty() && self.kept.front().is_some_and(old)
    }

    /// An add was answered, or wasn't: then it is sent again.
    pub fn answered(&mut self, now: Moment, add: &Add, answer: Option<Added>) -> Vec<Outcome<T>> {
        if add.producer != self.producer {
            return Vec::new();
        }
        let is_this = |it: &InFlight| it.first == add.first && it.count == add.payloads.len();
        let Some(place) = self.in_flight.iter().position(is_this) else { return Vec::new() };
        let flight = self.in_flight.remove(place);
        match answer {
            None => {
                self.send_at = now + self.times.retry();
                Vec::new()
            }
            Some(Added::In(last)) => self.are_in(now, flight.sent, last),
            Some(Added::Gap(last)) => {
                self.gap(last);
                Vec::new()
            }
            Some(Added::Fenced(epoch)) => vec![Outcome::Fenced(epoch)],
        }
    }

    /// All up to `last` are in.
    fn are_in(&mut self, now: Moment, sent: Moment, last: Number) -> Vec<Outcome<T>> {
        let mut outcomes = Vec::new();
        let count = (last.get() + 1).saturating_sub(self.first.get());
        for kept in self.kept.iter_mut().take(usize::try_from(count).unwrap_or(usize::MAX)) {
            kept.answered.get_or_insert(now);
            if !kept.told {
                kept.told = true;
                outcomes.push(Outcome::In(kept.tag.clone()));
            }
        }
        let is_in = |kept: &Kept<T>| kept.answered.is_some();
        while self.kept.get(self.leading).is_some_and(is_in) {
            self.leading += 1;
        }
        let window = match self.rules.holds(Rule::ResendWindow) {
            true => self.times.window(),
            false => std::time::Duration::ZERO,
        };
        let settled = |kept: &Kept<T>| match kept.answered {
            Some(at) if window.is_zero() => at <= now,
            Some(at) => at + window <= sent,
            None => false,
        };
        while self.kept.front().is_some_and(settled) {
            if let Some(kept) = self.kept.pop_front() {
                self.bytes -= kept.payload.bytes().len();
                self.leading = self.leading.saturating_sub(1);
                outcomes.push(Outcome::Settled(kept.tag));
                self.first = self.first.next();
            }
        }
        outcomes
    }

    /// The inbox has less than was believed: what is behind `last` is sent again.
    fn gap(&mut self, last: Number) {
        if last.next() < self.first {
            // Some of it isn't here any more. Under this name nothing would get in again.
            self.lost += self.first.get() - last.next().get();
            self.producer = self.producer.renamed(self.least);
            self.first = Number::new(1);
            self.kept.iter_mut().for_each(|kept| kept.answered = None);
            self.in_flight.clear();
            self.leading = 0;
            return;
        }
        let place = usize::try_from(last.next().get() - self.first.get()).unwrap_or(usize::MAX);
        self.leading = self.leading.min(place);
        self.kept.iter_mut().skip(place).for_each(|kept| kept.answered = None);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ids::{HostId, Incarnation, Member};

    fn at(ms: u64) -> Moment {
        Moment::from_millis(ms)
    }

    fn outgoing() -> Outgoing<u32> {
        let member = Member::new(HostId::new("a").unwrap(), Incarnation::new(1));
        let times = Times::of_lease(Duration::from_secs(10));
        let producer = Producer::Host(member, 0);
        let mut outgoing = Outgoing::new(times, Rules::all(), Partition::new(0), producer, None);
        for n in 1..=3 {
            outgoing.push(Payload::new(&[n]), u32::from(n)).unwrap();
        }
        outgoing
    }

    fn number(n: u64) -> Number {
        Number::new(n)
    }

    #[test]
    fn one_add_is_in_flight_and_has_all_that_waits() {
        let mut outgoing = outgoing();
        let add = outgoing.tick(at(0)).unwrap();
        assert_eq!((add.first, add.payloads.len()), (number(1), 3));
        outgoing.push(Payload::new(b"4"), 4).unwrap();
        assert_eq!(outgoing.tick(at(1)), None);
        let outcomes = outgoing.answered(at(2), &add, Some(Added::In(number(3))));
        assert_eq!(outcomes, [1, 2, 3].map(Outcome::In));
        assert_eq!(outgoing.tick(at(3)).unwrap().first, number(4));
    }

    #[test]
    fn what_isn_t_answered_is_sent_again_under_the_same_numbers() {
        let mut outgoing = outgoing();
        let add = outgoing.tick(at(0)).unwrap();
        assert!(outgoing.answered(at(10), &add, None).is_empty());
        assert_eq!(outgoing.tick(at(10)), None, "after a pause");
        assert_eq!(outgoing.tick(at(260)), Some(add));
    }

    #[test]
    fn what_the_server_lost_is_sent_again_and_told_once() {
        let mut outgoing = outgoing();
        let add = outgoing.tick(at(0)).unwrap();
        outgoing.answered(at(0), &add, Some(Added::In(number(3))));
        let check = outgoing.tick(at(10_000)).unwrap();
        assert_eq!((check.first, check.payloads.len()), (number(4), 0));
        outgoing.answered(at(10_001), &check, Some(Added::Gap(number(1))));
        let again = outgoing.tick(at(10_001)).unwrap();
        assert_eq!((again.first, again.payloads.len()), (number(2), 2));
        let outcomes = outgoing.answered(at(10_002), &again, Some(Added::In(number(3))));
        assert_eq!(outcomes, [Outcome::Settled(1)]);
        assert!(!outgoing.is_empty());
    }

    #[test]
    fn what_is_in_for_a_window_is_settled() {
        let mut outgoing = outgoing();
        let add = outgoing.tick(at(0)).unwrap();
        outgoing.answered(at(0), &add, Some(Added::In(number(3))));
        assert_eq!(outgoing.tick(at(9_999)), None);
        let check = outgoing.tick(at(10_000)).unwrap();
        let outcomes = outgoing.answered(at(10_001), &check, Some(Added::In(number(3))));
        assert_eq!(outcomes, [1, 2, 3].map(Outcome::Settled));
        assert!(outgoing.is_empty() && outgoing.tick(at(90_000)).is_none());
    }

    #[test]
    fn it_says_when_something_is_due() {
        let mut outgoing = outgoing();
        assert_eq!((outgoing.due(), outgoing.is_idle()), (Some(at(0)), false));
        let add = outgoing.tick(at(0)).unwrap();
        assert_eq!((outgoing.due(), outgoing.is_idle()), (None, false), "it is in flight");
        outgoing.answered(at(10), &add, None);
        let again = outgoing.due().unwrap();
        assert!(again > at(10));
        let add = outgoing.tick(again).unwrap();
        outgoing.answered(again, &add, Some(Added::In(number(3))));
        let check = outgoing.due().unwrap();
        assert!(outgoing.is_idle() && check == again + Times::default().window());
        let add = outgoing.tick(check).unwrap();
        outgoing.answered(check, &add, Some(Added::In(number(3))));
        assert_eq!(outgoing.due(), None, "nothing is kept");
    }

    #[test]
    fn who_was_forgotten_goes_on_under_another_name() {
        let mut outgoing = outgoing();
        outgoing.begin_at(number(8), 0);
        let add = outgoing.tick(at(0)).unwrap();
        outgoing.answered(at(0), &add, Some(Added::Gap(number(0))));
        let anew = outgoing.tick(at(0)).unwrap();
        assert_eq!((anew.first, anew.payloads.len(), outgoing.lost()), (number(1), 3, 7));
        assert_ne!(anew.producer, add.producer);
        let late = outgoing.answered(at(1), &add, Some(Added::In(number(10))));
        assert!(late.is_empty(), "an answer to the old name");
    }

    #[test]
    fn it_is_bounded() {
        let mut outgoing = outgoing();
        while outgoing.push(Payload::default(), 0).is_ok() {}
        assert_eq!(outgoing.kept.len(), BOUND);
        assert!(outgoing.tick(at(0)).unwrap().payloads.len() <= BATCH);
        let mut large = super::tests::outgoing();
        while large.push(Payload::new(&[0; 1 << 20]), 0).is_ok() {}
        assert_eq!(large.kept.len(), 3 + 63);
        assert_eq!(large.tick(at(0)).unwrap().payloads.len(), 3, "a large one goes alone");
    }
}
