//! The pure core of a session. No clock, task, lock or socket in here.

pub mod batch;
pub mod event_time;
pub mod link;
pub mod note;
pub mod payload;
pub mod state;
pub mod text;
