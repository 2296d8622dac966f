//! `POST /redact`: notes redacted.

use std::borrow::Cow;
use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::json;
use sidenote::clock::Timestamp;

use super::answer::{Answer, json};
use super::receive::{Receiver, Refusal};

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

/// The body of a request.
#[derive(Deserialize)]
struct Wish<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    conversation_id: Cow<'a, str>,
    #[serde(borrow)]
    note_id: Cow<'a, str>,
}

impl Receiver {
    /// Takes a note back. One that isn't there is answered 404, as often as it is asked for.
    pub(super) fn redact(
        self: &Arc<Self>,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Answer, Refusal> {
        self.verify(headers, body)?;
        let wish: Wish<'_> = serde_json::from_slice(body)
            .ok()
            .filter(|wish: &Wish<'_>| wish.r#type == "redact")
            .ok_or(Refusal::Malformed(StatusCode::BAD_REQUEST, "the body isn't a redaction"))?;
        let now = self.clock.now();
        let taken = self.desk().redact(&wish.conversation_id, &wish.note_id, now);
        Ok(match taken {
            true => json(StatusCode::OK, &json!({ "redaction": "removed" })),
            false => json(StatusCode::NOT_FOUND, &json!({ "error": "there is no such note" })),
        })
    }
}
