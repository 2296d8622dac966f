//! Answers: whole ones, and bodies that drip or never seem to end.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use super::exchange::{Ending, Number};
use super::receiver::Receiver;

/// What is given to the socket.
pub(super) type Answer = Response<AnswerBody>;

/// Bytes that a flood hands over at once.
const PIECE: usize = 64 << 10;

/// The body of an answer. The handling of its note lasts until the body has been handed over, or the
/// connection went away.
pub(super) struct AnswerBody {
    content: Content,
    status: u16,
    handling: Option<Handling>,
}

enum Content {
    Whole(Option<Bytes>),
    Drip { every: Duration, next: Pin<Box<Sleep>> },
    Flood { left: u64, piece: Bytes },
}

/// An answer with a JSON object as its body.
pub(super) fn json(status: StatusCode, value: &serde_json::Value) -> Answer {
    let mut answer = new(status, Content::Whole(Some(Bytes::from(value.to_string()))));
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(header::CONTENT_TYPE, json);
    answer
}

pub(super) fn no_such_conversation() -> Answer {
    json(StatusCode::NOT_FOUND, &serde_json::json!({ "error": "there is no such conversation" }))
}

/// An answer whose body comes a byte at a time and never ends.
pub(super) fn drip(status: StatusCode, every: Duration) -> Answer {
    new(status, Content::Drip { every, next: Box::pin(tokio::time::sleep(every)) })
}

/// An answer with a body of so many bytes. Its length isn't announced: who reads it must count.
pub(super) fn flood(status: StatusCode, bytes: u64) -> Answer {
    let left = bytes.min(PIECE as u64) as usize;
    new(status, Content::Flood { left: bytes, piece: vec![b' '; left].into() })
}

fn new(status: StatusCode, content: Content) -> Answer {
    let mut answer = Response::new(AnswerBody { content, status: status.as_u16(), handling: None });
    *answer.status_mut() = status;
    answer
}

/// The handling of one note, from the moment that it was read.
pub(super) struct Handling {
    pub(super) receiver: Arc<Receiver>,
    pub(super) conversation: Box<str>,
    pub(super) exchange: Option<Number>,
    pub(super) ending: Ending,
}

impl Handling {
    /// Has the handling last until the answer's body is handed over.
    pub(super) fn until_sent(self, answer: &mut Answer) {
        answer.body_mut().handling = Some(self);
    }
}

impl Drop for Handling {
    /// Ends the handling even when the connection goes away during it.
    fn drop(&mut self) {
        let now = self.receiver.clock.now();
        self.receiver.desk().end(&self.conversation, self.exchange, self.ending, now);
    }
}

impl AnswerBody {
    fn sent(&mut self) {
        if let Some(mut handling) = self.handling.take() {
            handling.ending = Ending::Answered(self.status);
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let body = &mut *self;
        let piece = match &mut body.content {
            Content::Whole(whole) => whole.take(),
            Content::Drip { every, next } => {
                if next.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                next.as_mut().reset(tokio::time::Instant::now() + *every);
                Some(Bytes::from_static(b" "))
            }
            Content::Flood { left: 0, .. } => None,
            Content::Flood { left, piece } => {
                let bytes = usize::try_from(*left).unwrap_or(usize::MAX).min(piece.len());
                *left -= bytes as u64;
                Some(piece.slice(..bytes))
            }
        };
        if body.is_end_stream() {
            body.sent();
        }
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.content, Content::Whole(None) | Content::Flood { left: 0, .. })
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(whole) => {
                SizeHint::with_exact(whole.as_ref().map_or(0, Bytes::len) as u64)
            }
            Content::Drip { .. } | Content::Flood { .. } => SizeHint::default(),
        }
    }
}
