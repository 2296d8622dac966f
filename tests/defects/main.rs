//! One test per defect of autoplay-sdk that this project promises not to have, named after its row.
//!
//! `rows.toml` says for every row which tests assert it.

mod assembly;
mod breaker;
mod connector;
mod context;
mod delivery;
mod host;
mod linking;
mod offers;
mod redis;
mod rows;
mod session_core;
mod sinks;
mod stream;
mod summary;
mod tours;
mod triggers;
