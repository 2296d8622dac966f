//! The client: connects, waits and connects again until it is stopped or refused.

use std::sync::Arc;

use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CACHE_CONTROL, HeaderMap, HeaderValue,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::error::{Interruption, StreamError};
use super::observer::{Observer, Unobserved};
use super::reader::{End, Reader};
use super::received::Received;
use super::status::{Publisher, State, Status};
use super::succession::{Position, Predecessor, Succession};
use super::waits::Waits;
use crate::clock::Clock;
use crate::config;
use crate::http_client::{self, PLAIN, describe};
use crate::see::See;

/// A reader of one connector's event stream.
///
/// ```no_run
/// # async fn example(config: sidenote::config::Stream) -> Result<(), sidenote::stream::StreamError> {
/// use sidenote::{clock::Clock, stream::{CancellationToken, Client}};
///
/// let client = Client::new("shop", config, Clock::system())?;
/// let status = client.status();
/// let (sink, mut received) = tokio::sync::mpsc::channel(64);
/// let stop = CancellationToken::new();
/// let reading = client.run(sink, stop);
/// # drop((status, received.recv()));
/// reading.await
/// # }
/// ```
pub struct Client {
    name: Arc<str>,
    url: Url,
    http: reqwest::Client,
    config: config::Stream,
    clock: Clock,
    max_retries: Option<u32>,
    asks_on: bool,
    observer: Arc<dyn Observer>,
    position: Option<Position>,
    predecessor: Option<Predecessor>,
    publisher: Publisher,
    status: Status,
}

impl Client {
    /// A client of the stream `name`. Nothing is connected before [`Self::run`].
    ///
    /// # Errors
    ///
    /// The address, the token or the system's TLS set-up can't be used.
    pub fn new(
        name: impl Into<Arc<str>>,
        config: config::Stream,
        clock: Clock,
    ) -> Result<Self, StreamError> {
        let name = name.into();
        let url = url(&name, &config.url)?;
        let http = http_client(&name, &url, &config)?;
        let (publisher, status) = Publisher::new(name.clone());
        Ok(Self {
            name,
            url,
            http,
            config,
            clock,
            max_retries: None,
            asks_on: false,
            observer: Arc::new(Unobserved),
            position: None,
            predecessor: None,
            publisher,
            status,
        })
    }

    /// Ends after so many failed retries in a row; without, it never does.
    #[must_use]
    pub fn with_max_retries(mut self, max_retries: u32) -> Self {
        self.max_retries = Some(max_retries);
        self
    }

    /// Never ends for what the connector answers: a refusal is asked about again on the slow schedule of
    /// `refused_retry_initial` and `refused_retry_max`, and an ended stream waits for
    /// [`Status::ask_at_once`].
    #[must_use]
    pub fn that_asks_on(mut self) -> Self {
        self.asks_on = true;
        self
    }

    /// Watches the connections.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    /// Goes on from where another client of the same stream ended.
    #[must_use]
    pub fn succeeding(mut self, position: Position) -> Self {
        self.position = Some(position);
        self
    }

    /// Can be ended so that another client takes its place.
    pub fn with_succession(mut self) -> (Self, Succession) {
        let (succession, predecessor) = Succession::new();
        self.predecessor = Some(predecessor);
        (self, succession)
    }

    /// A handle on its state.
    pub fn status(&self) -> Status {
        self.status.clone()
    }

