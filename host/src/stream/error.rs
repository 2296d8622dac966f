//! What ends the stream for good, and what only interrupts it.

use std::sync::Arc;
use std::time::Duration;

/// Why a client gave up. Trying again without a change would not help, unless an operator says so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// The connector refused with 401, 403 or 404.
    #[error("stream {stream}: the connector refused with HTTP {status}: {}", refusal(*.status))]
    Refused {
        /// The stream.
        stream: Arc<str>,
        /// 401, 403 or 404.
        status: u16,
    },
    /// The connector answered 204: it has no more to send and asks not to be called again.
    #[error(
        "stream {stream}: the connector ended the stream for good (HTTP 204): check that the stream of this \
         product is still switched on, then restart"
    )]
    Ended {
        /// The stream.
        stream: Arc<str>,
    },
    /// More connections in a row failed than allowed.
    #[error(
        "stream {stream}: gave up after {attempts} failed connections in a row (at most {max_retries} retries \
         are allowed); the last: {last}; check the address and that the connector is up, or allow more retries"
    )]
    RetriesExhausted {
        /// The stream.
        stream: Arc<str>,
        /// Retries allowed.
        max_retries: u32,
        /// Connections that failed in a row.
        attempts: u32,
        /// Why the last one ended.
        last: Interruption,
    },
    /// Nobody takes the payloads any more.
    #[error(
        "stream {stream}: the receiver of its payloads is gone; this is a fault of the host, restart it"
    )]
    ReceiverGone {
        /// The stream.
        stream: Arc<str>,
    },
    /// The address can't be used.
    #[error(
        "stream {stream}: `url` can't be used: {cause}; write it as https://HOST/stream/PRODUCT"
    )]
    InvalidUrl {
        /// The stream.
        stream: Arc<str>,
        /// Why not. The address itself is left out: it may hold a secret.
        cause: String,
    },
    /// The token can't be sent in a header.
    #[error(
        "stream {stream}: `token` holds a character that a header can't carry; copy the token again"
    )]
    InvalidToken {
        /// The stream.
        stream: Arc<str>,
    },
    /// The HTTP client could not be set up.
    #[error(
        "stream {stream}: the HTTP client can't be set up: {cause}; check the system's root certificates"
    )]
    Setup {
        /// The stream.
        stream: Arc<str>,
        /// Why not.
        cause: String,
    },
}

/// Why a connection ended; the client waits and connects again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Interruption {
    /// The connector closed the stream in order.
    #[error("the connector closed the stream")]
    Closed,
    /// There was no answer.
    #[error("no answer: {cause}")]
    Unanswered {
        /// What the network said, without the address.
        cause: String,
    },
    /// The answer was not a success.
    #[error("the connector answered HTTP {status}")]
    Answered {
        /// The status.
        status: u16,
        /// How long it asked to wait (429 and 503 only).
        retry_after: Option<Duration>,
    },
    /// The answer was a success, but no event stream.
    #[error(
        "the connector answered {content_type} where text/event-stream is expected; check the address"
    )]
    NotAStream {
        /// The content type, cut to a readable length.
        content_type: String,
    },
    /// The connection broke.
    #[error("the connection broke: {cause}")]
    Broken {
        /// What the network said, without the address.
        cause: String,
    },
    /// Nothing at all came for the idle time-out.
    #[error("nothing came for {} ms", after.as_millis())]
    Silent {
        /// The time-out.
        after: Duration,
    },
}

impl Interruption {
    /// How long the connector asked to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Answered { retry_after, .. } => *retry_after,
            Self::Closed
            | Self::Unanswered { .. }
            | Self::NotAStream { .. }
            | Self::Broken { .. }
            | Self::Silent { .. } => None,
        }
    }
}

fn refusal(status: u16) -> &'static str {
    match status {
        401 => "check `token`: it is missing, wrong or expired",
        403 => {
            "the token is known but may not read this product; ask for access or use the product's own token"
        }
        _ => "there is no such stream; check the product in `url`",
    }
}

/// The whole chain of a network error without its address, which may hold a secret.
pub(crate) fn describe(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
