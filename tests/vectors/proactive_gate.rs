//! `proactive.resilience`, `proactive.state`, `agent_state.v2`: what stands between a trigger and an offer.

use std::time::Duration;

use serde_json::{Value, json};
use sidenote::clock::Timestamp;
use sidenote::ids::{ConversationId, SessionId};
use sidenote::offers::tear_down::{TearDown, Torn};
use sidenote::outbox::breaker::{Breaker, Health, State, Turn};
use sidenote::outbox::note::{Failure, FailureKind, LimitScope, PostError, Sent};
use sidenote::rules;
use sidenote::session::fsm::{Fsm, Interaction, Limits};
use sidenote::session::snapshot::Snapshot;
use sidenote::session::tour::TourRegistry;

use crate::as_v1::Host;
use crate::session_fsm::can_deliver;
use crate::{compare, values};

pub(crate) fn check(case: &Value) -> Result<(), String> {
    let (given, when) = (values::input(&case["given"]), values::input(&case["when"]));
    let then = values::expected(&case["then"]);
    match when["call"].as_str() {
        Some("circuit") => circuit(&given, &when, &then),
        Some("outcome_counts") => {
            let ours = health(when["outcome"].as_str().ok_or("no outcome")?);
            compare::same_failure(&ours, &then)?;
            let Ok(ours) = ours else { return Ok(()) };
            compare::same("return", &json!(ours == Some(Health::Down)), &then["return"])
        }
        Some("flow") => flow(&given, &when, &then),
        call => Err(format!("no such call: {call:?}")),
    }
}

/// What an outcome of autoplay-sdk's says of a platform, as our outcomes say it; `None`: a call that was stopped has
/// no outcome.
fn health(outcome: &str) -> Result<Option<Health>, String> {
    let (kind, sent) = match outcome {
        "transport_error" => (FailureKind::Transient, Sent::NotSent),
        "timeout" => (FailureKind::Transient, Sent::Unknown),
        "rate_limited" => (FailureKind::RateLimited, Sent::Sent),
        "validation_error" => (FailureKind::Invalid, Sent::Sent),
        "cancelled" => return Ok(None),
        outcome => return Err(format!("no such outcome: {outcome}")),
    };
    let failure = Failure {
        kind,
        code: outcome.to_owned(),
        message: String::new(),
        retry_after: None,
        scope: LimitScope::Account,
        sent,
    };
    Ok(Some(Health::of(&Err(PostError::Failed(failure)))))
}

/// One breaker. What can be seen of it is compared: when it opens, and when a call may be made.
fn circuit(given: &Value, when: &Value, then: &Value) -> Result<(), String> {
    let rules = breaker_rules(&given["config"]);
    let mut breaker = Breaker::new(Timestamp(0));
    let (mut clock, mut last) = (1000.0, None);
    let steps = when["steps"].as_array().ok_or("when.steps is no list")?;
    let expected = then["steps"].as_array().ok_or("then.steps is no list")?;
    for ((step, expected), number) in steps.iter().zip(expected).zip(0..) {
        clock += step["advance"].as_f64().unwrap_or(0.0);
        // What has no time of its own happens when the last thing did.
        last = step["t"].as_f64().or(last);
        let secs = last.unwrap_or(clock);
        let now = Timestamp::from_secs_f64(secs);
        let health = match step["op"].as_str().ok_or("a step needs an op")? {
            "is_open" => None,
            "failure" => Some(Health::Down),
            "success" => Some(Health::Up),
            "outcome" => health(step["outcome"].as_str().ok_or("no outcome")?)?,
            op => return Err(format!("no such op: {op}")),
        };
        // What is called while it is open was begun before.
        let probe = health.is_some() && breaker.allows(now) && breaker.begin();
        let turn = health.and_then(|health| breaker.end(health, probe, now, &rules, 1.0));
        let what = format!("step {number}");
        let says = match step["op"].as_str() {
            Some("is_open") => json!(!breaker.allows(now)),
            Some("success") => Value::Null,
            _ if expected["return"] == "ignored" => {
                json!(if turn.is_none() && health != Some(Health::Down) { "ignored" } else { "" })
            }
            _ => json!(matches!(turn, Some(Turn::Opened | Turn::StillOpen))),
        };
        compare::same(&what, &says, &expected["return"])?;
        let until = match breaker.state() {
            State::Open(until) if until > now => json!(until.as_secs_f64()),
            State::Open(_) | State::Closed | State::Probing | State::Disabled => Value::Null,
        };
        let open_until = match expected["open_until"].as_f64() {
            Some(until) if until <= secs => &Value::Null,
            Some(_) | None => &expected["open_until"],
        };
        compare::same(&format!("{what}: until when"), &until, open_until)?;
    }
    Ok(())
}

