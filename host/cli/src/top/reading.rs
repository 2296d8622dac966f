//! How a host does, made of two scrapes and of what it says of its streams and plugins.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use sidenote::http::PluginsReport;
use sidenote::metrics::names::{self, Metric};
use sidenote::plugin::Health;

use super::scrape::Scrape;

/// How a host does.
#[derive(Debug, Serialize)]
pub(super) struct Reading {
    /// When, in seconds since the Unix epoch.
    pub(super) at: f64,
    /// What is told per second is of so many seconds.
    pub(super) of_seconds: f64,
    /// Whether `/readyz` says so.
    pub(super) ready: bool,
    pub(super) engine: Engine,
    pub(super) streams: Vec<Stream>,
    pub(super) plugins: Vec<Plugin>,
}

#[derive(Debug, Serialize)]
pub(super) struct Engine {
    pub(super) actions_per_second: f64,
    pub(super) notes_per_second: f64,
    pub(super) commit_p99_seconds: Option<f64>,
    pub(super) waiting: f64,
    pub(super) oldest_waiting_seconds: f64,
    pub(super) inbox_inputs: f64,
    pub(super) inbox_bytes: f64,
    pub(super) dead_letters: f64,
    pub(super) store: String,
    pub(super) store_bytes: Option<f64>,
}

#[derive(Debug, Serialize)]
pub(super) struct Stream {
    pub(super) name: String,
    pub(super) state: String,
    pub(super) events_per_second: f64,
    pub(super) lag_seconds: Option<f64>,
    pub(super) last_event_age_seconds: Option<f64>,
    pub(super) cause: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Plugin {
    pub(super) name: String,
    pub(super) state: &'static str,
    pub(super) breaker: Option<String>,
    pub(super) calls_per_second: f64,
    pub(super) p50_seconds: Option<f64>,
    pub(super) p99_seconds: Option<f64>,
    /// Calls that didn't succeed since the host started, by what came of them.
    pub(super) failed: BTreeMap<String, f64>,
    pub(super) waiting: f64,
    pub(super) oldest_waiting_seconds: f64,
}

/// What a host says at one moment.
pub(super) struct Said {
    /// When it was asked, in seconds since the Unix epoch.
    pub(super) at: f64,
    pub(super) scrape: Scrape,
    pub(super) ready: Value,
    pub(super) plugins: PluginsReport,
}

impl Reading {
    /// From what was said before, and what is said now.
    pub(super) fn of(before: &Said, now: &Said) -> Self {
        let of = Since { before: &before.scrape, now: &now.scrape, seconds: now.at - before.at };
        let streams = now.ready["streams"].as_object();
        let streams = streams.into_iter().flatten().map(|(name, said)| of.stream(name, said));
        let configured = now.plugins.plugins.iter();
        let configured = configured.filter(|it| it.state.health != Health::NotConfigured);
        let plugin = |it: &sidenote::http::PluginReport| {
            of.plugin(it.state.name.as_ref(), health(it.state.health), it.breaker.clone())
        };
        Self {
            at: now.at,
            of_seconds: of.seconds,
            ready: now.ready["status"] == "ready",
            engine: of.engine(),
            streams: streams.collect(),
            plugins: configured.map(plugin).collect(),
        }
    }
}

/// Two scrapes.
struct Since<'a> {
    before: &'a Scrape,
    now: &'a Scrape,
    seconds: f64,
}

impl Since<'_> {
    fn engine(&self) -> Engine {
        let sum = |metric: &Metric| self.now.sum(&metric.full_name(), &[]);
        let store = names::STORE_STATE.full_name();
        let mut states = self.now.all(&store, &[]);
        let store = states.find(|series| series.value == 1.0).map(|series| series.label("state"));
        Engine {
            actions_per_second: self.rate(&names::ACTIONS_ACCEPTED, &[]),
            notes_per_second: self.rate(&names::NOTES_POSTED, &[]),
            commit_p99_seconds: self.quantile(&names::COMMIT_TIME, &[], 0.99),
            waiting: sum(&names::WAITING),
            oldest_waiting_seconds: self.oldest(&[]),
            inbox_inputs: sum(&names::INBOX_INPUTS),
            inbox_bytes: sum(&names::INBOX_BYTES),
            dead_letters: sum(&names::NOTES_DEAD),
            store: store.unwrap_or("?").to_owned(),
            store_bytes: self.now.one(&names::STORE_BYTES.full_name(), &[]),
        }
    }

    fn stream(&self, name: &str, said: &Value) -> Stream {
        let labels = [("stream", name)];
        let text = |name: &str| said[name].as_str().map(str::to_owned);
        Stream {
            name: name.to_owned(),
            state: text("state").unwrap_or_else(|| "?".to_owned()),
            events_per_second: self.rate(&names::STREAM_EVENTS, &labels),
            lag_seconds: self.now.one(&names::STREAM_LAG.full_name(), &labels),
            last_event_age_seconds: said["last_event_age_seconds"].as_f64(),
            cause: text("cause"),
        }
    }

    fn plugin(&self, name: &str, state: &'static str, breaker: Option<String>) -> Plugin {
        let labels = [("plugin", name)];
        let mut failed = BTreeMap::new();
        for series in self.now.all(&names::PLUGIN_CALLS.full_name(), &labels) {
            let outcome = series.label("outcome");
            if outcome != "answered" && series.value > 0.0 {
                *failed.entry(outcome.to_owned()).or_default() += series.value;
            }
        }
        Plugin {
            name: name.to_owned(),
            state,
            breaker,
            calls_per_second: self.rate(&names::PLUGIN_CALLS, &labels),
            p50_seconds: self.quantile(&names::PLUGIN_CALL_TIME, &labels, 0.5),
            p99_seconds: self.quantile(&names::PLUGIN_CALL_TIME, &labels, 0.99),
            failed,
            waiting: self.now.sum(&names::WAITING.full_name(), &labels),
            oldest_waiting_seconds: self.oldest(&labels),
        }
    }

    fn oldest(&self, labels: &[(&str, &str)]) -> f64 {
        let all = names::OLDEST_WAITING.full_name();
        self.now.all(&all, labels).map(|series| series.value).fold(0.0, f64::max)
    }

    /// How much counters grew, per second.
    fn rate(&self, metric: &Metric, labels: &[(&str, &str)]) -> f64 {
        let name = metric.full_name();
        let (before, now) = (self.before.sum(&name, labels), self.now.sum(&name, labels));
        if self.seconds > 0.0 { grown(before, now) / self.seconds } else { 0.0 }
    }

    /// The value below which such a part of what was measured between the scrapes lies; where nothing was, of all that
    /// was since the host started.
    fn quantile(&self, metric: &Metric, labels: &[(&str, &str)], part: f64) -> Option<f64> {
        let family = metric.full_name();
        let (before, now) =
            (self.before.buckets(&family, labels), self.now.buckets(&family, labels));
        let total = |buckets: &[(f64, f64)]| buckets.last().map_or(0.0, |(_, count)| *count);
        let is_again = total(&now) < total(&before);
        let count_before = |bound: f64| {
            let found = before.iter().find(|(other, _)| *other == bound);
            found.filter(|_| !is_again).map_or(0.0, |(_, count)| *count)
        };
        let lately: Vec<_> =
            now.iter().map(|(bound, count)| (*bound, count - count_before(*bound))).collect();
        quantile(&lately, part).or_else(|| quantile(&now, part))
    }
}

