//! `proactive.triggers`: what is a reason to offer help.
//!
//! A predicate of the vectors is code of autoplay-sdk's host; here it is a plugin, whose answer the runner gives. The
//! tuning values that stand in a context's extra map are the configuration of a trigger here.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};
use sidenote::clock::Timestamp;
use sidenote::engine::core::history::KeptBatch;
use sidenote::ids::{ConversationId, ProductId, SessionId, SessionKey};
use sidenote::offers::content::{MAX_OPTIONS, MAX_TEXT, Offer};
use sidenote::session::payload::{Action, ActionsPayload};
use sidenote::triggers::config::{self, Path};
use sidenote::triggers::context::{Context, LOOKBACK, MAX_ACTIONS, NoContext, Scope, Seen, Window};
use sidenote::triggers::pages::{Part, Visits};
use sidenote::triggers::ping_pong::{MIN_PAGES, PingPong};
use sidenote::triggers::sections::{
    Metrics, PlaybookRow, SectionPlaybook, SectionRule, SectionTime, Sections,
};
use sidenote::triggers::{
    Answer, Answers, Choice, Hit, Kind, Mode, Outcome, PAGE_DWELL, PING_PONG, PING_PONG_TEXT,
    SECTION_PLAYBOOK, Times, Trigger, Triggers,
};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::left_out::{Rule, has_in_input};
use crate::{compare, values};

/// Wall clock of the vectors.
const BEGIN: f64 = 1_700_000_000.0;
const DAY: Duration = Duration::from_secs(24 * 3600);

pub(crate) const LEFT_OUT: [Rule; 9] = [
    Rule {
        files: &["triggers"],
        reason: "a number that is none has its default or is refused, and is told of: nothing is read into it (D69, D71)",
        applies: |case| {
            let extra = &case["when"]["context"]["context_extra"]["user_page_dwell_max_actions"];
            let is_count = extra.as_u64().is_some_and(|number| number > 0);
            let as_text = |key: &str, value: &Value| key == "cooldown_s" && value.is_string();
            !extra.is_null() && !is_count || has_in_input(case, &as_text)
        },
    },
    Rule {
        files: &["triggers"],
        reason: "two triggers never have one id: cooldowns and decisions are told apart by it",
        applies: |case| {
            let triggers = case["given"]["triggers"].as_array();
            let mut ids: Vec<_> =
                triggers.into_iter().flatten().map(|row| row["trigger_id"].as_str()).collect();
            ids.sort_unstable();
            ids.windows(2).any(|ids| ids[0].is_some() && ids[0] == ids[1])
        },
    },
    Rule {
        files: &["triggers"],
        reason: "a label is trimmed, and at most 80 characters long",
        applies: |case| {
            let returned = &case["then"]["return"];
            let labels = returned["reply_option_labels"].as_array().into_iter().flatten();
            let options = returned["reply_options"].as_array().into_iter().flatten();
            let is_cut = |text: &str| text.trim() != text || text.chars().count() > 80;
            labels.chain(options.map(|option| &option["text"])).map(text).any(is_cut)
        },
    },
    Rule {
        files: &["triggers"],
        reason: "an offer has one bound, 150 characters",
        applies: |case| !case["when"]["max_chars"].is_null(),
    },
    Rule {
        files: &["triggers"],
        reason: "whether a trigger is judged is said by its configuration alone",
        applies: |case| {
            has_in_input(case, &|key, value| {
                key == "metadata" && !value["triggering_type"].is_null()
            })
        },
    },
    Rule {
        files: &["triggers"],
        reason: "a built-in trigger needs no name and no description",
        applies: |case| {
            let rows = case["when"]["specs"].as_array();
            rows.into_iter().flatten().any(|row| row.is_object() && row["name"].is_null())
        },
    },
    Rule {
        files: &["triggers"],
        reason: "a key that means nothing is refused",
        applies: |case| has_in_input(case, &|key, _| key == "color"),
    },
    Rule {
        files: &["triggers"],
        reason: "a session without a name is never looked at",
        applies: |case| {
            case["when"]["scope_policy"] == "lenient" && case["when"]["session_id"] == ""
        },
    },
    Rule {
        files: &["triggers"],
        reason: "a context holds what a trigger looks at, and nothing is handed through it",
        applies: |case| {
            let when = &case["when"];
            when["call"] == "context_from_actions" && !when["context_extra"].is_null()
        },
    },
];

