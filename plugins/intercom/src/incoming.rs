//! Webhooks: who opened a conversation, and who did what in it.

use serde_json::Value;
use sidenote_plugin::crypto::{Encoding, Hash};
use sidenote_plugin::webhook::{
    Answer, Event, Hmac, Identity, Rejection, Request, Turn, identity_verification,
};
use sidenote_plugin::{config, json};

use crate::{marker, uuid};

/// The secret that Intercom signs with.
const SECRET: &str = "client_secret";
/// The signatures that Intercom sends, by header, with what stands before the digits.
const SIGNATURES: [(&str, &str, Hash); 2] =
    [("x-hub-signature", "sha1=", Hash::Sha1), ("x-hub-signature-256", "sha256=", Hash::Sha256)];
/// The custom attribute that holds the session, unless the operator names another.
const ATTRIBUTE: &str = "session_id";

/// Verifies a request, then reads it. Without the secret everything is refused.
pub(crate) fn read(request: &Request) -> Result<Vec<Event>, Rejection> {
    match &*request.method {
        "HEAD" => is_ready().map(|()| vec![Event::Challenge(Answer::text(""))]),
        "POST" => {
            verify(request)?;
            Ok(vec![event(&request.value()?)?])
        }
        _ => Err(Rejection::new(405, "method", "only HEAD and POST are accepted")),
    }
}

