//! Why a registry didn't give or accept a component.

use std::time::Duration;

use crate::config::{Reference, Sha256};
use crate::see::See;

/// Why a registry didn't give or accept a component: stage, subject, cause, next step. No password and no token is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// Nothing can be asked on this machine.
    #[error("registry: no HTTP client can be set up: {0}; check the system's certificates")]
    Client(String),
    /// It doesn't answer.
    #[error(
        "registry: {host} can't be reached: {cause}; check its name, the network and its certificate {see}",
        see = See::RegistryAway
    )]
    Away {
        /// The registry.
        host: String,
        /// Why not.
        cause: String,
    },
    /// It answers too slowly.
    #[error(
        "registry: {host} wasn't done within {limit:?}; look whether it is well, and whether something slow is between {see}",
        see = See::RegistryAway
    )]
    Late {
        /// The registry.
        host: String,
        /// How long it may take.
        limit: Duration,
    },
    /// It wants to know who asks.
    #[error(
        "registry: {host} gives this to nobody in particular (401); a host has `user` and `password` in [registries.\"{host}\"], a command has --username or what `docker login` wrote"
    )]
    Unknown {
        /// The registry.
        host: String,
    },
    /// The credentials don't open it.
    #[error(
        "registry: {host} refuses the user or the password ({status}); look both up at the registry: an access token may have run out, or lack the right to {what}"
    )]
    Refused {
        /// The registry.
        host: String,
        /// What it answered.
        status: u16,
        /// What was to be done.
        what: &'static str,
    },
    /// It asks for what isn't safe or isn't known.
    #[error(
        "registry: {host} {cause}; nothing was sent there. Use a registry that takes a password or a token over TLS"
    )]
    Unsafe {
        /// The registry.
        host: String,
        /// What it asks for.
        cause: String,
    },
    /// There is no such component.
    #[error(
        "registry: {0} isn't there (404), or this user may not know of it; check the repository and the digest"
    )]
    NotFound(Box<Reference>),
    /// It answers otherwise.
    #[error("registry: {host} answered {status}{message}; try again later, or ask who runs it")]
    Answer {
        /// The registry.
        host: String,
        /// The status.
        status: u16,
        /// What it said, cleaned and cut.
        message: String,
    },
    /// More came than anything real has.
    #[error("registry: {what} has more than {limit} bytes; it isn't a plugin of this host")]
    TooLarge {
        /// The manifest or the component.
        what: &'static str,
        /// What is read at most.
        limit: u64,
    },
    /// Another content came than was asked for.
    #[error(
        "registry: {what} that {host} gave has the digest sha256:{found}, and sha256:{wanted} was asked for: it was changed there or on the way. Don't use it; ask who runs the registry {see}",
        see = See::RegistryTampered
    )]
    Tampered {
        /// The registry.
        host: String,
        /// The manifest or the component.
        what: &'static str,
        /// What came.
        found: Sha256,
        /// What was asked for.
        wanted: Sha256,
    },
    /// What lies there is no component.
    #[error(
        "registry: it is no component in the wasm layout: {0}; push it with `sidenote plugin push` or `wkg oci push`"
    )]
    NotAComponent(String),
}
