//! `GET /outbox`, `POST /outbox/retry` and `POST /outbox/purge`.

use std::borrow::Cow;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::{StatusCode, Uri};
use serde_json::{Value, json};

use super::answer::{Refused, json_answer};
use super::gate;
use super::json::{Fields, Json, Wanted};
use super::products;
use super::query::{self, Asked, Query};
use super::state::ApiState;
use crate::access::{Actor, Caller, Scope};
use crate::clock::Timestamp;
use crate::engine::Decision;
use crate::engine::ledger::{Cursor, Filter, FilterError, LedgerError, Order, Want};

/// Notes of an answer where nobody says how many.
const DEFAULT_LIMIT: usize = 100;

/// When to ask again while the store can't be read.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Lists notes that wait or are dead letters.
pub(super) async fn list(
    State(api): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Query(Listed { filter, want }): Query<Listed>,
) -> Result<Response, Refused> {
    let listing = api.within_deadline(api.backend.outbox(&filter, &want)).await?;
    let mut listing = listing.map_err(failed)?;
    if caller.products.limit().is_some() {
        // Which other plugins there are isn't a matter of its products.
        let listed = |name: &str| listing.entries.iter().any(|entry| &*entry.plugin == name);
        listing.accounts.retain(|account| listed(&account.plugin));
    }
    let value = serde_json::to_value(listing);
    Ok(json_answer(StatusCode::OK, &value.expect("a listing is made of text and numbers")))
}

/// Refuses the texts of notes to whom they aren't given.
pub(super) fn check_text(caller: &Caller, text: bool) -> Result<(), Refused> {
    if !text || caller.scopes.allow(Scope::Text) {
        return Ok(());
    }
    Err(match &caller.actor {
        Actor::Machine => Refused::new(
            StatusCode::FORBIDDEN,
            "text_needs_token",
            "the texts of notes are given to the bearer of a token only",
            "set `token` in [server] and send it, or leave `text` out",
        ),
        Actor::Key { .. } | Actor::Token | Actor::Offline => gate::lacks(caller, Scope::Text),
    })
}

/// Has notes sent again.
pub(super) async fn retry(
    State(api): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Json(which): Json<Which>,
) -> Result<Response, Refused> {
    order(&api, Decision::Retry, which, &caller).await
}

/// Removes notes for good.
pub(super) async fn purge(
    State(api): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Json(which): Json<Which>,
) -> Result<Response, Refused> {
    order(&api, Decision::Purge, which, &caller).await
}

async fn order(
    api: &ApiState,
    decision: Decision,
    which: Which,
    caller: &Caller,
) -> Result<Response, Refused> {
    let Which { filter, until, after, dry_run } = which;
    let order = Order { decision, filter, until, after };
    let decided = match dry_run {
        true => api.within_deadline(api.backend.preview(&order)).await?,
        false => api.within_deadline(api.backend.decide(&order, &caller.actor)).await?,
    };
    let value = serde_json::to_value(decided.map_err(failed)?);
    let mut value = value.expect("what was decided is made of text and numbers");
    value["dry_run"] = json!(dry_run);
    Ok(json_answer(StatusCode::OK, &value))
}

/// Which notes are listed.
pub(super) struct Listed {
    filter: Filter,
    want: Want,
}

impl Asked for Listed {
    fn read(uri: &Uri) -> Result<Self, Refused> {
        wanted(uri).map(|(filter, want)| Self { filter, want })
    }

    fn within(mut self, caller: &Caller) -> Result<Self, Refused> {
        check_text(caller, self.want.text)?;
        self.filter.within = products::narrowed(caller, self.filter.product.as_ref())?;
        Ok(self)
    }
}

/// Reads the query of a listing.
fn wanted(uri: &Uri) -> Result<(Filter, Want), Refused> {
    let mut filter = Filter::default();
    let mut want = Want { limit: DEFAULT_LIMIT, text: false, after: None };
    for (name, value) in query::pairs(uri, Which::EXAMPLE)? {
        match name.as_str() {
            "limit" => want.limit = query::limit(&value, Which::EXAMPLE)?,
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

/// Which notes an order is about.
pub(super) struct Which {
    filter: Filter,
    until: Option<Timestamp>,
    after: Option<Cursor>,
    /// Whether it is only a preview.
    dry_run: bool,
}

impl Wanted for Which {
    const EXAMPLE: &'static str =
        "send, for example, {\"state\": [\"dead\"], \"plugin\": \"P\", \"dry_run\": true}";

    fn names() -> Vec<&'static str> {
        [&Filter::NAMES[..], &["all", "dry_run", "until", "after"]].concat()
    }

    fn read(fields: &Fields) -> Result<Self, Refused> {
        let mut filter = Filter::default();
        let (mut until, mut after) = (None, None);
        for (name, value) in fields.iter() {
            match name {
                "all" | "dry_run" => {}
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
        match (fields.truth("all")?, filter.is_empty()) {
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
        Ok(Self { filter, until, after, dry_run: fields.truth("dry_run")? })
    }

    fn within(mut self, caller: &Caller) -> Result<Self, Refused> {
        self.filter.within = products::narrowed(caller, self.filter.product.as_ref())?;
        Ok(self)
    }
}

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
    value.as_str().ok_or_else(|| unusable("invalid_filter", format!("{name} must be a string")))
}

fn cursor(text: String) -> Result<Cursor, Refused> {
    Cursor::try_from(text)
        .map_err(|error| unusable("invalid_cursor", format!("after can't be used: {error}")))
}

fn filter_refused(error: &FilterError) -> Refused {
    match error {
        FilterError::Unknown => unusable(
            "unknown_field",
            format!("{error}; beside them a list takes limit, text, after"),
        ),
        FilterError::Value { .. } | FilterError::Twice { .. } => {
            unusable("invalid_filter", error.to_string())
        }
    }
}

fn unusable(code: &'static str, message: impl Into<Cow<'static, str>>) -> Refused {
    Refused::new(StatusCode::UNPROCESSABLE_ENTITY, code, message, Which::EXAMPLE)
}

pub(super) fn failed(error: LedgerError) -> Refused {
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
