//! `POST /notes`: every check that a careful receiver makes, then the fault, then the note.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::{Request, Response};
use serde_json::json;
use tokio::sync::broadcast;

use super::desk::{Desk, Taken};
use super::fault::{Fault, Trouble};
use super::handle::Live;
use super::note::{Envelope, Note};
use super::options::{Keep, PlatformOptions};
use crate::clock::{Clock, Timestamp};
use crate::sim::serve::{Reset, json};
use crate::sim::signature::{self, DELIVERY, SIGNATURE, TIMESTAMP};

/// Largest note, in bytes.
const MAX_NOTE: usize = 8 << 20;
/// How far a timestamp may be from this clock, in seconds.
const MAX_SKEW: u64 = 300;

pub(super) struct Receiver {
    pub(super) options: PlatformOptions,
    pub(super) desk: Mutex<Desk>,
    pub(super) live: broadcast::Sender<Live>,
    pub(super) clock: Clock,
}

type Answer = Response<Full<Bytes>>;

/// Why a request isn't a note.
enum Refusal {
    Malformed(StatusCode, &'static str),
    Unsigned(&'static str),
}

impl Receiver {
    pub(super) async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        reset: Reset,
    ) -> Answer {
        let (head, body) = request.into_parts();
        let read = async {
            check_head(&head)?;
            let body = Limited::new(body, MAX_NOTE).collect().await;
            body.map(http_body_util::Collected::to_bytes).map_err(|_| {
                Refusal::Malformed(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "the body broke off or is too large",
                )
            })
        };
        let refused = match read.await {
            Ok(body) => match self.check(&head.headers, &body) {
                Ok(envelope) => return self.handle(&envelope, &body, &reset).await,
                Err(refusal) => refusal,
            },
            Err(refusal) => refusal,
        };
        let mut desk = self.desk();
        let (status, error) = match refused {
            Refusal::Malformed(status, error) => {
                desk.stats.malformed += 1;
                (status, error)
            }
            Refusal::Unsigned(error) => {
                desk.stats.unsigned += 1;
                (StatusCode::UNAUTHORIZED, error)
            }
        };
        drop(desk);
        json(status, &json!({ "error": error }))
    }

    pub(super) fn desk(&self) -> std::sync::MutexGuard<'_, Desk> {
        self.desk.lock().expect("no holder panics")
    }

