//! One connection: asks, checks the answer, reads events and hands their payloads on.

use std::sync::Arc;

use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use reqwest::{Response, StatusCode};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::blocks::{Block, Blocks, Found};
use super::dedupe::EventKey;
use super::error::{Interruption, StreamError};
use super::observer::Observer;
use super::received::Received;
use super::status::{Publisher, State};
use super::succession::Position;
use super::waits::Waits;
use crate::clock::{Clock, Timestamp};
use crate::config;
use crate::http_client::{describe, encoding, retry_after};
use crate::session::payload::{Parsed, Payload, parse_event};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// A longer id is not kept: servers refuse large request heads, and the stream would never come back.
const MAX_ID_BYTES: usize = 1024;

/// What is kept from one connection to the next.
pub(super) struct Reader<'a> {
    pub(super) name: &'a Arc<str>,
    pub(super) url: Url,
    pub(super) http: reqwest::Client,
    pub(super) config: &'a config::Stream,
    pub(super) clock: Clock,
    pub(super) observer: &'a dyn Observer,
    pub(super) publisher: &'a Publisher,
    pub(super) sink: mpsc::Sender<Received>,
    pub(super) waits: Waits,
    pub(super) position: Position,
    /// Nothing further is read once it is cancelled.
    pub(super) wind_down: CancellationToken,
    /// Whether the connection proved good: it brought a good event, or it lasted.
    pub(super) good: bool,
}

/// How a connection ended.
pub(super) enum End {
    /// Worth another attempt.
    Interrupted(Interruption),
    /// For good.
    Fatal(StreamError),
    /// Another client takes over: what was read is handed on.
    WoundDown,
}

/// The host and port that a redirect points to, where they aren't the ones that were asked. Path and query are
/// left out: they can hold a secret.
fn elsewhere(url: &Url, location: Option<&HeaderValue>) -> Option<String> {
    let to = url.join(location?.to_str().ok()?).ok()?;
    let authority = |url: &Url| {
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        Some(format!("{}://{}{port}", url.scheme(), url.host_str()?))
    };
    authority(&to).filter(|to| Some(to) != authority(url).as_ref())
}

/// When the connector sent it, by its clock, where it says so.
fn sent_at(payload: &Payload) -> Option<Timestamp> {
    let seconds = match payload {
        Payload::Actions(batch) => batch.forwarded_at,
        Payload::Summary(summary) => summary.forwarded_at,
    };
    (seconds.is_finite() && seconds > 0.0).then(|| Timestamp::from_secs_f64(seconds))
}

