//! `tour_registry`, `pending_tour_offer`, `quick_reply_match`, `usertour_sse`, `tour_matching`: tours, from the
//! configuration to the browser.

use serde_json::{Value, json};
use sidenote::ids::{ConversationId, ProductId, SessionId, SessionKey};
use sidenote::offers::chips::Chips;
use sidenote::offers::content::Offer;
use sidenote::offers::label;
use sidenote::offers::launch::LaunchEvent;
use sidenote::offers::matching::{Catalogue, Question};
use sidenote::offers::tours::{Decision, PendingTour, Wording, YesNo};
use sidenote::session::fsm::{Fsm, Interaction, Limits, State};
use sidenote::session::state::Target;
use sidenote::session::tour::{Tour, TourRegistry};

use crate::as_v1::Host;
use crate::{compare, values};

pub(crate) fn check(case: &Value) -> Result<(), String> {
    let (given, when) = (values::input(&case["given"]), values::input(&case["when"]));
    let then = values::expected(&case["then"]);
    let call = when["call"].as_str().ok_or("when.call is no text")?;
    if call == "conversation" {
        return conversation(&given, &when, &then);
    }
    let ours = answer(call, &when)?;
    compare::same_failure(&ours, &then)?;
    let Ok(ours) = ours else { return Ok(()) };
    let mut reference = then["return"].clone();
    if call == "pending_to_json" {
        // The same object, whatever its spelling.
        let text = reference.as_str().ok_or("no text")?;
        reference = serde_json::from_str(text).map_err(|error| error.to_string())?;
    }
    compare::same("return", &ours, &reference)?;
    match then.get("labels") {
        Some(Value::Null) | None => Ok(()),
        Some(labels) => {
            let ours =
                ours.as_array().ok_or("no answers")?.iter().map(|chip| chip["label"].clone());
            compare::same("labels", &ours.collect(), labels)
        }
    }
}

/// What we answer to a call; the outer error is one of the case itself.
fn answer(call: &str, when: &Value) -> Result<Result<Value, String>, String> {
    let text = |key: &str| when[key].as_str().unwrap_or_default();
    let config = &when["integration_config"];
    Ok(Ok(match call {
        "registry" => match TourRegistry::from_value(&when["registry"]) {
            Ok(read) => registry(&read.registry, &when["registry"]["product_id"]),
            Err(error) => return Ok(Err(error.to_string())),
        },
        "lookup" => {
            let read = TourRegistry::from_value(&when["registry"]);
            let registry = read.map_err(|error| error.to_string())?.registry;
            let found = match when.get("tour_id") {
                Some(id) => registry.by_id(id.as_str().unwrap_or_default()),
                None => registry.by_user_tour_id(text("user_tour_id")),
            };
            found.map_or(Value::Null, tour)
        }
        // Where autoplay-sdk finds none, ours may say why besides.
        "parse_tour_registry" => match TourRegistry::of_integration(config) {
            Ok(Some(read)) => registry(&read.registry, &when["product_id"]),
            Ok(None) | Err(_) => Value::Null,
        },
        "pending_to_json" => match PendingTour::ask(text("flow_id"), key(), target(), at(0.0)) {
            Some(pending) => json!({"flow_id": pending.tour()}),
            None => Value::Null,
        },
        "resolve_pending" => {
            let default = when["default_flow_id"].as_str();
            let stored = when["raw"].as_str().map(str::as_bytes);
            match PendingTour::of_sdk(stored, default, (key(), target()), at(0.0)) {
                Ok(pending) => json!(pending.as_ref().map(PendingTour::tour)),
                Err(error) => return Ok(Err(error.to_string())),
            }
        }
        "match_label" => {
            let labels = when["labels"].as_array().ok_or("no labels")?;
            json!(label::place_of(text("text"), labels.iter().filter_map(Value::as_str)))
        }
        "match_yes_no" => {
            let usual = Wording::default();
            let label = |key: &str, usual: String| {
                when.get(key).and_then(Value::as_str).map_or(usual, str::to_owned)
            };
            let (yes, no) = (label("yes_label", usual.yes), label("no_label", usual.no));
            match (Wording { yes, no, question: usual.question }).answer(text("text")) {
                Some(YesNo::Yes) => json!("yes"),
                Some(YesNo::No) => json!("no"),
                None => Value::Null,
            }
        }
        "parse_messages" => {
            let Chips { chips, .. } = Chips::of_integration(config);
            let chip = chips.iter().map(|chip| {
                json!({
                    "id": chip.id,
                    "label": chip.label,
                    "user_tour_exists": chip.has_tour,
                    "user_tour_id": chip.tour,
                })
            });
            if chips.is_empty() { Value::Null } else { chip.collect() }
        }
        "tour_for_text" => {
            let chips = Chips::of_integration(config);
            json!(chips.tour_for(text("text"), when["default_flow_id"].as_str()))
        }
        "tour_offer_body" => match Wording::of_integration(config) {
            Ok(wording) => json!(wording.question),
            Err(error) => return Ok(Err(error.to_string())),
        },
        "launch_event" => launch_event(text("form"), &when["args"])?,
        "match_prompt" => match_prompt(&when["args"]),
        "match_output" => {
            let catalogue = Catalogue::read(&when["tour_catalog"], when["role"].as_str());
            let matched = catalogue.matched(text("raw"));
            json!({
                "primary_tour_id": matched.primary,
                "related_tour_ids": matched.related,
                "reasoning": matched.reasoning,
            })
        }
        call => return Err(format!("no such call: {call}")),
    }))
}