pub(crate) fn check(case: &Value) -> Result<(), String> {
    let (given, when) = (values::input(&case["given"]), values::input(&case["when"]));
    let then = values::expected(&case["then"]);
    let returned = match when["call"].as_str() {
        Some("strict_ping_pong") => {
            let cycles = when["min_cycles"].as_u64().unwrap_or(1);
            let returns = visits(&when["urls"]).returns(&Part::everywhere());
            Ok(json!(returns as u64 >= cycles))
        }
        Some("hesitation") => {
            let pages = number(&when["min_distinct"]).unwrap_or(MIN_PAGES);
            let revisits = number(&when["min_repeats"]).unwrap_or(1);
            Ok(json!(visits(&when["urls"]).hesitates(&Part::everywhere(), pages, revisits)))
        }
        Some("projects_either_leg") => {
            let part = Part::with(text(&when["projects_substring"]));
            Ok(json!(visits(&when["urls"]).returns(&part) > 0))
        }
        Some("urls_touch_substring") => {
            let part = Part::with(text(&when["substring"]));
            Ok(json!(part.was_visited(&visits(&when["urls"]))))
        }
        Some("evaluate" | "evaluate_first" | "evaluate_all" | "evaluate_then_scope") => {
            return evaluate(&given, &when, &then);
        }
        Some("context_from_actions" | "context_from_payloads") => context(&when),
        Some("validate_scope") => key(&when["context"]).map(|_| Value::Null),
        Some("scope_has_chat_surface") => {
            let id = text(&when["conversation_id"]).trim().to_owned();
            Ok(json!(key(&when).is_ok() && ConversationId::new(id).is_ok()))
        }
        Some("resolve_section_id") => {
            let sections = sections(&when["rules"]);
            Ok(json!(sections.section(text(&when["canonical_url"]))))
        }
        Some("build_section_metrics") => Ok(metrics(&when)),
        Some("top_section") => {
            let times = given_metrics(&when["metrics"]);
            Ok(json!(times.top(|name| when["section_playbook"].get(name).is_some())))
        }
        Some("resolve_builtin_specs") => builtins(&when["specs"]),
        Some("cap_body") => {
            let offer = Offer::new("t", text(&when["text"]), []);
            Ok(json!(offer.map_or(String::new(), |offer| offer.text().to_owned())))
        }
        Some("quick_reply_payload") => return quick_replies(&when, &then["return"]),
        Some("defaults") => Ok(defaults()),
        other => return Err(format!("no such call: {other:?}")),
    };
    same(&returned, &then)
}

