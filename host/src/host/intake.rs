//! What a connector pushes, on its way into the engine.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::engine::Handle;
use crate::http::{PushAnswer, PushRequest};
use crate::stream::push::{Admitted, Fresh, Inlet, PushError};

/// Pushed events that are being taken at the same time; a connector sends few at once.
const TOGETHER: usize = 256;
/// How long a commit is waited for. A connector gives up waiting soon after.
const PATIENCE: Duration = Duration::from_secs(10);
/// When a connector shall send an event again that could not be taken.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// The way in for pushed events.
pub(super) struct Intake {
    engine: Handle,
    inlet: Inlet,
    clock: Clock,
    /// Events that are being taken: that goes on when their sender doesn't wait for it.
    under_way: TaskTracker,
    room: Arc<Semaphore>,
}

impl Intake {
    pub(super) fn new(engine: Handle, inlet: Inlet, clock: Clock) -> Self {
        let (under_way, room) = (TaskTracker::new(), Arc::new(Semaphore::new(TOGETHER)));
        Self { engine, inlet, clock, under_way, room }
    }

    /// Takes an event; returns after the commit, or when that takes too long.
    pub(super) async fn take(&self, push: PushRequest) -> PushAnswer {
        let counters = self.engine.counters();
        let PushRequest { product, signatures, body } = push;
        match self.inlet.admit(&product, &signatures, &body, self.clock.now()) {
            Ok(Admitted::Fresh(fresh)) => self.commit(fresh).await,
            Ok(Admitted::Repeat) => {
                counters.pushes_repeated.add(1);
                PushAnswer::Repeat
            }
            Ok(Admitted::UnderWay) => unavailable(),
            // Whoever sent these may be anyone: nothing of theirs is logged.
            Err(error @ (PushError::NoProduct | PushError::Signature)) => {
                counters.pushes_refused.add(1);
                tracing::warn!("{error}");
                PushAnswer::Refused(error)
            }
            Err(error) => {
                counters.pushes_unusable.add(1);
                tracing::warn!(product, "{error}");
                PushAnswer::Refused(error)
            }
        }
    }

    async fn commit(&self, fresh: Fresh) -> PushAnswer {
        // A full disk is known of: nobody waits for it.
        let full = self.engine.counters().store_full.get() > 0;
        let Some(room) = self.room.clone().try_acquire_owned().ok().filter(|_| !full) else {
            return unavailable();
        };
        let Fresh { payload, bytes, dropped_actions, claim } = fresh;
        let (told, committed) = oneshot::channel();
        let (engine, clock) = (self.engine.clone(), self.clock);
        self.under_way.spawn(async move {
            let taken = engine.take_through(payload, bytes).await;
            if taken == Ok(true) {
                engine.counters().pushes_taken.add(1);
                engine.counters().pushed_actions_dropped.add(dropped_actions as u64);
                claim.keep(clock.now());
            }
            drop(room);
            // Its sender may be gone.
            drop(told.send(taken));
        });
        match timeout(PATIENCE, committed).await {
            Ok(Ok(Ok(true))) => {
                if dropped_actions > 0 {
                    tracing::warn!(
                        dropped_actions,
                        "push: left unusable actions out of their batch"
                    );
                }
                PushAnswer::Taken { dropped_actions }
            }
            // Checked when it was admitted: its product isn't served any more.
            Ok(Ok(Ok(false))) => PushAnswer::Refused(PushError::NoProduct),
            Ok(Ok(Err(_)) | Err(_)) | Err(_) => unavailable(),
        }
    }
}

fn unavailable() -> PushAnswer {
    PushAnswer::Unavailable { retry_after: RETRY_AFTER }
}
