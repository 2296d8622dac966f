//! What holds for all that goes to a platform, however many cores send it.

use std::sync::Arc;
use std::time::Duration;

use sidenote_core::engine::{Command, Decision, Gate, Settings};
use sidenote_core::outbox::account::Account;
use sidenote_core::outbox::lane::{Progress, State};
use sidenote_core::outbox::note::{FailureKind, LimitScope, Pause, Posted};
use sidenote_core::outbox::sink_delivery::Roles;
use sidenote_core::rows::Table;
use sidenote_core::rules::{Breaker, Delivery};

use crate::words::{
    CHAT, Said, acts, decide, decided, ended, erase, fails, limited, link, name, names, settings,
    settings_of, took,
};
use crate::world::{HOUR, MOMENT, SECOND, World};

/// Sessions `a0`, `a1`, …
fn sessions(prefix: &str, n: usize) -> Vec<String> {
    (0..n).map(|i| format!("{prefix}{i}")).collect()
}

/// A world in which a note of each of so many sessions is sealed.
fn sealed(world: &mut World, sessions: &[String]) {
    for session in sessions {
        world.link(session);
        world.tell(acts(session, &["it"]));
    }
    world.pass(MOMENT);
}

fn two(settings: Settings) -> (World, World) {
    let settings = Arc::new(settings);
    let gate = Gate::new(settings.clone());
    let mut one = World::through(&gate, settings.clone());
    let mut two = World::through(&gate, settings);
    one.recover();
    two.recover();
    (one, two)
}

/// Ends so many of the calls under way in one transaction.
fn end(world: &mut World, calls: usize, said: impl Fn() -> Said) {
    let calls: Vec<_> = world.calls.drain(..calls).collect();
    world.round(calls.iter().map(|call| ended(call, said())).collect());
}

#[test]
fn a_plugin_has_so_many_calls_under_way_and_the_next_begins_when_one_ends() {
    for (settings, slots) in [
        (settings(), 1),
        (settings().with_concurrency(CHAT, 1), 4),
        (settings().with_concurrency(CHAT, 2), 8),
        (settings().with_concurrency(CHAT, 2).without_posting(), 0),
    ] {
        let mut world = World::new(settings);
        sealed(&mut world, &sessions("s", 10));
        assert_eq!(world.calls.len(), slots);
        if slots == 0 {
            continue;
        }
        world.answer(took());
        assert_eq!(world.calls.len(), slots);
        world.answer_all(took);
        assert_eq!((world.totals().notes_posted, world.count(Table::Outbox)), (10, 0));
    }
}

#[test]
fn slots_that_were_taken_are_free_again_whatever_ends() {
    let mut world = World::new(settings().with_concurrency(CHAT, 1));
    sealed(&mut world, &sessions("s", 5));
    for said in [took(), fails(FailureKind::Permanent), fails(FailureKind::Invalid), took()] {
        assert_eq!(
            world.calls.len(),
            4.min(5 - world.totals().notes_posted as usize - world.totals().notes_dead as usize)
        );
        world.answer(said);
    }
    world.answer(took());
    assert_eq!(world.calls.len(), 0);
    sealed(&mut world, &sessions("t", 5));
    assert_eq!(world.calls.len(), 4);
}

#[test]
fn redactions_take_a_quarter_of_the_slots_and_one_at_least() {
    for (concurrency, quarter) in [(0, 1), (1, 1), (2, 2), (3, 3)] {
        let settings = match concurrency {
            0 => settings(),
            posts => settings().with_concurrency(CHAT, posts),
        };
        let mut world = World::new(settings);
        let all = sessions("s", 6);
        sealed(&mut world, &all);
        world.answer_all(took);
        world.tell(erase(&all.iter().map(String::as_str).collect::<Vec<_>>(), false));
        assert_eq!(world.calls.len(), quarter, "of {} slots", concurrency * 4);
        assert_eq!(world.answer_all(took).len(), 6);
        assert_eq!(world.totals().redactions_done, 6);
    }
}