/// Whether webhooks can be verified at all. An address that would refuse all of them isn't one to be used.
fn is_ready() -> Result<(), Rejection> {
    let hmac = Hmac { secret: SECRET, hash: Hash::Sha1, encoding: Encoding::Hex };
    match hmac.verify(b"", "") {
        Err(rejection) if rejection.status == 503 => Err(rejection),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Every signature that is there must fit, and one must be there.
fn verify(request: &Request) -> Result<(), Rejection> {
    let mut signed = false;
    for (header, prefix, hash) in SIGNATURES {
        let Some(value) = request.single_header(header)? else {
            continue;
        };
        let digits = value.strip_prefix(prefix).ok_or_else(|| {
            Rejection::unverified(format!("{header} doesn't begin with {prefix}"))
        })?;
        Hmac { secret: SECRET, hash, encoding: Encoding::Hex }.verify(&request.body, digits)?;
        signed = true;
    }
    if signed {
        return Ok(());
    }
    is_ready()?;
    Err(Rejection::unverified("the header x-hub-signature is missing"))
}

fn event(notification: &Value) -> Result<Event, Rejection> {
    check_workspace(notification)?;
    let topic = notification["topic"].as_str();
    let topic = topic.ok_or_else(|| Rejection::new(400, "body", "`topic` is missing"))?;
    let conversation = &notification["data"]["item"];
    match topic {
        "conversation.user.created" => by_person(conversation, true),
        "conversation.user.replied" => by_person(conversation, false),
        "conversation.admin.single.created" => {
            Ok(Event::Opened(by_support(conversation, &conversation["source"])?))
        }
        "conversation.admin.replied" | "conversation.operator.replied" => {
            let said = last_part(conversation);
            // A quick reply of an offer is a part of its own, without text.
            let is_seen =
                matches!(said["part_type"].as_str(), None | Some("comment" | "quick_reply"));
            if is_seen {
                Ok(Event::Replied(by_support(conversation, said)?))
            } else {
                Ok(Event::Ignored)
            }
        }
        "conversation.admin.closed" => {
            Ok(Event::Replied(by_support(conversation, last_part(conversation))?.closed()))
        }
        "conversation.admin.opened" | "conversation.admin.unsnoozed" => {
            Ok(Event::Replied(by_support(conversation, last_part(conversation))?.reopened()))
        }
        // Pings, and what else support does: our own notes among it.
        _ => Ok(Event::Ignored),
    }
}

/// What a person wrote.
fn by_person(conversation: &Value, opened: bool) -> Result<Event, Rejection> {
    let id = id(conversation)?;
    let said = if opened { &conversation["source"] } else { last_part(conversation) };
    let Some(author) = person(conversation, said) else {
        return Ok(Event::Ignored);
    };
    let turn = turn(conversation, id, author, said)?;
    Ok(if opened { Event::Opened(turn) } else { Event::Replied(turn) })
}

/// What support did: a human agent, a bot, or this plugin, which writes as a teammate of its own. Nobody's name is
/// told by it.
fn by_support(conversation: &Value, said: &Value) -> Result<Turn, Rejection> {
    let (author, ours) = (&said["author"], config::get("admin_id"));
    let is_ours = json::id(&author["id"]).is_some_and(|id| Some(id) == ours)
        || said["body"].as_str().is_some_and(marker::is_any_in);
    let turn = Turn::new(id(conversation)?).with_message_id(json::id(&said["id"]));
    Ok(if is_ours || author["type"] == "bot" { turn.by_bot() } else { turn.by_agent() })
}

fn id(conversation: &Value) -> Result<String, Rejection> {
    json::id(&conversation["id"]).ok_or_else(|| {
        Rejection::new(400, "body", "`data.item` isn't the conversation expected: it has no `id`")
    })
}

fn last_part(conversation: &Value) -> &Value {
    let parts = json::elements(&conversation["conversation_parts"]["conversation_parts"]);
    parts.last().unwrap_or(&Value::Null)
}

/// Whom a conversation is about: whoever opened it, or else whoever answers support, null where that isn't said.
/// None where somebody else speaks: others can be added to a conversation, and what they write isn't that person's
/// word. A lead who signs in is merged into a user, who then is the conversation's only contact.
fn person<'a>(conversation: &'a Value, said: &'a Value) -> Option<&'a Value> {
    let (opener, speaker) = (&conversation["source"]["author"], &said["author"]);
    if !is_person(opener) {
        return Some(if is_person(speaker) { speaker } else { &Value::Null });
    }
    if !is_another(opener, speaker) {
        return Some(opener);
    }
    let is_only = matches!(*contacts(conversation), [only] if is_same(only, speaker));
    (is_only && is_person(speaker)).then_some(speaker)
}

/// An app's secret signs the webhooks of every workspace that has the app.
fn check_workspace(notification: &Value) -> Result<(), Rejection> {
    let ours = config::get("app_id").filter(|id| !id.is_empty());
    if ours.is_some() && ours != json::id(&notification["app_id"]) {
        return Err(Rejection::new(403, "app", "the webhook is of another workspace"));
    }
    Ok(())
}

/// The turn of a person whose text stands in `said`.
fn turn(conversation: &Value, id: String, author: &Value, said: &Value) -> Result<Turn, Rejection> {
    let attribute = config::get("session_attribute").unwrap_or_else(|| ATTRIBUTE.to_owned());
    let contact = contact(conversation, author);
    let turn = Turn {
        session_id: json::id(&conversation["custom_attributes"][&attribute]),
        external_user_id: json::id(&contact["external_id"]),
        email: json::id(&author["email"]),
        text: said["body"].as_str().map(plain),
        ..Turn::new(id)
    };
    let is_user =
        author["type"] == "user" && !matches!(contact["type"].as_str(), Some("lead" | "visitor"));
    let is_proven = is_user
        && !is_another(author, contact)
        && [&conversation["source"], said].into_iter().all(is_of_messenger)
        && identity_verification()?;
    // What Intercom has proven is the id that the page gave, or else the address. An address beside an id is what
    // the page says.
    let proven =
        if turn.external_user_id.is_some() { Identity::ExternalUserId } else { Identity::Email };
    let turn = turn.vouched(is_proven.then_some(proven)).with_message_id(json::id(&said["id"]));
    let clicked = said["metadata"]["quick_reply_uuid"].as_str().and_then(uuid::id);
    Ok(match clicked {
        Some(option) => turn.clicked(option),
        None => turn,
    })
}

/// Whether an author is a person of ours: a user, a lead or a visitor.
fn is_person(author: &Value) -> bool {
    author.is_object() && !matches!(author["type"].as_str(), Some("admin" | "bot" | "team"))
}

/// Whether two people are certainly not the same.
fn is_another(one: &Value, other: &Value) -> bool {
    let (one, other) = (json::id(&one["id"]), json::id(&other["id"]));
    one.is_some() && other.is_some() && one != other
}

/// Whether two people are certainly the same.
fn is_same(one: &Value, other: &Value) -> bool {
    json::id(&one["id"]).is_some_and(|id| Some(id) == json::id(&other["id"]))
}

fn contacts(conversation: &Value) -> Vec<&Value> {
    let contacts = json::elements(&conversation["contacts"]["contacts"]);
    contacts.iter().filter(|contact| contact.is_object()).collect()
}

/// The contact who is the author. A conversation has several where others were added.
fn contact<'a>(conversation: &'a Value, author: &Value) -> &'a Value {
    let contacts = contacts(conversation);
    let own = contacts.iter().find(|contact| is_same(contact, author));
    match (&*contacts, own) {
        (_, Some(own)) => own,
        ([only], None) => only,
        _ => &Value::Null,
    }
}

/// Whether a message came through Intercom's Messenger. That one proves who writes; mail, phone and other networks
/// don't.
fn is_of_messenger(message: &Value) -> bool {
    let kind = message["type"].as_str().unwrap_or("conversation");
    matches!(kind, "conversation" | "conversation_part")
        && !message["email_message_metadata"].is_object()
}

/// What a person wrote, without the markup that older versions of the API put around it.
fn plain(text: &str) -> String {
    let text = text.trim();
    if !(text.starts_with('<') && text.ends_with('>')) {
        return text.to_owned();
    }
    let broken = text.replace("<br>", "\n").replace("</p><p>", "\n").replace("</p>\n<p>", "\n");
    let mut plain = String::with_capacity(broken.len());
    let mut rest = &*broken;
    while let Some(start) = rest.find('<') {
        plain.push_str(&rest[..start]);
        rest = rest[start..].split_once('>').map_or("", |(_, rest)| rest);
    }
    plain.push_str(rest);
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    entities.iter().fold(plain, |text, (entity, c)| text.replace(entity, c)).trim().to_owned()
}

#[cfg(test)]
mod tests;
