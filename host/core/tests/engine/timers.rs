//! Timers of plugins: stored with what came of the call that set them, one delivery each when they are due, gone with the
//! session.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use sidenote_core::bytes::Bytes;
use sidenote_core::clock::Timestamp;
use sidenote_core::engine::link::{LinkCommand, LinkMode};
use sidenote_core::engine::plugin_timers::TimerRow;
use sidenote_core::engine::rows::{decode, put, session_group};
use sidenote_core::engine::switch::{PluginSwitch, SwitchTo};
use sidenote_core::engine::{Answer, Call, Command, Decision, Work};
use sidenote_core::kv::Writes;
use sidenote_core::outbox::due_timer::DueTimer;
use sidenote_core::outbox::ended::{EndedDelivery, EndedKind, What, number};
use sidenote_core::outbox::lane::DeadLetter;
use sidenote_core::outbox::note::{FailureKind, PostError};
use sidenote_core::rows::{Change, Table};
use sidenote_core::timer::{SetTimer, TimersHeld};

use crate::words::{
    CHAT, Said, acts, acts_of, decide_timer, erase, fails, key, link, names, settings, took, wrote,
};
use crate::world::{BEGIN, DAY, HOUR, MOMENT, SECOND, World};

/// A timer that is due so long from now.
fn after(world: &World, delay: Duration) -> SetTimer {
    SetTimer { at: world.now + delay, set_at: Some(world.now), payload: Bytes(b"p".to_vec()) }
}

fn set(name: &str, timer: SetTimer) -> Writes {
    let mut writes = Writes::default();
    writes.put_timer(name, Some(timer));
    writes
}

fn cancel(name: &str) -> Writes {
    let mut writes = Writes::default();
    writes.put_timer(name, None);
    writes
}

/// A note of a session is posted, and this is written by its call.
fn post(world: &mut World, session: &str, written: impl FnOnce(&World) -> Writes) {
    world.tell(acts(session, &["it"]));
    world.pass(MOMENT);
    let place = world
        .calls
        .iter()
        .position(|call| matches!(&call.work, Work::Note { note, .. } if note.key == key(session)));
    let call = world.calls.remove(place.expect("a note is posted"));
    let written = written(world);
    world.tell(wrote(&call, took(), written));
}

/// A linked session with a timer in an hour.
fn waiting() -> World {
    let mut world = World::linked(settings(), &["s"]);
    post(&mut world, "s", |world| set("t", after(world, HOUR)));
    world
}

fn timer(call: &Call) -> &DueTimer {
    let Work::Timer(timer) = &call.work else { panic!("it is no timer") };
    timer
}

/// How many rows there are of timers: those that wait, those that are due, and dead letters.
fn rows(world: &World) -> [usize; 3] {
    [Table::Timer, Table::TimerQueue, Table::TimerDead].map(|table| world.count(table))
}

#[test]
fn a_timer_is_in_the_transaction_of_its_calls_outcome_and_becomes_one_delivery() {
    let mut world = World::linked(settings(), &["s"]);
    world.tell(acts("s", &["it"]));
    world.pass(MOMENT);
    let call = world.calls.remove(0);
    assert_eq!(rows(&world), [0, 0, 0]);
    let written = set("t", after(&world, HOUR));
    world.transaction(vec![wrote(&call, took(), written)]);
    assert_eq!(rows(&world), [1, 0, 0]);
    assert_eq!(world.numbers(Table::Sent, "s"), [1], "in the same transaction");
    let due_at = world.now + HOUR;
    world.pass(HOUR - SECOND);
    assert!(world.calls.is_empty() && rows(&world) == [1, 0, 0]);
    world.now = due_at;
    world.transaction(Vec::new());
    assert_eq!(rows(&world), [0, 1, 0], "its row goes in the transaction that has the delivery");
    assert_eq!(names(&world.calls), ["wake s/1 for t"]);
    let woken = timer(&world.calls[0]).clone();
    assert_eq!((woken.at, woken.sealed_at, &*woken.payload.0), (due_at, due_at, &b"p"[..]));
    assert_eq!(woken.conversation.as_ref().map(|id| id.as_str()), Some("s"));
    assert_eq!(&*woken.plugin, CHAT);
    world.answer(took());
    assert_eq!(rows(&world), [0, 0, 0]);
    assert_eq!(world.count(Table::TimerAttempt), 0);
    let ended: EndedDelivery = world.row(Table::Ended, "s", number(EndedKind::Timer, 1));
    let What::Timer(kept) = &ended.what else { panic!("it is a timer's") };
    assert_eq!(kept.idempotency_key, woken.idempotency_key);
    world.pass(DAY);
    assert!(world.calls.is_empty());
    let totals = world.totals();
    assert_eq!((totals.timers_set, totals.timers_due, totals.timers_called), (1, 1, 1));
}

