//! `GET /deliveries/{product_id}/{session_id}/{number}`, `POST` the same with `/resend` behind it, and
//! `GET /sessions/{product_id}/{session_id}/timeline`.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::{StatusCode, Uri};
use serde::Serialize;
use serde_json::{Value, json};

use super::answer::{Refused, json_answer};
use super::help::key;
use super::json::{Fields, Json, Wanted};
use super::outbox::{check_text, failed};
use super::path::Path;
use super::query;
use super::state::ApiState;
use crate::access::Caller;
use crate::engine::core::resend::ResendError;
use crate::engine::ledger::{LedgerError, MomentCursor, ResendFailure, TimelineWant};
use crate::outbox::delivery_id::DeliveryId;

/// Moments of an answer where nobody says how many.
const DEFAULT_LIMIT: usize = 100;

/// The parts of an id in the address.
type Parts = Path<(String, String, String)>;

/// Tells what a delivery is, where it stands, and every attempt at it.
pub(super) async fn show(
    State(api): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Path(parts): Parts,
    uri: Uri,
) -> Result<Response, Refused> {
    const NEXT: &str = "send, for example, ?text=true, or nothing";
    let id = id(&parts)?;
    let mut text = false;
    for (name, value) in query::pairs(&uri, NEXT)? {
        match name.as_str() {
            "text" => text = truth(&value, NEXT)?,
            _ => return Err(unusable("unknown_field", "there is text and nothing else", NEXT)),
        }
    }
    check_text(&caller, text)?;
    let found = api.within_deadline(api.backend.delivery(&id, text)).await?.map_err(failed)?;
    found.map(|delivery| told(&delivery)).ok_or_else(nothing)
}

/// Has a delivered note sent once more.
pub(super) async fn resend(
    State(api): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Path(parts): Parts,
    Json(How { dry_run, text }): Json<How>,
) -> Result<Response, Refused> {
    let id = id(&parts)?;
    let resent = api.within_deadline(api.backend.resend(&id, dry_run, text, &caller.actor)).await?;
    let mut value = json(&resent.map_err(refused)?);
    value["dry_run"] = json!(dry_run);
    Ok(json_answer(StatusCode::OK, &value))
}

/// Tells what is known of a session, in the order of time.
pub(super) async fn timeline(
    State(api): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Path((product, session)): Path<(String, String)>,
    uri: Uri,
) -> Result<Response, Refused> {
    const NEXT: &str = "send, for example, ?limit=20";
    let key = key(product, session)?;
    let mut want = TimelineWant { limit: DEFAULT_LIMIT, text: false, after: None };
    for (name, value) in query::pairs(&uri, NEXT)? {
        match name.as_str() {
            "limit" => want.limit = query::limit(&value, NEXT)?,
            "text" => want.text = truth(&value, NEXT)?,
            "after" => {
                let after = MomentCursor::try_from(value);
                let after = after.map_err(|_| {
                    unusable("invalid_cursor", "after is no place in a timeline", NEXT)
                })?;
                want.after = Some(after);
            }
            _ => {
                let message = "a timeline takes limit, text, after and nothing else";
                return Err(unusable("unknown_field", message, NEXT));
            }
        }
    }
    check_text(&caller, want.text)?;
    let found = api.within_deadline(api.backend.timeline(&key, &want)).await?.map_err(failed)?;
    found.map(|timeline| told(&timeline)).ok_or_else(|| {
        Refused::new(
            StatusCode::NOT_FOUND,
            "unknown_session",
            "nothing is known of such a session",
            "a session is known once an action of it was accepted, and forgotten after [retention] sessions",
        )
    })
}

/// How a note is sent once more.
pub(super) struct How {
    dry_run: bool,
    text: bool,
}

impl Wanted for How {
    const EXAMPLE: &'static str = "send {\"dry_run\": true} to see what would be sent, or {}";

    fn names() -> Vec<&'static str> {
        vec!["dry_run", "text"]
    }

    fn read(fields: &Fields) -> Result<Self, Refused> {
        Ok(Self { dry_run: fields.truth("dry_run")?, text: fields.truth("text")? })
    }

    /// Its product is in the address.
    fn within(self, caller: &Caller) -> Result<Self, Refused> {
        check_text(caller, self.text)?;
        Ok(self)
    }
}

fn id((product, session, number): &(String, String, String)) -> Result<DeliveryId, Refused> {
    DeliveryId::of_parts(product, session, number).map_err(|error| {
        let next = "take the `id` of GET /outbox as it is: /deliveries/ID";
        unusable("invalid_id", error.to_string(), next)
    })
}

fn truth(value: &str, next: &'static str) -> Result<bool, Refused> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(unusable("invalid_text", "text must be true or false", next)),
    }
}

fn unusable(
    code: &'static str,
    message: impl Into<std::borrow::Cow<'static, str>>,
    next: &'static str,
) -> Refused {
    Refused::new(StatusCode::UNPROCESSABLE_ENTITY, code, message, next)
}

fn told(value: &impl Serialize) -> Response {
    json_answer(StatusCode::OK, &json(value))
}

fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("what is told is made of text and numbers")
}

fn nothing() -> Refused {
    Refused::new(
        StatusCode::NOT_FOUND,
        "unknown_delivery",
        "no such delivery is on record",
        "a delivered note is on record while it is among the latest 1024 of its session; what a sink or a person was sent isn't once it is delivered; what was redacted or erased is gone",
    )
}

fn refused(failure: ResendFailure) -> Refused {
    let message = failure.to_string();
    let conflict = |code, next| Refused::new(StatusCode::CONFLICT, code, message, next);
    let error = match failure {
        ResendFailure::Store(error) => return failed(LedgerError::Store(error)),
        ResendFailure::Closed(error) => return failed(LedgerError::Closed(error)),
        ResendFailure::NoNote => return conflict("no_note", "name a note: PRODUCT/SESSION/NUMBER"),
        ResendFailure::Refused(error) => error,
    };
    let next = match &error {
        ResendError::NotFound => return nothing(),
        ResendError::Waits => "see GET /deliveries/ID for what it waits for",
        ResendError::Dead => "send POST /outbox/retry with its id",
        ResendError::Redacted => "what takes its place can be sent once more",
        ResendError::NotRepeatable => "write to the conversation yourself",
        ResendError::NotLinked => "send POST /sessions/link first",
        ResendError::NotKept(_) => "raise `keep` and `keep_actions` in [context] for the next time",
    };
    conflict(error.code(), next)
}
