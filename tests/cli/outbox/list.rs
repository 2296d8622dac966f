//! `outbox list` with no host running.

use serde_json::{Value, json};
use sidenote::store::Table;
use sidenote_tests::world::embedded;

use super::filled::{Filled, PERSONAL};
use crate::sidenote::Run;

#[tokio::test]
async fn a_list_says_where_every_note_stands() {
    let filled = Filled::store().await;
    let run = filled.outbox(&["list"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    insta::assert_snapshot!("list", run.shown_in(filled.folder()));
    for personal in PERSONAL {
        assert!(!run.stdout.contains(personal) && !run.stderr.contains(personal), "{personal}");
    }
}

#[tokio::test]
async fn json_is_one_object_per_note_of_a_stable_shape() {
    let filled = Filled::store().await;
    let run = filled.outbox(&["list", "--json"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let mut shape = String::new();
    for line in run.stdout.lines() {
        let mut note: Value = serde_json::from_str(line).expect("a line is an object");
        let (sealed, age) =
            (note["sealed_at"].as_f64().unwrap(), note["age_seconds"].as_f64().unwrap());
        assert!(sealed > 1.7e9 && (300.0..20_000.0).contains(&age), "{line}");
        assert_eq!(note["idempotency_key"].as_str().map(str::len), Some(32), "{line}");
        for field in
            ["sealed_at", "age_seconds", "waits_until", "dead_lettered_at", "idempotency_key"]
        {
            if !note[field].is_null() {
                note[field] = json!(format!("[{field}]"));
            }
        }
        shape.push_str(&format!("{note:#}\n"));
    }
    insta::assert_snapshot!("list_json", shape);
    assert!(PERSONAL.iter().all(|personal| !run.stdout.contains(personal)), "{}", run.stdout);
    assert!(run.stderr.contains("no host runs"), "what is said goes to stderr: {}", run.stderr);
}

#[tokio::test]
async fn every_filter_is_understood() {
    let filled = Filled::store().await;
    for (args, expected) in [
        (&[][..], "flying limited failing failing refused"),
        (&["--state", "dead"], "refused"),
        (&["--state", "due,in_flight"], "flying failing"),
        (&["--state", "held_until", "--state", "retry_at"], "limited failing"),
        (&["--state", "given_up"], ""),
        (&["--product", "q"], "failing failing"),
        (&["--session", "failing"], "failing failing"),
        (&["--product", "p", "--session", "failing"], ""),
        (&["--plugin", "bot", "--conversation", "c-2"], "limited"),
        (&["--plugin", "other"], ""),
        (&["--reason", "503"], "limited failing refused"),
        (&["--reason", "503", "--state", "dead,given_up"], "refused"),
        (&["--reason", "404"], ""),
        (&["--older-than", "2h"], "limited failing failing refused"),
        (&["--newer-than", "2h"], "flying"),
        (&["--older-than", "2h", "--newer-than", "3h"], ""),
        (&["--limit", "2"], "flying limited"),
    ] {
        let run = filled.outbox(&[&["list", "--json"], args].concat());
        assert_eq!(run.code, 0, "{args:?}: {}", run.stderr);
        assert_eq!(sessions(&run).join(" "), expected, "{args:?}");
        let last = run.stderr.lines().last().unwrap_or_default();
        let words = match sessions(&run).len() {
            0 => "no note matches".to_owned(),
            1 => "1 note".to_owned(),
            2 if args[0] == "--limit" => "2 notes, and 3 more: raise --limit, or filter".to_owned(),
            count => format!("{count} notes"),
        };
        assert_eq!(last, words, "{args:?}");
    }
}

#[tokio::test]
async fn the_text_is_shown_only_where_it_is_asked_for() {
    let filled = Filled::store().await;
    let run = filled.outbox(&["list", "--show-text", "--state", "dead"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stdout.contains("    | [1] Typed a secret"), "{}", run.stdout);
    assert!(PERSONAL[1..].iter().all(|personal| !run.stdout.contains(personal)), "{}", run.stdout);
    let run = filled.outbox(&["list", "--show-text", "--json"]);
    for line in run.stdout.lines() {
        let note: Value = serde_json::from_str(line).expect("a line is an object");
        assert!(note["text"].as_str().is_some_and(|text| text.contains(PERSONAL[0])), "{line}");
    }
}

#[tokio::test]
async fn listing_changes_nothing() {
    let filled = Filled::store().await;
    let before = filled.rows().await;
    assert!(before.len() > 10, "{} rows", before.len());
    for args in [&["list"][..], &["list", "--show-text", "--json"], &["list", "--offline"]] {
        assert_eq!(filled.outbox(args).code, 0);
    }
    assert!(filled.rows().await == before, "a list has changed rows");
}

#[tokio::test]
async fn rows_that_cannot_be_read_are_passed_over_and_said() {
    let filled = Filled::store().await;
    let garbage = [
        (Table::Outbox, "a", "a", 1, "{"),
        (Table::Outbox, "p", "zzz", 1, "not JSON \u{1b}[2J"),
        (Table::Attempt, "q", "failing", 2, "[]"),
        (Table::Dead, "p", "a", 1, "{\"note\": null}"),
    ];
    filled.put(&garbage).await;
    let run = filled.outbox(&["list", "--json"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!(sessions(&run), ["flying", "limited", "failing", "failing", "refused"]);
    assert!(run.stderr.contains("4 rows can't be read and were passed over"), "{}", run.stderr);
    assert!(!run.stderr.contains('\u{1b}'), "{}", run.stderr);
}

#[tokio::test]
async fn a_store_that_cannot_be_read_is_said_with_the_way_out() {
    let filled = Filled::empty();
    let run = filled.outbox(&["list"]);
    assert_eq!((run.code, run.stdout.as_str()), (1, ""));
    assert!(run.stderr.contains("isn't there"), "{}", run.stderr);
    assert!(!filled.path().exists(), "listing makes no store");

    let filled = Filled::store().await;
    let holding = embedded(&filled.path()).await;
    for args in [&["list"][..], &["list", "--offline"], &["purge", "--all", "--yes"]] {
        let run = filled.outbox(args);
        assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{args:?}");
        assert!(run.stderr.contains("open in another process"), "{args:?}: {}", run.stderr);
        assert!(run.stderr.contains("host"), "{args:?}: {}", run.stderr);
    }
    drop(holding);

    let memory = [("SIDENOTE__STORE__KIND", "memory")];
    let config = std::fs::read_to_string(filled.config()).unwrap();
    std::fs::write(filled.config(), config.replace("path = \"sidenote.redb\"", "")).unwrap();
    for args in [&["list"][..], &["list", "--offline"]] {
        let run = filled.outbox_with(args, &memory);
        assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{args:?}");
        assert!(run.stderr.contains("kept in memory"), "{args:?}: {}", run.stderr);
    }
}

/// The sessions of the notes of a list in JSON.
fn sessions(run: &Run) -> Vec<String> {
    let session = |line: &str| {
        let note: Value = serde_json::from_str(line).expect("a line is an object");
        note["session"].as_str().expect("a note has a session").to_owned()
    };
    run.stdout.lines().map(session).collect()
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_is_no_error() {
    let filled = Filled::store().await;
    for format in [&[][..], &["--json"]] {
        let mut child = std::process::Command::new(sidenote_tests::binary())
            .args(["outbox", "list"])
            .args(format)
            .args(["--config", &filled.config().display().to_string()])
            .env_clear()
            .env("API_TOKEN", super::filled::TOKEN)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("the binary runs");
        // As `head` does when it has what it wants.
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        assert!(!said.contains("panicked") && !said.contains("error"), "{said}");
    }
}
