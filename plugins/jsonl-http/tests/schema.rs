//! What the plugin posts is what `schema/` says.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use sidenote_jsonl_http::JsonLines;
use sidenote_plugin::test::{self, Host};
use sidenote_plugin::{Action, Sink};

fn schema(name: &str) -> Value {
    let path = format!("{}/schema/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn fits(schema: &Value, line: &Value) -> bool {
    jsonschema::draft202012::new(schema).unwrap().is_valid(line)
}

/// The lines of the post that `act` has the plugin make.
fn lines(act: impl FnOnce()) -> Vec<Value> {
    let host = Host::new().config("url", "https://warehouse.example/lines");
    let host = host.respond(200, "").install();
    act();
    let body = host.requests().remove(0).body;
    let text = String::from_utf8(body).unwrap();
    assert!(text.ends_with('\n'));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_line_fits_its_schema_and_every_field_is_described() {
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
    let actions = lines(|| {
        let mut batch = test::batch(["second"]);
        batch.actions.insert(0, action);
        JsonLines::write_actions(test::call(), batch).unwrap();
    });
    let nobody = lines(|| {
        let mut batch = test::batch(["third"]);
        (batch.user_id, batch.email, batch.conversation_id) = (None, None, None);
        batch.forwarded_at = None;
        JsonLines::write_actions(test::call(), batch).unwrap();
    });
    assert_eq!((actions.len(), nobody.len()), (2, 1));
    for line in actions.iter().chain(&nobody) {
        check("action", line);
    }
    let summary = lines(|| {
        JsonLines::write_summary(test::call(), test::summary("looked\nfor a way")).unwrap();
    });
    assert_eq!(summary.len(), 1);
    check("summary", &summary[0]);
    assert_eq!(summary[0]["text"], "looked\nfor a way");
}

/// A line fits its schema; without any one of its fields, or with one of another type, it doesn't; and it
/// has no field that the schema doesn't describe.
fn check(name: &str, line: &Value) {
    let schema = schema(name);
    assert!(fits(&schema, line), "{name}: {line}");
    assert_eq!(line["event"], name);
    for key in line.as_object().unwrap().keys() {
        let mut without = line.clone();
        without.as_object_mut().unwrap().remove(key);
        assert!(!fits(&schema, &without), "{name} without {key}");
        let mut wrong = line.clone();
        wrong[key] = json!({});
        assert!(!fits(&schema, &wrong), "{name} with another {key}");
        assert!(schema["properties"][key]["description"].is_string(), "{name}.{key}");
    }
    let described = schema["properties"].as_object().unwrap();
    assert!(described.keys().all(|key| line.get(key).is_some()), "{name}: {line}");
}
