//! `GET /healthz` and `GET /readyz`.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::answer::json_answer;
use super::backend::{Part, Readiness, StreamReadiness, StreamState};
use super::state::ApiState;
use crate::ids::PluginName;
use crate::outbox::trouble::LastError;

/// 200 while the process lives. `degraded` while no events can come from some stream.
pub(super) async fn alive(State(api): State<ApiState>) -> Response {
    let readiness = api.backend.readiness();
    let connected = readiness.streams.iter().all(|stream| stream.state == StreamState::Connected);
    let status = if connected { "ok" } else { "degraded" };
    json_answer(StatusCode::OK, &json!({"status": status, "streams": streams(&readiness)}))
}

/// 200 when everything is ready, else 503 with what isn't.
pub(super) async fn ready(State(api): State<ApiState>) -> Response {
    let readiness = api.backend.readiness();
    let (code, status) = match readiness.is_ready() {
        true => (StatusCode::OK, "ready"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not_ready"),
    };
    let errors = api.backend.last_errors();
    let plugin = |(name, state): &(PluginName, Part)| {
        let last = errors.iter().find(|(plugin, _)| plugin == name);
        (name.to_string(), with_error(part(state), last.map(|(_, error)| error)))
    };
    let plugins: Map<_, _> = readiness.plugins.iter().map(plugin).collect();
    let value = json!({
        "status": status,
        "streams": streams(&readiness),
        "store": part(&readiness.store),
        "plugins": plugins,
    });
    json_answer(code, &value)
}

fn streams(readiness: &Readiness) -> Map<String, Value> {
    readiness.streams.iter().map(|state| (state.name.clone(), stream(state))).collect()
}

/// How a stream stands.
pub(super) fn stream(stream: &StreamReadiness) -> Value {
    let state = match stream.state {
        StreamState::Connecting => "connecting",
        StreamState::Connected => "connected",
        StreamState::Waiting => "waiting",
        StreamState::Refused => "refused",
        StreamState::Stopped => "stopped",
    };
    let age = stream.last_event_age.map(|age| age.as_secs_f64());
    let next = stream.next_attempt.map(|wait| wait.as_secs_f64());
    json!({
        "state": state,
        "last_event_age_seconds": age,
        "cause": stream.cause,
        "next_attempt_in_seconds": next,
    })
}

/// With the last failure of its calls. What a platform answered is in `GET /plugins`: anyone can read this.
fn with_error(mut value: Value, error: Option<&LastError>) -> Value {
    if let Some(error) = error {
        value["last_error"] = json!({
            "at": error.at,
            "kind": error.kind,
            "code": error.code,
            "ongoing": error.is_ongoing(),
            "since": error.since,
            "failures": error.failures,
        });
    }
    value
}

fn part(part: &Part) -> Value {
    match part {
        Part::Ready => json!({"ready": true}),
        Part::NotReady { cause } => json!({"ready": false, "cause": cause}),
    }
}
