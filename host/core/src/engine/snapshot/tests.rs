use std::time::Duration;

use serde_json::json;

use super::*;
use crate::ids::ProductId;
use crate::session::fsm::State;
use crate::session::identity::Basis;
use crate::session::link::Link;

const NOW: Timestamp = Timestamp(1_700_000_000_000_000);

/// What autoplay-sdk 0.13.0 stored: see `tests/data/sdk-snapshots/README.md`.
macro_rules! stored {
    ($($name:literal),*) => {
        [$(($name, include_bytes!(concat!("../../../../../tests/data/sdk-snapshots/", $name, ".json")))),*]
    };
}

const STORED: [(&str, &[u8]); 7] =
    stored!("fresh", "linked", "proactive", "reactive", "tour", "cooling", "unicode");

fn of(name: &str) -> &'static [u8] {
    STORED.iter().find(|(of, _)| *of == name).unwrap().1
}

fn value(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

fn key(session: &str) -> SessionKey {
    SessionKey {
        product: ProductId::new("acme").unwrap(),
        session: SessionId::new(session.to_owned()).unwrap(),
    }
}

fn key_of(name: &str) -> SessionKey {
    key(value(of(name))["session_id"].as_str().unwrap())
}

fn linked_to(conversation: &str) -> Record {
    let conversation = ConversationId::new(conversation.to_owned()).unwrap();
    let link = Link {
        plugin: "chat".into(),
        conversation,
        since: NOW,
        moves: 0,
        basis: Basis::Unverified,
    };
    Record { link: Some(link), ..Record::default() }
}

#[test]
fn what_the_sdk_stored_is_imported() {
    let cases = [
        ("fresh", "sess-fresh", None, None, None),
        ("linked", "sess-linked", Some("conv-1001"), Some("u-1"), Some("ann@example.com")),
        ("proactive", "sess-proactive", None, Some("4711"), None),
        ("reactive", "sess-reactive", Some("conv-1003"), None, Some("bob@example.com")),
        ("tour", "sess-tour", Some("conv-1004"), Some("u-4"), None),
        ("cooling", "sess-cooling", None, None, None),
        ("unicode", "sitzung-日本-🙂", Some("conv-1001"), Some("ü-5"), None),
    ];
    assert_eq!(cases.map(|case| case.0), STORED.map(|(name, _)| name));
    for (name, session, conversation, user_id, email) in cases {
        let imported = import(of(name), NOW).unwrap();
        assert_eq!(imported.session.as_str(), session, "{name}");
        assert_eq!(imported.conversation.as_ref().map(ConversationId::as_str), conversation);
        assert_eq!(imported.user_id.as_deref(), user_id, "{name}");
        assert_eq!(imported.email.as_deref(), email, "{name}");
    }
}

#[test]
fn a_conversation_that_is_not_linked_is_none() {
    let mut stored = value(of("linked"));
    stored["conversation_linked"] = json!(false);
    let imported = import(stored.to_string().as_bytes(), NOW).unwrap();
    assert_eq!(imported.conversation, None);
}

#[test]
fn an_export_puts_the_link_over_what_the_sdk_stored_and_keeps_all_else() {
    for (name, bytes) in STORED {
        let before = value(bytes);
        let exported = value(&export(&linked_to("c9"), Some(bytes), &key_of(name), NOW).unwrap());
        assert_eq!(exported["_v"], json!(2), "{name}");
        assert_eq!(exported["saved_at"], json!(1_700_000_000.0), "{name}");
        assert_eq!(exported["conversation_linked"], json!(true), "{name}");
        assert_eq!(exported["conversation_id"], json!("c9"), "{name}");
        for field in [
            "session_id",
            "current_state",
            "interaction_timeout_s",
            "cooldown_period_s",
            "visual_guidance_active",
            "active_tour_id",
        ] {
            assert_eq!(exported[field], before[field], "{field} of {name}");
        }
        for field in ["/thinking/cooldown_active", "/thinking/active_cooldown_period_s"] {
            assert_eq!(exported.pointer(field), before.pointer(field), "{field} of {name}");
        }
        let mut metadata = before["metadata"].clone();
        metadata["product_id"] = json!("acme");
        assert_eq!(exported["metadata"], metadata, "{name}");
        let clicked = "/proactive/user_clicked_option";
        assert_eq!(exported.pointer(clicked), before.pointer(clicked), "{name}");
    }
}

#[test]
fn an_export_without_a_link_keeps_the_stored_one() {
    let kept = export(&Record::default(), Some(of("linked")), &key_of("linked"), NOW).unwrap();
    let with_product = |stored: &[u8]| {
        let imported = import(stored, NOW).unwrap();
        Ok(Imported { product: Some("acme".to_owned()), ..imported })
    };
    assert_eq!(import(&kept, NOW), with_product(of("linked")));
    let none = export(&Record::default(), Some(of("fresh")), &key_of("fresh"), NOW).unwrap();
    assert_eq!(import(&none, NOW), with_product(of("fresh")));
}

#[test]
fn an_export_over_an_export_lets_time_go_on() {
    let first = export(&linked_to("c1"), Some(of("tour")), &key_of("tour"), NOW).unwrap();
    let later = NOW + Duration::from_secs(7);
    let second = export(&linked_to("c2"), Some(&first), &key_of("tour"), later).unwrap();
    let snapshot = Snapshot::read(&value(&second), later, None).unwrap();
    assert_eq!(snapshot.fsm.idle_s(later), 7.0);
    assert_eq!(snapshot.fsm.state(), State::Proactive);
    assert_eq!(snapshot.link().unwrap().as_str(), "c2");
}

#[test]
fn a_session_of_another_product_with_the_same_id_is_left_alone() {
    let exported = export(&linked_to("c1"), None, &key("s1"), NOW).unwrap();
    let other = SessionKey { product: ProductId::new("other").unwrap(), ..key("s1") };
    let refused = export(&linked_to("c2"), Some(&exported), &other, NOW);
    assert_eq!(refused, Err(SnapshotError::OtherProduct));
}

#[test]
fn what_this_host_does_not_know_is_kept() {
    let mut stored = value(of("reactive"));
    stored["later"] = json!({"a": [1, {"b": null}]});
    stored["thinking"]["later"] = json!("x");
    stored["metadata"] = json!({"user_id": "u", "session_id": "theirs", "_v": 9});
    let bytes = stored.to_string();
    let exported =
        export(&linked_to("c1"), Some(bytes.as_bytes()), &key_of("reactive"), NOW).unwrap();
    let exported = value(&exported);
    assert_eq!(exported["later"], stored["later"]);
    assert_eq!(exported["thinking"]["later"], json!("x"));
    stored["metadata"]["product_id"] = json!("acme");
    assert_eq!(exported["metadata"], stored["metadata"]);
}

#[test]
fn a_session_that_was_never_shared_is_shared_with_its_link() {
    let exported = export(&linked_to("c1"), None, &key("s1"), NOW).unwrap();
    let imported = import(&exported, NOW).unwrap();
    assert_eq!(imported.session.as_str(), "s1");
    assert_eq!(imported.conversation.unwrap().as_str(), "c1");
    assert_eq!((imported.user_id, imported.email), (None, None));
    let unlinked = export(&Record::default(), None, &key("s1"), NOW).unwrap();
    assert_eq!(import(&unlinked, NOW).unwrap().conversation, None);
}

#[test]
fn what_cannot_be_read_is_never_written_over() {
    let mut later = value(of("linked"));
    later["_v"] = json!(3);
    let later = later.to_string();
    let truncated = &of("linked")[..100];
    for bytes in [later.as_bytes(), truncated, b"", b"[]", b"null", b"\xFF", b"\"\\ud800\""] {
        let error = import(bytes, NOW).unwrap_err();
        assert!(matches!(error, SnapshotError::Unreadable(_)), "{error}");
        let refused = export(&linked_to("c1"), Some(bytes), &key("sess-linked"), NOW);
        assert_eq!(refused, Err(error));
    }
    let other = export(&linked_to("c1"), Some(of("linked")), &key("another"), NOW);
    assert_eq!(other, Err(SnapshotError::OtherSession));
}

#[test]
fn what_is_known_of_a_person_is_never_shown_by_debug() {
    let shown = format!("{:?}", import(of("linked"), NOW).unwrap());
    assert!(shown.contains("sess-linked") && !shown.contains("ann@") && !shown.contains("u-1"));
}
