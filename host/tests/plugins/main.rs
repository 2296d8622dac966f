//! Real components in the real runtime, over real sockets on loopback.

mod admission;
mod egress;
mod guests;
mod limits;
mod server;
mod webhook_plugin;
