//! `GET /reply/{user_id}`: the answer to a question of a user, as autoplay-sdk's bridge gives it.

use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::{StatusCode, Uri};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::answer::{Refused, json_answer};
use super::answered::Place;
use super::context::Asked;
use super::path::Path;
use super::state::ApiState;
use crate::access::Caller;
use crate::ids::ConversationId;
use crate::llm::{LlmError, ReplyError};

/// When to ask again while it is busy.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Answers a question, knowing what the user did lately. The model isn't asked about who isn't known.
pub(super) async fn reply(
    State(api): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Path(user): Path<String>,
    uri: Uri,
) -> Result<Response, Refused> {
    let asked = Asked::read(&api, &caller, user, &uri)?;
    let replies = api.backend.replies().ok_or_else(off)?;
    let place = asked.conversation.as_ref().map(|it| place(&asked.product, &asked.user, it));
    let came_at = asked.recent.now();
    let context = asked.assemble(api.answered.of(place.as_ref())).await?.context();
    let Asked { user, query, .. } = asked;
    // No deadline of the routes: the model's own ends it, and says so.
    let reply = replies.reply(&user, &context, &query).await.map_err(|error| failed(&error))?;
    if let Some(place) = place {
        api.answered.advance(place, came_at);
    }
    let value = json!({"user_id": user, "query": query, "reply": reply, "context": context});
    Ok(json_answer(StatusCode::OK, &value))
}

fn place(product: &str, user: &str, conversation: &ConversationId) -> Place {
    let mut hash = Sha256::new();
    for part in [product, user, conversation.as_str()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut place = Place::default();
    place.copy_from_slice(&hash.finalize()[..16]);
    place
}

fn off() -> Refused {
    Refused::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "llm_off",
        "this host has no language model",
        "add the table [llm] to the configuration and start the host again",
    )
}

/// Which error it is; the model's own words are in the log.
fn failed(error: &ReplyError) -> Refused {
    let error = match error {
        ReplyError::Busy => {
            return Refused::unavailable("llm_busy", "too many questions at once", RETRY_AFTER);
        }
        ReplyError::Llm(error) => error,
    };
    let (status, next) = match error {
        LlmError::TimedOut { .. } => (
            StatusCode::GATEWAY_TIMEOUT,
            "ask again; see `timeout` of [llm] where it happens often",
        ),
        LlmError::RateLimited { .. } | LlmError::Unavailable { .. } => {
            (StatusCode::BAD_GATEWAY, "ask again later")
        }
        LlmError::Auth { .. }
        | LlmError::Setting { .. }
        | LlmError::NotFound { .. }
        | LlmError::Malformed { .. }
        | LlmError::TooLong { .. }
        | LlmError::Empty => {
            (StatusCode::BAD_GATEWAY, "see [llm] of the host's configuration, and its log")
        }
        LlmError::Refused { .. } => (StatusCode::BAD_GATEWAY, "ask something else"),
    };
    let message = match status {
        StatusCode::GATEWAY_TIMEOUT => "the language model didn't answer in time",
        _ => "the language model gave no answer",
    };
    Refused::new(status, format!("llm_{}", error.kind()), message, next)
}
