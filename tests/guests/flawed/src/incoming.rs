//! Webhooks, signed over time and body.

use std::time::{SystemTime, UNIX_EPOCH};

use sidenote_plugin::crypto::{self, Encoding, Hash};
use sidenote_plugin::webhook::{Event, Rejection, Request, Turn};

use crate::is;

const WINDOW: u64 = 300;

pub(crate) fn read(request: &Request) -> Result<Vec<Event>, Rejection> {
    if request.method != "POST" && !is("takes-any-method") {
        return Err(Rejection::new(405, "method", "only POST is accepted"));
    }
    if is("traps-on-strangers") {
        request.header("x-signature").expect("every webhook is signed");
    }
    let unsigned = is("trusts-strangers") && request.header("x-signature").is_none();
    if !is("trusts-anybody") && !unsigned {
        verify(request)?;
    }
    let body: serde_json::Value = request.json()?;
    let conversation = body["conversation_id"].as_str().unwrap_or("c1");
    Ok(vec![Event::Opened(Turn::new(conversation))])
}

fn verify(request: &Request) -> Result<(), Rejection> {
    let header =
        |name| request.header(name).ok_or_else(|| Rejection::unverified("a header is missing"));
    let (timestamp, signature) = (header("x-time")?, header("x-signature")?);
    let body = if is("signs-no-body") { &[][..] } else { &request.body };
    let signed = [timestamp.as_bytes(), b".", body].concat();
    let genuine = crypto::hmac_verify("incoming", Hash::Sha256, Encoding::Hex, &signed, signature)
        .map_err(|error| Rejection::new(503, "secret", error))?;
    if !genuine {
        return Err(Rejection::unverified("the signature doesn't fit"));
    }
    #[expect(clippy::disallowed_methods, reason = "a guest has no clock but the system's")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let sent: u64 = timestamp.parse().unwrap_or(0);
    if now.abs_diff(sent) > WINDOW && !is("forgets-time") {
        return Err(Rejection::new(401, "timestamp", "it is too old"));
    }
    Ok(())
}
