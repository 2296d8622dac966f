//! `cargo test`: the plugin's logic on this machine, with a host in memory.

use sidenote_plugin::test::{self, Host, Response};
use sidenote_plugin::{FailureKind, Sent, crypto};

use super::*;

fn host() -> Host {
    Host::new().config("url", "https://bot.example/notes").secret("incoming", "s")
}

fn post() -> Result<Posted, Failure> {
    Bot::post_note(test::call(), test::note("he typed {{secret:token}}"))
}

#[test]
fn a_note_is_posted_with_its_key_and_the_id_of_the_answer_is_its_id() {
    let host = host().respond(201, r#"{"id":"n1"}"#).install();
    assert_eq!(post().unwrap().note_id.as_deref(), Some("n1"));
    let request = &host.requests()[0];
    assert!(!request.secrets_in_body);
    let bearer = ("authorization".to_owned(), "Bearer {{secret:token}}".to_owned());
    assert!(request.headers.contains(&bearer));
    let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(body["text"], "he typed {{secret:token}}");
    assert_eq!(body["key"], test::call().idempotency_key);
    assert_eq!(body["conversation"], test::note("").conversation_id);
}

#[test]
fn an_answer_without_an_id_is_no_failure() {
    let cases =
        [(r#"{"id":17}"#, Some("17")), (r#"{"id":""}"#, None), ("null", None), ("taken", None)];
    for (answer, wanted) in cases {
        host().respond(200, answer).install();
        assert_eq!(post().unwrap().note_id.as_deref(), wanted, "{answer}");
    }
}

#[test]
fn a_refusal_says_what_the_host_is_to_do() {
    let headers = vec![("retry-after".to_owned(), "7".to_owned())];
    host().respond_with(Ok(Response { status: 429, headers, body: Vec::new() })).install();
    let failure = post().unwrap_err();
    assert_eq!((failure.kind, failure.retry_after_ms), (FailureKind::RateLimited, Some(7000)));
    for (status, kind, sent) in [
        (401, FailureKind::Auth, Sent::Sent),
        (404, FailureKind::NotFound, Sent::Sent),
        (500, FailureKind::Transient, Sent::Unknown),
        (422, FailureKind::Invalid, Sent::Sent),
    ] {
        host().respond(status, "").install();
        let failure = post().unwrap_err();
        assert_eq!((failure.kind, failure.sent), (kind, sent), "{status}");
    }
}

fn receive(body: &str, headers: usize) -> Result<Vec<Event>, Rejection> {
    let hash = crypto::hmac_sign("incoming", Hash::Sha256, Encoding::Hex, body.as_bytes());
    let signature = format!("sha256={}", hash.unwrap_or_default());
    let headers = vec![(HEADER, signature.as_str()); headers];
    Bot::receive(test::webhook("POST", &headers, body.as_bytes()))
}

#[test]
fn a_signed_webhook_becomes_an_event() {
    host().install();
    let body = r#"{"event":"opened","conversation":"c1","session":"s1","email":"","text":"hi"}"#;
    let turn = Turn {
        session_id: Some("s1".to_owned()),
        text: Some("hi".to_owned()),
        ..Turn::new("c1")
    };
    let turn = turn.vouched([Identity::SessionId]);
    assert_eq!(receive(body, 1), Ok(vec![Event::Opened(turn)]));
    let replied = receive(r#"{"event":"replied","conversation":"c1"}"#, 1);
    assert_eq!(replied, Ok(vec![Event::Replied(Turn::new("c1"))]));
    assert_eq!(receive(r#"{"event":"closed"}"#, 1), Ok(vec![Event::Ignored]));
}

#[test]
fn numbers_are_ids_too_and_half_of_a_surrogate_pair_takes_nothing_with_it() {
    host().install();
    let body = r#"{"event":"opened","conversation":7,"user":4711,"session":1.5,"text":"hm \ud83d"}"#;
    let turn = Turn {
        external_user_id: Some("4711".to_owned()),
        text: Some("hm \u{FFFD}".to_owned()),
        ..Turn::new("7")
    };
    let turn = turn.vouched([Identity::ExternalUserId]);
    assert_eq!(receive(body, 1), Ok(vec![Event::Opened(turn)]));
}

#[test]
fn the_bot_vouches_for_what_it_says_unless_it_says_otherwise() {
    host().install();
    for (more, names) in [
        ("", Some("session-id email")),
        (r#","verified":true"#, Some("session-id email")),
        (r#","verified":null"#, Some("session-id email")),
        (r#","verified":["email","user"]"#, Some("email")),
        (r#","verified":false"#, None),
        (r#","verified":"email""#, None),
        (r#","verified":[]"#, None),
    ] {
        let known = r#""conversation":"c1","session":"s1","email":"a@b.example""#;
        let events = receive(&format!(r#"{{"event":"opened",{known}{more}}}"#), 1).unwrap();
        let [Event::Opened(turn)] = &*events else { panic!("{events:?}") };
        let wanted = names.map(|names| ("verified".to_owned(), names.to_owned()));
        assert_eq!(turn.extras, Vec::from_iter(wanted), "{more}");
    }
}

#[test]
fn what_cannot_be_verified_or_read_is_rejected() {
    host().install();
    let body = r#"{"event":"opened","conversation":"c1"}"#;
    for (body, headers, status, code) in [
        (body, 0, 401, "signature"),
        (body, 2, 401, "signature"),
        ("{", 1, 400, "body"),
        (r#"{"event":"opened"}"#, 1, 400, "body"),
        (r#"{"event":"opened","conversation":[7]}"#, 1, 400, "body"),
        (r#"{"event":"opened","conversation":" "}"#, 1, 400, "body"),
    ] {
        let rejection = receive(body, headers).unwrap_err();
        assert_eq!((rejection.status, &*rejection.code), (status, code), "{body}");
    }
    let forged = [(HEADER, "sha256=00")];
    let rejection = Bot::receive(test::webhook("POST", &forged, body.as_bytes())).unwrap_err();
    assert_eq!(rejection.status, 401);
    let rejection = Bot::receive(test::webhook("GET", &forged, b"")).unwrap_err();
    assert_eq!(rejection.status, 405);
}

#[test]
fn without_its_secret_every_webhook_is_refused() {
    Host::new().install();
    let rejection = receive("{}", 1).unwrap_err();
    assert_eq!((rejection.status, &*rejection.code), (503, "secret"));
}
