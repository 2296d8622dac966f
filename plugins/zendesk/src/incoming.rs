//! Webhooks: who opened a ticket, and who did what in it. A trigger's body is written by the operator, as this
//! folder's `README.md` has it; that of an event subscription is Zendesk's.

use std::cell::RefCell;

use serde_json::Value;
use sidenote_plugin::crypto::{Encoding, Hash};
use sidenote_plugin::webhook::{
    Event, Hmac, Identity, Rejection, Request, Turn, check_age, identity_verification, looked_up,
};
use sidenote_plugin::{Failure, clock, config, json};

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
        return Err(Rejection::new(405, "method", "only POST is accepted"));
    }
    verify(request)?;
    let body = request.value()?;
    let ours = config::get("account_id").filter(|id| !id.is_empty());
    let account = given(&body["account_id"]);
    // A trigger's body has none, unless its author put one in.
    let is_foreign = match body["type"].as_str() {
        Some(_) => account != ours,
        None => account.is_some() && account != ours,
    };
    if ours.is_some() && is_foreign {
        return Err(Rejection::new(403, "account", "the webhook is of another account"));
    }
    let event = match body["type"].as_str() {
        Some(kind) => subscribed(kind, &body)?,
        None => authored(&body)?,
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

/// A body whose author is the operator. Placeholders of what isn't there become empty texts.
fn authored(body: &Value) -> Result<Event, Rejection> {
    let kind = body["trigger_type"].as_str();
    let kind = kind.ok_or_else(|| Rejection::new(400, "body", "`trigger_type` is missing"))?;
    let bare = || ticket(&body["ticket_id"], "ticket_id").map(Turn::new);
    let opened = match kind {
        "new_ticket" => true,
        "user_reply" => false,
        "agent_reply" => {
            let missing =
                "`author_id` is missing: without it an agent's reply can't be told from ours";
            let author = given(&body["author_id"]);
            let author = author.ok_or_else(|| Rejection::new(400, "body", missing))?;
            let turn = bare()?.with_message_id(given(&body["message_id"]));
            return Ok(Event::Replied(by_staff(turn, &author)?));
        }
        "solved" | "closed" => return Ok(Event::Replied(bare()?.closed())),
        "reopened" => return Ok(Event::Replied(bare()?.reopened())),
        _ => return Ok(Event::Ignored),
    };
    // Whoever is in copy can answer too, and isn't the person whom the ticket is about.
    if is_another(&body["author_id"], &body["requester_id"]) {
        return Ok(if opened { Event::Opened(bare()?.by_agent()) } else { Event::Ignored });
    }
    let turn = Turn {
        session_id: given(&body["session_id"]),
        external_user_id: given(&body["requester_external_id"]),
        email: given(&body["requester_email"]),
        text: body["user_message"].as_str().filter(|it| !it.trim().is_empty()).map(str::to_owned),
        ..bare()?
    };
    // The session stands in a field of the ticket's form, which people may be able to fill in.
    let turn = vouched(turn, body["via"].as_str(), &[Identity::ExternalUserId, Identity::Email])?;
    let turn = turn.with_message_id(given(&body["message_id"]));
    Ok(if opened { Event::Opened(turn) } else { Event::Replied(turn) })
}

/// A body of an event subscription. Our own notes are comments too, and must not come back: what isn't said to be
/// public counts as a note.
fn subscribed(kind: &str, body: &Value) -> Result<Event, Rejection> {
    let detail = &body["detail"];
    let bare = || ticket(&detail["id"], "detail.id").map(Turn::new);
    match kind {
        // An agent can open a ticket for a person, and so does a product: it is the person's, and the first text isn't.
        "zen:event-type:ticket.created" => {
            let by_agent = is_another(&detail["submitter_id"], &detail["requester_id"]);
            let text = if by_agent { &Value::Null } else { &detail["description"] };
            Ok(Event::Opened(by_requester(bare()?, detail, text)?))
        }
        "zen:event-type:ticket.comment_added" => commented(bare, detail, &body["event"]["comment"]),
        "zen:event-type:ticket.status_changed" => {
            let status = |name: &str| body["event"][name].as_str().map(str::to_lowercase);
            let is_over = |status: Option<&str>| matches!(status, Some("solved" | "closed"));
            let (before, after) = (status("previous"), status("current"));
            Ok(match (is_over(before.as_deref()), is_over(after.as_deref())) {
                (false, true) => Event::Replied(bare()?.closed()),
                (true, false) if after.is_some() => Event::Replied(bare()?.reopened()),
                _ => Event::Ignored,
            })
        }
        _ => Ok(Event::Ignored),
    }
}

fn commented(
    bare: impl Fn() -> Result<Turn, Rejection>,
    detail: &Value,
    comment: &Value,
) -> Result<Event, Rejection> {
    if comment["is_public"] != true {
        return Ok(Event::Ignored);
    }
    let author = &comment["author"];
    let id = given(&comment["id"]);
    if author["is_staff"] == true {
        // Without its author's id it is somebody of the staff all the same.
        let turn = bare()?.with_message_id(id);
        return Ok(Event::Replied(match given(&author["id"]) {
            Some(author) => by_staff(turn, &author)?,
            None => turn.by_agent(),
        }));
    }
    if is_another(&author["id"], &detail["requester_id"]) {
        return Ok(Event::Ignored);
    }
    Ok(Event::Replied(by_requester(bare()?, detail, &comment["body"])?.with_message_id(id)))
}

/// What the person wrote, and who that is.
fn by_requester(mut turn: Turn, detail: &Value, text: &Value) -> Result<Turn, Rejection> {
    identify(&mut turn, detail)?;
    turn.text = text.as_str().map(str::to_owned);
    vouched(turn, detail["via"]["channel"].as_str(), &Identity::ALL)
}

/// What staff did for the person to see: this plugin, whose agent Zendesk is asked for once in an instance, or a human
/// agent. Where Zendesk never tells, it counts as an agent's: then nothing is said to the person in between.
fn by_staff(turn: Turn, author: &str) -> Result<Turn, Rejection> {
    Ok(if our_agent()?.as_deref() == Some(author) { turn.by_bot() } else { turn.by_agent() })
}

/// The agent as whom this plugin writes.
fn our_agent() -> Result<Option<String>, Rejection> {
    thread_local! {
        static KNOWN: RefCell<Option<String>> = const { RefCell::new(None) };
    }
    if let Some(known) = KNOWN.with_borrow(Clone::clone) {
        return Ok(Some(known));
    }
    let settings = settings()?;
    let ours = looked_up("me", user(&settings, "me"))?.and_then(|me| given(&me["id"]));
    KNOWN.with_borrow_mut(|known| known.clone_from(&ours));
    Ok(ours)
}

/// Whether two users are certainly not the same.
fn is_another(one: &Value, other: &Value) -> bool {
    let (one, other) = (given(one), given(other));
    one.is_some() && other.is_some() && one != other
}

/// Says what Zendesk vouches for: nothing, unless people must sign in to ask. Whoever writes a mail says himself who
/// he is.
fn vouched(turn: Turn, channel: Option<&str>, fields: &[Identity]) -> Result<Turn, Rejection> {
    let by_mail = channel.is_some_and(|it| matches!(&*it.to_lowercase(), "email" | "mail"));
    let vouched = !by_mail && identity_verification()?;
    Ok(turn.vouched(fields.iter().copied().filter(|_| vouched)))
}

/// Says whose ticket it is: by its external id, else by what Zendesk knows of the requester, who is only a
/// number in the event.
fn identify(turn: &mut Turn, detail: &Value) -> Result<(), Rejection> {
    let settings = settings()?;
    let external = given(&detail["external_id"]);
    match settings.external_id {
        ExternalId::Session => turn.session_id = external,
        ExternalId::User => turn.external_user_id = external,
    }
    if turn.session_id.is_some() || turn.external_user_id.is_some() {
        return Ok(());
    }
    let Some(requester) = given(&detail["requester_id"]) else {
        return Ok(());
    };
    if let Some(user) = looked_up("requester", requester_of(&settings, &requester))? {
        turn.external_user_id = given(&user["external_id"]);
        turn.email = given(&user["email"]);
    }
    Ok(())
}

fn requester_of(settings: &Settings, id: &str) -> Result<Value, Failure> {
    user(settings, &api::id(id)?.to_string())
}

/// A user by their number, or by `me`.
fn user(settings: &Settings, id: &str) -> Result<Value, Failure> {
    let mut shown: Value = api::get(settings, &format!("/api/v2/users/{id}"))?.json()?;
    Ok(shown.get_mut("user").map(Value::take).unwrap_or_default())
}

fn settings() -> Result<Settings, Rejection> {
    Settings::load().map_err(|failure| Rejection::new(503, "config", failure.message))
}

fn ticket(id: &Value, field: &str) -> Result<String, Rejection> {
    let id = given(id).filter(|id| api::id(id).is_ok());
    id.ok_or_else(|| Rejection::new(400, "body", format!("`{field}` is no ticket's number")))
}

/// An id without the blanks that stand around a placeholder.
fn given(value: &Value) -> Option<String> {
    json::id(value).map(|id| id.trim().to_owned())
}

#[cfg(test)]
mod tests;
