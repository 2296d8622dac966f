//! `GET /plugins`.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde_json::json;

use super::answer::json_answer;
use super::state::ApiState;

/// How every plugin is. It names files and says why something failed: not for everybody.
pub(super) async fn list(State(api): State<ApiState>) -> Response {
    json_answer(StatusCode::OK, &json!(api.backend.plugins()))
}
