//! The steps of a smoke test, and what to do when one fails.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;
use std::{fmt, io};

use eventsource_stream::{EventStreamError, Eventsource};
use futures_util::StreamExt;
use http::StatusCode;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use reqwest::{Response, Url};
use serde_json::{Map, Value};
use sidenote::session::payload::{Payload, PayloadError, parse_event};
use sidenote_terminal::output::escaped;

use crate::events::deepest;

/// Most bytes that are read in all: a stream that sends more without a payload isn't a connector's.
const MOST_BYTES: usize = 2 << 20;

/// Why a step failed, with the remedy. No tokens, no addresses, nothing that people did.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
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
        "connected, but {}{came}; an event that notes are made of is a JSON object whose `type` is \"actions\" or \"summary\": check that this is the address of a connector's stream, and what the connector sends", .how.words()
    )]
    NoEvent { came: Came, how: How },
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
    #[error(
        "the first payload's session_id is neither text nor a number; the connector must send it as a string"
    )]
    SessionIdType,
}

impl Trouble {
    /// Whether asking again means nothing until somebody has seen to it.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::TokenText
            | Self::Setup(_)
            | Self::TokenRefused
            | Self::TokenMissing
            | Self::Forbidden
            | Self::NoSuchStream
            | Self::Redirect(_)
            | Self::NotAnEventStream(_) => true,
            Self::Unreachable(_)
            | Self::NotHttp(_)
            | Self::Tls(_)
            | Self::ConnectTimeout(_)
            | Self::TooMany
            | Self::Server(_)
            | Self::Status(_)
            | Self::Silent(_)
            | Self::NoEvent { .. }
            | Self::NoPayload { .. }
            | Self::Closed
            | Self::Broken(_)
            | Self::Flood
            | Self::NoSessionId
            | Self::EmptySessionId
            | Self::SessionIdType => false,
        }
    }
}

/// What came instead of a payload, counted by kind.
#[derive(Debug, Default)]
pub(crate) struct Came {
    heartbeats: u64,
    others: BTreeMap<String, u64>,
}

/// How the wait for a payload ended.
#[derive(Debug, Clone, Copy)]
pub(crate) enum How {
    /// Nothing more came in time.
    Time(Duration),
    /// The stream ended.
    Closed,
    /// More came than is read.
    Flood,
}

impl How {
    fn words(self) -> String {
        match self {
            Self::Time(patience) => format!("what came within {patience:?} is no event: "),
            Self::Closed => "the stream was closed, and what came before is no event: ".to_owned(),
            Self::Flood => "2 MiB came, and what came is no event: ".to_owned(),
        }
    }
}

/// Kinds that are told apart; the rest is counted together.
const KINDS: usize = 6;

/// Characters of a foreign `type` that are shown.
const SHOWN: usize = 40;

impl Came {
    /// Counts what came; `None` of what is no payload.
    fn payload(&mut self, kind: &str, data: &str) -> Option<Map<String, Value>> {
        if kind == "heartbeat" {
            self.heartbeats += 1;
            return None;
        }
        // Judged as the host judges it.
        let why = match parse_event(data) {
            Ok(parsed) => return Some(raw(data, &parsed.payload)),
            Err(PayloadError::NotJson { .. }) => "not JSON".to_owned(),
            Err(PayloadError::NotAnObject) => "JSON, but no object".to_owned(),
            Err(PayloadError::UnknownType) => foreign_type(data),
        };
        let known = self.others.contains_key(&why) || self.others.len() < KINDS;
        *self.others.entry(if known { why } else { "of other kinds".to_owned() }).or_default() += 1;
        None
    }

    /// What there is to say where no payload came.
    fn without_payload(self, how: How) -> Trouble {
        if !self.others.is_empty() {
            return Trouble::NoEvent { came: self, how };
        }
        match how {
            How::Time(patience) if self.heartbeats == 0 => Trouble::Silent(patience),
            How::Time(patience) => Trouble::NoPayload { heartbeats: self.heartbeats, patience },
            How::Closed => Trouble::Closed,
            How::Flood => Trouble::Flood,
        }
    }
}

