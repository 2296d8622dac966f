//! Durations counted in buckets, so that percentiles of millions of them cost a few kilobytes.

use std::time::Duration;

/// Buckets per power of two: a percentile is at most 1/32 too high.
const STEPS: u32 = 32;
/// Powers of two covered above the exact range, in microseconds: up to about 19 hours.
const POWERS: usize = 31;

/// Counts of durations by size. Microseconds, rounded up to the bucket's end when read.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; STEPS as usize * (POWERS + 1)], total: 0 }
    }
}

impl Histogram {
    /// Counts one duration; anything beyond the last bucket goes into it.
    pub fn record(&mut self, duration: Duration) {
        let bucket = bucket(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
            .min(self.counts.len() - 1);
        self.counts[bucket] += 1;
        self.total += 1;
    }

    /// Counts all that another one counted as well.
    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
    }

    /// How many durations were counted.
    pub fn len(&self) -> u64 {
        self.total
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// The duration that `percent` per cent of all don't exceed; zero when nothing was counted.
    pub fn percentile(&self, percent: f64) -> Duration {
        let rank =
            ((self.total as f64 * percent / 100.0).ceil() as u64).clamp(1, self.total.max(1));
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Duration::from_micros(upper_end(bucket));
            }
        }
        Duration::ZERO
    }
}

/// Values below [`STEPS`] have a bucket each; above, every power of two has [`STEPS`] of them.
fn bucket(micros: u64) -> usize {
    let steps = u64::from(STEPS);
    if micros < steps {
        return micros as usize;
    }
    let power = micros.ilog2() - STEPS.ilog2();
    (u64::from(power) * steps + (micros >> power)) as usize
}

fn upper_end(bucket: usize) -> u64 {
    let (steps, bucket) = (u64::from(STEPS), bucket as u64);
    if bucket < steps {
        return bucket;
    }
    let power = bucket / steps - 1;
    ((bucket - power * steps + 1) << power) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_within_a_thirty_second_of_the_truth() {
        let mut histogram = Histogram::default();
        for micros in 1..=100_000 {
            histogram.record(Duration::from_micros(micros));
        }
        for (percent, truth) in
            [(0.001, 1.0), (1.0, 1_000.0), (50.0, 50_000.0), (99.0, 99_000.0), (100.0, 100_000.0)]
        {
            let read = histogram.percentile(percent).as_micros() as f64;
            assert!(
                read >= truth && read <= truth * (1.0 + 1.0 / 32.0),
                "p{percent}: {read}, truth {truth}"
            );
        }
    }

    #[test]
    fn two_histograms_added_read_as_one() {
        let (mut one, mut other) = (Histogram::default(), Histogram::default());
        one.record(Duration::from_micros(10));
        other.record(Duration::from_micros(20));
        other.record(Duration::from_micros(30));
        one.add(&other);
        assert_eq!(one.len(), 3);
        let read = [33.0, 66.0, 100.0].map(|percent| one.percentile(percent).as_micros());
        assert_eq!(read, [10, 20, 30]);
    }

    #[test]
    fn every_value_lies_in_its_bucket() {
        let mut last = 0;
        for micros in (0..2_000).chain((11..40).map(|power| 1u64 << power)) {
            let bucket = bucket(micros);
            assert!(bucket >= last, "buckets never go down");
            last = bucket;
            assert!(upper_end(bucket) >= micros, "{micros} µs is beyond the end of its bucket");
            assert!(
                bucket == 0 || upper_end(bucket - 1) < micros,
                "{micros} µs fits the bucket before"
            );
        }
    }

    #[test]
    fn an_empty_histogram_reads_zero_and_a_huge_value_is_counted() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.percentile(99.0), Duration::ZERO);
        histogram.record(Duration::MAX);
        assert_eq!(histogram.len(), 1);
        assert!(histogram.percentile(50.0) > Duration::from_secs(3600));
    }
}
