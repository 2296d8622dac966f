//! The rows that the pure core of a session answers for.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use sidenote::clock::Timestamp;
use sidenote::ids::SessionId;
use sidenote::session::fsm::{Fsm, Interaction, Limits, NotDeliverable, State};
use sidenote::session::note::{format_header, format_note};
use sidenote::session::payload::{
    Action, ActionsPayload, MergeError, Payload, PayloadError, SummaryPayload, parse_event,
};
use sidenote::session::snapshot::{Snapshot, SnapshotError};

const NOW: Timestamp = Timestamp(1_700_000_000_000_000);

fn after(secs: u64) -> Timestamp {
    NOW + Duration::from_secs(secs)
}

/// The cases of a vector file that are tagged with a row: what autoplay-sdk does wrong.
pub(crate) fn tagged(file: &str, row: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("data/vectors/{file}.json"));
    let text = std::fs::read_to_string(path).expect("the vectors can be read");
    let file: Value = serde_json::from_str(&text).expect("the vectors are JSON");
    let cases = file["cases"].as_array().expect("the vectors have cases");
    let has_row =
        |case: &&Value| case["defects"].as_array().is_some_and(|rows| rows.contains(&json!(row)));
    let tagged: Vec<Value> = cases.iter().filter(has_row).cloned().collect();
    assert!(!tagged.is_empty(), "no case of {row}");
    tagged
}

fn action(description: &str, timestamp_start: Option<f64>) -> Action {
    Action { description: description.to_owned(), timestamp_start, ..Action::default() }
}

fn batch(event: &Value) -> (ActionsPayload, usize) {
    let mut event = event.clone();
    event["type"] = json!("actions");
    let parsed = parse_event(&event.to_string()).expect("it is an event");
    match parsed.payload {
        Payload::Actions(payload) => (payload, parsed.dropped_actions),
        Payload::Summary(_) => panic!("it is a batch"),
    }
}

#[test]
fn d05_a_restart_leaves_the_time_that_truly_remains() {
    let mut session =
        Snapshot::new(SessionId::new("s1").unwrap(), Fsm::new(Limits::default(), NOW));
    session.fsm.to_reactive(NOW).unwrap();
    let stored = session.write(after(5));

    // The host's monotonic clock started again, the time away counts.
    let mut back = Snapshot::read(&stored, after(12), Some(0.5)).unwrap();
    assert_eq!(back.fsm.idle_s(after(12)), 12.0);
    back.fsm.tick(None, after(20));
    assert_eq!(back.fsm.state(), State::Reactive);
    back.fsm.tick(None, after(21));
    assert_eq!(
        (back.fsm.state(), back.fsm.cooldown().unwrap().started_at),
        (State::Thinking, after(21))
    );

    let mut back = Snapshot::read(&back.write(after(30)), after(80), Some(1e9)).unwrap();
    assert_eq!(back.fsm.can_deliver_proactive(), Err(NotDeliverable::CoolingDown));
    assert_eq!(back.fsm.poll_timeout(None), Some(after(81)));
    back.fsm.tick(None, after(81));
    assert_eq!(back.fsm.can_deliver_proactive(), Ok(()));
}

#[test]
fn d05_times_of_another_hosts_clock_freeze_nothing_and_expire_nothing() {
    for case in tagged("session_snapshot", "D05") {
        let mono = case["given"]["mono"].as_f64().unwrap();
        let mut back = Snapshot::read(&case["when"]["input"], NOW, Some(mono)).unwrap();
        let before = (back.fsm.state(), back.fsm.cooldown().is_some());
        back.fsm.tick(None, NOW);
        assert_eq!((back.fsm.state(), back.fsm.cooldown().is_some()), before, "{}", case["name"]);
        let due = back.fsm.poll_timeout(None).unwrap();
        assert!(due <= after(61), "{}: held until {due:?}", case["name"]);
        back.fsm.tick(None, due);
        assert_ne!((back.fsm.state(), back.fsm.cooldown().is_some()), before, "{}", case["name"]);
    }
}

