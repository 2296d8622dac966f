//! How long things took, counted into buckets. An observation is two additions: no lock, and no memory of its own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper bounds of the buckets, in microseconds, the same for all that is timed: from a commit to a note that
/// waited for hours. Behind the last one is a bucket without a bound.
pub const BOUNDS_MICROS: [u64; 18] = [
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    300_000_000,
    1_800_000_000,
    7_200_000_000,
];

const BUCKETS: usize = BOUNDS_MICROS.len() + 1;

/// Counts durations since the start of the process.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    micros: AtomicU64,
}

impl Histogram {
    /// Counts one that took so long.
    pub fn observe(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_MICROS.iter().position(|bound| micros <= *bound);
        self.buckets[bucket.unwrap_or(BUCKETS - 1)].fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// What was counted so far. One that is counted at this moment may be in its bucket and not yet in the sum.
    pub fn distribution(&self) -> Distribution {
        Distribution {
            buckets: self.buckets.each_ref().map(|bucket| bucket.load(Ordering::Relaxed)),
            micros: self.micros.load(Ordering::Relaxed),
        }
    }
}

/// What a histogram had counted at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    buckets: [u64; BUCKETS],
    micros: u64,
}

impl Distribution {
    /// How many there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// How long all of them took together, in seconds.
    pub fn seconds(&self) -> f64 {
        self.micros as f64 / 1e6
    }

    /// The upper bound of each bucket in seconds, the last one without an end, and how many are in it alone.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        let bounds = BOUNDS_MICROS.iter().map(|micros| *micros as f64 / 1e6);
        bounds.chain([f64::INFINITY]).zip(self.buckets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duration_is_in_the_first_bucket_that_holds_it() {
        assert!(BOUNDS_MICROS.is_sorted());
        let histogram = Histogram::default();
        let took = [Duration::ZERO, Duration::from_millis(1), Duration::from_micros(1_001)];
        took.into_iter().for_each(|took| histogram.observe(took));
        histogram.observe(Duration::from_secs(7_200));
        histogram.observe(Duration::from_secs(7_201));
        let counted = histogram.distribution();
        let filled: Vec<_> = counted.buckets().filter(|(_, count)| *count > 0).collect();
        assert_eq!(filled, [(0.001, 2), (0.0025, 1), (7_200.0, 1), (f64::INFINITY, 1)]);
        assert_eq!((counted.count(), counted.seconds()), (5, 14_401.002_001));
    }
}
