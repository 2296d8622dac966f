//! The book's page of the metrics, made of `names`.
//!
//! `SIDENOTE_METRICS=write cargo test -p sidenote --lib metrics` writes it again.

use std::fmt::Write;

use super::names::{ALL, Kind, Label, Metric, NOT_CONFIGURED, Values};

/// What stands before the tables.
const HEAD: &str = "\
<!-- Made from host/src/metrics/names.rs by `SIDENOTE_METRICS=write cargo test -p sidenote --lib metrics`: change that \
file, not this one. -->

# Every metric

[`GET /metrics`](watching.md#metrics) returns these. A histogram `NAME` has the series `NAME_bucket`, `NAME_sum` and \
`NAME_count`. Counters begin at 0 with each start of the process. A metric without a value has no series: the store's file \
with a store that has none, an export that was never called.
";

/// The page.
pub(super) fn page() -> String {
    let mut page = HEAD.to_owned();
    let mut group = "";
    for metric in ALL {
        if metric.group != group {
            group = metric.group;
            add(
                &mut page,
                format_args!(
                    "\n## {group}\n\n| metric | kind | labels | meaning |\n|---|---|---|---|\n"
                ),
            );
        }
        let labels: Vec<_> = metric.labels.iter().map(|label| words(label)).collect();
        let (name, kind) = (metric.full_name(), kind(metric));
        let labels = labels.join("; ");
        add(&mut page, format_args!("| `{name}` | {kind} | {labels} | {} |\n", metric.help));
    }
    page
}

fn add(page: &mut String, text: std::fmt::Arguments<'_>) {
    page.write_fmt(text).expect("a text takes what is written to it");
}

fn kind(metric: &Metric) -> &'static str {
    match metric.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
        Kind::Info => "info",
    }
}

fn words(label: &Label) -> String {
    let values = match label.values {
        Values::Plugins => "a configured plugin".to_owned(),
        Values::PluginsOrNot => format!("a configured plugin, or `{NOT_CONFIGURED}`"),
        Values::Streams => "a configured stream".to_owned(),
        Values::OneOf(values) => {
            values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ")
        }
    };
    format!("`{}`: {values}", label.name)
}
