//! `POST /erase`, and `GET /erase` for what stayed.

use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::{StatusCode, Uri};
use serde_json::json;

use super::answer::{Refused, json_answer};
use super::json::{Fields, Json, Wanted};
use super::products;
use super::query::{self, Asked, Query};
use super::state::ApiState;
use crate::access::Caller;
use crate::engine::erase::kept::{KeptCursor, KeptFilter};
use crate::engine::erase::{EraseError, Erasure, Subject};
use crate::ids::{ProductId, SessionId};

/// When to ask again while the store can't be read.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Notes of a list where nobody says how many.
const DEFAULT_LIMIT: usize = 100;

/// Erases a person or a session, and answers after the last commit.
pub(super) async fn erase(
    State(api): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Json(Order { erasure, dry_run }): Json<Order>,
) -> Result<Response, Refused> {
    let erased = api.within_deadline(api.backend.erase(&erasure, dry_run, &caller.actor)).await?;
    let value = serde_json::to_value(erased.map_err(failed)?);
    let mut value = value.expect("counts are numbers");
    value["dry_run"] = json!(dry_run);
    Ok(json_answer(StatusCode::OK, &value))
}

/// Lists the notes that stay at the platforms though they were to go.
pub(super) async fn list(
    State(api): State<ApiState>,
    Query(Listed { filter, limit, after }): Query<Listed>,
) -> Result<Response, Refused> {
    let kept = api.within_deadline(api.backend.kept(&filter, limit, after)).await?;
    let value = serde_json::to_value(kept.map_err(failed)?);
    Ok(json_answer(StatusCode::OK, &value.expect("a list is made of text and numbers")))
}

/// Which of them are listed.
pub(super) struct Listed {
    filter: KeptFilter,
    limit: usize,
    after: Option<KeptCursor>,
}

impl Asked for Listed {
    fn read(uri: &Uri) -> Result<Self, Refused> {
        asked(uri).map(|(filter, limit, after)| Self { filter, limit, after })
    }

    fn within(mut self, caller: &Caller) -> Result<Self, Refused> {
        self.filter.within = products::narrowed(caller, self.filter.product.as_ref())?;
        Ok(self)
    }
}

/// Reads the query of a list.
fn asked(uri: &Uri) -> Result<(KeptFilter, usize, Option<KeptCursor>), Refused> {
    const NEXT: &str = "send, for example, ?erasure=0123456789abcdef&limit=20";
    let bad =
        |code, message: String| Refused::new(StatusCode::UNPROCESSABLE_ENTITY, code, message, NEXT);
    let (mut filter, mut limit, mut after) = (KeptFilter::default(), DEFAULT_LIMIT, None);
    for (name, value) in query::pairs(uri, NEXT)? {
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
            "limit" => limit = query::limit(&value, NEXT)?,
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

/// Who is to be erased.
pub(super) struct Order {
    erasure: Erasure,
    /// Whether it is only counted.
    dry_run: bool,
}

impl Wanted for Order {
    const EXAMPLE: &'static str = "send, for example, {\"product_id\": \"P\", \"user_id\": \"U\"}";

    fn names() -> Vec<&'static str> {
        vec!["product_id", "session_id", "user_id", "email", "keep_notes", "dry_run"]
    }

    /// Exactly one of session, user and address says who is meant.
    fn read(fields: &Fields) -> Result<Self, Refused> {
        let product = fields.required_id("product_id", ProductId::new)?;
        let subject = [
            fields.id("session_id", SessionId::new)?.map(Subject::Session),
            fields.id("user_id", Ok)?.map(Subject::User),
            fields.id("email", Ok)?.map(Subject::Email),
        ];
        let mut subject = subject.into_iter().flatten();
        let (Some(subject), None) = (subject.next(), subject.next()) else {
            return Err(fields.unusable(
                "subject",
                "exactly one of session_id, user_id and email says who is meant; for more, ask again",
            ));
        };
        let keep_notes = fields.truth("keep_notes")?;
        let dry_run = fields.truth("dry_run")?;
        Ok(Self { erasure: Erasure { product, subject, keep_notes }, dry_run })
    }

    fn within(self, caller: &Caller) -> Result<Self, Refused> {
        products::check(caller, self.erasure.product.as_str()).map(|()| self)
    }
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
