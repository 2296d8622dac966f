//! When a failed attempt is followed by another.

use std::time::Duration;

/// Pauses between attempts: full jitter under a doubling bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Bound of the first pause.
    pub initial: Duration,
    /// Bound of every pause.
    pub max: Duration,
}

impl Backoff {
    /// The pause after the `attempt`-th failed attempt (from 1). `random` is in `0.0..=1.0`; 1.0 gives
    /// the bound itself. A `floor`, such as a platform's `Retry-After`, is never undercut: the jitter
    /// is added on top of it.
    ///
    /// ```
    /// use std::time::Duration;
    /// use sidenote::outbox::retry::Backoff;
    ///
    /// let backoff = Backoff { initial: Duration::from_secs(1), max: Duration::from_secs(600) };
    /// assert_eq!(backoff.pause(3, None, 1.0), Duration::from_secs(4));
    /// assert!(backoff.pause(3, Some(Duration::from_secs(30)), 0.0) >= Duration::from_secs(30));
    /// ```
    pub fn pause(self, attempt: u32, floor: Option<Duration>, random: f64) -> Duration {
        let doubled = self
            .initial
            .saturating_mul(1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX));
        let bound = doubled.min(self.max);
        let random = random.clamp(0.0, 1.0);
        match floor {
            // A tenth on top spreads the callers that were told the same moment.
            Some(floor) => floor + floor.min(bound).mul_f64(random / 10.0),
            None => bound.mul_f64(random),
        }
    }
}
