//! Two hosts read each stream. One adds what it reads to the inboxes, the other keeps it in a ring; when the first one is
//! gone, the second plays its ring, and the partitions drop what they have seen.
//!
//! The connector repeats nothing, so what no living reader was sent is lost. How far the adding reader is, its *mark*, is
//! told with the stream's lease. A second reader that finds the mark among its own events has all that comes after it; only
//! then is the stream handed over to it while the first one lives. One that takes over without it, because the first one
//! is gone, makes its own first event the mark: what was before is lost, and must not come later from a reader that has it.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use crate::call::{Add, Added};
use crate::ids::{Epoch, Mark, Once, Partition, Payload, Producer, StreamId};
use crate::outgoing::{Outcome, Outgoing};
use crate::rules::{Rule, Rules};
use crate::time::{Moment, Times};

/// How many events a ring has at most.
const BOUND: usize = 65_536;

/// How many bytes of them.
const BOUND_BYTES: usize = 128 << 20;

/// A reader of a stream.
#[derive(Debug)]
pub struct Reader {
    times: Times,
    rules: Rules,
    stream: StreamId,
    ring: VecDeque<Event>,
    /// Of the ring.
    bytes: usize,
    /// The ids of events that left the ring, the latest ones: a mark among them is behind this reader, not ahead.
    dropped: VecDeque<Once>,
    /// The number of the ring's first event; they are counted as they are read.
    base: u64,
    mark: Option<Mark>,
    /// The event behind the mark. What is before it needn't be played.
    behind_mark: u64,
    /// Whether the mark was among the ring's events: nothing behind it is missing.
    ready: bool,
    /// The mark, where it is an event that the connector hasn't sent to this reader yet.
    ahead: Option<Mark>,
    adding: Option<Adding>,
    /// How many events left the ring though they may be needed.
    overrun: u64,
}

#[derive(Debug)]
struct Event {
    id: Once,
    at: Moment,
    partition: Partition,
    payload: Payload,
    is_in: bool,
}

#[derive(Debug)]
struct Adding {
    epoch: Epoch,
    producers: BTreeMap<Partition, Outgoing<u64>>,
    /// The next event to be added.
    next: u64,
    /// Until then a mark that is ahead is waited for.
    begin_at: Moment,
    hands_over: bool,
}

impl Reader {
    /// A reader that has read nothing yet.
    #[must_use]
    pub const fn new(times: Times, rules: Rules, stream: StreamId) -> Self {
        Self {
            times,
            rules,
            stream,
            ring: VecDeque::new(),
            bytes: 0,
            dropped: VecDeque::new(),
            base: 0,
            mark: None,
            behind_mark: 0,
            ready: false,
            ahead: None,
            adding: None,
            overrun: 0,
        }
    }

