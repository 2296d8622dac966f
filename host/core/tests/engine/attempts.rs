//! The log of the attempts at each delivery: what is in it, where it is stored, and what it costs.

use std::time::Duration;

use sidenote_core::engine::helping::OfferWish;
use sidenote_core::engine::rows::encode;
use sidenote_core::engine::{Answer, Command, Decision, Outcome, Settings};
use sidenote_core::offers::content::Offer;
use sidenote_core::outbox::attempt::{
    Asked, Attempt, Attempts, Because, FIRST, LATEST, Status, Then,
};
use sidenote_core::outbox::ended::{
    EndedDelivery, EndedKind, MAX_ENDED, MessageEnd, MessageKind, What, number,
};
use sidenote_core::outbox::lane::{DeadLetter, Progress};
use sidenote_core::outbox::message::Job as MessageJob;
use sidenote_core::outbox::note::{
    Crash, FailureKind, LimitScope, Posted, Redaction, Sent, SentNote,
};
use sidenote_core::outbox::redaction::{Job, Why};
use sidenote_core::outbox::sink_delivery::SinkDelivery;
use sidenote_core::rows::Table;
use sidenote_core::rules::{Delivery, Offers};
use sidenote_core::session::state::Covers;

use crate::words::{
    CHAT, VERSION, crashed, decide, decide_sink, ended, erase, fails, key, limited, settings,
    settings_of, summary, took,
};
use crate::world::{DAY, HOUR, SECOND, World};

/// An attempt in short: how it ended, and what was decided.
fn short(attempt: &Attempt) -> (Status, Option<&str>, Option<Because>) {
    let fault = attempt.fault.as_ref();
    let because = fault.and_then(|fault| match fault.then {
        Then::Again(_) => None,
        Then::End(because) => Some(because),
    });
    (attempt.status, fault.map(|fault| &*fault.code), because)
}

fn all(attempts: &Attempts) -> Vec<(Status, Option<&str>, Option<Because>)> {
    attempts.kept().iter().map(short).collect()
}

#[test]
fn a_note_that_is_sent_at_once_says_when_by_what_and_how_long_it_took() {
    let mut world = World::linked(settings(), &["s"]);
    world.seal("s");
    let sealed = world.now;
    world.now = world.now + SECOND;
    world.answer(took());
    let sent: SentNote = world.row(Table::Sent, "s", 1);
    assert_eq!((sent.made, sent.actions, sent.resent_of), (Some(sealed), 1, None));
    let [attempt] = sent.tries.kept() else { panic!("{:?}", sent.tries) };
    assert_eq!(short(attempt), (Status::Sent, None, None));
    assert_eq!((attempt.began, attempt.took), (sealed, Some(Duration::from_millis(80))));
    assert_eq!((&*attempt.version, attempt.asked), (VERSION, None));
    // What it costs: no row of its own, and so many bytes of one that there is anyway.
    assert_eq!((world.count(Table::Attempt), world.count(Table::Sent)), (0, 1));
    let without = encode(&sent.clone().without_its_story()).len();
    let cost = encode(&sent).len() - without;
    assert!((20..=40).contains(&cost), "{cost} bytes");
}

#[test]
fn each_failure_says_what_the_platform_said_and_what_follows() {
    let mut world = World::linked(settings(), &["s"]);
    world.seal("s");
    world.answer(fails(FailureKind::Transient));
    let waiting: Progress = world.row(Table::Attempt, "s", 1);
    let [attempt] = waiting.tries.kept() else { panic!("{:?}", waiting.tries) };
    let fault = attempt.fault.as_ref().expect("it failed");
    let again = world.now + Duration::from_millis(750);
    assert_eq!((fault.then, fault.sent), (Then::Again(again), Sent::Sent));
    assert_eq!((&*fault.reason(), waiting.failure.as_deref()), ("418: no", Some("418: no")));
    world.pass(SECOND);
    world.answer(limited(LimitScope::Account, SECOND * 5));
    world.pass(SECOND * 6);
    // It is all there in the next process.
    world.restart();
    world.run();
    world.answer(took());
    let sent: SentNote = world.row(Table::Sent, "s", 1);
    let told = all(&sent.tries);
    assert_eq!(
        told[..2],
        [(Status::Transient, Some("418"), None), (Status::RateLimited, Some("418"), None)]
    );
    // The restart cut one off that was under way.
    assert_eq!(told[2..], [(Status::CutOff, None, None), (Status::Sent, None, None)]);
    assert!(sent.tries.kept().is_sorted_by_key(|attempt| attempt.began));
}

