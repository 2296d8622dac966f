//! A signed JSON post to an endpoint of the bot, and the id in its answer.

use serde::Serialize;
use serde_json::Value;
use sidenote_plugin::crypto::{self, Encoding, Hash};
use sidenote_plugin::http::{Request, Response};
use sidenote_plugin::{Call, Failure, clock, config, json, log};

/// Header of the time of a post, in seconds since the Unix epoch.
pub(crate) const TIMESTAMP: &str = "x-sidenote-timestamp";
/// Header of the signature of both ways: `sha256=` and hex.
pub(crate) const SIGNATURE: &str = "x-sidenote-signature";

/// The secret that posts are signed with.
const SECRET: &str = "signing";

/// What stands in every post.
#[derive(Serialize)]
pub(crate) struct Envelope<'a, T> {
    r#type: &'static str,
    #[serde(flatten)]
    content: T,
    idempotency_key: &'a str,
    attempt: u32,
}

/// Posts one body and returns the answer, whatever its status.
pub(crate) fn send(
    url: &str,
    call: &Call,
    r#type: &'static str,
    content: impl Serialize,
) -> Result<Response, Failure> {
    let key = &*call.idempotency_key;
    let envelope = Envelope { r#type, content, idempotency_key: key, attempt: call.attempt };
    let mut request = Request::post(url).json(&envelope)?.header("x-sidenote-delivery", key);
    let timestamp = clock::now().to_string();
    if !config::flag("unsigned")? {
        let data = signed(&timestamp, request.as_body());
        let hex = crypto::hmac_sign(SECRET, Hash::Sha256, Encoding::Hex, &data);
        let hex = hex.map_err(|error| {
            let way_out = "or set unsigned = \"true\" to post without a signature";
            Failure::config(format!("{error}; {way_out}"))
        })?;
        request = request.header(SIGNATURE, format!("sha256={hex}"));
    }
    request = request.header(TIMESTAMP, timestamp);
    if config::flag("bearer")? {
        request = request.bearer_secret("token");
    }
    let response = request.send()?;
    log::debug!({ status = response.status, attempt = call.attempt }, "{} posted", r#type);
    Ok(response)
}

/// What is signed, of both ways.
pub(crate) fn signed(timestamp: &str, body: &[u8]) -> Vec<u8> {
    [timestamp.as_bytes(), b".", body].concat()
}

/// The id that an answer names, which needn't be JSON: what can't be read names nothing.
pub(crate) fn id_in(response: &Response) -> Option<String> {
    let answer: Value = response.json().ok()?;
    // A bot counts its notes as it likes, by halves too.
    let named = |name: &str| {
        let number = answer[name].as_number().map(ToString::to_string);
        number.or_else(|| json::id(&answer[name]))
    };
    named("note_id").or_else(|| named("id"))
}
