//! Commits, and what the engine does while the disk is full.

use std::sync::Arc;

use tokio::time::Instant;

use crate::clock::Timestamp;
use crate::engine::driver::{Engine, EngineError, FULL_PAUSE};
use crate::engine::state::StoreState;
use crate::see::See;
use crate::store::{Beside, Change, StoreError};

impl Engine {
    /// Stores changes, and in a partition what was read of its inbox, however long that takes.
    ///
    /// # Errors
    /// The store failed for good, or somebody wants the host to end.
    pub(super) async fn commit(
        &mut self,
        changes: Vec<Change>,
        read: &Beside,
    ) -> Result<(), EngineError> {
        if changes.is_empty() && read.is_empty() {
            return Ok(());
        }
        self.counters.commits.add(1);
        let changes: Arc<[Change]> = changes.into();
        loop {
            let began = Instant::now();
            let stored = match &self.partition {
                Some(partition) => partition.commit_with(&changes, read).await,
                None => self.store.commit(changes.clone()).await,
            };
            match stored {
                Ok(()) => {
                    self.counters.commit_times.observe(began.elapsed());
                    break;
                }
                Err(error @ StoreError::Full(_)) => {
                    self.state.set(StoreState::Full);
                    tracing::error!("{error}");
                    self.turns.took_one();
                    tokio::time::sleep(FULL_PAUSE).await;
                }
                Err(error) => self.wait_for_store(error).await?,
            }
        }
        match self.store.is_short() {
            true => self.state.set(StoreState::Full),
            false => {
                self.state.has_room();
                self.state.set(StoreState::Serving);
            }
        }
        Ok(())
    }

    /// Accepts nothing while the disk is full, and goes on when there is space again.
    pub(super) async fn look_for_room(&mut self, now: Timestamp) {
        if self.store.is_short() {
            match self.paused {
                None => tracing::error!(
                    "store: the disk is full; nothing is accepted until there is space, what is under way goes on {}",
                    See::DiskFull
                ),
                Some(look) if look > now => return,
                Some(_) if self.store.has_room().await => return self.resume(),
                Some(_) => {}
            }
            self.paused = Some(now + FULL_PAUSE);
            self.state.set(StoreState::Full);
        } else if self.paused.is_some() {
            self.resume();
        }
    }

    fn resume(&mut self) {
        self.paused = None;
        self.state.has_room();
        tracing::info!("store: there is space again; the host goes on");
    }
}
