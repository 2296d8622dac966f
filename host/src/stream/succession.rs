//! One client of a stream takes over from another, when its settings change: nothing that was read is lost,
//! and what the connector repeats is dropped as after any interruption.

use std::time::Duration;

use reqwest::header::HeaderValue;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::dedupe::{Dedupe, REMEMBERED};

/// What a client knows of what came.
#[derive(Debug)]
pub struct Position {
    /// Where it came from; `None` before anything did.
    pub(super) url: Option<Url>,
    pub(super) dedupe: Dedupe,
    /// The id of the last event that was dealt with.
    pub(super) last_event_id: Option<HeaderValue>,
    /// Counts the connections.
    pub(super) connection: u64,
}

impl Position {
    /// Nothing came yet.
    pub(super) fn beginning() -> Self {
        Self { url: None, dedupe: Dedupe::new(REMEMBERED), last_event_id: None, connection: 0 }
    }

    /// The same at this address. Another connector's ids mean nothing here, but it may be the same one
    /// under another name: what is known by its content stays known.
    pub(super) fn at(mut self, url: &Url) -> Self {
        if self.url.as_ref() != Some(url) {
            self.last_event_id = None;
        }
        self.url = Some(url.clone());
        self
    }
}

/// Ends a client, and has what it knows.
#[derive(Debug)]
pub struct Succession {
    wind_down: CancellationToken,
    position: oneshot::Receiver<Position>,
}

/// The client's side of a [`Succession`].
pub(super) struct Predecessor {
    /// What was read is handed on, and nothing further is read.
    pub(super) wind_down: CancellationToken,
    pub(super) position: oneshot::Sender<Position>,
}

impl Succession {
    pub(super) fn new() -> (Self, Predecessor) {
        let wind_down = CancellationToken::new();
        let (sender, position) = oneshot::channel();
        let predecessor = Predecessor { wind_down: wind_down.clone(), position: sender };
        (Self { wind_down, position }, predecessor)
    }

    /// Has the client hand on what it has read, and end. `None`: it didn't within `patience`, for its
    /// receiver takes nothing; or it had ended with a panic.
    pub async fn wind_down(&mut self, patience: Duration) -> Option<Position> {
        self.wind_down.cancel();
        self.ended(patience).await
    }

    /// Waits for a client that ends.
    pub async fn ended(&mut self, patience: Duration) -> Option<Position> {
        timeout(patience, &mut self.position).await.ok()?.ok()
    }
}
