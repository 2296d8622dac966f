//! Webhooks as the host sees them: plain types for [`Registry::receive`](super::Registry::receive).

use std::fmt;

use crate::clock::Clock;
use crate::once::Claim;
use crate::session::identity::Vouched;
use crate::session::turn::{Author, Happened, Meaning, meaning};

/// A request of a chat platform, as it came in. Only the plugin can tell whether it is genuine.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookRequest {
    /// The method, in upper case.
    pub method: String,
    /// The whole address that was called: `server.public_url`, or else the listener's own address, and
    /// the path and the query as received.
    pub url: String,
    /// Names in lower case and values, in the order received. Bytes of a value that aren't UTF-8 are
    /// replaced.
    pub headers: Vec<(String, String)>,
    /// The raw bytes.
    pub body: Vec<u8>,
}

/// What a genuine request means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebhookEvent {
    /// A conversation was opened; [`WebhookTurn::meaning`] says by whom.
    Opened(WebhookTurn),
    /// Something happened in a conversation; [`WebhookTurn::meaning`] says what.
    Replied(WebhookTurn),
    /// The platform checks the address: send this back.
    Challenge(WebhookAnswer),
    /// Of no interest.
    Ignored,
}

/// A genuine request, and whether it was accepted before.
///
/// Act on the events, then call [`Received::accepted`] when the platform is told that it was. Without
/// that the request counts as never received, so that the platform can send it again.
#[derive(Debug)]
pub struct Received {
    /// What it means.
    pub events: Vec<WebhookEvent>,
    /// `None` for a repeat.
    pub(super) claim: Option<Claim>,
    pub(super) clock: Clock,
}

impl Received {
    /// Whether a request with the same signed data was accepted before: its events are not to be acted on
    /// again. A challenge may be answered again.
    pub fn is_repeat(&self) -> bool {
        self.claim.is_none()
    }

    /// Remembers that it was accepted, for a day, or until 65,536 others were.
    pub fn accepted(self) {
        if let Some(claim) = self.claim {
            claim.keep(self.clock.now());
        }
    }
}

/// Something that happened in a conversation, and what tells whose it is. No value is empty.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookTurn {
    /// The conversation of the chat platform.
    pub conversation_id: String,
    /// The session of the activity source, where the platform carries it along.
    pub session_id: Option<String>,
    /// The person, as the product names them.
    pub external_user_id: Option<String>,
    /// The person's e-mail address.
    pub email: Option<String>,
    /// The product.
    pub product_id: Option<String>,
    /// What the person wrote.
    pub text: Option<String>,
    /// What of it the platform vouches for; the rest is what a visitor says of himself.
    pub vouched: Vouched,
    /// Who is behind it.
    pub author: Author,
    /// What happened.
    pub happened: Happened,
    /// The id of the quick reply that was clicked, as it was offered. At most 256 bytes.
    pub option_id: Option<String>,
    /// What the platform calls the message: the same whenever it tells of it again. At most 1024 bytes.
    pub message_id: Option<String>,
}

impl WebhookTurn {
    /// What the turn means for the host.
    pub fn meaning(&self) -> Meaning {
        meaning(self.author, self.happened)
    }
}

/// The answer that a platform expects of an address before it uses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookAnswer {
    /// The status, 200 to 599.
    pub status: u16,
    /// The value of `content-type`; empty for none.
    pub content_type: String,
    /// The body.
    pub body: Vec<u8>,
}

/// Why a request means nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiveError {
    /// No plugin has this name.
    #[error("webhook: there is no plugin of this name")]
    NoSuchPlugin,
    /// The plugin couldn't be loaded, or no instance of it was free or came up. The platform shall send the
    /// request again.
    #[error("webhook: the plugin can't be called at the moment; `/readyz` and the log say why")]
    Unavailable,
    /// The same request is being accepted at this moment: whether it will be isn't known yet. The platform
    /// shall send it again.
    #[error("webhook: the same request is being accepted at this moment")]
    UnderWay,
    /// The plugin reads no webhooks.
    #[error("webhook: the plugin reads no webhooks; it doesn't export `webhook`")]
    NoWebhook,
    /// The plugin refuses the request.
    #[error("webhook: refused with {status}, {code}: {message}")]
    Rejected {
        /// The status to answer, 400 to 599.
        status: u16,
        /// A short word.
        code: String,
        /// What is wrong, for the operator; not for whoever sent the request.
        message: String,
    },
    /// The plugin trapped, was stopped at a limit, or answered what can't be
    /// used. The platform may send the request again.
    #[error("webhook: the plugin failed, {code}: {message}")]
    Crashed {
        /// `trap`, `timeout`, `cpu`, `memory`, `invalid`.
        code: String,
        /// What happened, for people.
        message: String,
    },
}

impl fmt::Debug for WebhookRequest {
    /// Headers and body are left out: they hold signatures and customers' data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookRequest")
            .field("method", &self.method)
            .field("headers", &self.headers.len())
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for WebhookTurn {
    /// The person and the text are left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookTurn")
            .field("conversation_id", &self.conversation_id)
            .field("has_session", &self.session_id.is_some())
            .field("has_user", &self.external_user_id.is_some())
            .field("has_email", &self.email.is_some())
            .field("has_text", &self.text.is_some())
            .field("vouched", &self.vouched)
            .field("author", &self.author)
            .field("happened", &self.happened)
            .field("has_option_id", &self.option_id.is_some())
            .field("has_message_id", &self.message_id.is_some())
            .finish_non_exhaustive()
    }
}
