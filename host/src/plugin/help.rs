//! Help that is offered without being asked, as the host sees it.

use std::fmt;

use crate::clock::Timestamp;
use crate::ids::{ConversationId, SessionKey};
use crate::session::payload::Action;

/// What a `trigger` decides upon.
#[derive(Clone)]
pub struct TriggerContext {
    /// The session.
    pub key: SessionKey,
    /// The user, where known.
    pub user_id: Option<String>,
    /// The user's e-mail address, where known.
    pub email: Option<String>,
    /// The conversation, where there is one.
    pub conversation: Option<ConversationId>,
    /// The latest actions, oldest first.
    pub actions: Vec<Action>,
    /// What was done before those, in words.
    pub summary: Option<String>,
    /// The moment of asking.
    pub now: Timestamp,
}

/// An offer of help. The text is never empty.
#[derive(Clone, PartialEq, Eq)]
pub struct Offer {
    /// What the person reads.
    pub text: String,
    /// Answers to click.
    pub quick_replies: Vec<QuickReply>,
}

/// A short answer that a person can click. Neither part is empty.
#[derive(Clone, PartialEq, Eq)]
pub struct QuickReply {
    /// What comes back when it is clicked, for platforms that send something other than the label.
    pub id: String,
    /// What the person reads.
    pub label: String,
}

impl fmt::Debug for TriggerContext {
    /// The actions, the summary and the person are left out: they are customers' data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TriggerContext")
            .field("key", &self.key)
            .field("conversation", &self.conversation)
            .field("actions", &self.actions.len())
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Offer {
    /// The texts are left out: they may tell of the person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offer")
            .field("text_bytes", &self.text.len())
            .field("quick_replies", &self.quick_replies.len())
            .finish()
    }
}

impl fmt::Debug for QuickReply {
    /// The texts are left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuickReply").field("label_bytes", &self.label.len()).finish_non_exhaustive()
    }
}
