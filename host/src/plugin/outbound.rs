//! What goes out of an instance: the requests of the call under way, and how much of them the host holds.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use url::Url;

use super::ground::Ground;
use super::guest_log::GuestLog;
use crate::egress::{Alarm, Incoming, Outgoing, SendError, Tape};
use crate::traces::{Span, TraceContext};

/// Requests of one instance whose bodies the host holds at a time.
pub(super) const REQUESTS: usize = 4;
/// Responses of the largest size that an instance may leave unread.
pub(super) const UNREAD: usize = 4;
/// Of the time of a call, so much is left to the guest at the end.
const KEPT_BACK: Duration = Duration::from_millis(50);

/// What a request of the call under way needs.
#[derive(Clone)]
pub(super) struct Outbound {
    pub(super) ground: Arc<Ground>,
    pub(super) log: GuestLog,
    pub(super) deadline: Instant,
    /// Where in a trace the call is.
    pub(super) place: Option<TraceContext>,
    /// What its requests are recorded on, or answered from.
    pub(super) tape: Tape,
    /// What `wasi:http` may hold of the host's memory for this instance.
    pub(super) capacity: Capacity,
}

impl Outbound {
    /// `wanted`, or what is left of the call where that is less. A little is kept back, so that the
    /// guest can say what happened instead of being stopped.
    pub(super) fn clamp(&self, wanted: Option<Duration>) -> Duration {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let left = left - (left / 10).min(KEPT_BACK);
        wanted.map_or(left, |wanted| wanted.min(left))
    }

    /// Sends a request of the call under way, with its trace context. A denial goes to the log as
    /// well: it is the operator who can do something about it.
    pub(super) async fn send(
        &self,
        mut request: Outgoing,
        alarm: &mut Alarm,
    ) -> Result<Incoming, SendError> {
        let mut span = self.place.as_ref().and_then(|place| place.begin_request("request"));
        if let Some(span) = &mut span {
            span.tell("http.request.method", request.method.as_str());
            let host =
                Url::parse(&request.url).ok().and_then(|url| Some(url.host_str()?.to_owned()));
            span.tell("server.address", &host.unwrap_or_default());
        }
        if let Some(place) = span.as_ref().map(Span::context).or(self.place.as_ref()) {
            request.headers.insert("traceparent", place.header());
        }
        let outcome = self.ground.egress.send(request, alarm, &self.tape).await;
        let word = self.ground.counters.requested(&outcome);
        if let Some(mut span) = span {
            if let Ok(answer) = &outcome {
                span.tell_number("http.response.status_code", answer.status.into());
            }
            span.end((!matches!(word, "2xx" | "3xx")).then_some(word));
        }
        if let Err(error @ (SendError::Denied(_) | SendError::Secret(_))) = &outcome {
            self.log.denial(error);
        }
        outcome
    }
}

/// What one instance may have the host hold outside of the guest's memory: `wasi:http` lets a guest have
/// as many requests under way as it has handles. Cloning shares it.
#[derive(Clone)]
pub(super) struct Capacity {
    /// One permit per request whose body the host holds.
    pub(super) requests: Arc<Semaphore>,
    /// In bytes.
    unread: Arc<Semaphore>,
}

impl Capacity {
    /// The capacity of an instance whose responses have at most this many bytes.
    pub(super) fn new(max_response_bytes: usize) -> Self {
        let unread = max_response_bytes.saturating_mul(UNREAD).min(Semaphore::MAX_PERMITS);
        Self {
            requests: Arc::new(Semaphore::new(REQUESTS)),
            unread: Arc::new(Semaphore::new(unread)),
        }
    }

    /// Takes capacity for a response until its body is dropped. Where too much lies unread its body is cut
    /// off: waiting for a guest that waits for this response would be for ever.
    pub(super) fn hold(&self, mut response: Incoming) -> (Incoming, Option<OwnedSemaphorePermit>) {
        let held = u32::try_from(response.body.len())
            .ok()
            .and_then(|bytes| self.unread.clone().try_acquire_many_owned(bytes).ok());
        if held.is_none() {
            tracing::warn!(
                "a plugin leaves so much of its responses unread that the next one's body was left out"
            );
            response.truncate(0);
        }
        (response, held)
    }
}
