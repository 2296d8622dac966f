//! What is in memory, what is read, what expires, and what a start takes up.

use std::time::Duration;

use sidenote_core::engine::rows::{Person, person_group, session_group, session_number};
use sidenote_core::engine::{Call, Command, Decision, Settings};
use sidenote_core::outbox::lane::DeadLetter;
use sidenote_core::outbox::note::{FailureKind, SentNote};
use sidenote_core::outbox::redaction::{Job, State, Why};
use sidenote_core::rows::{Group, Key, Table};
use sidenote_core::rules::{Breaker, DeadHead, Delivery, History};
use sidenote_core::session::batch::Entry;
use sidenote_core::session::state::{Covers, Record};

use crate::words::{
    CHAT, acts, acts_of, decide, decided, erase, fails, key, link, name, names, note, settings,
    settings_of, summary, took,
};
use crate::world::{DAY, HOUR, MOMENT, SECOND, World};

const TICK: Duration = Duration::from_micros(1);

#[test]
fn an_idle_session_leaves_the_memory_and_nothing_is_lost_of_it() {
    let mut world = World::linked(settings(), &["s", "t"]);
    world.post("s", 1);
    let touched = world.now;
    world.sweep_at(touched + SECOND * 60 - TICK);
    assert!(world.core.has(&key("s")));
    assert_eq!(world.totals().sessions_in_memory, 1, "the other one was touched before");
    world.core.put_off_expiry(touched + SECOND * 30);
    world.now = touched + SECOND * 60;
    assert_eq!(world.sweep(), [key("s")]);
    assert_eq!((world.core.has(&key("s")), world.totals().sessions_in_memory), (false, 0));
    world.reads.clear();
    world.post("s", 1);
    assert_eq!((world.numbers(Table::Sent, "s"), world.reads[&Table::Session]), (vec![1, 2], 1));
    assert!(world.core.record(&key("s")).is_some_and(|it| it.notes == 2));
}

#[test]
fn a_session_stays_in_memory_while_something_of_it_waits() {
    let mut world = World::linked(settings(), &["posting", "retry"]);
    world.seal("retry");
    world.answer(fails(FailureKind::Transient));
    world.plugins.set(CHAT, |it| it.coming = true);
    world.seal("posting");
    world.tell(acts("open", &["it"]));
    world.now = world.now + SECOND * 100;
    world.round(Vec::new());
    world.core.put_off_expiry(world.now - SECOND * 30);
    world.now = world.now + SECOND * 10;
    world.sweep();
    for session in ["posting", "retry", "open"] {
        assert!(world.core.has(&key(session)), "{session}");
    }
}

#[test]
fn where_more_are_in_memory_than_there_should_be_those_go_that_wait_for_time_alone() {
    let mut few = settings();
    few.max_live = 3;
    let mut world = World::new(few);
    for session in ["a", "b", "c"] {
        world.tell(acts(session, &["it"]));
        assert!(world.sweep().is_empty());
    }
    world.link("busy");
    world.seal("busy");
    let mut gone = world.sweep();
    gone.sort();
    assert_eq!(gone, [key("a"), key("b"), key("c")]);
    assert_eq!(world.totals().sessions_in_memory, 1);
    assert_eq!(world.count(Table::Open), 3);
    // They come back with what they had.
    world.link("a");
    world.answer_all(took);
    assert_eq!(world.numbers(Table::Sent, "a"), [1]);
    // Where most are busy it is looked again when there are many more.
    world.plugins.set(CHAT, |it| it.coming = true);
    for n in 0..8 {
        let session = format!("s{n}");
        world.link(&session);
        world.tell(acts(&session, &["it"]));
    }
    world.sweep();
    world.tell(acts("x", &["it"]));
    let in_memory = world.totals().sessions_in_memory;
    assert!(in_memory >= 8, "{in_memory}");
    assert!(world.sweep().is_empty(), "{in_memory}");
    world.tell(acts("y", &["it"]));
    world.tell(acts("z", &["it"]));
    assert!(!world.sweep().is_empty());
}

