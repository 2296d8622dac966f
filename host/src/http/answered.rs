//! Up to when the questions of conversations were answered.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::Timestamp;
use crate::context::assembly::{Watermark, Watermarks};

/// Conversations of which it is remembered up to when their questions were answered.
const MOST: NonZeroUsize = NonZeroUsize::new(10_000).expect("it is more than none");

/// A conversation of a user of a product, as whoever asks calls it: nothing that names anybody.
pub(super) type Place = [u8; 16];

/// Up to when the questions of conversations were answered, in memory: after a start nothing counts as new.
#[derive(Clone)]
pub(super) struct Answered(Arc<Mutex<Watermarks<Place>>>);

impl Answered {
    /// Nothing was answered.
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Watermarks::new(MOST))))
    }

    /// Up to when those of a conversation were.
    pub(super) fn of(&self, place: Option<&Place>) -> Watermark {
        place.map(|place| self.marks().of(place)).unwrap_or_default()
    }

    /// Those of a conversation were answered up to here.
    pub(super) fn advance(&self, place: Place, at: Timestamp) {
        self.marks().advance(place, at);
    }

    fn marks(&self) -> MutexGuard<'_, Watermarks<Place>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
