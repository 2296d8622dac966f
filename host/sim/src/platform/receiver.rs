//! What every request and webhook of the platform has to do with, and the check that both ways in make.

use std::sync::Mutex;

use http::{HeaderMap, HeaderValue, StatusCode};
use sidenote::clock::Clock;
use tokio::sync::broadcast;

use super::desk::Desk;
use super::live::Live;
use super::options::PlatformOptions;
use crate::signature::{self, SIGNATURE, TIMESTAMP};

/// How far a timestamp may be from this clock, in seconds.
const MAX_SKEW: u64 = 300;

pub(super) struct Receiver {
    pub(super) options: PlatformOptions,
    pub(super) desk: Mutex<Desk>,
    pub(super) live: broadcast::Sender<Live>,
    pub(super) clock: Clock,
}

/// Why a request isn't a note.
pub(super) enum Refusal {
    Malformed(StatusCode, &'static str),
    Unsigned(&'static str),
}

impl Receiver {
    pub(super) fn desk(&self) -> std::sync::MutexGuard<'_, Desk> {
        self.desk.lock().expect("no holder panics")
    }

    /// Checks signature and timestamp.
    pub(super) fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), Refusal> {
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let timestamp =
            text(TIMESTAMP).ok_or(Refusal::Unsigned("X-Sidenote-Timestamp is missing"))?;
        let signature =
            text(SIGNATURE).ok_or(Refusal::Unsigned("X-Sidenote-Signature is missing"))?;
        if !signature::verify(&self.options.signing_secret, timestamp, body, signature) {
            return Err(Refusal::Unsigned("the signature doesn't fit the body"));
        }
        let seconds: u64 = timestamp
            .parse()
            .map_err(|_| Refusal::Unsigned("the timestamp isn't in whole seconds"))?;
        if seconds.abs_diff(self.clock.now().as_millis() / 1000) > MAX_SKEW {
            return Err(Refusal::Unsigned("the timestamp is more than 5 minutes off"));
        }
        Ok(())
    }

    pub(super) fn tell(&self, live: impl FnOnce() -> Live) {
        // Nobody listening is no failure, so the count of listeners that got it means nothing.
        if self.live.receiver_count() > 0 {
            drop(self.live.send(live()));
        }
    }
}
