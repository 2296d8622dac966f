//! `outbox show`, `timeline` and `resend` with no host running.

use serde_json::{Value, json};
use sidenote::clock::Clock;
use sidenote::session::payload::{Action, ActionsPayload};
use sidenote::store::Table;

use super::filled::{Filled, PERSONAL};
use crate::sidenote::Run;

fn json(run: &Run) -> Vec<Value> {
    run.stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line is an object"))
        .collect()
}

#[tokio::test]
async fn a_delivery_says_what_was_tried_and_what_comes_next() {
    let filled = Filled::store().await;
    let before = filled.rows().await;
    for (id, state, attempts) in [
        ("p/refused/1", "dead", vec![("invalid", "dead")]),
        ("p/limited/1", "held_until", vec![("rate_limited", "again")]),
        ("q/failing/1", "retry_at", vec![("transient", "again")]),
        ("q/failing/2", "due", vec![]),
        ("p/flying/1", "in_flight", vec![("under_way", "waits")]),
    ] {
        let run = filled.outbox(&["show", id, "--json"]);
        assert_eq!(run.code, 0, "{}", run.stderr);
        let shown = &json(&run)[0];
        assert_eq!((&shown["id"], &shown["state"]), (&json!(id), &json!(state)));
        let told = shown["attempts"].as_array().expect("a list").iter();
        let told: Vec<_> = told.map(|it| (it["status"].clone(), it["decision"].clone())).collect();
        let wanted: Vec<_> =
            attempts.iter().map(|(status, decision)| (json!(status), json!(decision))).collect();
        assert_eq!(told, wanted, "{id}");
        // For people the same in lines.
        let run = filled.outbox(&["show", id]);
        assert_eq!(run.code, 0, "{}", run.stderr);
        assert!(run.stdout.contains(id) && run.stdout.contains(state), "{}", run.stdout);
        assert!(attempts.iter().all(|(status, _)| run.stdout.contains(status)), "{}", run.stdout);
        for personal in PERSONAL {
            assert!(!run.stdout.contains(personal) && !run.stderr.contains(personal), "{personal}");
        }
    }
    let run = filled.outbox(&["show", "p/refused/1", "--show-text"]);
    assert!(run.stdout.contains("    | [1] Typed a secret"), "{}", run.stdout);
    assert!(filled.rows().await == before, "looking changes nothing");
}

#[tokio::test]
async fn a_list_is_of_one_delivery_where_its_id_is_named() {
    let filled = Filled::store().await;
    let run = filled.outbox(&["list", "--json", "--id", "q/failing/2"]);
    let ids: Vec<_> = json(&run).iter().map(|note| note["id"].clone()).collect();
    assert_eq!((run.code, ids), (0, vec![json!("q/failing/2")]), "{}", run.stderr);
    let run = filled.outbox(&["retry", "--id", "p/refused/1", "--json"]);
    assert_eq!((run.code, &json(&run)[0]["done"]), (0, &json!(1)), "{}", run.stderr);
    let run = filled.outbox(&["show", "p/refused/1", "--json"]);
    assert_eq!(json(&run)[0]["attempts"][0]["status"], "invalid", "what was tried is still told");
}

