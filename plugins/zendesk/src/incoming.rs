//! Webhooks: who opened a ticket, and who wrote in it. A trigger's body is written by the operator, as this
//! folder's `README.md` has it; that of an event subscription is Zendesk's.

use serde::Deserialize;
use serde_json::Value;
use sidenote_plugin::crypto::{Encoding, Hash};
use sidenote_plugin::webhook::{Event, Hmac, Rejection, Request, Turn, check_age};
use sidenote_plugin::{clock, log};

use crate::api;
use crate::settings::{ExternalId, Settings};

const SIGNATURE: &str = "x-zendesk-webhook-signature";
const TIMESTAMP: &str = "x-zendesk-webhook-signature-timestamp";
/// How far a timestamp may be from the host's clock, in seconds, either way.
const WINDOW: u64 = 300;
const HMAC: Hmac =
    Hmac { secret: "signing_secret", hash: Hash::Sha256, encoding: Encoding::Base64 };

/// Verifies a request, then reads it. Without the secret everything is refused.
pub(crate) fn read(request: &Request) -> Result<Vec<Event>, Rejection> {
    if request.method != "POST" {
        return Err(Rejection::new(405, "method", "only POST is taken"));
    }
    verify(request)?;
    let body: Body = request.json()?;
    let event = match body.r#type.as_deref() {
        Some(kind) => subscribed(kind, body.detail, body.event)?,
        None => body.authored.event()?,
    };
    Ok(vec![event])
}

fn verify(request: &Request) -> Result<(), Rejection> {
    // An operator without a secret hears of that first.
    let unset = HMAC.verify(b"", "").err().filter(|rejection| rejection.status == 503);
    unset.map_or(Ok(()), Err)?;
    let timestamp = request.required_header(TIMESTAMP)?;
    let signature = request.required_header(SIGNATURE)?;
    HMAC.verify(&[timestamp.as_bytes(), &request.body].concat(), signature)?;
    let seconds = clock::parse(timestamp)
        .ok_or_else(|| Rejection::new(401, "timestamp", "the timestamp is no time in ISO 8601"))?;
    check_age(seconds, WINDOW)
}

#[derive(Deserialize)]
struct Body {
    /// Only in the body of an event subscription.
    r#type: Option<String>,
    detail: Option<Detail>,
    event: Option<Change>,
    #[serde(flatten)]
    authored: Authored,
}

/// What a trigger's body holds. Placeholders of what isn't there become empty texts.
#[derive(Deserialize)]
struct Authored {
    ticket_id: Option<Value>,
    trigger_type: Option<String>,
    session_id: Option<Value>,
    requester_external_id: Option<Value>,
    requester_email: Option<Value>,
    user_message: Option<String>,
}

impl Authored {
    fn event(self) -> Result<Event, Rejection> {
        let turn = Turn {
            session_id: given(self.session_id.as_ref()),
            external_user_id: given(self.requester_external_id.as_ref()),
            email: given(self.requester_email.as_ref()),
            text: self.user_message.filter(|text| !text.trim().is_empty()),
            ..Turn::new(ticket(self.ticket_id.as_ref(), "ticket_id")?)
        };
        Ok(match self.trigger_type.as_deref() {
            Some("new_ticket") => Event::Opened(turn),
            Some("user_reply") => Event::Replied(turn),
            Some(_) => Event::Ignored,
            None => return Err(Rejection::new(400, "body", "`trigger_type` is missing")),
        })
    }
}

/// A ticket as an event has it.
#[derive(Deserialize)]
struct Detail {
    id: Option<Value>,
    external_id: Option<Value>,
    requester_id: Option<Value>,
    description: Option<String>,
}

#[derive(Deserialize)]
struct Change {
    comment: Option<Comment>,
}

#[derive(Deserialize)]
struct Comment {
    body: Option<String>,
    is_public: Option<bool>,
    author: Option<Author>,
}

#[derive(Deserialize)]
struct Author {
    is_staff: Option<bool>,
}

impl Comment {
    /// Whether the person wrote it. Our own notes are comments too, and must not come back: what isn't said to
    /// be public counts as a note.
    fn is_the_persons(&self) -> bool {
        let by_staff = self.author.as_ref().and_then(|author| author.is_staff).unwrap_or(false);
        self.is_public == Some(true) && !by_staff
    }
}

fn subscribed(
    kind: &str,
    detail: Option<Detail>,
    change: Option<Change>,
) -> Result<Event, Rejection> {
    let comment = change.and_then(|change| change.comment);
    let opened = match kind {
        "zen:event-type:ticket.created" => true,
        "zen:event-type:ticket.comment_added" => {
            if !comment.as_ref().is_some_and(Comment::is_the_persons) {
                return Ok(Event::Ignored);
            }
            false
        }
        _ => return Ok(Event::Ignored),
    };
    let detail = detail.ok_or_else(|| Rejection::new(400, "body", "`detail` is missing"))?;
    let mut turn = Turn::new(ticket(detail.id.as_ref(), "detail.id")?);
    identify(&mut turn, &detail)?;
    turn.text = if opened { detail.description } else { comment.and_then(|comment| comment.body) };
    Ok(if opened { Event::Opened(turn) } else { Event::Replied(turn) })
}

/// Says whose ticket it is: by its external id, else by what Zendesk knows of the requester, who is only a
/// number in the event.
fn identify(turn: &mut Turn, detail: &Detail) -> Result<(), Rejection> {
    let settings =
        Settings::load().map_err(|failure| Rejection::new(503, "config", failure.message))?;
    let external = given(detail.external_id.as_ref());
    match settings.external_id {
        ExternalId::Session => turn.session_id = external,
        ExternalId::User => turn.external_user_id = external,
    }
    if turn.session_id.is_some() || turn.external_user_id.is_some() {
        return Ok(());
    }
    let Some(requester) = given(detail.requester_id.as_ref()) else {
        return Ok(());
    };
    let user = requester_of(&settings, &requester).map_err(|failure| {
        log::warn!({ code = failure.code }, "the requester of a ticket can't be looked up");
        Rejection::new(
            503,
            "requester",
            "the requester can't be looked up; the webhook is to come again",
        )
    })?;
    turn.external_user_id = given(user.external_id.as_ref());
    turn.email = given(user.email.as_ref());
    Ok(())
}

#[derive(Deserialize)]
struct Shown {
    user: User,
}

#[derive(Deserialize)]
struct User {
    external_id: Option<Value>,
    email: Option<Value>,
}

fn requester_of(settings: &Settings, id: &str) -> Result<User, sidenote_plugin::Failure> {
    let shown: Shown = api::get(settings, &format!("/api/v2/users/{}", api::id(id)?))?.json()?;
    Ok(shown.user)
}

fn ticket(id: Option<&Value>, field: &str) -> Result<String, Rejection> {
    let id = given(id).filter(|id| api::id(id).is_ok());
    id.ok_or_else(|| Rejection::new(400, "body", format!("`{field}` is no ticket's number")))
}

/// An id that is given as a text or a number; an empty one says as little as none.
fn given(value: Option<&Value>) -> Option<String> {
    let value = value?;
    let text = match value.as_str() {
        Some(text) => text.trim().to_owned(),
        None => value.as_number()?.to_string(),
    };
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests;
