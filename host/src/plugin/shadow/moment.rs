//! The wall clock of an instance. What a live call reads of it is recorded, where the call is watched, and a shadow's call
//! reads the same.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use wasmtime_wasi::HostWallClock;

use crate::clock::{Clock, Timestamp};

/// Readings of one call that are recorded.
const MOST: usize = 256;

/// The clock of one instance. Cloning shares it.
#[derive(Clone, Default)]
pub(in crate::plugin) struct Moment(Arc<Mutex<Shows>>);

#[derive(Default)]
enum Shows {
    /// The system's time.
    #[default]
    System,
    /// The same, and remembers what it showed.
    Remembered(Vec<Timestamp>),
    /// What it showed before, and then what a clock shows that begins with the last of it.
    Again { readings: Arc<[Timestamp]>, next: usize, then: Clock },
}

impl Moment {
    /// From here on it shows the system's time, and remembers that where it is recorded.
    pub(in crate::plugin) fn begin(&self, recorded: bool) {
        *self.open() = if recorded { Shows::Remembered(Vec::new()) } else { Shows::System };
    }

    /// What it showed since.
    pub(in crate::plugin) fn take(&self) -> Vec<Timestamp> {
        match std::mem::take(&mut *self.open()) {
            Shows::Remembered(readings) => readings,
            Shows::System | Shows::Again { .. } => Vec::new(),
        }
    }

    /// From here on it shows what it showed in a call that was made `at` this time.
    pub(super) fn again(&self, readings: Arc<[Timestamp]>, at: Timestamp) {
        let then = Clock::starting_at(readings.last().copied().unwrap_or(at));
        *self.open() = Shows::Again { readings, next: 0, then };
    }

    fn shown(&self) -> Timestamp {
        match &mut *self.open() {
            Shows::System => Clock::system().now(),
            Shows::Remembered(readings) => {
                let now = Clock::system().now();
                if readings.len() < MOST {
                    readings.push(now);
                }
                now
            }
            Shows::Again { readings, next, then } => {
                let reading = readings.get(*next).copied();
                *next += 1;
                reading.unwrap_or_else(|| then.now())
            }
        }
    }

    fn open(&self) -> MutexGuard<'_, Shows> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HostWallClock for Moment {
    fn resolution(&self) -> Duration {
        Duration::from_micros(1)
    }

    fn now(&self) -> Duration {
        Duration::from_micros(u64::try_from(self.shown().0).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_a_call_read_is_read_again_and_goes_on_from_there() {
        let live = Moment::default();
        live.begin(true);
        let read = [live.now(), live.now()];
        let readings = live.take();
        assert_eq!(readings.len(), 2);
        assert!(live.take().is_empty() && live.now() >= read[1], "it goes on");
        let shadow = Moment::default();
        shadow.again(readings.into(), Timestamp(0));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!([shadow.now(), shadow.now()], read);
        assert_eq!(shadow.now(), read[1] + Duration::from_secs(2));
        shadow.again(Arc::new([]), Timestamp(5_000_000));
        assert_eq!(shadow.now(), Duration::from_secs(5));
    }
}
