//! What a source was told so far: which events, and who is who. It is in the store, and read when it is needed first.

use std::sync::Arc;

use sidenote_sources::Memory;
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::seen::{Seen, UnderWay};
use crate::engine::Handle;
use crate::ids::PluginName;
use crate::store::StoreError;

/// What one source was told. Cloning shares it.
#[derive(Clone, Default)]
pub(super) struct Told(Arc<Mutex<Remembered>>);

/// It, for whoever changes it. What is made with it is handed over to the engine before the next one may: the rows
/// of later changes come behind those of earlier ones.
pub(super) type Turn = OwnedMutexGuard<Remembered>;

/// What is remembered.
#[derive(Default)]
pub(super) struct Remembered {
    pub(super) seen: Seen,
    pub(super) memory: Memory,
    is_loaded: bool,
}

/// Why nothing can be changed now.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotNow {
    /// What failed is to be read anew, and other commits are under way.
    #[error("source: a commit of it failed and others are under way")]
    UnderWay,
    /// It can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<UnderWay> for NotNow {
    fn from(UnderWay: UnderWay) -> Self {
        Self::UnderWay
    }
}

impl Told {
    /// Waits for its turn, and for what is stored where that isn't in memory.
    ///
    /// # Errors
    /// [`NotNow`].
    pub(super) async fn turn(&self, engine: &Handle, source: &PluginName) -> Result<Turn, NotNow> {
        let mut remembered = self.0.clone().lock_owned().await;
        if remembered.seen.is_stale()? || !remembered.is_loaded {
            let stored = engine.remembered(source).await?;
            remembered.seen.load(stored.seen);
            let people = stored.people.iter().map(|(product, row)| (&**product, &**row));
            remembered.memory = Memory::load(people);
            remembered.is_loaded = true;
        }
        Ok(remembered)
    }

    /// Waits for its turn, where it is in memory.
    pub(super) async fn turn_if_loaded(&self) -> Option<Turn> {
        let remembered = self.0.clone().lock_owned().await;
        remembered.is_loaded.then_some(remembered)
    }
}
