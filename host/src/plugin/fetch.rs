//! Finds a plugin's component: in the plugins folder, among what is kept, or in a registry.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::blocking::{Ended, on_thread};
use super::error::AdmitError;
use super::folder;
use super::place::Place;
use super::registry::Registry;
use super::slot::Slot;
use super::source::MAX_COMPONENT_BYTES;
use crate::config::Pinned;
use crate::oci::Pulled;

/// So long everything else waits for a plugin that is pulled: until then it may become known what it does.
const GRACE: Duration = Duration::from_secs(10);
/// How long the disk may take.
const DISK: Duration = Duration::from_secs(60);

impl Registry {
    /// Where the component is that all of these use. What lies in a registry and isn't kept is pulled.
    pub(super) async fn place(&self, file: &str, users: &[Arc<Slot>]) -> Result<Place, AdmitError> {
        match users.iter().find_map(|slot| slot.config.registry.clone()) {
            None => folder::path(&self.folder, file).map(Place::file),
            Some(pinned) => self.pulled(&pinned, users).await,
        }
    }

    async fn pulled(&self, pinned: &Pinned, users: &[Arc<Slot>]) -> Result<Place, AdmitError> {
        let kept = self.loader.kept().cloned().ok_or(AdmitError::NowhereKept)?;
        let (looked, wanted) = (kept.clone(), pinned.clone());
        let capacity = self.loader.capacity().await;
        if let Some(layer) = on_disk(move || looked.find(&wanted)).await? {
            return Ok(Place::kept(&kept, pinned, layer));
        }
        drop(capacity);
        let reference = &pinned.reference;
        let access = self.loader.supply().access(&reference.host);
        let pulling = async {
            let turn = self.loader.pull_turn().await;
            tracing::info!(%pinned, "plugins: pulling a component");
            let pulled = Pulled::pull(reference, &access, MAX_COMPONENT_BYTES).await;
            pulled.map(|pulled| (pulled, turn))
        };
        let mut pulling = std::pin::pin!(pulling);
        let (pulled, turn) = match timeout(GRACE, &mut pulling).await {
            Ok(pulled) => pulled,
            Err(_) => {
                for slot in users.iter().filter(|slot| slot.absent().is_some()) {
                    slot.refuse(AdmitError::Pulling(reference.host.clone()));
                }
                self.progressed();
                pulling.await
            }
        }?;
        let mut in_use = self.pinned();
        in_use.extend(users.iter().filter_map(|slot| Some(slot.config.registry.as_ref()?.digest)));
        let (keeper, layer) = (kept.clone(), pulled.layer.clone());
        on_disk(move || keeper.keep(&pulled, &in_use)).await?.map_err(|error| {
            AdmitError::NotKept { folder: kept.folder().to_owned(), cause: error.to_string() }
        })?;
        drop(turn);
        tracing::info!(%pinned, bytes = layer.size, "plugins: pulled and kept");
        Ok(Place::kept(&kept, pinned, layer))
    }
}

async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, AdmitError> {
    match on_thread("plugin-pulled", DISK, work).await? {
        Ended::Done(done) => Ok(done),
        Ended::Panicked => Err(AdmitError::Read("reading what was pulled failed".to_owned())),
        Ended::TooLate => Err(AdmitError::Read(format!("the disk took longer than {DISK:?}"))),
    }
}
