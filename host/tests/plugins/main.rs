//! Real components in the real runtime, over real sockets on loopback.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod admission;
mod egress;
mod guests;
mod interfaces;
mod limits;
mod manifest;
mod server;
mod webhook_plugin;
