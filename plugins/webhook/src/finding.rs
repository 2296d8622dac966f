//! Notes looked for before they are sent again, where the operator names an endpoint for it.

use serde::Serialize;
use serde_json::Value;
use sidenote_plugin::{Call, Failure, NoteId, Sent, config};

use crate::post;

/// Asks the bot for a note. Without an endpoint nobody can be asked, and the note is sent again under its
/// key.
pub(crate) fn find(
    call: &Call,
    conversation_id: &str,
    idempotency_key: &str,
) -> Result<Option<NoteId>, Failure> {
    let Some(url) = config::get("find_url") else {
        return Ok(None);
    };
    let call = Call { idempotency_key: idempotency_key.to_owned(), ..call.clone() };
    let response = post::send(&url, &call, "find", Body { conversation_id })?;
    if matches!(response.status, 404 | 410) {
        return Ok(None);
    }
    // An answer that can't be read is a failure: taken for "no", it would double the note.
    let response = response.error_for_status()?;
    let answer: Value = response.json()?;
    match answer["found"].as_bool() {
        // An empty id: the note is there and has no name.
        Some(true) => Ok(Some(post::id_in(&response).unwrap_or_default())),
        Some(false) => Ok(None),
        None => Err(Failure::permanent("json", "the answer has no `found`").with_sent(Sent::Sent)),
    }
}

#[derive(Serialize)]
struct Body<'a> {
    conversation_id: &'a str,
}

#[cfg(test)]
mod tests {
    use sidenote_plugin::FailureKind;
    use sidenote_plugin::test::{self, Host};

    use super::*;

    fn answered(status: u16, body: &str) -> Result<Option<NoteId>, Failure> {
        let host = Host::new().config("find_url", "https://bot.example/find");
        host.config("unsigned", "true").respond(status, body).install();
        find(&test::call(), "c-1", "key-9")
    }

    #[test]
    fn without_an_endpoint_nothing_is_asked() {
        let host = Host::new().install();
        assert_eq!(find(&test::call(), "c-1", "key-9"), Ok(None));
        assert!(host.requests().is_empty());
    }

    #[test]
    fn the_bot_says_whether_it_has_the_note() {
        for (status, body, wanted) in [
            (200, r#"{"found":true,"note_id":"n1"}"#, Some("n1")),
            (200, r#"{"found":true,"id":7}"#, Some("7")),
            (200, r#"{"found":true}"#, Some("")),
            (200, r#"{"found":false}"#, None),
            (200, r#"{"found":false,"id":"n1"}"#, None),
            (404, "", None),
            (410, "", None),
        ] {
            assert_eq!(answered(status, body), Ok(wanted.map(str::to_owned)), "{status} {body}");
        }
    }

    #[test]
    fn an_answer_that_says_nothing_is_a_failure() {
        for (status, body, kind) in [
            (200, "", FailureKind::Permanent),
            (200, "{}", FailureKind::Permanent),
            (200, r#"{"found":"yes"}"#, FailureKind::Permanent),
            (500, "", FailureKind::Transient),
            (429, "", FailureKind::RateLimited),
            (403, "", FailureKind::Auth),
        ] {
            assert_eq!(answered(status, body).unwrap_err().kind, kind, "{status} {body}");
        }
    }
}
