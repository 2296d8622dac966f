//! Due timers as deliveries: the plugin that set one is called, in a lane of its own.

use std::sync::Arc;

use super::kind::{Kind, Tables};
use super::pipeline::Counts;
use crate::engine::call::Work;
use crate::engine::counters::{Count, Counters};
use crate::engine::gate::CallKind;
use crate::engine::order::LaneKind;
use crate::histogram::Histogram;
use crate::outbox::delivery_id::DeliveryKind;
use crate::outbox::due_timer::DueTimer;
use crate::rows::Table;

impl Kind for DueTimer {
    const LANE: LaneKind = LaneKind::Timer;
    const CALL: CallKind = CallKind::Sink;
    const TABLES: Tables =
        Tables { queued: Table::TimerQueue, attempt: Table::TimerAttempt, dead: Table::TimerDead };
    const LANE_PER_PLUGIN: bool = true;
    const ID: DeliveryKind = DeliveryKind::Timer;
    const DEAD: &'static str =
        "outbox: a timer became a dead letter; `sidenote outbox retry` has its plugin called again";

    fn counts(counters: &Counters) -> Counts<'_> {
        Counts { failed: &counters.timer_attempts_failed, dead: &counters.timers_dead }
    }

    fn delivered(counters: &Counters) -> &Count {
        &counters.timers_called
    }

    fn times(counters: &Counters) -> &Histogram {
        &counters.timer_times
    }

    /// Whether a call did what it was for is the plugin's to know: it is made again, under its key.
    fn work(item: &Arc<Self>, _unknown: bool) -> Work {
        Work::Timer(item.clone())
    }
}
