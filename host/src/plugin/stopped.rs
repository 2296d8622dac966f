//! Why a call ended without an answer.

use std::time::Duration;

use crate::outbox::note::Crash;

/// Why a call has no answer of the guest.
#[derive(Debug)]
pub(super) enum Stopped {
    /// All instances were busy: the guest never saw the call.
    Busy {
        /// How long was waited.
        waited: Duration,
    },
    /// No instance came up: the guest never saw the call.
    Start {
        /// Why not.
        message: String,
    },
    /// The guest trapped or was stopped.
    Crashed {
        /// How.
        crash: Crash,
        /// What happened.
        message: String,
    },
}
