//! `POST /redact`: a note is redacted.

use std::borrow::Cow;

use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::answer::{Answer, json};
use super::fault::Fault;
use super::receiver::{Receiver, Refusal};

/// The body of a request.
#[derive(Deserialize)]
pub(super) struct Redacting<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    conversation_id: Cow<'a, str>,
    #[serde(borrow)]
    note_id: Cow<'a, str>,
}

impl Receiver {
    /// What is to be redacted, and the fault that strikes that.
    pub(super) fn check_redaction<'b>(
        &self,
        headers: &HeaderMap,
        body: &'b [u8],
    ) -> Result<(Redacting<'b>, Option<Fault>), Refusal> {
        self.verify(headers, body)?;
        let request = serde_json::from_slice(body)
            .ok()
            .filter(|request: &Redacting<'_>| request.r#type == "redact")
            .ok_or(Refusal::Malformed(StatusCode::BAD_REQUEST, "the body isn't a redaction"))?;
        let mut desk = self.desk();
        let fault = desk.faults.strike_redaction();
        desk.stats.faults += u64::from(fault.is_some());
        Ok((request, fault))
    }

    /// Redacts a note. One that isn't there is answered 404, as often as it is asked for.
    pub(super) fn redact(&self, request: &Redacting<'_>) -> Answer {
        let now = self.clock.now();
        match self.desk().redact(&request.conversation_id, &request.note_id, now) {
            true => json(StatusCode::OK, &json!({ "redaction": "removed" })),
            false => json(StatusCode::NOT_FOUND, &json!({ "error": "there is no such note" })),
        }
    }
}