fn same(returned: &Result<Value, String>, then: &Value) -> Result<(), String> {
    compare::same_failure(returned, then)?;
    match returned {
        Ok(value) => compare::same("return", value, &then["return"]),
        Err(_) => Ok(()),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn number(value: &Value) -> Option<usize> {
    value.as_u64().and_then(|number| usize::try_from(number).ok())
}

fn visits(urls: &Value) -> Visits<'_> {
    Visits::of(urls.as_array().into_iter().flatten().map(text))
}

fn key(scope: &Value) -> Result<SessionKey, String> {
    let name = |key: &str| text(&scope[key]).trim().to_owned();
    Ok(SessionKey {
        product: ProductId::new(name("product_id")).map_err(|error| error.to_string())?,
        session: SessionId::new(name("session_id")).map_err(|error| error.to_string())?,
    })
}

/// Some session, for cases that say none.
fn some_key() -> SessionKey {
    key(&json!({ "product_id": "p", "session_id": "s" })).expect("these are names")
}

fn actions(value: &Value) -> Vec<Action> {
    let actions = value.as_array().into_iter().flatten();
    actions.map(|action| Action::from_value(action).expect("an action is an object")).collect()
}

/// Actions that arrived one by one, each when it ended; one without a time now.
fn arrived(actions: Vec<Action>, now: Timestamp) -> Vec<KeptBatch> {
    let kept = |(first, action): (u64, Action)| {
        let at = action.timestamp_end.map_or(now, Timestamp::from_secs_f64);
        KeptBatch {
            first,
            at,
            batch: ActionsPayload { actions: vec![action], ..ActionsPayload::default() },
        }
    };
    (1..).zip(actions).map(kept).collect()
}

// ---- evaluating

/// The triggers of a case, and what those answer that are predicates.
struct Stage {
    triggers: Triggers,
    answers: Answers,
}

fn evaluate(given: &Value, when: &Value, then: &Value) -> Result<(), String> {
    let context = &when["context"];
    let extra = &context["context_extra"];
    let now = Timestamp::from_secs_f64(extra["eval_now"].as_f64().unwrap_or(BEGIN));
    let playbook_pages = section_actions(extra);
    let actions = match (&context["recent_actions"], &context["canonical_urls"]) {
        (Value::Array(_), _) => actions(&context["recent_actions"]),
        (_, Value::Array(urls)) => urls.iter().map(|url| on(text(url))).collect(),
        _ => playbook_pages,
    };
    let batches = arrived(actions, now);
    let key = some_key();
    let scope = Scope { section: extra["current_section_id"].as_str(), ..Scope::of(&key) };
    let window = Window::new(DAY, MAX_ACTIONS).expect("it has a length");
    let seen = Context::within(window, scope, &batches, now).map_err(|error| error.to_string())?;
    let stage = match stage(given, when) {
        Ok(stage) => stage,
        refused @ Err(_) => return same(&refused.map(|_| Value::Null), then),
    };
    let ids: Vec<_> = stage.triggers.iter().map(|trigger| trigger.id.clone()).collect();
    if let Some(expected) = then.get("trigger_ids") {
        compare::same("trigger_ids", &json!(ids), expected)?;
    }
    let outcomes = stage.triggers.evaluate(&seen, &stage.answers);
    let hits: Vec<_> = outcomes
        .into_iter()
        .filter_map(|(_, outcome)| match outcome {
            Outcome::Hit(hit) => Some(hit),
            Outcome::No | Outcome::Ask(_) | Outcome::Failed(_) => None,
        })
        .collect();
    let said: Vec<_> = hits.iter().map(|hit| said(hit, given)).collect();
    let returned = match when["call"].as_str() {
        Some("evaluate_all") => json!(said),
        Some("evaluate_then_scope") => {
            let part = Part::with(text(&when["substring"]));
            let stays =
                |hit: &&Hit| hit.offer.trigger() != PING_PONG || part.was_visited(&seen.visits);
            json!(hits.iter().filter(stays).map(|hit| hit.offer.trigger()).collect::<Vec<_>>())
        }
        _ => json!(said.first()),
    };
    same(&Ok(returned), then)
}

/// A hit in autoplay-sdk's form. It has a type only where its trigger was wrapped with one.
fn said(hit: &Hit, given: &Value) -> Value {
    let mut metadata = hit.metadata.clone();
    let is_wrapped = given["trigger"].is_null() && given["triggers"].is_null()
        || !given["trigger"]["triggering_type"].is_null();
    if is_wrapped {
        metadata.insert("triggering_type".to_owned(), json!(type_of(hit.mode)));
    }
    // A scope that is none is told as an empty one.
    if given["trigger"]["kind"] == "scoped_ping_pong" {
        metadata.entry("scoped_canonical_url_contains").or_insert(json!(""));
    }
    result(hit, metadata)
}

pub(crate) fn result(hit: &Hit, metadata: Map<String, Value>) -> Value {
    let labels: Vec<_> = hit.offer.options().iter().map(|option| &option.label).collect();
    json!({
        "trigger_id": hit.offer.trigger(),
        "body": hit.offer.text(),
        "reply_option_labels": labels,
        "metadata": metadata,
        "interaction_timeout_s": hit.offer.interaction_timeout_s,
        "cooldown_s": hit.offer.cooldown_s,
    })
}

pub(crate) fn type_of(mode: Mode) -> &'static str {
    match mode {
        Mode::Instant => "instant_trigger",
        Mode::Judged => "llm_judge_validation",
    }
}

