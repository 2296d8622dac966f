//! Triggers as a configuration has them, and what can be wrong with it. A row that can't be used is refused with
//! its path and the reason; the others stay. Where a wrong value has a default, that is used and the value is told of:
//! what merely tunes a trigger keeps neither it nor the others from running.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Map, Value};

use super::criteria::Criteria;
use super::dwell::PageDwell;
use super::fault::text;
pub use super::fault::{ConfigError, Fault, Path};
use super::pages::Part;
use super::ping_pong::{MIN_PAGES, PingPong};
use super::sections::{PlaybookRow, SectionPlaybook, SectionRule, Sections};
use super::{Choice, Kind, Mode, Times, Trigger, Triggers};
use crate::offers::content::{MAX_LABEL, MAX_OPTIONS, MAX_TEXT};

/// Most triggers of a product.
pub const MAX_TRIGGERS: usize = 100;
/// Most rows of a playbook, and most rules of its sections.
pub const MAX_ROWS: usize = 1000;
/// Longest id of a trigger, in bytes.
pub const MAX_ID: usize = 128;
/// Longest time that is waited for, in seconds: a day.
pub const MAX_SECONDS: f64 = 86_400.0;

/// What a trigger's `kind` can be.
pub const KINDS: [&str; 5] = ["ping-pong", "page-dwell", "section-playbook", "criteria", "plugin"];
const COMMON: [&str; 7] =
    ["id", "kind", "mode", "text", "options", "interaction_timeout", "cooldown"];

/// Reads the triggers of a product: a list of rows, times in seconds. `times` are those of a trigger that says
/// none. What can be used is returned with what is wrong with the rest; nothing at all where no row can be used.
/// Null, which is no list, is one ping-pong.
pub fn triggers(rows: &Value, times: Times) -> (Option<Triggers>, Vec<ConfigError>) {
    with_further(rows, Vec::new(), times)
}

/// As [`triggers`], with further ones behind those of the list. Where there are some, no list is none.
pub fn with_further(
    rows: &Value,
    further: Vec<Trigger>,
    times: Times,
) -> (Option<Triggers>, Vec<ConfigError>) {
    let path = Path::top("triggers");
    if rows.is_null() && further.is_empty() {
        let ping_pong = Trigger::of(super::PING_PONG, Kind::PingPong(PingPong::default()));
        return (Some(Triggers(vec![Trigger { times, ..ping_pong }])), Vec::new());
    }
    let listed = match rows.as_array() {
        None if rows.is_null() => &[],
        Some(rows) if !rows.is_empty() => rows.as_slice(),
        Some(_) | None => {
            let fault = Fault::Not("a list with one trigger at least");
            return (None, vec![path.fault(fault)]);
        }
    };
    if listed.len() + further.len() > MAX_TRIGGERS {
        return (None, vec![path.fault(Fault::TooMany { most: MAX_TRIGGERS })]);
    }
    let (mut usable, mut errors) = (Vec::new(), Vec::new());
    for (place, row) in (0..).zip(listed) {
        match trigger(row, times, &path.nth(place), &mut errors) {
            Ok(trigger) => usable.push((place, trigger)),
            Err(error) => errors.push(error),
        }
    }
    usable.extend((listed.len()..).zip(further));
    let triggers = join(usable, &path, &mut errors);
    ((!triggers.is_empty()).then_some(triggers), errors)
}

/// Puts triggers together; each comes with its place in the list. Those that don't fit to the others are refused.
pub(super) fn join(
    mut usable: Vec<(usize, Trigger)>,
    path: &Path<'_>,
    errors: &mut Vec<ConfigError>,
) -> Triggers {
    let mut ids = BTreeSet::new();
    usable.retain(|(place, trigger)| {
        let is_new = ids.insert(trigger.id.clone());
        if !is_new {
            errors.push(path.nth(*place).at("id").fault(Fault::Twice));
        }
        is_new
    });
    // Trees within trees and unknown conditions: what remains may leave others without their conditions.
    loop {
        let refused = usable.iter().find_map(|(place, trigger)| {
            unfit(trigger, *place, &usable, path).map(|error| (*place, error))
        });
        let Some((place, error)) = refused else { break };
        errors.push(error);
        usable.retain(|(other, _)| *other != place);
    }
    Triggers(usable.into_iter().map(|(_, trigger)| trigger).collect())
}

