//! What the platform tells as it happens.

use std::sync::Arc;

use super::fault::Fault;
use super::note::Note;

/// What a subscriber is told as it happens.
#[derive(Debug, Clone)]
pub enum Live {
    /// A note was accepted.
    Note(Arc<Note>),
    /// A note that was accepted before came again.
    Repeat {
        /// The conversation.
        conversation: String,
        /// The note's id.
        id: String,
    },
    /// A fault struck a note.
    Struck {
        /// The conversation.
        conversation: String,
        /// The fault.
        fault: Fault,
        /// The note's idempotency key.
        key: String,
    },
}