/// A mode by autoplay-sdk's name for it; another name is none.
fn mode_name(name: &str) -> &'static str {
    match name.trim() {
        "instant_trigger" => Mode::Instant.name(),
        "llm_judge_validation" => Mode::Judged.name(),
        _ => "none",
    }
}

fn stage(given: &Value, when: &Value) -> Result<Stage, String> {
    if let Some(rows) = given.get("builtins") {
        let rows: Vec<_> = rows.as_array().into_iter().flatten().map(row).collect();
        return read(&json!(rows)).map(|triggers| Stage { triggers, answers: Answers::default() });
    }
    let listed = match (given.get("trigger"), given["triggers"].as_array()) {
        (Some(one), _) => vec![one],
        (None, Some(rows)) => rows.iter().collect(),
        (None, None) => {
            return read(&Value::Null)
                .map(|triggers| Stage { triggers, answers: Answers::default() });
        }
    };
    let (mut triggers, mut answers) = (Vec::new(), BTreeMap::new());
    for spec in listed {
        // One that is refused makes no offers, and leaves the others.
        let Ok((trigger, answer)) = trigger(spec, &when["context"]) else { continue };
        if let Kind::Plugin(plugin) = &trigger.kind {
            answers.insert(plugin.clone(), answer.unwrap_or(Answer::Nothing));
        }
        triggers.push(trigger);
    }
    let triggers = Triggers::of(triggers).map_err(|errors| format!("{errors:?}"))?;
    Ok(Stage { triggers, answers: Answers(answers) })
}

fn read(rows: &Value) -> Result<Triggers, String> {
    let (triggers, errors) = config::triggers(rows, Times::default());
    match (triggers, errors.as_slice()) {
        (Some(triggers), []) => Ok(triggers),
        _ => Err(format!("{errors:?}")),
    }
}

/// One of autoplay-sdk's rows as one of ours. A playbook stands in its context, in ours in the row.
fn row(spec: &Value) -> Value {
    let Some(fields) = spec.as_object() else { return spec.clone() };
    let kind = match text(&spec["id"]) {
        PING_PONG => "ping-pong",
        PAGE_DWELL => "page-dwell",
        SECTION_PLAYBOOK => "section-playbook",
        other => other,
    };
    let mut row = Map::new();
    row.insert("kind".to_owned(), json!(kind));
    if kind == "section-playbook" {
        row.insert("playbook".to_owned(), json!({ "a": "Ask" }));
        row.insert("sections".to_owned(), json!([{ "prefix": "/a", "id": "a" }]));
    }
    for (key, value) in fields {
        let (key, value) = match (key.as_str(), value) {
            ("name" | "description", _) => continue,
            ("interaction_timeout_s", value) => ("interaction_timeout", value.clone()),
            ("cooldown_s", value) => ("cooldown", value.clone()),
            ("triggering_type", Value::String(name)) => ("mode", json!(mode_name(name))),
            ("triggering_type", value) => ("mode", value.clone()),
            (key, value) => (key, value.clone()),
        };
        row.insert(key.to_owned(), value);
    }
    row.into()
}

fn builtins(specs: &Value) -> Result<Value, String> {
    let specs = specs.as_array().ok_or("no list")?;
    let path = Path::top("triggers");
    let read = |(place, spec): (usize, &Value)| {
        let trigger =
            config::trigger(&row(spec), Times::default(), &path.nth(place), &mut Vec::new())
                .map_err(|error| error.to_string())?;
        Ok(json!({
            "id": trigger.id,
            "name": spec["name"],
            "description": spec["description"],
            "interaction_timeout_s": trigger.times.interaction_timeout_s,
            "cooldown_s": trigger.times.cooldown_s,
            "triggering_type": type_of(trigger.mode),
        }))
    };
    (0..).zip(specs).map(read).collect::<Result<Vec<_>, String>>().map(Value::from)
}