#[test]
fn a_lane_that_waits_for_a_person_leaves_the_memory_where_room_is_needed() {
    let hold = Delivery { dead_head: DeadHead::Hold, ..Delivery::default() };
    let mut few = settings_of(&[CHAT], hold);
    few.max_live = 0;
    let mut world = World::linked(few, &["s"]);
    world.seal("s");
    world.answer(fails(FailureKind::Permanent));
    assert_eq!(world.sweep(), [key("s")]);
    assert_eq!(decided(world.tell(decide(Decision::Retry, "s", &[1]))), 1);
    assert_eq!(names(&world.calls), ["post s/1"]);
    world.core.evict_waiting(world.now);
    assert!(world.core.has(&key("s")));
}

#[test]
fn sessions_that_were_read_for_nothing_can_be_forgotten_again() {
    let mut world = World::linked(settings(), &["s"]);
    world.seal("s");
    world.calls.clear();
    world.core.unload(&[key("s")]);
    assert!(!world.core.has(&key("s")));
    world.fresh.clear();
    world.tell(acts("s", &["it"]));
    world.tell(acts("new", &["it"]));
    assert_eq!(world.fresh, [key("new")]);
}

#[test]
fn a_session_expires_after_its_retention_with_all_that_is_left_of_it() {
    let settings = settings().with_history(History { keep: DAY * 9, ..History::default() });
    let mut world = World::linked(settings, &["s"]);
    world.tell(acts_of("s", (Some("ann"), None), &["it"]));
    world.pass(MOMENT);
    world.answer_all(took);
    world.tell(acts("open", &["one", "two"]));
    let at = world.row::<Record>(Table::Session, "s", 0).active_at;
    world.pass(SECOND * 200);
    world.told();
    world.sweep_at(at + DAY);
    assert_eq!(world.numbers(Table::Session, "s"), [0]);
    world.sweep_at(at + DAY + TICK);
    for table in [Table::Session, Table::Sent, Table::History] {
        assert_eq!(world.numbers(table, "s"), [0_u64; 0], "{table:?}");
    }
    assert_eq!((world.count(Table::Person), world.count(Table::Conversation)), (0, 0));
    assert_eq!((world.told(), world.totals().sessions_expired), (vec!["s: Gone".into()], 1));
}

#[test]
fn what_never_found_its_conversation_expires_as_dropped() {
    let rules = Delivery { pre_link_window: DAY * 2, ..Delivery::default() };
    let mut world = World::new(settings_of(&[CHAT], rules));
    world.tell(acts_of("s", (Some("ann"), None), &["one", "two"]));
    let at = world.row::<Record>(Table::Session, "s", 0).active_at;
    world.core.evict_waiting(world.now);
    world.sweep_at(at + DAY + TICK);
    assert_eq!((world.count(Table::Open), world.totals().dropped_window), (0, 2));
    assert_eq!(world.count(Table::Person), 0);
}

#[test]
fn a_session_in_memory_does_not_expire_under_whoever_uses_it() {
    let mut world = World::linked(settings(), &["s"]);
    let at = world.now;
    world.now = at + DAY * 2;
    world.tell(acts("s", &["it"]));
    world.rows.retain(|_, _| true);
    world.sweep_at(world.now);
    assert_eq!(world.numbers(Table::Session, "s"), [0]);
}

#[test]
fn a_record_that_cannot_be_read_is_set_aside_and_kept_for_as_long() {
    let mut world = World::linked(settings().with_history(History::default()), &["s"]);
    world.post("s", 3);
    world.spoil(Table::Session, "s", 0);
    world.restart();
    world.tell(acts("s", &["it"]));
    let at = world.now;
    assert_eq!(world.numbers(Table::Session, "s"), [0, at.as_millis()]);
    // No number that it gave out is given again, of notes nor of actions.
    assert!(world.core.record(&key("s")).is_some_and(|it| it.notes == 3 && it.left == 3));
    assert_eq!(world.numbers(Table::History, "s"), [1, 2, 3, 4]);
    let aside = |world: &World| world.numbers(Table::Session, "s").contains(&at.as_millis());
    world.sweep_at(at + DAY + SECOND);
    assert!(aside(&world), "its session is in memory");
    world.core.evict_waiting(world.now);
    world.sweep_at(at + DAY);
    assert!(aside(&world));
    world.sweep_at(at + DAY + Duration::from_millis(1));
    assert!(!aside(&world));
}

