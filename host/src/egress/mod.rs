//! The only door to the network for plugins.
//!
//! A request passes four gates, in this order: its shape ([`door`]), the operator's grants ([`grant`])
//! and what the plugin's manifest asks for ([`asked`]), the secrets put into it ([`vault`]), and the
//! address that its host resolves to ([`address`], asked by the resolver at every connect). `http.send`
//! and `wasi:http` both end here.
//!
//! What comes back is unpacked ([`coding`]) and looked through for secrets in the writings of honest servers
//! ([`forms`], [`traces`]) before the plugin sees it; so how an answer is packed, and how much of it is
//! asked for, is the host's to say.
//!
//! Redirects are not followed and no proxy is used: either would reach a host that nobody granted.

pub mod address;
mod alarm;
pub mod asked;
mod coding;
pub mod door;
mod forms;
pub mod grant;
mod network;
mod traces;
pub mod vault;

pub(crate) use alarm::Alarm;
pub use asked::{Asked, Pattern, Patterns};
pub use door::{Door, Incoming, Outgoing, SendError};
pub use grant::{BadGrant, Denial, Grants, Origin, Origins};
pub use network::{Detour, Network, NetworkError};
pub(crate) use traces::SHORTEST_SCRUBBED;
pub use vault::{SecretError, Vault};
