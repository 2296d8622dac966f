//! A note as a signed JSON post.

use serde::{Deserialize, Serialize};
use sidenote_plugin::{Action, Call, Failure, Note, NoteKind, Posted, config, http, log};

use crate::signature;

/// The secret that posts are signed with.
const SECRET: &str = "signing";

/// Posts one note.
pub(crate) fn post(call: &Call, note: &Note, now: u64) -> Result<Posted, Failure> {
    let url = config::require("url")?;
    let mut request = http::Request::post(url).json(&Body::of(call, note))?;
    request = request.header("x-sidenote-delivery", &*call.idempotency_key);

    let timestamp = now.to_string();
    if !config::flag("unsigned")? {
        let signature =
            signature::sign(SECRET, &timestamp, request.as_body()).map_err(|error| {
                Failure::config(format!(
                    "{error}; or set unsigned = \"true\" to post without a signature"
                ))
            })?;
        request = request.header(signature::SIGNATURE, signature);
    }
    request = request.header(signature::TIMESTAMP, timestamp);
    if config::flag("bearer")? {
        request = request.bearer_secret("token");
    }

    let response = request.send()?.error_for_status()?;
    log::debug!({ status = response.status, attempt = call.attempt }, "note posted");
    Ok(match note_id(&response.body) {
        Some(id) => Posted::with_id(id),
        None => Posted::without_id(),
    })
}

/// The posted JSON.
#[derive(Serialize)]
struct Body<'a> {
    product_id: &'a str,
    session_id: &'a str,
    conversation_id: &'a str,
    user_id: Option<&'a str>,
    email: Option<&'a str>,
    kind: &'static str,
    seq: u64,
    body: &'a str,
    actions: Vec<BodyAction<'a>>,
    idempotency_key: &'a str,
    attempt: u32,
}

impl<'a> Body<'a> {
    fn of(call: &'a Call, note: &'a Note) -> Self {
        Self {
            product_id: &note.product_id,
            session_id: &note.session_id,
            conversation_id: &note.conversation_id,
            user_id: note.user_id.as_deref(),
            email: note.email.as_deref(),
            kind: match note.kind {
                NoteKind::Actions => "actions",
                NoteKind::Summary => "summary",
            },
            seq: note.seq,
            body: &note.body,
            actions: note.actions.iter().map(BodyAction::of).collect(),
            idempotency_key: &call.idempotency_key,
            attempt: call.attempt,
        }
    }
}

/// An action, named as on the activity stream.
#[derive(Serialize)]
struct BodyAction<'a> {
    index: i64,
    r#type: &'a str,
    title: &'a str,
    description: &'a str,
    canonical_url: &'a str,
    raw_url: &'a str,
    timestamp_start: Option<f64>,
    timestamp_end: Option<f64>,
}

impl<'a> BodyAction<'a> {
    fn of(action: &'a Action) -> Self {
        Self {
            index: action.index,
            r#type: &action.kind,
            title: &action.title,
            description: &action.description,
            canonical_url: &action.canonical_url,
            raw_url: &action.raw_url,
            timestamp_start: action.started_at,
            timestamp_end: action.ended_at,
        }
    }
}

/// The id that the answer gives the note, where it gives one. A bot owes no answer in JSON: what can't
/// be read is no failure, the note was taken.
fn note_id(answer: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Answer {
        note_id: Option<Id>,
        id: Option<Id>,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Id {
        Text(String),
        Number(serde_json::Number),
    }
    let answer: Answer = serde_json::from_slice(answer).ok()?;
    match answer.note_id.or(answer.id)? {
        Id::Text(id) if id.is_empty() => None,
        Id::Text(id) => Some(id),
        Id::Number(id) => Some(id.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use sidenote_plugin::test::Host;
    use sidenote_plugin::{FailureKind, Sent};

    use super::*;

    fn call() -> Call {
        Call {
            idempotency_key: "k".to_owned(),
            attempt: 2,
            deadline_ms: 0,
            traceparent: String::new(),
            extras: Vec::new(),
        }
    }

    fn note() -> Note {
        Note {
            product_id: "p".to_owned(),
            session_id: "s".to_owned(),
            conversation_id: "c".to_owned(),
            user_id: None,
            email: None,
            kind: NoteKind::Summary,
            seq: 1,
            body: "he wrote {{secret:token}}".to_owned(),
            actions: Vec::new(),
            extras: Vec::new(),
        }
    }

    fn host() -> Host {
        Host::new().config("url", "https://bot.example/notes").secret("signing", "k1")
    }

    #[test]
    fn the_id_of_the_answer_is_the_notes_id() {
        let cases = [
            (r#"{"note_id":"n1","id":"other"}"#, Some("n1")),
            (r#"{"id":"n2"}"#, Some("n2")),
            (r#"{"id":17}"#, Some("17")),
            (r#"{"id":""}"#, None),
            (r#"{"ok":true}"#, None),
            (r#"{"id":[1]}"#, None),
            ("taken, thanks", None),
            ("", None),
        ];
        for (answer, wanted) in cases {
            host().respond(200, answer).install();
            let posted = post(&call(), &note(), 1_700_000_000).unwrap();
            assert_eq!(posted.note_id.as_deref(), wanted, "{answer}");
        }
    }

    #[test]
    fn what_people_wrote_is_never_read_as_a_placeholder() {
        let host = host().config("bearer", "true").respond(200, "").install();
        post(&call(), &note(), 1_700_000_000).unwrap();
        let request = &host.requests()[0];
        assert!(!request.secrets_in_body);
        assert!(
            request
                .headers
                .contains(&("authorization".to_owned(), "Bearer {{secret:token}}".to_owned()))
        );
        assert!(
            request.headers.contains(&("x-sidenote-timestamp".to_owned(), "1700000000".to_owned()))
        );
    }

    #[test]
    fn a_configuration_that_cannot_be_used_sends_nothing() {
        for host in [
            Host::new().secret("signing", "k1"),
            Host::new().config("url", "https://bot.example"),
            host().config("unsigned", "yes"),
            host().config("bearer", "1"),
        ] {
            let host = host.install();
            let failure = post(&call(), &note(), 0).unwrap_err();
            assert_eq!(
                (failure.kind, failure.sent),
                (FailureKind::Invalid, Sent::NotSent),
                "{}",
                failure.message
            );
            assert!(host.requests().is_empty());
        }
    }
}
