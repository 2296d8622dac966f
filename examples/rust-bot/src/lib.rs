//! Notes as JSON posts to a bot of yours, and the bot's signed webhook.
//!
//! What the plugin can do is a trait each, and named in `export!`.

use serde::Serialize;
use serde_json::Value;
use sidenote_plugin::crypto::{Encoding, Hash};
use sidenote_plugin::webhook::{Event, Hmac, Identity, Rejection, Request, Turn};
use sidenote_plugin::{Call, Failure, Note, Posted, Webhook, Writer, config, http, json, log};

/// The header of the webhook's signature: `sha256=` and the hex HMAC of the raw body.
const HEADER: &str = "x-bot-signature";
/// How the bot signs.
const SIGNATURE: Hmac = Hmac { secret: "incoming", hash: Hash::Sha256, encoding: Encoding::Hex };
/// The fields that tell whose a conversation is.
const FIELDS: [(&str, Identity); 3] = [
    ("session", Identity::SessionId),
    ("user", Identity::ExternalUserId),
    ("email", Identity::Email),
];

struct Bot;

sidenote_plugin::export!(Bot: Writer, Webhook; manifest = include_str!("../manifest.json"));

impl Writer for Bot {
    fn post_note(call: Call, note: Note) -> Result<Posted, Failure> {
        let body = Body {
            conversation: &note.conversation_id,
            text: &note.body,
            key: &call.idempotency_key,
        };
        let response = http::Request::post(config::require("url")?)
            // The host puts the secret in its place, for hosts that it is granted to.
            .bearer_secret("token")
            .json(&body)?
            .send()?
            .error_for_status()?;
        log::debug!({ status = response.status }, "posted");
        Ok(match note_id(&response.body) {
            Some(id) => Posted::with_id(id),
            None => Posted::without_id(),
        })
    }
}

impl Webhook for Bot {
    fn receive(request: Request) -> Result<Vec<Event>, Rejection> {
        if request.method != "POST" {
            return Err(Rejection::new(405, "method", "only POST is accepted"));
        }
        // Nothing of the request means anything before.
        let signature = request.required_header(HEADER)?;
        SIGNATURE.verify(&request.body, signature.strip_prefix("sha256=").unwrap_or_default())?;
        let body = request.value()?;
        Ok(vec![match body["event"].as_str() {
            Some("opened") => Event::Opened(turn(&body)?),
            Some("replied") => Event::Replied(turn(&body)?),
            _ => Event::Ignored,
        }])
    }
}

/// What is posted.
#[derive(Serialize)]
struct Body<'a> {
    conversation: &'a str,
    text: &'a str,
    key: &'a str,
}

/// What the bot calls the note. It has the note also where it doesn't say, so nothing here fails.
fn note_id(answer: &[u8]) -> Option<String> {
    json::id(json::parse(answer).ok()?.get("id")?)
}

/// A turn of what the bot tells. Of the body only what is needed is read, so that an odd field takes nothing with it.
fn turn(body: &Value) -> Result<Turn, Rejection> {
    let conversation = json::id(&body["conversation"])
        .ok_or_else(|| Rejection::new(400, "body", "`conversation` is missing"))?;
    let turn = Turn {
        session_id: json::id(&body["session"]),
        external_user_id: json::id(&body["user"]),
        email: json::id(&body["email"]),
        product_id: json::id(&body["product"]),
        text: json::id(&body["text"]),
        ..Turn::new(conversation)
    };
    // The bot is yours and signs, so it vouches for what it says of the person, unless the body says
    // `"verified": false`, or lists the fields. What isn't vouched for links nothing by itself.
    let is_vouched = |field: &str| match &body["verified"] {
        Value::Null | Value::Bool(true) => true,
        Value::Array(fields) => fields.iter().any(|it| it == field),
        _ => false,
    };
    let fields = FIELDS.into_iter().filter(|(field, _)| is_vouched(field));
    Ok(turn.vouched(fields.map(|(_, identity)| identity)))
}

#[cfg(test)]
mod tests;
