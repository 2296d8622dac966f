//! The single writer.

pub mod link;
