//! `POST /erase`, and `GET /erase` for what stayed.

use std::borrow::Cow;
use std::time::Duration;

use axum::extract::{Query, Request, State};
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode, Uri};
use serde_json::{Map, Value, json};

use super::answer::{Refused, json_answer};
use super::body;
use super::link::check_content_type;
use super::routes::Routes;
use crate::engine::erase::kept::{KeptCursor, KeptFilter};
use crate::engine::erase::{EraseError, Erasure, Subject};
use crate::ids::{ProductId, SessionId};
use crate::session::payload::read_id;

/// When to ask again while the store can't be read.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Erases a person or a session, and answers after the last commit; or lists the notes that stay at the platforms
/// though they were to go.
pub(super) async fn erase(State(routes): State<Routes>, request: Request) -> Response {
    let answer = match *request.method() {
        Method::POST => answer(&routes, request).await,
        _ => answer_list(&routes, request.uri()).await,
    };
    answer.unwrap_or_else(Refused::into_response)
}

async fn answer(routes: &Routes, request: Request) -> Result<Response, Refused> {
    check_content_type(&request)?;
    let (erasure, dry_run) = wanted(&body::read(request, routes.max_body_bytes).await?)?;
    let erased = routes.within_deadline(routes.backend.erase(&erasure, dry_run)).await?;
    let value = serde_json::to_value(erased.map_err(failed)?);
    let mut value = value.expect("counts are numbers");
    value["dry_run"] = json!(dry_run);
    Ok(json_answer(StatusCode::OK, &value))
}

/// Notes of a list where nobody says how many.
const DEFAULT_LIMIT: usize = 100;

/// Most notes of a list.
const MAX_LIMIT: usize = 1000;

async fn answer_list(routes: &Routes, uri: &Uri) -> Result<Response, Refused> {
    let (filter, limit, after) = asked(uri)?;
    let kept = routes.within_deadline(routes.backend.kept(&filter, limit, after)).await?;
    let value = serde_json::to_value(kept.map_err(failed)?);
    Ok(json_answer(StatusCode::OK, &value.expect("a list is made of text and numbers")))
}

/// Reads the query of a list.
fn asked(uri: &Uri) -> Result<(KeptFilter, usize, Option<KeptCursor>), Refused> {
    let bad = |code, message: String| {
        let next = "send, for example, ?erasure=0123456789abcdef&limit=20";
        Refused::new(StatusCode::UNPROCESSABLE_ENTITY, code, message, next)
    };
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
        .map_err(|_| bad("invalid_query", "the query can't be read".to_owned()))?;
    let (mut filter, mut limit, mut after) = (KeptFilter::default(), DEFAULT_LIMIT, None);
    for (name, value) in pairs {
        match name.as_str() {
            "erasure" => {
                let id = value.parse().map_err(|error| bad("invalid_id", format!("{error}")))?;
                filter.erasure = Some(id);
            }
            "plugin" => filter.plugin = Some(value.as_str().into()),
            "product" => {
                let product = ProductId::new(value);
                let product = product
                    .map_err(|error| bad("invalid_id", format!("product: {}", error.cause)))?;
                filter.product = Some(product);
            }
            "replaced" => {
                filter.replaced = match value.as_str() {
                    "true" => true,
                    "false" => false,
                    _ => {
                        let message = "replaced must be true or false".to_owned();
                        return Err(bad("invalid_filter", message));
                    }
                };
            }
            "limit" => {
                let number = value.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
                limit = number.ok_or_else(|| {
                    bad("invalid_limit", format!("limit must be a number from 1 to {MAX_LIMIT}"))
                })?;
            }
            "after" => {
                let cursor = KeptCursor::try_from(value);
                let cursor = cursor.map_err(|error| {
                    bad("invalid_cursor", format!("after can't be used: {error}"))
                })?;
                after = Some(cursor);
            }
            _ => {
                let names = "erasure, plugin, product, replaced, limit, after";
                return Err(bad("unknown_field", format!("a list takes {names} and nothing else")));
            }
        }
    }
    Ok((filter, limit, after))
}

