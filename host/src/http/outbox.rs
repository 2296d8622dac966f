//! `GET /outbox`, `POST /outbox/retry` and `POST /outbox/purge`.

use std::borrow::Cow;
use std::time::Duration;

use axum::extract::{Query, Request, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, Uri};
use serde_json::{Map, Value, json};

use super::answer::{Refused, json_answer};
use super::auth::Rule;
use super::body;
use super::link::check_content_type;
use super::routes::Routes;
use crate::clock::Timestamp;
use crate::engine::Decision;
use crate::engine::ledger::{Cursor, Filter, FilterError, LedgerError, Order, Want};

/// Notes of an answer where nobody says how many.
const DEFAULT_LIMIT: usize = 100;

/// Most notes of an answer.
const MAX_LIMIT: usize = 1000;

/// When to ask again while the store can't be read.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Lists notes that wait or were given up.
pub(super) async fn list(State(routes): State<Routes>, uri: Uri) -> Response {
    answer_list(&routes, &uri).await.unwrap_or_else(Refused::into_response)
}

/// Has notes sent again.
pub(super) async fn retry(State(routes): State<Routes>, request: Request) -> Response {
    let answer = answer_order(&routes, request, Decision::Retry).await;
    answer.unwrap_or_else(Refused::into_response)
}

/// Removes notes for good.
pub(super) async fn purge(State(routes): State<Routes>, request: Request) -> Response {
    let answer = answer_order(&routes, request, Decision::Purge).await;
    answer.unwrap_or_else(Refused::into_response)
}

async fn answer_list(routes: &Routes, uri: &Uri) -> Result<Response, Refused> {
    let (filter, want) = wanted(uri)?;
    if want.text && !matches!(routes.gate.rule(), Rule::Bearer(_)) {
        return Err(Refused::new(
            StatusCode::FORBIDDEN,
            "text_needs_token",
            "the texts of notes are given to the bearer of a token only",
            "set `token` in [server] and send it, or leave `text` out",
        ));
    }
    let listing = routes.within_deadline(routes.backend.outbox(&filter, &want)).await?;
    let value = serde_json::to_value(listing.map_err(failed)?);
    Ok(json_answer(StatusCode::OK, &value.expect("a listing is made of text and numbers")))
}

async fn answer_order(
    routes: &Routes,
    request: Request,
    decision: Decision,
) -> Result<Response, Refused> {
    check_content_type(&request)?;
    let (order, dry_run) = ordered(&body::read(request, routes.max_body_bytes).await?, decision)?;
    let decided = match dry_run {
        true => routes.within_deadline(routes.backend.preview(&order)).await?,
        false => routes.within_deadline(routes.backend.decide(&order)).await?,
    };
    let value = serde_json::to_value(decided.map_err(failed)?);
    let mut value = value.expect("what was decided is made of text and numbers");
    value["dry_run"] = json!(dry_run);
    Ok(json_answer(StatusCode::OK, &value))
}

/// Reads the query of a listing.
fn wanted(uri: &Uri) -> Result<(Filter, Want), Refused> {
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
        .map_err(|_| unusable("invalid_query", "the query can't be read"))?;
    let mut filter = Filter::default();
    let mut want = Want { limit: DEFAULT_LIMIT, text: false, after: None };
    for (name, value) in pairs {
        match name.as_str() {
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
                want.limit = limit.ok_or_else(|| {
                    unusable(
                        "invalid_limit",
                        format!("limit must be a number from 1 to {MAX_LIMIT}"),
                    )
                })?;
            }
            "text" => {
                want.text = match value.as_str() {
                    "true" => true,
                    "false" => false,
                    _ => return Err(unusable("invalid_text", "text must be true or false")),
                };
            }
            "after" => want.after = Some(cursor(value)?),
            _ => filter.set(&name, &value).map_err(|error| filter_refused(&error))?,
        }
    }
    Ok((filter, want))
}

const ORDER_FIELDS: &str = "all, dry_run, until, after";

