//! What tells one kind of delivery from another.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Lanes, Outcome};
use crate::clock::Timestamp;
use crate::engine::accounts::CallKind;
use crate::engine::counters::{Count, Counters};
use crate::engine::inbox::Input;
use crate::engine::live::Live;
use crate::engine::round::{Engine, Round};
use crate::outbox::lane::Item;
use crate::outbox::note::{Call, PostError, Posted};
use crate::post::Post;
use crate::store::Table;

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

/// What a kind counts.
pub(in crate::engine) struct Counts<'a> {
    /// Deliveries that were taken.
    pub(in crate::engine) delivered: &'a Count,
    /// Attempts that are followed by another.
    pub(in crate::engine) failed: &'a Count,
    /// Dead letters.
    pub(in crate::engine) dead: &'a Count,
}

/// A kind of delivery.
pub(in crate::engine) trait Kind:
    Item + Serialize + DeserializeOwned + Send + Sync + Sized + 'static
{
    /// What its calls count as.
    const CALL: CallKind;
    /// Where its rows are.
    const TABLES: Tables;
    /// Whether a session has a lane for each plugin, or one for all of them.
    const LANE_PER_PLUGIN: bool;
    /// What is logged of a dead letter.
    const DEAD: &'static str;

    /// A session's lanes of this kind.
    fn lanes_mut(live: &mut Live) -> &mut Lanes<Self>;

    /// What it counts.
    fn counts(counters: &Counters) -> Counts<'_>;

    /// Makes the call. `unknown`: an earlier attempt ended without an outcome. The flag says whether the other
    /// side had it already, so that nothing was sent.
    fn call(
        post: &dyn Post,
        call: Call,
        item: &Self,
        unknown: bool,
    ) -> impl Future<Output = (bool, Result<Posted, PostError>)> + Send;

    /// The outcome of a call as an input of the loop.
    fn ended(outcome: Outcome<Self>) -> Input;

    /// Takes an outcome that isn't its lane's business any more. `false`: it is.
    fn ended_elsewhere(
        _: &mut Engine,
        _: &mut Round,
        _outcome: &Outcome<Self>,
        _: Timestamp,
    ) -> bool {
        false
    }

    /// What a success means beyond the end of its rows.
    fn delivered(
        _: &mut Engine,
        _: &mut Round,
        _item: &Arc<Self>,
        _found: bool,
        _: Posted,
        _: Timestamp,
    ) {
    }
}
