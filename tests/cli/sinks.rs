//! Sinks at the command line: tried out, called, listed.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sidenote_tests::{components, test_guests};

use crate::connector::{Connector, Step};
use crate::sidenote::{Run, sidenote};

/// Flaws, and the checks that find each; the first ones of `swallows-refusals` and `gives-up-at-once`.
const FLAWS: &[(&str, &[&str])] = &[
    ("none", &[]),
    (
        "sends-nothing",
        &["failed posts a batch", "warning takes a batch", "warning takes a huge batch"],
    ),
    ("posts-twice", &["failed posts a batch", "failed takes a batch", "failed takes a huge batch"]),
    ("makes-up-keys", &["failed the same key again"]),
    ("swaps", &["failed takes a huge batch"]),
    ("cuts", &["failed takes a huge batch"]),
    ("traps-on-nul", &["failed characters that aren't seen"]),
    (
        "swallows-refusals",
        &["failed answer 400", "failed answer 401", "failed answer 429", "failed answer 500"],
    ),
    ("gives-up-at-once", &["failed answer 401", "failed answer 429", "failed connection refused"]),
];

fn text(path: &Path) -> &str {
    path.to_str().expect("paths of the tests are text")
}

fn test(file: &Path, more: &[&str]) -> Run {
    sidenote(&[&["plugin", "test", text(file)], more].concat(), &[])
}

/// The checks, as `result name`.
fn checks(run: &Run) -> Vec<String> {
    let report: Value = serde_json::from_str(&run.stdout).expect("one JSON object");
    let checks = report["checks"].as_array().expect("a list");
    let word = |value: &Value| value.as_str().expect("a text").to_owned();
    checks.iter().map(|it| format!("{} {}", word(&it["result"]), word(&it["name"]))).collect()
}

#[test]
fn a_sink_is_held_to_what_a_writer_is_held_to_and_flaws_are_found() {
    let file = test_guests().join("guest_sink.wasm");
    let run = |flaw| test(&file, &["--set", &format!("flaw={flaw}"), "--json"]);
    // A run waits for most of its time.
    let runs: Vec<Run> = std::thread::scope(|scope| {
        let runs: Vec<_> = FLAWS.iter().map(|(flaw, _)| scope.spawn(move || run(*flaw))).collect();
        runs.into_iter().map(|run| run.join().expect("the run ends")).collect()
    });
    for ((flaw, wanted), run) in FLAWS.iter().zip(runs) {
        let failed = wanted.iter().any(|check| check.starts_with("failed"));
        assert_eq!(run.code, i32::from(failed), "{flaw}: {}", run.shown());
        let checks = checks(&run);
        for check in *wanted {
            assert!(checks.iter().any(|it| it == check), "{flaw}, {check}: {}", run.shown());
        }
    }
}

#[test]
fn the_sink_of_lines_passes_and_nothing_is_left_out_but_what_is_of_conversations() {
    let run = test(&components().join("jsonl-http.wasm"), &["--set", "bearer=true", "--json"]);
    assert_eq!(run.code, 0, "{}", run.shown());
    let checks = checks(&run);
    let skipped: Vec<_> = checks.iter().filter_map(|it| it.strip_prefix("skipped ")).collect();
    assert!(
        checks.iter().all(|it| it.starts_with("ok ") || it.starts_with("skipped ")),
        "{checks:?}"
    );
    assert!(checks.iter().filter(|it| it.starts_with("ok ")).count() > 35, "{checks:?}");
    for kept in ["posts a batch", "answer 429", "no answer before the deadline", "takes a summary"]
    {
        assert!(!skipped.contains(&kept), "{skipped:?}");
    }
}

fn call(folder: &Path, address: &str, function: &str, more: &[&str]) -> Run {
    let component: PathBuf = components().join("jsonl-http.wasm");
    let config = folder.join("plugin.toml");
    let toml = format!(
        "[plugins.jsonl-http.config]\nurl = \"{address}/lines\"\n\
         [plugins.jsonl-http.grants]\nhosts = [\"{address}\"]\nprivate = true\n"
    );
    std::fs::write(&config, toml).expect("a file");
    let args = ["plugin", "call", text(&component), function, "--config", text(&config)];
    sidenote(&[&args, more].concat(), &[])
}

#[test]
fn a_batch_and_a_summary_are_handed_over_and_what_comes_of_it_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let taken = "HTTP/1.1 204 No Content\r\n\r\n";
    let refused = "HTTP/1.1 429 Too Many\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n";
    let with = |answer: &str, function: &str, more: &[&str]| {
        let warehouse = Connector::start(vec![Step::Send(answer.as_bytes().to_vec())]);
        let address = format!("http://{}", warehouse.address);
        let run = call(folder.path(), &address, function, more);
        (run, warehouse.request())
    };
    let (run, request) = with(taken, "write-actions", &["--text", "paid", "--key", "k1"]);
    assert_eq!((run.code, run.stdout.as_str()), (0, "accepted\n"), "{}", run.shown());
    assert!(request.to_lowercase().contains("idempotency-key: k1"), "{request}");
    let (run, _) = with(taken, "write-summary", &["--text", "they paid", "--json"]);
    let json: Value = serde_json::from_str(&run.stdout).expect("one JSON object");
    assert_eq!((run.code, &json["ok"]), (0, &json!(true)), "{}", run.shown());
    let (run, _) = with(refused, "write-actions", &[]);
    let wanted = "it isn't accepted: rate-limited, 429: the platform answered 429; the host sends it again after 7 s, not before";
    assert_eq!(run.code, 1);
    assert!(run.stdout.starts_with(wanted), "{}", run.shown());
    let (run, _) = with(refused, "write-summary", &["--json"]);
    let json: Value = serde_json::from_str(&run.stdout).expect("one JSON object");
    assert_eq!((&json["kind"], &json["retry_after_ms"]), (&json!("rate-limited"), &json!(7000)));
}

#[test]
fn a_dry_run_shows_the_lines() {
    let folder = tempfile::tempdir().expect("a folder");
    let more = ["--dry-run", "--text", "paid", "--key", "k1"];
    let run = call(folder.path(), "http://127.0.0.1:9", "write-actions", &more);
    assert_eq!(run.code, 0, "{}", run.shown());
    for part in ["> POST /lines\n", "> idempotency-key: k1\n", "\"description\":\"paid\""] {
        assert!(run.stdout.contains(part), "{part}: {}", run.shown());
    }
}

#[test]
fn what_a_sink_exports_is_shown() {
    let file = components().join("jsonl-http.wasm");
    let run = sidenote(&["plugin", "inspect", text(&file)], &[]);
    assert_eq!(run.code, 0, "{}", run.shown());
    assert!(run.stdout.contains("sink"), "{}", run.shown());
    assert!(!run.stdout.contains("writer"), "{}", run.shown());
}
