//! The clock of the shells. What decides takes a [`Timestamp`] as `now`.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

pub use sidenote_core::clock::Timestamp;

/// Wall-clock time that never steps within a process: the wall clock at start plus monotonic time.
/// A step of the system clock is picked up at the next start.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    wall: i64,
    start: Instant,
}

impl Clock {
    /// A clock set from the system's.
    #[expect(clippy::disallowed_methods, reason = "the one place where system time enters")]
    pub fn system() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::starting_at(Timestamp(i64::try_from(wall.as_micros()).unwrap_or(i64::MAX)))
    }

    /// A clock that shows `wall` at this moment. In a test with paused time it stands still with it.
    pub fn starting_at(wall: Timestamp) -> Self {
        Self { wall: wall.0, start: Instant::now() }
    }

    /// The time at this moment.
    pub fn now(&self) -> Timestamp {
        Timestamp(self.wall) + self.start.elapsed()
    }

    /// The tokio instant at which this clock shows `at`.
    pub fn instant(&self, at: Timestamp) -> Instant {
        self.start + at.since(Timestamp(self.wall))
    }
}
