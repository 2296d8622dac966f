//! The steps of a smoke test, and what to do when one fails.

use std::error::Error;
use std::io;
use std::time::Duration;

use eventsource_stream::Eventsource;
use futures_util::StreamExt;
use http::StatusCode;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use reqwest::{Response, Url};
use serde_json::{Map, Value};

/// Most bytes that are read in all: a stream that sends more without a payload isn't a connector's.
const MOST_BYTES: usize = 2 << 20;

/// Why a step failed, with the way out. No tokens, no addresses, nothing that people did.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error(
        "the token can't be sent: it is empty, or has blanks, line breaks or other characters that a header can't have; check what was copied"
    )]
    TokenText,
    #[error("this machine's TLS can't be set up ({0}); install the system's CA certificates")]
    Setup(String),
    #[error("the host can't be reached ({0}); check the address and whether the connector runs")]
    Unreachable(String),
    #[error("what answers isn't an HTTP server ({0}); check the address and its port")]
    NotHttp(String),
    #[error(
        "TLS failed ({0}); check that the address should be https:// and that its certificate is valid"
    )]
    Tls(String),
    #[error("no answer within {0:?}; check the address and what stands between (firewall, proxy)")]
    ConnectTimeout(Duration),
    #[error(
        "401, the token is refused; check the token (--token or SIDENOTE_STREAM_TOKEN), and that it belongs to this product"
    )]
    TokenRefused,
    #[error("401, the connector wants a token; give it in SIDENOTE_STREAM_TOKEN or with --token")]
    TokenMissing,
    #[error(
        "403, the token isn't allowed to read this stream; check that it belongs to this product"
    )]
    Forbidden,
    #[error("404, there is no such stream; check the product id at the end of the address")]
    NoSuchStream,
    #[error(
        "{0}, the address has moved; give the one that it leads to (redirects aren't followed, they could carry the token away)"
    )]
    Redirect(u16),
    #[error(
        "429, too many connections; wait, and check that nothing else reads this stream with this token"
    )]
    TooMany,
    #[error("{0}, the connector has trouble of its own; try again later")]
    Server(u16),
    #[error("{0} is not what a stream answers; check the address")]
    Status(u16),
    #[error(
        "it answers, but not with an event stream (content type {0}); check that this is the address of the stream, not of a page or an API"
    )]
    NotAnEventStream(String),
    #[error(
        "connected, but nothing came within {0:?}; use the product in a browser during the test, and check that its recording is on"
    )]
    Silent(Duration),
    #[error(
        "connected and alive ({heartbeats} heartbeats), but no payload came within {patience:?}; use the product in a browser during the test, and check that its recording is on"
    )]
    NoPayload { heartbeats: u64, patience: Duration },
    #[error(
        "the connector closed the stream before a payload came; try again, and look for a proxy that buffers or cuts long answers"
    )]
    Closed,
    #[error("the stream broke ({0}); try again, and look for a proxy that cuts long answers")]
    Broken(String),
    #[error(
        "more than 2 MiB came without a payload; check that this is the address of a connector's stream"
    )]
    Flood,
    #[error(
        "the first payload has no session_id; notes are written for sessions, so set up session ids in the connector"
    )]
    NoSessionId,
    #[error(
        "the first payload's session_id is empty; notes are written for sessions, so set up session ids in the connector"
    )]
    EmptySessionId,
    #[error("the first payload's session_id isn't text; the connector must send it as a string")]
    SessionIdType,
}