#[test]
fn what_was_cut_off_is_asked_for_and_that_it_was_found_is_said() {
    for (asked, found) in [(Asked::Found, true), (Asked::NotFound, false)] {
        let mut world = World::linked(settings(), &["s"]);
        world.seal("s");
        world.restart();
        world.run();
        let call = world.calls.remove(0);
        let Command::Ended(mut it) = ended(&call, took()) else { panic!("it ended") };
        it.course.asked = Some(asked);
        world.tell(Command::Ended(it));
        let sent: SentNote = world.row(Table::Sent, "s", 1);
        assert_eq!(all(&sent.tries), [(Status::CutOff, None, None), (Status::Sent, None, None)]);
        assert_eq!(sent.tries.last().and_then(|last| last.asked), Some(asked));
        assert_eq!(world.totals().notes_found, u64::from(found));
    }
}

#[test]
fn a_dead_letter_says_why_it_isnt_tried_any_more_and_keeps_its_log_when_it_is_tried_again() {
    let rules = Delivery { max_attempts: 2, ..Delivery::default() };
    for (said, because) in [
        (fails(FailureKind::Permanent), Because::Refused),
        (fails(FailureKind::Transient), Because::Attempts),
        (crashed(Crash::Trap), Because::Attempts),
    ] {
        let mut world = World::linked(settings_of(&[CHAT], rules.clone()), &["s"]);
        world.seal("s");
        world.answer_all(|| said.clone());
        world.pass(SECOND * 5);
        world.answer_all(|| said.clone());
        let dead: DeadLetter = world.row(Table::Dead, "s", 1);
        assert_eq!(all(&dead.tries).last().map(|last| last.2), Some(Some(because)), "{said:?}");
        let before = dead.tries.kept().len();
        world.tell(decide(Decision::Retry, "s", &[1]));
        world.answer_all(took);
        let sent: SentNote = world.row(Table::Sent, "s", 1);
        assert_eq!(sent.tries.kept().len(), before + 1, "what was tried before is still there");
    }
    let old = Delivery { max_age: HOUR, max_attempts: 100, ..Delivery::default() };
    let mut world = World::linked(settings_of(&[CHAT], old), &["s"]);
    world.seal("s");
    world.pass(HOUR * 2);
    world.answer(fails(FailureKind::Transient));
    let dead: DeadLetter = world.row(Table::Dead, "s", 1);
    assert_eq!(all(&dead.tries), [(Status::Transient, Some("418"), Some(Because::Age))]);
    let mut world = World::linked(settings(), &["s"]);
    world.seal("s");
    (0..3).for_each(|_| {
        world.answer_all(|| crashed(Crash::Trap));
        world.pass(SECOND * 30);
    });
    let dead: DeadLetter = world.row(Table::Dead, "s", 1);
    assert_eq!(all(&dead.tries)[2], (Status::Trap, Some("trap"), Some(Because::Crashes)));
}

