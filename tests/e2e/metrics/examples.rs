//! The alerts and the dashboard of `examples/monitoring` ask for metrics, labels and values that there are.

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::Value;
use sidenote::metrics::names::{ALL, Kind, Label, Metric, Values};

use super::prometheus::examples;

/// The queries of the alerts: what stands behind `expr:`, and the labels that their texts name.
fn alerts() -> Vec<String> {
    let text = std::fs::read_to_string(examples().join("alerts.yml")).expect("it is there");
    let queries = text.lines().filter_map(|line| line.trim().strip_prefix("expr: "));
    let queries: Vec<_> = queries.map(str::to_owned).collect();
    let alerts = text.lines().filter(|line| line.trim().starts_with("- alert: ")).count();
    assert_eq!(queries.len(), alerts, "each stands on one line");
    queries
}

/// The queries of the dashboard.
fn dashboard() -> Vec<String> {
    let text = std::fs::read_to_string(examples().join("grafana.json")).expect("it is there");
    let read: Value = serde_json::from_str(&text).expect("it is JSON");
    let panels = read["panels"].as_array().expect("panels").iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let mut queries: Vec<_> =
        targets.map(|target| target["expr"].as_str().expect("a query").to_owned()).collect();
    let variables = read["templating"]["list"].as_array().expect("variables").iter();
    queries.extend(variables.filter_map(|it| Some(it["query"].as_str()?.to_owned())));
    queries
}

/// The metric that has a series of this name.
fn metric(series: &str) -> Option<&'static Metric> {
    let has = |metric: &&&Metric| {
        let name = metric.full_name();
        match metric.kind {
            Kind::Histogram => {
                let rest = series.strip_prefix(&name);
                rest.is_some_and(|rest| ["_bucket", "_sum", "_count"].contains(&rest))
            }
            Kind::Counter | Kind::Gauge | Kind::Info => name == series,
        }
    };
    ALL.iter().find(has).copied()
}

fn label(metric: &Metric, name: &str) -> Option<&'static Label> {
    metric.labels.iter().find(|label| label.name == name).copied()
}

/// Says what a query asks for that isn't there. Returns the metrics that it asks for.
fn check(query: &str, wrong: &mut Vec<String>) -> Vec<&'static Metric> {
    let named = Regex::new(r"(sidenote_[a-z_]+)(?:\{([^}]*)\})?").expect("a pattern");
    let matcher = Regex::new(r#"([a-z]+)(=~|!=|=|!~)"([^"]*)""#).expect("a pattern");
    let mut asked = Vec::new();
    for found in named.captures_iter(query) {
        let Some(metric) = metric(&found[1]) else {
            wrong.push(format!("{query}: there is no {}", &found[1]));
            continue;
        };
        asked.push(metric);
        let matchers = found.get(2).map_or("", |it| it.as_str());
        for found in matcher.captures_iter(matchers) {
            let (name, values) = (&found[1], &found[3]);
            match label(metric, name).map(|label| &label.values) {
                Some(Values::OneOf(all)) => {
                    let unknown = values.split('|').filter(|value| !all.contains(value));
                    wrong.extend(unknown.map(|it| format!("{query}: {name} is never {it}")));
                }
                Some(Values::Plugins | Values::PluginsOrNot | Values::Streams) => {}
                None if ["instance", "job", "le"].contains(&name) => {}
                None => wrong.push(format!("{query}: {} has no {name}", found[1].to_owned())),
            }
        }
    }
    let grouped = Regex::new(r"by \(([^)]*)\)").expect("a pattern");
    for label in grouped
        .captures_iter(query)
        .flat_map(|it| it[1].split(',').map(|label| label.trim().to_owned()).collect::<Vec<_>>())
    {
        let there = asked.iter().any(|metric| self::label(metric, &label).is_some());
        if !there && !["instance", "le"].contains(&&*label) {
            wrong.push(format!("{query}: nothing has {label}"));
        }
    }
    asked
}

#[test]
fn the_alerts_and_the_dashboard_ask_for_what_there_is() {
    let mut wrong = Vec::new();
    for (what, queries, least) in [("alerts", alerts(), 10), ("dashboard", dashboard(), 20)] {
        let mut asked = BTreeSet::new();
        for query in &queries {
            let metrics = check(query, &mut wrong);
            assert!(
                !metrics.is_empty() || query.contains("up{") || query == "prometheus",
                "{query} asks for nothing of ours"
            );
            asked.extend(metrics.iter().map(|metric| metric.full_name()));
        }
        assert!(asked.len() >= least, "the {what} asks for {asked:?} only");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_query_for_what_is_not_there_is_found() {
    for query in [
        "sidenote_notes_posted",
        "sidenote_store_commit_seconds",
        "sidenote_store_state{state=\"lost\"}",
        "sidenote_breaker_state{state=~\"open|ajar\"}",
        "sidenote_ready{plugin=\"bot\"}",
        "sum by (session) (sidenote_notes_posted_total)",
    ] {
        let mut wrong = Vec::new();
        check(query, &mut wrong);
        assert_eq!(wrong.len(), 1, "{query}: {wrong:?}");
    }
}