#[test]
fn a_crash_has_both_or_neither_and_each_timer_is_due_once() {
    let mut world = World::linked(settings(), &["s"]);
    world.tell(acts("s", &["it"]));
    world.pass(MOMENT);
    world.calls.clear();
    world.restart();
    world.run();
    assert_eq!((rows(&world), names(&world.calls).len()), ([0, 0, 0], 1), "the call is made again");
    let call = world.calls.remove(0);
    let written = set("t", after(&world, HOUR));
    world.tell(wrote(&call, took(), written));
    world.restart();
    world.run();
    assert_eq!((rows(&world), world.calls.len()), ([1, 0, 0], 0));
    world.pass(HOUR);
    let first = timer(&world.calls[0]).clone();
    // Killed while it is called for: called for again, under the same key.
    world.calls.clear();
    world.restart();
    world.run();
    assert_eq!(timer(&world.calls[0]), &first);
    assert_eq!((world.calls[0].attempt, rows(&world)), (2, [0, 1, 0]));
    world.answer(took());
    world.restart();
    world.pass(DAY);
    assert!(world.calls.is_empty() && rows(&world) == [0, 0, 0]);
}

#[test]
fn a_timer_is_set_anew_and_cancelled_under_its_name() {
    let mut world = waiting();
    post(&mut world, "s", |world| set("t", after(world, HOUR * 2)));
    post(&mut world, "s", |world| set("other", after(world, HOUR)));
    assert_eq!(world.count(Table::Timer), 2);
    world.pass(HOUR + SECOND);
    assert_eq!(names(&world.calls), ["wake s/1 for other"]);
    world.answer(took());
    post(&mut world, "s", |_| cancel("t"));
    post(&mut world, "s", |_| cancel("never"));
    assert_eq!(rows(&world), [0, 0, 0]);
    world.pass(DAY);
    assert!(world.calls.is_empty());
    assert_eq!(world.totals().timers_cancelled, 1);
    // Cancelled in the transaction in which it is due.
    post(&mut world, "s", |world| set("t", after(world, MOMENT * 2)));
    world.tell(acts("s", &["more"]));
    world.pass(MOMENT);
    let call = world.calls.remove(0);
    world.now = world.now + MOMENT;
    world.transaction(vec![wrote(&call, took(), cancel("t"))]);
    world.run();
    assert!(world.calls.is_empty() && rows(&world) == [0, 0, 0]);
}

#[test]
fn a_call_for_a_timer_sets_it_again() {
    let mut world = waiting();
    for round in 1..=3 {
        world.pass(HOUR);
        let call = world.calls.remove(0);
        assert_eq!(timer(&call).seq, round);
        let again = set("t", after(&world, HOUR));
        world.tell(wrote(&call, took(), again));
        assert_eq!(rows(&world), [1, 0, 0]);
    }
    assert_eq!(world.totals().timers_due, 3);
}

#[test]
fn it_is_tried_again_dies_and_is_called_for_once_more_by_a_person() {
    let mut world = waiting();
    world.pass(HOUR);
    let key = timer(&world.calls[0]).idempotency_key.clone();
    world.answer(fails(FailureKind::Transient));
    world.pass(SECOND * 10);
    assert_eq!((timer(&world.calls[0]).idempotency_key.clone(), world.calls[0].attempt), (key, 2));
    world.answer(fails(FailureKind::Permanent));
    assert_eq!(rows(&world), [0, 0, 1]);
    let letter: DeadLetter<DueTimer> = world.row(Table::TimerDead, "s", 1);
    assert_eq!(letter.attempts, 2);
    world.tell(decide_timer(Decision::Retry, "s", &[1]));
    world.run();
    assert_eq!(names(&world.calls), ["wake s/1 for t"]);
    world.answer(fails(FailureKind::Permanent));
    world.tell(decide_timer(Decision::Purge, "s", &[1]));
    assert_eq!(rows(&world), [0, 0, 0]);
    // Its number isn't given again.
    post(&mut world, "s", |world| set("t", after(world, HOUR)));
    world.pass(HOUR);
    assert_eq!(timer(&world.calls[0]).seq, 2);
}