#[test]
fn the_middle_of_a_long_log_is_left_out_and_counted() {
    let rules = Delivery { max_attempts: 1000, ..Delivery::default() };
    let mut world = World::linked(settings_of(&[CHAT], rules), &["s"]);
    world.seal("s");
    for _ in 0..40 {
        world.answer_all(|| fails(FailureKind::Transient));
        world.pass(SECOND * 660);
    }
    let waiting: Progress = world.row(Table::Attempt, "s", 1);
    assert_eq!(waiting.tries.kept().len(), FIRST + LATEST);
    let begun = u32::try_from(FIRST + LATEST).expect("few") + waiting.tries.left_out();
    assert!(waiting.tries.left_out() > 0 && begun == waiting.attempts, "{begun}");
    assert!(encode(&waiting).len() < 4096, "{}", encode(&waiting).len());
}

#[test]
fn an_ordered_stop_cuts_an_attempt_off_and_is_no_crash() {
    let mut world = World::linked(settings(), &["s"]);
    world.seal("s");
    world.tell(Command::Stop);
    let waiting: Progress = world.row(Table::Attempt, "s", 1);
    assert_eq!((all(&waiting.tries), waiting.crashes), (vec![(Status::CutOff, None, None)], 0));
}

#[test]
fn what_waits_for_a_sink_has_its_log_while_it_waits_and_as_a_dead_letter() {
    let mut world = World::new(settings_of(&[CHAT, "sink"], Delivery::default()));
    world.sink("sink", false);
    world.tell(crate::words::acts("s", &["it"]));
    world.answer(fails(FailureKind::Transient));
    let waiting: Progress = world.row(Table::SinkAttempt, "s", 1);
    assert_eq!(all(&waiting.tries), [(Status::Transient, Some("418"), None)]);
    world.pass(SECOND);
    world.answer(fails(FailureKind::Invalid));
    let dead: DeadLetter<SinkDelivery> = world.row(Table::SinkDead, "s", 1);
    assert_eq!(all(&dead.tries)[1], (Status::Invalid, Some("418"), Some(Because::Refused)));
    world.tell(decide_sink(Decision::Retry, "s", &[1]));
    let waiting: Progress = world.row(Table::SinkAttempt, "s", 1);
    assert_eq!(waiting.tries.kept().len(), 3);
    world.answer_all(took);
    let left = [Table::SinkQueue, Table::SinkAttempt, Table::SinkDead];
    assert_eq!(left.map(|table| world.count(table)), [0, 0, 0], "it waits no more");
    let kept: EndedDelivery = world.row(Table::Ended, "s", number(EndedKind::Sink, 1));
    let What::Sink(sink) = &kept.what else { panic!("it is something for a sink") };
    assert_eq!((&*sink.plugin, sink.seq, sink.actions), ("sink", 1, 1));
    assert_eq!(all(&sink.tries).last(), Some(&(Status::Sent, None, None)));
    assert_eq!((sink.tries.kept().len(), kept.at), (3, world.now));
}

#[test]
fn what_sinks_accepted_is_kept_for_the_latest_of_a_session_and_for_a_time() {
    let mut world = World::new(settings_of(&["sink"], Delivery::default()));
    world.sink("sink", false);
    for n in 0..MAX_ENDED + 3 {
        world.tell(crate::words::acts("s", &[&format!("it {n}")]));
        world.answer_all(took);
    }
    assert_eq!(world.count(Table::Ended) as u64, MAX_ENDED);
    let at = world.now;
    world.sweep_at(at + DAY * 30);
    assert_ne!(world.count(Table::Ended), 0);
    world.sweep_at(at + DAY * 30 + SECOND);
    assert_eq!(world.count(Table::Ended), 0, "as long as dead letters are");
}

