//! The stream stage: reads a connector's server-sent events and hands their payloads on.
//!
//! ```text
//! client ─ connects, waits, stops
//!   reader ─ one connection: checks the answer, reads, hands on
//!     blocks ─ bytes → events of bounded size, parsed by eventsource-stream
//!     dedupe ─ drops what a connector sends again
//!   waits ─ how long to wait, pure
//! push ─ the other way in: signed requests, checked, read, and each accepted once
//! ```
//!
//! What holds here:
//!
//! - Reading is paused, never dropped, while the receiver is full: nothing is read off the socket, so
//!   pressure goes back to the connector. The pause stops at once when the client is stopped.
//! - At most one event of `max_event_bytes` is held. A larger one is counted and skipped, the
//!   connection stays up, and reading resumes at the next blank line.
//! - The bearer token goes to the configured address only: redirects and proxies are off.
//! - An event that can't be used is counted, logged without its content, and skipped.
//! - After a connection is lost the next one says `Last-Event-ID`; what the connector then repeats is
//!   dropped. A connector that keeps nothing can't resend what it sent while nobody was connected.
//! - A refusal that a person must see to is asked about again on a slow schedule of its own, until it is lifted
//!   or somebody has the stream asked at once ([`Status::ask_at_once`]).
//! - Waits double up to a limit and start over only after a good event, or after a connection that
//!   lasted; an answer alone proves nothing.

mod blocks;
mod client;
mod dedupe;
mod error;
mod observer;
pub mod push;
mod reader;
mod received;
pub mod recording;
mod status;
mod succession;
#[cfg(test)]
mod tests;
mod waits;

pub use client::Client;
pub use dedupe::{Dedupe, EventKey};
pub use error::{Interruption, StreamError};
pub use observer::{Observer, Pause};
pub use received::Received;
pub use status::{Counters, Snapshot, State, Status};
pub use succession::{Position, Succession};
pub use tokio_util::sync::CancellationToken;
pub use waits::{Wait, Waits};
