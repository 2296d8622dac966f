//! What is kept of sessions, and how it reads.

use super::*;

fn at(seconds: f64) -> Timestamp {
    Timestamp::from_secs_f64(1_700_000_000.0 + seconds)
}

fn batch(product: &str, session: &str, did: &[&str]) -> ActionsPayload {
    let action = |did: &&str| Action { description: (*did).to_owned(), ..Action::default() };
    ActionsPayload {
        product_id: product.to_owned(),
        session_id: Some(session.to_owned()),
        actions: did.iter().map(action).collect(),
        ..ActionsPayload::default()
    }
}

fn text(contexts: &mut Contexts, product: Option<&str>, session: &str, now: f64) -> String {
    let view = contexts.settings().view();
    contexts.get(product, session, view, at(now))
}

fn place(product: &str, session: &str) -> Place {
    Place::new(product, session).unwrap()
}

fn contexts(settings: Settings) -> Contexts {
    Contexts::new(settings).unwrap()
}

/// An action of the session `s`, its ordinal, and when it was accepted.
fn kept((did, first, seconds): (&str, u64, f64)) -> Arc<KeptBatch> {
    Arc::new(KeptBatch { first, at: at(seconds), batch: batch("p", "s", &[did]) })
}

#[test]
fn what_is_old_goes_in_whichever_order_it_came_and_what_is_held_is_counted() {
    let lookback = Some(Duration::from_secs(10));
    let mut contexts = contexts(Settings { lookback, ..Settings::default() });
    let here = place("p", "s");
    let moments = [0.0, 5.0, 2.0, 9.0, 8.0, 11.0, 13.0, 12.5, 16.0, 30.0];
    for (n, moment) in moments.into_iter().enumerate() {
        contexts.add_kept(&here, &kept((&"x".repeat(n), n as u64 + 1, moment)));
        let mut wanted: Vec<_> = moments[..=n].to_vec();
        // Each that came let what was old by then go.
        for passed in &moments[..=n] {
            wanted.retain(|known| *known > *passed || passed - known <= 10.0);
        }
        let context = contexts.sessions.peek(&here).unwrap();
        let left: Vec<_> = context.actions.iter().map(|known| known.at).collect();
        assert_eq!(left, wanted.into_iter().map(at).collect::<Vec<_>>());
        let held: usize = context.actions.iter().map(Numbered::size).sum();
        assert_eq!((context.held, contexts.bytes), (held, context.size()));
    }
    contexts.summarize_through(&here, "", 100, at(30.0));
    assert_eq!(contexts.sessions.peek(&here).unwrap().held, 0);
}

#[test]
fn a_batch_is_in_memory_once_and_as_long_as_one_of_its_actions() {
    let mut contexts = contexts(Settings::default());
    let here = place("p", "s");
    let both = Arc::new(KeptBatch { first: 1, at: at(0.0), batch: batch("p", "s", &["a", "b"]) });
    contexts.add_kept(&here, &both);
    assert_eq!(Arc::strong_count(&both), 3);
    contexts.summarize_through(&here, "did a", 1, at(1.0));
    assert_eq!(Arc::strong_count(&both), 2);
    contexts.forget(&here);
    assert_eq!(Arc::strong_count(&both), 1);
}

#[test]
fn a_summary_takes_the_place_of_the_actions_that_it_covers() {
    let mut contexts = contexts(Settings::default());
    contexts.add(&batch("p", "s", &["a", "b", "c"]), at(0.0));
    contexts.summarize(&place("p", "s"), "a and b", 2, at(1.0));
    let text = text(&mut contexts, Some("p"), "s", 1.0);
    assert_eq!(text, "Summary: a and b\n\nRecent activity:\n1. [0] : c — ");
}

#[test]
fn products_that_know_a_session_of_one_name_never_mix() {
    let mut contexts = contexts(Settings::default());
    contexts.add(&batch("p", "s", &["in p"]), at(0.0));
    contexts.summarize(&place("p", "s"), "secret of p", 0, at(0.0));
    contexts.add(&batch("q", "s", &["in q"]), at(0.0));
    let q = text(&mut contexts, Some("q"), "s", 0.0);
    assert!(q.contains("in q") && !q.contains("secret") && !q.contains("in p"));
    assert_eq!(text(&mut contexts, None, "s", 0.0), "", "nobody says which");
    contexts.add(&batch("p", "x\u{1f}t", &["foreign"]), at(0.0));
    assert_eq!(text(&mut contexts, None, "t", 0.0), "", "no name is a part of another");
}

#[test]
fn a_session_of_which_everything_expired_hides_no_other_of_its_name() {
    let lookback = Some(Duration::from_secs(10));
    let mut contexts = contexts(Settings { lookback, ..Settings::default() });
    let late = ActionsPayload { forwarded_at: 1_699_999_000.0, ..batch("p", "s", &["late"]) };
    contexts.add(&late, at(0.0));
    contexts.add(&batch("q", "s", &["in q"]), at(0.0));
    assert!(text(&mut contexts, None, "s", 0.0).contains("in q"));
}

