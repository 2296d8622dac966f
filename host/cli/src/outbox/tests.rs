//! What people see.

use serde_json::json;
use sidenote::engine::ledger::Entry;
use sidenote::ids::{ProductId, SessionId, SessionKey};
use sidenote::outbox::delivery_id::DeliveryId;
use sidenote_terminal::output::escaped;

use super::table::text;
use super::*;

fn entry(session: &str, state: &str, more: serde_json::Value) -> Entry {
    let key = SessionKey {
        product: ProductId::new("p").unwrap(),
        session: SessionId::new(session).unwrap(),
    };
    let mut value = json!({
        "id": DeliveryId::note(key, 12), "product": "p", "session": session, "seq": 12, "plugin": "bot", "conversation": "c-1",
        "kind": "actions", "state": state, "attempts": 2, "crashes": 0, "waits_until": null,
        "sealed_at": 1000.0, "age_seconds": 200.0, "dead_lettered_at": null, "bytes": 120, "actions": 2,
        "reason": null, "idempotency_key": "abc",
    });
    for (name, field) in more.as_object().unwrap() {
        value[name] = field.clone();
    }
    serde_json::from_value(value).unwrap()
}

fn entries() -> Vec<Entry> {
    vec![
        entry("s1", "due", json!({"age_seconds": 5.0})),
        entry("s2", "in_flight", json!({})),
        entry("s3", "retry_at", json!({"waits_until": 1290.0, "reason": "503: no"})),
        entry("s4", "held_until", json!({"waits_until": 1100.0, "age_seconds": 7300.0})),
        entry("a-session-with-a-long-name", "dead", json!({"reason": "400: the body\nis wrong"})),
    ]
}

#[test]
fn a_table_is_as_wide_as_what_is_in_it() {
    insta::assert_snapshot!(text(&entries(), true, None));
}

#[test]
fn a_table_is_cut_to_the_width_of_the_terminal() {
    let table = text(&entries(), true, Some(90));
    assert!(table.lines().all(|line| line.chars().count() <= 90), "{table}");
    insta::assert_snapshot!(table);
    let narrow = text(&entries(), true, Some(10));
    assert_eq!(narrow.lines().count(), 6, "a terminal that is too narrow still shows every note");
}

#[test]
fn what_others_chose_cannot_steer_the_terminal() {
    let hostile = "s\u{1b}[2J\r\n\u{202e}\u{200b}\u{7}\u{9b}2J";
    let mut entry = entry(hostile, "dead", json!({"reason": hostile, "conversation": hostile}));
    entry.text = Some(sidenote::engine::ledger::Text(format!("{hostile}\nsecond line")));
    let shown = text(&[entry], true, None);
    assert_eq!(shown.lines().count(), 5, "two lines for the note, and its text: {shown:?}");
    assert!(
        shown.chars().all(|c| c == '\n' || !c.is_control() && c != '\u{202e}' && c != '\u{200b}'),
        "{shown:?}"
    );
    assert_eq!(escaped("Zoë's \"日本\" \\"), "Zoë's \"日本\" \\\\");
}

#[test]
fn the_outcome_says_what_was_left_alone() {
    let decided = |matched, done| Decided {
        matched,
        done,
        entries: Vec::new(),
        more: false,
        until: 0.0,
        next: None,
        unreadable: 0,
    };
    for (decision, matched, done, words) in [
        (Decision::Purge, 0, 0, "no note matches; nothing was changed"),
        (Decision::Purge, 1, 1, "1 note purged"),
        (Decision::Retry, 3, 3, "3 notes queued to be sent again"),
        (
            Decision::Retry,
            3,
            0,
            "0 notes queued to be sent again; 3 left alone: sent meanwhile, being posted, due already or held by the platform",
        ),
        (Decision::Purge, 3, 2, "2 notes purged; 1 left alone: sent meanwhile, or being posted"),
    ] {
        assert_eq!(outcome(decision, &decided(matched, done)), words);
    }
}

#[test]
fn a_long_log_says_where_attempts_are_left_out_and_cannot_steer_the_terminal() {
    let attempt = |number: u32| {
        json!({
            "attempt": number, "began_at": 1000.0 + f64::from(number), "duration_ms": 80,
            "version": "1.0.0+0123abcd", "status": "transient", "asked_first": "not_found", "code": "503",
            "reason": "503: \u{1b}[2Jno", "bytes_left": "sent", "decision": "again",
            "again_at": 1002.08 + f64::from(number), "because": null,
        })
    };
    let attempts: Vec<_> = [1, 2, 3, 84, 85].map(attempt).into();
    let delivery = serde_json::from_value(json!({
        "id": "p/s/3", "state": "retry_at", "product": "p", "session": "s", "seq": 3, "delivery": "note",
        "kind": "actions", "plugin": "bot", "conversation": "c\u{1b}[2J", "made_at": 1000.0, "actions": 2,
        "through": 7, "idempotency_key": "abc", "note_id": null, "delivered_at": null,
        "dead_lettered_at": null, "waits_until": 1090.0, "expires_at": null, "reason": "503: no",
        "resent_of": "p/s/1", "stays": false, "attempts": attempts, "attempts_left_out": 80,
        "redaction": null,
    }));
    let shown = show::text(&delivery.unwrap());
    let lines: Vec<_> = shown.lines().collect();
    let gap = lines.iter().position(|line| line.contains("80 more")).expect("they are counted");
    assert!(lines[gap - 1].contains("1970-01-01T00:16:43.000Z"), "{shown}");
    assert!(lines[gap + 1].trim_start().starts_with("84"), "{shown}");
    let words =
        ["transient", "again in 2s", "asked first: not_found", "503: ", "p/s/1", "retry_at"];
    assert!(words.iter().all(|word| shown.contains(word)), "{shown}");
    assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{shown:?}");
}