    fn check<'a>(&self, headers: &HeaderMap, body: &'a [u8]) -> Result<Envelope<'a>, Refusal> {
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let timestamp =
            text(TIMESTAMP).ok_or(Refusal::Unsigned("X-Sidenote-Timestamp is missing"))?;
        let signature =
            text(SIGNATURE).ok_or(Refusal::Unsigned("X-Sidenote-Signature is missing"))?;
        if !signature::verify(&self.options.signing_secret, timestamp, body, signature) {
            return Err(Refusal::Unsigned("the signature doesn't fit the body"));
        }
        let seconds: u64 = timestamp
            .parse()
            .map_err(|_| Refusal::Unsigned("the timestamp isn't in whole seconds"))?;
        if seconds.abs_diff(self.clock.now().as_millis() / 1000) > MAX_SKEW {
            return Err(Refusal::Unsigned("the timestamp is more than 5 minutes off"));
        }
        let malformed = |error| Refusal::Malformed(StatusCode::BAD_REQUEST, error);
        let note: Envelope<'_> =
            serde_json::from_slice(body).map_err(|_| malformed("the body isn't a note in JSON"))?;
        if text(DELIVERY) != Some(&*note.idempotency_key) {
            return Err(malformed("X-Sidenote-Delivery isn't the note's idempotency key"));
        }
        let filled = [
            &note.product_id,
            &note.session_id,
            &note.conversation_id,
            &note.idempotency_key,
            &note.body,
        ];
        if filled.iter().any(|field| field.is_empty()) {
            return Err(malformed("a field of the note is empty"));
        }
        if note.attempt == 0 || note.seq == 0 || !matches!(&*note.kind, "actions" | "summary") {
            return Err(malformed("attempt, seq or kind is out of range"));
        }
        Ok(note)
    }

    async fn handle(&self, envelope: &Envelope<'_>, body: &[u8], reset: &Reset) -> Answer {
        let full = match self.options.keep {
            Keep::Tally if self.live.receiver_count() == 0 => None,
            Keep::Tally | Keep::Notes { .. } => match serde_json::from_slice::<Note>(body) {
                Ok(note) => Some(note),
                Err(_) => {
                    self.desk().stats.malformed += 1;
                    return json(
                        StatusCode::BAD_REQUEST,
                        &json!({ "error": "a field of the note is missing or odd" }),
                    );
                }
            },
        };
        let Ok(fault) = self.desk().begin(&envelope.conversation_id) else {
            return json(
                StatusCode::NOT_FOUND,
                &json!({ "error": "there is no such conversation" }),
            );
        };
        let handling = Handling { receiver: self, conversation: &envelope.conversation_id };
        if !self.options.answers_after.is_zero() {
            tokio::time::sleep(self.options.answers_after).await;
        }
        let now = self.clock.now();
        let answer = match fault {
            None => self.take(envelope, full, now),
            Some(fault) => {
                self.tell(|| Live::Struck {
                    conversation: envelope.conversation_id.clone().into_owned(),
                    fault: fault.clone(),
                    key: envelope.idempotency_key.clone().into_owned(),
                });
                self.fail(fault, envelope, full, now, reset).await
            }
        };
        drop(handling);
        answer
    }

    fn take(&self, envelope: &Envelope<'_>, full: Option<Note>, now: Timestamp) -> Answer {
        let taken = self.desk().take(envelope, full, now);
        match taken {
            Some(Taken::First { id, note }) => {
                if let Some(note) = note {
                    self.tell(|| Live::Note(note));
                }
                json(StatusCode::CREATED, &json!({ "id": id }))
            }
            Some(Taken::Repeat { id }) => {
                self.tell(|| Live::Repeat {
                    conversation: envelope.conversation_id.clone().into_owned(),
                    id: id.clone(),
                });
                json(StatusCode::OK, &json!({ "id": id, "repeat": true }))
            }
            None => {
                json(StatusCode::NOT_FOUND, &json!({ "error": "there is no such conversation" }))
            }
        }
    }

    async fn fail(
        &self,
        fault: Fault,
        envelope: &Envelope<'_>,
        full: Option<Note>,
        now: Timestamp,
        reset: &Reset,
    ) -> Answer {
        let taken = if fault.taken { Some(self.take(envelope, full, now)) } else { None };
        match fault.trouble {
            Trouble::Status { code, retry_after } => {
                let status =
                    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                let mut answer = json(status, &json!({ "error": "failed on demand" }));
                if let Some(after) = retry_after {
                    answer
                        .headers_mut()
                        .insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(after)));
                }
                answer
            }
            Trouble::Hang => std::future::pending().await,
            Trouble::Reset => {
                reset.now();
                std::future::pending().await
            }
            Trouble::Slow(by) => {
                tokio::time::sleep(by).await;
                taken.unwrap_or_else(|| {
                    json(StatusCode::SERVICE_UNAVAILABLE, &json!({ "error": "failed on demand" }))
                })
            }
        }
    }

    fn tell(&self, live: impl FnOnce() -> Live) {
        // Nobody listening is no failure, so the count of listeners that got it means nothing.
        if self.live.receiver_count() > 0 {
            drop(self.live.send(live()));
        }
    }
}

/// Ends the handling even when the connection goes away during it.
struct Handling<'a> {
    receiver: &'a Receiver,
    conversation: &'a str,
}

impl Drop for Handling<'_> {
    fn drop(&mut self) {
        self.receiver.desk().end(self.conversation);
    }
}

fn check_head(head: &http::request::Parts) -> Result<(), Refusal> {
    if head.uri.path() != "/notes" {
        return Err(Refusal::Malformed(StatusCode::NOT_FOUND, "there is POST /notes"));
    }
    if head.method != Method::POST {
        return Err(Refusal::Malformed(StatusCode::METHOD_NOT_ALLOWED, "notes are posted"));
    }
    let content_type = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.map(|value| value.split(';').next().unwrap_or_default().trim());
    if !essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json")) {
        return Err(Refusal::Malformed(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "notes are application/json",
        ));
    }
    Ok(())
}

fn whole_seconds(after: Duration) -> u64 {
    after.as_secs() + u64::from(after.subsec_nanos() > 0)
}