#[test]
fn reading_keeps_a_session_and_each_takes_one_place() {
    let mut contexts = contexts(Settings { max_sessions: 2, ..Settings::default() });
    contexts.add(&batch("p", "a", &["x"]), at(0.0));
    contexts.summarize(&place("p", "a"), "did x", 0, at(0.0));
    contexts.add(&batch("p", "b", &["x"]), at(0.0));
    assert_ne!(text(&mut contexts, Some("p"), "a", 0.0), "");
    contexts.add(&batch("p", "c", &["x"]), at(0.0));
    let kept: Vec<_> = contexts.places().map(|place| &*place.session).collect();
    assert_eq!((kept, contexts.forgotten()), (vec!["a", "c"], 1));
    assert_eq!(contexts.products.len(), 2);
}

#[test]
fn a_reset_without_a_product_erases_all_of_them() {
    let mut contexts = contexts(Settings::default());
    contexts.add(&batch("p", "s", &["x"]), at(0.0));
    contexts.add(&batch("q", "s", &["x"]), at(0.0));
    contexts.reset(None, "s");
    assert_eq!(contexts.places().count(), 0);
    assert!(contexts.products.is_empty());
}

#[test]
fn what_is_old_goes_summary_and_all() {
    let lookback = Some(Duration::from_secs(10));
    let mut contexts = contexts(Settings { lookback, ..Settings::default() });
    contexts.add(&batch("p", "s", &["x"]), at(0.0));
    contexts.summarize(&place("p", "s"), "did x", 0, at(0.0));
    assert!(text(&mut contexts, Some("p"), "s", 10.0).contains("did x"));
    assert_eq!(text(&mut contexts, Some("p"), "s", 11.0), "");
    contexts.sweep(at(11.0));
    assert_eq!(contexts.places().count(), 0);
}

#[test]
fn one_session_is_bounded_too() {
    let mut contexts = contexts(Settings::default());
    let many = vec!["x"; MAX_KEPT + 5];
    contexts.add(&batch("p", "s", &many), at(0.0));
    let view = contexts.settings().view();
    assert_eq!(contexts.actions(&place("p", "s"), view, at(0.0)).len(), MAX_KEPT);
}

#[test]
fn all_sessions_together_are_bounded_by_bytes_and_the_one_used_longest_ago_goes() {
    let mut contexts = contexts(Settings { max_bytes: 10_000, ..Settings::default() });
    let long = "x".repeat(4000);
    for session in ["a", "b"] {
        contexts.add(&batch("p", session, &[&long]), at(0.0));
    }
    assert_ne!(text(&mut contexts, Some("p"), "a", 0.0), "");
    contexts.add(&batch("p", "c", &[&long]), at(0.0));
    let kept: Vec<_> = contexts.places().map(|place| &*place.session).collect();
    assert_eq!((kept, contexts.forgotten()), (vec!["a", "c"], 1));
    contexts.add(&batch("p", "huge", &[&"x".repeat(20_000)]), at(0.0));
    assert_eq!(contexts.places().count(), 1, "the one used last stays whatever its size");
    contexts.forget(&place("p", "huge"));
    assert_eq!((contexts.bytes, contexts.products.len()), (0, 0));
}

#[test]
fn what_comes_twice_changes_nothing() {
    let mut contexts = contexts(Settings::default());
    let here = place("p", "s");
    let [a, b, c] = [("a", 1, 0.0), ("b", 2, 0.0), ("c", 3, 1.0)].map(kept);
    contexts.add_kept(&here, &a);
    contexts.add_kept(&here, &b);
    contexts.summarize_through(&here, "did a", 1, at(1.0));
    let told = text(&mut contexts, Some("p"), "s", 1.0);
    contexts.add_kept(&here, &a);
    contexts.add_kept(&here, &b);
    contexts.summarize_through(&here, "nothing", 0, at(0.5));
    assert_eq!(text(&mut contexts, Some("p"), "s", 1.0), told);
    contexts.add_kept(&here, &c);
    assert_eq!(
        text(&mut contexts, Some("p"), "s", 1.0),
        "Summary: did a\n\nRecent activity:\n1. [0] : b — \n2. [0] : c — "
    );
}

#[test]
fn a_batch_whose_time_nobody_says_was_sent_when_it_came() {
    let lookback = Some(Duration::from_secs(300));
    let mut contexts = contexts(Settings { lookback, ..Settings::default() });
    contexts.add(&batch("p", "s", &["x"]), at(0.0));
    assert_ne!(text(&mut contexts, Some("p"), "s", 0.0), "");
}

#[test]
fn what_was_done_is_not_in_debug() {
    let mut contexts = contexts(Settings::default());
    contexts.add(&batch("p", "s", &["secret"]), at(0.0));
    assert!(!format!("{contexts:?}").contains("secret"));
}
