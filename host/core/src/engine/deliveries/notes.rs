//! Notes as deliveries: posted beside a conversation, one lane for all of a session.

use std::sync::Arc;

use super::kind::{Kind, Tables};
use super::pipeline::{Counts, FirstAttempt, Sealer};
use crate::engine::call::Work;
use crate::engine::counters::{Count, Counters};
use crate::engine::gate::CallKind;
use crate::engine::order::LaneKind;
use crate::engine::tx::Tx;
use crate::histogram::Histogram;
use crate::ids::SessionKey;
use crate::outbox::delivery_id::DeliveryKind;
use crate::outbox::note::Note;
use crate::rows::Table;

/// So many sent notes of a session are remembered, the latest.
pub const MAX_SENT: u64 = 1024;

impl Kind for Note {
    const LANE: LaneKind = LaneKind::Note;
    const CALL: CallKind = CallKind::Post;
    const TABLES: Tables =
        Tables { queued: Table::Outbox, attempt: Table::Attempt, dead: Table::Dead };
    const LANE_PER_PLUGIN: bool = false;
    const ID: DeliveryKind = DeliveryKind::Note;
    const DEAD: &'static str =
        "outbox: a note became a dead letter; `sidenote outbox retry` has it sent again";

    fn counts(counters: &Counters) -> Counts<'_> {
        Counts { failed: &counters.attempts_failed, dead: &counters.notes_dead }
    }

    fn delivered(counters: &Counters) -> &Count {
        &counters.notes_posted
    }

    fn times(counters: &Counters) -> &Histogram {
        &counters.note_times
    }

    fn seal(
        key: &SessionKey,
        first: FirstAttempt,
        sealer: &mut dyn Sealer,
        tx: &mut Tx,
    ) -> Option<Arc<Self>> {
        sealer.seal(key, first, tx)
    }

    /// Where an earlier attempt ended without an outcome, the platform is asked first.
    fn work(item: &Arc<Self>, unknown: bool) -> Work {
        Work::Note { note: item.clone(), unknown }
    }
}
