//! What a person decides about deliveries.

use std::time::Duration;

use sidenote_core::engine::{Decision, LaneKind, NoteRef};
use sidenote_core::outbox::lane::{DeadLetter, Progress, State};
use sidenote_core::outbox::note::{FailureKind, LimitScope};
use sidenote_core::outbox::sink_delivery::SinkDelivery;
use sidenote_core::rows::Table;
use sidenote_core::rules::Delivery;

use crate::words::{
    CHAT, acts, decide, decide_sink, decided, fails, key, limited, name, names, settings,
    settings_of, took,
};
use crate::world::{DAY, HOUR, SECOND, World};

#[test]
fn what_waits_for_a_pause_of_the_hosts_is_due_at_once_when_a_person_says_so() {
    let mut world = World::linked(settings(), &["s"]);
    world.seal("s");
    assert_eq!(decided(world.tell(decide(Decision::Retry, "s", &[1]))), 0, "it is under way");
    world.answer(fails(FailureKind::Transient));
    assert!(world.calls.is_empty());
    // One that is named twice counts once.
    assert_eq!(decided(world.tell(decide(Decision::Retry, "s", &[1, 1]))), 1);
    let [call] = &world.calls[..] else { panic!("{:?}", names(&world.calls)) };
    assert_eq!(call.attempt, 2);
    // What the platform asked for holds.
    world.answer(limited(LimitScope::Conversation, HOUR));
    assert_eq!(decided(world.tell(decide(Decision::Retry, "s", &[1]))), 0);
    assert!(world.calls.is_empty());
}

#[test]
fn what_is_due_again_is_on_record_so() {
    let mut world = World::linked(settings().with_concurrency("other", 1), &["s", "t"]);
    world.seal("s");
    world.answer(fails(FailureKind::Transient));
    world.seal("t");
    assert_eq!(names(&world.calls), ["post t/1"]);
    // There is no slot for it: what is stored says that it is due.
    assert_eq!(decided(world.tell(decide(Decision::Retry, "s", &[1]))), 1);
    assert_eq!(world.row::<Progress>(Table::Attempt, "s", 1).state, State::Due);
}

#[test]
fn a_dead_letter_is_queued_again_as_if_never_tried_and_its_age_counts_anew() {
    let old = Delivery { max_age: HOUR, ..Delivery::default() };
    let mut world = World::linked(settings_of(&[CHAT], old), &["s"]);
    world.seal("s");
    world.answer(fails(FailureKind::Permanent));
    world.pass(HOUR * 5);
    assert_eq!(decided(world.tell(decide(Decision::Retry, "s", &[1]))), 1);
    assert_eq!((world.count(Table::Dead), world.totals().notes_requeued), (0, 1));
    let attempt: Progress = world.row(Table::Attempt, "s", 1);
    assert_eq!((attempt.requeued, attempt.attempts), (Some(world.now), 1));
    assert_eq!(world.numbers(Table::Outbox, "s"), [1]);
    let [call] = &world.calls[..] else { panic!("{:?}", names(&world.calls)) };
    assert_eq!(call.attempt, 1);
    let requeued = world.now;
    world.answer(fails(FailureKind::Transient));
    world.plugins.set(CHAT, |it| it.coming = true);
    world.now = requeued + HOUR - Duration::from_micros(1);
    world.run_now();
    assert_eq!(world.count(Table::Dead), 0);
    world.now = requeued + HOUR;
    world.run_now();
    assert_eq!(world.count(Table::Dead), 1);
}

#[test]
fn a_dead_letter_goes_before_later_notes_but_not_before_one_under_way() {
    let mut world = World::linked(settings(), &["s"]);
    for _ in 0..3 {
        world.seal("s");
    }
    world.answer(fails(FailureKind::Permanent));
    assert_eq!(names(&world.calls), ["post s/2"]);
    assert_eq!(decided(world.tell(decide(Decision::Retry, "s", &[1]))), 1);
    let order = names(&world.answer_all(took));
    assert_eq!(order, ["post s/2", "post s/1", "post s/3"]);
    assert_eq!(world.numbers(Table::Sent, "s"), [1, 2, 3]);
}

#[test]
fn what_a_person_purges_is_gone_wherever_it_waits() {
    let mut world = World::linked(settings(), &["s"]);
    for _ in 0..9 {
        world.seal("s");
    }
    // The first is under way and stays; the sixth and the eighth aren't in memory.
    let purged = world.tell(decide(Decision::Purge, "s", &[1, 2, 6, 8, 8, 77]));
    assert_eq!((decided(purged), world.totals().notes_purged), (3, 3));
    assert_eq!(world.numbers(Table::Outbox, "s"), [1, 3, 4, 5, 7, 9]);
    let order = names(&world.answer_all(took));
    assert_eq!(order, [1, 3, 4, 5, 7, 9].map(|n| format!("post s/{n}")));
    assert!(!world.core.is_hungry());
    assert_eq!((world.count(Table::Outbox), world.count(Table::Attempt)), (0, 0));
}