/// Connects and checks that an event stream is answered.
pub(super) async fn connect(
    url: &Url,
    token: Option<&str>,
    patience: Duration,
) -> Result<Response, Trouble> {
    // Neither a redirect nor a proxy may carry the token elsewhere.
    let client =
        reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build();
    let client = client.map_err(|error| Trouble::Setup(deepest(&error)))?;
    let mut request = client
        .get(url.clone())
        .header(ACCEPT, "text/event-stream")
        .header(CACHE_CONTROL, "no-store");
    if let Some(token) = token {
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Trouble::TokenText);
        }
        request = request.bearer_auth(token);
    }
    let response = match tokio::time::timeout(patience, request.send()).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) if is_tls(&error) => return Err(Trouble::Tls(deepest(&error))),
        Ok(Err(error)) if error.is_connect() => return Err(Trouble::Unreachable(deepest(&error))),
        Ok(Err(error)) => return Err(Trouble::NotHttp(deepest(&error))),
        Err(_) => return Err(Trouble::ConnectTimeout(patience)),
    };
    check_status(response.status(), token.is_some())?;
    let content_type = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("none");
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("text/event-stream") {
        Ok(response)
    } else {
        Err(Trouble::NotAnEventStream(essence.chars().take(80).collect()))
    }
}

fn check_status(status: StatusCode, token_sent: bool) -> Result<(), Trouble> {
    Err(match status.as_u16() {
        200 => return Ok(()),
        401 if token_sent => Trouble::TokenRefused,
        401 => Trouble::TokenMissing,
        403 => Trouble::Forbidden,
        404 => Trouble::NoSuchStream,
        429 => Trouble::TooMany,
        code @ 300..=399 => Trouble::Redirect(code),
        code @ 500..=599 => Trouble::Server(code),
        code => Trouble::Status(code),
    })
}

/// The first `actions` or `summary` of the stream.
pub(super) async fn first_payload(
    response: Response,
    patience: Duration,
) -> Result<Map<String, Value>, Trouble> {
    let mut heartbeats = 0;
    match tokio::time::timeout(patience, read_payload(response, &mut heartbeats)).await {
        Ok(read) => read,
        Err(_) if heartbeats == 0 => Err(Trouble::Silent(patience)),
        Err(_) => Err(Trouble::NoPayload { heartbeats, patience }),
    }
}

async fn read_payload(
    response: Response,
    heartbeats: &mut u64,
) -> Result<Map<String, Value>, Trouble> {
    let mut read = 0;
    let bytes = response.bytes_stream().map(move |chunk| {
        let chunk = chunk.map_err(|error| Trouble::Broken(deepest(&error)))?;
        read += chunk.len();
        if read > MOST_BYTES { Err(Trouble::Flood) } else { Ok(chunk) }
    });
    let mut events = std::pin::pin!(bytes.eventsource());
    while let Some(event) = events.next().await {
        let event = match event {
            Ok(event) => event,
            Err(eventsource_stream::EventStreamError::Transport(trouble)) => return Err(trouble),
            Err(error) => return Err(Trouble::Broken(error.to_string())),
        };
        if event.event == "heartbeat" {
            *heartbeats += 1;
            continue;
        }
        if let Ok(Value::Object(payload)) = serde_json::from_str(&event.data)
            && matches!(payload.get("type").and_then(Value::as_str), Some("actions" | "summary"))
        {
            return Ok(payload);
        }
    }
    Err(Trouble::Closed)
}

/// Whether a payload says whose it is.
pub(super) fn session_id(payload: &Map<String, Value>) -> Result<(), Trouble> {
    match payload.get("session_id") {
        None | Some(Value::Null) => Err(Trouble::NoSessionId),
        Some(Value::String(id)) if id.is_empty() => Err(Trouble::EmptySessionId),
        Some(Value::String(_)) => Ok(()),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            Err(Trouble::SessionIdType)
        }
    }
}

/// Whether TLS is among the causes. An [`io::Error`] hides what it wraps from `source`.
fn is_tls(error: &(dyn Error + 'static)) -> bool {
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    error.is::<rustls::Error>()
        || wrapped.is_some_and(|wrapped| is_tls(wrapped))
        || error.source().is_some_and(is_tls)
}

/// The last cause in words: the ones before it only say that a request failed, and name the address.
fn deepest(error: &(dyn Error + 'static)) -> String {
    error.source().map_or_else(|| error.to_string(), deepest)
}
