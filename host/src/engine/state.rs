//! How the store serves the engine: what decides whether anything is accepted. The counters say the same to people, and
//! nothing is decided by them.

use std::sync::Arc;

use tokio::sync::watch;

use crate::engine::core::Counters;

/// How the store serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StoreState {
    /// It stores what it is given.
    #[default]
    Serving,
    /// The disk is full: nothing is accepted, what is under way is recorded.
    Full,
    /// It can't be reached: actions are accepted into the journal.
    Away,
    /// It lets the host do less than it needs, until a person sees to it: nothing is accepted.
    Refused,
}

impl StoreState {
    /// Whether actions are accepted: into the store, or into the journal.
    pub fn accepts(self) -> bool {
        match self {
            Self::Serving | Self::Away => true,
            Self::Full | Self::Refused => false,
        }
    }
}

/// The engine's end of it.
pub(super) struct State {
    state: watch::Sender<StoreState>,
    counters: Arc<Counters>,
}

impl State {
    pub(super) fn new(counters: Arc<Counters>) -> (Self, watch::Receiver<StoreState>) {
        let (state, seen) = watch::channel(StoreState::default());
        (Self { state, counters }, seen)
    }

    /// How it serves.
    pub(super) fn get(&self) -> StoreState {
        *self.state.borrow()
    }

    /// It serves otherwise from here on, or as before. That it is back is said; a full disk serves until there is space.
    pub(super) fn set(&self, now: StoreState) {
        let before = self.get();
        let was_away = matches!(before, StoreState::Away | StoreState::Refused);
        // Reads and small commits succeed all the while.
        if before == now || (before == StoreState::Full && now == StoreState::Serving) {
            return;
        }
        if now == StoreState::Serving && was_away {
            tracing::info!("store: it is back; the host goes on");
        }
        self.put(now);
    }

    /// There is space on the disk again.
    pub(super) fn has_room(&self) {
        if self.get() == StoreState::Full {
            self.put(StoreState::Serving);
        }
    }

    fn put(&self, now: StoreState) {
        self.state.send_replace(now);
        let Counters { store_full, store_away, store_refused, .. } = &*self.counters;
        store_full.set(u64::from(now == StoreState::Full));
        store_away.set(u64::from(now == StoreState::Away));
        store_refused.set(u64::from(now == StoreState::Refused));
    }
}
