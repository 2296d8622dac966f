//! A place in a trace, and the spans that hang from it.

use std::sync::Arc;

use http::HeaderValue;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::{self as otlp, Status, status::StatusCode};
use sha2::{Digest, Sha256};

use super::Tracing;
use crate::clock::Timestamp;

/// The trace of one delivery. It is over when the delivery is, perhaps in another process than it began in.
pub struct Delivery {
    root: TraceContext,
}

/// A place in a trace: what a request carries on, and what further spans hang from.
#[derive(Clone)]
pub struct TraceContext {
    trace: u128,
    span: u64,
    /// Whether others are told to keep spans of it.
    is_sampled: bool,
    /// Where spans go; `None` where none are kept here.
    tracing: Option<Arc<Tracing>>,
}

/// A span that has begun. One that is dropped was never there.
pub struct Span {
    context: TraceContext,
    parent: u64,
    name: &'static str,
    kind: SpanKind,
    began: Timestamp,
    attributes: Vec<KeyValue>,
}

/// The id of a delivery's trace: its idempotency key, which is 16 bytes in hex; of any other text, its hash.
pub(super) fn trace_id(idempotency_key: &str) -> u128 {
    let mut bytes = [0; 16];
    if hex::decode_to_slice(idempotency_key, &mut bytes).is_err() {
        bytes.copy_from_slice(&Sha256::digest(idempotency_key)[..16]);
    }
    // All zeros is no id.
    u128::from_be_bytes(bytes).max(1)
}

impl Delivery {
    pub(super) fn new(trace: u128, tracing: Option<&Arc<Tracing>>) -> Self {
        // The same in each process that makes an attempt.
        let span = ((trace >> 64) as u64).max(1);
        Self {
            root: TraceContext {
                trace,
                span,
                is_sampled: tracing.is_some(),
                tracing: tracing.cloned(),
            },
        }
    }

    /// The place that attempts hang from.
    pub fn root(&self) -> &TraceContext {
        &self.root
    }

    /// The delivery is over: records the span that all others hang from.
    pub fn end(&self, since: Timestamp, attributes: &[(&'static str, &str)], error: Option<&str>) {
        let Some(tracing) = &self.root.tracing else { return };
        let attributes = attributes.iter().map(|(key, value)| attribute(key, text(value)));
        let span = Span {
            context: self.root.clone(),
            parent: 0,
            name: "delivery",
            kind: SpanKind::Internal,
            began: since,
            attributes: attributes.collect(),
        };
        span.record(tracing, tracing.clock.now(), error);
    }
}

impl TraceContext {
    pub(super) fn read(traceparent: &str, tracing: Option<&Arc<Tracing>>) -> Option<Self> {
        let mut parts = traceparent.split('-');
        let (version, trace, span, flags) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let digits = |text: &str, many: usize| {
            text.len() == many && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        let known = version == "00"
            && parts.next().is_none()
            && digits(trace, 32)
            && digits(span, 16)
            && digits(flags, 2);
        if !known {
            return None;
        }
        let trace = u128::from_str_radix(trace, 16).ok().filter(|id| *id != 0)?;
        let span = u64::from_str_radix(span, 16).ok().filter(|id| *id != 0)?;
        let is_sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
        Some(Self { trace, span, is_sampled, tracing: tracing.filter(|_| is_sampled).cloned() })
    }

    /// As W3C's `traceparent`.
    pub fn traceparent(&self) -> String {
        let flags = u8::from(self.is_sampled);
        format!("00-{:032x}-{:016x}-{flags:02x}", self.trace, self.span)
    }

    /// As the value of a header.
    pub fn header(&self) -> HeaderValue {
        HeaderValue::try_from(self.traceparent()).expect("digits and dashes are a header's value")
    }

    /// Whether spans that hang from here are kept.
    pub fn is_kept(&self) -> bool {
        self.tracing.is_some()
    }

    /// Its trace's id and its span's, in hex.
    pub fn ids(&self) -> (String, String) {
        (format!("{:032x}", self.trace), format!("{:016x}", self.span))
    }

    /// Begins a span that hangs from here; `None` where nothing is sampled.
    pub fn begin(&self, name: &'static str) -> Option<Span> {
        let began = self.tracing.as_ref()?.clock.now();
        Some(self.span(name, began))
    }

    /// Begins a span of a request to somebody else.
    pub fn begin_request(&self, name: &'static str) -> Option<Span> {
        self.begin(name).map(|span| Span { kind: SpanKind::Client, ..span })
    }

    /// Records a span that is over.
    pub fn record(&self, name: &'static str, from: Timestamp, to: Timestamp) {
        if let Some(tracing) = &self.tracing {
            self.span(name, from).record(tracing, to, None);
        }
    }

    fn span(&self, name: &'static str, began: Timestamp) -> Span {
        Span {
            context: Self { span: rand::random::<u64>().max(1), ..self.clone() },
            parent: self.span,
            name,
            kind: SpanKind::Internal,
            began,
            attributes: Vec::new(),
        }
    }
}

impl Span {
    /// What hangs from this span, or is asked in it.
    pub fn context(&self) -> &TraceContext {
        &self.context
    }

    /// Tells something of it. Nothing of a person, and no secret.
    pub fn tell(&mut self, key: &'static str, value: &str) {
        self.attributes.push(attribute(key, text(value)));
    }

    /// Tells a number of it.
    pub fn tell_number(&mut self, key: &'static str, value: i64) {
        self.attributes.push(attribute(key, any_value::Value::IntValue(value)));
    }

    /// It is over, well or with an error of this word.
    pub fn end(self, error: Option<&str>) {
        if let Some(tracing) = self.context.tracing.clone() {
            let now = tracing.clock.now();
            self.record(&tracing, now, error);
        }
    }

    fn record(self, tracing: &Tracing, ended: Timestamp, error: Option<&str>) {
        let nanos = |at: Timestamp| u64::try_from(at.0).unwrap_or(0).saturating_mul(1000);
        let mut attributes = self.attributes;
        attributes.extend(error.map(|error| attribute("error.type", text(error))));
        let parent = if self.parent == 0 { Vec::new() } else { self.parent.to_be_bytes().to_vec() };
        tracing.queue.put(otlp::Span {
            trace_id: self.context.trace.to_be_bytes().to_vec(),
            span_id: self.context.span.to_be_bytes().to_vec(),
            parent_span_id: parent,
            flags: 1,
            name: self.name.to_owned(),
            kind: self.kind.into(),
            start_time_unix_nano: nanos(self.began.min(ended)),
            end_time_unix_nano: nanos(ended),
            attributes,
            status: error
                .map(|_| Status { code: StatusCode::Error.into(), message: String::new() }),
            ..Default::default()
        });
    }
}

fn text(value: &str) -> any_value::Value {
    any_value::Value::StringValue(value.to_owned())
}

pub(super) fn attribute(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_has_its_key_as_its_trace() {
        let key = "0af7651916cd43dd8448eb211c80319c";
        assert_eq!(format!("{:032x}", trace_id(key)), key);
        assert_eq!(trace_id("00000000000000000000000000000000"), 1);
        assert_ne!(trace_id("of another form"), trace_id("of another kind"));
    }

    #[test]
    fn only_a_whole_traceparent_names_a_place() {
        let whole = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let place = TraceContext::read(whole, None).expect("it is whole");
        // It goes on as it came where nothing is traced here.
        assert_eq!(place.traceparent(), whole);
        assert!(place.begin("call").is_none());
        for odd in [
            "",
            "00",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert!(TraceContext::read(odd, None).is_none(), "{odd}");
        }
    }
}
