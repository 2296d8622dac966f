//! A signed JSON post of the bot, and what it means.

use serde::Deserialize;
use sidenote_plugin::webhook::{Answer, Event, Rejection, Request, Turn};

use crate::signature::{self, SIGNATURE, TIMESTAMP, WINDOW};

/// The secret that the bot signs with.
const SECRET: &str = "incoming";

/// Verifies a request, then reads it. Without the secret everything is refused.
pub(crate) fn read(request: &Request, now: u64) -> Result<Vec<Event>, Rejection> {
    if request.method != "POST" {
        return Err(Rejection::new(405, "method", "only POST is taken"));
    }
    verify(request, now)?;
    let body: Body = request.json()?;
    Ok(vec![match body.event.as_str() {
        "opened" => Event::Opened(body.turn()?),
        "replied" => Event::Replied(body.turn()?),
        "challenge" => Event::Challenge(Answer::text(body.challenge.unwrap_or_default())),
        _ => Event::Ignored,
    }])
}

fn verify(request: &Request, now: u64) -> Result<(), Rejection> {
    let header = |name: &str| {
        request
            .header(name)
            .ok_or_else(|| Rejection::unverified(format!("the header {name} is missing")))
    };
    let (timestamp, value) = (header(TIMESTAMP)?, header(SIGNATURE)?);
    // The signature comes first: nothing that an unverified request says deserves an answer of its own.
    let genuine = signature::verify(SECRET, timestamp, &request.body, value)
        .map_err(|error| Rejection::new(503, "secret", error))?;
    if !genuine {
        return Err(Rejection::unverified(
            "the signature doesn't fit the body and the secret `incoming`",
        ));
    }
    let seconds: u64 = timestamp.parse().map_err(|_| {
        Rejection::new(401, "timestamp", "the timestamp isn't in whole seconds since the epoch")
    })?;
    if seconds.abs_diff(now) > WINDOW {
        let message = format!("the timestamp is more than {WINDOW} seconds from this host's clock");
        return Err(Rejection::new(401, "timestamp", message));
    }
    Ok(())
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