#[test]
fn a_dead_letter_is_purged_and_what_cannot_be_read_is_left() {
    let mut world = World::linked(settings(), &["s"]);
    world.seal("s");
    world.answer(fails(FailureKind::Permanent));
    world.seal("s");
    world.answer(fails(FailureKind::Permanent));
    world.spoil(Table::Dead, "s", 2);
    assert_eq!(decided(world.tell(decide(Decision::Retry, "s", &[2]))), 0);
    assert_eq!(decided(world.tell(decide(Decision::Purge, "s", &[1, 2]))), 1);
    assert_eq!(world.numbers(Table::Dead, "s"), [2]);
    // What was decided in the same transaction counts.
    world.seal("s");
    world.answer(fails(FailureKind::Permanent));
    let both = vec![decide(Decision::Retry, "s", &[3]), decide(Decision::Purge, "s", &[3])];
    let answers = world.round(both).into_iter().map(decided).collect::<Vec<_>>();
    assert_eq!(answers, [1, 1]);
    assert_eq!(world.count(Table::Outbox), 0);
    assert!(world.calls.is_empty());
}

#[test]
fn a_dead_letter_behind_what_is_in_memory_has_its_turn_in_the_end() {
    let mut world = World::linked(settings().with_concurrency("x", 1), &["s"]);
    for _ in 0..9 {
        world.seal("s");
    }
    for _ in 0..8 {
        world.answer(took());
        world.run();
    }
    world.answer(fails(FailureKind::Permanent));
    assert_eq!(world.numbers(Table::Dead, "s"), [9]);
    for _ in 0..3 {
        world.seal("s");
    }
    world.tell(decide(Decision::Retry, "s", &[9]));
    let order = names(&world.answer_all(took));
    assert_eq!(order, ["post s/10", "post s/9", "post s/11", "post s/12"]);
}

#[test]
fn many_dead_letters_are_queued_again_in_their_order() {
    let mut world = World::linked(settings(), &["s"]);
    for _ in 0..12 {
        world.seal("s");
        world.answer(fails(FailureKind::Permanent));
    }
    world.plugins.set(CHAT, |it| it.coming = true);
    let all: Vec<u64> = (1..=12).rev().collect();
    assert_eq!(decided(world.tell(decide(Decision::Retry, "s", &all))), 12);
    world.restart();
    world.plugins.set(CHAT, |it| it.coming = false);
    let order = names(&world.answer_all(took));
    assert_eq!(order, (1..=12).map(|n| format!("post s/{n}")).collect::<Vec<_>>());
    assert_eq!(world.numbers(Table::Sent, "s").len(), 12);
}

#[test]
fn what_waits_for_a_sink_is_decided_about_by_its_own_number() {
    let settings = settings_of(&["sink"], Delivery::default());
    let mut world = World::new(settings);
    world.sink("sink", false);
    for what in ["one", "two", "three"] {
        world.tell(acts("s", &[what]));
    }
    world.answer(fails(FailureKind::Permanent));
    assert_eq!(world.numbers(Table::SinkDead, "s"), [1]);
    assert_eq!(decided(world.tell(decide(Decision::Purge, "s", &[1, 2]))), 0, "no note has it");
    assert_eq!(decided(world.tell(decide_sink(Decision::Purge, "s", &[3]))), 1);
    assert_eq!(decided(world.tell(decide_sink(Decision::Retry, "s", &[1]))), 1);
    assert_eq!(world.count(Table::SinkDead), 0);
    let order = names(&world.answer_all(took));
    assert_eq!(order, ["send s/2 to sink", "send s/1 to sink"]);
    assert_eq!((world.count(Table::SinkQueue), world.count(Table::SinkAttempt)), (0, 0));
    let totals = world.totals();
    assert_eq!(
        (totals.notes_requeued, totals.notes_purged, totals.sink_deliveries_dead),
        (1, 1, 1)
    );
    let of = |lane| NoteRef { key: key("s"), lane, seq: 1 };
    assert_ne!(of(LaneKind::Note), of(LaneKind::Sink));
}

#[test]
fn a_sinks_dead_letter_says_why() {
    let mut world = World::new(settings_of(&["sink"], Delivery::default()));
    world.sink("sink", false);
    world.tell(acts("s", &["one"]));
    world.answer(fails(FailureKind::Invalid));
    let dead: DeadLetter<SinkDelivery> = world.row(Table::SinkDead, "s", 1);
    assert_eq!((&*dead.reason, dead.attempts, dead.at), ("418: no", 1, world.now));
}

#[test]
fn a_decision_keeps_its_session_in_memory_for_a_while() {
    let mut world = World::linked(settings(), &["s"]);
    world.seal("s");
    world.answer(fails(FailureKind::Permanent));
    world.pass(SECOND * 90);
    assert!(!world.core.has(&key("s")));
    world.tell(decide(Decision::Purge, "s", &[1]));
    assert!(world.core.has(&key("s")));
    world.pass(DAY / 24);
    assert!(!world.core.has(&key("s")));
    assert_eq!(world.calls.iter().map(name).count(), 0);
}