    /// Reads until stopped. Payloads go to `sink` in the order sent; while it is full nothing is read.
    /// Cancelling `stop` ends it at once in any state, with `Ok`; a payload that was waiting for capacity
    /// is then not handed on.
    ///
    /// # Errors
    ///
    /// The connector refused (401, 403, 404) or ended the stream (204) and the client doesn't ask on, the
    /// retries are used up, or the receiver is gone.
    pub async fn run(
        self,
        sink: mpsc::Sender<Received>,
        stop: CancellationToken,
    ) -> Result<(), StreamError> {
        let Self {
            name,
            url,
            http,
            config,
            clock,
            max_retries,
            asks_on,
            observer,
            position,
            predecessor,
            publisher,
            status: _,
        } = self;
        let position = position.unwrap_or_else(Position::beginning).at(&url);
        let wind_down =
            predecessor.as_ref().map_or_else(CancellationToken::new, |it| it.wind_down.clone());
        let mut failures = 0u32;
        let mut refused = Waits::new(config.refused_retry_initial, config.refused_retry_max);
        // The refusal that was logged: each cause is told once.
        let mut told: Option<Interruption> = None;
        let mut reader = Reader {
            name: &name,
            url,
            http,
            config: &config,
            clock,
            observer: &*observer,
            publisher: &publisher,
            sink,
            waits: Waits::new(config.retry_initial, config.retry_max),
            position,
            wind_down: wind_down.clone(),
            good: false,
        };
        let result = loop {
            let end = stop.run_until_cancelled(reader.connect_and_read()).await;
            let why = match end {
                None => break Ok(()),
                Some(End::WoundDown) => break Ok(()),
                Some(End::Fatal(StreamError::Refused { status, .. })) if asks_on => {
                    Interruption::Refused { status }
                }
                Some(End::Fatal(error @ StreamError::Ended { .. })) if asks_on => {
                    let asked = publisher.asked().notified();
                    tokio::pin!(asked);
                    asked.as_mut().enable();
                    tracing::error!(stream = %name, "{error}, or ask again with `sidenote stream retry {name}`");
                    publisher.update(|snapshot| {
                        snapshot.state = State::Stopped { reason: Some(error) };
                    });
                    let asked = wind_down.run_until_cancelled(asked);
                    if stop.run_until_cancelled(asked).await.flatten().is_none() {
                        break Ok(());
                    }
                    publisher.count(|counters| counters.reconnects += 1);
                    continue;
                }
                Some(End::Fatal(error)) => break Err(error),
                Some(End::Interrupted(why)) => why,
            };
            observer.disconnected(&why);
            if reader.good {
                failures = 0;
                refused.reset();
                told = None;
            }
            failures += u32::from(why != Interruption::Closed);
            if let Some(max_retries) = max_retries.filter(|max| failures > *max) {
                break Err(StreamError::RetriesExhausted {
                    stream: name.clone(),
                    max_retries,
                    attempts: failures,
                    last: why,
                });
            }
            let is_refusal = asks_on && why.is_refusal();
            let waits = if is_refusal { &mut refused } else { &mut reader.waits };
            let wait = waits.next(why.retry_after(), rand::random());
            let wait_ms = wait.total().as_millis() as u64;
            if !is_refusal {
                told = None;
                tracing::warn!(stream = %name, why = %why, wait_ms, "stream interrupted, connecting again {}", See::StreamUnreachable);
            } else if told.as_ref() != Some(&why) {
                told = Some(why.clone());
                tracing::error!(
                    stream = %name,
                    wait_ms,
                    "stream {name}: refused: {why}. It is asked again at growing intervals, at last every {:?}; \
                     `sidenote stream retry {name}` asks at once {}",
                    config.refused_retry_max,
                    See::StreamRefused
                );
            } else {
                tracing::debug!(stream = %name, wait_ms, "stream still refused");
            }
            let asked = publisher.asked().notified();
            tokio::pin!(asked);
            asked.as_mut().enable();
            publisher.update(|snapshot| {
                snapshot.state = State::Waiting { retry_at: clock.now() + wait.total() };
                snapshot.last_interruption = Some(why);
            });
            let waited = async {
                tokio::select! {
                    () = observer.pause(wait) => false,
                    () = asked => true,
                }
            };
            let waited = wind_down.run_until_cancelled(waited);
            match stop.run_until_cancelled(waited).await.flatten() {
                None => break Ok(()),
                Some(false) => {}
                Some(true) => {
                    reader.waits.reset();
                    refused.reset();
                    told = None;
                }
            }
            publisher.count(|counters| counters.reconnects += 1);
        };
        match &result {
            Ok(()) => tracing::info!(stream = %name, "stream stopped"),
            Err(error) => tracing::error!(%error, "stream ended"),
        }
        publisher.update(|snapshot| {
            snapshot.paused_since = None;
            snapshot.state = State::Stopped { reason: result.clone().err() };
        });
        if let Some(Predecessor { position, .. }) = predecessor
            && position.send(reader.position).is_err()
        {
            tracing::debug!(stream = %name, "nobody takes over from this client");
        }
        result
    }
}

fn url(stream: &Arc<str>, url: &str) -> Result<Url, StreamError> {
    let invalid = |cause: String| StreamError::InvalidUrl { stream: stream.clone(), cause };
    let url = Url::parse(url).map_err(|error| invalid(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid(format!("its scheme is {}, not http or https", url.scheme())));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid("it holds a user name or a password, which belong in `token`".into()));
    }
    Ok(url)
}

/// A client that has the token. Each attempt gets a connection of its own.
fn http_client(
    stream: &Arc<str>,
    url: &Url,
    config: &config::Stream,
) -> Result<reqwest::Client, StreamError> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(PLAIN));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let token = config.token.as_ref().map_or("", |token| token.expose().trim());
    if !token.is_empty() {
        let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| StreamError::InvalidToken { stream: stream.clone() })?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    http_client::builder(url)
        .default_headers(headers)
        .pool_max_idle_per_host(0)
        .build()
        .map_err(|error| StreamError::Setup { stream: stream.clone(), cause: describe(error) })
}
