//! Chat platforms as their vendors describe them: small, strict servers on loopback.
//!
//! A [`Vendor`] is what is particular to a platform: how it checks a request, answers it, says no, and signs
//! its webhooks. A [`VendorServer`] is one on a socket: it remembers the conversations, holds limits and faults
//! up to whoever calls, and keeps account. A [`VendorRig`] is a host between a connector and a vendor.
//!
//! A vendor is as strict as the documentation allows: a header that is missing, a field that is unknown, an id
//! that isn't there is refused, and every refusal is on record ([`VendorServer::refusals`]).

mod chatwoot;
mod contract;
mod crisp;
mod desk;
mod exchange;
mod intercom;
mod limit;
pub mod markdown;
pub mod markup;
mod rig;
mod server;
mod signing;
mod slack;
mod zendesk;

pub use chatwoot::Chatwoot;
pub use contract::{Happening, Vendor};
pub use crisp::Crisp;
pub use desk::{Author, Choice, Conversation, Desk, Entry};
pub use exchange::{Answer, Hook, Received};
pub use intercom::Intercom;
pub use limit::{Fault, Scope, Trouble};
pub use rig::VendorRig;
pub use server::{VendorServer, VendorStats};
pub use signing::{base64_sha256, hex_sha1, hex_sha256};
pub use slack::Slack;
pub use zendesk::Zendesk;