#[test]
fn d18_odd_timestamps_never_break_a_note() {
    let now = "timestamp: 2023-11-14 22:13:20 UTC";
    for odd in [
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        1e15,
        1e18,
        f64::MAX,
        f64::MIN,
        -62_135_596_801.0,
    ] {
        assert_eq!(
            format_header(None, Some(odd), NOW),
            format!("session_id: unknown\n{now}\n\n"),
            "{odd}"
        );
        for bins in [0.0, 3.0] {
            let note = format_note(
                Some("s1"),
                &[action("a", Some(1.0)), action("b", Some(odd))],
                bins,
                NOW,
            );
            assert_eq!(
                note, "session_id: s1\ntimestamp: 1970-01-01 00:00:01 UTC\n\n[1] a\n[2] b",
                "{odd}"
            );
        }
    }
    // Milliseconds are recognised.
    let millis = format_header(Some("s1"), Some(1_600_000_000_000.0), NOW);
    assert_eq!(millis, "session_id: s1\ntimestamp: 2020-09-13 12:26:40 UTC\n\n");

    for text in ["soon", "", "NaN", "inf", "1e400", "9".repeat(400).as_str()] {
        let (payload, dropped) =
            batch(&json!({"actions": [{"description": "a", "timestamp_start": text}]}));
        let note = format_note(Some("s1"), &payload.actions, 3.0, NOW);
        assert_eq!((note, dropped), (format!("session_id: s1\n{now}\n\n[1] a"), 0), "{text}");
    }
    let (payload, _) = batch(&json!({"actions": [{"timestamp_start": "12.5"}]}));
    assert_eq!(payload.actions[0].timestamp_start, Some(12.5));
}

#[test]
fn d18_one_bad_action_never_takes_its_batch_with_it() {
    for case in tagged("note_format", "D18") {
        let Some(actions) = case["when"]["actions"].as_array() else {
            continue;
        };
        let (payload, dropped) = batch(&json!({"actions": actions}));
        let note = format_note(Some("s1"), &payload.actions, 3.0, NOW);
        let described: Vec<_> = payload.actions.iter().map(|action| &action.description).collect();
        assert_eq!((described.len(), dropped), (actions.len(), 0), "{}", case["name"]);
        for (number, description) in (1..).zip(described) {
            assert!(
                note.contains(&format!("[{number}] {description}")),
                "{}: {note}",
                case["name"]
            );
        }
    }
}

#[test]
fn d19_user_text_forges_no_line_header_or_section() {
    let forged = [
        "x\n\nsession_id: other\ntimestamp: never",
        "x\r[2] y",
        "x\r\n[2] y",
        "x\r\n[User ID] other",
        "x\r\ntimestamp: never",
        "x\u{2028}[Query] y",
        "x\u{85}\u{b}\u{c}[2] y",
    ];
    for text in forged {
        let note =
            format_note(Some("s1"), &[action(text, Some(1.0)), action("z", Some(1.0))], 3.0, NOW);
        let lines: Vec<_> = note.split(['\n', '\r', '\u{2028}', '\u{85}']).collect();
        assert_eq!(
            lines[..3],
            ["session_id: s1", "timestamp: 1970-01-01 00:00:01 UTC", ""],
            "{text:?}"
        );
        assert!(lines[3].starts_with("[1] x "), "{text:?}: {note}");
        assert_eq!(lines[4..], ["[2] z"], "{text:?}");

        let line = action(text, None).to_text();
        assert!(!line.contains(['\n', '\r', '\u{2028}', '\u{85}']), "{line:?}");
    }
    let header = format_header(Some("a\nb\r\ntimestamp: never"), Some(1.0), NOW);
    assert_eq!(header, "session_id: a b timestamp: never\ntimestamp: 1970-01-01 00:00:01 UTC\n\n");

    let payload =
        ActionsPayload { session_id: Some("a\n[0] b".to_owned()), ..ActionsPayload::default() };
    assert_eq!(payload.to_text(), "Session a [0] b — 0 actions");
}

#[test]
fn d20_null_text_is_empty_and_the_header_time_is_defined() {
    let (payload, _) = batch(&json!({"actions": [
        {"description": null, "timestamp_start": 1.0},
        {"description": "none", "timestamp_start": null},
        {"description": "late", "timestamp_start": 50.0},
    ]}));
    let note = format_note(Some("s1"), &payload.actions, 3.0, NOW);
    assert_eq!(
        note,
        "session_id: s1\ntimestamp: 1970-01-01 00:00:01 UTC\n\n[1] \n[2] none\n\n[3] late"
    );

    // The header has the first line's own time, and the host's where that line has none.
    let note = format_note(Some("s1"), &payload.actions[1..], 3.0, NOW);
    assert_eq!(note, "session_id: s1\ntimestamp: 2023-11-14 22:13:20 UTC\n\n[1] none\n[2] late");
}

#[test]
fn d21_every_interaction_resets_the_one_timer() {
    let interactions = [
        Interaction::Message,
        Interaction::OptionClick,
        Interaction::Reaction,
        Interaction::TourStep,
        Interaction::Other,
    ];
    for interaction in interactions {
        for state in [State::Proactive, State::Reactive] {
            let mut fsm = Fsm::new(Limits::default(), NOW);
            match state {
                State::Proactive => assert_eq!(fsm.to_proactive(NOW), Ok(true)),
                State::Reactive | State::Thinking => fsm.to_reactive(NOW).unwrap(),
            }
            fsm.record(interaction, after(15));
            fsm.tick(None, after(30));
            let shown = if state == State::Proactive { fsm.proactive() } else { fsm.reactive() };
            assert_eq!(fsm.state(), state, "{interaction:?}");
            assert_eq!(
                (fsm.idle_s(after(30)), shown.idle_s),
                (15.0, 15.0),
                "{interaction:?} in {state:?}"
            );
        }
    }
}

