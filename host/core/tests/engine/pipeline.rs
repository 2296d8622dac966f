//! What waits is tried in order, and is delivered or becomes a dead letter.

use std::time::Duration;

use sidenote_core::engine::{Command, Decision, Work};
use sidenote_core::outbox::lane::{DeadLetter, MAX_CRASHES, Progress, State};
use sidenote_core::outbox::note::{Crash, Failure, FailureKind, Note, SentNote};
use sidenote_core::outbox::sink_delivery::SinkDelivery;
use sidenote_core::rows::Table;
use sidenote_core::rules::{DeadHead, Delivery};

use crate::words::{
    CHAT, Said, acts, crashed, decide, decided, failed, fails, failure, name, names, note,
    settings, settings_of, took,
};
use crate::world::{DAY, HOUR, MOMENT, SECOND, World};

fn rules(rules: Delivery) -> sidenote_core::engine::Settings {
    settings_of(&[CHAT], rules)
}

#[test]
fn a_note_is_on_record_before_it_is_tried_and_gone_when_it_is_sent() {
    let mut world = World::linked(settings(), &["s"]);
    world.tell(acts("s", &["one", "two"]));
    assert_eq!((world.numbers(Table::Open, "s"), world.calls.len()), (vec![0], 0));
    world.pass(MOMENT);
    assert_eq!(world.numbers(Table::Open, "s"), [0_u64; 0]);
    let stored: Note = world.row(Table::Outbox, "s", 1);
    // Its own row says that it is under way.
    assert!(stored.begun && world.numbers(Table::Attempt, "s").is_empty());
    let [call] = &world.calls[..] else { panic!("{:?}", names(&world.calls)) };
    assert!(*note(call) == stored && call.attempt == 1 && !call.probe);
    assert_eq!(call.timeout, Delivery::default().call_timeout);
    world.answer(took());
    assert_eq!((world.count(Table::Outbox), world.count(Table::Attempt)), (0, 0));
    let sent: SentNote = world.row(Table::Sent, "s", 1);
    assert_eq!((sent.note_id.as_deref(), sent.at), (Some("id"), world.now));
    assert_eq!(sent.idempotency_key, stored.idempotency_key);
    let totals = world.totals();
    assert_eq!((totals.notes_sealed, totals.notes_posted, world.accepted), (1, 1, 2));
}

#[test]
fn a_sessions_notes_go_one_at_a_time_and_in_order() {
    let mut world = World::linked(settings().with_concurrency(CHAT, 3), &["s", "t"]);
    for _ in 0..7 {
        world.seal("s");
    }
    world.seal("t");
    assert_eq!(names(&world.calls), ["post s/1", "post t/1"]);
    let sent = world.answer_all(took);
    let of_s: Vec<_> = names(&sent).into_iter().filter(|name| name.contains(" s/")).collect();
    assert_eq!(of_s, (1..=7).map(|n| format!("post s/{n}")).collect::<Vec<_>>());
    assert_eq!(world.numbers(Table::Sent, "s"), (1..=7).collect::<Vec<_>>());
}

#[test]
fn a_failure_is_tried_again_after_a_pause_that_doubles() {
    let mut world = World::linked(settings(), &["s"]);
    world.seal("s");
    for (attempt, pause) in [(1, 750), (2, 1500), (3, 3000)] {
        let call = world.answer(fails(FailureKind::Transient));
        assert_eq!(call.attempt, attempt);
        let due = world.now + Duration::from_millis(pause);
        assert_eq!(world.core.next_timer(world.now), due);
        assert_eq!(world.row::<Progress>(Table::Attempt, "s", 1).state, State::RetryAt(due));
        world.now = due - Duration::from_micros(1);
        world.run();
        assert!(world.calls.is_empty());
        world.now = due;
        world.run();
        assert_eq!(names(&world.calls), ["post s/1"]);
    }
    assert_eq!(world.totals().attempts_failed, 3);
}

#[test]
fn what_is_refused_for_good_is_a_dead_letter_and_the_next_note_goes() {
    let mut world = World::linked(settings(), &["s"]);
    world.seal("s");
    world.seal("s");
    world.answer(fails(FailureKind::Permanent));
    assert_eq!(names(&world.calls), ["post s/2"]);
    let dead: DeadLetter = world.row(Table::Dead, "s", 1);
    assert_eq!((&*dead.reason, dead.attempts, dead.holds_lane), ("418: no", 1, false));
    assert_eq!(dead.at, world.now);
    assert_eq!(world.numbers(Table::Outbox, "s"), [2]);
    assert_eq!(world.numbers(Table::Attempt, "s"), [2]);
    assert_eq!((world.totals().notes_dead, world.totals().attempts_failed), (1, 0));
}

