//! Posts batches and summaries as JSON to `url`, with the flaw that `flaw` names, or with none.

use serde_json::{Value, json};
use sidenote_plugin::sink::{Batch, Summary};
use sidenote_plugin::{Call, Failure, Sink, config, http};

/// The plugin.
pub struct Flawed;

impl Sink for Flawed {
    fn write_actions(call: Call, batch: Batch) -> Result<(), Failure> {
        let mut texts: Vec<_> = batch.actions.into_iter().map(|it| it.description).collect();
        match &*flaw() {
            "swaps" => texts.reverse(),
            "cuts" => texts.truncate(100),
            "traps-on-nul" => {
                assert!(texts.iter().all(|text| !text.contains('\0')), "a text with a NUL");
            }
            _ => {}
        }
        post(&call, &json!({ "session": batch.session_id, "actions": texts }))
    }

    fn write_summary(call: Call, summary: Summary) -> Result<(), Failure> {
        post(&call, &json!({ "session": summary.session_id, "summary": summary.text }))
    }
}

fn flaw() -> String {
    config::get("flaw").unwrap_or_default()
}

fn post(call: &Call, body: &Value) -> Result<(), Failure> {
    let flaw = flaw();
    if flaw == "sends-nothing" {
        return Ok(());
    }
    let key = match &*flaw {
        "makes-up-keys" => format!("{}-{}", call.idempotency_key, call.attempt),
        _ => call.idempotency_key.clone(),
    };
    let url = config::require("url")?;
    let request = || http::Request::post(&*url).header("idempotency-key", &*key).json(body);
    if flaw == "posts-twice" {
        request()?.send()?;
    }
    let answer = request()?.send();
    match &*flaw {
        "swallows-refusals" => answer.map(drop).map_err(Failure::from),
        "gives-up-at-once" => {
            let refused = |failure: Failure| Failure::permanent(failure.code, failure.message);
            answer
                .map_err(Failure::from)
                .and_then(http::Response::error_for_status)
                .map(drop)
                .map_err(refused)
        }
        _ => answer?.error_for_status().map(drop),
    }
}

sidenote_plugin::export!(
    Flawed: Sink;
    manifest = r#"{
        "name": "sink",
        "version": "1.0.0",
        "hosts": ["*"],
        "config": {
            "type": "object",
            "additionalProperties": false,
            "required": ["url"],
            "properties": {"url": {"type": "string", "pattern": "^https?://"}, "flaw": {"type": "string"}}
        }
    }"#
);