#[test]
fn numbers_are_not_given_again_where_no_record_is_left_but_dead_letters_and_redactions() {
    let mut world = World::linked(settings_of(&[CHAT, "sink"], Delivery::default()), &["s"]);
    world.sink("sink", false);
    world.post("s", 2);
    world.seal("s");
    world.answer_all(|| fails(FailureKind::Permanent));
    assert_eq!(
        (world.numbers(Table::Dead, "s"), world.numbers(Table::SinkDead, "s")),
        (vec![3], vec![3])
    );
    world.rows.retain(|key, _| ![Table::Session, Table::Sent].contains(&key.table));
    let job = Job::new(
        SentNote::of(&world.row::<DeadLetter>(Table::Dead, "s", 3).note, None, world.now),
        Why::Erased,
        world.now,
    );
    let place = Key { table: Table::Redact, group: session_group(&key("s")), number: 5 };
    world.rows.insert(place, serde_json::to_vec(&Job { state: State::GivenUp, ..job }).unwrap());
    world.restart();
    world.link("s");
    world.seal("s");
    let mut calls = names(&world.calls);
    calls.sort();
    assert_eq!(calls, ["post s/6", "send s/4 to sink"]);
    // Where the last dead letter is later than the last redaction, that counts.
    world.rows.retain(|key, _| key.table != Table::Session && key.table != Table::Outbox);
    let group = session_group(&key("s"));
    let letter = world.rows[&Key { table: Table::Dead, group: group.clone(), number: 3 }].clone();
    world.rows.insert(Key { table: Table::Dead, group, number: 9 }, letter);
    world.restart();
    world.link("s");
    world.seal("s");
    assert!(names(&world.calls).contains(&"post s/10".to_owned()));
}

#[test]
fn dead_letters_expire_after_their_retention_but_for_those_that_hold_their_lane() {
    for dead_head in [DeadHead::Free, DeadHead::Hold] {
        let rules = Delivery { dead_head, ..Delivery::default() };
        let mut world = World::linked(settings_of(&[CHAT, "sink"], rules), &["s"]);
        world.sink("sink", false);
        world.seal("s");
        world.answer_all(|| fails(FailureKind::Permanent));
        world.pass(SECOND * 120);
        let at = world.row::<DeadLetter>(Table::Dead, "s", 1).at;
        let left = |world: &World| (world.count(Table::Dead), world.count(Table::SinkDead));
        world.sweep_at(at + DAY * 30);
        assert_eq!(left(&world), (1, 1));
        world.sweep_at(at + DAY * 30 + SECOND);
        let (count, expired) = if dead_head == DeadHead::Free { (0, 2) } else { (1, 0) };
        assert_eq!(left(&world), (count, count));
        assert_eq!(world.totals().dead_expired, expired);
    }
}

#[test]
fn redactions_that_were_given_up_expire_and_those_that_wait_do_not() {
    for erased in [false, true] {
        let mut world = World::linked(settings(), &["s"]);
        world.post("s", 2);
        if erased {
            world.tell(erase(&["s"], false));
        } else {
            world.tell(summary("s", "Both", Covers::Next(2)));
            world.answer(took());
        }
        world.answer(fails(FailureKind::Permanent));
        if std::mem::take(&mut world.scrubbing) {
            world.tell(Command::Scrubbed(Ok(())));
        }
        let at = world.row::<Job>(Table::Redact, "s", 1).decided;
        let kept = world.count(Table::Kept);
        assert_eq!(kept, 1);
        world.now = at + DAY * 2;
        world.plugins.set(CHAT, |it| it.coming = true);
        assert_eq!(world.numbers(Table::Redact, "s"), [1, 2]);
        world.sweep_at(at + DAY * 30);
        assert_eq!(world.numbers(Table::Redact, "s"), [1, 2]);
        assert!(!world.core.is_scrub_due());
        world.sweep_at(at + DAY * 30 + TICK);
        assert_eq!(world.numbers(Table::Redact, "s"), [2]);
        assert_eq!(world.totals().redactions_expired, 1);
        assert_eq!(
            world.core.is_scrub_due(),
            erased,
            "what is left of somebody erased is scrubbed"
        );
    }
}

