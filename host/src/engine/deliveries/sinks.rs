//! Batches and summaries as deliveries: handed to a sink, in a lane of each sink.

use super::kind::Counts;
use super::{Kind, Lanes, Outcome, Tables};
use crate::engine::accounts::CallKind;
use crate::engine::counters::Counters;
use crate::engine::inbox::Input;
use crate::engine::live::Live;
use crate::outbox::note::{Call, PostError, Posted};
use crate::outbox::sink_delivery::SinkDelivery;
use crate::post::Post;
use crate::store::Table;

impl Kind for SinkDelivery {
    const CALL: CallKind = CallKind::Sink;
    const TABLES: Tables =
        Tables { queued: Table::SinkQueue, attempt: Table::SinkAttempt, dead: Table::SinkDead };
    const LANE_PER_PLUGIN: bool = true;
    const DEAD: &'static str = "outbox: a sink isn't given a batch or summary, which is kept as a dead letter; `sidenote outbox retry` has it \
         sent again";

    fn lanes_mut(live: &mut Live) -> &mut Lanes<Self> {
        &mut live.sinks
    }

    fn counts(counters: &Counters) -> Counts<'_> {
        Counts {
            delivered: &counters.sink_deliveries_accepted,
            failed: &counters.sink_attempts_failed,
            dead: &counters.sink_deliveries_dead,
        }
    }

    /// Sinks can't be asked for what they have: what may have arrived is handed over again, under its key.
    async fn call(
        post: &dyn Post,
        call: Call,
        item: &Self,
        _unknown: bool,
    ) -> (bool, Result<Posted, PostError>) {
        let written = post.write_sink(call, item).await;
        (false, written.map(|()| Posted { note_id: None, pause: None }))
    }

    fn ended(outcome: Outcome<Self>) -> Input {
        Input::Written(outcome)
    }
}
