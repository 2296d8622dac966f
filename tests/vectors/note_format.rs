//! `format_chatbot_note_header` and `_format_note`.

use serde_json::Value;
use sidenote::clock::Timestamp;
use sidenote::session::note::{format_header, format_note};
use sidenote::session::payload::Action;

use crate::{compare, values};

pub(crate) fn check(case: &Value) -> Result<(), String> {
    let (given, when) = (&case["given"], &case["when"]);
    let now = Timestamp::from_secs_f64(given["now"].as_f64().ok_or("given.now is no number")?);
    let session_id = values::input(&when["session_id"]);
    let session_id = match &session_id {
        Value::Null => None,
        Value::String(id) => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            return Err("an id is text".to_owned());
        }
    };
    let session_id = session_id.as_deref();
    let body = match when["call"].as_str() {
        Some("format_chatbot_note_header") => {
            format_header(session_id, values::float(&when["timestamp_unix"]), now)
        }
        Some("_format_note") => {
            let actions = when["actions"].as_array().ok_or("when.actions is no list")?;
            let actions: Vec<Action> = actions.iter().map(action).collect::<Result<_, _>>()?;
            let own = when["bin_override"].is_null();
            let bin_seconds =
                values::float(if own { &given["bin_seconds"] } else { &when["bin_override"] });
            format_note(session_id, &actions, bin_seconds.ok_or("the bin is no number")?, now)
        }
        call => return Err(format!("no such call: {call:?}")),
    };
    match case["then"].get("error") {
        Some(error) => Err(format!("{body:?} instead of the error {error}")),
        None => compare::same_text("body", &body, &values::expected(&case["then"]["body"])),
    }
}

/// The action, with a time that JSON can't hold as it is: formatting has to bear that too.
fn action(given: &Value) -> Result<Action, String> {
    let mut action =
        Action::from_value(&values::input(given)).map_err(|error| error.to_string())?;
    let start = &given["timestamp_start"];
    if start.is_object() {
        action.timestamp_start = values::float(start);
    }
    Ok(action)
}
