//! `POST /streams/retry` and `POST /streams/{name}/retry`: has a stream that waits connect at once.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::answer::{Refused, json_answer};
use super::health;
use super::path::Path;
use super::state::ApiState;
use crate::access::Caller;

/// Has every stream that waits, or was refused, connect at once.
pub(super) async fn retry_all(
    State(api): State<ApiState>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Refused> {
    answer(&api, None, &caller).await
}

/// Has one stream connect at once.
pub(super) async fn retry(
    State(api): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Response, Refused> {
    answer(&api, Some(&name), &caller).await
}

/// Answers how each stream stood before.
async fn answer(api: &ApiState, name: Option<&str>, caller: &Caller) -> Result<Response, Refused> {
    let before = api.within_deadline(api.backend.retry_streams(name, &caller.actor)).await?;
    let before = before.ok_or_else(|| {
        Refused::new(
            StatusCode::NOT_FOUND,
            "unknown_stream",
            "there is no stream of this name",
            "GET /readyz lists the streams by their names in the configuration",
        )
    })?;
    let before: Map<String, Value> =
        before.iter().map(|stream| (stream.name.clone(), health::stream(stream))).collect();
    Ok(json_answer(StatusCode::OK, &json!({ "streams": before })))
}
