//! How the host stands that runs.

use serde_json::Value;
use sidenote_terminal::output::{escaped, short};

use crate::doctor::facts::{Facts, Running};
use crate::doctor::finding::Finding;

/// So long something may wait, in seconds, before somebody should look.
const LONG: f64 = 600.0;

/// Judges `/readyz` and the metrics.
pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    match &facts.running {
        None => vec![Finding::not_checked("", "no host runs at `server.listen`")],
        Some(running) => of(running),
    }
}

fn of(running: &Running) -> Vec<Finding> {
    let mut found = Vec::new();
    for (name, stream) in entries(&running.ready["streams"]) {
        let cause = escaped(stream["cause"].as_str().unwrap_or("no cause is known"));
        let subject = format!("stream {name}");
        match stream["state"].as_str() {
            Some("connected") => {}
            Some("refused" | "stopped") => found.push(Finding::error(
                subject,
                cause,
                "check the stream's `url` and `token`, then `sidenote stream retry`",
            )),
            Some(_) | None => found.push(Finding::warning(
                subject,
                format!("not connected: {cause}"),
                "it is tried again by itself; `sidenote stream retry` has it tried at once",
            )),
        }
    }
    let plugins =
        entries(&running.ready["plugins"]).map(|(name, it)| (format!("plugin {name}"), it));
    for (subject, part) in plugins.chain([("store".to_owned(), &running.ready["store"])]) {
        if part["ready"] == false {
            let cause = escaped(part["cause"].as_str().unwrap_or("no cause is known"));
            let next = "`sidenote plugin list` and the host's log say more";
            found.push(Finding::error(subject, cause, next));
        }
    }
    let Some(metrics) = &running.metrics else {
        found.push(Finding::not_checked(
            "metrics",
            "the host doesn't let us read them; give --token",
        ));
        return found;
    };
    let dead = metrics.sum("sidenote_notes_dead_total", "");
    if dead > 0.0 {
        found.push(Finding::warning(
            "dead letters",
            format!("{dead} notes became dead letters since the start"),
            "`sidenote outbox list --state dead` has the reasons; `sidenote outbox retry` sends them again",
        ));
    }
    let oldest = metrics.most("sidenote_delivery_oldest_waiting_seconds");
    if oldest > LONG {
        found.push(Finding::warning(
            "outbox",
            format!("the oldest waits for {}", short(oldest)),
            "`sidenote outbox list` says what for",
        ));
    }
    if found.is_empty() {
        found.push(Finding::ok("", "it is ready, and nothing waits for long"));
    }
    found
}

fn entries(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    object.as_object().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::doctor::facts::Metrics;
    use crate::doctor::finding::Mark;

    #[test]
    fn what_is_not_ready_what_is_dead_and_what_waits_is_told() {
        let ready = json!({
            "streams": {"a": {"state": "connected"}, "b": {"state": "refused", "cause": "401"}},
            "store": {"ready": true},
            "plugins": {"bot": {"ready": false, "cause": "it was disabled by an operator"}},
        });
        let metrics = Metrics::read(
            "sidenote_notes_dead_total 2\nsidenote_delivery_oldest_waiting_seconds{plugin=\"bot\",kind=\"note\"} 700\n",
        );
        let found = of(&Running { ready, metrics: Some(metrics), keys: None });
        let told: Vec<_> = found.iter().map(|it| (it.subject.as_str(), it.result)).collect();
        use Mark::{Error, Warning};
        let expected = [
            ("stream b", Error),
            ("plugin bot", Error),
            ("dead letters", Warning),
            ("outbox", Warning),
        ];
        assert_eq!(told, expected);
        let fine = Running { metrics: Some(Metrics::default()), ..Running::default() };
        assert_eq!(of(&fine)[0].result, Mark::Ok);
    }
}