/// How much a counter grew. One that is lower than before began again from 0 with a new process.
fn grown(before: f64, now: f64) -> f64 {
    if now < before { now } else { now - before }
}

/// As Prometheus' `histogram_quantile`: evenly spread within a bucket; in the last one, its lower bound.
fn quantile(buckets: &[(f64, f64)], part: f64) -> Option<f64> {
    let (_, total) = buckets.last()?;
    if *total <= 0.0 {
        return None;
    }
    let rank = part * total;
    let at = buckets.iter().position(|(_, count)| *count >= rank)?;
    let (bound, count) = buckets[at];
    let (low, below) = if at == 0 { (0.0, 0.0) } else { buckets[at - 1] };
    if bound.is_infinite() || count <= below {
        return Some(low);
    }
    Some(low + (bound - low) * (rank - below) / (count - below))
}

fn health(health: Health) -> &'static str {
    match health {
        Health::Loaded => "loaded",
        Health::Compiling => "compiling",
        Health::NotConfigured => "not configured",
        Health::Failed => "failed",
        Health::Unhealthy => "unhealthy",
        Health::HeldBack => "held back",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn since<'a>(before: &'a Scrape, now: &'a Scrape) -> Since<'a> {
        Since { before, now, seconds: 2.0 }
    }

    #[test]
    fn a_rate_is_of_what_counters_grew_by_and_survives_a_restart() {
        let name = names::ACTIONS_ACCEPTED.full_name();
        let scrape = |count: u64| Scrape::read(&format!("{name} {count}\n")).unwrap();
        for (before, now, rate) in [(10, 16, 3.0), (10, 10, 0.0), (10, 4, 2.0), (0, 2, 1.0)] {
            let (before, now) = (scrape(before), scrape(now));
            assert_eq!(since(&before, &now).rate(&names::ACTIONS_ACCEPTED, &[]), rate);
        }
        let (none, one) = (Scrape::default(), scrape(8));
        assert_eq!(since(&none, &one).rate(&names::ACTIONS_ACCEPTED, &[]), 4.0);
    }

    #[test]
    fn a_quantile_is_of_what_was_measured_lately() {
        let family = names::COMMIT_TIME.full_name();
        let scrape = |low: u64, all: u64| {
            let text = format!(
                "{family}_bucket{{le=\"0.1\"}} {low}\n{family}_bucket{{le=\"0.2\"}} {all}\n{family}_bucket{{le=\"+Inf\"}} {all}\n"
            );
            Scrape::read(&text).unwrap()
        };
        let median = |before: &Scrape, now: &Scrape| {
            since(before, now).quantile(&names::COMMIT_TIME, &[], 0.5).unwrap()
        };
        let (before, now) = (scrape(10, 10), scrape(10, 14));
        assert!((median(&before, &now) - 0.15).abs() < 1e-9, "only the four that are new");
        assert!((median(&now, &now) - 0.07).abs() < 1e-9, "nothing is new: all of them");
        assert!((median(&now, &before) - 0.05).abs() < 1e-9, "a new process: all of them");
        assert_eq!(since(&now, &now).quantile(&names::SYNC_TIME, &[], 0.5), None);
    }

    #[test]
    fn what_lies_beyond_the_last_bound_is_said_to_be_at_it() {
        assert_eq!(quantile(&[(0.1, 1.0), (f64::INFINITY, 2.0)], 0.99), Some(0.1));
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(quantile(&[(0.1, 0.0), (f64::INFINITY, 0.0)], 0.5), None);
    }
}
