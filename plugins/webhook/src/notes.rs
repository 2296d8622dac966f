//! A note as JSON.

use sidenote_plugin::json::NoteBody;
use sidenote_plugin::{Call, Failure, Note, Posted, config};

use crate::post;

/// Posts one note.
pub(crate) fn post(call: &Call, note: &Note) -> Result<Posted, Failure> {
    let url = config::require("url")?;
    let response = post::send(&url, call, "note", NoteBody::from(note))?.error_for_status()?;
    // A bot owes no answer in JSON: what can't be read is no failure, the note was accepted.
    Ok(match post::id_in(&response) {
        Some(id) => Posted::with_id(id),
        None => Posted::without_id(),
    })
}

#[cfg(test)]
mod tests {
    use sidenote_plugin::test::{self, Host};
    use sidenote_plugin::{FailureKind, Sent, http};

    use super::*;

    fn host() -> Host {
        Host::new().config("url", "https://bot.example/notes").secret("signing", "k1")
    }

    fn note() -> Note {
        test::note("she wrote {{secret:token}}")
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
            let posted = post(&test::call(), &note()).unwrap();
            assert_eq!(posted.note_id.as_deref(), wanted, "{answer}");
        }
    }

    #[test]
    fn no_control_character_reaches_the_bot() {
        let host = host().respond(200, "").install();
        let mut note = test::note("Typed a\0b\n\u{1b}[31m");
        note.actions = test::batch(["Typed a\0b"]).actions;
        post(&test::call(), &note).unwrap();
        let body: serde_json::Value = serde_json::from_slice(&host.requests()[0].body).unwrap();
        assert_eq!(body["body"], "Typed a\u{FFFD}b\n\u{FFFD}[31m");
        assert_eq!(body["actions"][0]["description"], "Typed a\u{FFFD}b");
    }

    #[test]
    fn what_people_wrote_is_never_read_as_a_placeholder() {
        let host = host().config("bearer", "true").respond(200, "").install();
        host.at(1_700_000_000);
        post(&test::call(), &note()).unwrap();
        let request = &host.requests()[0];
        assert!(!request.secrets_in_body);
        for (name, value) in [
            ("authorization", "Bearer {{secret:token}}"),
            ("x-sidenote-timestamp", "1700000000"),
            ("x-sidenote-delivery", "key-1"),
        ] {
            assert!(request.headers.contains(&(name.to_owned(), value.to_owned())), "{name}");
        }
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
            let failure = post(&test::call(), &note()).unwrap_err();
            assert_eq!(
                (failure.kind, failure.sent),
                (FailureKind::Invalid, Sent::NotSent),
                "{}",
                failure.message
            );
            assert!(host.requests().is_empty());
        }
    }

    /// The table of answers in the README, row by row.
    #[test]
    fn a_status_decides_whether_a_note_is_sent_again() {
        use FailureKind::*;
        let rows: [(&[u16], FailureKind, Sent); 6] = [
            (&[429], RateLimited, Sent::Sent),
            (&[401, 403], Auth, Sent::Sent),
            (&[404, 410], NotFound, Sent::Sent),
            (&[503], Transient, Sent::Sent),
            (&[408, 500, 502, 504, 599], Transient, Sent::Unknown),
            (&[301, 302, 307, 400, 409, 413, 422], Invalid, Sent::Sent),
        ];
        for (statuses, kind, sent) in rows {
            for status in statuses {
                let headers = vec![("Retry-After".to_owned(), "7".to_owned())];
                let answer = http::Response { status: *status, headers, body: Vec::new() };
                host().respond_with(Ok(answer)).install();
                let failure = post(&test::call(), &note()).unwrap_err();
                let wanted = (kind, sent, Some(7000), status.to_string());
                let told = (failure.kind, failure.sent, failure.retry_after_ms, failure.code);
                assert_eq!(told, wanted, "{status}");
                assert!(failure.extras.is_empty(), "the limit is the account's");
            }
        }
        for status in [200, 201, 202, 204] {
            host().respond(status, "").install();
            assert_eq!(post(&test::call(), &note()), Ok(Posted::without_id()), "{status}");
        }
    }
}
