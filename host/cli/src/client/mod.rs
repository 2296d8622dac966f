//! Asking a running host, as every command does it: by its address and its token, and nothing more of the
//! configuration.

mod api;
mod args;

pub(super) use api::{Busy, Client, Presence, Unreached};
pub(super) use args::HostArgs;
