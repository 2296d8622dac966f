//! `POST /sessions/link`.

use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};

use super::answer::{Refused, json_answer};
use super::backend::LinkRequest;
use super::json::{Fields, Json, Wanted};
use super::products;
use super::state::ApiState;
use crate::access::Caller;
use crate::engine::link::{LinkError, LinkEvent, LinkMode};
use crate::ids::{ConversationId, PluginName, ProductId, SessionId};

/// When to ask again while the store takes nothing.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Links a session to a conversation. Answers after the commit.
pub(super) async fn link(
    State(api): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Json(request): Json<LinkRequest>,
) -> Result<Response, Refused> {
    let linked =
        api.within_deadline(api.backend.link(request, &caller.actor)).await?.map_err(refused)?;
    let event = match linked.event {
        LinkEvent::New => "NEW",
        LinkEvent::ReplyExisting => "REPLY_EXISTING",
        LinkEvent::Kept => "KEPT",
        LinkEvent::Moved => "MOVED",
    };
    let value = json!({
        "session_id": linked.key.session.as_str(),
        "conversation_id": linked.conversation.as_str(),
        "event": event,
    });
    Ok(json_answer(StatusCode::OK, &value))
}

impl Wanted for LinkRequest {
    const EXAMPLE: &'static str = "send, for example, {\"product_id\": \"P\", \"session_id\": \"S\", \"conversation_id\": \"C\"}";

    fn names() -> Vec<&'static str> {
        vec!["product_id", "session_id", "conversation_id", "plugin", "mode"]
    }

    fn read(fields: &Fields) -> Result<Self, Refused> {
        Ok(Self {
            product_id: fields.id("product_id", ProductId::new)?,
            session_id: fields.required_id("session_id", SessionId::new)?,
            conversation_id: fields.required_id("conversation_id", ConversationId::new)?,
            plugin: fields.id("plugin", |name| Ok(PluginName::from(name)))?,
            mode: mode(fields)?,
        })
    }

    fn within(self, caller: &Caller) -> Result<Self, Refused> {
        let product_id = products::meant(caller, self.product_id)?;
        Ok(Self { product_id, ..self })
    }
}

fn mode(fields: &Fields) -> Result<LinkMode, Refused> {
    match fields.get("mode").map(Value::as_str) {
        None | Some(Some("auto")) => Ok(LinkMode::Auto),
        Some(Some("move")) => Ok(LinkMode::Move),
        Some(Some(_) | None) => Err(fields.unusable(
            "invalid_mode",
            "mode must be \"auto\" (keep the first conversation; the default) or \"move\" (move the session to this one)",
        )),
    }
}

fn refused(error: LinkError) -> Refused {
    let message = error.to_string();
    match error {
        LinkError::NotFound(_) => Refused::new(
            StatusCode::NOT_FOUND,
            "not_linked",
            message,
            "check product_id and plugin against the configuration, and session_id against the stream",
        ),
        LinkError::Ambiguous => {
            Refused::new(StatusCode::CONFLICT, "ambiguous_session", message, "send product_id")
        }
        LinkError::Nobody(_) => Refused::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "nobody",
            message,
            "send the id itself; [identity] of the configuration says which values name none",
        ),
        LinkError::Claimed => Refused::new(
            StatusCode::CONFLICT,
            "claimed",
            message,
            "name the session, or set `accept_claims` in the plugin's table",
        ),
        LinkError::Foreign => Refused::new(
            StatusCode::CONFLICT,
            "foreign_conversation",
            message,
            "check conversation_id; notes of one person are never written beside another's conversation",
        ),
        LinkError::Unavailable => Refused::unavailable(
            "store_unavailable",
            "the store takes nothing at the moment",
            RETRY_AFTER,
        ),
        LinkError::Closed => {
            Refused::unavailable("shutting_down", "the host is shutting down", RETRY_AFTER)
        }
    }
}