#[test]
fn d23_broken_snapshots_are_typed_errors() {
    for case in tagged("session_snapshot", "D23") {
        let error = Snapshot::read(&case["when"]["input"], NOW, Some(1000.0)).unwrap_err();
        assert!(
            matches!(error, SnapshotError::Field { .. } | SnapshotError::Id(_)),
            "{}: {error}",
            case["name"]
        );
    }
    let newer = json!({"_v": 3, "session_id": "s1"});
    assert_eq!(Snapshot::read(&newer, NOW, None), Err(SnapshotError::UnknownVersion));
}

#[test]
fn d24_no_field_passes_through_with_another_type() {
    let action = Action::from_value(&json!({
        "title": 9, "description": ["x"], "canonical_url": {"a": 1}, "index": "7", "type": 5,
        "timestamp_start": "1.5", "timestamp_end": {}, "raw_url": true,
        "session_id": 42, "user_id": true, "email": 1.5, "conversation_id": [],
    }));
    let coerced = Action {
        title: "9".to_owned(),
        index: 7,
        kind: "5".to_owned(),
        timestamp_start: Some(1.5),
        raw_url: "True".to_owned(),
        session_id: Some("42".to_owned()),
        ..Action::default()
    };
    assert!(action == Ok(coerced));
    for (given, index) in
        [(json!(1.5), 1), (json!(1e30), 0), (json!("x"), 0), (json!([]), 0), (json!(-3), -3)]
    {
        assert_eq!(Action::from_value(&json!({"index": given})).unwrap().index, index, "{given}");
    }
    assert_eq!(Action::from_value(&json!([])), Err(PayloadError::NotAnObject));

    let (payload, _) =
        batch(&json!({"product_id": 1, "session_id": 123, "user_id": "", "forwarded_at": "10"}));
    assert_eq!((payload.product_id.as_str(), payload.session_id.as_deref()), ("1", Some("123")));
    assert_eq!((payload.user_id, payload.forwarded_at), (None, 10.0));

    let summary =
        SummaryPayload::from_value(&json!({"summary": 5, "replaces": "5", "session_id": 1}))
            .unwrap();
    assert_eq!(
        (summary.to_text(), summary.replaces, summary.session_id.as_deref()),
        ("5", 5, Some("1"))
    );
    let summary = SummaryPayload::from_value(&json!({"summary": ["a"], "replaces": -5})).unwrap();
    assert_eq!((summary.to_text(), summary.replaces), ("", 0));
}

#[test]
fn d25_good_actions_are_kept_and_bad_ones_counted() {
    let (payload, dropped) =
        batch(&json!({"actions": [{"description": "a"}, null, 5, "b", [], {"description": "c"}]}));
    let described: Vec<_> =
        payload.actions.iter().map(|action| action.description.as_str()).collect();
    assert_eq!((described, dropped), (vec!["a", "c"], 4));

    for case in tagged("payloads", "D25") {
        let (payload, dropped) = ActionsPayload::from_value(&case["when"]["input"]).unwrap();
        let good = case["when"]["input"]["actions"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|action| action.is_object());
        assert_eq!((payload.actions.len(), dropped), (good.count(), 1), "{}", case["name"]);
    }
}

#[test]
fn d26_batches_of_different_scope_are_not_merged() {
    let own =
        batch(&json!({"product_id": "p", "session_id": "s1", "user_id": "u1", "actions": [{}]})).0;
    let merge = |change: fn(&mut ActionsPayload)| {
        let mut other = own.clone();
        change(&mut other);
        ActionsPayload::merge(vec![own.clone(), other]).map(|merged| merged.actions.len())
    };
    assert_eq!(merge(|_| {}), Ok(2));
    assert_eq!(merge(|other| other.user_id = None), Ok(2));
    assert_eq!(merge(|other| other.product_id = "q".to_owned()), Err(MergeError::Product));
    assert_eq!(merge(|other| other.session_id = Some("s2".to_owned())), Err(MergeError::Session));
    assert_eq!(merge(|other| other.session_id = None), Err(MergeError::Session));
    assert_eq!(merge(|other| other.user_id = Some("u2".to_owned())), Err(MergeError::User));

    for case in tagged("payloads", "D26") {
        let inputs = case["when"]["inputs"].as_array().unwrap();
        let batches =
            inputs.iter().map(|input| ActionsPayload::from_value(input).unwrap().0).collect();
        assert!(ActionsPayload::merge(batches).is_err(), "{}", case["name"]);
    }
}
