//! `trigger_config`, `judge`, `proactive_intercom_config`: configured triggers, and the judge's answer.

use serde_json::{Map, Value, json};
use sidenote::offers::content::Offer;
use sidenote::triggers::config::Path;
use sidenote::triggers::configured::{self, Configured, Message};
use sidenote::triggers::criteria::Criteria;
use sidenote::triggers::judge::{Judgement, Unreadable, Verdict};
use sidenote::triggers::{Hit, Mode, Times};

use crate::left_out::Rule;
use crate::triggers::{result, type_of};
use crate::{compare, values};

pub(crate) const LEFT_OUT: [Rule; 1] = [Rule {
    files: &["trigger_config"],
    reason: "an offer is a trigger's: without a candidate nothing is offered (D82)",
    applies: |case| {
        let candidates = case["when"]["candidates"].as_array();
        case["when"]["call"] == "judge_to_result" && candidates.is_some_and(Vec::is_empty)
    },
}];

pub(crate) fn check(case: &Value) -> Result<(), String> {
    let when = values::input(&case["when"]);
    let then = values::expected(&case["then"]);
    let path = Path::top("value");
    let returned = match when["call"].as_str() {
        Some("criteria_from_dict") => {
            let read = Criteria::from_value(&when["criteria"], &path);
            if let (Ok(criteria), Some(kind)) = (&read, then.get("kind")) {
                let ours = match criteria {
                    Criteria::Leaf(_) => "leaf",
                    Criteria::Group(_) => "group",
                };
                compare::same_text("kind", ours, kind)?;
            }
            read.map(|criteria| criteria.to_value()).map_err(|error| error.to_string())
        }
        Some("message_from_dict") => Message::from_value(&when["message"], &path)
            .map(|message| message.to_value())
            .map_err(|error| error.to_string()),
        Some("config_from_dict") => Configured::from_value(&when["config"], &path)
            .map(|trigger| trigger.to_value())
            .map_err(|error| error.to_string()),
        Some("parse_configs") => {
            let (read, _) = configured::read(&when["integration_config"]);
            Ok(json!(read.iter().map(Configured::to_value).collect::<Vec<_>>()))
        }
        Some("find_by_criteria") => {
            let (read, _) = configured::read(&when["integration_config"]);
            let found =
                read.iter().find(|it| Some(it.criteria.id()) == when["criteria_id"].as_str());
            Ok(json!(found.map(|it| &it.id)))
        }
        Some("parse_judge") => {
            Ok(judgement(&Judgement::of(when["text"].as_str().unwrap_or_default())))
        }
        Some("should_deliver") => Ok(json!(Judgement::of(&when["judge"].to_string()).delivers())),
        Some("judge_to_result") => judged(&when),
        Some("partition") => {
            let modes = ["instant", "judge"].map(|name| (name.to_owned(), json!([])));
            let mut parts = Map::from_iter(modes);
            for row in when["results"].as_array().into_iter().flatten() {
                let hit = hit(row)?;
                let part = match hit.mode {
                    Mode::Instant => "instant",
                    Mode::Judged => "judge",
                };
                let ids = parts[part].as_array_mut().ok_or("no list")?;
                ids.push(json!(hit.offer.trigger()));
            }
            return compare::same("then", &parts.into(), &then);
        }
        Some("attach") => {
            let hit = Hit { mode: mode(&when["triggering_type"]), ..hit(&when["result"])? };
            Ok(typed(&hit))
        }
        other => return Err(format!("no such call: {other:?}")),
    };
    compare::same_failure(&returned, &then)?;
    returned.map_or(Ok(()), |value| compare::same("return", &value, &then["return"]))
}

/// What is read of a type: what isn't said to be offered at once waits for the judge.
fn mode(name: &Value) -> Mode {
    let modes = [Mode::Instant, Mode::Judged];
    modes.into_iter().find(|mode| name == type_of(*mode)).unwrap_or(Mode::Judged)
}

fn hit(row: &Value) -> Result<Hit, String> {
    let text = |key: &str| row[key].as_str().unwrap_or_default();
    let labels = row["reply_option_labels"].as_array().into_iter().flatten();
    let labels = labels.map(|label| (label.as_str().unwrap_or_default(), None));
    let times = Times::default();
    let seconds = |key: &str, default| row[key].as_f64().unwrap_or(default);
    let offer = Offer::new(text("trigger_id"), text("body"), labels).and_then(|offer| {
        offer.with_times(
            seconds("interaction_timeout_s", times.interaction_timeout_s),
            seconds("cooldown_s", times.cooldown_s),
        )
    });
    let mut metadata = row["metadata"].as_object().cloned().unwrap_or_default();
    let mode = mode(&metadata.remove("triggering_type").unwrap_or_default());
    Ok(Hit { offer: offer.map_err(|error| error.to_string())?, mode, metadata })
}

/// A hit in autoplay-sdk's form, with its type.
fn typed(hit: &Hit) -> Value {
    let mut metadata = hit.metadata.clone();
    metadata.insert("triggering_type".to_owned(), json!(type_of(hit.mode)));
    result(hit, metadata)
}

fn judgement(judgement: &Judgement) -> Value {
    let reasoning = match judgement.unreadable {
        Some(Unreadable::Empty) => "",
        Some(unreadable) => unreadable.name(),
        None => &judgement.reasoning,
    };
    json!({
        "schema_version": judgement.schema_version,
        "send": judgement.send,
        "proactive_valid_timing": judgement.valid_timing,
        "short_user_message": judgement.message,
        "reasoning": reasoning,
        "proactive_intent": judgement.intent.name(),
        "deliver": judgement.delivers(),
    })
}

fn judged(when: &Value) -> Result<Value, String> {
    let rows = when["candidates"].as_array().ok_or("no candidates")?;
    let candidates = rows.iter().map(hit).collect::<Result<Vec<_>, _>>()?;
    let mut answer = when["judge"].clone();
    if let Some(primary) = when.get("primary_trigger_id") {
        answer["primary_trigger_id"] = primary.clone();
    }
    let judgement = Judgement::of(&answer.to_string());
    match judgement.verdict(&candidates) {
        Verdict::No { why } => Err(format!("nothing is offered: {why:?}")),
        Verdict::Yes(mut hit) => {
            // Its reasoning may tell of the person, and is kept beside what was found.
            hit.metadata.insert("judge_reasoning".to_owned(), json!(judgement.reasoning));
            let has_type = rows.iter().any(|row| !row["metadata"]["triggering_type"].is_null());
            let metadata = hit.metadata.clone();
            Ok(if has_type { typed(&hit) } else { result(&hit, metadata) })
        }
    }
}