#[test]
fn while_notes_wait_anywhere_nothing_is_redacted() {
    let (mut a, mut b) = two(settings().with_concurrency(CHAT, 1));
    a.link("old");
    a.post("old", 1);
    sealed(&mut a, &sessions("a", 4));
    sealed(&mut b, &sessions("b", 1));
    a.tell(erase(&["old"], false));
    assert_eq!((a.calls.len(), b.calls.len()), (4, 0));
    end(&mut a, 2, took);
    // Two slots are free, and one is enough for the note that waits.
    assert_eq!((names(&a.calls).len(), b.woken()), (2, 2));
    b.run();
    assert_eq!(names(&b.calls), ["post b0/1"]);
    a.run();
    assert_eq!(name(&a.calls[2]), "redact old/1");
}

#[test]
fn sinks_leave_half_of_the_slots_to_notes_that_wait() {
    let rules = Delivery::default();
    let settings = settings_of(&[CHAT], rules).with_concurrency(CHAT, 2);
    let (mut a, mut b) = two(settings);
    b.plugins.set(CHAT, |_| {});
    sealed(&mut a, &sessions("a", 8));
    sealed(&mut b, &sessions("b", 2));
    a.sink(CHAT, false);
    let sinks = sessions("s", 9);
    sinks.iter().for_each(|session| drop(a.tell(acts(session, &["it"]))));
    assert_eq!((a.calls.len(), b.calls.len()), (8, 0));
    end(&mut a, 6, took);
    // One of the slots is kept for the first that waits, and of the others half are for notes.
    assert_eq!(names(&a.calls[2..]).len(), 4, "{:?}", names(&a.calls));
    assert!(names(&a.calls[2..]).iter().all(|name| name.starts_with("send")));
    b.run();
    assert_eq!(names(&b.calls), ["post b0/1", "post b1/1"], "no sink is ahead of a note");
    // Where no note waits, all slots are theirs.
    end(&mut b, 2, took);
    end(&mut a, 2, took);
    a.run();
    assert_eq!(a.calls.len(), 8);
}

#[test]
fn one_core_probes_for_all_and_all_go_on_when_it_succeeds() {
    let breaker = Breaker { failures: 1, pause_initial: SECOND * 20, ..Breaker::default() };
    let settings = settings().with_concurrency(CHAT, 1).with_breaker(CHAT, breaker);
    let (mut a, mut b) = two(settings);
    sealed(&mut a, &sessions("a", 3));
    sealed(&mut b, &sessions("b", 3));
    assert_eq!((a.calls.len(), b.calls.len()), (3, 1));
    let first = a.answer(fails(FailureKind::Transient));
    assert!(!first.probe);
    assert_eq!(a.totals().breakers_opened, 1);
    end(&mut a, 2, || fails(FailureKind::Transient));
    end(&mut b, 1, || fails(FailureKind::Transient));
    assert_eq!((a.totals().breakers_opened, b.totals().breakers_opened), (1, 0));
    assert_eq!(a.gate.states()[0].breaker, "open");
    let account: Account = a.only(Table::Account);
    assert!(!account.allows(a.now));
    // Nobody calls before the pause is over, and it is what both wait for.
    let until = a.now + SECOND * 15;
    for world in [&mut a, &mut b] {
        world.now = until - Duration::from_micros(1);
        world.run();
        assert!(world.calls.is_empty());
        assert_eq!(world.core.next_timer(world.now), until);
    }
    (a.now, b.now) = (until, until);
    b.run();
    a.run();
    assert_eq!((a.calls.len(), b.calls.len()), (0, 1));
    assert!(b.calls[0].probe);
    assert_eq!(a.gate.states()[0].breaker, "open", "it is shown when something ended");
    let account: Account = b.only(Table::Account);
    assert!(!account.allows(b.now + HOUR), "that a probe is under way is on record");
    a.woken();
    b.answer(took());
    assert_eq!(b.gate.states()[0].breaker, "closed");
    assert!(a.woken() > 0);
    a.run();
    assert!(a.calls.iter().all(|call| !call.probe));
    assert_eq!(a.calls.len() + b.calls.len(), 4);
}