fn unfit(
    trigger: &Trigger,
    place: usize,
    all: &[(usize, Trigger)],
    path: &Path<'_>,
) -> Option<ConfigError> {
    let row = path.nth(place);
    if !trigger.alone {
        let is_named = all.iter().any(|(_, other)| match &other.kind {
            Kind::Criteria(tree) => tree.leaves().iter().any(|leaf| leaf.trigger == trigger.id),
            Kind::PingPong(_) | Kind::PageDwell(_) | Kind::SectionPlaybook(_) | Kind::Plugin(_) => {
                false
            }
        });
        if !is_named {
            return Some(row.at("alone").fault(Fault::Unused));
        }
    }
    let Kind::Criteria(tree) = &trigger.kind else { return None };
    let find = |id: &str| all.iter().find(|(_, other)| other.id == id).map(|(_, other)| other);
    tree.leaves().into_iter().find_map(|leaf| match find(&leaf.trigger) {
        Some(Trigger { kind: Kind::Criteria(_), .. }) => {
            Some(row.at("criteria").fault(Fault::Nested))
        }
        Some(_) => None,
        None if super::built_in(&leaf.trigger).is_some() => None,
        None => {
            let ids = all.iter().map(|(_, other)| other).filter(|other| other.id != trigger.id);
            let mut known: Vec<_> = ids.map(|other| other.id.clone()).collect();
            known.extend(super::BUILT_IN.iter().map(|id| (*id).to_owned()));
            known.sort_unstable();
            known.dedup();
            let word = leaf.trigger.clone();
            Some(row.at("criteria").fault(Fault::Word { word, known }))
        }
    })
}

/// Reads one row. Whether it fits to the others is seen when they are put together. Values in whose place a default is
/// used are told to `tuned`.
///
/// # Errors
/// The first thing that is wrong and has no default, with its path.
pub fn trigger(
    row: &Value,
    times: Times,
    path: &Path<'_>,
    tuned: &mut Vec<ConfigError>,
) -> Result<Trigger, ConfigError> {
    let fields = row.as_object().ok_or_else(|| path.fault(Fault::Not("an object")))?;
    let id = line(fields, "id", MAX_ID, path)?;
    let kind_name = text(fields, "kind", path)?;
    let mut wrong = Vec::new();
    let kind = kind(&kind_name, fields, path, &mut wrong)?;
    let mode = match optional(fields, "mode") {
        None => Mode::Judged,
        Some(mode) => mode
            .as_str()
            .and_then(Mode::named)
            .ok_or_else(|| path.at("mode").fault(Fault::Not("\"judged\" or \"instant\"")))?,
    };
    let needs_text = match kind {
        Kind::Criteria(_) => true,
        Kind::PingPong(_) | Kind::PageDwell(_) | Kind::SectionPlaybook(_) | Kind::Plugin(_) => {
            false
        }
    };
    let said = match optional(fields, "text") {
        None => None,
        // The kind has a text of its own.
        Some(value) if !needs_text && !value.is_string() => {
            or_default(Err(path.at("text").fault(Fault::Not("a text"))), &mut wrong)
        }
        Some(_) => Some(line(fields, "text", MAX_TEXT, path)?),
    };
    if needs_text && said.is_none() {
        return Err(path.at("text").fault(Fault::Not("a text")));
    }
    let alone = match optional(fields, "alone") {
        None => true,
        Some(alone) => {
            alone.as_bool().ok_or_else(|| path.at("alone").fault(Fault::Not("true or false")))?
        }
    };
    let trigger = Trigger {
        id,
        mode,
        text: said,
        options: choices(fields, path)?,
        times: Times {
            interaction_timeout_s: seconds(fields, "interaction_timeout", path)?
                .unwrap_or(times.interaction_timeout_s),
            cooldown_s: seconds(fields, "cooldown", path)?.unwrap_or(times.cooldown_s),
        },
        alone,
        kind,
    };
    tuned.append(&mut wrong);
    Ok(trigger)
}

/// The value, or nothing where it is wrong, which is told.
fn or_default<T>(read: Result<Option<T>, ConfigError>, wrong: &mut Vec<ConfigError>) -> Option<T> {
    read.unwrap_or_else(|error| {
        wrong.push(ConfigError { has_default: true, ..error });
        None
    })
}

/// The keys that a row of a kind can have; `None` for no kind.
pub fn keys(kind: &str) -> Option<Vec<&'static str>> {
    let own: &[&str] = match kind {
        "ping-pong" => &["alone", "scope", "min_cycles", "hesitation", "min_pages"],
        "page-dwell" => &["alone", "threshold", "max_actions"],
        "criteria" => &["criteria"],
        // The texts are the playbook's.
        "section-playbook" => {
            let own = ["alone", "playbook", "sections"];
            let common = COMMON.into_iter().filter(|key| *key != "text");
            return Some(common.chain(own).collect());
        }
        // Text and options are the plugin's.
        "plugin" => {
            return Some(vec![
                "id",
                "kind",
                "mode",
                "interaction_timeout",
                "cooldown",
                "alone",
                "plugin",
            ]);
        }
        _ => return None,
    };
    Some([&COMMON, own].concat())
}

