//! How a session is helped: `GET` and `POST /sessions/{product_id}/{session_id}/help`, and `GET /offers`.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::{StatusCode, Uri};
use serde_json::{Value, json};

use super::answer::{Refused, json_answer};
use super::json::{Fields, Json, Wanted};
use super::path::Path;
use super::products;
use super::query::{self, Asked, Query};
use super::state::ApiState;
use crate::access::Caller;
use crate::clock::Timestamp;
use crate::engine::helping::commands::{HelpChange, HelpCommand, HelpError};
use crate::engine::helping::{Decisions, Helped};
use crate::ids::{InvalidId, ProductId, SessionId, SessionKey};
use crate::offers::help::Standing;
use crate::offers::log::{Decided, Decision};
use crate::session::fsm::{Interaction, State as HelpState};
use crate::store::StoreError;

/// When to ask again while the store takes nothing.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Tells how a session stands, with the times that remain, and what was decided of its offers lately.
pub(super) async fn show(
    State(api): State<ApiState>,
    Path((product, session)): Path<(String, String)>,
) -> Result<Response, Refused> {
    let key = key(product, session)?;
    let helped = api.within_deadline(api.backend.helped(&key)).await?.map_err(unread)?;
    let Some(Helped { standing, target, decisions }) = helped else { return Err(nobody()) };
    let mut value = standing_json(&key, &standing, api.backend.now());
    value["conversation"] = target.map_or(Value::Null, |(plugin, conversation)| {
        json!({ "plugin": *plugin, "conversation_id": conversation.as_str() })
    });
    value["decisions"] = decisions.iter().map(decision_json).collect();
    Ok(json_answer(StatusCode::OK, &value))
}

/// Changes how a session is helped. Answers after the commit.
pub(super) async fn change(
    State(api): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Path((product, session)): Path<(String, String)>,
    Json(Order { change, expect }): Json<Order>,
) -> Result<Response, Refused> {
    let key = key(product, session)?;
    let command = HelpCommand { key: key.clone(), expect, change };
    let standing = api
        .within_deadline(api.backend.change_help(command, &caller.actor))
        .await?
        .map_err(refused)?;
    Ok(json_answer(StatusCode::OK, &standing_json(&key, &standing, api.backend.now())))
}

/// Lists what was decided of offers lately, by session.
pub(super) async fn list(
    State(api): State<ApiState>,
    Query(Listed { after, within }): Query<Listed>,
) -> Result<Response, Refused> {
    let decisions = api.backend.offer_decisions(after.as_ref(), within.as_ref());
    let decisions = api.within_deadline(decisions).await?;
    let Decisions { sessions, next } = decisions.map_err(unread)?;
    let of_session = |(key, decisions): &(SessionKey, Vec<Decision>)| {
        json!({
            "product_id": key.product.as_str(),
            "session_id": key.session.as_str(),
            "decisions": decisions.iter().map(decision_json).collect::<Value>(),
        })
    };
    let value = json!({
        "sessions": sessions.iter().map(of_session).collect::<Value>(),
        "next": next.map(|key| {
            json!({ "after_product": key.product.as_str(), "after_session": key.session.as_str() })
        }),
    });
    Ok(json_answer(StatusCode::OK, &value))
}

/// Which decisions are listed.
pub(super) struct Listed {
    after: Option<SessionKey>,
    within: Option<BTreeSet<ProductId>>,
}

impl Asked for Listed {
    fn read(uri: &Uri) -> Result<Self, Refused> {
        asked(uri).map(|after| Self { after, within: None })
    }

    fn within(self, caller: &Caller) -> Result<Self, Refused> {
        if let Some(after) = &self.after {
            products::check(caller, after.product.as_str())?;
        }
        Ok(Self { within: caller.products.limit().cloned(), ..self })
    }
}

/// Reads the query of a list.
fn asked(uri: &Uri) -> Result<Option<SessionKey>, Refused> {
    const NEXT: &str = "send, for example, ?after_product=P&after_session=S, or nothing";
    let bad = |message: String| {
        Refused::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_query", message, NEXT)
    };
    let (mut product, mut session) = (None, None);
    for (name, value) in query::pairs(uri, NEXT)? {
        match name.as_str() {
            "after_product" => product = Some(value),
            "after_session" => session = Some(value),
            _ => {
                let names = "after_product and after_session";
                return Err(bad(format!("a list takes {names} and nothing else")));
            }
        }
    }
    match (product, session) {
        (None, None) => Ok(None),
        (Some(product), Some(session)) => key(product, session).map(Some),
        (Some(_), None) | (None, Some(_)) => {
            Err(bad("after_product and after_session go together".to_owned()))
        }
    }
}

/// How a session stands, as it is answered. Times are in seconds from now.
fn standing_json(key: &SessionKey, standing: &Standing, now: Timestamp) -> Value {
    let Standing { version, state, until, cooling_down, trigger, tour } = standing;
    let remaining = until.map(|until| until.since(now).as_secs_f64());
    let helping = *state != HelpState::Thinking;
    json!({
        "product_id": key.product.as_str(),
        "session_id": key.session.as_str(),
        "version": version,
        "state": state.as_str(),
        "state_ends_in_s": remaining.filter(|_| helping),
        "cooldown_ends_in_s": remaining.filter(|_| *cooling_down && !helping),
        "trigger": trigger,
        "tour": tour,
    })
}

