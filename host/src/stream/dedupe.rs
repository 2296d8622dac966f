//! Drops what a connector sends again. Pure: time and bounds are inputs.
//!
//! What counts as the same event:
//!
//! - With an SSE id: the same id and the same content, wherever it comes. `forwarded_at` is left out,
//!   because a connector may stamp it when it sends again. The content is part of the key because an id
//!   that a connector doesn't keep unique must never make two different events one.
//! - Without an id, but with `forwarded_at`: the same content and the same `forwarded_at`, when it came
//!   over an *earlier* connection. A connector repeats itself after a reconnect; two equal events on
//!   one connection are two events.
//! - With neither, nothing tells a repeat from a person doing the same thing again: it is handed on. To
//!   deliver twice is the smaller harm.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::clock::Timestamp;
use crate::once::{Digest, Limits, Seen};
use crate::session::payload::Payload;

/// What is remembered of a stream, where nobody says otherwise: reconnects are within minutes.
pub(super) const REMEMBERED: Limits = Limits { entries: 10_000, age: Duration::from_secs(600) };

/// The events that were handed on, each with the number of the connection that it came over.
#[derive(Debug)]
pub struct Dedupe(Seen<u64>);

/// What an event is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventKey {
    digest: Digest,
    has_id: bool,
}

impl EventKey {
    /// The key of an event, or `None` where nothing tells it from a repeat. `id` is the event's own SSE
    /// id; an empty one is none.
    pub fn new(id: Option<&str>, payload: &Payload) -> Option<Self> {
        let id = id.filter(|id| !id.is_empty());
        let forwarded_at = match payload {
            Payload::Actions(payload) => payload.forwarded_at,
            Payload::Summary(payload) => payload.forwarded_at,
        };
        let forwarded_at = match id {
            Some(_) => None,
            None if forwarded_at.is_finite() && forwarded_at != 0.0 => Some(forwarded_at),
            None => return None,
        };
        let mut hasher = Sha256::new();
        // As JSON, so that neighbouring fields can't run into each other.
        let written = match payload {
            Payload::Actions(p) => serde_json::to_writer(
                &mut hasher,
                &(
                    (id, forwarded_at, "actions"),
                    (
                        &p.product_id,
                        &p.session_id,
                        &p.user_id,
                        &p.email,
                        &p.conversation_id,
                        &p.actions,
                    ),
                ),
            ),
            Payload::Summary(p) => serde_json::to_writer(
                &mut hasher,
                &(
                    (id, forwarded_at, "summary"),
                    (&p.product_id, &p.session_id, &p.summary, &p.replaces),
                ),
            ),
        };
        written.expect("text, numbers and lists of them serialise, and a hash takes every byte");
        Some(Self { digest: hasher.finalize().into(), has_id: id.is_some() })
    }

    /// The event without where it came.
    pub(super) fn digest(self) -> Digest {
        self.digest
    }
}

impl Dedupe {
    /// Remembers nothing yet.
    pub fn new(limits: Limits) -> Self {
        Self(Seen::new(limits))
    }

    /// Whether an event was handed on before. `connection` numbers the connections of this stream.
    pub fn is_repeat(&mut self, key: &EventKey, connection: u64, now: Timestamp) -> bool {
        let seen = self.0.get(&key.digest, now);
        seen.is_some_and(|before| key.has_id || *before != connection)
    }

    /// Remembers an event that was handed on. One that is remembered already keeps its place.
    pub fn remember(&mut self, key: EventKey, connection: u64, now: Timestamp) {
        if self.0.get(&key.digest, now).is_none() {
            self.0.insert(key.digest, connection, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::payload::{Action, ActionsPayload, SummaryPayload};

    fn batch(session: &str, forwarded_at: f64) -> Payload {
        Payload::Actions(ActionsPayload {
            product_id: "p".into(),
            session_id: Some(session.into()),
            actions: vec![Action { title: "click".into(), ..Action::default() }],
            forwarded_at,
            ..ActionsPayload::default()
        })
    }

    fn key(id: Option<&str>, payload: &Payload) -> EventKey {
        EventKey::new(id, payload).expect("the event can be told from others")
    }

    fn at(secs: f64) -> Timestamp {
        Timestamp::from_secs_f64(secs)
    }

    #[test]
    fn the_same_id_and_content_is_a_repeat_on_any_connection() {
        let mut dedupe = Dedupe::new(REMEMBERED);
        dedupe.remember(key(Some("7"), &batch("s", 5.0)), 1, at(0.0));
        assert!(dedupe.is_repeat(&key(Some("7"), &batch("s", 5.0)), 1, at(1.0)));
        assert!(
            dedupe.is_repeat(&key(Some("7"), &batch("s", 9.0)), 2, at(1.0)),
            "sent again with a fresh stamp"
        );
    }

    #[test]
    fn an_id_used_for_different_content_loses_nothing() {
        let mut dedupe = Dedupe::new(REMEMBERED);
        dedupe.remember(key(Some("1"), &batch("a", 5.0)), 1, at(0.0));
        assert!(!dedupe.is_repeat(&key(Some("1"), &batch("b", 5.0)), 2, at(1.0)));
        assert!(!dedupe.is_repeat(&key(Some("2"), &batch("a", 5.0)), 2, at(1.0)));
    }

    #[test]
    fn without_an_id_the_content_of_an_earlier_connection_is_a_repeat() {
        let mut dedupe = Dedupe::new(REMEMBERED);
        dedupe.remember(key(None, &batch("s", 5.0)), 1, at(0.0));
        assert!(
            !dedupe.is_repeat(&key(None, &batch("s", 5.0)), 1, at(1.0)),
            "two live events are two events"
        );
        assert!(dedupe.is_repeat(&key(None, &batch("s", 5.0)), 2, at(1.0)));
        assert!(!dedupe.is_repeat(&key(None, &batch("s", 5.1)), 2, at(1.0)));
        assert!(!dedupe.is_repeat(&key(None, &batch("t", 5.0)), 2, at(1.0)));
    }

    #[test]
    fn an_event_without_id_and_time_is_never_a_repeat() {
        assert_eq!(EventKey::new(None, &batch("s", 0.0)), None);
        assert_eq!(EventKey::new(Some(""), &batch("s", f64::NAN)), None);
        assert!(EventKey::new(Some("1"), &batch("s", 0.0)).is_some());
    }

    #[test]
    fn a_summary_is_not_a_batch_and_fields_do_not_run_together() {
        let summary = |product: &str, session: &str| {
            Payload::Summary(SummaryPayload {
                product_id: product.into(),
                session_id: Some(session.into()),
                forwarded_at: 5.0,
                ..SummaryPayload::default()
            })
        };
        assert_ne!(key(None, &summary("ab", "c")), key(None, &summary("a", "bc")));
        assert_ne!(key(None, &summary("p", "s")), key(None, &batch("s", 5.0)));
    }

    #[test]
    fn an_event_that_comes_again_keeps_its_place() {
        let mut dedupe = Dedupe::new(REMEMBERED);
        for secs in [0.0, 500.0] {
            dedupe.remember(key(None, &batch("s", 5.0)), 1, at(secs));
        }
        assert!(dedupe.is_repeat(&key(None, &batch("s", 5.0)), 2, at(599.0)));
        assert!(!dedupe.is_repeat(&key(None, &batch("s", 5.0)), 2, at(600.0)));
    }
}