#[test]
fn a_dead_letter_holds_its_lane_where_the_rules_say_so_until_a_person_decides() {
    let hold = Delivery { dead_head: DeadHead::Hold, ..Delivery::default() };
    for decision in [Decision::Purge, Decision::Retry] {
        let mut world = World::linked(rules(hold.clone()), &["s"]);
        world.seal("s");
        world.seal("s");
        world.answer(fails(FailureKind::Permanent));
        world.pass(HOUR);
        assert!(world.calls.is_empty());
        assert!(world.row::<DeadLetter>(Table::Dead, "s", 1).holds_lane);
        assert_eq!(world.row::<Progress>(Table::Attempt, "s", 1).state, State::GivenUp);
        assert_eq!(world.numbers(Table::Outbox, "s"), [1, 2]);
        // It does so in the next process too.
        world.restart();
        world.pass(SECOND);
        assert!(world.calls.is_empty());
        assert_eq!(decided(world.tell(decide(decision, "s", &[1]))), 1);
        let next = if decision == Decision::Purge { "post s/2" } else { "post s/1" };
        assert_eq!(names(&world.calls), [next]);
        assert_eq!(world.count(Table::Dead), 0);
        assert_eq!(world.answer_all(took).len(), if next == "post s/2" { 1 } else { 2 });
        assert_eq!((world.count(Table::Outbox), world.count(Table::Attempt)), (0, 0));
    }
}

#[test]
fn a_note_that_is_not_delivered_for_too_long_is_dead_at_that_very_moment() {
    let old = Delivery { max_age: HOUR, max_attempts: 1000, ..Delivery::default() };
    let mut world = World::linked(rules(old), &["s"]);
    world.seal("s");
    let sealed = world.row::<Note>(Table::Outbox, "s", 1).sealed_at;
    // While its call is under way it is left alone, however long that takes.
    world.pass(HOUR * 2);
    assert_eq!(world.count(Table::Dead), 0);
    world.answer(fails(FailureKind::Transient));
    assert_eq!(world.row::<DeadLetter>(Table::Dead, "s", 1).reason, "418: no");
    world.seal("s");
    assert!(world.now > sealed);
    let sealed = world.row::<Note>(Table::Outbox, "s", 2).sealed_at;
    let failure = Failure { retry_after: Some(DAY), ..failure(FailureKind::RateLimited) };
    world.answer(Said::Failed(failed(failure)));
    world.now = sealed + HOUR - Duration::from_micros(1);
    world.run();
    assert_eq!(world.numbers(Table::Dead, "s"), [1]);
    assert_eq!(world.core.next_timer(world.now), sealed + HOUR);
    world.now = sealed + HOUR;
    world.run();
    let dead: DeadLetter = world.row(Table::Dead, "s", 2);
    assert_eq!(dead.reason, "expired: not delivered for 3600s; last: 418: no");
    assert_eq!((world.totals().notes_dead, world.count(Table::Outbox)), (2, 0));
}

#[test]
fn what_was_never_tried_expires_too() {
    let old = Delivery { max_age: HOUR, ..Delivery::default() };
    let mut world = World::linked(rules(old).without_posting(), &["s"]);
    world.seal("s");
    world.pass(HOUR);
    let dead: DeadLetter = world.row(Table::Dead, "s", 1);
    assert_eq!(dead.reason, "expired: not delivered for 3600s; last: it was never tried");
}

#[test]
fn what_was_in_flight_in_too_many_crashes_of_the_host_is_poison() {
    for sinks in [false, true] {
        let plugins = if sinks { &[CHAT, "sink"][..] } else { &[CHAT][..] };
        let mut world = World::linked(settings_of(plugins, Delivery::default()), &["s"]);
        if sinks {
            world.sink("sink", false);
            world.plugins.set(CHAT, |it| it.coming = true);
        }
        world.seal("s");
        for crash in 1..=MAX_CRASHES {
            world.run_now();
            let [call] = &world.calls[..] else { panic!("{crash}: {:?}", names(&world.calls)) };
            assert_eq!(call.attempt, crash);
            if let Work::Note { unknown, .. } = call.work {
                assert_eq!(unknown, crash > 1);
            }
            world.restart();
        }
        world.run_now();
        assert!(world.calls.is_empty());
        if sinks {
            let dead: DeadLetter<SinkDelivery> = world.row(Table::SinkDead, "s", 1);
            assert_eq!(dead.reason, "poison: it was in flight in 3 crashes");
            assert_eq!(world.totals().sink_deliveries_dead, 1);
        } else {
            let dead: DeadLetter = world.row(Table::Dead, "s", 1);
            assert_eq!(dead.reason, "poison: it was in flight in 3 crashes");
            assert_eq!(world.totals().notes_dead, 1);
        }
    }
}

