//! What can become of a note that is taken back.

pub use crate::outbox::note::Redaction;
