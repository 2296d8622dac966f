//! `[products.ID.offers]`: when help is offered, and what is a reason for it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Number, Value};
use sidenote_core::triggers::{Kind, Mode, Times, Trigger, Triggers, config, configured};
use toml::de::DeValue;

use super::error::{Fault, Place};
use super::model::{Offers, Plugin};
use super::scalar::{self, Refusal, Scalar};
use super::section::{Row, Section, nearest};
use super::trigger_rows;
use crate::ids::PluginName;

/// What stands beside a product, as far as its offers rest on it.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    /// `[plugins]`.
    pub(super) plugins: &'a BTreeMap<PluginName, Plugin>,
    /// Whether what people do is kept (`[context]`).
    pub(super) has_history: bool,
    /// Whether there is a model (`[llm]`).
    pub(super) has_model: bool,
}

/// The one of them that merely tunes a trigger.
const TUNES: &str = "threshold";
/// Keys of a condition.
const CONDITION: [&str; 5] = ["id", "name", "type", "operator", "conditions"];

/// The rules and the triggers of a product; `None` where it has no such table.
pub(super) fn offers(section: Section<'_>, around: Around<'_>) -> Option<(Offers, Triggers)> {
    if !section.is_present() {
        return None;
    }
    let default = Offers::default();
    let pause = |key: &str, default| section.scalar_or(key, default, duration_or_none);
    let limit = |key: &str, default| section.scalar_or(key, default, limit);
    let offers = Offers {
        expires: section.scalar_or("expires", default.expires, scalar::duration),
        min_interval: pause("min_interval", default.min_interval),
        per_session_hour: limit("per_session_hour", default.per_session_hour),
        per_user_day: limit("per_user_day", default.per_user_day),
        per_product_minute: limit("per_product_minute", default.per_product_minute),
        quiet_after_agent: pause("quiet_after_agent", default.quiet_after_agent),
        quiet_after_person: pause("quiet_after_person", default.quiet_after_person),
        keep_decisions: section.scalar_or(
            "keep_decisions",
            default.keep_decisions,
            scalar::duration,
        ),
        tear_down: section.scalar_or("tear_down", default.tear_down, scalar::boolean),
    };
    let general = Times::default();
    let seconds = |key: &str, default: f64| {
        section.scalar(key, scalar::duration).map_or(default, |time| time.as_secs_f64())
    };
    let times = Times {
        interaction_timeout_s: seconds("interaction_timeout", general.interaction_timeout_s),
        cooldown_s: seconds("cooldown", general.cooldown_s),
    };
    if !around.has_history {
        let fault = Fault::MissingTable {
            table: "context".to_owned(),
            cause: "help is offered by what is kept of a session".to_owned(),
            example: "[context]".to_owned(),
        };
        section.report(section.place(), fault);
    }
    let triggers = triggers(&section, times, around);
    section.finish();
    Some((offers, triggers))
}

fn triggers(section: &Section<'_>, times: Times, around: Around<'_>) -> Triggers {
    let want = "a list of tables: [[products.ID.offers.triggers]] before each";
    section.tells("triggers", trigger_rows::schema);
    let rows = section.rows("triggers", want);
    let values = match &rows {
        None => Value::Null,
        Some(rows) => {
            let value = |(place, row): (usize, &Row<'_>)| row_value(section, place, row);
            (0..).zip(rows).map(value).collect()
        }
    };
    let brought = brought(section, times);
    let (triggers, errors) = config::with_further(&values, brought, times);
    let rows = rows.unwrap_or_default();
    let place = |row: Option<usize>, key: Option<&str>| match row.map(|row| rows.get(row)) {
        Some(Some(row)) => row.place_of(key),
        Some(None) => section.place_of(configured::KEY),
        None => section.place_of("triggers"),
    };
    for error in errors {
        let said = format!("it {}", error.fault);
        if error.has_default {
            warn_of_default(section, place(error.row, error.key.as_deref()), &error.path, &said);
            continue;
        }
        let (cause, next) = said.split_once("; ").unwrap_or((&said, ""));
        let fault =
            Fault::BadValue { key: error.path, cause: cause.to_owned(), next: next.to_owned() };
        section.report(place(error.row, error.key.as_deref()), fault);
    }
    let triggers = triggers.unwrap_or_default();
    let place_of = |id: &str, key: &str| {
        let is_of = |row: &Row<'_>| {
            let written = row.table().get("id").and_then(|value| value.get_ref().as_str());
            written.is_some_and(|written| written.trim() == id)
        };
        place(rows.iter().position(is_of), Some(key))
    };
    let known: Vec<String> = around.plugins.keys().map(ToString::to_string).collect();
    for trigger in triggers.iter() {
        if let Kind::Plugin(name) = &trigger.kind
            && !around.plugins.contains_key(name)
        {
            let fault = Fault::UnknownName {
                key: "plugin".to_owned(),
                what: "plugin",
                name: name.to_string(),
                meant: nearest(name, &known),
                known: known.clone(),
            };
            section.report(place_of(&trigger.id, "plugin"), fault);
        }
        if trigger.mode == Mode::Judged && trigger.alone && !around.has_model {
            let message = format!(
                "the trigger \"{}\" waits for a judge, and there is no [llm]: it is off; add [llm], or write mode = \"instant\"",
                trigger.id
            );
            section.reader.warn(place_of(&trigger.id, "mode"), &section.name(), message);
        }
    }
    if around.has_model { triggers } else { triggers.without_judged() }
}

/// A value is wrong, and the trigger runs with its default.
fn warn_of_default(section: &Section<'_>, place: Place, path: &str, said: &str) {
    let message = format!("\"{path}\": {said}; until then its default is used");
    section.reader.warn(place, &section.name(), message);
}

