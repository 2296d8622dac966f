//! What can go wrong at the mock.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;

use super::exchange::{MockExchange, told};
use super::form::Filled;
use super::{Body, whole};

/// Bytes that a flood hands over at once.
const PIECE: usize = 64 << 10;
/// How long the first half of an answer has to get through before the connection breaks.
const HALF_TIME: Duration = Duration::from_millis(20);

/// Which requests are struck.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Struck {
    /// All.
    All,
    /// Those that carry this word in their address or their body.
    Carrying(String),
}

impl Struck {
    pub(super) fn holds(&self, request: &MockExchange) -> bool {
        match self {
            Self::All => true,
            Self::Carrying(word) => request.carries(word),
        }
    }
}

/// What happens to a request instead of the answer that it would get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MockTrouble {
    /// A status with an error in JSON, and a `Retry-After`.
    Status {
        /// HTTP status.
        code: u16,
        /// The value of `Retry-After`.
        retry_after: Option<String>,
    },
    /// The answer of this place of the mock's form, from 1, which something is expected of.
    Form(usize),
    /// Success with this body, said to be JSON.
    Body(Vec<u8>),
    /// Success with a body of so many bytes, whose length isn't announced.
    Flood(u64),
    /// Success whose body ends half way, with the connection.
    Half,
    /// The connection is reset before any answer.
    Reset,
    /// No answer.
    Silence,
}

/// What is done about a request.
pub(super) enum Outcome {
    Answer(Response<Body>),
    Reset,
    Silence,
}

impl MockTrouble {
    /// A status without `Retry-After`.
    pub fn status(code: u16) -> Self {
        Self::Status { code, retry_after: None }
    }

    pub(super) fn told(&self) -> String {
        match self {
            Self::Status { code, retry_after } => {
                let header = |value: &String| ("retry-after".to_owned(), value.clone());
                let headers: Vec<_> = retry_after.iter().map(header).collect();
                told(*code, &headers, &error_body(*code))
            }
            Self::Form(place) => format!("answer {place} of its form"),
            Self::Body(bytes) if bytes.is_empty() => "200 with an empty body".to_owned(),
            Self::Body(bytes) => told(200, &[], &String::from_utf8_lossy(bytes)),
            Self::Flood(bytes) => format!("200 with a body of {bytes} bytes"),
            Self::Half => "200, then the connection breaks in the middle of the body".to_owned(),
            Self::Reset => "nothing: the connection is reset".to_owned(),
            Self::Silence => "nothing, until the sender waits no longer".to_owned(),
        }
    }

    pub(super) fn into_response(self, filled: Filled) -> Outcome {
        Outcome::Answer(match self {
            Self::Status { code, retry_after } => {
                let mut response = json(code, whole(error_body(code)));
                if let Some(Ok(value)) = retry_after.map(|value| HeaderValue::from_str(&value)) {
                    response.headers_mut().insert(http::header::RETRY_AFTER, value);
                }
                response
            }
            // It is what was filled in.
            Self::Form(_) => filled.into_response(),
            Self::Body(bytes) => json(200, whole(bytes)),
            Self::Flood(bytes) => json(200, flood(bytes)),
            Self::Half => json(200, half(filled.body.into())),
            Self::Reset => return Outcome::Reset,
            Self::Silence => return Outcome::Silence,
        })
    }
}

fn error_body(code: u16) -> String {
    serde_json::json!({ "error": { "status": code, "message": "the mock platform refuses" } })
        .to_string()
}

fn json(status: u16, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}

fn flood(bytes: u64) -> Body {
    let piece = Bytes::from(vec![b' '; PIECE]);
    let pieces = stream::unfold(bytes, move |left| {
        let size = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE);
        let piece = piece.slice(..size);
        async move { (size > 0).then(|| (Ok(Frame::data(piece)), left - size as u64)) }
    });
    BodyExt::boxed_unsync(StreamBody::new(pieces))
}

/// The first half of a body, and then the end of the connection.
fn half(body: Bytes) -> Body {
    let first = body.slice(..body.len() / 2);
    let pieces = stream::unfold(Some(first), |first| async move {
        match first {
            Some(first) => Some((Ok(Frame::data(first)), None)),
            None => {
                tokio::time::sleep(HALF_TIME).await;
                Some((Err(io::ErrorKind::ConnectionAborted.into()), None))
            }
        }
    });
    BodyExt::boxed_unsync(StreamBody::new(pieces))
}
