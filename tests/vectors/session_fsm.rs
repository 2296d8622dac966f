//! `SessionState`: the three-state machine.

use serde_json::{Value, json};
use sidenote::ids::{ConversationId, SessionId};
use sidenote::session::fsm::{Fsm, FsmError, Interaction, Limits};
use sidenote::session::snapshot::Snapshot;
use sidenote::session::tour::TourRegistry;

use crate::as_v1::{Host, as_v1};
use crate::{compare, values};

pub(crate) fn check(case: &Value) -> Result<(), String> {
    let given = values::input(&case["given"]);
    let then = values::expected(&case["then"]);
    let session_id = match given["config"].get("session_id") {
        None => Ok(SessionId::new("s1").expect("it is a good id")),
        Some(Value::String(id)) => SessionId::new(id.as_str()).map_err(|error| error.to_string()),
        Some(_) => Err("an id is text".to_owned()),
    };
    let session_id = match (session_id, then.get("construct_error")) {
        (Ok(id), None) => id,
        (Err(_), Some(_)) => return Ok(()),
        (Err(error), None) => return Err(format!("the error {error:?} instead of a session")),
        (Ok(_), Some(error)) => return Err(format!("a session instead of the error {error}")),
    };
    let mut run =
        Run { mono: 1000.0, fsm: Fsm::new(limits(&given["config"])?, Host::at_mono(1000.0).now()) };
    for step in list(&given["setup"])? {
        run.step(step)?.map_err(|error| format!("set-up: {error}"))?;
    }
    let (steps, expected) = (list(&case["when"]["steps"])?, list(&then["steps"])?);
    if steps.len() != expected.len() {
        return Err("as many results as steps are needed".to_owned());
    }
    for ((step, expected), number) in steps.iter().zip(expected).zip(0..) {
        let what = format!("step {number} {}", step["op"]);
        let outcome = run.step(&values::input(step))?;
        let reference = expected.get("error").map(|error| error["type"].as_str());
        // The machine has one class of errors.
        if reference != outcome.as_ref().err().map(|_| Some("InvalidTransitionError")) {
            return Err(format!("{what}: {outcome:?} instead of {expected}"));
        }
        if let Ok(returned) = outcome {
            compare::same(
                &format!("{what}: return"),
                &returned,
                expected.get("return").unwrap_or(&Value::Null),
            )?;
        }
        compare::same(&format!("{what}: view"), &run.view(), &expected["view"])?;
    }
    let mut snapshot = Snapshot::new(session_id, run.fsm);
    if let Some(metadata) = given["config"].get("metadata") {
        snapshot.metadata = metadata.as_object().cloned();
    }
    let conversation = given["config"]["conversation_id"].as_str().map(ConversationId::new);
    snapshot.conversation_id = conversation.transpose().map_err(|error| error.to_string())?;
    snapshot.conversation_linked = given["config"]["conversation_linked"] == true;
    compare::same("final", &as_v1(&snapshot, Host::at_mono(run.mono)), &then["final"])
}

/// What `can_deliver_proactive` returns.
pub(crate) fn can_deliver(fsm: &Fsm) -> Value {
    match fsm.can_deliver_proactive() {
        Ok(()) => json!([true, "ok"]),
        Err(reason) => json!([false, reason.to_string()]),
    }
}

struct Run {
    mono: f64,
    fsm: Fsm,
}

impl Run {
    /// Takes a step; the outer error is one of the case itself.
    fn step(&mut self, step: &Value) -> Result<Result<Value, FsmError>, String> {
        let op = step["op"].as_str().ok_or("a step needs an op")?;
        let now = Host::at_mono(self.mono).now();
        let interaction = match op {
            "record_user_interaction" => Some(Interaction::Message),
            "record_option_click" => Some(Interaction::OptionClick),
            "record_reaction" => Some(Interaction::Reaction),
            "record_tour_step" => Some(Interaction::TourStep),
            "record_any_interaction" => Some(Interaction::Other),
            _ => None,
        };
        let done = |result: Result<(), FsmError>| result.map(|()| Value::Null);
        Ok(match (op, interaction) {
            (_, Some(interaction)) => {
                self.fsm.record(interaction, now);
                Ok(Value::Null)
            }
            ("advance", _) => {
                self.mono += step["s"].as_f64().ok_or("advance needs seconds")?;
                Ok(Value::Null)
            }
            ("tick", _) => {
                let registry = step.get("registry").filter(|registry| !registry.is_null());
                let registry = registry
                    .map(TourRegistry::from_value)
                    .transpose()
                    .map_err(|error| error.to_string())?;
                self.fsm.tick(registry.as_ref().map(|read| &read.registry), now);
                Ok(Value::Null)
            }
            ("transition_to_proactive", _) => self.fsm.to_proactive(now).map(Value::from),
            ("transition_to_reactive", _) => done(self.fsm.to_reactive(now)),
            ("set_visual_guidance", _) => {
                let tour_id = step["tour_id"].as_str().map(str::to_owned);
                let is_active = step["active"].as_bool().ok_or("active is no boolean")?;
                done(if is_active {
                    self.fsm.start_guidance(tour_id, now)
                } else {
                    self.fsm.stop_guidance()
                })
            }
            ("start_cooldown", _) => {
                self.fsm.start_cooldown(step.get("override_period_s").and_then(Value::as_f64), now);
                Ok(Value::Null)
            }
            ("clear_cooldown", _) => {
                self.fsm.clear_cooldown();
                Ok(Value::Null)
            }
            ("can_deliver_proactive", _) => Ok(can_deliver(&self.fsm)),
            ("set", _) => {
                self.set(step)?;
                Ok(Value::Null)
            }
            (op, _) => return Err(format!("no such op: {op}")),
        })
    }

    fn set(&mut self, step: &Value) -> Result<(), String> {
        let value = step["value"].as_f64().ok_or("the value is no number")?;
        let mut limits = self.fsm.limits();
        match step["field"].as_str() {
            Some("interaction_timeout_s") => limits.interaction_timeout_s = value,
            Some("cooldown_period_s") => limits.cooldown_period_s = value,
            field => return Err(format!("no such field: {field:?}")),
        }
        self.fsm.set_limits(limits);
        Ok(())
    }

    fn view(&self) -> Value {
        let fsm = &self.fsm;
        let verdict = can_deliver(fsm);
        json!({
            "state": fsm.state().as_str(),
            "allowed": verdict[0],
            "reason": verdict[1],
            "visual_guidance_active": fsm.guidance().is_some(),
            "active_tour_id": fsm.guidance().and_then(|guidance| guidance.tour_id.as_deref()),
            "cooldown_active": fsm.cooldown().is_some(),
            "active_cooldown_period_s": fsm.cooldown().and_then(|cooldown| cooldown.period_s),
            "idle_s": fsm.idle_s(Host::at_mono(self.mono).now()),
            "proactive_idle_s": fsm.proactive().idle_s,
            "proactive_clicked": fsm.option_clicked(),
            "reactive_idle_s": fsm.reactive().idle_s,
        })
    }
}

fn limits(config: &Value) -> Result<Limits, String> {
    let mut limits = Limits::default();
    for (field, limit) in [
        ("interaction_timeout_s", &mut limits.interaction_timeout_s),
        ("cooldown_period_s", &mut limits.cooldown_period_s),
    ] {
        if let Some(value) = config.get(field) {
            *limit = values::float(value).ok_or_else(|| format!("{field} is no number"))?;
        }
    }
    Ok(limits)
}

fn list(value: &Value) -> Result<&[Value], String> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| format!("{value} is no list"))
}
