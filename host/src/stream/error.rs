//! What ends the stream for good, and what only interrupts it.

use std::sync::Arc;
use std::time::Duration;

/// Why a client ended. A client that asks on ([`Client::that_asks_on`](super::Client::that_asks_on)) ends
/// neither on refusals nor on an ended stream.
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
        "stream {stream}: ended after {attempts} failed connections in a row (at most {max_retries} retries \
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
    /// The connector refused with 401, 403 or 404, and is asked again.
    #[error("the connector refused with HTTP {status}: {}", refusal(*.status))]
    Refused {
        /// 401, 403 or 404.
        status: u16,
    },
    /// The connector is somewhere else. A redirect isn't followed: the token goes to the configured address
    /// only.
    #[error("the connector answered HTTP {status}, a redirect{}, which isn't followed: correct `url`", Towards(.host))]
    Redirected {
        /// 300 to 399.
        status: u16,
        /// The host that it points to, where it names another.
        host: Option<String>,
    },
    /// The answer is compressed although the plain stream was asked for.
    #[error(
        "the connector answers in the encoding {encoding}, though the plain stream is asked for; have the proxy in front of it leave event streams as they are"
    )]
    Encoded {
        /// The encoding, cut to a readable length.
        encoding: String,
    },
    /// The answer was no event stream, for another reason.
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
            | Self::Refused { .. }
            | Self::Redirected { .. }
            | Self::Encoded { .. }
            | Self::NotAStream { .. }
            | Self::Broken { .. }
            | Self::Silent { .. } => None,
        }
    }

    /// The same for everybody's eyes: no other machine is named.
    #[must_use]
    pub fn without_addresses(self) -> Self {
        match self {
            Self::Redirected { status, host: _ } => Self::Redirected { status, host: None },
            other @ (Self::Closed
            | Self::Unanswered { .. }
            | Self::Refused { .. }
            | Self::Encoded { .. }
            | Self::Answered { .. }
            | Self::NotAStream { .. }
            | Self::Broken { .. }
            | Self::Silent { .. }) => other,
        }
    }

    /// Whether it is a refusal that lasts until a person sees to it, and not one that passes. Asked about again
    /// slowly all the same: a proxy's refusal goes by itself.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::Redirected { .. } | Self::Encoded { .. } => true,
            // Too slow, too early, too often.
            Self::Answered { status, .. } => {
                (400..500).contains(status) && !matches!(status, 408 | 425 | 429)
            }
            Self::Closed
            | Self::Unanswered { .. }
            | Self::NotAStream { .. }
            | Self::Broken { .. }
            | Self::Silent { .. } => false,
        }
    }
}

struct Towards<'a>(&'a Option<String>);

impl std::fmt::Display for Towards<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.as_ref().map_or(Ok(()), |host| write!(f, " to {host}"))
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
