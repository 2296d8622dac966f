//! The keys of the API, as the owner of what is the namespace's committed them: read again and again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use crate::engine::core::keys::KeyTable;
use crate::engine::people::stored_keys;
use crate::store::{AllPartitions, StoreError};

/// So long a key that another host revoked still opens something here, while the server is there.
const EVERY: Duration = Duration::from_secs(1);

/// Reads them.
#[derive(Clone)]
pub(super) struct Keys {
    rows: Arc<AllPartitions>,
    told: watch::Sender<Option<Arc<KeyTable>>>,
}

impl Keys {
    /// Those of these rows; nothing is known of them yet.
    pub(super) fn new(rows: Arc<AllPartitions>) -> (watch::Receiver<Option<Arc<KeyTable>>>, Self) {
        let (told, seen) = watch::channel(None);
        (seen, Self { rows, told })
    }

    /// Reads them until the server fails for good. While it is away, what was read last is in force.
    pub(super) async fn run(self) -> StoreError {
        loop {
            match self.read().await {
                Ok(())
                | Err(StoreError::Away(_) | StoreError::Refused(_) | StoreError::Full(_)) => {}
                Err(error @ (StoreError::Lost(_) | StoreError::Fatal(_))) => return error,
            }
            sleep(EVERY).await;
        }
    }

    /// Reads them now.
    pub(super) async fn read(&self) -> Result<(), StoreError> {
        let keys = stored_keys(&*self.rows).await?;
        self.told.send_if_modified(|told| {
            let same = told.as_deref() == Some(&keys);
            if !same {
                *told = Some(Arc::new(keys));
            }
            !same
        });
        Ok(())
    }
}
