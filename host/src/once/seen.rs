//! A bounded memory of what was seen lately.

use std::time::Duration;

use lru::LruCache;

use crate::clock::Timestamp;

/// What a thing is known by: a SHA-256 over whatever tells it from others.
pub type Digest = [u8; 32];

/// How much is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// At most so many; 0 remembers none. Each takes about 120 bytes.
    pub entries: usize,
    /// At most for so long.
    pub age: Duration,
}

impl Limits {
    /// For senders that stop sending again within a day.
    pub const DAY: Self = Self { entries: 65_536, age: Duration::from_secs(24 * 3600) };
}

/// Remembers things by their digests, each with a value.
#[derive(Debug)]
pub struct Seen<V = ()> {
    limits: Limits,
    /// By when they were seen last.
    known: LruCache<Digest, (V, Timestamp)>,
}

impl<V> Seen<V> {
    /// Remembers nothing yet.
    pub fn new(limits: Limits) -> Self {
        Self { limits, known: LruCache::unbounded() }
    }

    /// What was remembered with a thing, where that is remembered.
    pub fn get(&mut self, digest: &Digest, now: Timestamp) -> Option<&V> {
        self.forget(now);
        self.known.peek(digest).map(|(value, _)| value)
    }

    /// Remembers a thing that is seen `now`, be it again.
    pub fn insert(&mut self, digest: Digest, value: V, now: Timestamp) {
        self.known.put(digest, (value, now));
        self.forget(now);
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    fn forget(&mut self, now: Timestamp) {
        while let Some((_, (_, at))) = self.known.peek_lru() {
            if now.since(*at) < self.limits.age && self.known.len() <= self.limits.entries {
                break;
            }
            self.known.pop_lru();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { entries: 3, age: Duration::from_secs(10) };

    fn at(secs: i64) -> Timestamp {
        Timestamp(secs * 1_000_000)
    }

    #[test]
    fn memory_is_bounded_by_count_and_age() {
        let mut seen = Seen::new(LIMITS);
        for n in 0..100 {
            seen.insert([n; 32], n, at(0));
            assert!(seen.len() <= LIMITS.entries);
        }
        assert_eq!(seen.get(&[96; 32], at(9)), None);
        assert_eq!(seen.get(&[97; 32], at(9)), Some(&97));
        assert_eq!(seen.get(&[97; 32], at(10)), None);
        assert!(seen.is_empty());
    }

    #[test]
    fn what_is_seen_again_is_remembered_from_then_on() {
        let mut seen = Seen::new(LIMITS);
        for (n, secs) in [(1, 0), (2, 1), (1, 8)] {
            seen.insert([n; 32], (), at(secs));
        }
        assert!(seen.get(&[2; 32], at(11)).is_none());
        assert!(seen.get(&[1; 32], at(17)).is_some());
        assert_eq!(seen.len(), 1);
        for n in 3..5 {
            seen.insert([n; 32], (), at(17));
        }
        seen.insert([1; 32], (), at(17));
        seen.insert([5; 32], (), at(17));
        assert!(seen.get(&[1; 32], at(17)).is_some(), "the one seen longest ago went");
        assert!(seen.get(&[3; 32], at(17)).is_none());
    }

    #[test]
    fn no_entries_remember_nothing() {
        let mut seen = Seen::new(Limits { entries: 0, ..LIMITS });
        seen.insert([1; 32], (), at(0));
        assert!(seen.get(&[1; 32], at(0)).is_none());
    }
}
