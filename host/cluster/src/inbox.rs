//! The inbox of a partition, as its owner reads it: in order, without a gap, and never past what a server lost.

use std::collections::VecDeque;

use crate::call::{Entry, Read};
use crate::ids::{Offset, Partition};
use crate::rules::{Rule, Rules};
use crate::time::{Moment, Times};

/// How many entries are read at once.
const READ: u32 = 256;

/// No more is read while so many wait.
const WAITING: usize = 1024;

/// What is read of an inbox, and waits to be applied.
#[derive(Debug)]
pub struct Inbox {
    times: Times,
    rules: Rules,
    partition: Partition,
    waiting: VecDeque<Entry>,
    /// Up to where it was read.
    read: Offset,
    reading: bool,
    /// It rang while an answer was still to come.
    rung: bool,
    read_at: Moment,
}

impl Inbox {
    /// That of a partition which was read and applied up to here.
    #[must_use]
    pub const fn new(times: Times, rules: Rules, partition: Partition, applied: Offset) -> Self {
        Self {
            times,
            rules,
            partition,
            waiting: VecDeque::new(),
            read: applied,
            reading: false,
            rung: false,
            read_at: Moment::from_millis(0),
        }
    }

    /// Whether all that was read was taken out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether all up to this entry was read.
    #[must_use]
    pub const fn has_read(&self, end: Offset) -> bool {
        self.read.number() >= end.number()
    }

    /// It may have something new, also where an answer is still to come.
    pub fn rings(&mut self) {
        (self.read_at, self.rung) = (Moment::default(), self.reading);
    }

    /// It has entries up to here.
    pub fn rung(&mut self, end: Offset) {
        if end.number() > self.read.number() {
            self.read_at = Moment::default();
        }
    }

    /// What is to be read now.
    pub fn tick(&mut self, now: Moment) -> Option<Read> {
        if self.reading || now < self.read_at || self.waiting.len() >= WAITING {
            return None;
        }
        self.reading = true;
        Some(Read { partition: self.partition, after: self.read, limit: READ })
    }

    /// When something is to be read, where nobody rings before; `None` while an answer is still to come, or too much waits.
    #[must_use]
    pub fn due(&self) -> Option<Moment> {
        (!self.reading && self.waiting.len() < WAITING).then_some(self.read_at)
    }

    /// It was read, or wasn't. Whether it is still the one that was read before: else the server has lost some of it, and the
    /// partition must be loaded anew.
    #[must_use]
    pub fn answered(&mut self, now: Moment, read: &Read, answer: Option<Vec<Entry>>) -> bool {
        if !self.reading || read.after != self.read {
            return true;
        }
        self.reading = false;
        let Some(entries) = answer else {
            self.read_at = now + self.times.retry();
            return true;
        };
        let full = entries.len() == READ as usize;
        let again = std::mem::take(&mut self.rung) || full;
        self.read_at = if again { now } else { now + self.times.poll() };
        for entry in entries {
            let follows =
                entry.before == self.read.at() && entry.offset.number() == self.read.number() + 1;
            if !follows && self.rules.holds(Rule::OffsetChecked) {
                return false;
            }
            self.read = entry.offset;
            self.waiting.push_back(entry);
        }
        true
    }

    /// The next entry to be applied. It stays.
    #[must_use]
    pub fn first(&self) -> Option<&Entry> {
        self.waiting.front()
    }

    /// Takes that out.
    pub fn pop(&mut self) -> Option<Entry> {
        self.waiting.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Payload;

    fn at(ms: u64) -> Moment {
        Moment::from_millis(ms)
    }

    fn entry(number: u64, at: u64, before: u64) -> Entry {
        Entry { offset: Offset::new(number, at), before, payload: Payload::new(b"x") }
    }

    fn inbox() -> Inbox {
        Inbox::new(Times::default(), Rules::all(), Partition::new(1), Offset::new(4, 100))
    }

    #[test]
    fn entries_come_in_order_and_only_behind_those_that_were_read() {
        let mut inbox = inbox();
        let read = inbox.tick(at(0)).unwrap();
        assert_eq!((read.after, inbox.tick(at(0))), (Offset::new(4, 100), None));
        assert!(inbox.answered(at(1), &read, Some(vec![entry(5, 110, 100), entry(6, 120, 110)])));
        assert!(inbox.has_read(Offset::new(6, 0)) && !inbox.has_read(Offset::new(7, 0)));
        assert_eq!(inbox.first().map(|it| it.offset.number()), Some(5));
        assert_eq!(inbox.pop().map(|it| it.offset.number()), Some(5));
        assert_eq!(inbox.pop().map(|it| it.offset.number()), Some(6));
        assert!(inbox.is_empty());
    }

    #[test]
    fn an_entry_in_the_place_of_one_that_the_server_lost_is_no_next_one() {
        for wrong in [entry(5, 110, 99), entry(6, 110, 100)] {
            let mut inbox = inbox();
            let read = inbox.tick(at(0)).unwrap();
            assert!(!inbox.answered(at(1), &read, Some(vec![wrong])));
        }
    }

    #[test]
    fn it_is_read_again_when_it_rings_or_failed_or_has_more_and_else_by_and_by() {
        let mut inbox = inbox();
        let read = inbox.tick(at(0)).unwrap();
        assert_eq!(inbox.due(), None);
        assert!(inbox.answered(at(10), &read, None));
        assert!(inbox.due().unwrap() > at(10) && inbox.tick(at(10)).is_none());
        let due = inbox.due().unwrap();
        let read = inbox.tick(due).unwrap();
        assert!(inbox.answered(due, &read, Some(vec![])));
        assert!(inbox.due().unwrap() >= due + Times::default().poll());
        inbox.rings();
        let read = inbox.tick(due).unwrap();
        // It rings again before the answer, which may be older than that.
        inbox.rings();
        assert!(inbox.answered(due, &read, Some(vec![])));
        assert!(inbox.tick(due).is_some());
    }

    #[test]
    fn nothing_is_read_while_too_much_waits() {
        let mut inbox = inbox();
        let mut last = (4, 100);
        while let Some(read) = inbox.tick(at(0)) {
            let entries = (1..=u64::from(READ)).map(|n| {
                let before = if n == 1 { last.1 } else { 200 };
                entry(last.0 + n, 200, before)
            });
            let entries: Vec<_> = entries.collect();
            last = (last.0 + u64::from(READ), 200);
            assert!(inbox.answered(at(0), &read, Some(entries)));
        }
        assert_eq!(last.0 - 4, WAITING as u64);
        inbox.pop();
        assert!(inbox.tick(at(0)).is_some());
    }
}
