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
        "contacts": { "contacts": [{ "external_id": "u-1" }] },
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

/// A conversation of the Messenger by a user with an id and an address.
fn by_user() -> Value {
    json!({
        "id": "525",
        "custom_attributes": { "session_id": "s-1" },
        "contacts": { "contacts": [{ "type": "contact", "id": "c-1", "external_id": "u-1" }] },
        "source": {
            "type": "conversation",
            "author": { "type": "user", "id": "c-1", "email": "ann@example.com" },
        },
        "conversation_parts": { "conversation_parts": [
            { "type": "conversation_part", "author": { "type": "user", "id": "c-1" } },
        ] },
    })
}

fn vouched(item: &Value, setting: Option<&str>) -> Option<String> {
    let request = signed(&notification("conversation.user.replied", item));
    let host = Host::new().secret(SECRET, KEY);
    match setting {
        Some(setting) => host.config("identity_verification", setting).install(),
        None => host.install(),
    };
    let events = read(&request).unwrap();
    let [Event::Replied(turn)] = &*events else { panic!("{events:?}") };
    assert!(turn.extras.len() <= 1, "{:?}", turn.extras);
    turn.extras.first().map(|(key, names)| format!("{key}: {names}"))
}

#[test]
fn a_users_id_is_verified_where_messenger_security_is_on_and_everything_else_is_a_claim() {
    let with = |change: &dyn Fn(&mut Value)| {
        let mut item = by_user();
        change(&mut item);
        item
    };
    let id = Some("verified: external-user-id".to_owned());
    assert_eq!(vouched(&by_user(), Some("true")), id);
    assert_eq!(vouched(&by_user(), Some("false")), None);
    assert_eq!(vouched(&by_user(), None), None);
    // A user without an id is proven by the address.
    let by_address = with(&|it| it["contacts"]["contacts"][0]["external_id"] = Value::Null);
    assert_eq!(vouched(&by_address, Some("true")), Some("verified: email".to_owned()));
    for claim in [
        with(&|it| it["source"]["author"]["type"] = json!("lead")),
        with(&|it| it["source"]["author"]["type"] = json!("visitor")),
        with(&|it| it["source"]["author"]["type"] = json!("contact")),
        with(&|it| it["source"]["author"]["type"] = Value::Null),
        with(&|it| it["contacts"]["contacts"][0]["type"] = json!("lead")),
        with(&|it| it["contacts"]["contacts"][0]["id"] = json!("merged-into")),
        with(&|it| it["source"]["type"] = json!("email")),
        with(&|it| it["source"]["type"] = json!("whatsapp")),
        with(&|it| it["source"]["email_message_metadata"] = json!({ "subject": "Hi" })),
        with(&|it| {
            it["conversation_parts"]["conversation_parts"][0]["email_message_metadata"] =
                json!({ "subject": "Re: Hi" });
        }),
        with(&|it| it["source"]["author"] = json!({ "type": "admin", "id": 7 })),
    ] {
        let wanted = match claim["source"]["author"]["type"].as_str() {
            // The person who answers support is a user.
            Some("admin") => id.clone(),
            _ => None,
        };
        assert_eq!(vouched(&claim, Some("true")), wanted, "{claim}");
    }
    let odd = signed(&notification("conversation.user.replied", &by_user()));
    Host::new().secret(SECRET, KEY).config("identity_verification", "yes").install();
    assert_eq!(read(&odd).unwrap_err().code, "config");
}

#[test]
fn of_several_contacts_the_author_is_meant_and_what_others_write_is_ignored() {
    let mut item = by_user();
    item["contacts"]["contacts"] = json!([
        { "id": "c-0", "external_id": "u-0" }, null, { "id": "c-1", "external_id": 17 },
    ]);
    let turn = turn_of("conversation.user.replied", &item);
    assert_eq!(turn.external_user_id.as_deref(), Some("17"));
    item["source"]["author"]["id"] = Value::Null;
    let turn = turn_of("conversation.user.replied", &item);
    assert_eq!(turn.external_user_id, None, "nobody says which of them it is");
    item["source"]["author"]["id"] = json!("c-0");
    let other = read(&signed(&notification("conversation.user.replied", &item)));
    assert_eq!(other, Ok(vec![Event::Ignored]));
}

#[test]
fn a_lead_who_signed_in_is_the_user_whom_the_contact_was_merged_into() {
    let mut item = by_user();
    item["source"]["author"] = json!({ "type": "lead", "id": "c-0", "email": "typed@example.com" });
    item["conversation_parts"]["conversation_parts"][0]["author"]["email"] =
        json!("ann@example.com");
    let turn = turn_of("conversation.user.replied", &item);
    assert_eq!(turn.external_user_id.as_deref(), Some("u-1"));
    assert_eq!(turn.email.as_deref(), Some("ann@example.com"));
    assert_eq!(vouched(&item, Some("true")), Some("verified: external-user-id".to_owned()));
    // Before that, the lead says who he is.
    item["conversation_parts"]["conversation_parts"][0]["author"]["id"] = json!("c-0");
    assert_eq!(vouched(&item, Some("true")), None);
}

