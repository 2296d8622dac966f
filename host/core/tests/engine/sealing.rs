//! A batch is sealed when it can be sent: until then it is open, and more gathers in it.

use std::time::Duration;

use sidenote_core::engine::link::{LinkMode, Word};
use sidenote_core::engine::{Command, Settings};
use sidenote_core::outbox::lane::{DeadLetter, Progress};
use sidenote_core::outbox::note::{FailureKind, LimitScope, Note};
use sidenote_core::rows::Table;
use sidenote_core::rules::{Breaker, Delivery};

use crate::words::{
    CHAT, acts, erase, fails, key, limited, link, names, note, settings, settings_of, took,
};
use crate::world::{DAY, HOUR, MOMENT, SECOND, World};

/// So many calls are under way at once where nothing is said.
const SLOTS: usize = 1;

/// As many sessions as there are slots have a note under way; these are linked as well.
fn busy(settings: Settings, sessions: &[&str]) -> World {
    let mut world = World::linked(settings, sessions);
    for n in 0..SLOTS {
        let session = format!("busy{n}");
        world.link(&session);
        world.tell(acts(&session, &["it"]));
    }
    world.pass(MOMENT);
    assert_eq!(world.calls.len(), SLOTS);
    world
}

fn act(world: &mut World, session: &str, times: usize) {
    for _ in 0..times {
        world.tell(acts(session, &["it"]));
        world.pass(MOMENT);
    }
}

#[test]
fn what_is_done_while_a_note_is_under_way_is_one_note_behind_it() {
    let mut world = World::linked(settings(), &["s"]);
    act(&mut world, "s", 8);
    assert_eq!(names(&world.calls), ["post s/1"]);
    assert_eq!(world.numbers(Table::Open, "s").len(), 7);
    assert_eq!(world.numbers(Table::Outbox, "s"), [1]);
    world.answer(took());
    assert_eq!(world.numbers(Table::Open, "s").len(), 0);
    let second: Note = world.row(Table::Outbox, "s", 2);
    assert_eq!((second.begun, second.through), (true, 8));
    assert_eq!(names(&world.calls), ["post s/2"]);
    assert_eq!(note(&world.calls[0]).actions.len(), 7);
    world.answer(took());
    assert_eq!((world.totals().notes_sealed, world.totals().notes_posted), (2, 2));
    assert_eq!((world.count(Table::Outbox), world.count(Table::Attempt)), (0, 0));
}

#[test]
fn what_is_not_due_when_its_lane_is_free_waits_for_more() {
    let mut world = World::linked(settings(), &["s"]);
    act(&mut world, "s", 1);
    world.tell(acts("s", &["it"]));
    world.answer(took());
    assert!(world.calls.is_empty());
    world.pass(MOMENT);
    assert_eq!(names(&world.calls), ["post s/2"]);
}

#[test]
fn sessions_without_a_slot_wait_in_order_and_more_does_not_cost_one_its_place() {
    let mut world = busy(settings(), &["a", "b", "c"]);
    for session in ["a", "b", "c"] {
        act(&mut world, session, 1);
    }
    // It is due later by its time, and isn't asked again.
    world.tell(acts("a", &["again"]));
    assert_eq!((world.count(Table::Outbox), world.count(Table::Open)), (SLOTS, 4));
    assert!(world.core.next_timer(world.now) > world.now, "nothing is to be done");
    let order = names(&world.answer_all(took));
    assert_eq!(order[SLOTS..], ["post a/1", "post b/1", "post c/1"]);
    assert_eq!(world.row::<sidenote_core::outbox::note::SentNote>(Table::Sent, "a", 1).through, 2);
}

#[test]
fn a_note_takes_no_more_than_its_bound_and_one_that_waited_for_long_more() {
    let rules = Delivery { max_note_actions: 3, max_gathered_actions: 5, ..Delivery::default() };
    let mut world = World::linked(settings_of(&[CHAT], rules), &["s"]);
    world.tell(acts("s", &["it"; 4]));
    act(&mut world, "s", 3);
    // Four came at once; two more are kept open, the seventh fills a note.
    let counts = |world: &mut World| {
        let sent = world.answer_all(took);
        sent.iter().map(|call| note(call).actions.len()).collect::<Vec<_>>()
    };
    assert_eq!(counts(&mut world), [3, 4]);
    act(&mut world, "s", 1);
    act(&mut world, "s", 12);
    // What waits in memory is bounded: more is sealed, though its turn hasn't come.
    assert_eq!(world.numbers(Table::Outbox, "s").len(), 3);
    assert_eq!(counts(&mut world), [1, 5, 5, 2]);
    assert_eq!(world.totals().notes_gathered, 3);
}

#[test]
fn where_nobody_knows_when_it_can_be_sent_it_is_sealed_for_people_to_see_and_ages() {
    let old = Delivery { max_age: HOUR, max_attempts: 1000, ..Delivery::default() };
    let breaker = Breaker { failures: 1, pause_initial: DAY, pause_max: DAY, ..Breaker::default() };
    let settings = settings_of(&[CHAT], old).with_breaker(CHAT, breaker);
    let mut world = busy(settings, &["waits", "comes"]);
    act(&mut world, "waits", 2);
    assert_eq!(world.numbers(Table::Outbox, "waits"), [0_u64; 0]);
    // The account closes: what waited for a slot is sealed with it.
    world.answer(fails(FailureKind::Auth));
    assert_eq!(world.numbers(Table::Outbox, "waits"), [1]);
    assert_eq!(world.numbers(Table::Open, "waits"), [0_u64; 0]);
    // So is the first note of whoever comes; what is done behind it gathers.
    act(&mut world, "comes", 3);
    assert_eq!(world.numbers(Table::Outbox, "comes"), [1]);
    assert_eq!(world.numbers(Table::Open, "comes").len(), 2);
    world.calls.clear();
    world.pass(HOUR);
    assert!(world.row::<DeadLetter>(Table::Dead, "waits", 1).reason.starts_with("expired"));
}

