//! Copies of the store: one at a time, each on record before anybody has a byte of it.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use crate::engine::Handle;
use crate::engine::people::{Act, Outcome};
use crate::http::{Backup, BackupFailure};
use crate::store::{BackupError, Store};

/// How much is read at once, in bytes.
const PIECE: usize = 64 << 10;

/// Whoever makes copies.
#[derive(Clone)]
pub(super) struct Backups {
    store: Arc<dyn Store>,
    /// One copy at a time.
    turn: Arc<Semaphore>,
}

impl Backups {
    pub(super) fn of(store: Arc<dyn Store>) -> Self {
        Self { store, turn: Arc::new(Semaphore::new(1)) }
    }

    /// Makes a copy for whoever `engine` is for.
    pub(super) async fn make(&self, engine: &Handle) -> Result<Backup, BackupFailure> {
        let _turn = self.turn.try_acquire().map_err(|_| BackupFailure::Busy)?;
        let copied = self.copy().await;
        let outcome = match &copied {
            Ok(_) => Outcome::Done { affected: None },
            Err(failure) => Outcome::refused(failure.code()),
        };
        let recorded = engine.put_on_record(Act::Backup, outcome).await;
        match copied {
            Ok(copy) => {
                recorded.map_err(|_| BackupFailure::OffRecord)?;
                tracing::info!(bytes = copy.bytes, "store: a copy was made for a person");
                Ok(copy)
            }
            Err(failure) => {
                tracing::error!("backup: {failure}. The store goes on as it was");
                Err(failure)
            }
        }
    }

    async fn copy(&self) -> Result<Backup, BackupFailure> {
        let file = self.store.backup().await?;
        let hashed = tokio::task::spawn_blocking(move || hashed(file)).await;
        let failed = |error: String| BackupFailure::Store(BackupError::Failed(error));
        hashed
            .map_err(|error| failed(error.to_string()))?
            .map_err(|error| failed(error.to_string()))
    }
}

/// A copy with its hash, to be read from its beginning.
fn hashed(mut file: File) -> io::Result<Backup> {
    let (mut hash, mut piece, mut bytes) = (Sha256::new(), vec![0; PIECE], 0);
    file.rewind()?;
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            break;
        }
        hash.update(&piece[..read]);
        bytes += read as u64;
    }
    file.rewind()?;
    Ok(Backup { file, bytes, sha256: hash.finalize().into() })
}