#[test]
fn poison_that_holds_its_lane_is_found_once() {
    let hold = Delivery { dead_head: DeadHead::Hold, ..Delivery::default() };
    let mut world = World::linked(rules(hold), &["s"]);
    world.seal("s");
    for _ in 0..MAX_CRASHES {
        world.run();
        world.restart();
    }
    assert_eq!((world.totals().notes_dead, world.count(Table::Dead)), (1, 1));
    world.restart();
    assert_eq!((world.totals().notes_dead, world.count(Table::Dead)), (0, 1));
}

#[test]
fn a_plugin_that_traps_again_and_again_with_a_note_makes_it_poison_and_one_that_is_late_does_not() {
    let mut world = World::linked(settings(), &["s"]);
    world.seal("s");
    for _ in 0..5 {
        world.answer(crashed(Crash::Timeout));
        world.pass(SECOND * 600);
    }
    assert_eq!(name(&world.calls[0]), "post s/1, asked for first");
    for left in [1, 1, 0] {
        world.answer(crashed(Crash::Trap));
        world.pass(SECOND * 600);
        assert_eq!(world.calls.len(), left);
    }
    assert_eq!(world.row::<DeadLetter>(Table::Dead, "s", 1).reason, "trap: boom");
}

#[test]
fn calls_that_are_cut_off_at_the_end_count_as_no_crash_and_nothing_is_begun_behind_it() {
    let mut world =
        World::linked(settings_of(&[CHAT, "sink"], Delivery::default()), &["s", "gone"]);
    world.post("gone", 1);
    world.sink("sink", false);
    world.seal("s");
    world.seal("s");
    world.tell(crate::words::erase(&["gone"], false));
    let expected = ["send s/1 to sink", "post s/1"];
    assert_eq!(names(&world.calls), expected);
    world.answer(took());
    world.calls.retain(|call| !name(call).starts_with("post"));
    world.tell(Command::Stop);
    let attempt: Progress = world.row(Table::Attempt, "s", 1);
    assert_eq!((attempt.state, attempt.crashes), (State::Due, 0));
    let attempt: Progress = world.row(Table::SinkAttempt, "s", 2);
    assert_eq!((attempt.state, attempt.crashes), (State::Due, 0));
    let before = world.calls.len();
    world.tell(acts("s", &["late"]));
    world.now = world.now + SECOND;
    world.run_now();
    assert_eq!(world.calls.len(), before);
    assert!(!world.core.begin_scrub(world.now) && world.core.is_scrub_due());
    world.restart();
    world.run();
    assert!(world.calls.iter().any(|call| name(call) == "post s/1"));
}

#[test]
fn a_drain_seals_what_is_open_and_what_has_no_conversation_waits_on() {
    let mut world = World::linked(settings(), &["s"]);
    world.round(vec![acts("s", &["it"]), acts("t", &["it"]), Command::Drain]);
    assert_eq!(names(&world.calls), ["post s/1"]);
    assert_eq!((world.count(Table::Outbox), world.numbers(Table::Open, "t").len()), (1, 1));
}

#[test]
fn the_outcome_of_a_call_that_nothing_waits_for_is_nothing() {
    let mut world = World::linked(settings(), &["s"]);
    world.seal("s");
    let call = world.answer(took());
    let before = (world.rows.clone(), world.totals());
    world.tell(crate::words::ended(&call, fails(FailureKind::Permanent)));
    world.tell(crate::words::ended(&call, took()));
    assert!(before.0 == world.rows);
    assert_eq!((world.totals().notes_dead, world.totals().notes_posted), (0, 1));
    world.seal("s");
    let call = world.calls.remove(0);
    // Its lane has another head meanwhile.
    world.tell(crate::words::ended(&call, took()));
    world.seal("s");
    world.tell(crate::words::ended(&call, fails(FailureKind::Permanent)));
    assert_eq!((world.totals().notes_dead, world.numbers(Table::Outbox, "s")), (0, vec![3]));
}

#[test]
fn a_crowd_of_sessions_is_served_in_the_order_in_which_it_came() {
    let sessions: Vec<String> = (0..6).map(|n| format!("s{n}")).collect();
    let mut world = World::new(settings());
    for session in &sessions {
        world.link(session);
        world.seal(session);
        world.seal(session);
    }
    let order = names(&world.answer_all(took));
    let firsts: Vec<_> = sessions.iter().map(|session| format!("post {session}/1")).collect();
    assert_eq!(order[..6], firsts);
    assert_eq!(order.len(), 12);
}