#[test]
fn what_a_summary_was_to_take_the_place_of_is_on_record_as_long_as_its_session() {
    let mut world = World::linked(settings(), &["s"]);
    world.seal("s");
    world.answer(crate::words::Said::Took(None));
    world.tell(summary("s", "It", Covers::Next(1)));
    world.answer(took());
    let at = world.now;
    assert_eq!(world.count(Table::Kept), 1);
    world.sweep_at(at + DAY);
    assert_eq!(world.count(Table::Kept), 1);
    world.sweep_at(at + DAY + TICK);
    assert_eq!(world.count(Table::Kept), 0);
}

#[test]
fn tables_are_swept_page_by_page_and_from_the_beginning_again() {
    let mut world = World::linked(settings(), &["s"]);
    world.seal("s");
    world.answer(fails(FailureKind::Permanent));
    let place = Key { table: Table::Dead, group: session_group(&key("s")), number: 1 };
    let letter = world.rows.remove(&place).unwrap();
    for number in 0..600 {
        let group = Group("p".into(), format!("x{number:03}").into());
        world.rows.insert(Key { table: Table::Dead, group, number: 1 }, letter.clone());
    }
    let begin = world.now + DAY * 31;
    world.now = begin;
    let mut left = Vec::new();
    for _ in 0..4 {
        world.sweep();
        left.push(world.count(Table::Dead));
        assert_eq!(world.now, begin + SECOND * (left.len() as u32 - 1));
        world.now = world.now + SECOND;
    }
    // Three pages a second apart; the next look is half a minute later, from the beginning.
    assert_eq!(left, [344, 88, 0, 0]);
    world.rows.insert(place.clone(), letter.clone());
    world.sweep_at(begin + HOUR);
    assert_eq!(world.count(Table::Dead), 0);
    world.rows.insert(place, letter);
    world.now = begin + HOUR + SECOND * 30 - TICK;
    world.sweep();
    assert_eq!(world.count(Table::Dead), 1);
    world.now = begin + HOUR + SECOND * 30;
    world.sweep();
    assert_eq!(world.count(Table::Dead), 0);
}

#[test]
fn what_cannot_be_read_is_never_swept() {
    let mut world = World::new(settings().with_history(History::default()));
    for table in [Table::Dead, Table::SinkDead, Table::Redact, Table::Kept, Table::History] {
        world.spoil(table, "s", 1);
    }
    world.spoil(Table::Session, "s", 0);
    world.sweep_at(world.now + DAY * 100);
    assert_eq!(world.rows.len(), 6);
}

#[test]
fn a_start_takes_up_all_that_has_work_to_do_however_many_there_are() {
    let mut world = World::new(settings().with_concurrency(CHAT, 300));
    let sessions: Vec<String> = (0..1100).map(|n| format!("s{n:04}")).collect();
    world.plugins.set(CHAT, |it| it.coming = true);
    let all = sessions
        .iter()
        .flat_map(|session| [Command::Link(link(session, session)), acts(session, &["it"])]);
    world.round(all.collect());
    world.now = world.now + MOMENT;
    world.round(Vec::new());
    assert_eq!(world.count(Table::Outbox), 1100);
    world.tell(acts("open", &["it"]));
    world.plugins.set(CHAT, |it| it.coming = false);
    world.restart();
    world.run();
    assert_eq!(world.calls.len(), 1100);
    world.link("open");
    world.run();
    assert!(world.core.has(&key("open")));
    let calls = std::mem::take(&mut world.calls);
    world.round(calls.iter().map(|call| crate::words::ended(call, took())).collect());
    assert_eq!(world.totals().notes_posted, calls.len() as u64);
}

#[test]
fn an_open_batch_is_sealed_by_the_next_process_at_its_time() {
    let mut world = World::linked(settings(), &["s"]);
    world.tell(acts("s", &["it"]));
    world.restart();
    assert!(world.core.next_timer(world.now) <= world.now + MOMENT);
    world.pass(MOMENT);
    assert_eq!(names(&world.calls), ["post s/1"]);
}

