//! The only way to the network for plugins.
//!
//! A request passes four gates, in this order: its shape ([`client`]), the operator's grants ([`grant`])
//! and what the plugin's manifest asks for ([`asked`]), the secrets put into it ([`secret_store`]), and the
//! address that its host resolves to ([`crate::address`], asked by the resolver at every connect). `http.send`
//! and `wasi:http` both end here.
//!
//! What comes back is unpacked (`coding`) and looked through for secrets in the writings of honest servers
//! (`forms`, `traces`) before the plugin sees it; so how an answer is packed, and how much of it is
//! asked for, is the host's to say.
//!
//! A shadow of a plugin has a client without a network: its requests are judged in the same way, and answered from what was
//! recorded of the live call.
//!
//! Redirects are not followed and no proxy is used: either would reach a host that nobody granted.

mod alarm;
pub mod asked;
pub mod client;
mod coding;
mod forms;
pub mod grant;
mod network;
pub mod secret_store;
mod traces;

pub(crate) use alarm::Alarm;
pub use asked::{Asked, Pattern, Patterns};
pub(crate) use client::{Asked as AskedRequest, Exchange, Played, Player, Recorder, Tape};
pub use client::{EgressClient, Incoming, Outgoing, SendError};
pub use grant::{BadGrant, Denial, Grants, Origins};
pub use network::{Detour, Network, NetworkError};
pub use secret_store::{SecretError, SecretStore};
pub use traces::SHORTEST_SCRUBBED;
