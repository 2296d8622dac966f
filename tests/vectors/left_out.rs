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

const RULES: [Rule; 9] = [
    Rule {
        files: &["payloads", "sse_stream"],
        reason: "an action's index is a number: `true` is 1, and reads so in the text form",
        applies: |case| has_in_input(case, &|key, value| key == "index" && value.is_boolean()),
    },
    Rule {
        files: &["note_format", "session_fsm", "session_snapshot", "linking", "delivery"],
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
        files: &["payloads", "sse_stream"],
        reason: "half of a surrogate pair is no text: it reads as U+FFFD",
        applies: |case| find(&case["then"], &|key, _| key == "$wtf8_hex"),
    },
    Rule {
        files: &["delivery"],
        reason: "the pre-link window holds at the link too (D14): an action that waited longer is dropped",
        applies: outwaits_the_window,
    },
    Rule {
        files: &["context_store", "user_index"],
        reason: "a source's clock that is minutes ahead makes nobody else's sessions old (D13)",
        applies: |case| {
            has_in_input(case, &|key, value| {
                key == "forwarded_at"
                    && value.as_f64().is_some_and(|at| at > 1_700_000_000.0 + 60.0)
            }) && !find(&case["when"], &|key, value| key == "op" && value == "advance")
        },
    },
    Rule {
        files: &["copilot_http"],
        reason: "HEAD is answered where GET is, as HTTP asks: what watches a host asks so",
        applies: |case| has_in_input(case, &|key, value| key == "method" && value == "HEAD"),
    },
    Rule {
        files: &["copilot_http"],
        reason: "a reply is the language model's; this host has none",
        applies: |case| {
            has_in_input(case, &|key, value| {
                key == "path" && value.as_str().is_some_and(|path| path.starts_with("/reply/"))
            })
        },
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

/// Whether a session is linked for the first time later than the pre-link window after one of its
/// actions.
fn outwaits_the_window(case: &Value) -> bool {
    let window = case["given"]["writer"]["pre_link_window_s"].as_f64().unwrap_or(120.0);
    let steps = || case["when"]["timeline"].as_array().into_iter().flatten();
    let is_link = |step: &&Value| step["op"] == "chatbot_event" || step["op"] == "linked";
    steps().filter(|step| step["op"] == "actions").any(|acted| {
        let mut links =
            steps().filter(is_link).filter(|link| link["session_id"] == acted["session_id"]);
        let waited =
            links.next().and_then(|link| Some(link["at"].as_f64()? - acted["at"].as_f64()?));
        waited.is_some_and(|waited| waited > window)
    })
}

fn has_in_input(case: &Value, is_it: &dyn Fn(&str, &Value) -> bool) -> bool {
    find(&case["given"], is_it) || find(&case["when"], is_it)
}

/// Whether a field anywhere in `value` is what is looked for.
fn find(value: &Value, is_it: &dyn Fn(&str, &Value) -> bool) -> bool {
    match value {
        Value::Object(fields) => {
            fields.iter().any(|(key, value)| is_it(key, value) || find(value, is_it))
        }
        Value::Array(items) => items.iter().any(|item| find(item, is_it)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