#[test]
fn a_clock_that_was_set_back_makes_no_wait_longer() {
    let mut world = World::linked(settings(), &["s"]);
    world.tell(acts("s", &["one"]));
    world.now = world.now + MOMENT / 2;
    world.tell(acts("s", &["two"]));
    world.now = world.now - HOUR;
    world.restart();
    world.pass(SECOND * 3);
    assert_eq!(names(&world.calls), ["post s/1"]);
    world.answer(fails(FailureKind::Transient));
    world.now = world.now - HOUR;
    world.restart();
    world.pass(SECOND * 3);
    assert_eq!(names(&world.calls), ["post s/1"]);
    assert!(world.row::<Record>(Table::Session, "s", 0).active_at >= world.now);
    assert!(world.core.record(&key("s")).is_some_and(|it| it.active_at <= world.now));
}

#[test]
fn entries_that_are_later_than_what_came_behind_them_count_as_no_later() {
    let mut world = World::new(settings());
    world.tell(acts("s", &["one"]));
    world.tell(acts("s", &["two"]));
    let mut first: Entry = world.row(Table::Open, "s", 0);
    first.arrived = first.arrived + SECOND * 60;
    let place = Key { table: Table::Open, group: session_group(&key("s")), number: 0 };
    world.rows.insert(place, serde_json::to_vec(&first).unwrap());
    world.now = world.now + SECOND * 30;
    world.restart();
    // The window is over for both at the same moment.
    world.pass(SECOND * 90 + TICK);
    world.link("s");
    assert_eq!((world.count(Table::Open), world.totals().dropped_window), (0, 2));
}

#[test]
fn names_of_nobody_that_an_earlier_version_stored_leave_the_index() {
    let mut world = World::new(settings());
    world.tell(acts_of("s", (Some("ann"), None), &["it"]));
    let mut record: Record = world.row(Table::Session, "s", 0);
    record.user_id = Some("undefined".into());
    let place = Key { table: Table::Session, group: session_group(&key("s")), number: 0 };
    world.rows.insert(place, serde_json::to_vec(&record).unwrap());
    let nobody = Person::User("undefined".into());
    let group = person_group(&crate::words::product("p"), &nobody);
    let index = Key { table: Table::Person, group, number: session_number(&key("s")) };
    world.rows.insert(index.clone(), b"{}".to_vec());
    world.restart();
    world.tell(acts("s", &["it"]));
    assert!(!world.rows.contains_key(&index));
    assert!(world.core.record(&key("s")).is_some_and(|it| it.user_id.is_none()));
}

#[test]
fn other_settings_are_gone_by_at_once() {
    let mut world = World::linked(settings().without_posting(), &["s"]);
    world.tell(acts("s", &["it"]));
    let slow = Delivery { debounce: HOUR, max_wait: HOUR, ..Delivery::default() };
    world.change_settings(settings_of(&[CHAT], slow));
    assert_eq!(world.core.settings().products().count(), 1);
    world.pass(SECOND * 30);
    assert_eq!(world.numbers(Table::Open, "s"), [0]);
    world.change_settings(settings());
    world.run();
    assert_eq!(names(&world.calls), ["post s/1"]);
}

#[test]
fn an_account_of_the_last_run_is_taken_up_and_one_that_cannot_be_read_is_not() {
    let mut world = World::linked(settings(), &["s"]);
    let group = Group("broken".into(), "".into());
    let place = Key { table: Table::Account, group, number: 0 };
    world.rows.insert(place, b"{".to_vec());
    world.restart();
    assert!(world.gate.states().is_empty());
    world.post("s", 1);
    assert_eq!(world.totals().notes_posted, 1);
}

/// Actions that wait take no memory at all.
fn tight() -> Settings {
    let mut settings = settings();
    settings.max_waiting_bytes = 0;
    settings
}

fn told(world: &mut World) -> Vec<Vec<String>> {
    let sent = world.answer_all(took);
    let of =
        |call: &Call| note(call).actions.unpack().into_iter().map(|it| it.description).collect();
    sent.iter().filter(|call| name(call).starts_with("post")).map(of).collect()
}