impl Reader<'_> {
    /// Makes one connection and reads it to its end. Dropping the future at any point is safe: what
    /// was not handed on does not count as seen.
    pub(super) async fn connect_and_read(&mut self) -> End {
        self.position.connection += 1;
        self.good = false;
        self.publisher.update(|snapshot| snapshot.state = State::Connecting);
        let wind_down = self.wind_down.clone();
        let response = match wind_down.run_until_cancelled(self.connect()).await {
            Some(Ok(response)) => response,
            Some(Err(end)) => return end,
            None => return End::WoundDown,
        };
        self.observer.connected();
        self.publisher.update(|snapshot| snapshot.state = State::Connected);
        tracing::info!(stream = %self.name, resumed = self.position.last_event_id.is_some(), "stream connected");
        let since = self.clock.now();
        let end = self.read(response).await;
        if self.clock.now().since(since) >= self.config.retry_max {
            // A quiet stream that a proxy cuts now and then is not a failing one.
            self.prove_good();
        }
        end
    }

    async fn connect(&self) -> Result<Response, End> {
        let mut request = self.http.get(self.url.clone());
        if let Some(id) = &self.position.last_event_id {
            request = request.header(LAST_EVENT_ID, id);
        }
        let response = match timeout(self.config.idle_timeout, request.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                return Err(End::Interrupted(Interruption::Unanswered { cause: describe(error) }));
            }
            Err(_) => {
                return Err(End::Interrupted(Interruption::Silent {
                    after: self.config.idle_timeout,
                }));
            }
        };
        self.check(&response)?;
        Ok(response)
    }

    /// Nothing of an answer is read before this lets it pass.
    fn check(&self, response: &Response) -> Result<(), End> {
        let status = response.status();
        let stream = self.name.clone();
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {
                return Err(End::Fatal(StreamError::Refused { stream, status: status.as_u16() }));
            }
            StatusCode::NO_CONTENT => return Err(End::Fatal(StreamError::Ended { stream })),
            _ => {}
        }
        if status.is_redirection() {
            let host = elsewhere(&self.url, response.headers().get(LOCATION));
            let why = Interruption::Redirected { status: status.as_u16(), host };
            return Err(End::Interrupted(why));
        }
        // Of the other successes none brings a stream: 205 asks for a form to be cleared, 206 is a part.
        if status != StatusCode::OK {
            let honoured =
                matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
            let retry_after =
                honoured.then(|| retry_after(response.headers(), self.clock.now())).flatten();
            return Err(End::Interrupted(Interruption::Answered {
                status: status.as_u16(),
                retry_after,
            }));
        }
        let content_type =
            response.headers().get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        let essence =
            content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        if essence.eq_ignore_ascii_case(b"text/event-stream") {
            return match encoding(response.headers()) {
                None => Ok(()),
                Some(encoding) => Err(End::Interrupted(Interruption::Encoded { encoding })),
            };
        }
        let content_type = match essence {
            [] => "no content type".to_owned(),
            [..] => essence.escape_ascii().to_string().chars().take(80).collect(),
        };
        Err(End::Interrupted(Interruption::NotAStream { content_type }))
    }

    async fn read(&mut self, mut response: Response) -> End {
        let mut blocks = Blocks::new(self.config.max_event_bytes);
        let wind_down = self.wind_down.clone();
        loop {
            // Any byte shows that the connector is alive: events, heartbeats and comments alike.
            let reading = timeout(self.config.idle_timeout, response.chunk());
            let Some(read) = wind_down.run_until_cancelled(reading).await else {
                return End::WoundDown;
            };
            let chunk = match read {
                Ok(Ok(Some(chunk))) => chunk,
                Ok(Ok(None)) => return End::Interrupted(Interruption::Closed),
                Ok(Err(error)) => {
                    return End::Interrupted(Interruption::Broken { cause: describe(error) });
                }
                Err(_) => {
                    return End::Interrupted(Interruption::Silent {
                        after: self.config.idle_timeout,
                    });
                }
            };
            let mut rest = &chunk[..];
            while let Some(found) = blocks.next_in(&mut rest) {
                match found {
                    Found::Block(block) => {
                        if let Err(error) = self.take(block).await {
                            return End::Fatal(error);
                        }
                    }
                    Found::Oversized => {
                        self.publisher.count(|counters| counters.oversized += 1);
                        tracing::warn!(
                            stream = %self.name,
                            max_event_bytes = self.config.max_event_bytes,
                            "skipped an event that is too large; raise `max_event_bytes` to take it"
                        );
                    }
                }
            }
        }
    }

    async fn take(&mut self, block: Block) -> Result<(), StreamError> {
        let Some(event) = block.parse() else {
            self.count_poison(&"it can't be read as a server-sent event");
            return Ok(());
        };
        if let Some(retry) = event.retry {
            self.waits.set_initial(retry);
        }
        if event.event == "heartbeat" {
            self.note_good_event(self.clock.now());
            self.publisher.count(|counters| counters.heartbeats += 1);
        } else if block.has_data {
            let own_id = block.has_id.then_some(&*event.id);
            match parse_event(&event.data) {
                Ok(parsed) => self.hand_on(parsed, own_id, block.bytes()).await?,
                Err(error) => self.count_poison(&error),
            }
        }
        if block.has_id {
            self.keep_id(&event.id);
        }
        Ok(())
    }

    async fn hand_on(
        &mut self,
        parsed: Parsed,
        own_id: Option<&str>,
        bytes: usize,
    ) -> Result<(), StreamError> {
        let now = self.clock.now();
        self.note_good_event(now);
        let key = EventKey::new(own_id, &parsed.payload);
        let sent_at = sent_at(&parsed.payload);
        let Position { dedupe, connection, .. } = &mut self.position;
        if key.is_some_and(|key| dedupe.is_repeat(&key, *connection, now)) {
            self.publisher.count(|counters| counters.duplicates += 1);
            tracing::debug!(stream = %self.name, "skipped an event that was sent again");
            return Ok(());
        }
        if parsed.dropped_actions > 0 {
            self.publisher
                .count(|counters| counters.dropped_actions += parsed.dropped_actions as u64);
            tracing::warn!(stream = %self.name, dropped = parsed.dropped_actions, "left unusable actions out of their batch");
        }
        self.send(Received { stream: self.name.clone(), payload: parsed.payload, bytes }).await?;
        if let Some(key) = key {
            let Position { dedupe, connection, .. } = &mut self.position;
            dedupe.remember(key, *connection, now);
        }
        self.publisher.update(|snapshot| {
            snapshot.counters.events += 1;
            snapshot.lag = sent_at.map(|at| now.since(at)).or(snapshot.lag);
        });
        Ok(())
    }

    async fn send(&self, received: Received) -> Result<(), StreamError> {
        let gone = || StreamError::ReceiverGone { stream: self.name.clone() };
        let received = match self.sink.try_send(received) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Closed(_)) => return Err(gone()),
            Err(TrySendError::Full(received)) => received,
        };
        let now = self.clock.now();
        self.publisher.update(|snapshot| {
            snapshot.paused_since = Some(now);
            snapshot.counters.pauses += 1;
        });
        tracing::debug!(stream = %self.name, "paused: the receiver is full");
        let sent = self.sink.send(received).await;
        self.publisher.update(|snapshot| snapshot.paused_since = None);
        sent.map_err(|_| gone())
    }

    fn note_good_event(&mut self, now: Timestamp) {
        self.prove_good();
        self.publisher.update(|snapshot| snapshot.last_event_at = Some(now));
    }

    fn prove_good(&mut self) {
        self.good = true;
        self.waits.reset();
    }

    fn count_poison(&self, why: &dyn std::fmt::Display) {
        self.publisher.count(|counters| counters.poison += 1);
        tracing::warn!(stream = %self.name, %why, "skipped an event that can't be used");
    }

    /// An empty id clears it. One that a header can't carry leaves the one before, from which the
    /// connector repeats more than needed; the repeats are dropped.
    fn keep_id(&mut self, id: &str) {
        if id.is_empty() {
            self.position.last_event_id = None;
        } else if let (true, Ok(value)) =
            (id.len() <= MAX_ID_BYTES, HeaderValue::from_bytes(id.as_bytes()))
        {
            self.position.last_event_id = Some(value);
        } else {
            tracing::debug!(stream = %self.name, "an event id can't be used to resume");
        }
    }
}
