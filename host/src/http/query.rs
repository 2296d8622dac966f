//! What a request asks for in its query.

use axum::extract::Query;
use http::{StatusCode, Uri};

use super::answer::Refused;

/// Most entries of an answer.
const MAX_LIMIT: usize = 1000;

/// The pairs of a query, in order. `next` says what to send.
pub(super) fn pairs(uri: &Uri, next: &'static str) -> Result<Vec<(String, String)>, Refused> {
    let unusable = |_| {
        let (status, message) = (StatusCode::UNPROCESSABLE_ENTITY, "the query can't be read");
        Refused::new(status, "invalid_query", message, next)
    };
    Query::try_from_uri(uri).map(|Query(pairs)| pairs).map_err(unusable)
}

/// How many entries are wanted at most.
pub(super) fn limit(text: &str, next: &'static str) -> Result<usize, Refused> {
    let limit = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
    limit.ok_or_else(|| {
        let message = format!("limit must be a number from 1 to {MAX_LIMIT}");
        Refused::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_limit", message, next)
    })
}
