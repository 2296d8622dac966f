//! Schemas of what is read and written by hand, in small words.

use serde_json::{Map, Value, json};

pub(super) fn text() -> Value {
    json!({ "type": "string" })
}

/// An id in a body: a number is read as on the stream.
pub(super) fn id() -> Value {
    json!({ "anyOf": [
        { "type": "string", "minLength": 1, "maxLength": 8192 },
        { "type": "integer" },
    ] })
}

pub(super) fn truth() -> Value {
    json!({ "type": "boolean" })
}

pub(super) fn number() -> Value {
    json!({ "type": "number" })
}

/// A count: a whole number, at least 0.
pub(super) fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

/// How many entries an answer has at most.
pub(super) fn limit() -> Value {
    json!({ "type": "integer", "minimum": 1, "maximum": 1000, "default": 100 })
}

pub(super) fn one_of(words: &[&str]) -> Value {
    json!({ "type": "string", "enum": words })
}

pub(super) fn nullable(schema: &Value) -> Value {
    json!({ "anyOf": [schema, { "type": "null" }] })
}

pub(super) fn list(items: &Value) -> Value {
    json!({ "type": "array", "items": items })
}

/// An object with values of one kind, by name.
pub(super) fn map(values: &Value) -> Value {
    json!({ "type": "object", "additionalProperties": values })
}

/// An object with all of these.
pub(super) fn object(fields: &[(&str, Value)]) -> Value {
    let required: Vec<_> = fields.iter().map(|(name, _)| name).collect();
    json!({ "type": "object", "properties": properties(fields), "required": required })
}

/// An object with all of `fields`, and perhaps some of `others`.
pub(super) fn object_with(fields: &[(&str, Value)], others: &[(&str, Value)]) -> Value {
    let mut schema = object(fields);
    for (name, of) in others {
        schema["properties"][*name] = of.clone();
    }
    schema
}

/// What one schema says, with these beside it.
pub(super) fn beside(schema: &Value, fields: &[(&str, Value)]) -> Value {
    json!({ "allOf": [schema, object(fields)] })
}

fn properties(fields: &[(&str, Value)]) -> Map<String, Value> {
    fields.iter().map(|(name, of)| ((*name).to_owned(), of.clone())).collect()
}

/// With words for people.
pub(super) fn told(mut schema: Value, words: &str) -> Value {
    schema["description"] = json!(words);
    schema
}
