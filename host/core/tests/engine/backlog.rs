//! What waits is told to people by plugin, with its age; and how long deliveries took.

use std::time::Duration;

use sidenote_core::clock::Timestamp;
use sidenote_core::engine::{Backlog, Decision, LaneKind};
use sidenote_core::outbox::note::{FailureKind, Note};
use sidenote_core::rows::Table;
use sidenote_core::rules::Delivery;

use crate::words::{CHAT, acts, decide, fails, settings, settings_of, took};
use crate::world::{HOUR, MOMENT, SECOND, World};

fn waits(world: &World) -> Vec<(String, LaneKind, u64, Option<Timestamp>)> {
    let told = |it: Backlog| (it.plugin.to_string(), it.kind, it.waiting, it.oldest);
    world.core.backlog().into_iter().map(told).collect()
}

/// How many deliveries were timed, and how long they took together.
fn timed(world: &World) -> (u64, Duration) {
    let times = world.counters().note_times.distribution();
    (times.count(), Duration::from_secs_f64(times.seconds()))
}

#[test]
fn what_waits_for_a_turn_is_as_old_as_its_first_action() {
    let mut world = World::linked(settings(), &["s", "t"]);
    assert_eq!(waits(&world), []);
    let first = world.now;
    world.tell(acts("s", &["one"]));
    world.pass(MOMENT);
    world.tell(acts("s", &["behind it"]));
    world.tell(acts("t", &["two"]));
    world.pass(MOMENT);
    // The one slot is in use: the second session's batch waits unsealed.
    assert_eq!(world.calls.len(), 1);
    assert_eq!(waits(&world), [(CHAT.to_owned(), LaneKind::Note, 2, Some(first))]);
    world.answer(took());
    assert_eq!(timed(&world), (1, MOMENT * 2));
    assert_eq!(waits(&world)[0].3, Some(first + MOMENT));
    world.answer_all(took);
    assert_eq!((waits(&world), timed(&world).0), (vec![], 3));
}

#[test]
fn a_lane_counts_with_what_is_in_the_store_only() {
    let mut world = World::linked(settings(), &["s"]);
    (0..7).for_each(|_| world.seal("s"));
    assert_eq!(waits(&world)[0].2, 7);
    world.answer(took());
    assert_eq!(waits(&world)[0].2, 6);
}

#[test]
fn a_note_waits_from_its_link_on_and_not_while_nobody_could_be_told() {
    let mut world = World::new(settings());
    world.tell(acts("s", &["long before"]));
    world.pass(SECOND * 60);
    assert_eq!(waits(&world), []);
    world.link("s");
    let linked = world.now;
    world.pass(SECOND);
    let note: Note = world.row(Table::Outbox, "s", 1);
    assert_eq!(note.waits_since, Some(linked));
    assert_eq!(waits(&world)[0].3, Some(linked));
    world.answer(took());
    assert_eq!(timed(&world), (1, world.now.since(linked)));
}

#[test]
fn failures_and_a_restart_are_part_of_how_long_it_took() {
    let mut world = World::linked(settings(), &["s"]);
    let first = world.now;
    world.tell(acts("s", &["one"]));
    world.pass(MOMENT);
    world.answer(fails(FailureKind::Transient));
    world.restart();
    world.pass(SECOND * 5);
    assert_eq!(waits(&world)[0].3, Some(first));
    world.answer(took());
    assert_eq!(timed(&world), (1, world.now.since(first)));
    assert!(world.now.since(first) > SECOND * 5);
}

#[test]
fn a_dead_letter_that_a_person_has_sent_again_waits_from_then_on() {
    let mut world = World::linked(settings(), &["s"]);
    world.seal("s");
    world.answer(fails(FailureKind::Permanent));
    assert_eq!((waits(&world), timed(&world).0), (vec![], 0));
    world.pass(HOUR);
    let wished = world.now;
    world.tell(decide(Decision::Retry, "s", &[1]));
    assert_eq!(waits(&world)[0].3, Some(wished));
    world.now = world.now + SECOND;
    world.answer(took());
    assert_eq!(timed(&world), (1, SECOND));
}

#[test]
fn what_is_for_a_sink_is_told_apart() {
    let mut world = World::new(settings_of(&["one"], Delivery::default()));
    world.sink("one", false);
    let first = world.now;
    world.tell(acts("s", &["it"]));
    world.pass(SECOND);
    assert_eq!(waits(&world), [("one".to_owned(), LaneKind::Sink, 1, Some(first))]);
    world.answer(took());
    let times = world.counters().sink_times.distribution();
    assert_eq!((waits(&world), times.count(), times.seconds()), (vec![], 1, 1.0));
    assert_eq!(timed(&world).0, 0);
}
