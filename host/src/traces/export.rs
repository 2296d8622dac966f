//! Spans on their way to the collector: a bounded queue, and the task that sends what is in it. Nobody waits for it: what
//! doesn't fit is lost and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::backoff::Backoff;
use crate::clock::Clock;
use crate::http_client::{describe, retry_after};
use crate::telemetry::Refusals;

/// Spans that wait at most.
const WAITING: usize = 4096;
/// Spans of one request at most.
const BATCH: usize = 512;
/// How long spans wait for others at most.
const GATHER: Duration = Duration::from_secs(1);
/// How often a request is tried where the collector asks for that.
const TRIES: u32 = 5;
/// How long a request may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long the spans of a host that ends may take.
const LAST: Duration = Duration::from_secs(2);
/// Most bytes of an answer.
const ANSWER: usize = 64 << 10;
const PAUSES: Backoff = Backoff { initial: Duration::from_secs(1), max: Duration::from_secs(15) };

/// How many spans became what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpanTotals {
    /// The collector has them.
    pub sent: u64,
    /// Too many waited.
    pub dropped: u64,
    /// The collector refused them, or couldn't be reached.
    pub failed: u64,
}

/// Spans that wait.
pub(super) struct Queue {
    spans: mpsc::Sender<Span>,
    sent: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
}

impl Queue {
    /// A queue, and what is put in.
    pub(super) fn new() -> (Arc<Self>, mpsc::Receiver<Span>) {
        let (spans, receiver) = mpsc::channel(WAITING);
        let (sent, dropped, failed) = Default::default();
        (Arc::new(Self { spans, sent, dropped, failed }), receiver)
    }

    /// Puts a span in, or loses it.
    pub(super) fn put(&self, span: Span) {
        if self.spans.try_send(span).is_err() {
            self.dropped.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn totals(&self) -> SpanTotals {
        SpanTotals {
            sent: self.sent.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            failed: self.failed.load(Relaxed),
        }
    }
}

/// Sends what is in a queue.
pub struct Exporter {
    pub(super) queue: Arc<Queue>,
    pub(super) spans: mpsc::Receiver<Span>,
    pub(super) client: reqwest::Client,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) resource: Resource,
    pub(super) clock: Clock,
}

/// Why spans weren't accepted.
struct Refused {
    /// Whether it may be tried again, and when the collector says so.
    again: bool,
    asked: Option<Duration>,
    cause: String,
}

impl Exporter {
    /// Sends spans until it is told to stop, and then those that wait.
    pub async fn run(mut self, stop: CancellationToken) {
        let (refusals, mut batch) = (Refusals::default(), Vec::new());
        while stop.run_until_cancelled(gather(&mut self.spans, &mut batch)).await.is_some() {
            if batch.is_empty() {
                return;
            }
            let (many, body) = self.request(std::mem::take(&mut batch));
            let sent = match stop.run_until_cancelled(self.send(&body, TRIES)).await {
                Some(sent) => sent,
                None => self.send_last(&body).await,
            };
            self.count(sent, many, &refusals);
        }
        while let Ok(span) = self.spans.try_recv() {
            batch.push(span);
        }
        if !batch.is_empty() {
            let (many, body) = self.request(batch);
            let sent = self.send_last(&body).await;
            self.count(sent, many, &refusals);
        }
    }

    fn count(&self, sent: Result<(), Refused>, many: u64, refusals: &Refusals) {
        let Err(Refused { cause, .. }) = sent else {
            self.queue.sent.fetch_add(many, Relaxed);
            return;
        };
        self.queue.failed.fetch_add(many, Relaxed);
        refusals.say("traces", "collector", &cause, || {
            tracing::warn!(
                spans = many,
                "traces: the collector doesn't have these spans: {cause}; they are lost. Check `endpoint` and `token` in [traces]"
            );
        });
    }

    /// How many spans there are, and the request's body with them.
    fn request(&self, spans: Vec<Span>) -> (u64, Bytes) {
        let many = spans.len() as u64;
        let spans = ScopeSpans { spans, ..Default::default() };
        let resource_spans = vec![ResourceSpans {
            resource: Some(self.resource.clone()),
            scope_spans: vec![spans],
            ..Default::default()
        }];
        (many, ExportTraceServiceRequest { resource_spans }.encode_to_vec().into())
    }

    /// Sends spans of a host that ends: twice at most, and quickly.
    async fn send_last(&self, body: &Bytes) -> Result<(), Refused> {
        let late = |_| Refused { again: false, asked: None, cause: "the host ends".to_owned() };
        tokio::time::timeout(LAST, self.send(body, 2)).await.map_err(late).flatten()
    }

    async fn send(&self, body: &Bytes, tries: u32) -> Result<(), Refused> {
        let mut attempt = 1;
        loop {
            match self.send_once(body.clone()).await {
                Err(refused) if refused.again && attempt < tries => {
                    let pause = PAUSES.pause(attempt, refused.asked, rand::random());
                    tokio::time::sleep(pause).await;
                    attempt += 1;
                }
                sent => return sent,
            }
        }
    }

    async fn send_once(&self, body: Bytes) -> Result<(), Refused> {
        let away = |error| Refused { again: true, asked: None, cause: describe(error) };
        let request = self.client.post(self.url.clone()).headers(self.headers.clone());
        let request = request.header(CONTENT_TYPE, PROTOBUF).timeout(TIMEOUT).body(body);
        let mut answer = request.send().await.map_err(away)?;
        let (status, mut bytes) = (answer.status(), Vec::new());
        let asked = retry_after(answer.headers(), self.clock.now());
        while let Some(piece) = answer.chunk().await.map_err(away)? {
            bytes.extend_from_slice(&piece);
            if bytes.len() > ANSWER {
                break;
            }
        }
        if !status.is_success() {
            let again = matches!(
                status,
                StatusCode::TOO_MANY_REQUESTS
                    | StatusCode::BAD_GATEWAY
                    | StatusCode::SERVICE_UNAVAILABLE
                    | StatusCode::GATEWAY_TIMEOUT
            );
            return Err(Refused { again, asked, cause: format!("it answers {status}") });
        }
        let rejected = ExportTraceServiceResponse::decode(&*bytes)
            .ok()
            .and_then(|answer| answer.partial_success)
            .map_or(0, |partial| partial.rejected_spans);
        if rejected > 0 {
            let cause = format!("it rejects {rejected} of them");
            return Err(Refused { again: false, asked: None, cause });
        }
        Ok(())
    }
}

/// Waits for spans and puts some into `batch`; none where there will be no more. Nothing is lost where it is cancelled.
async fn gather(spans: &mut mpsc::Receiver<Span>, batch: &mut Vec<Span>) {
    let Some(first) = spans.recv().await else { return };
    batch.push(first);
    let full = async {
        while batch.len() < BATCH
            && let Some(span) = spans.recv().await
        {
            batch.push(span);
        }
    };
    // Time is up: what there is goes.
    tokio::time::timeout(GATHER, full).await.unwrap_or_default();
}

const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
