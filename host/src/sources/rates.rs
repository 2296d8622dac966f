//! How much one key may send: so many requests and bytes a second, and as many more at once. Pure: time is an input.

use std::collections::HashMap;
use std::time::Duration;

use crate::clock::Timestamp;

/// What a key may send in a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rate {
    pub requests: f64,
    pub bytes: f64,
}

/// What the keys of a source have left, by their names.
#[derive(Debug, Default)]
pub(super) struct Rates(HashMap<String, Left>);

#[derive(Debug, Clone, Copy)]
struct Left {
    requests: f64,
    bytes: f64,
    at: Timestamp,
}

impl Rates {
    /// Takes a request of so many bytes from what a key has left.
    ///
    /// # Errors
    /// There is nothing left; when there will be.
    pub(super) fn take(
        &mut self,
        key: &str,
        bytes: usize,
        rate: Rate,
        now: Timestamp,
    ) -> Result<(), Duration> {
        let full = Left { requests: rate.requests, bytes: rate.bytes, at: now };
        if !self.0.contains_key(key) {
            self.0.insert(key.to_owned(), full);
        }
        let left = self.0.entry(key.to_owned()).or_insert(full);
        let passed = now.since(left.at).as_secs_f64();
        left.requests = (left.requests + passed * rate.requests).min(rate.requests);
        left.bytes = (left.bytes + passed * rate.bytes).min(rate.bytes);
        left.at = now;
        // A body larger than all that is left at once is accepted in its turn: what is owed is waited for.
        let waits = [(1.0 - left.requests) / rate.requests, -left.bytes / rate.bytes];
        let wait = waits.into_iter().fold(0.0, f64::max);
        if wait > 0.0 {
            return Err(Duration::from_secs_f64(wait.min(3600.0)));
        }
        left.requests -= 1.0;
        left.bytes -= bytes as f64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { requests: 2.0, bytes: 100.0 };

    fn at(millis: i64) -> Timestamp {
        Timestamp(millis * 1000)
    }

    #[test]
    fn requests_are_let_in_at_their_rate_each_key_by_itself() {
        let mut rates = Rates::default();
        assert!(rates.take("a", 1, RATE, at(0)).is_ok());
        assert!(rates.take("a", 1, RATE, at(0)).is_ok());
        assert_eq!(rates.take("a", 1, RATE, at(0)), Err(Duration::from_millis(500)));
        assert!(rates.take("b", 1, RATE, at(0)).is_ok());
        assert!(rates.take("a", 1, RATE, at(500)).is_ok());
        assert!(rates.take("a", 1, RATE, at(900)).is_err());
        assert!(rates.take("a", 1, RATE, at(60_000)).is_ok());
        assert!(rates.take("a", 1, RATE, at(60_000)).is_ok());
        assert!(rates.take("a", 1, RATE, at(60_000)).is_err(), "no more is saved than a second's");
    }

    #[test]
    fn a_large_body_is_let_in_and_then_waited_for() {
        let mut rates = Rates::default();
        assert!(rates.take("a", 350, RATE, at(0)).is_ok());
        assert_eq!(rates.take("a", 1, RATE, at(0)), Err(Duration::from_millis(2500)));
        assert!(rates.take("a", 1, RATE, at(2500)).is_ok());
    }
}