#[test]
fn where_its_plugin_is_disabled_it_waits() {
    let mut world = waiting();
    let to = SwitchTo::Disabled { reason: None };
    world.tell(Command::Switch(PluginSwitch { plugin: CHAT.into(), to }));
    world.pass(HOUR * 2);
    assert_eq!((rows(&world), world.calls.len()), ([0, 1, 0], 0));
    let to = SwitchTo::Enabled;
    world.tell(Command::Switch(PluginSwitch { plugin: CHAT.into(), to }));
    world.run();
    assert_eq!(names(&world.calls), ["wake s/1 for t"]);
}

#[test]
fn where_its_plugin_is_away_it_is_a_dead_letter_in_the_end() {
    let mut world = waiting();
    for _ in 0..50 {
        world.pass(HOUR / 2);
        while !world.calls.is_empty() {
            let message = "there is no plugin `chat`".to_owned();
            world.answer(Said::Failed(PostError::Unavailable { message }));
        }
    }
    world.pass(HOUR);
    assert_eq!((rows(&world), world.calls.len()), ([0, 0, 1], 0));
    let letter: DeadLetter<DueTimer> = world.row(Table::TimerDead, "s", 1);
    assert!(letter.reason.starts_with("unavailable"), "{}", letter.reason);
    world.sweep_at(world.now + DAY * 31);
    assert_eq!(rows(&world), [0, 0, 0], "dead letters are kept for some time");
}

#[test]
fn it_follows_its_session_to_another_conversation() {
    let mut world = waiting();
    let moved = LinkCommand { mode: LinkMode::Move, ..link("s", "elsewhere") };
    let moved = world.tell(Command::Link(moved));
    assert!(matches!(moved, Answer::Linked(Ok(_))), "{moved:?}");
    world.pass(HOUR);
    let woken = timer(&world.calls[0]);
    assert_eq!(woken.conversation.as_ref().map(|id| id.as_str()), Some("elsewhere"));
}

#[test]
fn a_clock_that_was_set_back_or_forward_leads_to_one_call() {
    // Set back over a restart: with a delay it waits no longer than that, at a moment until then.
    for is_delay in [true, false] {
        let mut world = World::linked(settings(), &["s"]);
        post(&mut world, "s", |world| {
            let set_at = is_delay.then_some(world.now);
            set("t", SetTimer { set_at, ..after(world, HOUR) })
        });
        let moment = world.now + HOUR;
        world.now = BEGIN - DAY;
        world.restart();
        world.pass(HOUR - SECOND);
        assert!(world.calls.is_empty());
        world.pass(SECOND);
        assert_eq!(world.calls.len(), usize::from(is_delay));
        if !is_delay {
            world.pass(moment.since(world.now));
            assert_eq!(world.calls.len(), 1);
        }
        // Set back behind the call for it, and forward again.
        let key = timer(&world.calls[0]).idempotency_key.clone();
        world.answer(took());
        for now in [BEGIN - DAY, BEGIN + DAY, BEGIN] {
            world.now = now;
            world.restart();
            world.pass(HOUR * 2);
            assert!(world.calls.is_empty(), "{key} was called for");
        }
    }
    // Forward: what is due meanwhile is due once, those that were due first go first.
    let mut world = waiting();
    post(&mut world, "s", |world| set("late", after(world, HOUR * 3)));
    post(&mut world, "s", |world| set("soon", after(world, SECOND * 5)));
    world.now = world.now + HOUR * 10;
    world.restart();
    let called = world.answer_all(took);
    assert_eq!(names(&called), ["wake s/1 for soon", "wake s/2 for t", "wake s/3 for late"]);
    assert_eq!(rows(&world), [0, 0, 0]);
}