#[test]
fn what_waits_beyond_the_memory_for_it_is_read_back_at_its_turn_and_in_its_order() {
    let mut world = World::linked(tight(), &["busy", "s", "t"]);
    world.tell(acts("busy", &["b"]));
    world.pass(MOMENT);
    world.reads.clear();
    for n in 0..3 {
        world.tell(acts("s", &[&format!("s{n}"), &format!("s{n}+")]));
        world.tell(acts("t", &[&format!("t{n}")]));
        world.pass(MOMENT);
    }
    assert_eq!(world.reads.get(&Table::Open), None, "nothing is read before its turn");
    let told = told(&mut world);
    assert_eq!(
        told,
        [vec!["b"], vec!["s0", "s0+", "s1", "s1+", "s2", "s2+"], vec!["t0", "t1", "t2"]]
    );
    assert_eq!(world.reads[&Table::Open], 6, "each row once");
    assert_eq!((world.count(Table::Open), world.count(Table::Outbox)), (0, 0));
}

#[test]
fn a_batch_that_is_full_and_not_in_memory_is_sealed_like_any_other() {
    let mut settings = settings_of(
        &[CHAT],
        Delivery { max_note_actions: 2, max_gathered_actions: 4, ..Delivery::default() },
    );
    settings.max_waiting_bytes = 0;
    let mut world = World::linked(settings, &["s"]);
    for n in 0..10 {
        world.tell(acts("s", &[&n.to_string()]));
        world.pass(MOMENT);
    }
    assert_eq!(world.numbers(Table::Outbox, "s"), [1, 2, 3]);
    let told = told(&mut world);
    assert_eq!(told.iter().map(Vec::len).collect::<Vec<_>>(), [1, 4, 4, 1]);
    assert_eq!(told.concat(), (0..10).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[test]
fn what_is_not_in_memory_is_in_the_note_that_a_link_or_a_summary_seals() {
    let mut world = World::new(tight());
    world.tell(acts("s", &["before"]));
    world.link("s");
    assert_eq!(told(&mut world), [["before"]]);
    world.tell(acts("s", &["one"]));
    world.tell(acts("s", &["two"]));
    world.tell(summary("s", "Both", Covers::Next(3)));
    let told = told(&mut world);
    assert_eq!(told, [vec!["one", "two"], vec![]], "the summary comes behind what it covers");
}

#[test]
fn an_account_that_closes_has_what_is_not_in_memory_sealed_too() {
    let breaker = Breaker { failures: 1, pause_initial: DAY, pause_max: DAY, ..Breaker::default() };
    let mut world = World::linked(tight().with_breaker(CHAT, breaker), &["busy"]);
    let sessions: Vec<_> = (0..70).map(|n| format!("s{n:02}")).collect();
    world.tell(acts("busy", &["b"]));
    world.pass(MOMENT);
    for session in &sessions {
        world.link(session);
        world.tell(acts(session, &["it"]));
    }
    world.pass(MOMENT);
    assert_eq!((world.count(Table::Outbox), world.count(Table::Open)), (1, 70));
    world.answer(fails(FailureKind::Auth));
    assert_eq!((world.count(Table::Outbox), world.count(Table::Open)), (71, 0));
}

#[test]
fn a_row_that_cannot_be_read_back_is_left_and_holds_nothing_up() {
    let mut world = World::linked(tight(), &["busy", "s"]);
    world.tell(acts("busy", &["b"]));
    world.pass(MOMENT);
    for text in ["one", "two", "three"] {
        world.tell(acts("s", &[text]));
        world.pass(MOMENT);
    }
    let row = world.numbers(Table::Open, "s")[1];
    let place = Key { table: Table::Open, group: session_group(&key("s")), number: row };
    world.rows.insert(place.clone(), b"\x01nothing".to_vec());
    assert_eq!(told(&mut world), [vec!["b"], vec!["one", "three"]]);
    assert_eq!(
        world.rows.keys().filter(|it| it.table == Table::Open).collect::<Vec<_>>(),
        [&place]
    );
    // The ordinals go on behind it.
    assert_eq!(world.core.record(&key("s")).map(|it| it.left), Some(3));
}