#[tokio::test]
async fn a_timeline_tells_a_session_in_order() {
    let filled = Filled::store().await;
    let run = filled.outbox(&["timeline", "p", "refused", "--json"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let what: Vec<_> = json(&run).iter().map(|moment| moment["what"].clone()).collect();
    assert_eq!(what, ["linked", "made", "attempt", "dead"], "{}", run.stdout);
    let run = filled.outbox(&["timeline", "p", "refused"]);
    assert_eq!((run.code, run.stdout.lines().count()), (0, 5), "{}", run.stdout);
    assert!(run.stdout.contains("p/refused/1"), "{}", run.stdout);
    assert!(PERSONAL.iter().all(|personal| !run.stdout.contains(personal)), "{}", run.stdout);
    let run = filled.outbox(&["timeline", "p", "nobody"]);
    assert_eq!((run.code, run.stdout.as_str()), (1, ""));
    assert!(run.stderr.contains("nothing is known of such a session"), "{}", run.stderr);
}

#[tokio::test]
async fn what_cant_be_shown_or_sent_is_said_with_what_to_do() {
    let filled = Filled::store().await;
    let before = filled.rows().await;
    for (args, code, words) in [
        (&["show", "p/nobody/1"][..], 1, "no such delivery is on record"),
        (&["show", "p/refused"], 2, "PRODUCT/SESSION/NUMBER"),
        (&["resend", "p/refused/1", "--yes"], 1, "`sidenote outbox retry` has it sent again"),
        (&["resend", "q/failing/2", "--dry-run"], 1, "waits to be delivered"),
        (&["resend", "p/nobody/1", "--yes"], 1, "no such note is on record as delivered"),
        (&["resend", "p/refused/sink-1", "--yes"], 1, "only notes are sent once more"),
        (&["resend", "p/refused/1"], 2, "add --yes, or look first with --dry-run"),
    ] {
        let run = filled.outbox(args);
        assert_eq!((run.code, run.stdout.as_str()), (code, ""), "{args:?}: {}", run.stderr);
        assert!(run.stderr.contains(words), "{args:?}: {}", run.stderr);
    }
    let sent = |rows: &[(sidenote::store::Key, Vec<u8>)]| {
        rows.iter().filter(|(key, _)| key.table == Table::Outbox).count()
    };
    assert_eq!(sent(&filled.rows().await), sent(&before), "nothing waits that didn't");
}

#[tokio::test]
async fn a_delivered_note_is_sent_once_more_by_the_next_host_that_runs() {
    let filled = Filled::store().await;
    let now = Clock::system().now().0;
    let action = Action { description: PERSONAL[0].to_owned(), ..Action::default() };
    let batch = ActionsPayload {
        product_id: "p".to_owned(),
        actions: vec![action],
        ..ActionsPayload::default()
    };
    let batch = serde_json::to_string(&batch).expect("a batch is JSON");
    let link = format!(r#"{{"plugin": "bot", "conversation": "c-9", "since": {now}, "moves": 0}}"#);
    let session = format!(r#"{{"link": {link}, "notes": 1, "left": 1, "active_at": {now}}}"#);
    let sent = format!(
        r#"{{"plugin": "bot", "conversation": "c-9", "idempotency_key": "k", "note_id": "n", "at": {now}, "through": 1, "made": {now}, "n": 1}}"#
    );
    let history = format!(r#"{{"at": {now}, "batch": {batch}}}"#);
    let rows = [(Table::Session, "p", "done", 0, &*session), (Table::Sent, "p", "done", 1, &*sent)];
    filled.put(&rows).await;
    let run = filled.outbox(&["resend", "p/done/1", "--offline", "--yes"]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(run.stderr.contains("the section [context] keeps it"), "{}", run.stderr);
    filled.put(&[(Table::History, "p", "done", 1, &*history)]).await;
    let run = filled.outbox(&["resend", "p/done/1", "--offline", "--dry-run", "--show-text"]);
    assert!(run.code == 0 && run.stdout.contains(PERSONAL[0]), "{}{}", run.stdout, run.stderr);
    let run = filled.outbox(&["resend", "p/done/1", "--offline", "--yes", "--json"]);
    assert_eq!((run.code, &json(&run)[0]["id"]), (0, &json!("p/done/2")), "{}", run.stderr);
    assert!(!run.stdout.contains(PERSONAL[0]) && !run.stderr.contains(PERSONAL[0]));
    let run = filled.outbox(&["show", "p/done/2", "--json"]);
    let shown = &json(&run)[0];
    assert_eq!((&shown["state"], &shown["resent_of"]), (&json!("due"), &json!("p/done/1")));
    let run = filled.outbox(&["timeline", "p", "done"]);
    assert!(run.stdout.contains("repeats p/done/1"), "{}", run.stdout);
}
