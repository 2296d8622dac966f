//! `POST /redact`: a note is redacted.

use std::borrow::Cow;

use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::answer::{Answer, json};
use super::receiver::{Receiver, Refusal};

/// The body of a request.
#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    conversation_id: Cow<'a, str>,
    #[serde(borrow)]
    note_id: Cow<'a, str>,
}

/// Redacts a note. One that isn't there is answered 404, as often as it is asked for.
pub(super) fn redact(
    receiver: &Receiver,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Answer, Refusal> {
    receiver.verify(headers, body)?;
    let request: Request<'_> = serde_json::from_slice(body)
        .ok()
        .filter(|request: &Request<'_>| request.r#type == "redact")
        .ok_or(Refusal::Malformed(StatusCode::BAD_REQUEST, "the body isn't a redaction"))?;
    let now = receiver.clock.now();
    let redacted = receiver.desk().redact(&request.conversation_id, &request.note_id, now);
    Ok(match redacted {
        true => json(StatusCode::OK, &json!({ "redaction": "removed" })),
        false => json(StatusCode::NOT_FOUND, &json!({ "error": "there is no such note" })),
    })
}
