//! What the plugin posts and takes is what `schema/` says.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use sidenote_plugin::crypto::{self, Encoding, Hash};
use sidenote_plugin::help::Offer;
use sidenote_plugin::test::{self, Host};
use sidenote_plugin::webhook::{Event, Turn};
use sidenote_plugin::{Action, Finder, Messenger, NoteKind, Redactor, Webhook, Writer};
use sidenote_webhook::Generic;

fn schema(name: &str) -> Value {
    let path = format!("{}/schema/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn fits(schema: &Value, body: &Value) -> bool {
    jsonschema::draft202012::new(schema).unwrap().is_valid(body)
}

/// The posts of the plugin that `act` has it make.
fn posts(act: impl FnOnce()) -> Vec<Value> {
    let mut host = Host::new().secret("signing", "k");
    for key in ["url", "redact_url", "find_url", "offer_url", "reply_url"] {
        host = host.config(key, &format!("https://bot.example/{key}"));
    }
    for _ in 0..4 {
        host = host.respond(200, r#"{"found":true}"#);
    }
    let host = host.install();
    act();
    let requests = host.requests();
    requests.iter().map(|request| serde_json::from_slice(&request.body).unwrap()).collect()
}

#[test]
fn every_post_fits_its_schema_and_every_field_is_documented() {
    let action = Action {
        index: -1,
        kind: "click".to_owned(),
        title: "Click".to_owned(),
        description: "clicked Pay".to_owned(),
        canonical_url: "https://shop.example/cart".to_owned(),
        raw_url: String::new(),
        started_at: Some(1.5),
        ended_at: None,
    };
    let bodies = posts(|| {
        let mut note = test::note("clicked Pay");
        note.actions = vec![action];
        Generic::post_note(test::call(), note.clone()).unwrap();
        note.kind = NoteKind::Summary;
        (note.user_id, note.email, note.actions) = (None, None, Vec::new());
        Generic::post_note(test::call(), note).unwrap();
    });
    assert_eq!(bodies.len(), 2);
    for body in &bodies {
        check("note", body);
    }
    let others = posts(|| {
        Generic::redact_note(test::call(), "c-1".into(), "n-1".into()).unwrap();
        Generic::find_note(test::call(), "c-1".into(), "key-9".into()).unwrap();
        let offer = Offer::new("Trouble?").quick_reply("yes", "Yes");
        Generic::offer(test::call(), "c-1".into(), offer).unwrap();
        Generic::reply(test::call(), "c-1".into(), "Try again".into()).unwrap();
    });
    for (name, body) in ["redact", "find", "offer", "reply"].into_iter().zip(&others) {
        check(name, body);
        assert_eq!(body["type"], name);
    }
    assert_eq!(others.len(), 4);
    assert_eq!(others[1]["idempotency_key"], "key-9");
}

/// A body fits its schema; without any one of its fields, or with one of another type, it doesn't; and it
/// has no field that the schema doesn't describe.
fn check(name: &str, body: &Value) {
    let schema = schema(name);
    assert!(fits(&schema, body), "{name}: {body}");
    for key in body.as_object().unwrap().keys() {
        let mut without = body.clone();
        without.as_object_mut().unwrap().remove(key);
        assert!(!fits(&schema, &without), "{name} without {key}");
        let mut wrong = body.clone();
        wrong[key] = json!({});
        assert!(!fits(&schema, &wrong), "{name} with another {key}");
    }
    described(name, &schema, body);
}

fn described(place: &str, schema: &Value, body: &Value) {
    match body {
        Value::Object(fields) => {
            for (key, value) in fields {
                let property = &schema["properties"][key];
                assert!(property["description"].is_string(), "{place}.{key} isn't described");
                described(&format!("{place}.{key}"), property, value);
            }
        }
        Value::Array(items) => {
            for item in items {
                described(place, &schema["items"], item);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn what_the_plugin_takes_fits_the_schema_and_what_it_refuses_does_not() {
    let schema = schema("incoming");
    let turn = |event: &str| {
        json!({
            "event": event, "conversation_id": "c-1", "session_id": "s-1", "product_id": "shop",
            "user_id": "", "email": null, "text": "I can't pay",
        })
    };
    let meaning = |event: &Event| match event {
        Event::Opened(_) => "opened",
        Event::Replied(_) => "replied",
        Event::Challenge(_) => "challenge",
        Event::Ignored => "ignored",
    };
    for (body, wanted) in [
        (turn("opened"), "opened"),
        (turn("replied"), "replied"),
        (json!({"event": "challenge", "challenge": "x"}), "challenge"),
        (json!({"event": "typing"}), "ignored"),
        (json!({"event": "opened", "conversation_id": "c"}), "opened"),
        (json!({"event": "opened", "conversation_id": 4242, "user_id": 4711}), "opened"),
        (json!({"event": "opened", "conversation_id": "c", "verified": false}), "opened"),
        (json!({"event": "replied", "conversation_id": "c", "verified": ["email"]}), "replied"),
        (json!({"event": "replied", "conversation_id": "c", "author": "agent"}), "replied"),
        (json!({"event": "replied", "conversation_id": "c", "happened": "closed"}), "replied"),
        (json!({"event": "replied", "conversation_id": "c", "author": null}), "replied"),
        (json!({"event": "replied", "conversation_id": "c", "author": "manager"}), "ignored"),
        (json!({"event": "opened", "conversation_id": "c", "happened": "merged"}), "ignored"),
    ] {
        assert!(fits(&schema, &body), "{body}");
        let events = receive(&body).unwrap();
        assert_eq!(events.iter().map(meaning).collect::<Vec<_>>(), [wanted], "{body}");
    }
    for body in [
        json!({}),
        json!([]),
        json!({"event": 1}),
        json!({"event": "opened"}),
        json!({"event": "replied", "conversation_id": ""}),
        json!({"event": "opened", "conversation_id": null}),
    ] {
        assert!(!fits(&schema, &body), "{body}");
        assert_eq!(receive(&body).unwrap_err(), (400, "body".to_owned()), "{body}");
    }
}

#[test]
fn who_did_what_is_told_by_the_documented_words_and_only_a_person_is_named() {
    let told = |changes: &[(&str, Value)]| {
        let mut body = json!({
            "event": "replied", "conversation_id": "c-1", "user_id": "u-1", "message_id": 7,
            "text": "Yes, please",
        });
        for (key, value) in changes {
            body[key] = value.clone();
        }
        let events = receive(&body).unwrap();
        let [Event::Replied(turn)] = &*events else { panic!("{events:?}") };
        turn.clone()
    };
    let extras = |turn: &Turn| -> Vec<(String, String)> { turn.extras.clone() };
    let own = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(key, word)| ((*key).to_owned(), (*word).to_owned())).collect()
    };
    let clicked = told(&[("option_id", json!("o1")), ("author", json!("person"))]);
    assert_eq!(clicked.external_user_id.as_deref(), Some("u-1"));
    let verified = ("verified", "external-user-id");
    assert_eq!(extras(&clicked), own(&[("message-id", "7"), verified, ("option-id", "o1")]));
    for (author, happened) in [("agent", "message"), ("agent", "closed"), ("bot", "message")] {
        let turn = told(&[("author", json!(author)), ("happened", json!(happened))]);
        assert_eq!((&turn.external_user_id, &turn.text), (&None, &None));
        let mut wanted = own(&[("message-id", "7"), ("author", author)]);
        if happened != "message" {
            wanted.extend(own(&[("happened", happened)]));
        }
        assert_eq!(extras(&turn), wanted);
    }
    for happened in ["typing", "closed", "reopened", "reaction"] {
        let turn = told(&[("happened", json!(happened))]);
        assert_eq!(extras(&turn).last(), own(&[("happened", happened)]).last());
    }
}

#[test]
fn a_bot_vouches_for_what_it_says_unless_it_says_otherwise() {
    let all = "session-id external-user-id email";
    for (verified, wanted) in [
        (None, Some(all)),
        (Some(json!(true)), Some(all)),
        (Some(json!(null)), Some(all)),
        (Some(json!(false)), None),
        (Some(json!(["user_id"])), Some("external-user-id")),
        (Some(json!(["email", "session_id", "odd"])), Some("session-id email")),
        (Some(json!([])), None),
        (Some(json!("email")), None),
        (Some(json!({ "email": true })), None),
    ] {
        let mut body = json!({
            "event": "opened", "conversation_id": "c-1", "session_id": 4242, "user_id": 4711,
            "email": "ann@example.com",
        });
        if let Some(verified) = verified {
            body["verified"] = verified;
        }
        let events = receive(&body).unwrap();
        let [Event::Opened(turn)] = &*events else { panic!("{events:?}") };
        assert_eq!(turn.session_id.as_deref(), Some("4242"));
        assert_eq!(turn.external_user_id.as_deref(), Some("4711"));
        let found = turn.extras.iter().find(|(key, _)| key == "verified");
        assert_eq!(found.map(|(_, names)| &**names), wanted, "{body}");
    }
}

/// What the plugin makes of a body that is signed as it should be.
fn receive(body: &Value) -> Result<Vec<Event>, (u16, String)> {
    Host::new().at(1_700_000_000).secret("incoming", "k2").install();
    let body = body.to_string();
    let signed = format!("1700000000.{body}");
    let hex = crypto::hmac_sign("incoming", Hash::Sha256, Encoding::Hex, signed.as_bytes());
    let signature = format!("sha256={}", hex.unwrap());
    let headers = [("X-Sidenote-Timestamp", "1700000000"), ("X-Sidenote-Signature", &*signature)];
    let received = Generic::receive(test::webhook("POST", &headers, body));
    received.map_err(|rejection| (rejection.status, rejection.code))
}