#[test]
fn a_probe_that_fails_lengthens_the_pause_and_in_the_end_the_plugin_is_disabled() {
    let breaker = Breaker {
        failures: 1,
        pause_initial: SECOND * 60,
        pause_max: SECOND * 600,
        disable_after: HOUR,
    };
    let mut world = World::new(settings().with_breaker(CHAT, breaker));
    sealed(&mut world, &sessions("a", 2));
    let mut probes = 0;
    world.answer(fails(FailureKind::Auth));
    while world.totals().plugins_disabled == 0 {
        world.pass(SECOND * 600);
        let [call] = &world.calls[..] else { panic!("one call is tried at a time") };
        assert!(call.probe);
        probes += 1;
        world.answer(fails(FailureKind::Auth));
    }
    assert_eq!((probes, world.totals().breakers_opened), (6, 1));
    assert_eq!(world.gate.states()[0].breaker, "disabled");
    world.pass(HOUR * 10);
    assert!(world.calls.is_empty());
    // What is disabled stays so when the next process begins, until a person has it tried again.
    world.restart();
    assert_eq!((world.totals().plugins_disabled, world.gate.states()[0].breaker), (1, "disabled"));
    world.run();
    assert!(world.calls.is_empty());
    assert_eq!(decided(world.tell(decide(Decision::Retry, "a1", &[1]))), 1);
    assert_eq!((world.totals().plugins_disabled, world.calls.len()), (0, 1));
    let account: Account = world.only(Table::Account);
    assert!(account.allows(world.now));
    // Who asks again has nothing to do.
    let waits = if name(&world.calls[0]) == "post a0/1" { "a1" } else { "a0" };
    world.tell(decide(Decision::Retry, waits, &[1]));
    assert_eq!(decided(world.tell(decide(Decision::Retry, waits, &[1]))), 0);
}

#[test]
fn a_limit_of_the_account_holds_for_every_core_and_across_a_restart() {
    let (mut a, mut b) = two(settings().with_concurrency(CHAT, 1));
    sealed(&mut a, &sessions("a", 1));
    a.answer(limited(LimitScope::Account, SECOND * 20));
    sealed(&mut b, &sessions("b", 1));
    assert!(b.calls.is_empty());
    let until = b.core.next_timer(b.now);
    assert!(until >= a.now + SECOND * 20);
    assert_eq!(b.gate.states()[0].limited_until, Some(until.as_millis()));
    let account: Account = a.only(Table::Account);
    assert!(!account.allows(until - Duration::from_micros(1)) && account.allows(until));
    a.restart();
    sealed(&mut a, &sessions("c", 1));
    assert!(a.calls.is_empty(), "the next process knows of it");
    b.now = until - Duration::from_micros(1);
    b.run();
    assert!(b.calls.is_empty());
    b.now = until;
    b.run();
    assert_eq!(names(&b.calls), ["post b0/1"]);
}

#[test]
fn a_limit_of_a_conversation_holds_back_what_goes_there_in_every_core_and_nothing_else() {
    let (mut a, mut b) = two(settings().with_concurrency(CHAT, 1));
    a.link("one");
    a.tell(acts("one", &["it"]));
    a.pass(MOMENT);
    b.now = a.now;
    a.answer(limited(LimitScope::Conversation, SECOND * 60));
    let until = a.now + SECOND * 60;
    // A sweep forgets limits that are past, and none else.
    b.sweep_at(b.now);
    for (session, to) in [("two", "one"), ("other", "other")] {
        b.tell(Command::Link(link(session, to)));
        b.tell(acts(session, &["it"]));
    }
    b.run();
    b.now = b.now + MOMENT;
    b.run();
    assert_eq!(names(&b.calls), ["post other/1"]);
    assert_eq!(b.row::<Progress>(Table::Attempt, "two", 1).state, State::HeldUntil(until));
    b.now = until - Duration::from_micros(1);
    b.run();
    assert_eq!(b.calls.len(), 1);
    b.now = until;
    b.run();
    assert_eq!(names(&b.calls), ["post other/1", "post two/1"]);
    // A shorter one that comes later ends none that is longer.
    end(&mut b, 2, || limited(LimitScope::Conversation, SECOND));
    b.tell(Command::Link(link("third", "one")));
    b.now = b.now + SECOND * 2;
    b.run();
    assert_eq!(b.calls.len(), 2);
}