fn kind(
    name: &str,
    fields: &Map<String, Value>,
    path: &Path<'_>,
    wrong: &mut Vec<ConfigError>,
) -> Result<Kind, ConfigError> {
    let known = keys(name).ok_or_else(|| {
        let known = KINDS.map(str::to_owned).to_vec();
        path.at("kind").fault(Fault::Word { word: name.to_owned(), known })
    })?;
    only(fields, &known, path)?;
    Ok(match name {
        "ping-pong" => Kind::PingPong(ping_pong(fields, path, wrong)?),
        "page-dwell" => Kind::PageDwell(page_dwell(fields, path, wrong)),
        "section-playbook" => Kind::SectionPlaybook(section_playbook(fields, path)?),
        "criteria" => {
            let at = path.at("criteria");
            let tree = fields.get("criteria").ok_or_else(|| at.fault(Fault::Not("a tree")))?;
            Kind::Criteria(Criteria::from_value(tree, &at)?)
        }
        // `keys` knows no further kind.
        _ => Kind::Plugin(line(fields, "plugin", MAX_ID, path)?.into()),
    })
}

fn ping_pong(
    fields: &Map<String, Value>,
    path: &Path<'_>,
    wrong: &mut Vec<ConfigError>,
) -> Result<PingPong, ConfigError> {
    let default = PingPong::default();
    let part = match optional(fields, "scope") {
        None => Part::everywhere(),
        Some(_) => Part::with(&line(fields, "scope", 2000, path)?),
    };
    let hesitates = match optional(fields, "hesitation") {
        None => Ok(None),
        Some(value) => value
            .as_bool()
            .map(Some)
            .ok_or_else(|| path.at("hesitation").fault(Fault::Not("true or false"))),
    };
    let hesitates = or_default(hesitates, wrong).unwrap_or(true);
    if !hesitates && optional(fields, "min_pages").is_some() {
        return Err(path.at("min_pages").fault(Fault::Idle));
    }
    let min_pages = count(fields, "min_pages", path).and_then(|pages| match pages {
        Some(1) => Err(path.at("min_pages").fault(Fault::Not("a whole number from 2"))),
        pages => Ok(pages),
    });
    let min_pages = or_default(min_pages, wrong).unwrap_or(MIN_PAGES);
    let min_cycles = or_default(count(fields, "min_cycles", path), wrong);
    Ok(PingPong {
        part,
        min_cycles: min_cycles.unwrap_or(default.min_cycles),
        hesitation: hesitates.then_some(min_pages),
    })
}

fn page_dwell(
    fields: &Map<String, Value>,
    path: &Path<'_>,
    wrong: &mut Vec<ConfigError>,
) -> PageDwell {
    let default = PageDwell::default();
    let threshold = or_default(seconds(fields, "threshold", path), wrong);
    let max_actions = or_default(count(fields, "max_actions", path), wrong);
    PageDwell {
        threshold: threshold.map_or(default.threshold, Duration::from_secs_f64),
        max_actions: max_actions.unwrap_or(default.max_actions),
    }
}

fn section_playbook(
    fields: &Map<String, Value>,
    path: &Path<'_>,
) -> Result<SectionPlaybook, ConfigError> {
    let at = path.at("playbook");
    let rows = fields.get("playbook").and_then(Value::as_object).filter(|rows| !rows.is_empty());
    let rows = rows.ok_or_else(|| at.fault(Fault::Not("a table with one section at least")))?;
    if rows.len() > MAX_ROWS {
        return Err(at.fault(Fault::TooMany { most: MAX_ROWS }));
    }
    let mut playbook = BTreeMap::new();
    for (section, row) in rows {
        playbook.insert(section.trim().to_owned(), playbook_row(row, &at.at(section))?);
    }
    let at = path.at("sections");
    let rules = fields.get("sections").and_then(Value::as_array).filter(|rules| !rules.is_empty());
    let rules = rules.ok_or_else(|| at.fault(Fault::Not("a list with one section at least")))?;
    if rules.len() > MAX_ROWS {
        return Err(at.fault(Fault::TooMany { most: MAX_ROWS }));
    }
    let rules = (0..).zip(rules).map(|(place, rule)| section_rule(rule, &at.nth(place)));
    let rules: Vec<_> = rules.collect::<Result<_, _>>()?;
    let known: Vec<_> = rules.iter().map(|rule| rule.section.clone()).collect();
    let reachable = |section: &String| known.contains(section) || section == super::sections::OTHER;
    if let Some(section) = playbook.keys().find(|section| !reachable(section)) {
        let fault = Fault::Word { word: section.clone(), known };
        return Err(path.at("playbook").fault(fault));
    }
    Ok(SectionPlaybook { sections: Sections::of(rules), playbook })
}

