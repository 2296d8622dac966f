//! Webhooks: who opened a conversation, and who wrote in it.

use serde::Deserialize;
use serde_json::{Map, Value};
use sidenote_plugin::config;
use sidenote_plugin::crypto::{Encoding, Hash};
use sidenote_plugin::webhook::{Answer, Event, Hmac, Rejection, Request, Turn};

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
            Ok(vec![event(request.json()?)?])
        }
        _ => Err(Rejection::new(405, "method", "only HEAD and POST are taken")),
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

#[derive(Deserialize)]
struct Notification {
    topic: String,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    item: Value,
}

/// What is read of a conversation.
#[derive(Deserialize)]
struct Conversation {
    id: Value,
    #[serde(default)]
    custom_attributes: Option<Map<String, Value>>,
    #[serde(default)]
    contacts: Option<Contacts>,
    #[serde(default)]
    source: Option<Source>,
    #[serde(default)]
    conversation_parts: Option<Parts>,
}

#[derive(Deserialize)]
struct Contacts {
    #[serde(default)]
    contacts: Vec<Contact>,
}

#[derive(Deserialize)]
struct Contact {
    external_id: Option<Value>,
}

#[derive(Deserialize)]
struct Source {
    body: Option<String>,
    author: Option<Author>,
}

#[derive(Deserialize)]
struct Author {
    r#type: Option<String>,
    email: Option<String>,
}

#[derive(Deserialize)]
struct Parts {
    #[serde(default)]
    conversation_parts: Vec<Part>,
}

#[derive(Deserialize)]
struct Part {
    body: Option<String>,
    author: Option<Author>,
}

fn event(notification: Notification) -> Result<Event, Rejection> {
    let opened = match &*notification.topic {
        "conversation.user.created" => true,
        "conversation.user.replied" => false,
        // Pings, and all that support does: our own notes among it.
        _ => return Ok(Event::Ignored),
    };
    let unread = || Rejection::new(400, "body", "`data.item` isn't the conversation expected");
    let conversation: Conversation =
        serde_json::from_value(notification.data.item).map_err(|_| unread())?;
    let id = given(&conversation.id).ok_or_else(unread)?;
    let turn = turn(conversation, id, opened);
    Ok(if opened { Event::Opened(turn) } else { Event::Replied(turn) })
}

fn turn(conversation: Conversation, id: String, opened: bool) -> Turn {
    let attribute = config::get("session_attribute").unwrap_or_else(|| ATTRIBUTE.to_owned());
    let attributes = conversation.custom_attributes.unwrap_or_default();
    let contacts = conversation.contacts.map(|it| it.contacts).unwrap_or_default();
    let (body, author) = match conversation.source {
        Some(source) => (source.body, source.author),
        None => (None, None),
    };
    let parts = conversation.conversation_parts.map(|it| it.conversation_parts).unwrap_or_default();
    let (said, by) = match parts.into_iter().next_back() {
        Some(part) => (part.body, part.author),
        None => (None, None),
    };
    // Support can open a conversation too: then its author is no person of ours.
    let person = |author: Option<Author>| {
        let author = author?;
        let support = matches!(author.r#type.as_deref(), Some("admin" | "bot" | "team"));
        author.email.filter(|email| !support && !email.is_empty())
    };
    Turn {
        session_id: attributes.get(&attribute).and_then(given),
        external_user_id: contacts.iter().find_map(|it| it.external_id.as_ref().and_then(given)),
        email: person(author).or_else(|| person(by)),
        text: if opened { body } else { said }.map(|text| plain(&text)),
        ..Turn::new(id)
    }
}

/// An id that is given as a text or a number; an empty one says as little as none.
fn given(value: &Value) -> Option<String> {
    let text = match value.as_str() {
        Some(text) => text.to_owned(),
        None => value.as_number()?.to_string(),
    };
    Some(text).filter(|text| !text.trim().is_empty())
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
