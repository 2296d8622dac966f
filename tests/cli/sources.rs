//! Sources at the command line: tried out, begun, held to their contract.

use std::path::Path;

use serde_json::{Value, json};
use sidenote_tests::{components, test_guests};

use crate::sidenote::{Run, sidenote};

/// Flaws, and the checks that find each.
const FLAWS: &[(&str, &[&str])] = &[
    ("none", &[]),
    ("panics-on-garbage", &["failed a source is sent garbage", "failed a source is sent nothing"]),
    ("new-ids", &["failed a source reads two"]),
    ("odd-status", &["failed a source reads two"]),
];

fn text(path: &Path) -> &str {
    path.to_str().expect("paths of the tests are text")
}

fn write(folder: &Path, name: &str, content: &str) -> String {
    let file = folder.join(name);
    std::fs::write(&file, content).expect("it is written");
    text(&file).to_owned()
}

/// The checks, as `result name`.
fn checks(run: &Run) -> Vec<String> {
    let report: Value = serde_json::from_str(&run.stdout).expect("one JSON object");
    let checks = report["checks"].as_array().expect("a list");
    let word = |value: &Value| value.as_str().expect("a text").to_owned();
    checks.iter().map(|it| format!("{} {}", word(&it["result"]), word(&it["name"]))).collect()
}

#[test]
fn a_source_is_sent_what_anybody_can_send_and_flaws_are_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let body =
        json!([{"id": "1", "name": "Paid", "user": "u"}, {"id": "2", "name": "Left", "user": "u"}]);
    let sample = write(folder.path(), "two.json", &json!({ "body": body }).to_string());
    let file = test_guests().join("guest_source.wasm");
    let run = |flaw: &str| {
        let set = format!("flaw={flaw}");
        sidenote(
            &["plugin", "test", text(&file), "--webhook", &sample, "--set", &set, "--json"],
            &[],
        )
    };
    let runs: Vec<Run> = std::thread::scope(|scope| {
        let runs: Vec<_> = FLAWS.iter().map(|(flaw, _)| scope.spawn(move || run(flaw))).collect();
        runs.into_iter().map(|run| run.join().expect("the run ends")).collect()
    });
    for ((flaw, wanted), run) in FLAWS.iter().zip(runs) {
        assert_eq!(run.code, i32::from(!wanted.is_empty()), "{flaw}: {}", run.shown());
        let checks = checks(&run);
        for check in *wanted {
            assert!(checks.iter().any(|it| it == check), "{flaw}, {check}: {}", run.shown());
        }
    }
}

#[test]
fn the_first_party_sources_pass_the_contract_suite() {
    for (file, set) in [("events.wasm", &[][..]), ("autoplay.wasm", &["--set", "url={mock}"])] {
        let file = components().join(file);
        let run = sidenote(&[&["plugin", "test", text(&file), "--json"], set].concat(), &[]);
        assert_eq!(run.code, 0, "{}", run.shown());
        let of_sources = checks(&run).iter().filter(|it| it.starts_with("ok a source")).count();
        assert_eq!(of_sources, 8, "{}", run.shown());
    }
}

/// A configuration with the source `events`.
fn configured(folder: &Path) -> String {
    let plugins = components();
    let config = format!(
        r#"
plugins_folder = {plugins:?}
[plugins.events.source.keys.website]
key = "pk"
product = "acme"
[plugins.console]
[products.acme]
plugins = ["console"]
"#
    );
    write(folder, "sidenote.toml", &config)
}