#[test]
fn a_shorter_limit_that_comes_later_ends_no_longer_one() {
    let mut world = World::new(settings().with_concurrency(CHAT, 1));
    for session in ["a", "b", "c"] {
        world.tell(Command::Link(link(session, "shared")));
        world.tell(acts(session, &["it"]));
    }
    world.pass(MOMENT);
    assert_eq!(world.calls.len(), 3);
    world.answer(limited(LimitScope::Conversation, SECOND * 60));
    world.answer(limited(LimitScope::Conversation, SECOND));
    let until = world.now + SECOND * 60;
    world.tell(Command::Link(link("d", "shared")));
    world.seal("d");
    assert_eq!(world.row::<Progress>(Table::Attempt, "d", 1).state, State::HeldUntil(until));
    // What the platform takes at a limit's end is a limit too, of the one who was told.
    let pause = Some(Pause { time: SECOND * 90, scope: LimitScope::Conversation });
    world.answer(Said::Pauses(Posted { note_id: None, pause }));
    let until = world.now + SECOND * 90;
    world.tell(Command::Link(link("e", "shared")));
    world.seal("e");
    assert_eq!(world.row::<Progress>(Table::Attempt, "e", 1).state, State::HeldUntil(until));
}

#[test]
fn whoever_waits_for_a_slot_is_woken_in_turn_and_who_comes_again_is_behind() {
    let settings = Arc::new(settings());
    let gate = Gate::new(settings.clone());
    let mut all: Vec<_> = (0..3).map(|_| World::through(&gate, settings.clone())).collect();
    for (world, prefix) in all.iter_mut().zip(["a", "b", "c"]) {
        sealed(world, &sessions(prefix, 2));
    }
    assert_eq!(all.iter().map(|it| it.calls.len()).collect::<Vec<_>>(), [1, 0, 0]);
    let woken = |all: &[World]| all.iter().map(World::woken).collect::<Vec<_>>();
    woken(&all);
    let (mut order, mut at) = (Vec::new(), 0);
    while order.len() < 6 {
        order.push(name(&all[at].answer(took())));
        let woken = woken(&all);
        if all[at].calls.is_empty() && order.len() < 6 {
            assert_eq!(woken.iter().sum::<usize>(), 1, "{order:?}: {woken:?}");
            at = woken.iter().position(|woken| *woken == 1).expect("one was woken");
            all[at].run();
        } else {
            assert_eq!(
                woken, [0; 3],
                "nobody wakes itself, nor one whose turn it isn't: {order:?}"
            );
        }
    }
    // The first waited again before the others came.
    let a = ["post a0/1", "post a1/1"];
    assert_eq!(order[..2], a);
    assert_eq!(order[2..], ["post b0/1", "post c0/1", "post b1/1", "post c1/1"]);
}

#[test]
fn a_core_that_has_nothing_to_begin_on_its_turn_has_the_next_one_woken() {
    let settings = Arc::new(settings());
    let gate = Gate::new(settings.clone());
    let mut all: Vec<_> = (0..3).map(|_| World::through(&gate, settings.clone())).collect();
    for (world, prefix) in all.iter_mut().zip(["a", "b", "c"]) {
        sealed(world, &sessions(prefix, 1));
    }
    let [a, b, c] = &mut all[..] else { panic!("three") };
    b.tell(Command::Drain);
    a.answer(took());
    assert_eq!((a.woken(), b.woken(), c.woken()), (0, 1, 0));
    // Before its turn comes, a person removes what it waits for.
    assert_eq!(decided(b.tell(decide(Decision::Purge, "b0", &[1]))), 1);
    assert!(b.calls.is_empty());
    assert_eq!((a.woken(), b.woken(), c.woken()), (0, 0, 1));
    c.run();
    assert_eq!(names(&c.calls), ["post c0/1"]);
    // One that still wants something keeps its place, and wakes nobody.
    b.link("b0");
    b.seal("b0");
    b.run();
    assert_eq!((a.woken(), b.woken(), c.woken()), (0, 0, 0));
    c.answer(took());
    assert_eq!((a.woken(), b.woken(), c.woken()), (0, 1, 0));
}

