//! What links a session to a conversation, and what can come of it.

pub use crate::session::link::{Identity, LinkEvent, LinkMode};

use crate::ids::{ConversationId, PluginName, ProductId, SessionId, SessionKey};

/// A wish to link a session to a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkRequest {
    /// The plugin that posts into the conversation.
    pub plugin: PluginName,
    /// The conversation.
    pub conversation: ConversationId,
    /// Whose conversation it is.
    pub who: Who,
    /// What to do when the session is linked to another conversation already.
    pub mode: LinkMode,
    /// Who the platform says that it is; taken where the activity source doesn't say.
    pub told: Identity,
}

/// How the session is named.
#[derive(Clone, PartialEq, Eq)]
pub enum Who {
    /// By its key.
    Session(SessionKey),
    /// By its id within one of the products that the plugin serves.
    SessionOf(Vec<ProductId>, SessionId),
    /// By the person, in one of the products that the plugin serves: the most recent session counts.
    Person {
        /// The products to look in.
        products: Vec<ProductId>,
        /// The activity source's user id.
        user_id: Option<String>,
        /// The e-mail address.
        email: Option<String>,
    },
}

impl std::fmt::Debug for Who {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Session(_) => "Session(..)",
            Self::SessionOf(..) => "SessionOf(..)",
            Self::Person { .. } => "Person(..)",
        })
    }
}

/// What came of a [`LinkRequest`], after the commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linked {
    /// The session.
    pub key: SessionKey,
    /// The conversation that the session's notes go to.
    pub conversation: ConversationId,
    /// What happened.
    pub event: LinkEvent,
}

/// Why a session wasn't linked. Nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// No product or session fits.
    #[error("no session fits: {0}")]
    NotFound(&'static str),
    /// Several products know the session; one must be named.
    #[error("several products know this session; name the product in `POST /sessions/link`")]
    Ambiguous,
    /// The conversation belongs to another person's session.
    #[error("the conversation belongs to another person's session; nothing was linked")]
    Foreign,
    /// The store can't take anything at the moment; ask again.
    #[error("the store takes nothing at the moment; ask again later")]
    Unavailable,
    /// The host is shutting down.
    #[error("the host is shutting down")]
    Closed,
}
