//! A place to watch a client's connections from, and to replace its waiting.

use std::future::Future;
use std::pin::Pin;

use super::error::Interruption;
use super::waits::Wait;

/// A wait under way.
pub type Pause = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Told of each step of a client's connections. Called on the reading task: it must be quick.
pub trait Observer: Send + Sync {
    /// A good event stream was answered.
    fn connected(&self) {}

    /// An attempt is over, whether it had connected or not. When the client is stopped or ends, it is
    /// the end of `Client::run` that says so.
    fn disconnected(&self, _why: &Interruption) {}

    /// Spends the wait before the next attempt. Stopping the client cuts it short.
    fn pause(&self, wait: Wait) -> Pause {
        Box::pin(tokio::time::sleep(wait.total()))
    }
}

/// Watches nothing, waits in real time.
pub(super) struct Unobserved;

impl Observer for Unobserved {}
