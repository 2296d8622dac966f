//! What the connector sends: actions and summaries, parsed totally.

use serde::{Deserialize, Serialize};

/// One thing a person did.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Action {
    /// Short name.
    pub title: String,
    /// What was done, in words; the text of a note's line.
    pub description: String,
    /// The page, with its ids folded.
    pub canonical_url: String,
    /// Place in its batch as the connector numbers it.
    pub index: i64,
    /// Kind of action, for example `click`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Start in seconds since the epoch by the client's clock; `None` where it is missing or unusable.
    pub timestamp_start: Option<f64>,
    /// End, as `timestamp_start`.
    pub timestamp_end: Option<f64>,
    /// The page as it was.
    pub raw_url: String,
    /// Session, where the action says it itself.
    pub session_id: Option<String>,
    /// User, where the action says it itself.
    pub user_id: Option<String>,
    /// E-mail address, where the action says it itself.
    pub email: Option<String>,
    /// Conversation, where the action says it itself.
    pub conversation_id: Option<String>,
}

/// A batch of actions of one session.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ActionsPayload {
    /// The product.
    pub product_id: String,
    /// The session; `None` where the connector doesn't know it.
    pub session_id: Option<String>,
    /// The user, where known.
    pub user_id: Option<String>,
    /// The user's e-mail address, where known.
    pub email: Option<String>,
    /// The conversation, where the connector knows it.
    pub conversation_id: Option<String>,
    /// What was done, in the order sent.
    pub actions: Vec<Action>,
    /// When the connector sent it, seconds since the epoch by its clock.
    pub forwarded_at: f64,
}

/// A summary that replaces actions of one session.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SummaryPayload {
    /// The product.
    pub product_id: String,
    /// The session; `None` where the connector doesn't know it.
    pub session_id: Option<String>,
    /// The text.
    pub summary: String,
    /// How many actions it replaces.
    pub replaces: u64,
    /// When the connector sent it, seconds since the epoch by its clock.
    pub forwarded_at: f64,
}

/// An event of the stream that means something.
#[derive(Debug, Clone, PartialEq)]
pub enum Payload {
    /// `type: "actions"`.
    Actions(ActionsPayload),
    /// `type: "summary"`.
    Summary(SummaryPayload),
}
