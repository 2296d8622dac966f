//! The only door to the network for plugins.
//!
//! A request passes four gates, in this order: its shape ([`door`]), the operator's grants ([`grant`])
//! and what the plugin's manifest asks for ([`asked`]), the secrets put into it ([`vault`]), and the
//! address that its host resolves to ([`address`], asked by the resolver at every connect). `http.send`
//! and `wasi:http` both end here.
//!
//! Redirects are not followed and no proxy is used: either would reach a host that nobody granted.

pub mod address;
mod alarm;
pub mod asked;
pub mod door;
pub mod grant;
mod network;
pub mod vault;

pub(crate) use alarm::Alarm;
pub use asked::{Asked, Pattern, Patterns};
pub use door::{Door, Incoming, Outgoing, SendError};
pub use grant::{BadGrant, Denial, Grants, Origin, Origins};
pub use network::{Detour, Network, NetworkError};
pub(crate) use vault::SHORTEST_SCRUBBED;
pub use vault::{SecretError, Vault};
