//! The generic webhook writer.
