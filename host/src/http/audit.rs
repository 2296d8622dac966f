//! `GET /audit`: what people changed, the newest first.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::{StatusCode, Uri};
use serde_json::{Value, json};

use super::answer::{Refused, json_answer};
use super::products;
use super::query::{self, Asked, Query};
use super::state::ApiState;
use crate::access::Caller;
use crate::engine::people::{AuditCursor, AuditRow};

/// Rows of an answer where nobody says how many.
const DEFAULT_LIMIT: usize = 100;
/// When to ask again while the store can't be read.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Which rows are wanted.
pub(super) struct Wish {
    limit: usize,
    after: Option<AuditCursor>,
}

impl Asked for Wish {
    fn read(uri: &Uri) -> Result<Self, Refused> {
        const NEXT: &str = "send, for example, ?limit=20&after=CURSOR, or nothing";
        let bad = |message: String| {
            Refused::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_query", message, NEXT)
        };
        let mut wish = Self { limit: DEFAULT_LIMIT, after: None };
        for (name, value) in query::pairs(uri, NEXT)? {
            match name.as_str() {
                "limit" => wish.limit = query::limit(&value, NEXT)?,
                "after" => {
                    let cursor = AuditCursor::try_from(value);
                    let cursor =
                        cursor.map_err(|error| bad(format!("after can't be used: {error}")));
                    wish.after = Some(cursor?);
                }
                _ => return Err(bad("the log takes limit and after, and nothing else".to_owned())),
            }
        }
        Ok(wish)
    }

    fn within(self, caller: &Caller) -> Result<Self, Refused> {
        match caller.products.limit() {
            None => Ok(self),
            Some(_) => Err(products::whole_host(&caller.products)),
        }
    }
}

/// Lists what was done.
pub(super) async fn list(
    State(api): State<ApiState>,
    Query(Wish { limit, after }): Query<Wish>,
) -> Result<Response, Refused> {
    let page = api.within_deadline(api.backend.audited(limit, after)).await?;
    let page = page.map_err(|error| {
        // Its words can name files and addresses: they are the operator's.
        tracing::error!("http: the audit log can't be read: {error}");
        let message = "the store can't be read at the moment";
        Refused::unavailable("store_unavailable", message, RETRY_AFTER)
    })?;
    let rows: Vec<_> = page.rows.iter().map(audit_json).collect();
    Ok(json_answer(StatusCode::OK, &json!({"entries": rows, "next": page.next})))
}

/// A row, as it is answered and as `sidenote audit --json` has it.
pub fn audit_json(row: &AuditRow) -> Value {
    let AuditRow { at, by, act, product, outcome } = row;
    json!({
        "at": at.as_secs_f64(),
        "by": by,
        "act": act,
        "product": product.as_ref().map(|product| product.as_str()),
        "outcome": outcome,
    })
}
