//! The cases that may differ from autoplay-sdk, by what stands in them, never by their name.

use std::collections::HashMap;

use serde_json::Value;
use sidenote::session::event_time::usable;
use sidenote::session::snapshot::MAX_V1_AGE_SECS;

use crate::values::{self, is_yes};

/// Why a case of `file` that differs is left out, where a rule says so.
pub(crate) fn reason(file: &str, case: &Value) -> Option<&'static str> {
    RULES
        .iter()
        .chain(&crate::triggers::LEFT_OUT)
        .chain(&crate::trigger_config::LEFT_OUT)
        .find(|rule| rule.files.contains(&file) && (rule.applies)(case))
        .map(|rule| rule.reason)
}

/// Which row of the defects demands that a case differs, though the case isn't tagged with it.
pub(crate) fn row(file: &str, case: &Value) -> Option<&'static str> {
    let mut rows = OF_ROWS.iter();
    rows.find(|rule| rule.files.contains(&file) && (rule.applies)(case)).map(|rule| rule.reason)
}

pub(crate) struct Rule {
    pub(crate) files: &'static [&'static str],
    pub(crate) reason: &'static str,
    pub(crate) applies: fn(&Value) -> bool,
}

const RULES: [Rule; 35] = [
    Rule {
        files: &["payloads", "sse_stream"],
        reason: "an action's index is a number: `true` is 1, and reads so in the text form",
        applies: |case| has_in_input(case, &|key, value| key == "index" && value.is_boolean()),
    },
    Rule {
        files: &["note_format", "session_fsm", "session_snapshot", "linking", "delivery"],
        reason: "ids are text: a number or a boolean is refused or read as its text",
        applies: |case| {
            has_in_input(case, &|key, value| {
                let is_id = ["session_id", "conversation_id", "active_tour_id"].contains(&key);
                is_id && !value.is_string() && !value.is_null()
            })
        },
    },
    Rule {
        files: &["payloads", "sse_stream"],
        reason: "a time is one that a date can hold (D18): what lies beyond reads as milliseconds or as missing",
        applies: |case| {
            find(&case["then"], &|key, value| {
                is_time_of_payload(key) && number(value).is_some_and(|at| usable(at) != Some(at))
            })
        },
    },
    Rule {
        files: &["payloads", "sse_stream"],
        reason: "an index has 64 bits, and how many actions a summary replaces isn't below 0 (D24)",
        applies: |case| {
            find(&case["then"], &|key, value| match key {
                "index" => value.is_object(),
                "replaces" => value.is_object() || value.as_f64().is_some_and(|count| count < 0.0),
                _ => false,
            })
        },
    },
    Rule {
        files: &["payloads", "note_format"],
        reason: "an id, a kind and an address are one line without control characters (D19)",
        applies: |case| {
            has_in_input(case, &|key, value| {
                matches!(key, "session_id" | "type" | "canonical_url")
                    && value.as_str().is_some_and(|text| text.contains(char::is_control))
            })
        },
    },
    Rule {
        files: &["linking"],
        reason: "a conversation that no session went to isn't known by a reply in it (D06)",
        applies: |case| {
            let mut went = HashMap::new();
            steps(case).any(|step| {
                let conversation = &step["conversation_id"];
                let first = *went.entry(step["session"].as_str()).or_insert(conversation);
                step["event"] == "REPLY_EXISTING" && first != conversation
            })
        },
    },
    Rule {
        files: &["note_format", "delivery"],
        reason: "an action without a time keeps its place: it isn't of 1970 (D20)",
        applies: has_times_and_none,
    },
    Rule {
        files: &["session_snapshot"],
        reason: "a time that can't be of this host's clock counts as now (D05)",
        applies: |case| {
            let mono = case["given"]["mono"].as_f64().unwrap_or(0.0);
            find(&case["when"]["input"], &|key, value| {
                let is_time = ["last_interaction_at", "last_message_at", "cooldown_started_at"];
                is_time.contains(&key)
                    && value.as_f64().is_some_and(|at| {
                        at != 0.0 && !(0.0..=MAX_V1_AGE_SECS).contains(&(mono - at))
                    })
            })
        },
    },
    Rule {
        files: &["session_snapshot"],
        reason: "an empty conversation id is none (D08)",
        applies: |case| has_in_input(case, &|key, value| key == "conversation_id" && value == ""),
    },
    Rule {
        files: &["session_snapshot"],
        reason: "a flag is true or false: null is stored as false again",
        applies: |case| {
            let flags = [
                "visual_guidance_active",
                "conversation_linked",
                "cooldown_active",
                "user_clicked_option",
            ];
            has_in_input(case, &|key, value| flags.contains(&key) && value.is_null())
        },
    },
    Rule {
        files: &["session_snapshot"],
        reason: "what isn't under way has no name, start or length: none of a tour or cooldown is stored again",
        applies: |case| {
            let (stored, thinking) = (&case["when"]["input"], &case["when"]["input"]["thinking"]);
            let is_on = |flag: &Value| *flag == true;
            let has = |value: &Value| !value.is_null() && value.as_f64() != Some(0.0);
            !is_on(&stored["visual_guidance_active"]) && has(&stored["active_tour_id"])
                || !is_on(&thinking["cooldown_active"])
                    && (has(&thinking["cooldown_started_at"])
                        || !thinking["active_cooldown_period_s"].is_null())
        },
    },
    Rule {
        files: &["delivery"],
        reason: "an action that came without words is told by its title, kind and page, or said to have none",
        applies: |case| {
            find(&case["then"], &|key, value| {
                let is_bare = |line: &str| line.starts_with('[') && line.trim_end().ends_with(']');
                key == "body" && value.as_str().is_some_and(|body| body.lines().any(is_bare))
            })
        },
    },
    Rule {
        files: &["delivery"],
        reason: "a note that failed is tried again by itself, as it was and before all others (D02, D45, D46)",
        applies: |case| {
            case["given"]["posts"].as_array().into_iter().flatten().any(|post| {
                post.get("raise").is_some_and(|raise| !raise.is_null())
                    || post.get("result").is_some_and(|result| !is_yes(result))
            })
        },
    },
    Rule {
        files: &["delivery"],
        reason: "a note that is under way ends, and what comes meanwhile is told of behind it (D09, D10, D46, D47)",
        applies: |case| {
            find(&case["given"]["posts"], &|key, value| {
                key == "latency_s" && value.as_f64().is_some_and(|latency| latency > 0.0)
            })
        },
    },
    Rule {
        files: &["user_index", "copilot_http"],
        reason: "a batch that comes late makes no session older",
        applies: |case| {
            let mut latest = HashMap::new();
            batches(case).any(|batch| {
                let at = batch["forwarded_at"].as_f64().unwrap_or(0.0);
                let session = batch["session_id"].as_str().map(str::trim);
                latest.insert(session, at).is_some_and(|before| at < before)
            })
        },
    },
    Rule {
        files: &["summarizer"],
        reason: "a question that failed is asked again by itself after a pause (D34)",
        applies: |case| {
            find(&case["given"]["llm"], &|key, value| key == "raise" && !value.is_null())
                && steps(case).any(|op| op["op"] == "advance")
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
            let mut now = 1_700_000_000.0;
            steps(case).any(|op| {
                now += op["s"].as_f64().filter(|_| op["op"] == "advance").unwrap_or(0.0);
                op["payload"]["forwarded_at"].as_f64().is_some_and(|at| at > now + 60.0)
            })
        },
    },
    Rule {
        files: &["copilot_http"],
        reason: "HEAD is answered where GET is, as HTTP asks: what watches a host asks so",
        applies: |case| has_in_input(case, &|key, value| key == "method" && value == "HEAD"),
    },
    Rule {
        files: &["summarizer", "copilot_http"],
        reason: "a summary takes the place of the actions that it covers (D29)",
        applies: |case| {
            find(&case["then"], &|_, value| {
                value.as_str().is_some_and(|text| {
                    text.contains("Summary: ") && text.contains("\n\nRecent activity:\n")
                })
            })
        },
    },
    Rule {
        files: &["summarizer"],
        reason: "what is too little for a summary is kept and counts, however long nothing happens",
        applies: |case| {
            let waited = |op: &Value| op["s"].as_f64().filter(|_| op["op"] == "advance");
            steps(case).filter_map(waited).sum::<f64>() > 300.0
                && !find(&case["then"]["events"], &|_, value| value == "llm_call")
        },
    },
    Rule {
        files: &["summarizer"],
        reason: "nothing is dropped for want of room in a queue: what waits is in the store",
        applies: |case| !case["given"]["config"]["max_queue_size"].is_null(),
    },
    Rule {
        files: &["summarizer"],
        reason: "what is added counts at once, before anything else is asked or added",
        applies: |case| {
            let ops: Vec<_> = steps(case).map(|op| op["op"].as_str().unwrap_or_default()).collect();
            let is_posted = case["given"]["kind"] != "summarizer";
            let matters = |op: &&str| match *op {
                "get_context" | "active_sessions" => true,
                "add" => is_posted,
                _ => false,
            };
            // What is asked or added between an addition and the next moment of rest.
            (1..).zip(&ops).any(|(next, op)| {
                let mut rest =
                    ops[next..].iter().take_while(|op| !matches!(**op, "flush" | "advance"));
                *op == "add" && rest.any(matters)
            })
        },
    },
    Rule {
        files: &["copilot_http"],
        reason: "sessions are summed up beside the bridge, which summarizer.json shows",
        applies: |case| {
            let prompts = case["then"]["llm_prompts"].as_array().into_iter().flatten();
            prompts.filter_map(Value::as_str).any(|prompt| prompt.contains("\n\nActions:\n1. "))
        },
    },
    Rule {
        files: &["copilot_http"],
        reason: "an address with a slash at its end is another one: nothing is redirected",
        applies: |case| {
            has_in_input(case, &|key, value| {
                let path = value.as_str().and_then(|path| path.split('?').next());
                key == "path" && path.is_some_and(|path| path.len() > 1 && path.ends_with('/'))
            })
        },
    },
    Rule {
        files: &["summarizer", "copilot_http"],
        reason: "an answer without a text is none: it takes the place of nothing",
        applies: |case| has_in_input(case, &|key, value| key == "reply" && value == ""),
    },
    Rule {
        files: &["summarizer"],
        reason: "who adds doesn't wait for the platform (D15)",
        applies: |case| find(&case["given"]["write_actions"], &|key, _| key == "latency_s"),
    },
    Rule {
        files: &["summarizer"],
        reason: "a batch without actions is no note",
        applies: |case| {
            steps(case).any(|op| op["payload"]["actions"].as_array().is_some_and(Vec::is_empty))
        },
    },
    Rule {
        files: &["summarizer"],
        reason: "actions are counted and asked about when they are taken; only their note waits",
        applies: |case| !case["given"]["config"]["debounce_ms"].is_null(),
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
    Rule {
        files: &["tours"],
        reason: "a blank tour is none: nobody is asked about it and nothing is launched (D77)",
        applies: |case| {
            let returned = &case["then"]["return"];
            let is_pending = |call: &Value| call == "resolve_pending" || call == "pending_to_json";
            is_pending(&case["when"]["call"])
                && (returned == "" || returned == "{\"flow_id\": \"\"}")
        },
    },
    Rule {
        files: &["proactive_gate"],
        reason: "a platform that limits its rate answers: it is up, and the limit alone holds calls back",
        applies: |case| {
            has_in_input(case, &|key, value| key == "outcome" && value == "rate_limited")
        },
    },
    Rule {
        files: &["proactive_gate"],
        reason: "a breaker is a plugin's, whatever it posts, and its pause begins short and doubles",
        applies: |case| case["when"]["call"] == "config_defaults",
    },
];

/// What the last column of a row of the defects demands, where cases show the opposite and carry no tag.
const OF_ROWS: [Rule; 3] = [
    Rule {
        files: &["proactive_gate"],
        reason: "D96: after the pause one trial decides; no call that was begun before does",
        applies: |case| steps(case).any(|step| step["op"] == "success"),
    },
    Rule {
        files: &["proactive_gate"],
        reason: "D96: the streak has a window",
        applies: |case| {
            let times: Vec<_> = steps(case).filter_map(|step| step["t"].as_f64()).collect();
            times.windows(2).any(|times| times[1] - times[0] >= 86_400.0)
        },
    },
    Rule {
        files: &["proactive_gate"],
        reason: "D75: structured keys: what is kept is found by its names, never by a text of them",
        applies: |case| case["when"]["call"] == "keys",
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

/// Whether one of the actions that may stand in one note has a time, and another has none.
fn has_times_and_none(case: &Value) -> bool {
    let timeline = case["when"]["timeline"].as_array().into_iter().flatten();
    let lists = timeline.map(|step| &step["actions"]).chain([&case["when"]["actions"]]);
    let actions = || lists.clone().filter_map(Value::as_array).flatten();
    let has_none = |action: &Value| {
        let start = &action["timestamp_start"];
        start.is_null() || number(start).is_some_and(|at| usable(at).is_none())
    };
    actions().any(has_none) && !actions().all(has_none)
}

fn is_time_of_payload(key: &str) -> bool {
    matches!(key, "timestamp_start" | "timestamp_end" | "forwarded_at")
}

/// A number of the vectors, the ones beyond 64 bits too.
fn number(value: &Value) -> Option<f64> {
    values::float(&values::input(value)).filter(|_| !value.is_boolean())
}

fn steps(case: &Value) -> impl Iterator<Item = &Value> {
    let steps = ["ops", "steps"].map(|steps| case["when"][steps].as_array());
    steps.into_iter().flatten().flatten()
}

fn batches(case: &Value) -> impl Iterator<Item = &Value> {
    steps(case).map(|step| &step["payload"]).filter(|batch| batch.is_object())
}

pub(crate) fn has_in_input(case: &Value, is_it: &dyn Fn(&str, &Value) -> bool) -> bool {
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
