use super::*;
use crate::ids::{ProductId, SessionId};
use crate::session::payload::ActionsPayload;

/// A moment, in seconds after the beginning of the test.
fn at(seconds: f64) -> Timestamp {
    Timestamp::from_secs_f64(1_700_000_000.0 + seconds)
}

fn key() -> SessionKey {
    SessionKey { product: ProductId::new("p").unwrap(), session: SessionId::new("s").unwrap() }
}

fn action(page: &str, time: Option<f64>) -> Action {
    let time = time.map(|time| 1_700_000_000.0 + time);
    Action {
        canonical_url: page.to_owned(),
        timestamp_start: time,
        timestamp_end: time,
        ..Action::default()
    }
}

fn batch(arrived: f64, actions: Vec<Action>) -> KeptBatch {
    let batch = ActionsPayload {
        product_id: "p".to_owned(),
        session_id: Some("s".to_owned()),
        actions,
        ..ActionsPayload::default()
    };
    KeptBatch { first: 1, at: at(arrived), batch }
}

fn of(user: &str, batch: KeptBatch) -> KeptBatch {
    let payload = ActionsPayload { user_id: Some(user.to_owned()), ..batch.batch };
    KeptBatch { batch: payload, ..batch }
}

fn pages<'a>(key: &'a SessionKey, batches: &'a [KeptBatch], now: f64) -> Vec<&'a str> {
    let context = Context::of(Scope::of(key), batches, at(now)).unwrap();
    context.actions.iter().map(|seen| seen.page).collect()
}

fn stay(batches: &[KeptBatch], now: f64) -> Option<f64> {
    let key = key();
    let context = Context::of(Scope::of(&key), batches, at(now)).unwrap();
    context.stay.map(|stay| stay.length(context.now).as_secs_f64())
}

#[test]
fn the_window_is_by_arrival_and_includes_its_first_moment() {
    // The client's clock is an hour slow: nothing is lost by it.
    let batches = [
        batch(0.0, vec![action("/a", Some(-3600.0))]),
        batch(1.0, vec![action("/b", Some(-3599.0))]),
    ];
    assert_eq!(pages(&key(), &batches, 120.0), ["/a", "/b"]);
    assert_eq!(pages(&key(), &batches, 120.5), ["/b"]);
    assert_eq!(pages(&key(), &batches, -60.0), ["/a", "/b"], "the host's clock was set back");
}

#[test]
fn the_newest_actions_are_looked_at_and_a_batch_may_be_cut() {
    let many = |from: usize| (from..from + 30).map(|n| action(&format!("/{n}"), None)).collect();
    let batches = [batch(0.0, many(0)), batch(1.0, many(30))];
    let key = key();
    let pages = pages(&key, &batches, 2.0);
    assert_eq!(pages.len(), MAX_ACTIONS);
    assert_eq!((pages[0], pages[49]), ("/10", "/59"));
}

#[test]
fn what_is_of_another_session_or_was_done_by_another_person_is_left_out() {
    let mut foreign = batch(1.0, vec![action("/foreign", None)]);
    foreign.batch.session_id = Some("other".to_owned());
    let batches = [
        of("ann", batch(0.0, vec![action("/ann", None)])),
        foreign,
        of("bob", batch(2.0, vec![action("/bob", None)])),
        batch(3.0, vec![action("/next", None)]),
    ];
    let key = key();
    let context = Context::of(Scope::of(&key), &batches, at(4.0)).unwrap();
    assert_eq!(context.visits.pages(), ["/bob", "/next"]);
    assert_eq!(context.user_id, Some("bob"));
}

#[test]
fn a_stay_counts_silence_and_begins_with_the_first_of_its_actions() {
    let batches = [
        batch(0.0, vec![action("/q", Some(0.0))]),
        batch(5.0, vec![action("/p", Some(5.0)), action(" /p ", Some(3.0))]),
        batch(9.0, vec![action("/p", Some(8.0))]),
    ];
    assert_eq!(stay(&batches, 9.0), Some(6.0));
    assert_eq!(stay(&batches, 603.0), Some(600.0), "it is longer than the window");
    assert_eq!(stay(&[batch(0.0, vec![action("", Some(0.0))])], 90.0), None);
    assert_eq!(stay(&[], 90.0), None);
}

#[test]
fn an_action_without_a_time_was_done_when_it_arrived() {
    assert_eq!(stay(&[batch(0.0, vec![action("/p", None)])], 30.0), Some(30.0));
}

#[test]
fn a_clock_that_is_wrong_makes_no_stay_longer_or_shorter() {
    for wrong in [-3600.0, -70.0, 0.0, 50.0, 3600.0] {
        let batches = [
            batch(1.0, vec![action("/p", Some(wrong))]),
            batch(21.0, vec![action("/p", Some(wrong + 20.0))]),
        ];
        let length = stay(&batches, 40.0).unwrap();
        assert!((39.0..=40.0).contains(&length), "{wrong}: {length}");
    }
}

#[test]
fn a_session_without_a_name_and_a_window_without_a_length_are_refused() {
    let blank = SessionKey { session: SessionId::new(" ").unwrap(), ..key() };
    assert_eq!(
        Context::of(Scope::of(&blank), [], at(0.0)).unwrap_err(),
        NoContext::Nameless("session")
    );
    assert_eq!(Window::new(Duration::ZERO, 1), Err(NoContext::Window));
    assert_eq!(Window::new(LOOKBACK, 0), Err(NoContext::Window));
}