#[test]
fn timers_go_with_a_person_who_is_erased() {
    // Before it is due; while it waits for its plugin; while it is called for; as a dead letter.
    for stage in 0..4 {
        let mut world = waiting();
        let mut call = None;
        if stage > 0 {
            if stage == 1 {
                let to = SwitchTo::Disabled { reason: None };
                world.tell(Command::Switch(PluginSwitch { plugin: CHAT.into(), to }));
            }
            world.pass(HOUR);
        }
        match stage {
            2 => call = Some(world.calls.remove(0)),
            3 => drop(world.answer(fails(FailureKind::Permanent))),
            _ => {}
        }
        let Answer::Erased(erased) = world.tell(erase(&["s"], false)) else { panic!() };
        assert_eq!(erased.timers, 1, "{stage}");
        assert_eq!((rows(&world), world.count(Table::TimerAttempt)), ([0, 0, 0], 0), "{stage}");
        if let Some(call) = call {
            // What its call sets goes too.
            let again = set("again", after(&world, HOUR));
            world.tell(wrote(&call, took(), again));
            assert_eq!((rows(&world), world.totals().timers_dropped), ([0, 0, 0], 1));
        }
        assert_eq!(world.count(Table::Ended), 0, "{stage}");
        world.calls.retain(|call| matches!(call.work, Work::Timer(_)));
        world.pass(DAY);
        world.calls.retain(|call| matches!(call.work, Work::Timer(_)));
        assert!(world.calls.is_empty(), "{stage}");
        world.restart();
        world.pass(DAY);
        world.calls.retain(|call| matches!(call.work, Work::Timer(_)));
        assert!(world.calls.is_empty(), "{stage}");
    }
}

#[test]
fn in_one_transaction_with_the_erasure_nothing_is_left_whatever_the_order() {
    for erased_first in [true, false] {
        let mut world = World::linked(settings(), &["s"]);
        world.tell(acts("s", &["it"]));
        world.pass(MOMENT);
        let call = world.calls.remove(0);
        let outcome = wrote(&call, took(), set("t", after(&world, HOUR)));
        let erasing = erase(&["s"], false);
        let commands = if erased_first { vec![erasing, outcome] } else { vec![outcome, erasing] };
        world.transaction(commands);
        assert_eq!(rows(&world), [0, 0, 0], "{erased_first}");
        world.run();
        world.calls.clear();
        world.pass(HOUR * 2);
        assert!(!world.calls.iter().any(|call| matches!(call.work, Work::Timer(_))));
    }
}

#[test]
fn a_due_timer_tells_of_its_person_and_takes_the_number_after_a_sinks() {
    let mut world = World::linked(settings(), &["s"]);
    world.tell(acts_of("s", (Some("ann"), Some("ann@example.com")), &["it"]));
    world.pass(MOMENT);
    let call = world.calls.remove(0);
    let written = set("t", after(&world, HOUR));
    world.tell(wrote(&call, took(), written));
    world.pass(HOUR);
    let woken = timer(&world.calls[0]);
    assert_eq!(woken.user_id.as_deref(), Some("ann"));
    assert_eq!(woken.email.as_deref(), Some("ann@example.com"));
    assert!(!format!("{woken:?}").contains("ann"), "nothing of the person is told");
}

#[test]
fn timers_go_with_a_session_that_expires() {
    let mut settings = settings();
    settings.retention.sessions = HOUR;
    let mut world = World::linked(settings, &["s"]);
    post(&mut world, "s", |world| set("t", after(world, DAY * 3)));
    world.pass(DAY);
    world.sweep();
    assert_eq!((world.count(Table::Session), rows(&world)), (0, [0, 0, 0]));
    assert_eq!(world.totals().timers_expired, 1);
    world.pass(DAY * 3);
    assert!(world.calls.is_empty());
}

#[test]
fn while_the_host_ends_timers_stay_where_they_are() {
    let mut world = waiting();
    world.tell(Command::Drain);
    world.now = world.now + HOUR * 2;
    world.round(Vec::new());
    assert_eq!((rows(&world), world.calls.len()), ([1, 0, 0], 0));
    assert_eq!(world.core.next_due(world.now), None, "nobody is woken for it again and again");
    world.restart();
    world.run();
    assert_eq!(names(&world.calls), ["wake s/1 for t"]);
    // An engine that only carries out what people decide leaves them too.
    let mut world = waiting();
    world.now = world.now + HOUR * 2;
    world.restart_with(settings().without_posting());
    world.round(Vec::new());
    assert_eq!(rows(&world), [1, 0, 0]);
}

