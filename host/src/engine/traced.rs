//! What is traced of a call: the attempt, what came before the first one, and the delivery where the call ends it.

use crate::clock::{Clock, Timestamp};
use crate::engine::core::{Call, Outcome, Work};
use crate::engine::latest::word;
use crate::ids::PluginName;
use crate::traces::{Delivery, Span, Traces};

/// An attempt that is under way.
pub(super) struct Traced {
    delivery: Delivery,
    attempt: Option<Span>,
    kind: &'static str,
    plugin: PluginName,
    since: Timestamp,
}

impl Traced {
    /// Of a call that begins.
    pub(super) fn begin(traces: &Traces, call: &Call, clock: Clock) -> Self {
        let now = clock.now();
        let About { kind, plugin, idempotency_key, since, sealed } = About::of(&call.work, now);
        let delivery = traces.delivery(idempotency_key);
        if call.attempt == 1 {
            // From the acceptance of its oldest action to its turn, and from there to this call.
            delivery.root().record("wait", since, sealed);
            delivery.root().record("commit", sealed, now);
        }
        let mut attempt = delivery.root().begin("attempt");
        if let Some(span) = &mut attempt {
            span.tell("sidenote.plugin", plugin);
            span.tell("sidenote.kind", kind);
            span.tell_number("sidenote.attempt", call.attempt.into());
        }
        Self { delivery, attempt, kind, plugin: plugin.clone(), since }
    }

    /// What the plugin's requests carry on.
    pub(super) fn traceparent(&self) -> String {
        let place = self.attempt.as_ref().map_or(self.delivery.root(), Span::context);
        place.traceparent()
    }

    /// The call has ended.
    pub(super) fn end(self, outcome: &Outcome) {
        let error = match outcome {
            Outcome::Note { result, .. } => result.as_ref().err(),
            Outcome::Sink { result, .. } => result.as_ref().err(),
            Outcome::Timer { result, .. } => result.as_ref().err(),
            Outcome::Message { result, .. } => result.as_ref().err(),
            Outcome::Redaction { result, .. } => result.as_ref().err(),
        };
        let Some(attempt) = self.attempt else { return };
        attempt.end(error.map(word));
        if error.is_none() {
            end(&self.delivery, self.since, (&self.plugin, self.kind), None);
        }
    }
}

/// It isn't tried any more, and isn't known to be delivered.
pub(super) fn undelivered(traces: &Traces, work: &Work, now: Timestamp) {
    let About { kind, plugin, idempotency_key, since, .. } = About::of(work, now);
    end(&traces.delivery(idempotency_key), since, (plugin, kind), Some("undelivered"));
}

fn end(
    delivery: &Delivery,
    since: Timestamp,
    (plugin, kind): (&PluginName, &str),
    error: Option<&str>,
) {
    delivery.end(since, &[("sidenote.plugin", plugin), ("sidenote.kind", kind)], error);
}

/// What a call is of.
struct About<'a> {
    kind: &'static str,
    plugin: &'a PluginName,
    idempotency_key: &'a str,
    /// When the oldest action of it was accepted.
    since: Timestamp,
    /// When its turn came.
    sealed: Timestamp,
}

impl<'a> About<'a> {
    fn of(work: &'a Work, now: Timestamp) -> Self {
        let (kind, plugin, idempotency_key, since, sealed) = match work {
            Work::Note { note, .. } => {
                let since = note.waits_since.unwrap_or(note.sealed_at);
                ("note", &note.plugin, &note.idempotency_key, since, note.sealed_at)
            }
            Work::Sink(it) => ("sink", &it.plugin, &it.idempotency_key, it.sealed_at, it.sealed_at),
            Work::Timer(it) => {
                ("timer", &it.plugin, &it.idempotency_key, it.sealed_at, it.sealed_at)
            }
            Work::Message { message: it, .. } => {
                ("message", &it.plugin, &it.idempotency_key, it.made_at, it.made_at)
            }
            Work::Redaction { note, idempotency_key, .. } => {
                ("redaction", &note.plugin, idempotency_key, now, now)
            }
        };
        Self { kind, plugin, idempotency_key, since, sealed }
    }
}
