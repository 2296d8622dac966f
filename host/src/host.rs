//! The whole host in one process.

use std::net::SocketAddr;
use std::time::Duration;

use crate::config::Config;
use crate::outbox::note::Note;

/// A running host.
#[derive(Debug)]
pub struct Host {
    addr: SocketAddr,
}

/// Why a host doesn't start.
#[derive(Debug, thiserror::Error)]
#[error("host: this build holds no engine yet")]
pub struct StartError;

/// A note given up.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// The note.
    pub note: Note,
    /// Why it was given up.
    pub reason: String,
}

/// What the host has seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Events that named no session.
    pub events_without_session: u64,
}

impl Host {
    /// Starts a host.
    ///
    /// # Errors
    /// Always, in this build.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        drop(config);
        Err(StartError)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Stops.
    pub async fn shutdown(self, deadline: Duration) {
        tracing::debug!(addr = %self.addr, ?deadline, "host: stopped");
    }

    /// What it has seen.
    pub fn counters(&self) -> Counters {
        Counters::default()
    }

    /// The notes given up.
    pub async fn dead_letters(&self) -> Vec<DeadLetter> {
        Vec::new()
    }
}
