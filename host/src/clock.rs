//! Time as a value. The pure core takes a [`Timestamp`] as `now`; only shells own a [`Clock`].

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Microseconds since the Unix epoch, wall clock. Survives restarts, so it can be stored.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// From seconds since the epoch; out of range saturates, NaN is the epoch.
    ///
    /// ```
    /// use sidenote::clock::Timestamp;
    /// assert_eq!(Timestamp::from_secs_f64(1.5).0, 1_500_000);
    /// ```
    pub fn from_secs_f64(secs: f64) -> Self {
        Self((secs * 1e6).round() as i64)
    }

    /// Seconds since the epoch.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// Whole milliseconds since the epoch; 0 before it.
    pub fn as_millis(self) -> u64 {
        u64::try_from(self.0 / 1000).unwrap_or(0)
    }

    /// `self - earlier`, or zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, rhs: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(rhs.as_micros()).unwrap_or(i64::MAX)),
        )
    }
}

impl std::ops::Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, rhs: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(rhs.as_micros()).unwrap_or(i64::MAX)),
        )
    }
}

/// Wall-clock time that never steps within a process: the wall clock at start plus monotonic time.
/// A step of the system clock is picked up at the next start.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    wall: i64,
    start: Instant,
}

impl Clock {
    /// A clock set from the system's.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where system time enters"
    )]
    pub fn system() -> Self {
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_micros();
        Self {
            wall: i64::try_from(wall).unwrap_or(i64::MAX),
            start: Instant::now(),
        }
    }

    /// The time at this moment.
    pub fn now(&self) -> Timestamp {
        Timestamp(self.wall) + self.start.elapsed()
    }

    /// The tokio instant at which this clock shows `at`.
    pub fn instant(&self, at: Timestamp) -> tokio::time::Instant {
        tokio::time::Instant::from_std(self.start + at.since(Timestamp(self.wall)))
    }
}