const FIELDS: [&str; 6] = ["product_id", "session_id", "user_id", "email", "keep_notes", "dry_run"];

const EXAMPLE: &str = "send, for example, {\"product_id\": \"P\", \"user_id\": \"U\"}";

/// Reads the body. Exactly one of session, user and address says who is meant.
fn wanted(body: &[u8]) -> Result<(Erasure, bool), Refused> {
    let value: Value = serde_json::from_slice(body).map_err(|error| {
        let message =
            format!("the body isn't JSON (line {}, column {})", error.line(), error.column());
        Refused::new(StatusCode::BAD_REQUEST, "invalid_json", message, EXAMPLE)
    })?;
    let Value::Object(fields) = value else {
        return Err(unusable("invalid_body", "the body must be a JSON object"));
    };
    if fields.keys().any(|key| !FIELDS.contains(&key.as_str())) {
        let message = format!(
            "the body has a field that means nothing here; the fields are {}",
            FIELDS.join(", ")
        );
        return Err(unusable("unknown_field", message));
    }
    let product = text(&fields, "product_id")?
        .ok_or_else(|| unusable("missing_field", "product_id is missing"))?;
    let product = ProductId::new(product)
        .map_err(|error| unusable("invalid_id", format!("product_id: {}", error.cause)))?;
    let session = text(&fields, "session_id")?
        .map(SessionId::new)
        .transpose()
        .map_err(|error| unusable("invalid_id", format!("session_id: {}", error.cause)))?;
    let subject = [
        session.map(Subject::Session),
        text(&fields, "user_id")?.map(Subject::User),
        text(&fields, "email")?.map(Subject::Email),
    ];
    let mut subject = subject.into_iter().flatten();
    let (Some(subject), None) = (subject.next(), subject.next()) else {
        return Err(unusable(
            "subject",
            "exactly one of session_id, user_id and email says who is meant; for more, ask again",
        ));
    };
    let keep_notes = truth(&fields, "keep_notes")?;
    Ok((Erasure { product, subject, keep_notes }, truth(&fields, "dry_run")?))
}

fn text(fields: &Map<String, Value>, name: &str) -> Result<Option<String>, Refused> {
    match fields.get(name) {
        None => Ok(None),
        Some(value) => match read_id(value) {
            Ok(Some(id)) => Ok(Some(id)),
            Ok(None) => {
                Err(unusable("invalid_id", format!("{name} is empty: leave it out, or name one")))
            }
            Err(is) => Err(unusable("invalid_id", format!("{name} is {is}, and no id"))),
        },
    }
}

fn truth(fields: &Map<String, Value>, name: &str) -> Result<bool, Refused> {
    match fields.get(name) {
        None => Ok(false),
        Some(Value::Bool(truth)) => Ok(*truth),
        Some(_) => Err(unusable("invalid_body", format!("{name} must be true or false"))),
    }
}

fn unusable(code: &'static str, message: impl Into<Cow<'static, str>>) -> Refused {
    Refused::new(StatusCode::UNPROCESSABLE_ENTITY, code, message, EXAMPLE)
}

/// Why an erasure isn't through.
pub(super) fn failed(error: EraseError) -> Refused {
    match error {
        EraseError::Store(error) => {
            // Its words can name files and addresses: they are the operator's.
            tracing::error!("http: the store can't be read for an erasure: {error}");
            Refused::unavailable(
                "store_unavailable",
                "the store can't be read at the moment",
                RETRY_AFTER,
            )
        }
        EraseError::Nobody(what) => Refused::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "nobody",
            format!(
                "this {what} names nobody: programs write it where they know of no one, so nothing is kept under it, and nothing was erased"
            ),
            "name the person's sessions by session_id, or take the value off the list in [identity]",
        ),
        EraseError::Closed(_) => {
            Refused::unavailable("shutting_down", "the host is shutting down", RETRY_AFTER)
        }
    }
}