/// The triggers of a file of autoplay-sdk's (`proactive_intercom`): the JSON of an integration's configuration.
fn brought(section: &Section<'_>, times: Times) -> Vec<Trigger> {
    let key = configured::KEY;
    let Some(file) = section.scalar(key, scalar::text) else { return Vec::new() };
    let file = section.reader.base.join(file);
    let refuse = |cause: String, next: &str| section.refuse(key, cause, next);
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) => {
            refuse(format!("{} can't be read: {error}", file.display()), "name another file");
            return Vec::new();
        }
    };
    let integration: Value = match serde_json::from_str(&text) {
        Ok(value) => value,
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            let at = format!("{} isn't JSON (line {line}, column {column})", file.display());
            refuse(at, "write the integration's configuration into it");
            return Vec::new();
        }
    };
    let (read, errors) = configured::read(&integration);
    if read.is_empty() && errors.is_empty() {
        let cause = format!("{} has no list \"{key}\", or an empty one", file.display());
        refuse(cause, "write the integration's configuration into it, or leave the key out");
    }
    for error in errors {
        let cause = format!("`{}` of {} {}", error.path, file.display(), error.fault);
        let (cause, next) = cause.split_once("; ").unwrap_or((&cause, ""));
        refuse(cause.to_owned(), next);
    }
    read.into_iter().map(|trigger| trigger.into_trigger(Mode::Judged, times)).collect()
}

/// A row in the form in which triggers are read: durations in seconds, conditions with ids and names.
fn row_value(section: &Section<'_>, place: usize, row: &Row<'_>) -> Value {
    let mut fields = Map::new();
    for (key, value) in row.table() {
        let name = key.get_ref().to_string();
        let path = format!("triggers[{place}].{name}");
        if trigger_rows::DURATIONS.contains(&name.as_str()) {
            match scalar::duration(Scalar::Toml(value.get_ref())) {
                Ok(time) => {
                    fields.insert(name, time.as_secs_f64().into());
                }
                Err(refusal) if name == TUNES => {
                    let said = refusal.to_string();
                    warn_of_default(section, row.place_of(Some(&name)), &path, &said);
                }
                Err(refusal) => section.report_refusal(row.place_of(Some(&name)), &path, refusal),
            }
            continue;
        }
        let mut value = json(value.get_ref());
        if name == "criteria"
            && let Some(cause) = complete(&mut value, &name)
        {
            let next = format!("keys of a condition: {}", CONDITION.join(", "));
            let fault = Fault::BadValue { key: path, cause, next };
            section.report(row.place_of(Some(&name)), fault);
        }
        fields.insert(name, value);
    }
    fields.into()
}

/// Gives the conditions of a tree the ids and names that they need not have here. Returns a key that means nothing.
fn complete(condition: &mut Value, path: &str) -> Option<String> {
    let fields = condition.as_object_mut()?;
    let unknown = fields.keys().find(|key| !CONDITION.contains(&key.as_str()));
    let mut unknown = unknown.map(|key| format!("\"{key}\" of {path} means nothing"));
    for key in ["id", "name"] {
        fields.entry(key).or_insert_with(|| path.into());
    }
    let conditions = fields.get_mut("conditions").and_then(Value::as_array_mut);
    for (place, inner) in (1..).zip(conditions.into_iter().flatten()) {
        let within = complete(inner, &format!("{path}.{place}"));
        unknown = unknown.or(within);
    }
    unknown
}

fn json(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Boolean(flag) => (*flag).into(),
        DeValue::Integer(number) => {
            let read = i64::from_str_radix(number.as_str(), number.radix());
            read.map_or_else(|_| number.to_string().into(), Value::from)
        }
        // What JSON can't hold stays a text, which is no number.
        DeValue::Float(number) => {
            let read = number.as_str().parse().ok().and_then(Number::from_f64);
            read.map_or_else(|| number.as_str().into(), Value::Number)
        }
        DeValue::Datetime(time) => time.to_string().into(),
        DeValue::Array(items) => items.iter().map(|item| json(item.get_ref())).collect(),
        DeValue::Table(table) => {
            let entry = |(key, value): (&toml::Spanned<_>, &toml::Spanned<_>)| {
                let key: &toml::de::DeString<'_> = key.get_ref();
                let value: &DeValue<'_> = value.get_ref();
                (key.to_string(), json(value))
            };
            Value::Object(table.iter().map(entry).collect())
        }
    }
}

/// A duration, or `"0s"` for none.
fn duration_or_none(value: Scalar<'_>) -> Result<Duration, Refusal> {
    match value {
        Scalar::Variable("0s") => return Ok(Duration::ZERO),
        Scalar::Toml(DeValue::String(text)) if text == "0s" => return Ok(Duration::ZERO),
        Scalar::Variable(_) | Scalar::Toml(_) => {}
        Scalar::Asked(shape) => {
            let pattern = "^(0s|0*[1-9][0-9]* *(ms|s|m|h))$";
            return Err(scalar::asked(
                shape,
                serde_json::json!({"type": "string", "pattern": pattern}),
            ));
        }
    }
    scalar::duration(value).map_err(|refusal| match refusal {
        Refusal::Value { cause, next } => {
            Refusal::Value { cause, next: format!("{next}; \"0s\" is for none") }
        }
        Refusal::Type { found, want } => Refusal::Type { found, want },
    })
}

/// A number of offers, 0 for no limit.
fn limit(value: Scalar<'_>) -> Result<u32, Refusal> {
    scalar::whole_up_to(value, 1_000_000, "write less, or 0 for no limit")
}
