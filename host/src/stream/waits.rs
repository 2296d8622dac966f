//! How long to wait before the next connection. Pure: chance is an input.

use std::time::Duration;

use crate::backoff::{Backoff, lengthened, share};

/// Doubling waits between a first and a longest one.
///
/// ```
/// use std::time::Duration;
/// use sidenote::stream::Waits;
///
/// let mut waits = Waits::new(Duration::from_secs(1), Duration::from_secs(30));
/// assert_eq!(waits.next(None, 0.0).base, Duration::from_secs(1));
/// assert_eq!(waits.next(None, 0.0).base, Duration::from_secs(2));
/// waits.reset();
/// assert_eq!(waits.next(None, 0.0).base, Duration::from_secs(1));
/// ```
#[derive(Debug, Clone)]
pub struct Waits {
    bounds: Backoff,
    /// Waits since the last start-over.
    spent: u32,
}

/// One wait: the base and what chance adds to it, so that clients cut off together don't return together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// The wait without chance.
    pub base: Duration,
    /// Most that chance may add: a tenth of the base.
    pub jitter_max: Duration,
    /// What chance added, between zero and `jitter_max`.
    pub jitter: Duration,
}

impl Wait {
    /// How long the wait takes in all.
    pub fn total(&self) -> Duration {
        self.base + self.jitter
    }
}

impl Waits {
    /// Shortest first wait that a connector can ask for, so that it can't make a client spin.
    pub const SHORTEST: Duration = Duration::from_millis(100);
    /// Longest wait that a connector can ask for.
    pub const LONGEST: Duration = Duration::from_secs(3600);

    /// Waits from `initial`, doubling up to `max`; a `max` below `initial` counts as `initial`.
    pub fn new(initial: Duration, max: Duration) -> Self {
        Self { bounds: Backoff { initial, max: max.max(initial) }, spent: 0 }
    }

    /// The next wait. `at_least` is what the connector asked for in this answer (`Retry-After`, cut at
    /// [`Self::LONGEST`]); `chance` is a number from 0 to 1 that places the jitter.
    pub fn next(&mut self, at_least: Option<Duration>, chance: f64) -> Wait {
        self.spent = self.spent.saturating_add(1);
        let base = lengthened(self.bounds.bound(self.spent), at_least, Self::LONGEST);
        let jitter_max = base / 10;
        Wait { base, jitter_max, jitter: share(jitter_max, chance) }
    }

    /// Starts over from the first wait. For a good event, not for an answer.
    pub fn reset(&mut self) {
        self.spent = 0;
    }

    /// Takes the first wait from the connector's `retry:` field, between [`Self::SHORTEST`] and
    /// [`Self::LONGEST`], and starts over from it. The same wait again changes nothing: many connectors
    /// begin every connection with it, also those that fail.
    pub fn set_initial(&mut self, initial: Duration) {
        let initial = initial.clamp(Self::SHORTEST, Self::LONGEST);
        if initial != self.bounds.initial {
            *self = Self::new(initial, self.bounds.max);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secs(secs: f64) -> Duration {
        Duration::from_secs_f64(secs)
    }

    fn bases(waits: &mut Waits, count: usize) -> Vec<f64> {
        (0..count).map(|_| waits.next(None, 0.5).base.as_secs_f64()).collect()
    }

    #[test]
    fn the_same_retry_field_on_every_connection_lets_the_waits_grow() {
        let mut waits = Waits::new(secs(1.0), secs(30.0));
        let mut waited = Vec::new();
        for _ in 0..4 {
            waits.set_initial(secs(2.0));
            waited.extend(bases(&mut waits, 1));
        }
        assert_eq!(waited, [2.0, 4.0, 8.0, 16.0]);
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        let mut waits = Waits::new(secs(1.0), secs(30.0));
        assert_eq!(bases(&mut waits, 7), [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]);
        let mut waits = Waits::new(secs(2.0), secs(2.0));
        assert_eq!(bases(&mut waits, 3), [2.0, 2.0, 2.0]);
    }

    #[test]
    fn a_longest_below_the_first_counts_as_the_first() {
        assert_eq!(bases(&mut Waits::new(secs(5.0), secs(1.0)), 3), [5.0, 5.0, 5.0]);
    }

    #[test]
    fn reset_starts_over() {
        let mut waits = Waits::new(secs(1.0), secs(30.0));
        assert_eq!(bases(&mut waits, 3), [1.0, 2.0, 4.0]);
        waits.reset();
        assert_eq!(bases(&mut waits, 2), [1.0, 2.0]);
    }

    #[test]
    fn retry_after_lengthens_one_wait_and_never_shortens() {
        let mut waits = Waits::new(secs(4.0), secs(30.0));
        assert_eq!(waits.next(Some(secs(60.0)), 0.0).base, secs(60.0));
        assert_eq!(waits.next(Some(secs(1.0)), 0.0).base, secs(8.0));
        assert_eq!(waits.next(Some(secs(1e9)), 0.0).base, Waits::LONGEST);
        assert_eq!(waits.next(None, 0.0).base, secs(30.0));
    }

    #[test]
    fn the_connector_sets_the_first_wait_within_limits() {
        let mut waits = Waits::new(secs(1.0), secs(30.0));
        waits.set_initial(secs(5.0));
        assert_eq!(bases(&mut waits, 4), [5.0, 10.0, 20.0, 30.0]);
        waits.set_initial(secs(45.0));
        assert_eq!(bases(&mut waits, 2), [45.0, 45.0]);
        waits.set_initial(Duration::ZERO);
        assert_eq!(bases(&mut waits, 1), [Waits::SHORTEST.as_secs_f64()]);
        waits.set_initial(Duration::MAX);
        assert_eq!(bases(&mut waits, 1), [Waits::LONGEST.as_secs_f64()]);
    }

    proptest! {
        #[test]
        fn jitter_stays_within_a_tenth_of_the_base(
            initial in 0u64..100_000, max in 0u64..100_000, chance in proptest::num::f64::ANY, steps in 1usize..80,
        ) {
            let mut waits = Waits::new(Duration::from_millis(initial), Duration::from_millis(max));
            for _ in 0..steps {
                let wait = waits.next(None, chance);
                prop_assert!(wait.base <= Duration::from_millis(initial.max(max)));
                prop_assert_eq!(wait.jitter_max, wait.base / 10);
                prop_assert!(wait.jitter <= wait.jitter_max);
                prop_assert_eq!(wait.total(), wait.base + wait.jitter);
            }
        }
    }
}
