//! Notes as the generic webhook plugin posts them.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use sidenote::clock::Timestamp;

/// A note that the platform took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Note {
    /// What the platform calls it.
    #[serde(skip_deserializing)]
    pub id: String,
    /// When it arrived.
    #[serde(skip_deserializing)]
    pub received: Timestamp,
    /// The product.
    pub product_id: String,
    /// The session.
    pub session_id: String,
    /// The conversation.
    pub conversation_id: String,
    /// The user, where known.
    pub user_id: Option<String>,
    /// The user's e-mail address, where known.
    pub email: Option<String>,
    /// `actions` or `summary`.
    pub kind: String,
    /// Its place among the notes of its session, from 1.
    pub seq: u64,
    /// The text.
    pub body: String,
    /// The actions behind the text.
    pub actions: Vec<NoteAction>,
    /// The same for every attempt.
    pub idempotency_key: String,
    /// The attempt that got through, from 1.
    pub attempt: u32,
}

/// An action behind a note.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NoteAction {
    /// What was done, in words.
    pub description: String,
    /// Short name.
    pub title: String,
    /// Kind of action.
    #[serde(rename = "type")]
    pub kind: String,
    /// Place in its batch.
    pub index: i64,
    /// The page, with its ids folded.
    pub canonical_url: String,
    /// Start, in seconds since the epoch.
    pub timestamp_start: Option<f64>,
}

/// The fields that decide the outcome of a note; read without copying the rest.
#[derive(Debug, Deserialize)]
pub(super) struct Envelope<'a> {
    #[serde(borrow)]
    pub(super) product_id: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) session_id: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) conversation_id: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) idempotency_key: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) body: Cow<'a, str>,
    pub(super) seq: u64,
    pub(super) attempt: u32,
}

/// A note that was redacted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redacted {
    /// The conversation.
    pub conversation: String,
    /// What the platform called the note.
    pub note_id: String,
    /// `actions` or `summary`.
    pub kind: String,
    /// When.
    pub at: Timestamp,
    /// The summaries that stood beside the conversation at that moment, the note itself left out.
    pub summaries: usize,
    /// All notes that stood there, the note itself left out.
    pub left: usize,
}
