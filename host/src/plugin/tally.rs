//! Totals since the start, counted by several tasks.

use std::sync::{Mutex, PoisonError};

/// Totals of rare events: they are counted under a lock.
#[derive(Default)]
pub(super) struct Tally<T>(Mutex<T>);

impl<T: Copy> Tally<T> {
    /// Counts.
    pub(super) fn count(&self, up: impl FnOnce(&mut T)) {
        up(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// What was counted.
    pub(super) fn totals(&self) -> T {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