/// A decision, as it is answered. Times are in seconds since 1970.
pub fn decision_json(decision: &Decision) -> Value {
    let Decision { at, trigger, what, times } = decision;
    let mut value = json!({
        "at": at.as_secs_f64(),
        "trigger": trigger,
        "decision": what.word(),
        "times": times,
    });
    match what {
        Decided::Refused(refusal) => {
            value["made"] = json!(false);
            if let Some(until) = refusal.until() {
                value["until"] = json!(until.as_secs_f64());
            }
        }
        Decided::Made { seq }
        | Decided::Delivered { seq }
        | Decided::Late { seq }
        | Decided::TornDown { seq }
        | Decided::TearDownFailed { seq }
        | Decided::Interrupted { seq }
        | Decided::Unknown { seq } => {
            value["made"] = json!(true);
            value["offer"] = json!(seq);
        }
        Decided::Failed { seq, failure } => {
            value["made"] = json!(true);
            value["offer"] = json!(seq);
            value["failure"] = json!(failure);
        }
    }
    value
}

/// What is to change.
pub(super) struct Order {
    change: HelpChange,
    expect: Option<u64>,
}

impl Wanted for Order {
    const EXAMPLE: &'static str = "send, for example, {\"change\": \"interaction\", \"interaction\": \"message\", \"version\": 3}";

    fn names() -> Vec<&'static str> {
        vec!["change", "version", "interaction", "tour", "seconds"]
    }

    fn read(fields: &Fields) -> Result<Self, Refused> {
        let bad = |message: &'static str| fields.unusable("invalid_change", message);
        let text = |name| fields.get(name).map(|value| value.as_str().unwrap_or_default());
        let expect = match fields.get("version") {
            None => None,
            Some(version) => {
                let wanted = "version must be the whole number that was read";
                Some(version.as_u64().ok_or_else(|| bad(wanted))?)
            }
        };
        let (change, takes) = match text("change") {
            Some("interaction") => {
                let interaction = match text("interaction") {
                    Some("message") => Interaction::Message,
                    Some("option_click") => Interaction::OptionClick,
                    Some("reaction") => Interaction::Reaction,
                    Some("tour_step") => Interaction::TourStep,
                    Some("other") => Interaction::Other,
                    Some(_) | None => {
                        return Err(bad(
                            "interaction must be \"message\", \"option_click\", \"reaction\", \"tour_step\" or \"other\"",
                        ));
                    }
                };
                (HelpChange::Interaction(interaction), Some("interaction"))
            }
            Some("to_proactive") => (HelpChange::ToProactive, None),
            Some("to_reactive") => (HelpChange::ToReactive, None),
            Some("start_tour") => {
                let tour = text("tour").map(str::trim).filter(|tour| !tour.is_empty());
                let tour =
                    tour.ok_or_else(|| bad("tour must be the id of the tour that begins"))?;
                (HelpChange::StartTour(Some(tour.to_owned())), Some("tour"))
            }
            Some("stop_tour") => (HelpChange::StopTour, None),
            Some("start_cooldown") => {
                let seconds = match fields.get("seconds") {
                    None => None,
                    Some(seconds) => {
                        let seconds =
                            seconds.as_f64().filter(|it| (0.0..=MAX_COOLDOWN_S).contains(it));
                        let wanted = "seconds must be a number from 0 to 31536000, a year";
                        Some(seconds.ok_or_else(|| bad(wanted))?)
                    }
                };
                (HelpChange::StartCooldown(seconds), Some("seconds"))
            }
            Some("clear_cooldown") => (HelpChange::ClearCooldown, None),
            Some(_) | None => {
                return Err(bad(
                    "change must be \"interaction\", \"to_proactive\", \"to_reactive\", \"start_tour\", \"stop_tour\", \"start_cooldown\" or \"clear_cooldown\"",
                ));
            }
        };
        for (name, _) in fields.iter() {
            if !["change", "version"].contains(&name) && Some(name) != takes {
                return Err(bad("this change doesn't take the other field that is there"));
            }
        }
        Ok(Self { change, expect })
    }

    /// The product is in the address, where the gate judged it.
    fn within(self, _: &Caller) -> Result<Self, Refused> {
        Ok(self)
    }
}

/// Longest cooldown that can be asked for, in seconds.
const MAX_COOLDOWN_S: f64 = 31_536_000.0;

pub(super) fn key(product: String, session: String) -> Result<SessionKey, Refused> {
    let bad = |what: &str, error: InvalidId| {
        Refused::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid_id",
            format!("the {what} in the address can't be used: {}", error.cause),
            "the address is /sessions/PRODUCT/SESSION/help",
        )
    };
    Ok(SessionKey {
        product: ProductId::new(product).map_err(|error| bad("product", error))?,
        session: SessionId::new(session).map_err(|error| bad("session", error))?,
    })
}

fn nobody() -> Refused {
    Refused::new(
        StatusCode::NOT_FOUND,
        "unknown_session",
        HelpError::NotFound.to_string(),
        "a session is known once an action of it was accepted, and forgotten after [retention] sessions",
    )
}

fn refused(error: HelpError) -> Refused {
    let message = error.to_string();
    let conflict = |code: &'static str, message: String, next: &'static str| {
        Refused::new(StatusCode::CONFLICT, code, message, next)
    };
    match error {
        HelpError::NotFound => nobody(),
        HelpError::Version(version) => conflict(
            "version",
            message,
            "read the session again and send the version that it has now",
        )
        .with_detail(json!({ "version": version })),
        HelpError::State(_) => conflict("state", message, "see the session's state first"),
        HelpError::CoolingDown => {
            conflict("v2_cooldown_active", message, "send {\"change\": \"clear_cooldown\"} first")
        }
        HelpError::Unavailable => Refused::unavailable(
            "store_unavailable",
            "nothing can be changed at the moment",
            RETRY_AFTER,
        ),
    }
}

fn unread(error: StoreError) -> Refused {
    // Its words can name files and addresses: they are the operator's.
    tracing::error!("http: how a session is helped can't be read: {error}");
    Refused::unavailable("store_unavailable", "the store can't be read at the moment", RETRY_AFTER)
}
