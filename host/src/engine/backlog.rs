//! What waits to be delivered, asked for by people and told by the loop between two rounds.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::engine::core::{Backlog, Core};

/// How long the loop is waited for. It may be waiting for the store, and nothing changes meanwhile.
const PATIENCE: Duration = Duration::from_secs(1);

/// The loop's end.
pub(super) struct Teller {
    told: watch::Sender<Vec<Backlog>>,
    wanted: Arc<Notify>,
}

/// The end of those who ask.
#[derive(Clone)]
pub(super) struct Asker {
    seen: watch::Receiver<Vec<Backlog>>,
    wanted: Arc<Notify>,
}

/// Both ends. However many ask, the loop is asked once.
pub(super) fn channel() -> (Teller, Asker) {
    let (told, seen) = watch::channel(Vec::new());
    let wanted = Arc::new(Notify::new());
    (Teller { told, wanted: wanted.clone() }, Asker { seen, wanted })
}

impl Teller {
    /// Waits until somebody asks.
    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Tells everybody.
    pub(super) fn tell(&self, core: &Core) {
        self.told.send_replace(core.backlog());
    }
}

impl Asker {
    /// What waits, or what did when the loop told it last.
    pub(super) async fn ask(&self) -> Vec<Backlog> {
        let mut seen = self.seen.clone();
        seen.mark_unchanged();
        self.wanted.notify_one();
        tokio::time::timeout(PATIENCE, seen.changed()).await.ok();
        seen.borrow().clone()
    }
}
