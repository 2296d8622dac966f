//! What a person is shown in a conversation.

use serde::{Deserialize, Serialize};
use sidenote::clock::Timestamp;

/// An offer or a reply that the platform took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// What the platform calls it.
    #[serde(skip_deserializing)]
    pub id: String,
    /// When it arrived.
    #[serde(skip_deserializing)]
    pub received: Timestamp,
    /// `offer` or `reply`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The conversation.
    pub conversation_id: String,
    /// What the person reads.
    pub text: String,
    /// What the person can click.
    #[serde(default)]
    pub quick_replies: Vec<QuickReply>,
    /// The same for every attempt.
    pub idempotency_key: String,
    /// The attempt that got through, from 1.
    pub attempt: u32,
}

/// An answer that can be clicked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuickReply {
    /// What comes back.
    pub id: String,
    /// What the person reads.
    pub label: String,
}
