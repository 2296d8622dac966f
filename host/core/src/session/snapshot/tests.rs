use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::session::fsm::{Interaction, NotDeliverable};

const NOW: Timestamp = Timestamp(1_700_000_000_000_000);

fn session() -> Snapshot {
    Snapshot::new(SessionId::new("s1").unwrap(), Fsm::new(Limits::default(), NOW))
}

fn v1() -> Value {
    json!({
        "_v": 1, "session_id": "s1", "current_state": "proactive_assistance", "last_interaction_at": 990.0,
        "thinking": {"cooldown_active": true, "cooldown_started_at": 980.0, "active_cooldown_period_s": null},
    })
}

#[test]
fn times_of_version_1_keep_their_age() {
    let read = Snapshot::read(&v1(), NOW, Some(1000.0)).unwrap();
    assert_eq!(read.fsm.idle_s(NOW), 10.0);
    assert_eq!(read.fsm.cooldown.unwrap().started_at, NOW - Duration::from_secs(20));
    assert_eq!(read.fsm.reactive.last_message_at, NOW);
}

#[test]
fn times_of_version_1_that_another_clock_wrote_count_as_now() {
    for mono_secs in [Some(30.0), Some(500_000.0), None] {
        let read = Snapshot::read(&v1(), NOW, mono_secs).unwrap();
        assert_eq!(read.fsm.idle_s(NOW), 0.0, "{mono_secs:?}");
        assert_eq!(read.fsm.cooldown.unwrap().started_at, NOW);
    }
}

#[test]
fn a_cooldown_that_never_started_is_over() {
    let mut stored = v1();
    stored["current_state"] = json!("thinking");
    stored["thinking"] = json!({"cooldown_active": true});
    let mut read = Snapshot::read(&stored, NOW, Some(500_000.0)).unwrap();
    assert_eq!(read.fsm.can_deliver_proactive(), Err(NotDeliverable::CoolingDown));
    read.fsm.tick(None, NOW);
    assert_eq!(read.fsm.can_deliver_proactive(), Ok(()));
}

#[test]
fn a_clock_set_back_leaves_what_remained_when_the_record_was_saved() {
    let mut session = session();
    session.fsm.to_reactive(NOW).unwrap();
    let stored = session.write(NOW + Duration::from_secs(15));
    let read = Snapshot::read(&stored, NOW - Duration::from_secs(3600), None).unwrap();
    assert_eq!(read.fsm.idle_s(NOW - Duration::from_secs(3600)), 15.0);
}

#[test]
fn a_flag_that_is_null_is_false() {
    let mut stored = v1();
    for flag in ["visual_guidance_active", "conversation_linked"] {
        stored[flag] = json!(null);
    }
    stored["thinking"]["cooldown_active"] = json!(null);
    stored["proactive"] = json!({"user_clicked_option": null});
    let read = Snapshot::read(&stored, NOW, Some(1000.0)).unwrap();
    assert_eq!((read.conversation_linked, read.fsm.guidance), (false, None));
    assert_eq!((read.fsm.cooldown, read.fsm.option_clicked), (None, false));
}

#[test]
fn an_error_names_the_field_and_never_the_value() {
    let stored = session().write(NOW);
    for (field, bad) in [
        ("session_id", json!(null)),
        ("session_id", json!(["secret"])),
        ("metadata", json!("secret")),
        ("saved_at", json!("secret")),
        ("last_interaction_at", json!(null)),
        ("interaction_timeout_s", json!("secret")),
        ("cooldown_period_s", json!(true)),
        ("visual_guidance_active", json!("secret")),
        ("active_tour_id", json!(["secret"])),
        ("conversation_linked", json!("secret")),
        ("conversation_id", json!(["secret"])),
        ("thinking", json!(null)),
        ("proactive", json!([])),
        ("reactive", json!("secret")),
    ] {
        let mut broken = stored.clone();
        broken[field] = bad;
        let error = Snapshot::read(&broken, NOW, None).unwrap_err();
        assert!(
            matches!(&error, SnapshotError::Field { field: named, .. } if *named == field),
            "{field}: {error}"
        );
        assert!(!error.to_string().contains("secret"));
    }
    for (field, bad) in [("session_id", json!("")), ("conversation_id", json!("x".repeat(9000)))] {
        let mut broken = stored.clone();
        broken[field] = bad;
        assert!(matches!(Snapshot::read(&broken, NOW, None), Err(SnapshotError::Id(_))), "{field}");
    }
}

#[test]
fn a_version_that_is_not_known_is_told_apart_from_a_broken_record() {
    for version in [
        json!(0),
        json!(3),
        json!(null),
        json!("1"),
        json!([]),
        json!(1.5),
        json!(false),
        json!(2.0),
    ] {
        let mut stored = session().write(NOW);
        stored["_v"] = version.clone();
        assert_eq!(
            Snapshot::read(&stored, NOW, None),
            Err(SnapshotError::UnknownVersion),
            "{version}"
        );
    }
    assert_eq!(Snapshot::read(&json!({}), NOW, None), Err(SnapshotError::UnknownVersion));
    assert_eq!(Snapshot::read(&json!([]), NOW, None), Err(SnapshotError::NotAnObject));
}

fn any_session() -> impl Strategy<Value = (Snapshot, Timestamp)> {
    let micros = 0..4_000_000_000_000_000i64;
    let steps = prop::collection::vec((0..100_000_000i64, 0..8u8), 0..20);
    (micros, steps, any::<bool>(), prop::option::of("[a-z]{1,4}")).prop_map(
        |(start, steps, linked, conversation)| {
            let mut now = Timestamp(start);
            let mut session =
                Snapshot::new(SessionId::new("s").unwrap(), Fsm::new(Limits::default(), now));
            for (after, step) in steps {
                now = Timestamp(now.0 + after);
                let fsm = &mut session.fsm;
                // Steps that the state refuses change nothing.
                match step {
                    0 => fsm.tick(None, now),
                    1 => drop(fsm.to_proactive(now).ok()),
                    2 => drop(fsm.to_reactive(now).ok()),
                    3 => fsm.record(Interaction::OptionClick, now),
                    4 => drop(fsm.start_guidance(conversation.clone(), now).ok()),
                    5 => fsm.start_cooldown(None, now),
                    6 => fsm.start_cooldown(Some(0.1), now),
                    _ => fsm.record(Interaction::Other, now),
                }
            }
            session.conversation_linked = linked;
            session.conversation_id = conversation.map(|id| ConversationId::new(id).unwrap());
            (session, now)
        },
    )
}

proptest! {
    #[test]
    fn a_session_comes_back_as_it_was_saved((session, now) in any_session(), later in 0..1_000_000_000_000i64) {
        let text = session.write(now).to_string();
        let stored: Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(Snapshot::read(&stored, Timestamp(now.0 + later), None).unwrap(), session);
    }

    #[test]
    fn no_record_makes_reading_panic_or_gives_a_time_ahead(
        (session, now) in any_session(),
        secs in any::<f64>(),
        field in prop::sample::select(vec!["saved_at", "last_interaction_at", "acted_at", "interaction_timeout_s"]),
        version in 1..3u64,
    ) {
        let mut stored = session.write(now);
        stored["_v"] = json!(version);
        stored[field] = json!(secs);
        if let Ok(mut read) = Snapshot::read(&stored, now, Some(secs)) {
            prop_assert!(read.fsm.idle_s(now) >= 0.0);
            read.fsm.tick(None, now);
            read.fsm.poll_timeout(None);
            read.write(now);
        }
    }
}
