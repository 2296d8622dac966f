//! What the plugin reads is what `schema/` says, and what can't be read is named.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use sidenote_events::Events;
use sidenote_plugin::source::{EventKind, Received, Rejection, RejectionKind};
use sidenote_plugin::{Source, test};

fn send(body: &str) -> Result<Received, Rejection> {
    Events::receive(test::request("POST", "/", &[], body))
}

fn answer(received: &Received) -> Value {
    serde_json::from_slice(&received.response.body).unwrap()
}

/// An event with every field.
fn whole() -> Value {
    json!({
        "id": "e-1", "kind": "custom", "name": "Invoice Exported", "title": "Export",
        "description": "Exported an invoice", "at": "2026-11-29T10:00:00.5+01:00", "session": "s-1", "user": 1001,
        "email": "ann@example.com", "anonymous": "a-1", "url": "https://app.example.com/billing",
        "page_title": "Billing", "conversation": "c-1", "properties": {"format": "csv"},
    })
}

#[test]
fn every_form_of_a_body_has_the_same_events() {
    let event = whole().to_string();
    let received = send(&event).unwrap();
    let read = &received.batches[0].events[0];
    assert_eq!(
        (read.id.as_str(), read.kind, read.name.as_str()),
        ("e-1", EventKind::Custom, "Invoice Exported")
    );
    assert_eq!(read.at, Some(1_795_942_800.5));
    assert_eq!(read.identity.user_id.as_deref(), Some("1001"));
    assert_eq!(read.properties, r#"{"format":"csv"}"#);
    assert_eq!(read.extras, [("conversation-id".to_owned(), "c-1".to_owned())]);
    assert_eq!(answer(&received), json!({"accepted": 1, "refused": 0, "errors": []}));
    for body in [
        format!("[{event}, {event}]"),
        format!("{event}\n\n{event}\r\n"),
        format!("{{\"key\": \"pk\", \"events\": [{event}, {event}]}}"),
        format!("\u{feff}[{event},{event}]"),
    ] {
        let received = send(&body).unwrap();
        assert_eq!(received.batches[0].events, [read.clone(), read.clone()], "{body}");
        assert_eq!(received.key.is_some(), body.contains("\"key\""), "{body}");
    }
    assert!(send("[]").unwrap().batches.is_empty());
}

#[test]
fn what_is_wrong_is_named_by_line_and_field_and_the_rest_is_accepted() {
    let body = "{\"name\": \"a\", \"user\": 1}\n{\"name\": \"b\"\n\n{\"name\": \"c\", \"user\": 1, \"at\": \"soon\"}\n{\"nmae\": \"d\"}";
    let received = send(body).unwrap();
    assert_eq!(received.batches[0].events.len(), 1);
    let told = answer(&received);
    assert_eq!((&told["accepted"], &told["refused"]), (&json!(1), &json!(3)));
    let places: Vec<_> = told["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["line"].as_u64().unwrap(), it["field"].as_str()))
        .collect();
    assert_eq!(places, [(2, None), (4, Some("at")), (5, Some("nmae"))]);
    let reasons: Vec<_> =
        received.ignored.iter().map(|it| (it.reason.as_str(), it.count)).collect();
    assert_eq!(reasons, [("line", 1), ("at", 1), ("nmae", 1)]);
    let list = send(r#"[{"name": "a", "user": 1}, {"name": "a"}, 7]"#).unwrap();
    assert_eq!(answer(&list)["errors"][0]["event"], 2);
    assert_eq!(answer(&list)["errors"][1], json!({"event": 3, "error": "it is no object"}));
}

#[test]
fn what_can_not_be_read_at_all_is_refused() {
    for (body, wanted) in [
        ("", "the body is empty"),
        ("  \n ", "the body is empty"),
        ("name=a", "line 1, column 2"),
        ("{\"name\": \"a\",\n", "line 2, column 0"),
        ("7", "neither an event"),
        ("{\"events\": 1}", "`events` isn't a list"),
        ("{\"events\": [], \"name\": 1}", "there is `name`"),
        ("{\"user\": 1}", "the event, `name`: it is missing"),
        ("[{\"name\": \"a\"}]", "event 1, `user`"),
        ("{\"name\": \"a\", \"user\": 1.5}", "`user`: it is neither"),
        ("{\"name\": 1, \"user\": 1}", "`name`: it is no text"),
        ("{\"name\": \"a\", \"user\": 1, \"kind\": \"tap\"}", "`kind`: it is none of"),
        ("{\"name\": \"a\", \"user\": 1, \"properties\": []}", "`properties`: it is no object"),
        ("{\"name\": \"a\", \"user\": 1, \"at\": -1}", "`at`: it is no time"),
    ] {
        let refused = send(body).unwrap_err();
        assert_eq!(refused.kind, RejectionKind::Malformed);
        assert!(refused.message.contains(wanted), "{body}: {}", refused.message);
    }
    let many = format!("[{}]", vec!["{}"; 10_001].join(","));
    assert!(send(&many).unwrap_err().message.contains("at most 10000"));
    assert!(
        Events::receive(test::request("POST", "/", &[], [0xff]))
            .unwrap_err()
            .message
            .contains("UTF-8")
    );
    let elsewhere = Events::receive(test::request("POST", "/more", &[], "{}")).unwrap_err();
    assert_eq!(elsewhere.kind, RejectionKind::NotFound);
    let read = Events::receive(test::request("GET", "/", &[], "")).unwrap_err();
    assert_eq!(read.kind, RejectionKind::Method);
}

#[test]
fn the_schema_says_what_is_read() {
    let path = format!("{}/schema/event.json", env!("CARGO_MANIFEST_DIR"));
    let schema: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    assert!(validator.is_valid(&whole()));
    let described = schema["properties"].as_object().unwrap();
    assert!(described.values().all(|field| field["description"].is_string()));
    assert_eq!(described.len(), whole().as_object().unwrap().len());
    for name in described.keys() {
        // Another type is refused by both, and null by none.
        let mut odd = whole();
        odd[name] = json!([1]);
        assert!(!validator.is_valid(&odd) && send(&odd.to_string()).is_err(), "{name}");
        odd[name] = Value::Null;
        assert!(validator.is_valid(&odd) && send(&odd.to_string()).is_ok(), "{name}");
    }
    let mut more = whole();
    more["colour"] = json!("red");
    assert!(!validator.is_valid(&more) && send(&more.to_string()).is_err());
    for kind in schema["properties"]["kind"]["enum"].as_array().unwrap() {
        let mut event = whole();
        event["kind"] = kind.clone();
        assert!(send(&event.to_string()).is_ok(), "{kind}");
    }
    let nobody = json!({"name": "a"});
    assert!(!validator.is_valid(&nobody) && send(&nobody.to_string()).is_err());
}