#[test]
fn a_note_waits_for_no_redaction_that_waits_for_notes() {
    let (mut a, mut b) = two(settings());
    a.link("old");
    a.post("old", 1);
    sealed(&mut b, &sessions("b", 1));
    a.tell(erase(&["old"], false));
    b.link("c");
    b.seal("c");
    assert_eq!((names(&a.calls).len(), names(&b.calls)), (0, vec!["post b0/1".to_owned()]));
    a.woken();
    b.answer(took());
    assert_eq!((names(&b.calls), a.woken()), (vec!["post c/1".to_owned()], 0));
    b.answer(took());
    assert_eq!(a.woken(), 1);
    a.run();
    assert_eq!(names(&a.calls), ["redact old/1"]);
}

#[test]
fn all_who_wait_go_on_where_several_slots_become_free() {
    let settings = Arc::new(settings().with_concurrency(CHAT, 1));
    let gate = Gate::new(settings.clone());
    let mut all: Vec<_> = (0..4).map(|_| World::through(&gate, settings.clone())).collect();
    sealed(&mut all[0], &sessions("a", 4));
    for (n, world) in all.iter_mut().enumerate().skip(1) {
        sealed(world, &sessions(&format!("b{n}"), 1));
    }
    assert!(all[1].woken() == 0, "no slot is free");
    end(&mut all[0], 4, took);
    for _ in 0..3 {
        let next = all.iter().position(|world| world.woken() > 0).expect("one is woken");
        all[next].run();
        assert_eq!(all[next].calls.len(), 1);
    }
    assert!(all.iter().all(|world| world.woken() == 0));
}

#[test]
fn a_core_that_ends_keeps_nobody_waiting() {
    let settings = Arc::new(settings());
    let gate = Gate::new(settings.clone());
    let mut all: Vec<_> = (0..3).map(|_| World::through(&gate, settings.clone())).collect();
    for (world, prefix) in all.iter_mut().zip(["a", "b", "c"]) {
        sealed(world, &sessions(prefix, 1));
    }
    let (mut c, b, mut a) = (all.remove(2), all.remove(1), all.remove(0));
    drop(b);
    assert_eq!(c.woken(), 0, "no slot is free");
    a.answer(took());
    assert_eq!(c.woken(), 1);
    c.run();
    assert_eq!(names(&c.calls), ["post c0/1"]);
}

#[test]
fn what_a_person_enables_goes_on_in_every_core() {
    let breaker =
        Breaker { failures: 1, pause_initial: SECOND, disable_after: SECOND, ..Breaker::default() };
    let (mut a, mut b) = two(settings().with_concurrency(CHAT, 1).with_breaker(CHAT, breaker));
    sealed(&mut a, &sessions("a", 1));
    a.answer(fails(FailureKind::Auth));
    sealed(&mut b, &sessions("b", 1));
    a.pass(SECOND);
    a.answer(fails(FailureKind::Auth));
    b.now = a.now;
    b.run();
    assert_eq!((a.gate.states()[0].breaker, b.calls.len()), ("disabled", 0));
    b.woken();
    a.tell(decide(Decision::Retry, "a0", &[1]));
    assert_eq!((names(&a.calls).len(), b.woken()), (1, 2));
    b.run();
    assert_eq!(names(&b.calls), ["post b0/1"]);
}

#[test]
fn notes_that_came_while_a_core_waited_with_others_count_as_waiting() {
    let (mut a, mut b) = two(settings().with_concurrency(CHAT, 1));
    a.link("old");
    a.post("old", 1);
    sealed(&mut a, &sessions("a", 4));
    // It waits with a sink delivery only, and then with a note too.
    b.link("note");
    b.sink(CHAT, true);
    b.tell(acts("s", &["it"]));
    b.seal("note");
    b.run();
    b.run();
    a.tell(erase(&["old"], false));
    end(&mut a, 3, took);
    assert_eq!(names(&a.calls).len(), 1, "{:?}", names(&a.calls));
}

