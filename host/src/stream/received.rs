//! What comes off a stream.

use std::fmt;
use std::sync::Arc;

use crate::session::payload::Payload;

/// A payload as it came off a stream. Its `Debug` leaves the payload out: it is personal data.
#[derive(Clone, PartialEq)]
pub struct Received {
    /// The stream's name in the configuration.
    pub stream: Arc<str>,
    /// What was sent.
    pub payload: Payload,
    /// Its size on the wire, in bytes.
    pub bytes: usize,
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Received");
        shown.field("stream", &self.stream).field("bytes", &self.bytes).finish_non_exhaustive()
    }
}
