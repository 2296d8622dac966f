//! What tells one kind of delivery in lanes from another.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::pipeline::{Counts, FirstAttempt, Sealer};
use crate::engine::call::Work;
use crate::engine::counters::{Count, Counters};
use crate::engine::gate::CallKind;
use crate::engine::order::LaneKind;
use crate::engine::tx::Tx;
use crate::histogram::Histogram;
use crate::ids::SessionKey;
use crate::outbox::delivery_id::DeliveryKind;
use crate::outbox::lane::Item;
use crate::rows::Table;

/// The tables of a kind. A delivery has the same group and number in each.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine) struct Tables {
    /// What waits; a row never changes once it was tried.
    pub(in crate::engine) queued: Table,
    /// How far the attempts are.
    pub(in crate::engine) attempt: Table,
    /// Dead letters.
    pub(in crate::engine) dead: Table,
}

/// A kind of delivery that waits in lanes.
pub(in crate::engine) trait Kind:
    Item + Serialize + DeserializeOwned + Sized
{
    /// Which lanes it stands in.
    const LANE: LaneKind;
    /// What its calls count as.
    const CALL: CallKind;
    /// Where its rows are.
    const TABLES: Tables;
    /// Whether a session has a lane for each plugin, or one for all of them.
    const LANE_PER_PLUGIN: bool;
    /// What its ids are of.
    const ID: DeliveryKind;
    /// What is logged of a dead letter.
    const DEAD: &'static str;

    /// What it counts of what doesn't succeed.
    fn counts(counters: &Counters) -> Counts<'_>;

    /// Counts what was delivered.
    fn delivered(counters: &Counters) -> &Count;

    /// How long deliveries took, from when they could have been made.
    fn times(counters: &Counters) -> &Histogram;

    /// Seals what waits of a session, where the kind is sealed when its turn comes.
    fn seal(_: &SessionKey, _: FirstAttempt, _: &mut dyn Sealer, _: &mut Tx) -> Option<Arc<Self>> {
        None
    }

    /// The call that delivers it. `unknown`: an earlier attempt ended without an outcome.
    fn work(item: &Arc<Self>, unknown: bool) -> Work;
}
