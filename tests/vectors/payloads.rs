//! `SlimAction`, `ActionsPayload`, `SummaryPayload`: `from_dict`, `to_text`, `merge`.

use serde_json::{Value, json};
use sidenote::session::payload::{Action, ActionsPayload, SummaryPayload};

use crate::{compare, values};

pub(crate) fn check(case: &Value) -> Result<(), String> {
    let when = &case["when"];
    let input = values::input(&when["input"]);
    let ours = match when["call"].as_str() {
        Some("SlimAction.from_dict") => Action::from_value(&input)
            .map(|action| (action_as_dict(&action), action.to_text()))
            .map_err(|error| error.to_string()),
        Some("ActionsPayload.from_dict") => ActionsPayload::from_value(&input)
            .map(|(batch, _)| with_text(&batch))
            .map_err(|error| error.to_string()),
        Some("SummaryPayload.from_dict") => SummaryPayload::from_value(&input)
            .map(|summary| (summary_as_dict(&summary), summary.to_text().to_owned()))
            .map_err(|error| error.to_string()),
        Some("ActionsPayload.merge") => {
            merge(&values::input(&when["inputs"])).map(|batch| with_text(&batch))
        }
        call => return Err(format!("no such call: {call:?}")),
    };
    let then = values::expected(&case["then"]);
    compare::same_failure(&ours, &then)?;
    match ours {
        Ok((value, text)) => {
            compare::same("value", &value, &then["value"])?;
            compare::same_text("to_text", &text, &then["to_text"])
        }
        Err(_) => Ok(()),
    }
}

fn merge(inputs: &Value) -> Result<ActionsPayload, String> {
    let inputs = inputs.as_array().ok_or("merge needs a list")?;
    let batches =
        inputs.iter().map(|input| ActionsPayload::from_value(input).map(|(batch, _)| batch));
    let batches: Vec<_> = batches.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    ActionsPayload::merge(batches).map_err(|error| error.to_string())
}

fn with_text(batch: &ActionsPayload) -> (Value, String) {
    (batch_as_dict(batch), batch.to_text())
}

/// The batch with autoplay-sdk's fields.
pub(crate) fn batch_as_dict(batch: &ActionsPayload) -> Value {
    let mut dict = serde_json::to_value(batch).expect("a batch is JSON");
    dict["count"] = json!(batch.actions.len());
    dict["actions"] = batch.actions.iter().map(action_as_dict).collect();
    dict
}

/// The summary with autoplay-sdk's fields.
pub(crate) fn summary_as_dict(summary: &SummaryPayload) -> Value {
    serde_json::to_value(summary).expect("a summary is JSON")
}

/// A missing time is 0 in autoplay-sdk.
fn action_as_dict(action: &Action) -> Value {
    let mut dict = serde_json::to_value(action).expect("an action is JSON");
    dict["timestamp_start"] = json!(action.timestamp_start.unwrap_or(0.0));
    dict["timestamp_end"] = json!(action.timestamp_end.unwrap_or(0.0));
    dict
}
