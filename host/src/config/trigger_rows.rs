//! The JSON Schema of a trigger: its keys are those of its kind, and what each takes is found out by having it read.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use sidenote_core::triggers::config::{self, KINDS, Path};
use sidenote_core::triggers::{Mode, Times};

use super::scalar::{self, Scalar};
use super::shape::Shape;

/// Keys of a trigger that are durations.
pub(super) const DURATIONS: [&str; 3] = ["interaction_timeout", "cooldown", "threshold"];

/// A list of triggers.
pub(super) fn schema() -> Value {
    let known = |kind: &str| config::keys(kind).unwrap_or_default();
    let all: BTreeSet<&str> = KINDS.into_iter().flat_map(known).collect();
    let of_kind = |kind: &str| {
        let others = all.iter().filter(|key| !known(kind).contains(key));
        let others: Map<_, _> = others.map(|key| ((*key).to_owned(), Value::Bool(false))).collect();
        json!({"if": {"properties": {"kind": {"const": kind}}}, "then": {"properties": others}})
    };
    let properties: Map<_, _> = all.iter().map(|key| ((*key).to_owned(), value(key))).collect();
    json!({
        "type": "array",
        "minItems": 1,
        "items": {
            "type": "object",
            "properties": properties,
            "required": ["id", "kind"],
            "additionalProperties": false,
            "allOf": KINDS.map(of_kind),
        },
    })
}

/// What the value of a key may be.
fn value(key: &str) -> Value {
    if key == "kind" {
        return json!({"enum": KINDS});
    }
    if key == "mode" {
        let modes = [Mode::Judged, Mode::Instant].map(Mode::name);
        return json!({"enum": modes});
    }
    if DURATIONS.contains(&key) {
        let shape = Shape::default();
        drop(scalar::duration(Scalar::Asked(&shape)));
        return shape.into_schema();
    }
    let kinds = KINDS
        .into_iter()
        .filter(|kind| config::keys(kind).is_some_and(|known| known.contains(&key)));
    let types: BTreeSet<&str> = kinds.flat_map(|kind| types(kind, key)).collect();
    json!({"type": types})
}

/// The types that a key of a kind takes: of each one value is tried, and only the key itself counts, not what stands in it.
fn types(kind: &str, key: &str) -> Vec<&'static str> {
    let samples = [
        ("string", json!("a")),
        ("boolean", json!(true)),
        ("integer", json!(2)),
        ("array", json!(["a"])),
        ("object", json!({"a": "b"})),
    ];
    let takes = |(name, sample): (&'static str, Value)| {
        let mut row = usable(kind);
        row.insert(key.to_owned(), sample);
        let path = Path::top("row");
        let mut tuned = Vec::new();
        let read = config::trigger(&row.into(), Times::default(), &path, &mut tuned);
        let own = format!("row.{key}");
        let refused = read.err().into_iter().chain(tuned).any(|error| error.path == own);
        (!refused).then_some(name)
    };
    samples.into_iter().filter_map(takes).collect()
}

/// A row of a kind with all that it needs.
fn usable(kind: &str) -> Map<String, Value> {
    let row = json!({"id": "a", "kind": kind});
    let own = match kind {
        "criteria" => {
            let condition = json!({"id": "a", "name": "a", "type": "canonical_url_ping_pong"});
            json!({"text": "a", "criteria": condition})
        }
        "section-playbook" => {
            json!({"sections": [{"prefix": "/a", "id": "a"}], "playbook": {"a": "b"}})
        }
        "plugin" => json!({"plugin": "a"}),
        _ => json!({}),
    };
    let fields = [row, own].into_iter().filter_map(|part| part.as_object().cloned());
    fields.flatten().collect()
}