#[test]
fn what_a_plugin_was_found_to_do_is_kept_of_sinks_for_when_it_cannot_be_asked() {
    let mut world = World::new(settings_of(&[CHAT, "sink"], Delivery::default()));
    world.sink("sink", false);
    world.tell(acts("s", &["one"]));
    let account: Account = world.only(Table::Account);
    assert_eq!(account.roles, Some(Roles { writer: false, sink: true }));
    assert_eq!(world.totals().sink_deliveries_made, 1);
    world.plugins.set("sink", |it| it.roles = None);
    world.restart();
    world.tell(acts("s", &["two"]));
    assert_eq!(world.totals().sink_deliveries_made, 1, "it misses nothing");
    // What says nothing new isn't stored.
    world.rows.retain(|key, _| key.table != Table::Account);
    world.sink("sink", false);
    world.tell(acts("s", &["three"]));
    assert_eq!(world.count(Table::Account), 0);
    // It is a writer from here on, and no sink.
    world.plugins.set("sink", |it| it.roles = Some(Roles::WRITER));
    world.tell(acts("s", &["four"]));
    assert_eq!(world.only::<Account>(Table::Account).roles, None);
    assert_eq!(world.totals().sink_deliveries_made, 2);
    world.plugins.set("sink", |it| it.roles = None);
    world.tell(acts("s", &["five"]));
    assert_eq!(world.totals().sink_deliveries_made, 2);
}

#[test]
fn how_the_accounts_stand_is_shown_by_name_with_the_last_failure() {
    let mut world = World::new(settings_of(&["zed", CHAT], Delivery::default()));
    assert!(world.gate.states().is_empty());
    world.sink("zed", false);
    world.sink(CHAT, true);
    world.link("s");
    world.seal("s");
    let shown = |world: &World| -> Vec<_> {
        let shown = world.gate.states().into_iter();
        let failing = |it: sidenote_core::outbox::account::AccountState| {
            let last = it.last_error.map(|last| (last.is_ongoing(), last.failures));
            (it.plugin.to_string(), last)
        };
        shown.map(failing).collect()
    };
    while let Some(call) = world.calls.pop() {
        world.tell(ended(&call, fails(FailureKind::Transient)));
    }
    let [(chat, Some((true, _))), (zed, Some((true, 1)))] = &shown(&world)[..] else {
        panic!("{:?}", shown(&world));
    };
    assert_eq!((&**chat, &**zed), (CHAT, "zed"));
    world.pass(SECOND * 2);
    world.answer_all(took);
    assert!(shown(&world).iter().all(|(_, last)| last.is_some_and(|(ongoing, _)| !ongoing)));
}

#[test]
fn a_plugin_that_has_no_breaker_any_more_is_called_again() {
    let breaker = Breaker { failures: 1, pause_initial: HOUR, ..Breaker::default() };
    let mut world = World::new(settings().with_breaker(CHAT, breaker));
    sealed(&mut world, &sessions("a", 2));
    world.answer(fails(FailureKind::Transient));
    assert!(world.calls.is_empty());
    assert_eq!(world.gate.states()[0].breaker, "open");
    world.change_settings(settings());
    assert_eq!(world.gate.states()[0].breaker, "closed");
    assert_eq!(names(&world.calls), ["post a1/1"]);
    // And one that gets one has a closed one.
    world.change_settings(settings().with_breaker(CHAT, breaker));
    world.answer(fails(FailureKind::Transient));
    assert_eq!(world.gate.states()[0].breaker, "open");
}

#[test]
fn a_plugin_that_is_being_made_ready_is_looked_at_again_soon() {
    let mut world = World::linked(settings(), &["s"]);
    world.plugins.set(CHAT, |it| it.coming = true);
    world.tell(acts("s", &["it"]));
    world.now = world.now + MOMENT;
    world.round(Vec::new());
    assert!(world.calls.is_empty());
    assert_eq!(world.core.next_timer(world.now), world.now + Duration::from_millis(250));
    // Meanwhile what is done gathers.
    world.tell(acts("s", &["more"]));
    world.now = world.now + SECOND * 5;
    world.round(Vec::new());
    assert_eq!(world.numbers(Table::Outbox, "s"), [1]);
    world.plugins.set(CHAT, |it| it.coming = false);
    world.round(Vec::new());
    assert_eq!(names(&world.calls), ["post s/1"]);
}
