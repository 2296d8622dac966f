//! The cases that may differ from the reference, by what stands in them, never by their name.

use serde_json::Value;

/// Why a case of `file` that differs is left out, where a rule says so.
pub(crate) fn reason(file: &str, case: &Value) -> Option<&'static str> {
    RULES
        .iter()
        .find(|rule| rule.files.contains(&file) && (rule.applies)(case))
        .map(|rule| rule.reason)
}

struct Rule {
    files: &'static [&'static str],
    reason: &'static str,
    applies: fn(&Value) -> bool,
}

const RULES: [Rule; 4] = [
    Rule {
        files: &["payloads", "sse_stream"],
        reason: "an action's index is a number: `true` is 1, and reads so in the text form",
        applies: |case| has_in_input(case, &|key, value| key == "index" && value.is_boolean()),
    },
    Rule {
        files: &[
            "note_format",
            "session_fsm",
            "session_snapshot",
            "linking",
            "delivery",
        ],
        reason: "ids are text: a number or a boolean is refused where a session is made",
        applies: |case| {
            has_in_input(case, &|key, value| {
                key == "session_id" && !value.is_string() && !value.is_null()
            })
        },
    },
    Rule {
        files: &["payloads", "sse_stream"],
        reason: "NaN and the infinities are no times: they read as missing",
        applies: |case| find(&case["then"], &|key, _| key == "$float"),
    },
    Rule {
        files: &["note_format", "delivery"],
        reason: "a description is text: `false`, 0, lists and objects read as empty",
        applies: |case| {
            let is_empty = |value: &Value| value.is_boolean() || value.as_f64() == Some(0.0);
            has_in_input(case, &|key, value| {
                key == "description" && (is_empty(value) || value.is_array() || value.is_object())
            })
        },
    },
];

fn has_in_input(case: &Value, is_it: &dyn Fn(&str, &Value) -> bool) -> bool {
    find(&case["given"], is_it) || find(&case["when"], is_it)
}

/// Whether a field anywhere in `value` is what is looked for.
fn find(value: &Value, is_it: &dyn Fn(&str, &Value) -> bool) -> bool {
    match value {
        Value::Object(fields) => fields
            .iter()
            .any(|(key, value)| is_it(key, value) || find(value, is_it)),
        Value::Array(items) => items.iter().any(|item| find(item, is_it)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
