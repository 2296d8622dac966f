use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::clock::Timestamp;
use crate::session::note::format_note;

fn batch(event: &str) -> (ActionsPayload, usize, usize) {
    let parsed = parse_event(event).unwrap();
    match parsed.payload {
        Payload::Actions(payload) => (payload, parsed.dropped_actions, parsed.unusable_fields),
        Payload::Summary(_) => panic!("not a batch"),
    }
}

#[test]
fn the_type_may_stand_behind_the_rest() {
    let (payload, ..) =
        batch(r#"{"actions":[{"description":"a"}],"session_id":"s1","type":"actions"}"#);
    assert_eq!(payload.session_id.as_deref(), Some("s1"));
    assert_eq!(payload.actions[0].description, "a");
}

#[test]
fn the_last_of_equal_keys_counts() {
    let (payload, ..) = batch(r#"{"type":"actions","session_id":"a","session_id":"b"}"#);
    assert_eq!(payload.session_id.as_deref(), Some("b"));
}

#[test]
fn events_that_mean_nothing_are_refused_by_kind() {
    for (event, error) in [
        ("[1,2]", PayloadError::NotAnObject),
        ("null", PayloadError::NotAnObject),
        ("5", PayloadError::NotAnObject),
        ("\"actions\"", PayloadError::NotAnObject),
        ("{}", PayloadError::UnknownType),
        (r#"{"type":"other"}"#, PayloadError::UnknownType),
        (r#"{"type":["actions"]}"#, PayloadError::UnknownType),
        (r#"{"type":null}"#, PayloadError::UnknownType),
        ("{nope", PayloadError::NotJson { line: 1, column: 2 }),
        (r#"{"type":"actions"} x"#, PayloadError::NotJson { line: 1, column: 20 }),
    ] {
        assert_eq!(parse_event(event), Err(error), "{event}");
    }
    assert!(matches!(parse_event(""), Err(PayloadError::NotJson { .. })));
}

#[test]
fn deep_nesting_is_skipped_and_takes_nothing_with_it() {
    let deep = "[".repeat(50_000) + &"]".repeat(50_000);
    let (payload, dropped, unusable) = batch(&format!(
        r#"{{"type":"actions","x":{deep},"user_id":{deep},"actions":[{deep},{{"title":{deep},"description":"a"}}]}}"#
    ));
    assert_eq!((payload.actions.len(), dropped, unusable), (1, 1, 2));
    assert_eq!(parse_event(&deep), Err(PayloadError::NotAnObject));
}

#[test]
fn what_is_not_quite_json_is_read_all_the_same() {
    let (payload, dropped, unusable) = batch(
        r#"{"type":"actions","forwarded_at":Infinity,"actions":[{"description":"a\ud800","timestamp_start":NaN}]}"#,
    );
    assert_eq!(payload.actions[0].description, "a\u{FFFD}");
    assert_eq!(payload.actions[0].timestamp_start, None);
    assert_eq!((payload.forwarded_at, dropped, unusable), (0.0, 0, 0));
}

#[test]
fn odd_fields_are_counted() {
    let (payload, dropped, unusable) = batch(
        r#"{"type":"actions","session_id":[1],"user_id":true,"forwarded_at":"soon","product_id":{},
            "actions":[{"index":"x","timestamp_start":1e18,"title":["t"],"email":1.5},7]}"#,
    );
    assert_eq!((dropped, unusable), (1, 8));
    assert_eq!(payload.actions, [Action::default()]);
    assert_eq!((payload.session_id, payload.user_id), (None, None));
}

#[test]
fn what_is_empty_names_nobody_and_isnt_counted() {
    for none in ["null", "false", "0", "0.0", "\"\""] {
        let event = format!(
            r#"{{"type":"actions","session_id":{none},"user_id":{none},"email":{none},"product_id":{none},
                "conversation_id":"","forwarded_at":{none},"actions":[]}}"#
        );
        let (payload, dropped, _) = batch(&event);
        // The conversation of a batch is text as it was sent.
        let empty =
            ActionsPayload { conversation_id: Some(String::new()), ..ActionsPayload::default() };
        assert_eq!((payload, dropped), (empty, 0), "{none}");
    }
}

#[test]
fn numbers_in_a_text_are_written_as_the_reference_writes_them() {
    for (number, text) in [
        ("42", "42"),
        ("1.0", "1.0"),
        ("-2.5", "-2.5"),
        ("0.0001", "0.0001"),
        ("0.00005", "5e-05"),
        ("1e15", "1000000000000000.0"),
        ("1e16", "1e+16"),
        ("-1.5e300", "-1.5e+300"),
    ] {
        let event = format!(r#"{{"type":"actions","actions":[{{"description":{number}}}]}}"#);
        assert_eq!(batch(&event).0.actions[0].description, text);
    }
}

#[test]
fn the_debug_form_shows_no_text_of_a_person() {
    let event = r#"{"type":"actions","user_id":"secret","email":"secret","conversation_id":"secret",
        "actions":[{"description":"secret","title":"secret","raw_url":"secret","user_id":"secret"}]}"#;
    let parsed = parse_event(event).unwrap();
    assert!(!format!("{parsed:?} {:?}", batch(event).0.actions).contains("secret"));
    let summary = SummaryPayload::from_value(&json!({"summary": "secret"})).unwrap();
    assert!(!format!("{summary:?}").contains("secret"));
}

/// Any JSON value, with the keys that mean something more often than others.
fn any_json() -> impl Strategy<Value = Value> {
    let key = prop_oneof![
        prop::sample::select(vec![
            "type",
            "title",
            "description",
            "canonical_url",
            "index",
            "timestamp_start",
            "timestamp_end",
            "raw_url",
            "session_id",
            "user_id",
            "email",
            "conversation_id",
            "product_id",
            "actions",
            "forwarded_at",
            "summary",
            "replaces",
            "count",
        ])
        .prop_map(str::to_owned),
        ".{0,4}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[\\x00-\\x7f\u{2028}é]{0,12}".prop_map(Value::from),
        Just(json!("actions")),
        Just(json!("summary")),
    ];
    leaf.prop_recursive(5, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..8)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn reading_and_writing_never_fails_whatever_the_event_holds(mut event in any_json(), kind in any::<bool>(), bins in any::<f64>()) {
        if let Value::Object(fields) = &mut event {
            fields.insert("type".to_owned(), json!(if kind { "actions" } else { "summary" }));
        }
        match parse_event(&event.to_string()) {
            Ok(Parsed { payload: Payload::Actions(payload), .. }) => {
                let (same, _) = ActionsPayload::from_value(&event).unwrap();
                prop_assert_eq!(&same, &payload);
                let note = format_note(payload.session_id.as_deref(), &payload.actions, bins, Timestamp(i64::MAX));
                prop_assert!(note.starts_with("session_id: "));
                prop_assert!(payload.to_text().starts_with("Session "));
                ActionsPayload::merge(vec![payload.clone(), payload]).unwrap();
            }
            Ok(Parsed { payload: Payload::Summary(payload), .. }) => {
                prop_assert_eq!(SummaryPayload::from_value(&event).unwrap(), payload);
            }
            Err(error) => prop_assert_eq!(error, PayloadError::NotAnObject),
        }
    }

    #[test]
    fn any_text_is_an_event_or_an_error(text in "\\PC{0,200}") {
        if let Ok(parsed) = parse_event(&text) {
            prop_assert!(text.contains("type"), "{parsed:?}");
        }
    }

    #[test]
    fn what_was_read_survives_its_stored_form(event in any_json()) {
        if let Ok((payload, _)) = ActionsPayload::from_value(&event) {
            let stored = serde_json::to_string(&payload).unwrap();
            prop_assert_eq!(serde_json::from_str::<ActionsPayload>(&stored).unwrap(), payload);
        }
    }
}

proptest! {
    #[test]
    fn any_text_is_repaired_without_panic(text in "[\\\\u\"dD8c0-9a-fNInfity,:{}\\[\\]é🙂+-]*") {
        repair::repair(&text);
    }

    #[test]
    fn every_string_of_utf_16_units_can_be_read(units in proptest::collection::vec(any::<u16>(), 0..20)) {
        let escaped: String = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
        let json = format!("\"{escaped}\"");
        let read: String = serde_json::from_str(&repair::repair(&json).unwrap_or(json)).unwrap();
        prop_assert_eq!(read, String::from_utf16_lossy(&units));
    }
}
