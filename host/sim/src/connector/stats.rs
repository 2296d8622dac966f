//! What a connector has seen and done.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a connector has seen and done since its start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnectorStats {
    /// Requests of any kind.
    pub requests: u64,
    /// Requests refused on demand.
    pub refused: u64,
    /// Requests without the right token.
    pub unauthorised: u64,
    /// Requests that no connector would answer: wrong path, method or `Accept`.
    pub misdirected: u64,
    /// Streams opened.
    pub connections: u64,
    /// Streams open at this moment.
    pub connected: u64,
    /// Events handed to a socket.
    pub events: u64,
    /// Heartbeats handed to a socket.
    pub heartbeats: u64,
    /// Events dropped because nobody read.
    pub dropped: u64,
    /// The `Last-Event-ID` of the last request that had one.
    pub last_event_id: Option<String>,
}

/// The counters behind [`ConnectorStats`].
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) requests: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) unauthorised: AtomicU64,
    pub(super) misdirected: AtomicU64,
    pub(super) connections: AtomicU64,
    pub(super) connected: AtomicU64,
    pub(super) events: AtomicU64,
    pub(super) heartbeats: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) last_event_id: Mutex<Option<String>>,
}

impl Counters {
    pub(super) fn snapshot(&self) -> ConnectorStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ConnectorStats {
            requests: read(&self.requests),
            refused: read(&self.refused),
            unauthorised: read(&self.unauthorised),
            misdirected: read(&self.misdirected),
            connections: read(&self.connections),
            connected: read(&self.connected),
            events: read(&self.events),
            heartbeats: read(&self.heartbeats),
            dropped: read(&self.dropped),
            last_event_id: self.last_event_id.lock().expect("no holder panics").clone(),
        }
    }
}

/// Adds one.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
