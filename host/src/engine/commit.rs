//! Commits, and what the engine does while the disk is full.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::engine::round::{Engine, EngineError};
use crate::store::{Change, StoreError};

/// Pause before a commit that met a full disk is tried again.
const FULL_PAUSE: Duration = Duration::from_secs(1);

impl Engine {
    /// Stores changes, however long that takes.
    ///
    /// # Errors
    /// The store failed for good, or somebody wants the host to end.
    pub(super) async fn commit(&mut self, changes: Vec<Change>) -> Result<(), EngineError> {
        if changes.is_empty() {
            return Ok(());
        }
        self.counters.commits.add(1);
        let changes: Arc<[Change]> = changes.into();
        loop {
            match self.store.commit(changes.clone()).await {
                Ok(()) => break,
                Err(error @ StoreError::Full(_)) => {
                    self.counters.store_full.set(1);
                    tracing::error!("{error}");
                    tokio::time::sleep(FULL_PAUSE).await;
                }
                Err(error) => self.wait_for_store(error).await?,
            }
        }
        self.counters.store_full.set(u64::from(self.store.is_short()));
        self.is_back();
        Ok(())
    }

    /// Takes nothing while the disk is full, and goes on when there is room again.
    pub(super) async fn look_for_room(&mut self, now: Timestamp) {
        if self.store.is_short() {
            match self.paused {
                None => tracing::error!(
                    "store: the disk is full; nothing is taken until there is room, what is under way goes on"
                ),
                Some(look) if look > now => return,
                Some(_) if self.store.has_room().await => return self.resume(),
                Some(_) => {}
            }
            self.paused = Some(now + FULL_PAUSE);
            self.counters.store_full.set(1);
        } else if self.paused.is_some() {
            self.resume();
        }
    }

    fn resume(&mut self) {
        self.paused = None;
        self.counters.store_full.set(0);
        tracing::info!("store: there is room again; the host goes on");
    }
}