/// As autoplay-sdk writes a registry.
fn registry(registry: &TourRegistry, product_id: &Value) -> Value {
    let default = registry.default_limits();
    json!({
        "product_id": product_id,
        "default_interaction_timeout_s": default.interaction_timeout_s,
        "default_cooldown_period_s": default.cooldown_period_s,
        "tours": registry.tours().iter().map(tour).collect::<Value>(),
    })
}

/// As autoplay-sdk writes a tour.
fn tour(tour: &Tour) -> Value {
    let mut written = json!({
        "id": tour.id,
        "interaction_timeout_s": tour.limits.interaction_timeout_s,
        "cooldown_period_s": tour.limits.cooldown_period_s,
    });
    if let Some(id) = &tour.user_tour_id {
        written["user_tour_id"] = json!(id);
    }
    if let Some(name) = &tour.name {
        written["user_tour_name"] = json!(name);
    }
    written
}

fn launch_event(form: &str, args: &Value) -> Result<Value, String> {
    let text = |key: &str| args[key].as_str();
    let event = LaunchEvent::new(
        text("product_id").unwrap_or_default(),
        text("flow_id").unwrap_or_default(),
    );
    let event = match form {
        "minimal" => {
            let session_id = text("session_id").unwrap_or_default().to_owned();
            LaunchEvent { session_id: Some(session_id), ..event }
        }
        "full" => {
            let reason = text("reason").unwrap_or_default();
            event.with(reason, text("user_id"), text("session_id"))
        }
        form => return Err(format!("no such form: {form}")),
    };
    as_a_browser_reads(&event)
}

/// The event as a browser reads it from the stream.
fn as_a_browser_reads(event: &LaunchEvent) -> Result<Value, String> {
    let sse = event.to_sse();
    let data = sse.strip_prefix("data: ").and_then(|data| data.strip_suffix("\n\n"));
    serde_json::from_str(data.ok_or("it is no event")?).map_err(|error| error.to_string())
}

fn match_prompt(args: &Value) -> Value {
    let text = |key: &str| args[key].as_str().unwrap_or_default();
    let catalogue = Catalogue::read(&args["tour_catalog"], args["role"].as_str());
    let question = Question {
        user_query: text("user_query"),
        conversation_history: text("conversation_history"),
        role: text("role"),
        current_page: text("current_page"),
    };
    let values = catalogue.values(question).into_iter();
    let mut asked: Value = values.map(|(name, value)| (name.to_owned(), json!(value))).collect();
    let ids = catalogue.tours().iter().map(|tour| json!(tour.id));
    asked["allowed_tour_ids"] = ids.collect();
    asked
}

fn key() -> SessionKey {
    let (product, session) = (ProductId::new("p"), SessionId::new("s1"));
    SessionKey {
        product: product.expect("it is a good id"),
        session: session.expect("it is a good id"),
    }
}

fn target() -> Target {
    ("intercom".into(), ConversationId::new("c1").expect("it is a good id"))
}

fn at(secs: f64) -> sidenote::clock::Timestamp {
    Host::at_mono(1000.0 + secs).now()
}

