//! Work that blocks, on a thread of its own and waited for within bounds.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::error::AdmitError;

/// How work on a thread ended.
pub(super) enum Ended<T> {
    Done(T),
    Panicked,
    /// It goes on, and nobody waits for it.
    TooLate,
}

/// Does work that blocks. On a thread of its own rather than the runtime's: what doesn't end would hold
/// up the runtime's shutdown.
pub(super) async fn on_thread<T: Send + 'static>(
    name: &str,
    patience: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<Ended<T>, AdmitError> {
    let (sender, receiver) = oneshot::channel();
    let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        if sender.send(work()).is_err() {
            tracing::debug!("work of a plugin's loading ended after nobody waited for it");
        }
    });
    spawned.map_err(|error| AdmitError::Read(error.to_string()))?;
    Ok(match timeout(patience, receiver).await {
        Ok(Ok(done)) => Ended::Done(done),
        Ok(Err(_)) => Ended::Panicked,
        Err(_) => Ended::TooLate,
    })
}
