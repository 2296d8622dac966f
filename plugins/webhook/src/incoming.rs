//! A signed JSON post of the bot, and what it means.

use serde_json::Value;
use sidenote_plugin::crypto::{Encoding, Hash};
use sidenote_plugin::json;
use sidenote_plugin::webhook::{
    Answer, Event, Hmac, Identity, Rejection, Request, Turn, check_age,
};

use crate::post::{SIGNATURE, TIMESTAMP, signed};

/// How the bot signs.
const SCHEME: Hmac = Hmac { secret: "incoming", hash: Hash::Sha256, encoding: Encoding::Hex };
/// How far a timestamp may be from the host's clock, in seconds, either way.
const WINDOW: u64 = 300;
/// The fields of a body that tell whose a conversation is.
const FIELDS: [(&str, Identity); 3] = [
    ("session_id", Identity::SessionId),
    ("user_id", Identity::ExternalUserId),
    ("email", Identity::Email),
];

/// Verifies a request, then reads it. Without the secret everything is refused.
pub(crate) fn read(request: &Request) -> Result<Vec<Event>, Rejection> {
    if request.method != "POST" {
        return Err(Rejection::new(405, "method", "only POST is accepted"));
    }
    verify(request)?;
    let body = request.value()?;
    let missing = || Rejection::new(400, "body", "`event` is missing");
    let told = |make: fn(Turn) -> Event| Ok(turn(&body)?.map_or(Event::Ignored, make));
    Ok(vec![match body["event"].as_str().ok_or_else(missing)? {
        "opened" => told(Event::Opened)?,
        "replied" => told(Event::Replied)?,
        "challenge" => {
            Event::Challenge(Answer::text(body["challenge"].as_str().unwrap_or_default()))
        }
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

/// The turn of a body; `None` where it says of who did what something that isn't known: then it is no person's
/// message.
fn turn(body: &Value) -> Result<Option<Turn>, Rejection> {
    let conversation = json::id(&body["conversation_id"])
        .ok_or_else(|| Rejection::new(400, "body", "`conversation_id` is missing"))?;
    let turn = Turn::new(conversation).with_message_id(json::id(&body["message_id"]));
    let turn = match said(&body["author"], "person") {
        Some("person") => by_person(turn, body),
        Some("agent") => turn.by_agent(),
        Some("bot") => turn.by_bot(),
        _ => return Ok(None),
    };
    Ok(match said(&body["happened"], "message") {
        Some("message") => Some(turn),
        Some("typing") => Some(turn.typing()),
        Some("closed") => Some(turn.closed()),
        Some("reopened") => Some(turn.reopened()),
        Some("reaction") => Some(turn.reacted()),
        _ => None,
    })
}

/// A word, or what goes without saying. What isn't text is no word.
fn said<'a>(word: &'a Value, default: &'a str) -> Option<&'a str> {
    if word.is_null() { Some(default) } else { word.as_str() }
}

/// What a person did, and who that is.
fn by_person(turn: Turn, body: &Value) -> Turn {
    let turn = Turn {
        session_id: json::id(&body["session_id"]),
        external_user_id: json::id(&body["user_id"]),
        email: json::id(&body["email"]),
        product_id: json::id(&body["product_id"]),
        text: body["text"].as_str().map(str::to_owned),
        ..turn
    };
    let verified = &body["verified"];
    let vouched = FIELDS.into_iter().filter(|it| is_vouched(verified, it.0)).map(|it| it.1);
    turn.vouched(vouched).clicked(json::id(&body["option_id"]).unwrap_or_default())
}

/// Whether the bot vouches for a field. It is the operator's own and signs, so it does unless it says otherwise:
/// by `false`, or by a list of the fields that it does vouch for.
fn is_vouched(verified: &Value, field: &str) -> bool {
    match verified {
        Value::Null | Value::Bool(true) => true,
        Value::Array(names) => names.iter().any(|name| name == field),
        // Whatever else it says, it doesn't say yes.
        Value::Bool(false) | Value::Number(_) | Value::String(_) | Value::Object(_) => false,
    }
}