/// An offer, its answers, and the tour that one of them leads to.
fn conversation(given: &Value, when: &Value, then: &Value) -> Result<(), String> {
    let config = &given["integration_config"];
    let read = TourRegistry::of_integration(config).map_err(|error| error.to_string())?;
    let mut talk = Talk {
        secs: 0.0,
        fsm: Fsm::new(Limits::default(), at(0.0)),
        chips: Chips::of_integration(config),
        registry: read.ok_or("no tours")?.registry,
        wording: Wording::of_integration(config).map_err(|error| error.to_string())?,
        pending: None,
    };
    let steps = when["steps"].as_array().ok_or("when.steps is no list")?;
    let expected = then["steps"].as_array().ok_or("then.steps is no list")?;
    for ((step, expected), number) in steps.iter().zip(expected).zip(0..) {
        let mut result = talk.step(step)?;
        let same_error = (result.get("error").is_some(), expected.get("error").is_some());
        if same_error == (true, true) {
            // Whose words are ours.
            result["error"] = expected["error"].clone();
        }
        result["state"] = json!(talk.fsm.state().as_str());
        result["clicked"] = json!(talk.fsm.option_clicked());
        result["active_tour_id"] = json!(talk.fsm.guidance().and_then(|it| it.tour_id.as_deref()));
        compare::same(&format!("step {number}"), &result, expected)?;
    }
    Ok(())
}

struct Talk {
    secs: f64,
    fsm: Fsm,
    chips: Chips,
    registry: TourRegistry,
    wording: Wording,
    pending: Option<PendingTour>,
}

impl Talk {
    fn step(&mut self, step: &Value) -> Result<Value, String> {
        let now = at(self.secs);
        match step["op"].as_str() {
            Some("advance") => self.secs += step["s"].as_f64().ok_or("advance needs seconds")?,
            Some("tick") => self.fsm.tick(Some(&self.registry), now),
            Some("tour_step") => self.fsm.record(Interaction::TourStep, now),
            Some("tour_end") => self.fsm.stop_guidance().map_err(|error| error.to_string())?,
            Some("offer") => {
                let offer = self.offer()?;
                return Ok(match self.fsm.to_proactive(now) {
                    Ok(done) => {
                        let labels = offer.options().iter().map(|option| json!(option.label));
                        json!({"transition": done, "options": labels.collect::<Value>()})
                    }
                    Err(error) => json!({"error": error.to_string()}),
                });
            }
            Some("inbound") => return self.inbound(step["text"].as_str().ok_or("no text")?),
            op => return Err(format!("no such op: {op:?}")),
        }
        Ok(json!({}))
    }

    fn offer(&self) -> Result<Offer, String> {
        let chips = self.chips.chips.iter();
        let options = chips.map(|chip| (chip.label.as_str(), chip.tour.as_deref()));
        Offer::new("chips", "How can I help?", options).map_err(|error| error.to_string())
    }

    fn inbound(&mut self, text: &str) -> Result<Value, String> {
        let now = at(self.secs);
        if let Some(pending) = self.pending.take() {
            let of = (&key(), &target());
            match pending.decide(of, self.fsm.state(), &self.wording, text) {
                Decision::Accepted(event) => {
                    self.fsm.record(Interaction::Message, now);
                    let tour = Some(pending.tour().to_owned());
                    let started = self.fsm.start_guidance(tour, now);
                    started.map_err(|error| error.to_string())?;
                    let launch = as_a_browser_reads(&event)?;
                    return Ok(json!({"decision": "accepted", "launch": launch}));
                }
                Decision::Declined => return Ok(json!({"decision": "declined"})),
                Decision::Waits => self.pending = Some(pending),
                Decision::Over => {}
            }
        }
        let offer = self.offer()?;
        let chosen = offer.chosen(None, Some(text));
        let helped = self.fsm.state() != State::Thinking;
        self.fsm.record(
            match chosen {
                Some(_) if helped => Interaction::OptionClick,
                Some(_) | None => Interaction::Message,
            },
            now,
        );
        let option = chosen.and_then(|chosen| offer.options().iter().position(|it| it == chosen));
        let mut result = json!({"option": option, "decision": "none"});
        let tour = self.chips.tour_for(text, None);
        if let Some(pending) = tour.and_then(|tour| PendingTour::ask(tour, key(), target(), now)) {
            result["ask"] = json!(self.wording.question);
            // autoplay-sdk's own spelling of the same object.
            result["pending"] = json!(format!("{{\"flow_id\": {}}}", json!(pending.tour())));
            self.pending = Some(pending);
        }
        Ok(result)
    }
}