impl fmt::Display for Came {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let others = self.others.iter().map(|(why, count)| format!("{count} {why}"));
        let heartbeats = (self.heartbeats > 0).then(|| format!("{} heartbeats", self.heartbeats));
        f.write_str(&others.chain(heartbeats).collect::<Vec<_>>().join(", "))
    }
}

/// The fields of an event; of one that isn't quite JSON, those that are looked at.
fn raw(data: &str, payload: &Payload) -> Map<String, Value> {
    if let Ok(Value::Object(fields)) = serde_json::from_str(data) {
        return fields;
    }
    let session = match payload {
        Payload::Actions(batch) => batch.session_id.clone(),
        Payload::Summary(summary) => summary.session_id.clone(),
    };
    Map::from_iter([("session_id".to_owned(), session.into())])
}

/// Of which type an object is that is no event.
fn foreign_type(data: &str) -> String {
    let fields: Value = serde_json::from_str(data).unwrap_or_default();
    match fields.get("type") {
        None | Some(Value::Null) => "without a `type`".to_owned(),
        Some(Value::String(kind)) => {
            let kind: String = kind.chars().take(SHOWN).collect();
            format!("of type \"{}\"", escaped(&kind))
        }
        Some(_) => "whose `type` is no text".to_owned(),
    }
}

/// Connects and checks that an event stream is answered.
pub(crate) async fn connect(
    url: &Url,
    token: Option<&str>,
    patience: Duration,
) -> Result<Response, Trouble> {
    let client = sidenote::http_client::builder(url).build();
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
    let mut came = Came::default();
    match tokio::time::timeout(patience, read_payload(response, &mut came)).await {
        Ok(Ok(payload)) => Ok(payload),
        Ok(Err(End::How(how))) => Err(came.without_payload(how)),
        Ok(Err(End::Broken(cause))) => Err(Trouble::Broken(cause)),
        Err(_) => Err(came.without_payload(How::Time(patience))),
    }
}

/// How reading ended without a payload.
enum End {
    How(How),
    Broken(String),
}

async fn read_payload(response: Response, came: &mut Came) -> Result<Map<String, Value>, End> {
    let mut read = 0;
    let bytes = response.bytes_stream().map(move |chunk| {
        let chunk = chunk.map_err(|error| End::Broken(deepest(&error)))?;
        read += chunk.len();
        if read > MOST_BYTES { Err(End::How(How::Flood)) } else { Ok(chunk) }
    });
    let mut events = std::pin::pin!(bytes.eventsource());
    while let Some(event) = events.next().await {
        let event = match event {
            Ok(event) => event,
            Err(EventStreamError::Transport(end)) => return Err(end),
            Err(EventStreamError::Utf8(error)) => return Err(End::Broken(error.to_string())),
            Err(EventStreamError::Parser(error)) => return Err(End::Broken(error.to_string())),
        };
        if let Some(payload) = came.payload(&event.event, &event.data) {
            return Ok(payload);
        }
    }
    Err(End::How(How::Closed))
}

/// Whether a payload says whose it is.
pub(super) fn session_id(payload: &Map<String, Value>) -> Result<(), Trouble> {
    match payload.get("session_id") {
        None | Some(Value::Null) => Err(Trouble::NoSessionId),
        Some(Value::String(id)) if id.is_empty() => Err(Trouble::EmptySessionId),
        // A number is read as its text.
        Some(Value::String(_) | Value::Number(_)) => Ok(()),
        Some(Value::Bool(_) | Value::Array(_) | Value::Object(_)) => Err(Trouble::SessionIdType),
    }
}

/// Whether TLS is among the causes. An [`io::Error`] hides what it wraps from `source`.
fn is_tls(error: &(dyn Error + 'static)) -> bool {
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    error.is::<rustls::Error>()
        || wrapped.is_some_and(|wrapped| is_tls(wrapped))
        || error.source().is_some_and(is_tls)
}
