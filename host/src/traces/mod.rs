//! Traces: where the time of a delivery went, as spans that a collector is sent by OTLP.
//!
//! The trace of a delivery has the delivery's id, its idempotency key, as its own: both are 16 bytes. So every
//! attempt stands in one trace, across restarts, nothing is stored for it, and whoever has a delivery's id in a log line
//! finds its trace. Which deliveries are traced is decided by that id alone, so that it is decided the same each time.
//!
//! A span tells durations, outcomes and names of the configuration: nothing of a person, a text, an address beyond its
//! host, or a secret.

mod context;
mod export;
mod setup;

pub use context::{Delivery, Span, TraceContext};
pub use export::{Exporter, SpanTotals};
pub use setup::TracesError;

use std::sync::Arc;

use crate::clock::Clock;
use export::Queue;

/// Whether deliveries are traced, and where their spans go. Cheap to clone.
#[derive(Clone, Default)]
pub struct Traces(Option<Arc<Tracing>>);

struct Tracing {
    queue: Arc<Queue>,
    /// Of all ids, those whose lower half is below it are traced.
    below: u128,
    clock: Clock,
}

impl Traces {
    /// Nothing is traced.
    pub fn off() -> Self {
        Self(None)
    }

    /// Traces a share of the deliveries, from 0 to 1, into a queue.
    fn into(queue: Arc<Queue>, sample: f64, clock: Clock) -> Self {
        let all = 1_u128 << 64;
        let below = ((all as f64) * sample.clamp(0.0, 1.0)) as u128;
        Self(Some(Arc::new(Tracing { queue, below, clock })))
    }

    /// The trace of a delivery, by its idempotency key.
    pub fn delivery(&self, idempotency_key: &str) -> Delivery {
        let id = context::trace_id(idempotency_key);
        Delivery::new(id, self.0.as_ref().filter(|tracing| u128::from(id as u64) < tracing.below))
    }

    /// The place in a trace that a W3C `traceparent` names; `None` where it names none. Spans hang from it where the
    /// other side says that it is sampled, and anything is.
    pub fn place(&self, traceparent: &str) -> Option<TraceContext> {
        TraceContext::read(traceparent, self.0.as_ref())
    }

    /// How many spans were sent and lost.
    pub fn totals(&self) -> SpanTotals {
        self.0.as_ref().map(|tracing| tracing.queue.totals()).unwrap_or_default()
    }

    /// Whether anything is traced.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }
}
