//! What the metrics are at one moment, and both forms in which that is told.

use std::borrow::Cow;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit as TextUnit};

use super::names::{ALL, Kind, Metric, PREFIX, Unit, Values};
use crate::histogram::Distribution;

/// What the metrics are at one moment.
#[derive(Debug, Default)]
pub struct Scrape(Vec<Sample>);

/// One series.
#[derive(Debug)]
struct Sample {
    metric: &'static Metric,
    labels: Labels,
    value: Value,
}

type Labels = Vec<(&'static str, Cow<'static, str>)>;

#[derive(Debug)]
enum Value {
    Count(u64),
    Level(f64),
    Times(Distribution),
    Told,
}

/// A form in which it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format, 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl Format {
    /// The form as an answer's `content-type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

impl Scrape {
    /// A counter. The labels' values are in the order of the metric's labels.
    pub fn count(&mut self, metric: &'static Metric, labels: &[&str], total: u64) {
        debug_assert_eq!(metric.kind, Kind::Counter, "{}", metric.full_name());
        self.add(metric, labels, Value::Count(total));
    }

    /// A gauge.
    pub fn level(&mut self, metric: &'static Metric, labels: &[&str], level: f64) {
        debug_assert_eq!(metric.kind, Kind::Gauge, "{}", metric.full_name());
        self.add(metric, labels, Value::Level(level));
    }

    /// A gauge for each value of its last label: 1 for this one, 0 for the others.
    pub fn state(&mut self, metric: &'static Metric, labels: &[&str], state: &str) {
        let Some(Values::OneOf(states)) = metric.labels.last().map(|label| &label.values) else {
            debug_assert!(false, "{} has no states", metric.full_name());
            return;
        };
        debug_assert!(states.contains(&state), "{} is never {state}", metric.full_name());
        for other in *states {
            let labels: Vec<_> = labels.iter().copied().chain([*other]).collect();
            self.level(metric, &labels, f64::from(u8::from(*other == state)));
        }
    }

    /// A histogram.
    pub fn times(&mut self, metric: &'static Metric, labels: &[&str], times: Distribution) {
        debug_assert_eq!(metric.kind, Kind::Histogram, "{}", metric.full_name());
        self.add(metric, labels, Value::Times(times));
    }

    /// What its labels tell.
    pub fn tell(&mut self, metric: &'static Metric, labels: &[&str]) {
        debug_assert_eq!(metric.kind, Kind::Info, "{}", metric.full_name());
        self.add(metric, labels, Value::Told);
    }

    fn add(&mut self, metric: &'static Metric, values: &[&str], value: Value) {
        debug_assert_eq!(metric.labels.len(), values.len(), "{}", metric.full_name());
        let labels = metric.labels.iter().zip(values);
        let labels = labels.map(|(label, value)| {
            if let Values::OneOf(all) = label.values {
                debug_assert!(all.contains(value), "{} is never {value}", label.name);
            }
            (label.name, Cow::Owned((*value).to_owned()))
        });
        self.0.push(Sample { metric, labels: labels.collect(), value });
    }

    /// The text of it.
    ///
    /// # Errors
    /// A number that can't be written: none is.
    pub fn encode(self, format: Format) -> Result<String, fmt::Error> {
        let mut registry = Registry::with_prefix(PREFIX);
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        match format {
            Format::Prometheus => {
                prometheus_client::encoding::prometheus_text::encode(&mut text, &registry)?;
            }
            Format::OpenMetrics => {
                prometheus_client::encoding::text::encode(&mut text, &registry)?;
            }
        }
        Ok(text)
    }
}

impl Collector for Scrape {
    /// What nothing is known of has no lines.
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for metric in ALL {
            let mut samples =
                self.0.iter().filter(|it| std::ptr::eq(it.metric, *metric)).peekable();
            if samples.peek().is_none() {
                continue;
            }
            let kind = match metric.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Histogram => MetricType::Histogram,
                Kind::Info => MetricType::Info,
            };
            let unit = metric.unit.map(|unit| match unit {
                Unit::Seconds => TextUnit::Seconds,
                Unit::Bytes => TextUnit::Bytes,
            });
            let mut encoder =
                encoder.encode_descriptor(metric.short_name(), metric.help, unit.as_ref(), kind)?;
            for sample in samples {
                sample.encode(&mut encoder)?;
            }
        }
        Ok(())
    }
}

impl Sample {
    fn encode(&self, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
        if let Value::Told = self.value {
            return encoder.encode_info(&self.labels);
        }
        // An empty set is written as none.
        let mut encoder = encoder.encode_family(&self.labels)?;
        match &self.value {
            Value::Count(total) => encoder.encode_counter::<NoLabelSet, _, f64>(total, None),
            Value::Level(level) => encoder.encode_gauge(level),
            Value::Times(times) => {
                let buckets: Vec<_> = times.buckets().collect();
                let (sum, count) = (times.seconds(), times.count());
                encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
            }
            Value::Told => Ok(()),
        }
    }
}