/// Reads the body of an order, and whether it is only a preview.
fn ordered(body: &[u8], decision: Decision) -> Result<(Order, bool), Refused> {
    let value: Value = serde_json::from_slice(body).map_err(|error| {
        let message =
            format!("the body isn't JSON (line {}, column {})", error.line(), error.column());
        Refused::new(StatusCode::BAD_REQUEST, "invalid_json", message, EXAMPLE)
    })?;
    let Value::Object(fields) = value else {
        return Err(unusable("invalid_body", "the body must be a JSON object"));
    };
    let mut filter = Filter::default();
    let (mut all, mut dry_run, mut until, mut after) = (false, false, None, None);
    for (name, value) in &fields {
        match name.as_str() {
            "all" => all = truth(&fields, "all")?,
            "dry_run" => dry_run = truth(&fields, "dry_run")?,
            "until" => {
                let seconds = value.as_f64().ok_or_else(|| {
                    unusable("invalid_until", "until must be a number: seconds since 1970")
                })?;
                until = Some(Timestamp::from_secs_f64(seconds));
            }
            "after" => after = Some(cursor(text(name, value)?.to_owned())?),
            _ => set(&mut filter, name, value)?,
        }
    }
    match (all, filter.is_empty()) {
        (true, true) | (false, false) => {}
        (false, true) => {
            return Err(unusable(
                "no_filter",
                "no filter is there, so that every note would be meant; send \"all\": true if that is so",
            ));
        }
        (true, false) => {
            return Err(unusable("all_and_filter", "all and a filter exclude each other"));
        }
    }
    Ok((Order { decision, filter, until, after }, dry_run))
}

const EXAMPLE: &str =
    "send, for example, {\"state\": [\"dead\"], \"plugin\": \"P\", \"dry_run\": true}";

fn set(filter: &mut Filter, name: &str, value: &Value) -> Result<(), Refused> {
    let mut set = |value: &Value| {
        filter.set(name, text(name, value)?).map_err(|error| filter_refused(&error))
    };
    match value.as_array().filter(|_| name == "state") {
        Some(values) => values.iter().try_for_each(set),
        None => set(value),
    }
}

fn text<'v>(name: &str, value: &'v Value) -> Result<&'v str, Refused> {
    // A name that means nothing is said to be so whatever its value is.
    if !Filter::NAMES.contains(&name) && name != "after" {
        return Err(filter_refused(&FilterError::Unknown));
    }
    value.as_str().ok_or_else(|| unusable("invalid_filter", format!("{name} must be a string")))
}

fn truth(fields: &Map<String, Value>, name: &str) -> Result<bool, Refused> {
    let value = fields.get(name).and_then(Value::as_bool);
    value.ok_or_else(|| unusable("invalid_body", format!("{name} must be true or false")))
}

fn cursor(text: String) -> Result<Cursor, Refused> {
    Cursor::try_from(text)
        .map_err(|error| unusable("invalid_cursor", format!("after can't be used: {error}")))
}

fn filter_refused(error: &FilterError) -> Refused {
    match error {
        FilterError::Unknown => unusable(
            "unknown_field",
            format!(
                "{error}; beside them a list takes limit, text, after, an order {ORDER_FIELDS}"
            ),
        ),
        FilterError::Value { .. } | FilterError::Twice { .. } => {
            unusable("invalid_filter", error.to_string())
        }
    }
}

fn unusable(code: &'static str, message: impl Into<Cow<'static, str>>) -> Refused {
    Refused::new(StatusCode::UNPROCESSABLE_ENTITY, code, message, EXAMPLE)
}

fn failed(error: LedgerError) -> Refused {
    match error {
        LedgerError::Store(error) => {
            // Its words can name files and addresses: they are the operator's.
            tracing::error!("http: the outbox can't be read: {error}");
            Refused::unavailable(
                "store_unavailable",
                "the store can't be read at the moment",
                RETRY_AFTER,
            )
        }
        LedgerError::Closed(_) => {
            Refused::unavailable("shutting_down", "the host is shutting down", RETRY_AFTER)
        }
    }
}
