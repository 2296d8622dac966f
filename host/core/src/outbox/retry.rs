//! When a failed attempt is followed by another: the host's own pauses, and what the other side asks for.

use std::time::Duration;

/// Longest wait that the other side is believed to ask for.
pub const LONGEST_ASKED: Duration = Duration::from_secs(24 * 3600);

/// Pauses between attempts: jitter over the upper half of a doubling bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Bound of the first pause.
    pub initial: Duration,
    /// Bound of every pause.
    pub max: Duration,
}

impl Backoff {
    /// The pause after the `attempt`-th failed attempt (from 1). `random` is in `0.0..=1.0`; 1.0 gives
    /// the bound itself, 0.0 half of it. What the other side `asked` for, such as its `Retry-After`, makes
    /// the pause longer and never shorter: it may be zero, past, or all that a platform ever says.
    ///
    /// ```
    /// use std::time::Duration;
    /// use sidenote_core::outbox::retry::Backoff;
    ///
    /// let backoff = Backoff { initial: Duration::from_secs(1), max: Duration::from_secs(600) };
    /// assert_eq!(backoff.pause(3, None, 1.0), Duration::from_secs(4));
    /// assert_eq!(backoff.pause(3, Some(Duration::ZERO), 1.0), Duration::from_secs(4));
    /// assert!(backoff.pause(3, Some(Duration::from_secs(30)), 0.0) >= Duration::from_secs(30));
    /// ```
    pub fn pause(self, attempt: u32, asked: Option<Duration>, random: f64) -> Duration {
        let doubled = self
            .initial
            .saturating_mul(1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX));
        let bound = doubled.min(self.max);
        let random = if random.is_finite() { random.clamp(0.0, 1.0) } else { 0.0 };
        // Half of it stands: an attempt never comes right behind the last one.
        let own = bound / 2 + (bound / 2).mul_f64(random);
        // A tenth on top spreads the callers that were told the same moment.
        let spread = |asked: Duration| asked + asked.min(bound).mul_f64(random / 10.0);
        lengthened(own, asked.map(|asked| spread(asked.min(LONGEST_ASKED))), Duration::MAX)
    }
}

/// A wait of our own that the other side may lengthen, up to `longest`, and not shorten. The one place where
/// what others ask for becomes a wait.
pub fn lengthened(own: Duration, asked: Option<Duration>, longest: Duration) -> Duration {
    own.max(asked.unwrap_or_default().min(longest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_the_other_side_asks_for_lengthens_a_pause_and_never_shortens_it() {
        let backoff = Backoff { initial: SECOND, max: SECOND * 600 };
        let huge = [Duration::MAX, SECOND * u32::MAX, LONGEST_ASKED * 2];
        for random in [0.0, 0.5, 1.0, f64::NAN, f64::INFINITY, -1.0] {
            for attempt in [0, 1, 2, 5, 32, 33, 200, u32::MAX] {
                let own = backoff.pause(attempt, None, random);
                assert!(own >= SECOND / 2 && own <= backoff.max, "{attempt} {random}: {own:?}");
                let asked = [Duration::ZERO, Duration::from_nanos(1), SECOND, SECOND * 3600];
                for asked in asked.into_iter().chain(huge) {
                    let pause = backoff.pause(attempt, Some(asked), random);
                    assert!(pause >= own, "{asked:?} shortened {own:?} to {pause:?}");
                    assert!(pause >= asked.min(LONGEST_ASKED), "{asked:?}: {pause:?}");
                    assert!(pause <= LONGEST_ASKED + backoff.max / 10, "{asked:?}: {pause:?}");
                }
            }
        }
    }

    #[test]
    fn pauses_double_whatever_the_other_side_says() {
        let backoff = Backoff { initial: SECOND, max: SECOND * 60 };
        for asked in [None, Some(Duration::ZERO), Some(Duration::from_millis(1))] {
            let pauses: Vec<_> = (1..=8).map(|n| backoff.pause(n, asked, 1.0).as_secs()).collect();
            assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60], "{asked:?}");
        }
    }
}
