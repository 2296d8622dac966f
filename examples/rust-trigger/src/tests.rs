use sidenote_plugin::test::{self, Host};

use super::*;

fn context(actions: &[(&str, Option<f64>)]) -> TriggerContext {
    let action = |(description, at): &(&str, Option<f64>)| Action {
        description: (*description).to_owned(),
        canonical_url: "https://shop.example/pay".to_owned(),
        started_at: *at,
        ..test::batch(["x"]).actions.remove(0)
    };
    TriggerContext {
        product_id: "shop".to_owned(),
        session_id: "s-1".to_owned(),
        user_id: None,
        email: None,
        conversation_id: None,
        actions: actions.iter().map(action).collect(),
        summary: None,
        now_ms: 1_700_000_000_000,
        extras: Vec::new(),
    }
}

fn pay(times: &[f64]) -> TriggerContext {
    let actions: Vec<_> = times.iter().map(|at| ("clicked Pay", Some(*at))).collect();
    context(&actions)
}

#[test]
fn the_same_click_again_and_again_is_offered_help() {
    Host::new().install();
    let offer = Again::evaluate(pay(&[0.0, 1.0, 2.0, 3.0])).unwrap();
    assert_eq!(offer.text, "Is something not working? We can help.");
    assert_eq!(offer.quick_replies.len(), 2);
}

#[test]
fn clicks_that_are_few_slow_different_or_without_times_are_not() {
    Host::new().install();
    let timeless = context(&[("clicked Pay", None); 4]);
    let mixed = context(&[
        ("clicked Pay", Some(0.0)),
        ("clicked Help", Some(1.0)),
        ("clicked Pay", Some(2.0)),
        ("clicked Pay", Some(3.0)),
        ("clicked Pay", Some(4.0)),
    ]);
    for context in [pay(&[]), pay(&[0.0, 1.0, 2.0]), pay(&[0.0, 9.0, 18.0, 27.0]), timeless, mixed] {
        assert_eq!(Again::evaluate(context), None);
    }
}

#[test]
fn the_operator_says_how_often_how_fast_and_what() {
    let host = Host::new().config("clicks", "2").config("seconds", "1").config("text", "Stuck?");
    host.install();
    assert_eq!(Again::evaluate(pay(&[0.0, 1.0])).map(|offer| offer.text).as_deref(), Some("Stuck?"));
    assert_eq!(Again::evaluate(pay(&[0.0, 1.5])), None);
    let host = Host::new().config("clicks", "many").install();
    assert_eq!(Again::evaluate(pay(&[0.0, 1.0, 2.0, 3.0])), None);
    assert_eq!(host.lines().len(), 1, "and it is said");
}