/// A text, or a text with options.
fn playbook_row(row: &Value, path: &Path<'_>) -> Result<PlaybookRow, ConfigError> {
    match row {
        Value::String(words) => {
            Ok(PlaybookRow { text: bounded(words, MAX_TEXT, path)?, options: Vec::new() })
        }
        Value::Object(fields) => {
            only(fields, &["text", "options"], path)?;
            let text = line(fields, "text", MAX_TEXT, path)?;
            Ok(PlaybookRow { text, options: choices(fields, path)? })
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
            Err(path.fault(Fault::Not("a text, or a table with `text` and `options`")))
        }
    }
}

fn section_rule(rule: &Value, path: &Path<'_>) -> Result<SectionRule, ConfigError> {
    let fields = rule.as_object().ok_or_else(|| path.fault(Fault::Not("a table")))?;
    only(fields, &["prefix", "id"], path)?;
    Ok(SectionRule {
        prefix: line(fields, "prefix", 2000, path)?,
        section: line(fields, "id", MAX_ID, path)?,
    })
}

fn choices(fields: &Map<String, Value>, path: &Path<'_>) -> Result<Vec<Choice>, ConfigError> {
    let at = path.at("options");
    let Some(options) = optional(fields, "options") else { return Ok(Vec::new()) };
    let options = options.as_array().ok_or_else(|| at.fault(Fault::Not("a list")))?;
    if options.len() > MAX_OPTIONS {
        return Err(at.fault(Fault::TooMany { most: MAX_OPTIONS }));
    }
    let choice = |(place, option): (usize, &Value)| {
        let path = at.nth(place);
        let fields = option.as_object().ok_or_else(|| path.fault(Fault::Not("a table")))?;
        only(fields, &["label", "tour"], &path)?;
        let tour = optional(fields, "tour").map(|_| line(fields, "tour", 2000, &path));
        Ok(Choice { label: line(fields, "label", MAX_LABEL, &path)?, tour: tour.transpose()? })
    };
    (0..).zip(options).map(choice).collect()
}

/// Refuses a key that isn't `known`.
fn only(
    fields: &Map<String, Value>,
    known: &[&'static str],
    path: &Path<'_>,
) -> Result<(), ConfigError> {
    match fields.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(path.at(key).fault(Fault::Unknown { known: known.to_vec() })),
        None => Ok(()),
    }
}

/// A value that is there and isn't null.
fn optional<'v>(fields: &'v Map<String, Value>, key: &str) -> Option<&'v Value> {
    fields.get(key).filter(|value| !value.is_null())
}

/// A text with something in it, trimmed.
fn line(
    fields: &Map<String, Value>,
    key: &str,
    most: usize,
    path: &Path<'_>,
) -> Result<String, ConfigError> {
    bounded(&text(fields, key, path)?, most, &path.at(key))
}

fn bounded(text: &str, most: usize, path: &Path<'_>) -> Result<String, ConfigError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(path.fault(Fault::Not("a text with something in it")));
    }
    if text.chars().count() > most {
        return Err(path.fault(Fault::TooLong { most }));
    }
    Ok(text.to_owned())
}

/// A finite number of seconds above 0.
fn seconds(
    fields: &Map<String, Value>,
    key: &str,
    path: &Path<'_>,
) -> Result<Option<f64>, ConfigError> {
    let Some(value) = optional(fields, key) else { return Ok(None) };
    let fits = |seconds: &f64| seconds.is_finite() && *seconds > 0.0 && *seconds <= MAX_SECONDS;
    let seconds = value.as_f64().filter(fits);
    let fault = || Fault::Not("a number of seconds above 0, at most a day");
    seconds.map(Some).ok_or_else(|| path.at(key).fault(fault()))
}

/// A whole number from 1.
fn count(
    fields: &Map<String, Value>,
    key: &str,
    path: &Path<'_>,
) -> Result<Option<usize>, ConfigError> {
    let Some(value) = optional(fields, key) else { return Ok(None) };
    let number = value.as_u64().filter(|number| (1..=1_000_000).contains(number));
    let number = number.and_then(|number| usize::try_from(number).ok());
    number.map(Some).ok_or_else(|| path.at(key).fault(Fault::Not("a whole number from 1")))
}

#[cfg(test)]
mod tests;
