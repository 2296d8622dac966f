//! Notes as JSON posts to a bot of yours, and the bot's signed webhook.
//!
//! What the plugin can do is a trait each, and named in `export!`.

use serde::{Deserialize, Serialize};
use sidenote_plugin::crypto::{Encoding, Hash};
use sidenote_plugin::webhook::{Event, Hmac, Rejection, Request, Turn};
use sidenote_plugin::{Call, Failure, Note, Posted, Webhook, Writer, config, http, log};

/// The header of the webhook's signature: `sha256=` and the hex HMAC of the raw body.
const HEADER: &str = "x-bot-signature";
/// How the bot signs.
const SIGNATURE: Hmac = Hmac { secret: "incoming", hash: Hash::Sha256, encoding: Encoding::Hex };

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
            return Err(Rejection::new(405, "method", "only POST is taken"));
        }
        // Nothing of the request means anything before.
        let signature = request.required_header(HEADER)?;
        SIGNATURE.verify(&request.body, signature.strip_prefix("sha256=").unwrap_or_default())?;
        let message: Message = request.json()?;
        Ok(vec![match message.event.as_deref() {
            Some("opened") => Event::Opened(message.turn()?),
            Some("replied") => Event::Replied(message.turn()?),
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
    let answer: serde_json::Value = serde_json::from_slice(answer).ok()?;
    match answer.get("id")? {
        serde_json::Value::String(id) if !id.is_empty() => Some(id.clone()),
        serde_json::Value::Number(id) => Some(id.to_string()),
        _ => None,
    }
}

/// What the bot tells.
#[derive(Deserialize)]
struct Message {
    event: Option<String>,
    conversation: Option<String>,
    session: Option<String>,
    user: Option<String>,
    email: Option<String>,
    product: Option<String>,
    text: Option<String>,
}

impl Message {
    fn turn(self) -> Result<Turn, Rejection> {
        // An empty text says as little as none.
        let given = |value: Option<String>| value.filter(|value| !value.is_empty());
        let conversation = given(self.conversation)
            .ok_or_else(|| Rejection::new(400, "body", "`conversation` is missing"))?;
        Ok(Turn {
            session_id: given(self.session),
            external_user_id: given(self.user),
            email: given(self.email),
            product_id: given(self.product),
            text: given(self.text),
            ..Turn::new(conversation)
        })
    }
}

#[cfg(test)]
mod tests;
