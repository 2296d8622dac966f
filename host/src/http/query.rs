//! What a request asks for in its query.

use axum::extract::{self, FromRequestParts};
use http::request::Parts;
use http::{StatusCode, Uri};

use super::answer::Refused;
use super::gate;
use super::state::ApiState;
use crate::access::Caller;

/// Most entries of an answer.
const MAX_LIMIT: usize = 1000;

/// What a kind of request says in its query.
pub(super) trait Asked: Sized {
    /// Reads it.
    fn read(uri: &Uri) -> Result<Self, Refused>;

    /// The same, narrowed to what the caller may ask about.
    fn within(self, caller: &Caller) -> Result<Self, Refused>;
}

/// The query of a request, read and narrowed.
pub(super) struct Query<T>(pub(super) T);

impl<T: Asked> FromRequestParts<ApiState> for Query<T> {
    type Rejection = Refused;

    async fn from_request_parts(head: &mut Parts, _: &ApiState) -> Result<Self, Refused> {
        let caller = gate::caller(&head.extensions)?;
        T::read(&head.uri)?.within(caller).map(Self)
    }
}

/// The pairs of a query, in order. `next` says what to send.
pub(super) fn pairs(uri: &Uri, next: &'static str) -> Result<Vec<(String, String)>, Refused> {
    let unusable = |_| {
        let (status, message) = (StatusCode::UNPROCESSABLE_ENTITY, "the query can't be read");
        Refused::new(status, "invalid_query", message, next)
    };
    extract::Query::try_from_uri(uri).map(|extract::Query(pairs)| pairs).map_err(unusable)
}

/// How many entries are wanted at most.
pub(super) fn limit(text: &str, next: &'static str) -> Result<usize, Refused> {
    let limit = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
    limit.ok_or_else(|| {
        let message = format!("limit must be a number from 1 to {MAX_LIMIT}");
        Refused::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_limit", message, next)
    })
}