fn trigger(spec: &Value, context: &Value) -> Result<(Trigger, Option<Answer>), String> {
    let extra = &context["context_extra"];
    let hesitation = (spec["broaden_with_hesitation"] != false)
        .then_some(number(&spec["hesitation_min_distinct"]).unwrap_or(MIN_PAGES));
    let ping_pong = PingPong {
        part: Part::with(text(&spec["url_must_contain"])),
        min_cycles: number(&spec["min_cycles"]).unwrap_or(1),
        hesitation,
    };
    let (mut trigger, answer) = match spec["kind"].as_str() {
        Some("canonical_ping_pong" | "scoped_ping_pong") => {
            (Trigger::of(PING_PONG, Kind::PingPong(ping_pong)), None)
        }
        Some("user_page_dwell") => {
            let or = |extra: &Value, own: &Value| {
                if extra.is_null() { own.clone() } else { extra.clone() }
            };
            let row = json!({
                "id": PAGE_DWELL,
                "kind": "page-dwell",
                "threshold": or(&extra["dwell_threshold_seconds"], &spec["default_threshold_s"]),
                "max_actions": or(&extra["user_page_dwell_max_actions"], &spec["default_max_actions"]),
            });
            let trigger =
                config::trigger(&row, Times::default(), &Path::top("trigger"), &mut Vec::new());
            let mut trigger = trigger.map_err(|error| error.to_string())?;
            trigger.text = extra["dwell_proactive_body"].as_str().map(str::to_owned);
            (trigger, None)
        }
        Some("section_playbook") => {
            let kind = Kind::SectionPlaybook(playbook(extra));
            (Trigger::of(SECTION_PLAYBOOK, kind), None)
        }
        Some("predicate") => {
            let id = text(&spec["trigger_id"]);
            let trigger = Trigger::of(id, Kind::Plugin(id.into()));
            (trigger, Some(predicate(spec, context)))
        }
        other => return Err(format!("no such kind: {other:?}")),
    };
    let times = &spec["timings"];
    let seconds = |key: &str, default| times[key].as_f64().unwrap_or(default);
    trigger.times = Times {
        interaction_timeout_s: seconds(
            "interaction_timeout_s",
            trigger.times.interaction_timeout_s,
        ),
        cooldown_s: seconds("cooldown_s", trigger.times.cooldown_s),
    };
    if let Some(mode) = spec["triggering_type"].as_str() {
        trigger.mode = Mode::named(mode_name(mode)).ok_or("no such type")?;
    }
    Ok((trigger, answer))
}

/// What a host's predicate says of a context.
fn predicate(spec: &Value, context: &Value) -> Answer {
    let asked = &spec["predicate"];
    let urls = || context["canonical_urls"].as_array().into_iter().flatten().map(text);
    let holds = match asked["if"].as_str() {
        Some("always") => true,
        Some("never") => false,
        Some("url_contains") => urls().any(|url| url.contains(text(&asked["text"]))),
        Some("extra_equals") => context["context_extra"][text(&asked["key"])] == asked["value"],
        other => return Answer::Failed(format!("{other:?}")),
    };
    if !holds {
        return Answer::Nothing;
    }
    let labels = spec["reply_option_labels"].as_array().into_iter().flatten();
    let options = labels.map(|label| choice(text(label))).collect();
    Answer::Offer { text: text(&spec["body"]).to_owned(), options }
}

fn choice(label: &str) -> Choice {
    Choice { label: label.to_owned(), tour: None }
}

// ---- sections

/// The page of a section.
fn page_of(section: &str) -> String {
    format!("/{section}/")
}

fn playbook(extra: &Value) -> SectionPlaybook {
    let rows = extra["section_playbook"].as_object().into_iter().flatten();
    let mut playbook = BTreeMap::new();
    for (name, row) in rows {
        let body = [row, &row["body"], &row["proactive_body"]].into_iter().find_map(Value::as_str);
        let labels = [&row["reply_option_labels"], &row["quick_reply_labels"]];
        let labels = labels.into_iter().find_map(Value::as_array).into_iter().flatten();
        let options = labels.map(|label| choice(text(label))).collect();
        if let Some(body) = body {
            playbook.insert(name.clone(), PlaybookRow { text: body.to_owned(), options });
        }
    }
    let rule = |name: &String| SectionRule { prefix: page_of(name), section: name.clone() };
    SectionPlaybook { sections: Sections::of(playbook.keys().map(rule)), playbook }
}