#[test]
fn a_webhook_of_another_workspace_is_refused_where_ours_is_known() {
    let body = |app: Value| {
        json!({ "topic": "conversation.user.created", "app_id": app, "data": { "item": by_user() } })
            .to_string()
            .into_bytes()
    };
    for (ours, app, refused) in [
        (None, json!("a1"), false),
        (Some("a1"), json!("a1"), false),
        (Some("a1"), json!("a2"), true),
        (Some("a1"), Value::Null, true),
        (Some("42"), json!(42), false),
    ] {
        let request = signed(&body(app.clone()));
        let host = Host::new().secret(SECRET, KEY);
        match ours {
            Some(ours) => host.config("app_id", ours).install(),
            None => host.install(),
        };
        let status = read(&request).err().map(|rejection| (rejection.status, rejection.code));
        assert_eq!(status, refused.then(|| (403, "app".to_owned())), "{ours:?} {app}");
    }
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
fn what_support_does_is_told_by_who_does_it_and_names_nobody() {
    let by = |topic: &str, kind: &str, admin: &str, body: &str| {
        let mut item = by_user();
        item["conversation_parts"]["conversation_parts"] = json!([{
            "id": "41", "part_type": kind, "body": body, "author": { "type": "admin", "id": admin },
        }]);
        let request = signed(&notification(topic, &item));
        Host::new().secret(SECRET, KEY).config("admin_id", "7").install();
        read(&request).unwrap().remove(0)
    };
    let turn = Turn::new("525").with_message_id(Some("41".to_owned()));
    let (agent, bot) = (turn.clone().by_agent(), turn.clone().by_bot());
    let (replied, closed) = ("conversation.admin.replied", "conversation.admin.closed");
    assert_eq!(by(replied, "comment", "8", "Hello"), Event::Replied(agent.clone()));
    assert_eq!(by(replied, "comment", "7", "Hello"), Event::Replied(bot.clone()));
    assert_eq!(by(replied, "quick_reply", "7", ""), Event::Replied(bot.clone()));
    let marked = crate::marker::of("key-1");
    assert_eq!(by(replied, "comment", "8", &marked), Event::Replied(bot.clone()));
    assert_eq!(by(replied, "note", "8", "Between us"), Event::Ignored);
    assert_eq!(by(closed, "close", "8", "Bye"), Event::Replied(agent.clone().closed()));
    for topic in ["conversation.admin.opened", "conversation.admin.unsnoozed"] {
        assert_eq!(by(topic, "open", "8", ""), Event::Replied(agent.clone().reopened()), "{topic}");
    }
    let mut item = by_user();
    item["conversation_parts"]["conversation_parts"] =
        json!([{ "id": "41", "part_type": "comment", "author": { "type": "bot", "id": "9" } }]);
    for topic in [replied, "conversation.operator.replied"] {
        let told = read(&signed(&notification(topic, &item))).unwrap();
        assert_eq!(told, [Event::Replied(bot.clone())], "{topic}");
    }
    item["source"] = json!({ "id": "3", "author": { "type": "admin", "id": 8 } });
    let opened = read(&signed(&notification("conversation.admin.single.created", &item))).unwrap();
    let first = Turn::new("525").with_message_id(Some("3".to_owned())).by_agent();
    assert_eq!(opened, [Event::Opened(first)]);
}

#[test]
fn a_click_tells_the_id_of_the_quick_reply_as_the_host_gave_it() {
    let option = "o0123456789abcdef0123";
    let mut item = by_user();
    let part = &mut item["conversation_parts"]["conversation_parts"][0];
    part["id"] = json!("42");
    part["body"] = json!("Yes, please");
    part["metadata"] = json!({ "quick_reply_uuid": crate::uuid::of(option) });
    let turn = turn_of("conversation.user.replied", &item);
    assert_eq!(turn.text.as_deref(), Some("Yes, please"));
    let extras = [("message-id", "42"), ("option-id", option)];
    assert_eq!(turn.extras, extras.map(|(key, value)| (key.to_owned(), value.to_owned())));
    item["conversation_parts"]["conversation_parts"][0]["metadata"]["quick_reply_uuid"] =
        json!("123e4567-e89b-12d3-a456-426614174000");
    let turn = turn_of("conversation.user.replied", &item);
    assert_eq!(turn.extras, [("message-id".to_owned(), "42".to_owned())], "another app's");
}

#[test]
fn what_nobody_needs_to_know_is_ignored_and_what_cannot_be_read_is_refused() {
    for topic in ["ping", "conversation.admin.noted", "conversation.admin.assigned", "user.created"]
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