#[test]
fn a_person_removes_the_timers_of_a_plugin() {
    let mut world = World::linked(settings(), &["a", "b"]);
    for session in ["a", "b"] {
        post(&mut world, session, |world| {
            let mut writes = set("one", after(world, HOUR));
            writes.put_timer("two", Some(after(world, HOUR)));
            writes
        });
    }
    let held = TimersHeld::default();
    world.core.tell_timers(held.clone());
    assert_eq!(held.of(CHAT), 4);
    let other = world.tell(Command::RemoveTimers("other".into(), vec![key("a")]));
    assert!(matches!(other, Answer::Cleared(0)), "{other:?}");
    let keys = vec![key("a"), key("unknown")];
    let removed = world.tell(Command::RemoveTimers(CHAT.into(), keys));
    assert!(matches!(removed, Answer::Cleared(2)), "{removed:?}");
    assert_eq!((held.of(CHAT), world.totals().timers_removed), (2, 2));
    world.pass(HOUR);
    assert_eq!(names(&world.calls), ["wake b/1 for one"]);
    assert_eq!(held.of(CHAT), 0, "what is due isn't counted");
}

#[test]
fn a_hundred_thousand_timers_cost_nothing_until_they_are_due() {
    let mut world = World::linked(settings(), &["s"]);
    let timers = 100_000_u64;
    for n in 0..timers {
        let row = TimerRow {
            plugin: CHAT.into(),
            name: "t".into(),
            at: world.now + HOUR + Duration::from_millis(n),
            set_at: None,
            payload: Bytes(vec![b'x'; 16]),
        };
        let group = session_group(&key(&format!("s{n}")));
        let Change::Put(place, value) = put(Table::Timer, group, 1, &row) else { panic!() };
        world.rows.insert(place, value);
    }
    world.restart();
    let held = TimersHeld::default();
    world.core.tell_timers(held.clone());
    assert_eq!(held.of(CHAT), timers);
    world.run();
    world.reads.clear();
    world.round(Vec::new());
    post(&mut world, "s", |_| Writes::default());
    assert_eq!(world.reads.get(&Table::Timer), None, "nothing is read of them");
    assert_eq!(world.totals().sessions_in_memory, 0);
    assert_eq!(world.core.next_due(world.now), Some(BEGIN + HOUR), "the first of them");
    // Those that are due alone are read. They have no sessions here, so that nothing comes of them.
    world.now = BEGIN + HOUR + SECOND;
    world.run();
    let read = world.reads.get(&Table::Timer).copied().unwrap_or_default();
    assert!((900..=1300).contains(&read), "{read}");
    assert_eq!(held.of(CHAT) as usize, world.count(Table::Timer));
    assert_eq!(world.totals().timers_dropped, timers - held.of(CHAT));
}

#[test]
fn more_that_are_due_than_are_looked_at_at_once_are_all_called_for() {
    let sessions: Vec<_> = (0..200).map(|n| format!("s{n}")).collect();
    let names: Vec<_> = sessions.iter().map(String::as_str).collect();
    let mut world = World::linked(settings(), &names);
    for session in &names {
        post(&mut world, session, |world| set("t", after(world, HOUR)));
    }
    world.evicts = true;
    world.now = world.now + HOUR * 2;
    let called = world.answer_all(took);
    assert_eq!(called.len(), 200);
    let sessions: BTreeSet<_> = called.iter().map(|call| timer(call).key.clone()).collect();
    assert_eq!(sessions.len(), 200);
}

#[test]
fn numbers_at_the_ends_of_time_are_kept_apart() {
    let mut world = World::linked(settings(), &["s"]);
    post(&mut world, "s", |_| {
        let mut writes = Writes::default();
        for (name, at) in [("never", i64::MAX), ("long ago", i64::MIN), ("epoch", 0)] {
            let (at, payload) = (Timestamp(at), Bytes(Vec::new()));
            writes.put_timer(name, Some(SetTimer { at, set_at: None, payload }));
        }
        writes
    });
    let called = world.answer_all(took);
    assert_eq!(names(&called), ["wake s/1 for long ago", "wake s/2 for epoch"]);
    world.restart();
    world.pass(DAY);
    assert!(world.calls.is_empty());
}

