//! `outbox retry` and `outbox purge` with no host running.

use serde_json::{Value, json};
use sidenote::store::Table;

use super::filled::Filled;

#[tokio::test]
async fn a_dry_run_shows_what_would_be_done_and_changes_nothing() {
    let filled = Filled::store().await;
    let before = filled.rows().await;
    let run = filled.outbox(&["purge", "--state", "dead", "--dry-run"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    insta::assert_snapshot!("purge_dry_run", run.shown_in(filled.folder()));
    for (args, shown, words) in [
        (
            &["retry", "--all", "--dry-run"][..],
            6,
            "5 notes would be queued to be sent again; nothing was changed",
        ),
        (
            &["purge", "--all", "--dry-run", "--yes", "--json"],
            5,
            "5 notes would be purged; nothing was changed",
        ),
        (
            &["retry", "--plugin", "other", "--dry-run"],
            0,
            "no note matches; nothing would be changed",
        ),
    ] {
        let run = filled.outbox(args);
        assert_eq!((run.code, run.stdout.lines().count()), (0, shown), "{args:?}: {}", run.stderr);
        assert_eq!(run.stderr.lines().last(), Some(words), "{args:?}");
    }
    assert!(filled.rows().await == before, "a dry run has changed rows");
}

#[tokio::test]
async fn what_is_not_said_clearly_is_refused_and_changes_nothing() {
    let filled = Filled::store().await;
    let before = filled.rows().await;
    for (args, words) in [
        (&["retry"][..], "--all"),
        (&["purge", "--yes"], "--all"),
        (&["purge", "--dry-run"], "--all"),
        (&["purge", "--state", "dead"], "--yes"),
        (&["purge", "--all"], "--yes"),
        (&["retry", "--all", "--state", "dead"], "cannot be used with"),
        (&["retry", "--all", "--older-than", "2h"], "cannot be used with"),
        (&["retry", "--all", "--limit", "5"], "unexpected argument"),
        (&["retry", "--state", "gone"], "the states are due, in_flight"),
        (&["retry", "--older-than", "2"], "units: s, m, h, d"),
        (&["retry", "--session", ""], "it is empty"),
        (&["list", "--limit", "0"], "from 1 to 1000000"),
        (&["list", "--offline", "--host", "https://a.example"], "cannot be used with"),
        (&["list", "--host", "http://a.example:8787"], "https://"),
        (&["list", "--host", "https://u:hunter2@a.example"], "credentials"),
        (&["list", "--host", "ftp://127.0.0.1"], "https:// or http://"),
        (&[], "Usage"),
    ] {
        let run = filled.outbox(args);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{args:?}: {}", run.stderr);
        assert!(run.stderr.contains(words), "{args:?}: {}", run.stderr);
    }
    std::fs::write(filled.config(), "[server]\nlistn = 1").unwrap();
    assert_eq!(filled.outbox(&["purge", "--all", "--yes"]).code, 2, "a wrong configuration");
    assert!(filled.rows().await == before, "a refused command has changed rows");
}

#[tokio::test]
async fn a_retry_queues_dead_letters_and_what_waits_is_due() {
    let filled = Filled::store().await;
    let run = filled.outbox(&["retry", "--state", "dead", "--json"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let value: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(value, json!({"action": "retry", "matched": 1, "done": 1, "unreadable": 0}));
    assert_eq!(run.stderr.lines().last(), Some("1 note queued to be sent again"));
    assert!(
        run.stderr.contains("by=\"cli\"") && run.stderr.contains("state=dead"),
        "{}",
        run.stderr
    );
    let listed = filled.outbox(&["list", "--session", "refused"]);
    assert!(listed.stdout.contains("due"), "{}", listed.stdout);
    assert_eq!(of(&filled, Table::Dead).await, 0);

    let run = filled.outbox(&["retry", "--session", "failing"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let listed = filled.outbox(&["list", "--session", "failing", "--json"]);
    let states: Vec<Value> =
        listed.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(states.iter().all(|note| note["state"] == "due"), "{}", listed.stdout);
}

#[tokio::test]
async fn a_purge_removes_what_is_meant_and_nothing_else() {
    let filled = Filled::store().await;
    assert_eq!((of(&filled, Table::Outbox).await, of(&filled, Table::Dead).await), (4, 1));
    let run = filled.outbox(&["purge", "--reason", "503", "--state", "dead", "--yes"]);
    assert_eq!((run.code, run.stdout.as_str()), (0, ""), "{}", run.stderr);
    assert_eq!(run.stderr.lines().last(), Some("1 note purged"));
    assert!(!run.stderr.contains("503: no"), "a reason may tell of a person: {}", run.stderr);
    assert_eq!((of(&filled, Table::Outbox).await, of(&filled, Table::Dead).await), (4, 0));
    let run = filled.outbox(&["purge", "--product", "q", "--yes"]);
    assert_eq!(run.stderr.lines().last(), Some("2 notes purged"));
    assert_eq!(of(&filled, Table::Outbox).await, 2);
    let run = filled.outbox(&["purge", "--product", "q", "--yes"]);
    assert_eq!(run.code, 0);
    assert_eq!(run.stderr.lines().last(), Some("no note matches; nothing was changed"));
    // A note whose attempt was cut by a crash isn't being posted while no host runs.
    let run = filled.outbox(&["purge", "--all", "--yes"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!((of(&filled, Table::Outbox).await, of(&filled, Table::Attempt).await), (0, 0));
}

async fn of(filled: &Filled, table: Table) -> usize {
    filled.rows().await.iter().filter(|(key, _)| key.table == table).count()
}
