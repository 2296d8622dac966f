//! Whether the store takes what comes in, for whoever must answer at once.

use crate::engine::Handle;

/// How the store stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StoreState {
    /// It takes commits, or is away and what comes in goes into the journal meanwhile.
    Serving,
    /// The disk is full: nothing is accepted.
    Full,
    /// It refuses what the host needs: nothing is accepted until a person has seen to it.
    Refused,
}

/// How the store of this engine stands. The one place of the host that asks.
pub(super) fn store_state(engine: &Handle) -> StoreState {
    let counters = engine.counters();
    if counters.store_full.get() > 0 {
        StoreState::Full
    } else if counters.store_refused.get() > 0 {
        StoreState::Refused
    } else {
        StoreState::Serving
    }
}
