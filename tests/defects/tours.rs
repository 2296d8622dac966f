//! The rows about tours and about offers that nobody answered.

use std::time::Duration;

use serde_json::{Value, json};
use sidenote::clock::Timestamp;
use sidenote::ids::{ConversationId, ProductId, SessionId, SessionKey};
use sidenote::offers::chips::Chips;
use sidenote::offers::content::Offer;
use sidenote::offers::tear_down::{TearDown, Torn};
use sidenote::offers::tours::{Decision, PendingTour, UnreadableTour, Wording};
use sidenote::session::fsm::{Fsm, Interaction, Limits, State};
use sidenote::session::state::Target;
use sidenote::session::tour::{ReadTours, TourRegistry};

use crate::session_core::tagged;

const NOW: Timestamp = Timestamp(1_700_000_000_000_000);
const SECOND: Duration = Duration::from_secs(1);

fn after(secs: f64) -> Timestamp {
    NOW + Duration::from_secs_f64(secs)
}

fn proactive(limits: Limits) -> Fsm {
    let mut fsm = Fsm::new(limits, NOW);
    assert_eq!(fsm.to_proactive(NOW), Ok(true));
    fsm
}

fn key(session: &str) -> SessionKey {
    let (product, session) = (ProductId::new("p"), SessionId::new(session));
    SessionKey { product: product.expect("an id"), session: session.expect("an id") }
}

fn target(conversation: &str) -> Target {
    ("intercom".into(), ConversationId::new(conversation).expect("an id"))
}

fn registry(tours: &Value) -> ReadTours {
    TourRegistry::from_value(&json!({"tours": tours})).expect("it is a registry")
}

#[test]
fn d73_an_offer_is_removed_exactly_when_its_state_ends() {
    for tenths in 190..=211 {
        let now = after(f64::from(tenths) / 10.0);
        let mut fsm = proactive(Limits::default());
        let decided = TearDown::decide(&fsm, None, 20.0, now);
        let mut by_itself = fsm.clone();
        by_itself.tick(None, now);
        assert_eq!(decided.is_some(), by_itself.state() == State::Thinking, "{tenths}");
        if let Some(decided) = decided {
            assert_eq!(decided.finish(&mut fsm, true), Torn::Completed);
            assert_eq!(fsm, by_itself, "nothing is removed of a session that stays proactive");
        }
    }
    // Time-out 0: something must have happened before, not at the same moment.
    assert_eq!(TearDown::decide(&proactive(Limits::default()), None, 0.0, NOW), None);
}

#[test]
fn d73_how_long_the_call_takes_and_another_clock_change_nothing_of_what_was_decided() {
    let mut fsm = proactive(Limits::default());
    let decided = TearDown::decide(&fsm, None, 20.0, after(21.0)).unwrap();
    // No clock is asked again: the state ends as of the moment of the decision.
    assert_eq!(decided.finish(&mut fsm, true), Torn::Completed);
    assert_eq!(fsm.cooldown().unwrap().started_at, after(21.0));
}

#[test]
fn d74_who_answers_during_the_removal_keeps_the_session_reachable() {
    for interaction in [Interaction::Message, Interaction::OptionClick, Interaction::Reaction] {
        let mut fsm = proactive(Limits::default());
        let decided = TearDown::decide(&fsm, None, 20.0, after(25.0)).unwrap();
        fsm.record(interaction, after(26.0));
        assert_eq!(decided.finish(&mut fsm, true), Torn::Interrupted { removed: true });
        assert_eq!(fsm.state(), State::Proactive);
        assert_eq!(fsm.idle_s(after(27.0)), 1.0);
    }
}

#[test]
fn d77_a_blank_tour_is_never_offered_asked_about_or_shown() {
    let config = json!({"proactive_intercom": {"messages": [
        {"id": "a", "label": "Export", "offers_tour": true},
        {"id": "b", "label": "Create", "offers_tour": true, "flow_id": " "},
    ]}});
    let chips = Chips::of_integration(&config);
    for default in [None, Some(""), Some("  ")] {
        assert_eq!(chips.tour_for("Export", default), None);
    }
    assert_eq!(chips.refused.len(), 1, "a blank id is refused when it is read");
    assert!(chips.refused[0].path.starts_with("proactive_intercom.messages[1]"));
    let offer = Offer::new("t", "Shall I?", [("Export", Some("")), ("Create", Some(" "))]).unwrap();
    assert!(offer.options().iter().all(|option| option.tour.is_none()));
    for blank in ["", " ", "\u{A0}"] {
        assert_eq!(PendingTour::ask(blank, key("s"), target("c"), NOW), None);
    }
    let read =
        registry(&json!([{"id": "a", "user_tour_id": " "}, {"id": "b", "user_tour_id": ""}]));
    assert_eq!((read.registry.tours().len(), read.refused.len()), (0, 2));
    assert!(tagged("tours", "D77").len() > 3);
}

