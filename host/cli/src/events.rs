//! Server-sent events of an answer, bounded in silence and in size.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use eventsource_stream::{Event, EventStreamError, Eventsource};
use futures_util::{Stream, StreamExt, stream};
use reqwest::Response;

/// Most bytes that come without an event.
const MOST_BYTES: usize = 16 << 20;

/// Why no more events come, where the sender didn't just end its answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Broken {
    /// Nothing at all came, no comment either.
    #[error("nothing came for {0:?}")]
    Silent(Duration),
    /// The connection ended before the answer did.
    #[error("the connection broke ({0})")]
    Connection(String),
    /// More came than an event may have.
    #[error("an event is larger than {} MiB", MOST_BYTES >> 20)]
    TooLarge,
    /// What came are no events.
    #[error("what comes are no server-sent events ({0})")]
    NoEvents(String),
}

/// The events of an answer. Comments only say that the sender is there.
pub(crate) fn events(
    answer: Response,
    silence: Duration,
) -> impl Stream<Item = Result<Event, Broken>> {
    let since = Arc::new(AtomicUsize::new(0));
    let read = since.clone();
    let bytes = stream::unfold((answer, read), move |(mut answer, read)| async move {
        let chunk = match tokio::time::timeout(silence, answer.chunk()).await {
            Ok(Ok(Some(bytes))) => {
                let before = read.fetch_add(bytes.len(), Ordering::Relaxed);
                if before + bytes.len() > MOST_BYTES { Err(Broken::TooLarge) } else { Ok(bytes) }
            }
            Ok(Ok(None)) => return None,
            Ok(Err(error)) => Err(Broken::Connection(deepest(&error))),
            Err(_) => Err(Broken::Silent(silence)),
        };
        Some((chunk, (answer, read)))
    });
    bytes.eventsource().map(move |event| match event {
        Ok(event) => {
            since.store(0, Ordering::Relaxed);
            Ok(event)
        }
        Err(EventStreamError::Transport(broken)) => Err(broken),
        Err(EventStreamError::Utf8(error)) => Err(Broken::NoEvents(error.to_string())),
        Err(EventStreamError::Parser(error)) => Err(Broken::NoEvents(error.to_string())),
    })
}

/// The last cause in words: the ones before it only say that a request failed, and name the address.
pub(crate) fn deepest(error: &(dyn Error + 'static)) -> String {
    error.source().map_or_else(|| error.to_string(), deepest)
}
