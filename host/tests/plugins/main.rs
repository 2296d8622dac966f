//! Real components in the real runtime, over real sockets on loopback.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod admission;
mod bounds;
mod cache;
mod console_plugin;
mod cost;
mod egress;
mod first_party;
mod forgeries;
mod guests;
mod interfaces;
mod kv;
mod languages;
mod limits;
mod log;
mod manifest;
mod reload;
mod secrets;
mod server;
mod ssrf;
mod supervision;
mod timers;
mod webhook_plugin;