#[test]
fn d79_a_time_out_that_is_no_number_is_refused_and_leaves_no_session_behind() {
    for bad in [json!(null), json!("30"), json!(-1), json!(true), json!([])] {
        for field in ["interaction_timeout_s", "cooldown_period_s"] {
            let mut tour = json!({"id": "x", "user_tour_id": "flow"});
            tour[field] = bad.clone();
            let good = json!({"id": "good", "user_tour_id": "good", "interaction_timeout_s": 5});
            let ReadTours { registry, refused } = registry(&json!([tour, good]));
            assert_eq!(refused.len(), 1, "{bad}");
            assert_eq!(refused[0].path, format!("tours[0].{field}"));
            assert!(refused[0].to_string().contains("a finite number of seconds, 0 or more"));
            assert_eq!(registry.tours().len(), 1, "the good one stays");

            let mut fsm = proactive(Limits::default());
            fsm.start_guidance(Some("flow".to_owned()), NOW).unwrap();
            fsm.tick(Some(&registry), after(20.5));
            assert_eq!(fsm.state(), State::Thinking, "the session's own time-out ends it");
            fsm.tick(Some(&registry), after(80.5));
            assert_eq!(fsm.can_deliver_proactive(), Ok(()));
        }
    }
    for case in tagged("tours", "D79") {
        let read = TourRegistry::from_value(&case["when"]["registry"]).unwrap();
        assert!(!read.refused.is_empty(), "{}", case["name"]);
        let usable = |limits: Limits| {
            [limits.interaction_timeout_s, limits.cooldown_period_s]
                .iter()
                .all(|secs| secs.is_finite() && *secs >= 0.0)
        };
        assert!(read.registry.tours().iter().all(|tour| usable(tour.limits)));
    }
}

#[test]
fn d80_nothing_is_none_and_what_cannot_be_read_is_an_error_never_the_usual_tour() {
    let read = |stored: Option<&[u8]>| {
        let of = (key("s"), target("c"));
        PendingTour::of_sdk(stored, Some("usual"), of, NOW)
    };
    for nothing in [None, Some(&b""[..]), Some(b"  ")] {
        assert_eq!(read(nothing), Ok(None));
    }
    for broken in ["{\"flow_id\": \"f1\"", "[]", "0", "2", "{\"flow_id\": 5}", "\"1\"", "true"] {
        assert_eq!(read(Some(broken.as_bytes())), Err(UnreadableTour), "{broken}");
    }
    // Redis hands over bytes.
    assert_eq!(read(Some(b"{\"flow_id\": \"f1\"}")).unwrap().unwrap().tour(), "f1");
    assert_eq!(read(Some(b"\xFF\xFE")), Err(UnreadableTour));
}

#[test]
fn d80_a_pending_tour_belongs_to_its_session_and_conversation_and_ends_with_the_help() {
    let pending = PendingTour::ask("flow", key("s"), target("c"), NOW).unwrap();
    let wording = Wording::default();
    let decide = |session: &str, conversation: &str, state| {
        let (session, target) = (key(session), target(conversation));
        pending.decide((&session, &target), state, &wording, "Yes")
    };
    assert!(matches!(decide("s", "c", State::Proactive), Decision::Accepted(_)));
    assert_eq!(decide("other", "c", State::Proactive), Decision::Waits);
    assert_eq!(decide("s", "other", State::Proactive), Decision::Waits);
    assert_eq!(decide("s", "c", State::Thinking), Decision::Over);
    assert_eq!(decide("s", "c", State::Reactive), Decision::Over);
    assert_eq!(pending.asked_at, NOW);
}

#[test]
fn d101_a_tour_under_way_is_not_removed_before_its_own_time_out() {
    let tour = json!([{"id": "a", "user_tour_id": "flow", "interaction_timeout_s": 30.0}]);
    let registry = registry(&tour).registry;
    let mut fsm = proactive(Limits::default());
    fsm.start_guidance(Some("flow".to_owned()), NOW).unwrap();
    assert_eq!(TearDown::decide(&fsm, Some(&registry), 20.0, after(25.0)), None);
    assert_eq!(TearDown::decide(&fsm, Some(&registry), 20.0, after(30.0)), None);
    assert!(TearDown::decide(&fsm, Some(&registry), 20.0, after(30.0) + SECOND).is_some());
    // And one that ends sooner than the rest does.
    assert!(TearDown::decide(&fsm, Some(&registry), 90.0, after(31.0)).is_some());
}