#[test]
fn a_row_that_cannot_be_read_stops_nothing_and_is_not_overwritten() {
    let mut world = waiting();
    world.spoil(Table::Timer, "s", 1);
    world.restart();
    post(&mut world, "s", |world| set("t", after(world, HOUR)));
    assert_eq!(world.numbers(Table::Timer, "s"), [1, 2]);
    world.pass(HOUR);
    assert_eq!(names(&world.calls), ["wake s/1 for t"]);
    world.answer(took());
    world.tell(erase(&["s"], false));
    assert_eq!(rows(&world), [0, 0, 0]);
}

/// What happens in a random life.
#[derive(Debug, Clone)]
enum Step {
    /// A note of a session is posted; its call sets and cancels: name, and for how many seconds.
    Post(u8, Vec<(u8, Option<u16>)>),
    /// Time passes, in seconds.
    Pass(u16),
    /// What is called for a timer ends so, and sets one under this name.
    Answer(u8, Option<(u8, u16)>),
    /// The process dies, and its clock is set by so many seconds before the next one starts.
    Kill(i16),
    Erase(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let change = (0..3u8, prop::option::weighted(0.7, 1..400u16));
    let step = prop_oneof![
        4 => (0..3u8, prop::collection::vec(change, 0..4)).prop_map(|(s, set)| Step::Post(s, set)),
        3 => (1..600u16).prop_map(Step::Pass),
        4 => (0..3u8, prop::option::of((0..3u8, 1..400u16))).prop_map(|(how, set)| Step::Answer(how, set)),
        2 => (-400..400i16).prop_map(Step::Kill),
        1 => (0..3u8).prop_map(Step::Erase),
    ];
    prop::collection::vec(step, 1..40)
}

/// What is known of each timer that was set, by the number that its payload has.
#[derive(Default)]
struct Model {
    next: u64,
    /// Those that wait, by session and name.
    waiting: BTreeMap<(String, String), u64>,
    /// Those that became deliveries, by the keys of the calls.
    due: BTreeMap<u64, BTreeSet<String>>,
    gone: BTreeSet<u64>,
}

impl Model {
    fn set(&mut self, session: &str, writes: &mut Writes, name: &str, timer: Option<SetTimer>) {
        let place = (session.to_owned(), name.to_owned());
        let before = match timer {
            Some(timer) => {
                self.next += 1;
                let payload = Bytes(self.next.to_string().into_bytes());
                writes.put_timer(name, Some(SetTimer { payload, ..timer }));
                self.waiting.insert(place, self.next)
            }
            None => {
                writes.put_timer(name, None);
                self.waiting.remove(&place)
            }
        };
        self.gone.extend(before);
    }

    fn erase(&mut self, session: &str) {
        let gone = self.waiting.extract_if(.., |place, _| place.0 == session);
        self.gone.extend(gone.map(|(_, id)| id));
    }

