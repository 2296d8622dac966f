//! The pure core of a session. No clock, task, lock or socket in here.

pub mod payload;
