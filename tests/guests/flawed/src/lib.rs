//! A plugin that does everything right, or everything but one thing, which its setting `flaw` names: what
//! the contract suite must tell from each other.

mod incoming;

use sidenote_plugin::http::Response;
use sidenote_plugin::webhook::{Event, Rejection, Request};
use sidenote_plugin::{
    Call, Failure, FailureKind, Finder, Note, NoteId, Posted, Redaction, Redactor, Sent, Webhook,
    Writer, config, http,
};

/// The plugin.
pub struct Flawed;

/// Whether this is what is wrong.
fn is(flaw: &str) -> bool {
    config::get("flaw").as_deref() == Some(flaw)
}

impl Writer for Flawed {
    fn post_note(call: Call, note: Note) -> Result<Posted, Failure> {
        leak(&note);
        if is("sends-nothing") {
            return Ok(Posted::with_id("made-up"));
        }
        let body = serde_json::json!({ "text": written(&note.body) });
        let response = send(&call, &note, &body).map_err(|error| misjudged(error.into()))?;
        if is("posts-twice") {
            send(&call, &note, &body)?;
        }
        if !response.is_success() && is("swallows-refusals") {
            return Ok(Posted::without_id());
        }
        let response = response.error_for_status().map_err(misjudged)?;
        posted(&response)
    }
}

fn send(call: &Call, note: &Note, body: &serde_json::Value) -> Result<Response, http::Error> {
    let url = config::get("url").unwrap_or_default();
    let key = if is("makes-up-keys") {
        format!("{}-{}", call.idempotency_key, call.attempt)
    } else {
        call.idempotency_key.clone()
    };
    let mut request = http::Request::post(format!("{url}/notes/{}", note.conversation_id))
        .bearer_secret("token")
        .header("content-type", "application/json")
        .body(body.to_string());
    if !is("keeps-the-key") {
        request = request.header("idempotency-key", key);
    }
    if is("spills-secrets") {
        request = request.secrets_in_body();
    }
    request.send()
}

fn written(text: &str) -> String {
    if is("knows-ascii-only") {
        return text.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect();
    }
    if is("traps-on-nul") && text.contains('\0') {
        panic!("a NUL");
    }
    if is("traps-on-nothing") && text.is_empty() {
        panic!("no text");
    }
    text.to_owned()
}

/// What the platform answered with success.
fn posted(response: &Response) -> Result<Posted, Failure> {
    if is("makes-up-ids") {
        return Ok(Posted::with_id("made-up"));
    }
    if is("forgets-ids") {
        return Ok(Posted::without_id());
    }
    let answer: Option<serde_json::Value> = serde_json::from_slice(&response.body).ok();
    if is("traps-on-garbage") {
        let answer = answer.expect("the platform speaks JSON");
        return Ok(Posted::with_id(answer["id"].to_string()));
    }
    if is("doubles") && answer.is_none() {
        return Err(Failure::transient("json", "the answer can't be read"));
    }
    let id = answer.as_ref().and_then(|answer| answer["id"].as_str());
    Ok(id.map_or_else(Posted::without_id, Posted::with_id))
}

fn misjudged(failure: Failure) -> Failure {
    let with = |kind| Failure { kind, ..failure.clone() };
    if is("never-gives-up") {
        with(FailureKind::Transient)
    } else if is("gives-up-at-once") {
        with(FailureKind::Permanent)
    } else if is("waits-for-nothing") {
        Failure { retry_after_ms: None, ..failure }
    } else if is("waits-too-long") && failure.retry_after_ms.is_some() {
        Failure { retry_after_ms: Some(86_400_000), ..failure }
    } else if is("denies-sending") {
        failure.with_sent(Sent::NotSent)
    } else {
        failure
    }
}

fn leak(note: &Note) {
    if is("leaks-memory") {
        std::mem::forget(vec![1_u8; 8 * note.body.len()]);
    }
    if is("leaks-handles") {
        std::mem::forget(wasip2::clocks::monotonic_clock::subscribe_duration(0));
    }
    if is("traps-later") {
        static CALLS: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let calls = CALLS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        assert!(calls < 60, "too many calls");
    }
}

impl Finder for Flawed {
    fn find_note(_: Call, conversation: String, key: String) -> Result<Option<NoteId>, Failure> {
        let url = config::get("url").unwrap_or_default();
        let response =
            http::Request::get(format!("{url}/notes/{conversation}?key={key}")).send()?;
        if is("finds-nothing-ever") && !response.is_success() {
            return Ok(None);
        }
        let found: serde_json::Value = response.error_for_status()?.json()?;
        Ok(found["notes"][0]["id"].as_str().map(str::to_owned))
    }
}

impl Redactor for Flawed {
    fn redact_note(_: Call, conversation: String, id: NoteId) -> Result<Redaction, Failure> {
        let url = config::get("url").unwrap_or_default();
        let request = http::Request::new("DELETE", format!("{url}/notes/{conversation}/{id}"));
        let response = request.bearer_secret("token").send()?;
        if response.status == 404 || is("says-removed") {
            return Ok(Redaction::Removed);
        }
        response.error_for_status()?;
        Ok(Redaction::Removed)
    }
}

impl Webhook for Flawed {
    fn receive(request: Request) -> Result<Vec<Event>, Rejection> {
        incoming::read(&request)
    }
}

sidenote_plugin::export!(
    Flawed: Writer, Finder, Redactor, Webhook;
    manifest = include_str!("../manifest.json")
);