fn breaker_rules(config: &Value) -> rules::Breaker {
    let default = rules::Breaker::default();
    let threshold = config["failure_threshold"].as_i64();
    let failures = threshold.map_or(default.failures, |most| u32::try_from(most).unwrap_or(0));
    let failures = if config["disabled"] == true { 0 } else { failures };
    let pause = Duration::from_secs_f64(config["pause_s"].as_f64().unwrap_or(120.0));
    rules::Breaker { failures, pause_initial: pause, pause_max: pause, ..default }
}

/// One session, from its triggers to its end.
fn flow(given: &Value, when: &Value, then: &Value) -> Result<(), String> {
    let mut run = Run::new(given)?;
    let steps = when["steps"].as_array().ok_or("when.steps is no list")?;
    let expected = then["steps"].as_array().ok_or("then.steps is no list")?;
    for ((step, expected), number) in steps.iter().zip(expected).zip(0..) {
        let mut result = run.step(step)?;
        if result.get("error").is_some() && expected.get("error").is_some() {
            // Whose words are ours.
            result["error"] = expected["error"].clone();
        }
        result["view"] = run.view();
        compare::same(&format!("step {number}"), &result, expected)?;
    }
    let timeout = run.session.fsm.limits().interaction_timeout_s;
    compare::same("session_timeout_s", &json!(timeout), &then["session_timeout_s"])
}

struct Run {
    mono: f64,
    session: Snapshot,
    tours: Option<TourRegistry>,
    triggers: Vec<Trigger>,
}

impl Run {
    fn new(given: &Value) -> Result<Self, String> {
        let config = &given["session"];
        let limits = Limits {
            interaction_timeout_s: config["interaction_timeout_s"].as_f64().unwrap_or(20.0),
            cooldown_period_s: config["cooldown_period_s"].as_f64().unwrap_or(60.0),
        };
        let id = SessionId::new("s1").map_err(|error| error.to_string())?;
        let mut session = Snapshot::new(id, Fsm::new(limits, Host::at_mono(1000.0).now()));
        session.conversation_linked = config["conversation_linked"] == true;
        let conversation = config["conversation_id"].as_str().map(ConversationId::new);
        session.conversation_id = conversation.transpose().map_err(|error| error.to_string())?;
        let tours = given.get("tours").map(TourRegistry::from_value).transpose();
        let tours = tours.map_err(|error| error.to_string())?.map(|read| read.registry);
        let triggers = given["triggers"].as_array().into_iter().flatten().map(Trigger::read);
        Ok(Self { mono: 1000.0, session, tours, triggers: triggers.collect::<Result<_, _>>()? })
    }

    fn now(&self) -> Timestamp {
        Host::at_mono(self.mono).now()
    }

    fn step(&mut self, step: &Value) -> Result<Value, String> {
        let now = self.now();
        let fsm = &mut self.session.fsm;
        let interaction = match step["op"].as_str() {
            Some("record_user_interaction") => Some(Interaction::Message),
            Some("record_option_click") => Some(Interaction::OptionClick),
            Some("record_reaction") => Some(Interaction::Reaction),
            Some("record_tour_step") => Some(Interaction::TourStep),
            Some(_) | None => None,
        };
        if let Some(interaction) = interaction {
            fsm.record(interaction, now);
            return Ok(json!({"return": null}));
        }
        match step["op"].as_str().ok_or("a step needs an op")? {
            "advance" => self.mono += step["s"].as_f64().ok_or("advance needs seconds")?,
            "tick" => fsm.tick(self.tours.as_ref(), now),
            "start_cooldown" => fsm.start_cooldown(None, now),
            "can_deliver_proactive" => return Ok(json!({"return": can_deliver(fsm)})),
            "to_proactive" => {
                let done = fsm.to_proactive(now).map_err(|error| error.to_string())?;
                return Ok(json!({"return": done}));
            }
            "to_reactive" => {
                return Ok(match fsm.to_reactive(now) {
                    Ok(()) => json!({"return": null}),
                    Err(error) => json!({"error": error.to_string()}),
                });
            }
            "guidance" => {
                let tour = step["tour_id"].as_str().map(str::to_owned);
                let done = match step["active"] == true {
                    true => fsm.start_guidance(tour, now),
                    false => fsm.stop_guidance(),
                };
                done.map_err(|error| error.to_string())?;
            }
            "save_and_load" => {
                let stored = self.session.write(now);
                let read = Snapshot::read(&stored, now, Some(self.mono));
                self.session = read.map_err(|error| error.to_string())?;
            }
            "offer" => return self.offer(step),
            "idle_expiry" => return self.idle_expiry(step),
            op => return Err(format!("no such op: {op}")),
        }
        Ok(json!({}))
    }

