//! What a source is handed and what it brings, as the host sees it: plain types for [`Registry::receive_events`] and
//! [`Registry::poll_events`].
//!
//! [`Registry::receive_events`]: super::Registry::receive_events
//! [`Registry::poll_events`]: super::Registry::poll_events

use std::fmt;

use bytes::Bytes;
use sidenote_sources::Batch;

use crate::clock::Timestamp;
use crate::ids::ProductId;

/// A request to `/sources/NAME/…`.
#[derive(Clone, PartialEq, Eq)]
pub struct SourceRequest {
    /// The method, in upper case.
    pub method: String,
    /// The path below `/sources/NAME`, with its `/`, as it came.
    pub path: String,
    /// The query without its `?`, as it came.
    pub query: String,
    /// Names in lower case and values, in the order received, without those of cookies.
    pub headers: Vec<(String, String)>,
    /// The body, unpacked.
    pub body: Bytes,
    /// When it arrived.
    pub received_at: Timestamp,
}

impl fmt::Debug for SourceRequest {
    /// Path, query, headers and body are left out: they hold keys and what people did.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceRequest")
            .field("method", &self.method)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// What a request brought.
#[derive(Debug)]
pub struct EventsReceived {
    /// The key that the plugin found in it.
    pub key: Option<KeyText>,
    /// Whether it is answered without a key; there are no batches then.
    pub keyless: bool,
    /// What happened.
    pub batches: Vec<Batch>,
    /// Why something was left out, and how often.
    pub ignored: Vec<(String, u32)>,
    /// What is answered once the batches are stored.
    pub answer: SourceAnswer,
}

/// A key as somebody sent it.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyText(pub String);

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyText(..)")
    }
}

/// An answer of the plugin's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceAnswer {
    /// 200 to 599.
    pub status: u16,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

/// Of whom a source is asked.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PollSubject {
    /// The product.
    pub product: ProductId,
    /// The person, as the product names them.
    pub user: String,
}

impl fmt::Debug for PollSubject {
    /// The person is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PollSubject").field("product", &self.product).finish_non_exhaustive()
    }
}

/// What a source that was asked found.
#[derive(Debug)]
pub struct EventsPage {
    /// What happened.
    pub batches: Vec<Batch>,
    /// Where the next question goes on.
    pub cursor: Option<String>,
    /// Whether there is more right now.
    pub more: bool,
    /// Why something was left out, and how often.
    pub ignored: Vec<(String, u32)>,
}

/// Why a request brings nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// No plugin has this name, or it is no source.
    #[error("source: there is no source of this name")]
    NoSource,
    /// The plugin couldn't be loaded, or no instance of it was free or came up.
    #[error("source: the plugin can't be called at the moment; `/readyz` and the log say why")]
    Unavailable,
    /// The plugin refuses the request.
    #[error("source: refused: {message}")]
    Rejected {
        /// Why.
        kind: SourceRejection,
        /// For the sender, without what people wrote.
        message: String,
    },
    /// The plugin trapped, was stopped at a limit, or answered what can't be used.
    #[error("source: the plugin failed, {code}: {message}")]
    Crashed {
        /// `trap`, `timeout`, `cpu`, `memory`, `invalid`.
        code: String,
        /// What happened, for people.
        message: String,
    },
}

/// Why a source refuses a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceRejection {
    /// There is nothing at this path.
    NotFound,
    /// The method isn't the right one.
    Method,
    /// The key is missing or wrong.
    Unauthorized,
    /// The body can't be read.
    Malformed,
    /// The sender should try again.
    Unavailable,
}
