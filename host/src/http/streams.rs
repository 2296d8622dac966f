//! `POST /streams/retry` and `POST /streams/{name}/retry`: has a stream that waits connect at once.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::answer::{Refused, json_answer};
use super::health;
use super::routes::Routes;

/// Has every stream that waits, or was refused, connect at once.
pub(super) async fn retry_all(State(routes): State<Routes>) -> Response {
    answer(&routes, None).unwrap_or_else(Refused::into_response)
}

/// Has one stream connect at once.
pub(super) async fn retry(State(routes): State<Routes>, Path(name): Path<String>) -> Response {
    answer(&routes, Some(&name)).unwrap_or_else(Refused::into_response)
}

/// Answers how each stream stood before.
fn answer(routes: &Routes, name: Option<&str>) -> Result<Response, Refused> {
    let before = routes.backend.retry_streams(name).ok_or_else(|| {
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
