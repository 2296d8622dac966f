//! The wall clock of a shadow: it shows the time at which the live call was made, and goes on from there.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use wasmtime_wasi::HostWallClock;

use crate::clock::{Clock, Timestamp};

/// The clock of a shadow's instances. Cloning shares it.
#[derive(Clone)]
pub(in crate::plugin) struct Moment(Arc<Mutex<Clock>>);

impl Default for Moment {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Clock::system())))
    }
}

impl Moment {
    /// Shows this time at this moment.
    pub(super) fn set(&self, at: Timestamp) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Clock::starting_at(at);
    }

    fn shown(&self) -> Timestamp {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).now()
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
    async fn it_shows_what_it_was_set_to_and_goes_on() {
        let moment = Moment::default();
        moment.set(Timestamp(5_000_000));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(moment.now(), Duration::from_secs(7));
    }
}
