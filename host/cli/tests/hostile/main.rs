//! A plugins folder full of enemies, beside one plugin that only wants to work. A process of its own: its
//! memory is measured.
//!
//! `SIDENOTE_HOSTILE_CALLS` says how many calls; 2,000 where it doesn't, for debug builds.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bombs;
#[path = "../../../tests/plugins/guests.rs"]
#[expect(dead_code, reason = "shared with the other tests of plugins")]
mod guests;
mod machine;
#[path = "../../../tests/plugins/server.rs"]
#[expect(dead_code, reason = "shared with the other tests of plugins")]
mod server;
mod storm;
mod wishes;
