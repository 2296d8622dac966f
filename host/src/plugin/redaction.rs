//! What can become of a note that is redacted.

pub use crate::outbox::note::Redaction;
