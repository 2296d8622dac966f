//! A collector of spans, strict about what OTLP and the trace context ask for.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message;

pub use opentelemetry_proto::tonic::trace::v1::Span;

/// A collector that runs until it is dropped.
pub struct Collector {
    addr: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    _task: tokio::task::JoinSet<()>,
}

#[derive(Default)]
struct Seen {
    /// What every request must have in `authorization`.
    token: String,
    /// As many requests are answered 503 first.
    refused: usize,
    requests: usize,
    spans: Vec<Span>,
    /// Of the resource.
    service: BTreeMap<String, String>,
    /// What was wrong.
    faults: Vec<String>,
}

impl Collector {
    /// A collector on a free port, which answers this many requests with 503 before it takes any.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn start(token: &str, refused: usize) -> Self {
        let seen = Seen { token: format!("Bearer {token}"), refused, ..Seen::default() };
        let seen = Arc::new(Mutex::new(seen));
        let routes = Router::new().route("/v1/traces", post(take)).with_state(seen.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("it is bound");
        let mut task = tokio::task::JoinSet::new();
        task.spawn(async move { axum::serve(listener, routes).await.expect("it serves") });
        Self { addr, seen, _task: task }
    }

    /// Where spans go.
    pub fn endpoint(&self) -> String {
        format!("http://{}/v1/traces", self.addr)
    }

    /// The spans of a trace, by its id in hex.
    ///
    /// # Panics
    /// When something that came was wrong.
    pub fn trace(&self, id: &str) -> Vec<Span> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(seen.faults.is_empty(), "{:?}", seen.faults);
        seen.spans.iter().filter(|span| hex::encode(&span.trace_id) == id).cloned().collect()
    }

    /// All that came, as text, to look for what must not be in it.
    pub fn text(&self) -> String {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        format!("{:?}{:?}", seen.spans, seen.service)
    }

    /// What the spans say they come from, and the requests so far.
    pub fn service(&self) -> (BTreeMap<String, String>, usize) {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        (seen.service.clone(), seen.requests)
    }
}

/// What a span tells under a key; a number as text.
pub fn told(span: &Span, key: &str) -> Option<String> {
    let value = span.attributes.iter().find(|it| it.key == key)?.value.as_ref()?;
    text(value)
}

async fn take(
    State(seen): State<Arc<Mutex<Seen>>>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, Vec<u8>) {
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    seen.requests += 1;
    let header = |name| headers.get(name).and_then(|it| it.to_str().ok()).unwrap_or_default();
    if header("authorization") != seen.token {
        seen.faults.push("another token".to_owned());
        return (StatusCode::UNAUTHORIZED, Vec::new());
    }
    if header("content-type") != "application/x-protobuf" {
        seen.faults.push(format!("content-type {}", header("content-type")));
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, Vec::new());
    }
    if seen.refused > 0 {
        seen.refused -= 1;
        return (StatusCode::SERVICE_UNAVAILABLE, Vec::new());
    }
    match ExportTraceServiceRequest::decode(body) {
        Err(error) => seen.faults.push(error.to_string()),
        Ok(request) => request.resource_spans.into_iter().for_each(|of| {
            let resource = of.resource.unwrap_or_default();
            let told = resource.attributes.into_iter();
            seen.service.extend(told.filter_map(|it| Some((it.key, text(&it.value?)?))));
            for span in of.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                let odd = odd(&span, &seen.spans);
                seen.faults.extend(odd);
                seen.spans.push(span);
            }
        }),
    }
    (StatusCode::OK, ExportTraceServiceResponse::default().encode_to_vec())
}

fn text(value: &AnyValue) -> Option<String> {
    if let Value::StringValue(text) = value.value.as_ref()? {
        return Some(text.clone());
    }
    if let Value::IntValue(number) = value.value.as_ref()? {
        return Some(number.to_string());
    }
    panic!("{value:?} is neither a text nor a number");
}

/// What is wrong with a span, after these.
fn odd(span: &Span, before: &[Span]) -> Option<String> {
    let ids = span.trace_id.len() == 16
        && span.span_id.len() == 8
        && matches!(span.parent_span_id.len(), 0 | 8)
        && [&span.trace_id, &span.span_id].iter().all(|id| id.iter().any(|byte| *byte != 0));
    let twice = before.iter().any(|it| it.trace_id == span.trace_id && it.span_id == span.span_id);
    let times =
        span.start_time_unix_nano > 0 && span.start_time_unix_nano <= span.end_time_unix_nano;
    let fine = ids && !twice && times && !span.name.is_empty() && span.kind > 0;
    (!fine).then(|| format!("{span:?}"))
}
