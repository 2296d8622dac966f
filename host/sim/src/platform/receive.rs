//! `POST /notes`, and the way to the other addresses: every check that a careful receiver makes, then the fault, then the note.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::Request;
use hyper::body::Incoming;
use serde_json::json;
use sidenote::clock::Timestamp;

use super::answer::{Answer, Handling, drip, flood, json, no_such_conversation};
use super::desk::{Begun, Taken};
use super::exchange::{Ending, Number};
use super::fault::{Fault, Trouble};
use super::live::Live;
use super::note::{Envelope, Note};
use super::options::Keep;
use super::receiver::{Receiver, Refusal};
use crate::serve::Reset;
use crate::signature::DELIVERY;

/// Largest note, in bytes.
const MAX_NOTE: usize = 8 << 20;

impl Receiver {
    pub(super) async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        reset: Reset,
    ) -> Answer {
        let began = self.clock.now();
        let (head, body) = request.into_parts();
        let path = head.uri.path().to_owned();
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
            Ok(body) if path == "/find" => match self.find(&head.headers, &body) {
                Ok(answer) => return answer,
                Err(refusal) => refusal,
            },
            Ok(body) if path == "/offers" || path == "/replies" => {
                let kind = if path == "/offers" { "offer" } else { "reply" };
                match self.check_message(kind, &head.headers, &body) {
                    Ok(message) => {
                        return Arc::clone(&self).handle_message(message, began, &reset).await;
                    }
                    Err(refusal) => refusal,
                }
            }
            Ok(body) if path == "/redact" => match self.check_redaction(&head.headers, &body) {
                Ok((request, fault)) => {
                    let redact = || self.redact(&request);
                    return match fault {
                        None => redact(),
                        Some(fault) => self.fail(fault, None, redact, &reset).await,
                    };
                }
                Err(refusal) => refusal,
            },
            Ok(body) => match self.check(&head.headers, &body) {
                Ok(envelope) => {
                    let receiver = Arc::clone(&self);
                    let trace = head.headers.get("traceparent");
                    return receiver.handle(&envelope, &body, (began, trace), &reset).await;
                }
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

    fn check<'a>(&self, headers: &HeaderMap, body: &'a [u8]) -> Result<Envelope<'a>, Refusal> {
        self.verify(headers, body)?;
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
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

    async fn handle(
        self: Arc<Self>,
        envelope: &Envelope<'_>,
        body: &[u8],
        (began, trace): (Timestamp, Option<&HeaderValue>),
        reset: &Reset,
    ) -> Answer {
        let full = match self.options.keep {
            Keep::Tally if self.live.receiver_count() == 0 && self.options.exchanges == 0 => None,
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
        let begun = self.desk().begin(&envelope.conversation_id, full.as_ref(), began);
        let Some(Begun { fault, exchange }) = begun else {
            return no_such_conversation();
        };
        if let Some(exchange) = exchange
            && let Some(kept) = self.desk().exchanges.get_mut(exchange)
        {
            kept.trace = trace.and_then(|it| it.to_str().ok()).map(Into::into);
        }
        let handling = Handling {
            receiver: Arc::clone(&self),
            conversation: (&*envelope.conversation_id).into(),
            exchange,
            ending: Ending::Broken,
        };
        if !self.options.answers_after.is_zero() {
            tokio::time::sleep(self.options.answers_after).await;
        }
        let note = Coming { envelope, full, exchange };
        let mut answer = match fault {
            None => self.take(note),
            Some(fault) => {
                self.tell(|| Live::Struck {
                    conversation: envelope.conversation_id.clone().into_owned(),
                    fault: fault.clone(),
                    key: envelope.idempotency_key.clone().into_owned(),
                });
                let exchange = note.exchange;
                self.fail(fault, exchange, || self.take(note), reset).await
            }
        };
        handling.until_sent(&mut answer);
        answer
    }

    fn take(&self, note: Coming<'_>) -> Answer {
        let Coming { envelope, full, exchange } = note;
        let now = self.clock.now();
        let mut desk = self.desk();
        let taken = desk.take(envelope, full, now);
        if let Some(exchange) = exchange.and_then(|number| desk.exchanges.get_mut(number)) {
            exchange.taken = taken.as_ref().map(|_| now);
        }
        drop(desk);
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
            None => no_such_conversation(),
        }
    }

    /// Fails on demand; `take` accepts what was sent, where the fault has it accepted all the same.
    pub(super) async fn fail(
        &self,
        fault: Fault,
        exchange: Option<Number>,
        take: impl FnOnce() -> Answer,
        reset: &Reset,
    ) -> Answer {
        let taken = fault.taken.then(take);
        let failed =
            || json(StatusCode::SERVICE_UNAVAILABLE, &json!({ "error": "failed on demand" }));
        match fault.trouble {
            Trouble::Status { code, retry_after } => {
                let status =
                    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                let mut answer = json(status, &json!({ "error": "failed on demand" }));
                if let Some(after) = retry_after.map(whole_seconds) {
                    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(after));
                    let until = self.clock.now() + Duration::from_secs(after);
                    let mut desk = self.desk();
                    let exchange = exchange.and_then(|number| desk.exchanges.get_mut(number));
                    if let Some(exchange) = exchange {
                        exchange.wait_until = Some(until);
                    }
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
                taken.unwrap_or_else(failed)
            }
            Trouble::Drip { every } => drip(taken.unwrap_or_else(failed).status(), every),
            Trouble::Flood { bytes } => flood(taken.unwrap_or_else(failed).status(), bytes),
        }
    }
}

/// A note that passed every check.
struct Coming<'a> {
    envelope: &'a Envelope<'a>,
    /// The note in full, where it is kept, recorded or told of.
    full: Option<Note>,
    exchange: Option<Number>,
}

fn check_head(head: &http::request::Parts) -> Result<(), Refusal> {
    if !matches!(head.uri.path(), "/notes" | "/redact" | "/offers" | "/replies" | "/find") {
        let there = "there are POST /notes, /redact, /offers, /replies and /find";
        return Err(Refusal::Malformed(StatusCode::NOT_FOUND, there));
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
