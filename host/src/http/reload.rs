//! `POST /reload` and `GET /reload`: the configuration is read again, and the result of that.

use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde_json::json;

use super::answer::json_answer;
use super::reload_record::{RefusalCode, ReloadOutcome};
use super::state::ApiState;
use crate::access::Caller;

/// How long a reload is waited for before its asker is sent to `GET /reload`. A plugin may have to be compiled.
const PATIENCE: Duration = Duration::from_secs(50);

/// Has the configuration read again and answers the result. It names files: not for everybody.
pub(super) async fn reload(
    State(api): State<ApiState>,
    Extension(caller): Extension<Caller>,
) -> Response {
    let Ok(reload) = tokio::time::timeout(PATIENCE, api.backend.reload(&caller.actor)).await else {
        let next = "it goes on; GET /reload returns the result";
        return json_answer(StatusCode::ACCEPTED, &json!({"result": "under_way", "next": next}));
    };
    let ReloadOutcome::Refused(refusal) = &reload.outcome else {
        return json_answer(StatusCode::OK, &json!(reload));
    };
    let code = refusal.code;
    let error = json!({"code": word(code), "message": refusal.to_string(), "next": code.next()});
    json_answer(status(code), &json!({"error": error, "reload": reload}))
}

/// The results of reloads so far. It names files, too.
pub(super) async fn last(State(api): State<ApiState>) -> Response {
    json_answer(StatusCode::OK, &json!(api.backend.reloads()))
}

fn status(code: RefusalCode) -> StatusCode {
    match code {
        RefusalCode::Configuration | RefusalCode::Plugin | RefusalCode::Part => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        RefusalCode::NeedsRestart | RefusalCode::NoFile => StatusCode::CONFLICT,
        RefusalCode::Busy | RefusalCode::Closing => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn word(code: RefusalCode) -> &'static str {
    match code {
        RefusalCode::Configuration => "configuration",
        RefusalCode::NeedsRestart => "needs_restart",
        RefusalCode::Plugin => "plugin",
        RefusalCode::Part => "part",
        RefusalCode::Busy => "busy",
        RefusalCode::Closing => "closing",
        RefusalCode::NoFile => "no_file",
    }
}
