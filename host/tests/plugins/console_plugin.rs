//! The console: notes into the host's log where nothing is granted. What is granted goes to the standard
//! output of a process: see `tests/e2e/console.rs`.

use sidenote::clock::Clock;
use sidenote::config;
use sidenote::traces::Traces;

use crate::guests::{plugin, post, registry};
use crate::log::Log;

#[tokio::test]
async fn without_the_grant_a_note_goes_to_the_log() {
    let registry = registry([("console", plugin("sidenote_console.wasm"))]).await;
    let log = Log::of_this_thread();
    assert_eq!(post(&registry, "console", "clicked Pay").await.unwrap().note_id, None);
    let text = log.text();
    let line = text.lines().find(|line| line.contains("sidenote::guest")).unwrap();
    assert!(line.contains(r#""body":"clicked Pay""#), "{text}");
}

#[tokio::test]
async fn a_line_of_a_traced_call_says_where_in_which_trace() {
    let endpoint = "http://127.0.0.1:9/v1/traces".parse().unwrap();
    let (token, headers, service_name) = (None, Default::default(), "s".to_owned());
    let config = config::Traces { endpoint, token, headers, sample: 1.0, service_name };
    let (traces, _) = Traces::of(&config, Clock::system()).unwrap();
    let plain = registry([("console", plugin("sidenote_console.wasm"))]).await;
    let traced = registry([("console", plugin("sidenote_console.wasm"))]).await.with_traces(traces);
    for (registry, is_traced) in [(plain, false), (traced, true)] {
        let log = Log::as_json();
        post(&registry, "console", "clicked Pay").await.unwrap();
        let text = log.text();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        let guest = |line: &serde_json::Value| line["target"] == "sidenote::guest";
        let line: serde_json::Value = lines.into_iter().find(guest).expect("the note is there");
        let (trace, span) = (&line["span"]["trace_id"], &line["span"]["span_id"]);
        // The call's own place is below the attempt's.
        let attempt = "b7ad6b7169203331";
        let known = span.as_str().is_some_and(|id| id.len() == 16 && id != attempt);
        assert_eq!((trace == "0af7651916cd43dd8448eb211c80319c", known), (is_traced, is_traced));
    }
}
