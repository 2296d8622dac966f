//! A signed JSON post of the bot, and what it means.

use serde::Deserialize;
use sidenote_plugin::crypto::{Encoding, Hash};
use sidenote_plugin::webhook::{Answer, Event, Hmac, Rejection, Request, Turn, check_age};

use crate::post::{SIGNATURE, TIMESTAMP, signed};

/// How the bot signs.
const SCHEME: Hmac = Hmac { secret: "incoming", hash: Hash::Sha256, encoding: Encoding::Hex };
/// How far a timestamp may be from the host's clock, in seconds, either way.
const WINDOW: u64 = 300;

/// Verifies a request, then reads it. Without the secret everything is refused.
pub(crate) fn read(request: &Request) -> Result<Vec<Event>, Rejection> {
    if request.method != "POST" {
        return Err(Rejection::new(405, "method", "only POST is taken"));
    }
    verify(request)?;
    let body: Body = request.json()?;
    Ok(vec![match body.event.as_str() {
        "opened" => Event::Opened(body.turn()?),
        "replied" => Event::Replied(body.turn()?),
        "challenge" => Event::Challenge(Answer::text(body.challenge.unwrap_or_default())),
        _ => Event::Ignored,
    }])
}

fn verify(request: &Request) -> Result<(), Rejection> {
    let timestamp = request.required_header(TIMESTAMP)?;
    let value = request.required_header(SIGNATURE)?;
    // A signature that isn't written as it should be is wrong like any other, but only where there is a
    // secret: without one, the operator is told.
    let hex = value.strip_prefix("sha256=").unwrap_or_default();
    SCHEME.verify(&signed(timestamp, &request.body), hex)?;
    let seconds = timestamp.parse().map_err(|_| {
        Rejection::new(401, "timestamp", "the timestamp isn't in whole seconds since the epoch")
    })?;
    check_age(seconds, WINDOW)
}

#[derive(Deserialize)]
struct Body {
    event: String,
    conversation_id: Option<String>,
    session_id: Option<String>,
    product_id: Option<String>,
    user_id: Option<String>,
    email: Option<String>,
    text: Option<String>,
    challenge: Option<String>,
}

impl Body {
    fn turn(self) -> Result<Turn, Rejection> {
        let conversation_id = self
            .conversation_id
            .filter(|id| !id.is_empty())
            .ok_or_else(|| Rejection::new(400, "body", "`conversation_id` is missing"))?;
        Ok(Turn {
            session_id: given(self.session_id),
            external_user_id: given(self.user_id),
            email: given(self.email),
            product_id: given(self.product_id),
            text: self.text,
            ..Turn::new(conversation_id)
        })
    }
}

/// An empty value says as little as none.
fn given(value: Option<String>) -> Option<String> {
    value.filter(|value| !value.is_empty())
}
