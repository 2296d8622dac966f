//! The sim stage.