#[test]
fn a_message_has_its_log_while_it_is_on_its_way() {
    let product = sidenote_core::rules::Product::of(vec![CHAT.into()], Delivery::default());
    let product = product.with_offers(Offers::default());
    let settings = Settings::of_products([(crate::words::product("p"), product)]);
    let mut world = World::linked(settings, &["s"]);
    let offer = Offer::new("stuck", "Need help?", []).expect("it is short");
    let wish = OfferWish { key: key("s"), offer, as_of: None, ask_only: false };
    let answer = world.tell(Command::Offer(wish));
    assert!(matches!(answer, Answer::Offered(Ok(1))), "{answer:?}");
    world.answer(fails(FailureKind::Transient));
    let waiting: MessageJob = world.row(Table::Message, "s", 1);
    assert_eq!(all(&waiting.tries), [(Status::Transient, Some("418"), None)]);
    world.pass(SECOND);
    let waiting: MessageJob = world.row(Table::Message, "s", 1);
    assert_eq!(all(&waiting.tries)[1], (Status::UnderWay, None, None));
    let Command::Ended(mut it) = ended(&world.calls.remove(0), took()) else { panic!("it ended") };
    if let Outcome::Message { result, .. } = &mut it.outcome {
        let posted = Posted { note_id: None, pause: None };
        *result = Ok(sidenote_core::outbox::message::Sending::Posted(posted));
    }
    world.tell(Command::Ended(it));
    assert_eq!(world.count(Table::Message), 0);
    let kept: EndedDelivery = world.row(Table::Ended, "s", number(EndedKind::Message, 1));
    let What::Message(message) = &kept.what else { panic!("it is a message") };
    assert_eq!((message.kind, message.how), (MessageKind::Offer, MessageEnd::Delivered));
    let told = all(&message.tries);
    assert_eq!(told.iter().map(|it| it.0).collect::<Vec<_>>(), [Status::Transient, Status::Sent]);
}

#[test]
fn a_redaction_that_is_done_is_told_with_its_note_until_somebody_is_erased() {
    let mut world = World::linked(settings(), &["s"]);
    world.post("s", 1);
    world.tell(summary("s", "It", Covers::Next(1)));
    world.answer(took());
    world.answer(fails(FailureKind::Transient));
    world.pass(SECOND * 5);
    world.answer_all(took);
    assert_eq!(world.count(Table::Redact), 0);
    let kept: EndedDelivery = world.row(Table::Ended, "s", number(EndedKind::Redaction, 1));
    let What::Redaction(ended) = &kept.what else { panic!("it is a redaction") };
    assert_eq!((ended.redaction, ended.job.why), (Redaction::Removed, Why::Replaced));
    assert_eq!(all(&ended.job.note.tries), [(Status::Sent, None, None)]);
    assert_eq!(all(&ended.job.tries).last(), Some(&(Status::Sent, None, None)));
    world.tell(erase(&["s"], false));
    world.pass(SECOND * 5);
    world.answer_all(took);
    let left = [Table::Ended, Table::Sent, Table::Redact].map(|table| world.count(table));
    assert_eq!(left, [0, 0, 0]);
}

#[test]
fn a_redaction_has_a_log_beside_its_notes_and_who_is_erased_leaves_neither() {
    let mut world = World::linked(settings(), &["s"]);
    world.post("s", 1);
    world.tell(summary("s", "It", Covers::Next(1)));
    world.answer(took());
    world.answer(fails(FailureKind::Transient));
    let job: Job = world.row(Table::Redact, "s", 1);
    assert_eq!(all(&job.tries), [(Status::Transient, Some("418"), None)]);
    assert_eq!(all(&job.note.tries), [(Status::Sent, None, None)]);
    world.tell(erase(&["s"], false));
    for seq in [1, 2] {
        let job: Job = world.row(Table::Redact, "s", seq);
        assert_eq!(job.why, Why::Erased);
        // One that came due in this very moment has begun anew.
        assert!(job.tries.kept().iter().all(|it| it.status == Status::UnderWay), "{:?}", job.tries);
        assert!(job.note == job.note.clone().without_its_story());
    }
    world.answer_all(|| fails(FailureKind::Permanent));
    world.pass(SECOND * 5);
    world.answer_all(|| fails(FailureKind::Permanent));
    let job: Job = world.row(Table::Redact, "s", 1);
    assert_eq!(
        all(&job.tries).last(),
        Some(&(Status::Permanent, Some("418"), Some(Because::Refused)))
    );
}