/// Actions that come to the metrics of a context: one for each visit, the current section's last.
fn section_actions(extra: &Value) -> Vec<Action> {
    let metrics = &extra["product_section_playbook"];
    let current = text(&metrics["runtime"]["current_section_id"]);
    let mut visits: Vec<(&str, f64)> = Vec::new();
    for (name, stats) in metrics["sections"].as_object().into_iter().flatten() {
        let dwell = stats["dwell_seconds_per_visit"].as_array().into_iter().flatten();
        visits.extend(dwell.filter_map(|dwell| Some((name.as_str(), dwell.as_f64()?))));
    }
    visits.sort_by_key(|(name, _)| *name == current);
    if !current.is_empty() && visits.last().is_none_or(|(name, _)| *name != current) {
        visits.push((current, 0.0));
    }
    let mut now = BEGIN;
    let mut actions = Vec::new();
    for (name, dwell) in visits {
        let start = now;
        now += dwell;
        let timed = |page: &str, start, end| Action {
            timestamp_start: Some(start),
            timestamp_end: Some(end),
            ..on(page)
        };
        // Between two visits lies a page that is in no section.
        actions.push(timed("-", start, start));
        actions.push(timed(&page_of(name), start, now));
    }
    actions
}

fn on(page: &str) -> Action {
    Action { canonical_url: page.to_owned(), ..Action::default() }
}

fn sections(rules: &Value) -> Sections {
    Sections::of(rules.as_array().into_iter().flatten().map(|rule| SectionRule {
        prefix: text(&rule["prefix"]).to_owned(),
        section: text(&rule["section_id"]).to_owned(),
    }))
}

fn metrics(when: &Value) -> Value {
    let sections = sections(&when["rules"]).with_other(text(&when["fallback_id"]));
    let now = Timestamp::from_secs_f64(BEGIN + 3600.0);
    let batches = arrived(actions(&when["actions"]), now);
    let key = some_key();
    let window = Window::new(DAY, MAX_ACTIONS).expect("it has a length");
    let context = Context::within(window, Scope::of(&key), &batches, now).expect("it has names");
    let Metrics { sections, current } = Metrics::of(&context.actions, &sections);
    let sections: Map<_, _> =
        sections.into_iter().map(|(name, time)| (name, section_time(&time))).collect();
    json!({ "runtime": { "current_section_id": current }, "sections": sections })
}

fn section_time(time: &SectionTime) -> Value {
    let shown = |at: Timestamp| {
        let at = OffsetDateTime::from_unix_timestamp(at.0.div_euclid(1_000_000));
        at.expect("a time of the vectors").format(&Rfc3339).expect("a time can be written")
    };
    json!({
        "visit_count": time.visits,
        "dwell_seconds_per_visit": time.dwell.iter().map(Duration::as_secs_f64).collect::<Vec<_>>(),
        "first_visited_at": shown(time.first),
        "last_visited_at": shown(time.last),
    })
}

/// Metrics as they stand in a case; what is none of them is left out.
fn given_metrics(value: &Value) -> Metrics {
    let mut metrics = Metrics::default();
    for (name, stats) in value["sections"].as_object().into_iter().flatten() {
        let Some(dwell) = stats["dwell_seconds_per_visit"].as_array() else { continue };
        let dwell = dwell.iter().filter_map(Value::as_f64).map(Duration::from_secs_f64).collect();
        let visits = stats["visit_count"].as_u64().unwrap_or(0);
        let (first, last) = Default::default();
        metrics.sections.insert(name.clone(), SectionTime { visits, dwell, first, last });
    }
    metrics
}

// ---- contexts

