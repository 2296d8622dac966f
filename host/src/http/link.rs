//! `POST /sessions/link`.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};

use super::answer::{Refused, json_answer};
use super::backend::LinkWish;
use super::body;
use super::routes::Routes;
use crate::engine::link::{LinkError, LinkEvent, LinkMode};
use crate::ids::{ConversationId, InvalidId, PluginName, ProductId, SessionId};
use crate::session::payload::read_id;

/// When to ask again while the store takes nothing.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Links a session to a conversation. Answers after the commit.
pub(super) async fn link(State(routes): State<Routes>, request: Request) -> Response {
    match answer(&routes, request).await {
        Ok(answer) => answer,
        Err(refused) => refused.into_response(),
    }
}

async fn answer(routes: &Routes, request: Request) -> Result<Response, Refused> {
    check_content_type(&request)?;
    let wish = wish(&body::read(request, routes.max_body_bytes).await?)?;
    let linked = routes.within_deadline(routes.backend.link(wish)).await?.map_err(refused)?;
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

pub(super) fn check_content_type(request: &Request) -> Result<(), Refused> {
    let value = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Refused::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "not_json",
        "the body must be JSON and say so",
        "send `Content-Type: application/json`",
    ))
}

const FIELDS: [&str; 5] = ["product_id", "session_id", "conversation_id", "plugin", "mode"];

/// Reads the body. Every id is a string that isn't empty, or a whole number as on the stream; anything else
/// changes nothing.
fn wish(body: &[u8]) -> Result<LinkWish, Refused> {
    let value: Value = serde_json::from_slice(body).map_err(|error| {
        let message =
            format!("the body isn't JSON (line {}, column {})", error.line(), error.column());
        Refused::new(StatusCode::BAD_REQUEST, "invalid_json", message, EXAMPLE)
    })?;
    let Value::Object(fields) = value else {
        return Err(unusable("invalid_body", "the body must be a JSON object"));
    };
    if fields.keys().any(|key| !FIELDS.contains(&key.as_str())) {
        let message = format!(
            "the body has a field that means nothing here; the fields are {}",
            FIELDS.join(", ")
        );
        return Err(unusable("unknown_field", message));
    }
    Ok(LinkWish {
        product_id: id(&fields, "product_id", ProductId::new)?,
        session_id: required(id(&fields, "session_id", SessionId::new)?, "session_id")?,
        conversation_id: required(
            id(&fields, "conversation_id", ConversationId::new)?,
            "conversation_id",
        )?,
        plugin: id(&fields, "plugin", |name| Ok(PluginName::from(name)))?,
        mode: mode(&fields)?,
    })
}

const EXAMPLE: &str =
    "send, for example, {\"product_id\": \"P\", \"session_id\": \"S\", \"conversation_id\": \"C\"}";

fn id<T>(
    fields: &Map<String, Value>,
    name: &str,
    make: impl Fn(String) -> Result<T, InvalidId>,
) -> Result<Option<T>, Refused> {
    let Some(value) = fields.get(name) else { return Ok(None) };
    let found = match read_id(value) {
        Ok(Some(id)) => {
            return make(id)
                .map(Some)
                .map_err(|error| unusable("invalid_id", format!("{name}: {}", error.cause)));
        }
        Ok(None) if value.is_null() => "null",
        Ok(None) => "an empty string",
        Err(found) => found,
    };
    Err(unusable(
        "invalid_id",
        format!("{name} must be a string that isn't empty, or a whole number, and it is {found}"),
    ))
}

fn required<T>(id: Option<T>, name: &str) -> Result<T, Refused> {
    id.ok_or_else(|| unusable("missing_field", format!("{name} is missing")))
}

fn mode(fields: &Map<String, Value>) -> Result<LinkMode, Refused> {
    match fields.get("mode").map(Value::as_str) {
        None | Some(Some("auto")) => Ok(LinkMode::Auto),
        Some(Some("move")) => Ok(LinkMode::Move),
        Some(Some(_) | None) => Err(unusable(
            "invalid_mode",
            "mode must be \"auto\" (keep the first conversation; the default) or \"move\" (move the session to this one)",
        )),
    }
}

fn unusable(code: &'static str, message: impl Into<std::borrow::Cow<'static, str>>) -> Refused {
    Refused::new(StatusCode::UNPROCESSABLE_ENTITY, code, message, EXAMPLE)
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