    /// Whether it has all that the adding reader hasn't added yet.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready || !self.rules.holds(Rule::NewReaderHeldBack)
    }

    /// Up to which event all are in.
    #[must_use]
    pub const fn mark(&self) -> Option<Mark> {
        self.mark
    }

    /// How many events it has read.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.base + self.ring.len() as u64
    }

    /// Up to which of them all are added, by whomever.
    #[must_use]
    pub const fn added(&self) -> u64 {
        self.behind_mark
    }

    /// How many events the ring has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ring.len()
    }

    /// Whether the ring has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    /// How many events left the ring though they may have been needed.
    #[must_use]
    pub const fn overrun(&self) -> u64 {
        self.overrun
    }

    /// An event was read. Whether there is capacity for another one: else reading must wait.
    pub fn received(
        &mut self,
        now: Moment,
        id: Once,
        partition: Partition,
        payload: Payload,
    ) -> bool {
        while self.ring.len() >= BOUND || self.bytes > BOUND_BYTES {
            // While it adds, reading waits before it comes to this.
            self.drop_first();
            self.overrun += 1;
            self.ready = false;
        }
        self.bytes += payload.bytes().len();
        self.ring.push_back(Event { id, at: now, partition, payload, is_in: false });
        if let Some(mark) = self.ahead.take_if(|mark| mark.event() == id) {
            self.found(mark, self.ring.len() - 1);
        }
        self.adding.is_none() || self.ring.len() < BOUND / 8 * 7 && self.bytes < BOUND_BYTES / 8 * 7
    }

    fn drop_first(&mut self) {
        if let Some(event) = self.ring.pop_front() {
            self.bytes -= event.payload.bytes().len();
            self.base += 1;
            if self.dropped.len() >= BOUND {
                self.dropped.pop_front();
            }
            self.dropped.push_back(event.id);
        }
    }

    /// The first event that it has, where it isn't ready and has one: what it would begin with.
    #[must_use]
    pub fn from(&self) -> Option<Once> {
        self.ring.front().map(|event| event.id)
    }

    /// How far the adding reader is, from its lease.
    pub fn told(&mut self, mark: Option<Mark>) {
        let Some(new) = mark else { return };
        if self.adding.is_some() || self.mark == mark && self.ahead.is_none() {
            return;
        }
        let place = self.ring.iter().rposition(|event| event.id == new.event());
        // This reader knows more than was told of it.
        if place.is_none() && self.dropped.contains(&new.event()) {
            return;
        }
        (self.mark, self.ahead) = (mark, None);
        match place {
            Some(place) => self.found(new, place),
            // All behind the mark before was read, so this one is still to come.
            None if self.ready => self.ahead = Some(new),
            None => {}
        }
    }

    fn found(&mut self, mark: Mark, place: usize) {
        let number = self.base + place as u64;
        self.behind_mark = match mark {
            Mark::Behind(_) => number + 1,
            Mark::Before(_) => number,
        };
        self.ready = true;
    }

    /// The stream is this reader's: it plays what is behind the mark.
    pub fn acquired(&mut self, now: Moment, epoch: Epoch, mark: Option<Mark>) {
        self.told(mark);
        for event in &mut self.ring {
            event.is_in = false;
        }
        let (producers, next) = (BTreeMap::new(), self.base.max(self.behind_mark));
        let begin_at = if self.ahead.is_some() { now + self.times.ahead() } else { now };
        self.adding = Some(Adding { epoch, producers, next, begin_at, hands_over: false });
    }

    /// The stream isn't this reader's any more; it goes on as the second one.
    pub fn lost(&mut self) {
        self.adding = None;
    }

    /// Whether what is read from now on stays in the ring, for another one to add.
    pub fn hand_over(&mut self, hands_over: bool) {
        if let Some(adding) = &mut self.adding {
            adding.hands_over = hands_over;
        }
    }

    /// Whether it hands over, and all that it began to add is in.
    #[must_use]
    pub fn is_handed_over(&self) -> bool {
        let is_in =
            |adding: &Adding| adding.hands_over && adding.producers.values().all(Outgoing::is_in);
        // Without the rule nothing is waited for.
        let waits = self.rules.holds(Rule::NewReaderHeldBack);
        self.adding.as_ref().is_some_and(|adding| is_in(adding) || adding.hands_over && !waits)
    }

    /// Whether all is in and nothing was read for longer than a ring keeps it: whoever connected meanwhile misses nothing.
    #[must_use]
    pub fn is_quiet(&self, now: Moment) -> bool {
        let ring = self.times.ring();
        self.is_in() && self.ring.back().is_none_or(|event| event.at + ring <= now)
    }

    /// Whether all that was read is in.
    #[must_use]
    pub fn is_in(&self) -> bool {
        self.adding.as_ref().is_none_or(|adding| {
            adding.next == self.base + self.ring.len() as u64
                && adding.producers.values().all(Outgoing::is_in)
        })
    }

    /// Whether all that it added is in for long enough: the server doesn't lose it any more.
    #[must_use]
    pub fn has_settled(&self) -> bool {
        let adding = self.adding.as_ref();
        adding.is_none_or(|adding| adding.producers.values().all(Outgoing::is_empty))
    }

    /// The adds that are due.
    pub fn tick(&mut self, now: Moment) -> Vec<Add> {
        let ring = self.times.ring();
        while let Some(event) = self.ring.front()
            && self.base < self.behind_mark
            && event.at + ring <= now
        {
            self.drop_first();
        }
        let Some(adding) = &mut self.adding else { return Vec::new() };
        if now >= adding.begin_at {
            self.ahead = None;
        } else if self.ahead.is_some() {
            return Vec::new();
        }
        adding.next = adding.next.max(self.base).max(self.behind_mark);
        while !adding.hands_over {
            let place = usize::try_from(adding.next - self.base).unwrap_or(usize::MAX);
            let Some(event) = self.ring.get(place) else { break };
            let (times, rules, to) = (self.times, self.rules, event.partition);
            let reader = (self.stream.clone(), adding.epoch);
            let producer = adding.producers.entry(to).or_insert_with(|| {
                let name = Producer::Reader(reader.0.clone(), reader.1, 0);
                Outgoing::new(times, rules, to, name, Some(reader))
            });
            if producer.push(event.payload.clone(), adding.next).is_err() {
                break;
            }
            adding.next += 1;
        }
        adding.producers.values_mut().filter_map(|producer| producer.tick(now)).collect()
    }

    /// An add was answered, or wasn't. The epoch of a later reader, where there is one.
    pub fn answered(&mut self, now: Moment, add: &Add, answer: Option<Added>) -> Option<Epoch> {
        let outcomes =
            self.adding.as_mut()?.producers.get_mut(&add.partition)?.answered(now, add, answer);
        for outcome in outcomes {
            match outcome {
                Outcome::In(number) => self.is_in_now(number),
                Outcome::Settled(_) => {}
                Outcome::Fenced(epoch) => return Some(epoch),
            }
        }
        let is_in = |number: u64| {
            let place = number.checked_sub(self.base).and_then(|it| usize::try_from(it).ok());
            place.and_then(|place| self.ring.get(place)).filter(|event| event.is_in).map(|it| it.id)
        };
        let from = self.behind_mark.max(self.base);
        let (mut behind, mut mark) = (from, self.mark);
        while let Some(id) = is_in(behind) {
            (behind, mark) = (behind + 1, Some(Mark::Behind(id)));
        }
        if behind > from {
            (self.behind_mark, self.mark, self.ready) = (behind, mark, true);
        }
        None
    }

    fn is_in_now(&mut self, number: u64) {
        let place = number.checked_sub(self.base).and_then(|it| usize::try_from(it).ok());
        if let Some(event) = place.and_then(|place| self.ring.get_mut(place)) {
            event.is_in = true;
        }
    }
}
