//! What holds of every name, and both texts of a scrape in which every metric is.

use std::collections::{BTreeMap, BTreeSet};

use super::names::{ALL, Kind, Metric, Values};
use super::{Format, Scrape};
use crate::histogram::Histogram;

/// Every metric with every value of its labels, where `names` are configured.
fn full(names: &[&str]) -> (Scrape, usize) {
    let (mut scrape, mut series) = (Scrape::default(), 0);
    for metric in ALL {
        for values in combinations(metric, names) {
            let values: Vec<_> = values.iter().map(String::as_str).collect();
            match metric.kind {
                Kind::Counter => scrape.count(metric, &values, 7),
                Kind::Gauge => scrape.level(metric, &values, 1.5),
                Kind::Histogram => {
                    let histogram = Histogram::default();
                    histogram.observe(std::time::Duration::from_millis(3));
                    scrape.times(metric, &values, histogram.distribution());
                }
                Kind::Info => scrape.tell(metric, &values),
            }
            series += 1;
        }
    }
    (scrape, series)
}

fn combinations(metric: &Metric, names: &[&str]) -> Vec<Vec<String>> {
    let mut all = vec![Vec::new()];
    for label in metric.labels {
        let values: Vec<&str> = match label.values {
            Values::Plugins | Values::PluginsOrNot | Values::Streams => names.to_vec(),
            Values::OneOf(values) => values.to_vec(),
        };
        let longer = |before: &Vec<String>| {
            let before = before.clone();
            values.iter().map(move |value| [&before[..], &[(*value).to_owned()]].concat())
        };
        all = all.iter().flat_map(longer).collect();
    }
    all
}

#[test]
fn names_and_labels_are_as_prometheus_wants_them() {
    let mut names = BTreeSet::new();
    for metric in ALL {
        let name = metric.full_name();
        let plain = |text: &str| {
            text.bytes().all(|it| it.is_ascii_lowercase() || it == b'_' || it.is_ascii_digit())
        };
        assert!(plain(&name) && !name.contains("__"), "{name}");
        let family = metric.family();
        for suffix in ["_total", "_info", "_count", "_sum", "_bucket", "_created"] {
            assert!(!family.ends_with(suffix), "{name}: the suffix comes by itself");
        }
        assert!(names.insert(name.clone()), "{name} is there twice");
        assert!(metric.help.ends_with('.') && !metric.help.contains(['\n', '\\', '|']), "{name}");
        let labels: BTreeSet<_> = metric.labels.iter().map(|label| label.name).collect();
        assert_eq!(labels.len(), metric.labels.len(), "{name} has a label twice");
        assert!(labels.iter().all(|label| plain(label) && *label != "le"), "{name}");
        for label in metric.labels {
            if let Values::OneOf(values) = label.values {
                let distinct: BTreeSet<_> = values.iter().collect();
                assert_eq!(distinct.len(), values.len(), "{name}: {}", label.name);
            }
        }
    }
}

/// What a label can be is configured, or stands in `names`; here is how many series that makes at most.
#[test]
fn the_number_of_series_is_bounded_by_the_configuration() {
    let of = |names: &[&str]| full(names).1;
    let (none, one, two) = (of(&[]), of(&["a"]), of(&["a", "b"]));
    assert_eq!(two - one, one - none, "it grows with what is configured, and no faster");
    assert!(none < 200, "{none} series without a plugin or a stream");
    assert!(one - none < 200, "{} series for a stream and a plugin", one - none);
}

#[test]
fn both_texts_have_every_series_once() {
    for format in [Format::Prometheus, Format::OpenMetrics] {
        let (scrape, series) = full(&["first", "second-bot"]);
        let text = scrape.encode(format).unwrap();
        let mut kinds = BTreeMap::new();
        let (mut seen, mut helped) = (BTreeSet::new(), BTreeSet::new());
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert!(kinds.insert(name, kind).is_none(), "{name} begins twice");
            } else if let Some(rest) = line.strip_prefix("# HELP ") {
                assert!(helped.insert(rest.split_once(' ').unwrap().0), "{rest}");
            } else if !line.starts_with('#') {
                let (labelled, number) = line.rsplit_once(' ').unwrap();
                number.parse::<f64>().unwrap_or_else(|_| panic!("{line}"));
                assert!(seen.insert(labelled), "{labelled} is there twice");
            }
        }
        assert_eq!(kinds.len(), ALL.len());
        assert_eq!(helped.len(), ALL.len());
        let of_many = |name: &str| name.ends_with("_bucket") || name.ends_with("_sum");
        let is_one = |series: &&&str| !series.split('{').next().is_some_and(of_many);
        assert_eq!(seen.iter().filter(is_one).count(), series, "{text}");
        for metric in ALL {
            // OpenMetrics names the family, the older format the series.
            let open = format == Format::OpenMetrics;
            let family = if open { metric.family() } else { metric.full_name() };
            assert!(kinds.contains_key(&*family), "{family}");
            let name = match metric.kind {
                Kind::Histogram => metric.full_name() + "_bucket",
                Kind::Counter | Kind::Gauge | Kind::Info => metric.full_name(),
            };
            let is_it = |series: &&str| series.split('{').next() == Some(&name);
            assert!(seen.iter().any(is_it), "{name}");
        }
        assert_eq!(text.ends_with("# EOF\n"), format == Format::OpenMetrics);
    }
}

#[test]
fn a_histogram_is_told_with_growing_buckets_up_to_all_of_them() {
    let histogram = Histogram::default();
    [1, 2, 40].into_iter().for_each(|ms| histogram.observe(std::time::Duration::from_millis(ms)));
    let mut scrape = Scrape::default();
    scrape.times(&super::names::COMMIT_TIME, &[], histogram.distribution());
    let text = scrape.encode(Format::Prometheus).unwrap();
    for line in [
        "# TYPE sidenote_store_commit_seconds histogram",
        "sidenote_store_commit_seconds_bucket{le=\"0.001\"} 1",
        "sidenote_store_commit_seconds_bucket{le=\"0.0025\"} 2",
        "sidenote_store_commit_seconds_bucket{le=\"0.05\"} 3",
        "sidenote_store_commit_seconds_bucket{le=\"+Inf\"} 3",
        "sidenote_store_commit_seconds_sum 0.043",
        "sidenote_store_commit_seconds_count 3",
    ] {
        assert!(text.lines().any(|it| it == line), "{line}: {text}");
    }
}

#[test]
fn the_page_of_the_book_is_that_of_the_names() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/src/operators/metrics.md");
    let page = super::page::page();
    if std::env::var_os("SIDENOTE_METRICS").is_some_and(|what| what == "write") {
        std::fs::write(path, &page).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == page,
        "docs/src/operators/metrics.md isn't what the names make of it: SIDENOTE_METRICS=write writes it again"
    );
}