    /// Compares what is stored with what is known; takes up what became due.
    fn look(&mut self, world: &World, held: &TimersHeld) -> Result<(), TestCaseError> {
        let id = |payload: &Bytes| {
            std::str::from_utf8(&payload.0).expect("ours").parse::<u64>().expect("ours")
        };
        let of = |table| world.rows.iter().filter(move |(place, _)| place.table == table);
        let mut stored = BTreeMap::new();
        for (place, row) in of(Table::Timer) {
            let row: TimerRow = decode(row).expect("a row of ours");
            prop_assert!(row.at > world.now, "what is due became a delivery");
            stored.insert((place.group.1.to_string(), row.name.to_string()), id(&row.payload));
        }
        prop_assert_eq!(held.of(CHAT), stored.len() as u64);
        for (_, row) in of(Table::TimerQueue) {
            let timer: DueTimer = decode(row).expect("a row of ours");
            let (session, id) = (timer.key.session.as_str().to_owned(), id(&timer.payload));
            prop_assert!(!self.gone.contains(&id), "{id} was cancelled, replaced or erased");
            let place = (session, timer.name.to_string());
            if self.waiting.get(&place) == Some(&id) {
                self.waiting.remove(&place);
            }
            self.due.entry(id).or_default().insert(timer.idempotency_key);
        }
        prop_assert_eq!(&stored, &self.waiting);
        for (id, keys) in &self.due {
            prop_assert_eq!(keys.len(), 1, "{} became several deliveries", id);
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever happens: each timer that was stored becomes one delivery, or was cancelled, set anew or erased before.
    #[test]
    fn each_timer_becomes_one_delivery_or_none_where_it_was_taken_back(steps in steps()) {
        let sessions = ["a", "b", "c"];
        let of = |n: u8| sessions[usize::from(n)];
        let name = |n: u8| format!("t{n}");
        let mut world = World::linked(settings().with_concurrency(CHAT, 8), &sessions);
        let mut held = TimersHeld::default();
        world.core.tell_timers(held.clone());
        let mut model = Model::default();
        let seconds = |n: u16| SECOND * u32::from(n);
        for step in steps {
            match step {
                Step::Post(session, set) => {
                    let session = of(session);
                    if world.core.record(&key(session)).is_none_or(|it| it.link.is_none()) {
                        world.link(session);
                    }
                    world.tell(acts(session, &["it"]));
                    world.pass(MOMENT);
                    model.look(&world, &held)?;
                    let place = world.calls.iter().position(|call| {
                        matches!(&call.work, Work::Note { note, .. } if note.key == key(session))
                    });
                    let Some(place) = place else { continue };
                    let call = world.calls.remove(place);
                    let mut writes = Writes::default();
                    for (n, delay) in set {
                        let timer = delay.map(|delay| after(&world, seconds(delay)));
                        model.set(session, &mut writes, &name(n), timer);
                    }
                    // Of one name the last counts.
                    world.tell(wrote(&call, took(), writes));
                }
                Step::Pass(time) => {
                    for _ in 0..time / 60 + 1 {
                        world.pass(seconds(time % 60 + 1));
                        model.look(&world, &held)?;
                    }
                }
                Step::Answer(how, set) => {
                    let is_timer = |call: &Call| matches!(call.work, Work::Timer(_));
                    let Some(place) = world.calls.iter().position(is_timer) else { continue };
                    let call = world.calls.remove(place);
                    let session = timer(&call).key.session.as_str().to_owned();
                    let said = match how {
                        0 => took(),
                        1 => fails(FailureKind::Transient),
                        _ => fails(FailureKind::Permanent),
                    };
                    let queued: Vec<DueTimer> = world.all(Table::TimerQueue);
                    let ours = &timer(&call).idempotency_key;
                    // Of one that was erased meanwhile nothing is stored, and what fails for now writes nothing.
                    let stored = how != 1 && queued.iter().any(|it| it.idempotency_key == *ours);
                    let mut writes = Writes::default();
                    if let Some((n, delay)) = set.filter(|_| stored) {
                        let timer = after(&world, seconds(delay));
                        model.set(&session, &mut writes, &name(n), Some(timer));
                    }
                    world.tell(wrote(&call, said, writes));
                }
                Step::Kill(jump) => {
                    let by = Duration::from_secs(u64::from(jump.unsigned_abs()));
                    world.now = if jump < 0 { world.now - by } else { world.now + by };
                    world.restart();
                    held = TimersHeld::default();
                    world.core.tell_timers(held.clone());
                }
                Step::Erase(session) => {
                    world.tell(erase(&[of(session)], true));
                    model.erase(of(session));
                    // What is being posted of it ends, and nothing is stored of that.
                    let erased = key(of(session));
                    let is_its = |call: &Call| {
                        matches!(&call.work, Work::Note { note, .. } if note.key == erased)
                    };
                    while let Some(place) = world.calls.iter().position(is_its) {
                        let call = world.calls.remove(place);
                        world.tell(wrote(&call, took(), Writes::default()));
                    }
                }
            }
            world.run();
            model.look(&world, &held)?;
        }
        // In the end all are called for.
        world.pass(HOUR);
        model.look(&world, &held)?;
        prop_assert!(model.waiting.is_empty());
        world.answer_all(took);
        prop_assert_eq!(world.count(Table::TimerQueue), 0);
    }
}