    /// Tick, gate, the first trigger that hits, delivery, transition.
    fn offer(&mut self, step: &Value) -> Result<Value, String> {
        let now = self.now();
        let fsm = &mut self.session.fsm;
        fsm.tick(self.tours.as_ref(), now);
        let gate = can_deliver(fsm);
        let hit = match gate[0] == true {
            true => self.triggers.iter().find(|trigger| trigger.hits(&step["context"])),
            false => None,
        };
        let mut result = json!({"gate_after_tick": gate, "offer": null});
        if let Some(trigger) = hit {
            result["offer"] = json!({
                "trigger_id": trigger.id,
                "interaction_timeout_s": trigger.interaction_timeout_s,
                "cooldown_s": trigger.cooldown_s,
            });
            if step["delivery_fails"] != true {
                let done = fsm.to_proactive(now).map_err(|error| error.to_string())?;
                result["transition"] = json!(done);
            }
        }
        Ok(result)
    }

    /// The tear-down, with a platform and a binding that do as the case says.
    fn idle_expiry(&mut self, step: &Value) -> Result<Value, String> {
        let after_s = step["interaction_timeout_s"].as_f64().ok_or("no time-out")?;
        let now = self.now();
        let skipped = json!({
            "return": report("skipped_not_eligible", &Value::Null),
            "hooks": [],
        });
        let fsm = &mut self.session.fsm;
        let Some(decided) = TearDown::decide(fsm, self.tours.as_ref(), after_s, now) else {
            return Ok(skipped);
        };
        let removed = step.get("delete").is_none_or(values::is_yes);
        Ok(match decided.finish(fsm, removed) {
            Torn::RemovalFailed => json!({
                "return": report("remote_delete_failed", &Value::Null),
                "hooks": ["delete"],
            }),
            // What the binding's owner does with that is after the transition, and fails alone.
            Torn::Completed if step["clear"] == "raise" => {
                json!({"hooks": ["delete", "clear"], "error": "the binding stays"})
            }
            Torn::Completed => json!({
                "return": report("completed", &json!(true)),
                "hooks": ["delete", "clear"],
            }),
            Torn::Interrupted { .. } => json!({"return": "interrupted", "hooks": ["delete"]}),
        })
    }

    fn view(&self) -> Value {
        let fsm = &self.session.fsm;
        json!({
            "state": fsm.state().as_str(),
            "gate": can_deliver(fsm),
            "visual_guidance_active": fsm.guidance().is_some(),
            "active_tour_id": fsm.guidance().and_then(|guidance| guidance.tour_id.as_deref()),
            "active_cooldown_period_s": fsm.cooldown().and_then(|cooldown| cooldown.period_s),
            "idle_s": fsm.idle_s(self.now()),
        })
    }
}

fn report(status: &str, transitioned: &Value) -> Value {
    json!({
        "status": status,
        "transitioned": transitioned,
        "reset_chat_thread_binding": transitioned,
    })
}

/// A trigger, as far as these cases have any: what triggers decide is shown by `triggers.json`.
struct Trigger {
    id: String,
    hits: Hits,
    interaction_timeout_s: f64,
    cooldown_s: f64,
}

enum Hits {
    /// There, away and back again.
    PingPong,
    UrlContains(String),
}

impl Trigger {
    fn read(row: &Value) -> Result<Self, String> {
        let (id, hits) = match (row["kind"].as_str(), row["predicate"]["if"].as_str()) {
            (Some("canonical_ping_pong"), _) => ("canonical_url_ping_pong", Hits::PingPong),
            (Some("predicate"), Some("url_contains")) => {
                let text = row["predicate"]["text"].as_str().ok_or("no text")?;
                let id = row["trigger_id"].as_str().ok_or("no trigger_id")?;
                (id, Hits::UrlContains(text.to_owned()))
            }
            kind => return Err(format!("no such trigger: {kind:?}")),
        };
        let time = |key: &str, default: f64| row["timings"][key].as_f64().unwrap_or(default);
        Ok(Self {
            id: id.to_owned(),
            hits,
            interaction_timeout_s: time("interaction_timeout_s", 10.0),
            cooldown_s: time("cooldown_s", 30.0),
        })
    }

    fn hits(&self, context: &Value) -> bool {
        let urls = context["canonical_urls"].as_array().into_iter().flatten();
        let urls: Vec<_> = urls.filter_map(Value::as_str).collect();
        match &self.hits {
            Hits::PingPong => urls.windows(3).any(|way| way[0] == way[2] && way[0] != way[1]),
            Hits::UrlContains(text) => urls.iter().any(|url| url.contains(text)),
        }
    }
}
