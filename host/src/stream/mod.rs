//! The stream stage.