fn context(when: &Value) -> Result<Value, String> {
    let now = Timestamp::from_secs_f64(when["now"].as_f64().unwrap_or(BEGIN));
    let window = match (when.get("lookback_seconds"), when.get("max_actions")) {
        (None, None) => Ok(Window::default()),
        (lookback, most) => {
            let lookback = match lookback {
                None => LOOKBACK,
                Some(Value::Null) => DAY * 365,
                Some(seconds) => {
                    Duration::from_secs_f64(seconds.as_f64().ok_or("no time")?.max(0.0))
                }
            };
            let most = match most {
                None => MAX_ACTIONS,
                Some(Value::Null) => usize::MAX,
                Some(most) => number(most).unwrap_or(0),
            };
            Window::new(lookback, most)
        }
    };
    let window = window.map_err(|error: NoContext| error.to_string())?;
    let key = key(when)?;
    let conversation = ConversationId::new(text(&when["conversation_id"]).to_owned()).ok();
    if when["require_conversation"] == true && when["scope_policy"] != "lenient" {
        conversation.as_ref().ok_or("it is linked to no conversation")?;
    }
    let batches = match when["payloads"].as_array() {
        Some(payloads) => payloads.iter().map(payload).collect::<Result<Vec<_>, _>>()?,
        None => arrived(actions(&when["actions"]), now),
    };
    let scope = Scope {
        conversation: conversation.as_ref(),
        summary: when["latest_summary_text"].as_str(),
        action_count: when["action_count"].as_u64().unwrap_or(0),
        ..Scope::of(&key)
    };
    let context =
        Context::within(window, scope, &batches, now).map_err(|error| error.to_string())?;
    let urls = context.actions.iter().map(|seen| Some(&seen.action.canonical_url));
    let urls: Vec<_> = urls.map(|url| url.filter(|url| !url.is_empty())).collect();
    Ok(json!({
        "canonical_urls": urls,
        "session_id": context.scope.key.session.as_str(),
        "conversation_id": context.scope.conversation.map_or("", ConversationId::as_str),
        "action_count": context.scope.action_count,
        "product_id": context.scope.key.product.as_str(),
        "recent_actions": context.actions.iter().map(shown).collect::<Vec<_>>(),
        "latest_summary_text": context.scope.summary.unwrap_or_default(),
        "prior_session_summaries": [],
        "context_extra": {},
    }))
}

/// A batch that arrived when it was forwarded.
fn payload(value: &Value) -> Result<KeptBatch, String> {
    let (batch, _) = ActionsPayload::from_value(value).map_err(|error| error.to_string())?;
    Ok(KeptBatch { first: 1, at: Timestamp::from_secs_f64(batch.forwarded_at), batch })
}

/// The fields of an action that say something.
fn shown(seen: &Seen<'_>) -> Value {
    let Ok(Value::Object(mut fields)) = serde_json::to_value(seen.action) else {
        panic!("an action is an object")
    };
    fields.retain(|_, value| values::is_yes(value));
    fields.into()
}

// ---- what an offer says

/// The texts, and ids that tell the options apart: ours are others (D76).
fn quick_replies(when: &Value, expected: &Value) -> Result<(), String> {
    let labels = when["prompt_labels"].as_array().into_iter().flatten();
    let offer = Offer::new("t", text(&when["body"]), labels.map(|label| (text(label), None)));
    let offer = offer.map_err(|error| error.to_string())?;
    compare::same_text("body", offer.text(), &expected["body"])?;
    let options = expected["reply_options"].as_array().into_iter().flatten();
    let texts: Vec<_> = options.map(|option| &option["text"]).collect();
    let labels: Vec<_> = offer.options().iter().map(|option| &option.label).collect();
    compare::same("labels", &json!(labels), &json!(texts))?;
    let mut ids: Vec<_> = offer.options().iter().map(|option| &option.id).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.len() == labels.len() { Ok(()) } else { Err("two options have one id".to_owned()) }
}

fn defaults() -> Value {
    let times = Times::default();
    json!({
        "interaction_timeout_s": times.interaction_timeout_s,
        "cooldown_s": times.cooldown_s,
        "body_max_chars": MAX_TEXT,
        "context_lookback_s": LOOKBACK.as_secs_f64(),
        "context_max_actions": MAX_ACTIONS,
        "reply_options_max": MAX_OPTIONS,
        "quick_reply_body": PING_PONG_TEXT,
        "trigger_ids": {
            "canonical_ping_pong": PING_PONG,
            "user_page_dwell": PAGE_DWELL,
            "section_playbook_match": SECTION_PLAYBOOK,
        },
    })
}
