//! `GET /plugins`.

use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use serde_json::json;

use super::answer::json_answer;
use super::routes::{Peer, Routes};

/// How every plugin is. It names files and says why something failed: not for everybody.
pub(super) async fn list(
    State(routes): State<Routes>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Response {
    match routes.rule.check(peer.0, &headers) {
        Ok(()) => json_answer(StatusCode::OK, &json!(routes.backend.plugins())),
        Err(refused) => refused.into_response(),
    }
}
