//! Whether the engine goes on: for whoever ends a process that doesn't.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use crate::engine::Handle;

/// How often it is looked whether an idle engine took a turn.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The turns of the engine's loop: rounds, and pauses in which it waits for its store.
#[derive(Clone, Default)]
pub(super) struct Turns(Arc<Shared>);

#[derive(Default)]
struct Shared {
    count: AtomicU64,
    wanted: Notify,
}

impl Turns {
    /// The loop took a turn.
    pub(super) fn took_one(&self) {
        self.0.count.fetch_add(1, Ordering::Relaxed);
    }

    /// Somebody wants to see an idle loop take one.
    pub(super) async fn wanted(&self) {
        self.0.wanted.notified().await;
    }

    fn count(&self) -> u64 {
        self.0.count.load(Ordering::Relaxed)
    }
}

/// Looks at the engine again and again.
pub struct Progress {
    turns: Turns,
    seen: u64,
}

impl Handle {
    /// A look at the engine's progress from here on.
    pub fn progress(&self) -> Progress {
        Progress { turns: self.turns.clone(), seen: self.turns.count() }
    }
}

impl Progress {
    /// Whether the engine took a turn since the last look, or takes one within this time because it is asked to. An
    /// engine that waits for a store that is away or full does: that is no reason to end it. One that hangs in its store
    /// or in itself doesn't.
    pub async fn goes_on(&mut self, within: Duration) -> bool {
        if self.turns.count() == self.seen {
            self.turns.0.wanted.notify_one();
            let took = async {
                while self.turns.count() == self.seen {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            };
            if tokio::time::timeout(within, took).await.is_err() {
                return false;
            }
        }
        self.seen = self.turns.count();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_takes_turns_goes_on_and_one_that_hangs_does_not() {
        let turns = Turns::default();
        let mut progress = Progress { turns: turns.clone(), seen: 0 };
        assert!(!progress.goes_on(Duration::from_secs(1)).await, "nobody took a turn");
        turns.took_one();
        assert!(progress.goes_on(Duration::ZERO).await, "it took one in the meantime");
        let idle = async {
            turns.wanted().await;
            turns.took_one();
        };
        let (goes_on, ()) = tokio::join!(progress.goes_on(Duration::from_secs(1)), idle);
        assert!(goes_on, "an idle one takes a turn because it is asked to");
        assert!(!progress.goes_on(Duration::from_secs(1)).await);
    }
}
