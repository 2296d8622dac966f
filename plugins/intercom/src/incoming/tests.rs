use serde_json::json;
use sidenote_plugin::crypto;
use sidenote_plugin::test::{self, Host};

use super::*;

const KEY: &str = "client-secret";

fn sign(key: &str, hash: Hash, body: &[u8]) -> String {
    Host::new().secret(SECRET, key).install();
    let digits = crypto::hmac_sign(SECRET, hash, Encoding::Hex, body).unwrap();
    Host::new().secret(SECRET, KEY).install();
    digits
}

fn notification(topic: &str, item: &Value) -> Vec<u8> {
    json!({ "type": "notification_event", "topic": topic, "data": { "item": item } })
        .to_string()
        .into_bytes()
}

fn signed(body: &[u8]) -> Request {
    let signature = format!("sha1={}", sign(KEY, Hash::Sha1, body));
    test::webhook("POST", &[("X-Hub-Signature", &signature)], body)
}

fn turn_of(topic: &str, item: &Value) -> Turn {
    match &*read(&signed(&notification(topic, item))).unwrap() {
        [Event::Opened(turn)] if topic.ends_with("created") => turn.clone(),
        [Event::Replied(turn)] if topic.ends_with("replied") => turn.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_known_signature_verifies() {
    // printf '{"type":"notification_event","topic":"ping","data":{"item":{}}}' | openssl dgst -sha1 -hmac client-secret
    let body = br#"{"type":"notification_event","topic":"ping","data":{"item":{}}}"#;
    let header = ("x-hub-signature", "sha1=98217e70472a1aa7386e6e085f3ecf50a8919b49");
    Host::new().secret(SECRET, KEY).install();
    assert_eq!(read(&test::webhook("POST", &[header], body)), Ok(vec![Event::Ignored]));
}

#[test]
fn a_conversation_tells_its_session_its_person_and_what_was_written() {
    let item = json!({
        "id": "525",
        "custom_attributes": { "session_id": "s-1", "plan": 3 },
        "contacts": { "contacts": [{ "external_id": null }, { "external_id": "u-1" }] },
        "source": {
            "body": "<p>I can&#39;t <b>pay</b></p>",
            "author": { "type": "user", "email": "ann@example.com" },
        },
        "conversation_parts": { "conversation_parts": [
            { "body": "first", "author": { "type": "user", "email": "x@example.com" } },
            { "body": "and a < b", "author": { "type": "user", "email": "x@example.com" } },
        ] },
    });
    let opened = Turn {
        session_id: Some("s-1".to_owned()),
        external_user_id: Some("u-1".to_owned()),
        email: Some("ann@example.com".to_owned()),
        text: Some("I can't pay".to_owned()),
        ..Turn::new("525")
    };
    assert_eq!(turn_of("conversation.user.created", &item), opened);
    let replied = Turn { text: Some("and a < b".to_owned()), ..opened };
    assert_eq!(turn_of("conversation.user.replied", &item), replied);
}

#[test]
fn a_conversation_that_support_opened_names_the_person_who_answers() {
    let item = json!({
        "id": 525,
        "custom_attributes": { "session_id": " " },
        "contacts": { "contacts": [] },
        "source": { "body": "Hello", "author": { "type": "admin", "email": "ops@example.com" } },
        "conversation_parts": { "conversation_parts": [
            { "body": "Hi", "author": { "type": "lead", "email": "ann@example.com" } },
        ] },
    });
    let wanted = Turn {
        email: Some("ann@example.com".to_owned()),
        text: Some("Hi".to_owned()),
        ..Turn::new("525")
    };
    assert_eq!(turn_of("conversation.user.replied", &item), wanted);
}

#[test]
fn the_session_can_be_in_another_attribute() {
    let item = json!({ "id": "1", "custom_attributes": { "visit": 42, "session_id": "no" } });
    let request = signed(&notification("conversation.user.created", &item));
    Host::new().secret(SECRET, KEY).config("session_attribute", "visit").install();
    let events = read(&request).unwrap();
    let wanted = Turn { session_id: Some("42".to_owned()), ..Turn::new("1") };
    assert_eq!(events, [Event::Opened(wanted)]);
}

#[test]
fn what_support_does_is_ignored_and_what_cannot_be_read_is_refused() {
    for topic in ["ping", "conversation.admin.noted", "conversation.admin.replied", "user.created"]
    {
        let events = read(&signed(&notification(topic, &json!({}))));
        assert_eq!(events, Ok(vec![Event::Ignored]), "{topic}");
    }
    for body in [
        notification("conversation.user.created", &json!({})),
        notification("conversation.user.created", &json!({ "id": "" })),
        notification("conversation.user.created", &json!("text")),
        b"{".to_vec(),
    ] {
        let rejection = read(&signed(&body)).unwrap_err();
        assert_eq!((rejection.status, &*rejection.code), (400, "body"));
    }
}

#[test]
fn an_address_is_confirmed_where_webhooks_can_be_verified() {
    Host::new().secret(SECRET, KEY).install();
    let head = test::webhook("HEAD", &[], "");
    assert!(matches!(&*read(&head).unwrap(), [Event::Challenge(answer)] if answer.status == 200));
    assert_eq!(read(&test::webhook("GET", &[], "")).unwrap_err().status, 405);
    Host::new().install();
    assert_eq!(read(&head).unwrap_err().status, 503);
    assert_eq!(read(&test::webhook("POST", &[], "{}")).unwrap_err().status, 503);
    let unset = test::webhook("POST", &[("x-hub-signature", "sha1=00")], "{}");
    assert_eq!(read(&unset).unwrap_err().status, 503);
}

#[test]
fn every_signature_that_is_there_must_fit() {
    let body = notification("ping", &json!({}));
    let sha1 = format!("sha1={}", sign(KEY, Hash::Sha1, &body));
    let sha256 = format!("sha256={}", sign(KEY, Hash::Sha256, &body));
    let (one, two) = (("x-hub-signature", &*sha1), ("x-hub-signature-256", &*sha256));
    for headers in [&[one][..], &[two], &[one, two]] {
        assert!(read(&test::webhook("POST", headers, &body)).is_ok(), "{headers:?}");
    }
    let (wrong_one, wrong_two) =
        (("x-hub-signature", "sha1=00"), ("x-hub-signature-256", "sha256=00"));
    for headers in [
        &[][..],
        &[one, wrong_two],
        &[wrong_one, two],
        &[one, one],
        &[one, wrong_one],
        &[two, two],
        &[("x-hub-signature", &*sha256)],
        &[("x-hub-signature-256", &*sha1)],
        &[("x-hub-signature", sha1.trim_start_matches("sha1="))],
        &[("x-hub-signature", "")],
    ] {
        let rejection = read(&test::webhook("POST", headers, &body)).unwrap_err();
        assert_eq!((rejection.status, &*rejection.code), (401, "signature"), "{headers:?}");
    }
}

/// Ten thousand forgeries among as many genuine requests.
#[test]
fn no_forgery_is_taken_and_nothing_genuine_is_refused() {
    for n in 0..10_000_u64 {
        let item = json!({ "id": n.to_string(), "custom_attributes": { "session_id": n } });
        let body = notification("conversation.user.created", &item);
        let genuine = signed(&body);
        assert!(read(&genuine).is_ok(), "{n}");
        let mut forged = genuine.clone();
        let at = usize::try_from(n).unwrap();
        match n % 5 {
            0 => {
                let at = at / 5 % forged.body.len();
                forged.body[at] ^= 1 << (n % 8);
            }
            1 => {
                let digits = forged.headers[0].1.split_off("sha1=".len());
                let place = at / 5 % digits.len();
                let other = if digits.as_bytes()[place] == b'0' { "1" } else { "0" };
                let (before, after) = (&digits[..place], &digits[place + 1..]);
                forged.headers[0].1 = format!("sha1={before}{other}{after}");
            }
            2 => {
                forged.headers[0].1 =
                    format!("sha1={}", sign(&format!("tenant-{n}"), Hash::Sha1, &body));
            }
            3 => forged.headers.push(("x-hub-signature".to_owned(), "sha1=0".to_owned())),
            _ => {
                forged.headers.push(("x-hub-signature-256".to_owned(), format!("sha256={n:064x}")))
            }
        }
        let rejection = read(&forged).unwrap_err();
        assert_eq!((rejection.status, &*rejection.code), (401, "signature"), "{n}");
    }
}