#[test]
fn an_attempt_that_began_with_its_note_is_asked_for_first_by_the_next_process() {
    let mut world = World::linked(settings(), &["s"]);
    act(&mut world, "s", 1);
    world.restart();
    world.pass(Duration::from_millis(1));
    assert_eq!(names(&world.calls), ["post s/1, asked for first"]);
    assert_eq!(world.calls[0].attempt, 2);
    assert_eq!(world.row::<Progress>(Table::Attempt, "s", 1).crashes, 1);
    // One that was sealed before its turn came has nothing to be asked for.
    let mut world = busy(settings(), &["s"]);
    world.seal("s");
    world.restart();
    world.pass(Duration::from_millis(1));
    let order = names(&world.answer_all(took));
    assert!(order.contains(&"post s/1".to_owned()), "{order:?}");
}

#[test]
fn a_plugin_that_is_made_ready_has_its_notes_sealed_and_posted_when_it_is() {
    let mut world = World::linked(settings(), &["s"]);
    world.plugins.set(CHAT, |it| it.coming = true);
    world.tell(acts("s", &["it"]));
    world.now = world.now + SECOND;
    world.run_now();
    assert_eq!((world.numbers(Table::Outbox, "s"), world.calls.len()), (vec![1], 0));
    world.plugins.set(CHAT, |it| it.coming = false);
    world.pass(SECOND);
    assert_eq!(names(&world.calls), ["post s/1"]);
}

#[test]
fn a_conversation_that_takes_nothing_for_a_while_holds_what_is_sealed_for_it() {
    let mut world = World::linked(settings(), &["s"]);
    act(&mut world, "s", 1);
    world.answer(limited(LimitScope::Conversation, HOUR));
    act(&mut world, "s", 5);
    assert_eq!(world.numbers(Table::Outbox, "s"), [1]);
    assert_eq!(world.numbers(Table::Open, "s").len(), 5);
    world.pass(HOUR);
    assert_eq!(names(&world.answer_all(took)), ["post s/1", "post s/2"]);
}

#[test]
fn what_waits_for_its_turn_goes_where_its_session_is_when_it_comes() {
    let mut world = busy(settings(), &["s"]);
    act(&mut world, "s", 2);
    let mut moved = link("s", "elsewhere");
    (moved.mode, moved.word) = (LinkMode::Move, Word::Operator);
    world.tell(Command::Link(moved));
    // An operator's move leaves what was done before it with the conversation that was open then.
    assert_eq!(world.numbers(Table::Outbox, "s"), [1]);
    act(&mut world, "s", 1);
    let sent = world.answer_all(took);
    let of_s = sent.iter().map(note).filter(|note| note.key == key("s"));
    let places: Vec<_> = of_s.map(|note| note.conversation.as_str().to_owned()).collect();
    assert_eq!(places.len(), 2);
    assert_eq!(places[1], "elsewhere");
    assert_ne!(places[0], "elsewhere");
}

#[test]
fn what_waits_for_its_turn_is_erased_with_its_session_and_another_one_has_the_turn() {
    let mut world = busy(settings(), &["s", "t"]);
    act(&mut world, "s", 1);
    act(&mut world, "t", 1);
    world.tell(erase(&["s"], false));
    assert_eq!(world.numbers(Table::Open, "s"), [0_u64; 0]);
    let order = names(&world.answer_all(took));
    assert_eq!(order[SLOTS..], ["post t/1"]);
}

#[test]
fn what_waits_for_its_turn_is_sent_by_the_next_process_too() {
    let mut world = busy(settings(), &["s"]);
    act(&mut world, "s", 2);
    world.restart();
    world.pass(Duration::from_millis(1));
    let sent = world.answer_all(took);
    let of_s: Vec<_> = sent.iter().map(note).filter(|note| note.key == key("s")).collect();
    assert_eq!(of_s.iter().map(|note| note.actions.len()).collect::<Vec<_>>(), [2]);
    assert_eq!((world.count(Table::Open), world.count(Table::Outbox)), (0, 0));
}

#[test]
fn a_session_that_waits_for_its_turn_stays_in_memory_and_one_that_does_not_leaves_it() {
    let mut world = busy(settings(), &["s"]);
    act(&mut world, "s", 1);
    world.pass(HOUR);
    assert!(world.core.has(&key("s")));
    world.answer_all(took);
    world.pass(HOUR);
    assert!(!world.core.has(&key("s")));
}

#[test]
fn nothing_is_begun_behind_the_end_and_what_waits_is_sealed_by_a_drain() {
    let mut world = busy(settings(), &["s"]);
    act(&mut world, "s", 1);
    world.tell(Command::Drain);
    assert_eq!(world.numbers(Table::Outbox, "s"), [1]);
    let mut world = busy(settings(), &["s"]);
    act(&mut world, "s", 1);
    world.tell(Command::Stop);
    assert_eq!((world.numbers(Table::Outbox, "s").len(), world.count(Table::Open)), (0, 1));
}
