//! Notes redacted, where the operator names an endpoint for it.

use serde::Serialize;
use serde_json::Value;
use sidenote_plugin::http::Response;
use sidenote_plugin::{Call, Failure, Redaction, config};

use crate::post;

/// Has the bot redact a note.
pub(crate) fn redact(
    call: &Call,
    conversation_id: &str,
    note_id: &str,
) -> Result<Redaction, Failure> {
    let Some(url) = config::get("redact_url") else {
        return Ok(Redaction::Unsupported);
    };
    let response = post::send(&url, call, "redact", Body { conversation_id, note_id })?;
    match response.status {
        // It isn't there any more, which is what was wanted.
        404 | 410 => Ok(Redaction::Removed),
        501 => Ok(Redaction::Unsupported),
        _ => Ok(said(&response.error_for_status()?)),
    }
}

#[derive(Serialize)]
struct Body<'a> {
    conversation_id: &'a str,
    note_id: &'a str,
}

/// What the bot did; where it doesn't say, it did what it was asked for.
fn said(response: &Response) -> Redaction {
    let answer: Value = response.json().unwrap_or_default();
    match answer["redaction"].as_str() {
        Some("overwritten") => Redaction::Overwritten,
        Some("unsupported") => Redaction::Unsupported,
        Some(_) | None => Redaction::Removed,
    }
}

#[cfg(test)]
mod tests {
    use sidenote_plugin::FailureKind;
    use sidenote_plugin::test::{self, Host};

    use super::*;

    fn answered(status: u16, body: &str) -> Result<Redaction, Failure> {
        let host = Host::new().config("redact_url", "https://bot.example/redact");
        host.config("unsigned", "true").respond(status, body).install();
        redact(&test::call(), "c-1", "n-1")
    }

    #[test]
    fn without_an_endpoint_a_note_stays() {
        let host = Host::new().install();
        assert_eq!(redact(&test::call(), "c-1", "n-1"), Ok(Redaction::Unsupported));
        assert!(host.requests().is_empty());
    }

    #[test]
    fn the_bot_says_what_became_of_a_note() {
        for (status, body, wanted) in [
            (200, r#"{"redaction":"overwritten"}"#, Redaction::Overwritten),
            (200, r#"{"redaction":"unsupported"}"#, Redaction::Unsupported),
            (200, r#"{"redaction":"removed"}"#, Redaction::Removed),
            (200, r#"{"ok":true}"#, Redaction::Removed),
            (204, "", Redaction::Removed),
            (404, "", Redaction::Removed),
            (410, "", Redaction::Removed),
            (501, "", Redaction::Unsupported),
        ] {
            assert_eq!(answered(status, body), Ok(wanted), "{status} {body}");
        }
        for (status, kind) in [
            (429, FailureKind::RateLimited),
            (403, FailureKind::Auth),
            (500, FailureKind::Transient),
            (400, FailureKind::Invalid),
        ] {
            assert_eq!(answered(status, "").unwrap_err().kind, kind, "{status}");
        }
    }
}
