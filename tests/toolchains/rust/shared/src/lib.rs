//! The interface as wit-bindgen generates it, and what the writers here have in common: what they post, and what a
//! status means. `wstd` and `waki` send by themselves.

use std::time::SystemTime;

wit_bindgen::generate!({
    path: "../../../../wit/frozen/0.1.0",
    world: "writer-plugin",
    pub_export_macro: true,
    default_bindings_module: "shared",
    generate_unused_types: true,
});

pub use exports::sidenote::plugin::writer::Guest;
use sidenote::plugin::{config, http};
pub use sidenote::plugin::types::{Call, Failure, FailureKind, Note, Posted, Sent};

/// Where to post, as the operator configured it.
pub fn url() -> Result<String, Failure> {
    let missing = "`url` is missing in the configuration";
    config::get("url").ok_or_else(|| failure(FailureKind::Invalid, "config", missing, Sent::NotSent))
}

/// The headers of a note. The host puts the secret in its place.
pub const HEADERS: [(&str, &str); 2] =
    [("content-type", "application/json"), ("authorization", "Bearer {{secret:token}}")];

/// The body of a note.
pub fn body(call: &Call, note: &Note) -> Vec<u8> {
    let (conversation, text, key) = (&note.conversation_id, &note.body, &call.idempotency_key);
    serde_json::json!({ "conversation": conversation, "text": text, "key": key }).to_string().into_bytes()
}

/// Posts a note through the interface's own `http`.
pub fn post(call: &Call, note: &Note) -> Result<Posted, Failure> {
    let request = http::Request {
        method: "POST".to_owned(),
        url: url()?,
        headers: HEADERS.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        body: body(call, note),
        secrets_in_body: false,
        timeout_ms: None,
    };
    let response = http::send(&request).map_err(|error| {
        let kind = match error.kind {
            http::ErrorKind::Connect | http::ErrorKind::Timeout | http::ErrorKind::Io => {
                FailureKind::Transient
            }
            _ => FailureKind::Invalid,
        };
        failure(kind, "http", &error.message, error.sent)
    })?;
    let retry = response.headers.iter().find(|(name, _)| name == "retry-after");
    outcome(response.status, retry.map(|(_, value)| &**value), &response.body)
}

/// What an answer means.
pub fn outcome(status: u16, retry_after: Option<&str>, body: &[u8]) -> Result<Posted, Failure> {
    if (200..300).contains(&status) {
        // The bot has the note also where it doesn't say what it calls it.
        let id = serde_json::from_slice::<serde_json::Value>(body).ok();
        let note_id = id.and_then(|id| Some(id.get("id")?.as_str()?.to_owned()));
        return Ok(Posted { note_id, extras: Vec::new() });
    }
    let kind = match status {
        429 => FailureKind::RateLimited,
        401 | 403 => FailureKind::Auth,
        404 | 410 => FailureKind::NotFound,
        408 | 500.. => FailureKind::Transient,
        _ => FailureKind::Invalid,
    };
    // A gateway's answer: the bot may have the note.
    let sent = if matches!(status, 408 | 500 | 502 | 504) { Sent::Unknown } else { Sent::Sent };
    let mut failure = failure(kind, &status.to_string(), "the bot refused the note", sent);
    failure.retry_after_ms = retry_after.and_then(wait);
    Err(failure)
}

/// A failure of the kind.
pub fn failure(kind: FailureKind, code: &str, message: &str, sent: Sent) -> Failure {
    let (code, message) = (code.to_owned(), message.to_owned());
    Failure { kind, code, message, retry_after_ms: None, sent, extras: Vec::new() }
}

/// What `Retry-After` asks for, in seconds or up to a date.
fn wait(value: &str) -> Option<u64> {
    if let Ok(seconds) = value.parse::<u32>() {
        return Some(u64::from(seconds) * 1000);
    }
    let left = httpdate::parse_http_date(value).ok()?.duration_since(SystemTime::now());
    Some(left.map_or(0, |left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)))
}
