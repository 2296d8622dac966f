//! Batches and summaries as deliveries: handed to a sink, in a lane of each sink.

use std::sync::Arc;

use super::kind::{Kind, Tables};
use super::pipeline::Counts;
use crate::engine::call::Work;
use crate::engine::counters::{Count, Counters};
use crate::engine::gate::CallKind;
use crate::engine::order::LaneKind;
use crate::histogram::Histogram;
use crate::outbox::delivery_id::DeliveryKind;
use crate::outbox::sink_delivery::SinkDelivery;
use crate::rows::Table;

impl Kind for SinkDelivery {
    const LANE: LaneKind = LaneKind::Sink;
    const CALL: CallKind = CallKind::Sink;
    const TABLES: Tables =
        Tables { queued: Table::SinkQueue, attempt: Table::SinkAttempt, dead: Table::SinkDead };
    const LANE_PER_PLUGIN: bool = true;
    const ID: DeliveryKind = DeliveryKind::Sink;
    const DEAD: &'static str = "outbox: a batch or summary for a sink became a dead letter; `sidenote outbox retry` has it sent again";

    fn counts(counters: &Counters) -> Counts<'_> {
        Counts { failed: &counters.sink_attempts_failed, dead: &counters.sink_deliveries_dead }
    }

    fn delivered(counters: &Counters) -> &Count {
        &counters.sink_deliveries_accepted
    }

    fn times(counters: &Counters) -> &Histogram {
        &counters.sink_times
    }

    /// Sinks can't be asked for what they have: what may have arrived is handed over again, under its key.
    fn work(item: &Arc<Self>, _unknown: bool) -> Work {
        Work::Sink(item.clone())
    }
}
