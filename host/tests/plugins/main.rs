//! Real components in the real runtime, over real sockets on loopback.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod admission;
mod bounds;
mod cache;
mod cost;
mod egress;
mod guests;
mod interfaces;
mod limits;
mod manifest;
mod reload;
mod server;
mod supervision;
mod tongues;
mod webhook_plugin;
