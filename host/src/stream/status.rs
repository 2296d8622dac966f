//! What a client is doing, for health, readiness and metrics.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::error::{Interruption, StreamError};
use crate::clock::Timestamp;

/// A handle on a client's state. Cheap to clone; outlives the client.
#[derive(Debug, Clone)]
pub struct Status {
    stream: Arc<str>,
    latest: watch::Receiver<Snapshot>,
    /// Woken to end a wait at once.
    asked: Arc<Notify>,
}

/// A client's state at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Where the connection stands.
    pub state: State,
    /// Since when reading is paused because the receiver is full.
    pub paused_since: Option<Timestamp>,
    /// When the last good event came, heartbeats included.
    pub last_event_at: Option<Timestamp>,
    /// How old the last batch or summary was when it came, by the clock of whoever sent it.
    pub lag: Option<Duration>,
    /// Why the last connection ended, if one did.
    pub last_interruption: Option<Interruption>,
    /// What happened so far.
    pub counters: Counters,
}

/// Where a connection stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Being made.
    Connecting,
    /// A good event stream was answered.
    Connected,
    /// Lost; the next attempt is at `retry_at`.
    Waiting {
        /// When the next attempt is due.
        retry_at: Timestamp,
    },
    /// Over.
    Stopped {
        /// Why; `None` where it was asked to stop.
        reason: Option<StreamError>,
    },
}

/// What happened since the client was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Payloads handed to the receiver.
    pub events: u64,
    /// Heartbeats.
    pub heartbeats: u64,
    /// Events skipped because they can't be used.
    pub poison: u64,
    /// Events skipped because they are larger than `max_event_bytes`.
    pub oversized: u64,
    /// Events skipped because they were sent again.
    pub duplicates: u64,
    /// Single actions left out of their batch because they can't be used.
    pub dropped_actions: u64,
    /// Attempts to connect after the first.
    pub reconnects: u64,
    /// How often reading was paused because the receiver was full.
    pub pauses: u64,
}

impl Status {
    /// The stream's name.
    pub fn stream(&self) -> &Arc<str> {
        &self.stream
    }

    /// Has a client that waits, or that a connector ended the stream of, connect at once; its pauses start over.
    /// `false`: it is connecting or connected, or it runs no more, and nothing is to be done.
    pub fn ask_at_once(&self) -> bool {
        let waits = match self.get().state {
            State::Waiting { .. } => true,
            State::Stopped { reason: Some(StreamError::Ended { .. }) } => true,
            State::Connecting | State::Connected | State::Stopped { .. } => false,
        };
        // Who doesn't wait isn't to skip the next wait.
        self.asked.notify_waiters();
        waits
    }

    /// The state at this moment.
    pub fn get(&self) -> Snapshot {
        self.latest.borrow().clone()
    }

    /// Waits until a state fits and returns it; the last state where the client ended before one did.
    pub async fn wait_for(&mut self, fits: impl FnMut(&Snapshot) -> bool) -> Snapshot {
        let fitting = self.latest.wait_for(fits).await.map(|snapshot| snapshot.clone());
        fitting.unwrap_or_else(|_| self.get())
    }
}

/// The writing side of a [`Status`].
pub(super) struct Publisher {
    snapshot: watch::Sender<Snapshot>,
    asked: Arc<Notify>,
}

impl Publisher {
    pub(super) fn new(stream: Arc<str>) -> (Self, Status) {
        let (sender, latest) = watch::channel(Snapshot {
            state: State::Connecting,
            paused_since: None,
            last_event_at: None,
            lag: None,
            last_interruption: None,
            counters: Counters::default(),
        });
        let asked = Arc::new(Notify::new());
        (Self { snapshot: sender, asked: asked.clone() }, Status { stream, latest, asked })
    }

    /// Where [`Status::ask_at_once`] is heard.
    pub(super) fn asked(&self) -> &Notify {
        &self.asked
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut Snapshot)) {
        self.snapshot.send_modify(change);
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Counters)) {
        self.update(|snapshot| change(&mut snapshot.counters));
    }
}