#[test]
fn a_recorded_request_is_told_as_lines_with_what_is_left_out_and_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = configured(folder.path());
    let events = json!([
        {"name": "Invoice Exported", "user": "u-1", "session": "s-1", "properties": {"format": "csv", "n": 7}},
        {"kind": "identity", "user": "u-1", "session": "s-1", "email": "ann@example.com"},
        {"name": "Heartbeat", "user": "u-1", "session": "s-1"},
        {"nmae": "Paid"},
    ]);
    let body = write(folder.path(), "body.json", &events.to_string());
    let rules = write(folder.path(), "words.toml", "[[rules]]\nname = 'Heart*'\ndrop = true\n");
    let tried =
        |args: &[&str]| sidenote(&[&["sources", "try", "--config", &config], args].concat(), &[]);
    let run = tried(&[&body]);
    assert_eq!(run.code, 0, "{}", run.shown());
    assert!(
        run.stdout.contains(
            "acme/s-1 (u-1, ann@example.com)\n  Invoice Exported (format csv)\n  Heartbeat\n"
        ),
        "{}",
        run.shown()
    );
    assert!(run.stderr.contains("a host would answer 401"), "{}", run.shown());
    assert!(run.stderr.contains("left out, 1 ×: nmae"), "{}", run.shown());
    let run = tried(&[&body, "--rules", &rules, "--source", "events"]);
    assert!(!run.stdout.contains("Heartbeat"), "{}", run.shown());
    assert!(run.stderr.contains("left out, 1 ×: dropped by a rule"), "{}", run.shown());

    let recorded = json!({
        "method": "POST", "path": "/", "query": "writeKey=pk", "headers": {"Content-Type": "text/plain"},
        "received_at_ms": 1_700_000_000_000_u64, "body_text": events.to_string(),
    });
    let recorded = write(folder.path(), "recorded.json", &recorded.to_string());
    let run = tried(&[&recorded, "--json"]);
    let told: Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!(
        (&told["key"], &told["status"]),
        (&json!("website"), &json!(200)),
        "{}",
        run.shown()
    );
    let actions = told["sessions"][0]["actions"].as_array().expect("a list");
    assert_eq!(actions[0]["timestamp_start"], 1_700_000_000.0);
    assert!(!run.stderr.contains("a host would answer"), "{}", run.shown());
}

#[test]
fn what_cant_be_tried_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = configured(folder.path());
    let body = write(folder.path(), "body.json", "no");
    let odd = write(folder.path(), "words.toml", "[[rules]]\ncolour = 'red'\n");
    for (args, wanted) in [
        (&[&*body][..], "line 1, column 2: it is no JSON"),
        (&[&*body, "--source", "other"], "has no source `other`; it has events"),
        (&["no-such-file"], "no-such-file can't be read"),
        (&[&*body, "--rules", &odd], "rules[0]"),
        (&[&*body, "--path", "/more"], "there is nothing at this path"),
    ] {
        let run = sidenote(&[&["sources", "try", "--config", &config], args].concat(), &[]);
        assert_eq!(run.code, 1, "{}", run.shown());
        assert!(run.stderr.contains(wanted), "{wanted}: {}", run.shown());
    }
}

#[test]
fn check_tells_of_sources_that_nobody_can_send_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = configured(folder.path());
    let checked = |text: &str| {
        let file = write(folder.path(), "sidenote.toml", text);
        sidenote(&["check", "--config", &file], &[])
    };
    let text = std::fs::read_to_string(config).expect("it was written");
    let run = checked(&text);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{}", run.shown());
    let key = "[plugins.events.source.keys.website]\nkey = \"pk\"\nproduct = \"acme\"\n";
    let streams = "[streams.main]\nurl = \"https://connector.example.com/stream/acme\"\n";
    let run = checked(&text.replace(key, "[plugins.events.source]\n"));
    assert!(run.stderr.contains("it has no key, so that nothing is accepted"), "{}", run.shown());
    let run = checked(&text.replace(key, &format!("[plugins.events]\n{streams}")));
    assert!(run.stderr.contains("nothing is accepted at its address"), "{}", run.shown());
    assert_eq!(run.code, 0, "{}", run.shown());
    let run = checked(
        &text.replace("[plugins.console]", "[plugins.console.source]\nask_when_opened = true"),
    );
    assert!(run.stderr.contains("doesn't export `source`"), "{}", run.shown());
    assert_eq!(run.code, 1, "{}", run.shown());
}

#[test]
fn a_source_is_begun_in_rust() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("rust");
    let new = ["plugin", "new", "my-own", "--kind", "source", "--dir", text(&place), "--lang"];
    let run = sidenote(&[&new[..], &["rust"]].concat(), &[]);
    assert_eq!(run.code, 0, "{}", run.shown());
    for needed in ["src/lib.rs", "INTERFACE.md", "wit/source.wit", "sidenote-plugin/src/source.rs"]
    {
        assert!(place.join(needed).is_file(), "{needed}");
    }
    let check = ["check", "--config", text(&place.join("sidenote.toml"))].map(str::to_owned);
    let check: Vec<&str> = check.iter().map(String::as_str).collect();
    let run = sidenote(&check, &[("SHOP_KEY", "k")]);
    assert!(run.stderr.contains("my-own.wasm"), "it is yet to be built: {}", run.shown());
    let other = folder.path().join("go");
    let new =
        ["plugin", "new", "my-own", "--kind", "source", "--dir", text(&other), "--lang", "go"];
    let run = sidenote(&new, &[]);
    assert_ne!(run.code, 0);
    assert!(run.stderr.contains("no template of a source") && !other.exists(), "{}", run.shown());
}
