//! Pauses between attempts, for whoever asks again: platforms, streams, language models. Pure: chance is an input.

use std::time::Duration;

/// Longest wait that the other side is believed to ask for.
pub const LONGEST_ASKED: Duration = Duration::from_secs(24 * 3600);

/// Pauses whose bound doubles with every attempt, up to a longest one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Bound of the first pause.
    pub initial: Duration,
    /// Bound of every pause.
    pub max: Duration,
}

impl Backoff {
    /// The bound of the pause after the `attempt`-th failed attempt (from 1), without chance.
    ///
    /// ```
    /// use std::time::Duration;
    /// use sidenote_core::backoff::Backoff;
    ///
    /// let backoff = Backoff { initial: Duration::from_secs(1), max: Duration::from_secs(5) };
    /// assert_eq!([1, 2, 3, 4].map(|n| backoff.bound(n).as_secs()), [1, 2, 4, 5]);
    /// ```
    pub fn bound(self, attempt: u32) -> Duration {
        let times = 1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
        self.initial.saturating_mul(times).min(self.max)
    }

    /// The pause after the `attempt`-th failed attempt (from 1): chance places it in the upper half of the bound.
    /// `chance` is in `0.0..=1.0`; 1.0 gives the bound itself, 0.0 half of it. What the other side `asked` for,
    /// such as its `Retry-After`, makes the pause longer and never shorter: it may be zero, past, or all that a
    /// platform ever says.
    ///
    /// ```
    /// use std::time::Duration;
    /// use sidenote_core::backoff::Backoff;
    ///
    /// let backoff = Backoff { initial: Duration::from_secs(1), max: Duration::from_secs(600) };
    /// assert_eq!(backoff.pause(3, None, 1.0), Duration::from_secs(4));
    /// assert_eq!(backoff.pause(3, Some(Duration::ZERO), 1.0), Duration::from_secs(4));
    /// assert!(backoff.pause(3, Some(Duration::from_secs(30)), 0.0) >= Duration::from_secs(30));
    /// ```
    pub fn pause(self, attempt: u32, asked: Option<Duration>, chance: f64) -> Duration {
        let bound = self.bound(attempt);
        // Half of it stands: an attempt never comes right behind the last one.
        let own = bound / 2 + share(bound / 2, chance);
        // A tenth on top spreads the callers that were told the same moment.
        let spread = |asked: Duration| asked + share(asked.min(bound) / 10, chance);
        lengthened(own, asked.map(|asked| spread(asked.min(LONGEST_ASKED))), Duration::MAX)
    }
}

/// A wait of our own that the other side may lengthen, up to `longest`, and not shorten. The one place where
/// what others ask for becomes a wait.
pub fn lengthened(own: Duration, asked: Option<Duration>, longest: Duration) -> Duration {
    own.max(asked.unwrap_or_default().min(longest))
}

/// The part of a duration at which `chance` places something. What is no number from 0 to 1 counts as the nearest
/// one, and what is no number at all as 0.
pub fn share(whole: Duration, chance: f64) -> Duration {
    let chance = if chance.is_finite() { chance.clamp(0.0, 1.0) } else { 0.0 };
    whole.mul_f64(chance)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_the_other_side_asks_for_lengthens_a_pause_and_never_shortens_it() {
        let backoff = Backoff { initial: SECOND, max: SECOND * 600 };
        let huge = [Duration::MAX, SECOND * u32::MAX, LONGEST_ASKED * 2];
        for chance in [0.0, 0.5, 1.0, f64::NAN, f64::INFINITY, -1.0] {
            for attempt in [0, 1, 2, 5, 32, 33, 200, u32::MAX] {
                let own = backoff.pause(attempt, None, chance);
                assert!(own >= SECOND / 2 && own <= backoff.max, "{attempt} {chance}: {own:?}");
                let asked = [Duration::ZERO, Duration::from_nanos(1), SECOND, SECOND * 3600];
                for asked in asked.into_iter().chain(huge) {
                    let pause = backoff.pause(attempt, Some(asked), chance);
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

    #[test]
    fn chance_places_a_share_whatever_number_it_is() {
        let cases = [(0.0, 0), (0.5, 5), (1.0, 10), (-1.0, 0), (7.0, 10)];
        for (chance, expected) in cases {
            assert_eq!(share(SECOND * 10, chance), SECOND * expected, "{chance}");
        }
        assert_eq!(share(SECOND, f64::NAN), Duration::ZERO);
    }
}
