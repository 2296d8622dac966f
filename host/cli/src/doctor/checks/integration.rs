//! What autoplay-sdk has its integrators check: events arrive, they name product and session, webhooks link.

use sidenote_terminal::output::short;

use crate::doctor::facts::{Facts, Metrics};
use crate::doctor::finding::Finding;

/// A connector sends a heartbeat well within this time, in seconds.
const QUIET: f64 = 300.0;

/// Judges what a running host has counted.
pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let Some(running) = &facts.running else {
        let why = "no host runs; `sidenote smoke-test` tries a stream without one";
        return vec![Finding::not_checked("", why)];
    };
    let mut found = events(&running.ready);
    if let Some(metrics) = &running.metrics {
        found.extend(counted(metrics));
    }
    found
}

fn events(ready: &serde_json::Value) -> Vec<Finding> {
    let streams = ready["streams"].as_object().into_iter().flatten();
    let one = |(name, stream): (&String, &serde_json::Value)| {
        let subject = format!("events of stream {name}");
        match stream["last_event_age_seconds"].as_f64() {
            None => Finding::warning(
                subject,
                "none came since the start, no heartbeat either",
                "check `url` and `token` with `sidenote smoke-test`, and use the product in a browser meanwhile",
            ),
            Some(age) if age > QUIET => Finding::warning(
                subject,
                format!("the last came {} ago", short(age)),
                "a connector sends heartbeats: see whether it works, and whether a proxy holds events back",
            ),
            Some(age) => Finding::ok(subject, format!("the last came {} ago", short(age))),
        }
    };
    streams.map(one).collect()
}

fn counted(metrics: &Metrics) -> Vec<Finding> {
    let accepted = metrics.sum("sidenote_actions_accepted_total", "");
    let dropped =
        |why: &str| metrics.sum("sidenote_actions_dropped_total", &format!("reason=\"{why}\""));
    let mut found = Vec::new();
    for (why, subject, next) in [
        (
            "no_session",
            "session ids",
            "have the activity source set one: without it nothing can be linked",
        ),
        (
            "unknown_product",
            "product ids",
            "add the product's table [products.ID], or correct `product_id` in the connector",
        ),
    ] {
        let lost = dropped(why);
        found.push(match (lost > 0.0, accepted > 0.0) {
            (true, false) => {
                Finding::error(subject, format!("none of {lost} actions has a usable one"), next)
            }
            (true, true) => {
                Finding::warning(subject, format!("{lost} actions have no usable one"), next)
            }
            (false, true) => Finding::ok(subject, "every action has one"),
            (false, false) => Finding::not_checked(subject, "no action came since the start"),
        });
    }
    let links = metrics.sum("sidenote_links_total", "outcome=\"made\"");
    let claimed = metrics.sum("sidenote_webhooks_unlinked_total", "reason=\"claimed\"");
    let nobody = metrics.sum("sidenote_webhooks_unlinked_total", "reason=\"unresolved\"");
    let next = match claimed > nobody {
        true => "nothing vouches for who writes: see the book, \"Whom to believe\"",
        false => {
            "the activity source and the platform must know people by the same user id or address"
        }
    };
    found.push(match (links > 0.0, claimed + nobody > 0.0) {
        (true, _) => Finding::ok("webhooks", format!("{links} sessions were linked to conversations")),
        (false, true) => Finding::warning(
            "webhooks",
            format!("{} webhooks came and linked nothing", claimed + nobody),
            next,
        ),
        (false, false) => Finding::warning(
            "webhooks",
            "no session was linked since the start",
            "enter https://YOUR-HOST/webhooks/PLUGIN at the platform, and write to the support as a user",
        ),
    });
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::doctor::finding::Mark;

    #[test]
    fn silence_is_told_by_the_age_of_the_last_event() {
        let of = |age: serde_json::Value| {
            events(&json!({"streams": {"s": {"last_event_age_seconds": age}}}))[0].result
        };
        assert_eq!(
            [of(json!(null)), of(json!(301.0)), of(json!(3.0))],
            [Mark::Warning, Mark::Warning, Mark::Ok]
        );
    }

    #[test]
    fn ids_and_links_are_judged_by_what_was_counted() {
        let of = |text: &str| {
            counted(&Metrics::read(text)).iter().map(|it| it.result).collect::<Vec<_>>()
        };
        use Mark::{Error, NotChecked, Ok, Warning};
        assert_eq!(of(""), [NotChecked, NotChecked, Warning]);
        let fine = "sidenote_actions_accepted_total 5\nsidenote_links_total{outcome=\"made\"} 1\n";
        assert_eq!(of(fine), [Ok, Ok, Ok]);
        let lost = "sidenote_actions_dropped_total{reason=\"no_session\"} 5\nsidenote_webhooks_unlinked_total{reason=\"claimed\"} 2\n";
        assert_eq!(of(lost), [Error, NotChecked, Warning]);
    }
}
