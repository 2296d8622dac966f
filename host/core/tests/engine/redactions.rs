//! Notes that are redacted: those that a summary replaces, and those of somebody who is erased.

use std::time::Duration;

use sidenote_core::engine::kept::{KeptRow, Reason};
use sidenote_core::engine::{Call, Command, Work};
use sidenote_core::outbox::note::{Crash, FailureKind, LimitScope, NoteKind, Redaction, SentNote};
use sidenote_core::outbox::redaction::{Job, MAX_AGE, State, Why};
use sidenote_core::rows::{Group, Key, Table};
use sidenote_core::rules::Delivery;
use sidenote_core::session::state::{Covers, Summarized};

use crate::words::{
    CHAT, ERASURE, Said, acts, crashed, ended, erase, fails, key, limited, link, name, names, note,
    settings, settings_of, summarized, summary, took,
};
use crate::world::{DAY, HOUR, MOMENT, SECOND, World};

/// A world in which two notes are sent, and a summary of both is being posted.
fn replaced(said: fn() -> Said) -> World {
    let mut world = World::linked(settings(), &["s"]);
    for _ in 0..2 {
        world.seal("s");
        world.answer_all(said);
    }
    let answer = world.tell(summary("s", "Both", Covers::Next(2)));
    assert_eq!(summarized(answer), Summarized::Queued { seq: 3 });
    assert_eq!(names(&world.calls), ["post s/3"]);
    assert_eq!(note(&world.calls[0]).kind, NoteKind::Summary);
    world
}

fn reasons(world: &World) -> Vec<(Reason, Why)> {
    world.all::<KeptRow>(Table::Kept).into_iter().map(|row| (row.reason, row.why)).collect()
}

#[test]
fn a_summary_takes_the_place_of_what_it_covers_when_it_is_on_record_as_sent() {
    let mut world = replaced(took);
    assert_eq!(world.count(Table::Redact), 0);
    world.answer(took());
    assert_eq!(world.numbers(Table::Sent, "s"), [3]);
    assert_eq!(world.numbers(Table::Redact, "s"), [1, 2]);
    assert_eq!(names(&world.calls), ["redact s/1"], "one at a time");
    let [call] = &world.calls[..] else { panic!("one") };
    let Work::Redaction { idempotency_key, note, .. } = &call.work else { panic!("a redaction") };
    assert_ne!(*idempotency_key, note.idempotency_key);
    assert_eq!((call.attempt, note.note_id.as_deref()), (1, Some("id")));
    let totals = world.totals();
    assert_eq!((totals.redactions_queued, totals.redactions_waiting), (2, 2));
    assert_eq!(names(&world.answer_all(took)), ["redact s/1", "redact s/2"]);
    assert_eq!((world.count(Table::Redact), world.count(Table::Kept)), (0, 0));
    let totals = world.totals();
    assert_eq!((totals.redactions_done, totals.redactions_waiting), (2, 0));
    assert!(!world.core.is_scrub_due(), "nobody was erased");
}

#[test]
fn a_later_summary_takes_the_place_of_the_one_before_and_of_no_note_it_does_not_cover() {
    let mut world = replaced(took);
    world.answer_all(took);
    world.seal("s");
    world.seal("s");
    world.answer_all(took);
    world.tell(summary("s", "Three", Covers::Next(1)));
    assert_eq!(names(&world.answer_all(took)), ["post s/6", "redact s/3", "redact s/4"]);
    assert_eq!(world.numbers(Table::Sent, "s"), [5, 6]);
}

#[test]
fn a_dead_letter_that_a_summary_covers_goes_right_away_when_it_is_sent_after_all() {
    let mut world = World::linked(settings(), &["s"]);
    world.seal("s");
    world.answer(fails(FailureKind::Permanent));
    world.tell(summary("s", "It", Covers::Next(1)));
    world.answer_all(took);
    assert_eq!(world.numbers(Table::Sent, "s"), [2]);
    world.tell(crate::words::decide(sidenote_core::engine::Decision::Retry, "s", &[1]));
    assert_eq!(names(&world.answer_all(took)), ["post s/1", "redact s/1"]);
    assert_eq!((world.numbers(Table::Sent, "s"), world.count(Table::Redact)), (vec![2], 0));
}

#[test]
fn a_note_without_an_id_stays_and_that_is_remembered_and_not_asked_for_again() {
    let mut world = replaced(|| Said::Took(None));
    world.answer(took());
    assert!(world.calls.is_empty());
    assert_eq!(reasons(&world), [(Reason::NoNoteId, Why::Replaced); 2]);
    let rows: Vec<KeptRow> = world.all(Table::Kept);
    assert!(rows.iter().all(|row| row.notes == 1 && row.erasure.is_none() && row.at == world.now));
    assert_eq!(world.numbers(Table::Sent, "s"), [1, 2, 3]);
    assert!(world.row::<SentNote>(Table::Sent, "s", 1).stays);
    let totals = world.totals();
    assert_eq!((totals.redactions_unsupported, totals.redactions_queued), (2, 2));
    world.seal("s");
    world.answer_all(took);
    world.tell(summary("s", "More", Covers::Next(1)));
    assert_eq!(names(&world.answer_all(took)), ["post s/5", "redact s/3", "redact s/4"]);
    assert_eq!(world.totals().redactions_unsupported, 2);
}

#[test]
fn what_cannot_be_redacted_stays_and_is_remembered_with_the_reason() {
    for (redacts, reason) in [
        (Some(false), Reason::NoRedactor),
        (Some(true), Reason::Unsupported),
        (None, Reason::Unsupported),
    ] {
        let mut world = replaced(took);
        world.plugins.set(CHAT, |it| it.redacts = redacts);
        world.answer(took());
        world.answer_all(|| Said::Redacted(Redaction::Unsupported));
        assert_eq!(reasons(&world), [(reason, Why::Replaced); 2]);
        assert_eq!(world.numbers(Table::Sent, "s"), [1, 2, 3]);
        assert!(world.row::<SentNote>(Table::Sent, "s", 2).stays);
        assert!(!world.row::<SentNote>(Table::Sent, "s", 3).stays);
        let totals = world.totals();
        assert_eq!((totals.redactions_unsupported, totals.redactions_done), (2, 0));
        assert_eq!((world.count(Table::Redact), totals.redactions_waiting), (0, 0));
    }
}

#[test]
fn what_stays_is_remembered_where_its_session_left_the_memory_meanwhile_but_not_where_it_is_unlinked()
 {
    let mut world = replaced(took);
    world.answer(took());
    world.pass(SECOND * 120);
    assert!(!world.core.has(&key("s")), "a redaction needs no session in memory");
    world.answer(Said::Redacted(Redaction::Unsupported));
    assert!(world.row::<SentNote>(Table::Sent, "s", 1).stays);
    // Of a session that nobody knows any more nothing is remembered.
    world.rows.retain(|key, _| key.table != Table::Session);
    world.restart();
    world.run();
    world.answer(Said::Redacted(Redaction::Unsupported));
    assert_eq!(world.numbers(Table::Sent, "s"), [1, 3]);
}

#[test]
fn a_redaction_that_fails_is_tried_again_and_one_that_is_refused_is_a_dead_letter() {
    let mut world = replaced(took);
    world.answer(took());
    world.answer(fails(FailureKind::Transient));
    assert_eq!(names(&world.calls), ["redact s/2"], "one that waits holds up no other");
    let due = world.now + Duration::from_millis(750);
    assert_eq!(world.row::<Job>(Table::Redact, "s", 1).state, State::Until(due));
    assert_eq!(world.totals().redactions_failed, 1);
    world.answer(took());
    assert!(world.calls.is_empty());
    world.now = due;
    world.run();
    assert_eq!((names(&world.calls), world.calls[0].attempt), (vec!["redact s/1".to_owned()], 2));
    world.answer(fails(FailureKind::Permanent));
    let job: Job = world.row(Table::Redact, "s", 1);
    assert_eq!((job.state, job.failure.as_deref()), (State::GivenUp, Some("418: no")));
    assert_eq!(reasons(&world), [(Reason::GivenUp, Why::Replaced)]);
    let totals = world.totals();
    assert_eq!((totals.redactions_dead, totals.redactions_waiting), (1, 0));
    // It is not tried again, in the next process neither, but for an erasure.
    world.restart();
    world.pass(DAY / 2);
    assert!(world.calls.is_empty());
    world.tell(erase(&["s"], false));
    assert_eq!(name(&world.calls[0]), "redact s/1");
    assert_eq!(world.calls[0].attempt, 1);
    let job: Job = world.row(Table::Redact, "s", 1);
    assert_eq!((job.why, job.erasure), (Why::Erased, Some(ERASURE)));
    world.answer_all(took);
    assert_eq!((world.count(Table::Redact), world.count(Table::Kept)), (0, 0));
}

#[test]
fn a_note_that_the_platform_does_not_know_is_redacted_already() {
    let mut world = replaced(took);
    world.answer(took());
    world.answer_all(|| fails(FailureKind::NotFound));
    assert_eq!((world.totals().redactions_done, world.count(Table::Kept)), (2, 0));
}

#[test]
fn the_limit_of_a_conversation_holds_redactions_back_too() {
    let mut world = World::new(settings().with_concurrency(CHAT, 1));
    world.tell(Command::Link(link("s", "shared")));
    world.tell(Command::Link(link("t", "shared")));
    world.post("s", 2);
    world.seal("t");
    world.tell(summary("s", "Both", Covers::Next(2)));
    world.answer(limited(LimitScope::Conversation, HOUR));
    world.answer(took());
    let until = world.now + HOUR;
    assert!(world.calls.is_empty(), "{:?}", names(&world.calls));
    assert_eq!(world.row::<Job>(Table::Redact, "s", 1).state, State::Until(until));
    world.pass(HOUR - Duration::from_micros(1));
    assert!(world.calls.is_empty());
    world.pass(Duration::from_micros(1));
    assert_eq!(names(&world.calls), ["redact s/1"]);
}

#[test]
fn a_redaction_is_given_up_after_its_age_and_not_while_it_is_under_way() {
    let mut world = replaced(took);
    world.answer(took());
    let since = world.row::<Job>(Table::Redact, "s", 1).since;
    world.now = since + MAX_AGE + SECOND;
    world.run();
    assert_eq!(world.row::<Job>(Table::Redact, "s", 1).state, State::InFlight);
    assert_eq!(world.row::<Job>(Table::Redact, "s", 2).state, State::GivenUp);
    assert_eq!(world.totals().redactions_waiting, 1);
    world.answer(fails(FailureKind::Transient));
    assert_eq!(world.row::<Job>(Table::Redact, "s", 1).state, State::GivenUp);
    assert_eq!((world.totals().redactions_dead, world.totals().redactions_waiting), (2, 0));
}

#[test]
fn a_redaction_that_waits_is_given_up_at_the_very_moment_of_its_age() {
    let mut world = replaced(took);
    world.plugins.set(CHAT, |it| it.coming = true);
    world.answer(took());
    let since = world.row::<Job>(Table::Redact, "s", 1).since;
    world.now = since + MAX_AGE - Duration::from_micros(1);
    world.run_now();
    assert_eq!(world.count(Table::Kept), 0);
    world.now = since + MAX_AGE;
    world.run_now();
    assert_eq!(reasons(&world), [(Reason::GivenUp, Why::Replaced); 2]);
}

#[test]
fn what_was_tried_too_often_before_a_start_is_given_up_at_it() {
    let rules = Delivery { max_attempts: 2, ..Delivery::default() };
    let mut world = World::linked(settings_of(&[CHAT], rules), &["s"]);
    world.post("s", 1);
    world.tell(erase(&["s"], false));
    world.restart();
    world.run();
    assert_eq!(world.calls[0].attempt, 2);
    world.restart();
    world.run();
    assert!(world.calls.is_empty());
    assert_eq!(reasons(&world), [(Reason::GivenUp, Why::Erased)]);
    assert_eq!(world.only::<KeptRow>(Table::Kept).erasure, Some(ERASURE));
}

#[test]
fn a_redaction_that_is_cut_off_at_the_end_counts_as_no_attempt() {
    let mut world = replaced(took);
    world.answer(took());
    world.tell(Command::Stop);
    let job: Job = world.row(Table::Redact, "s", 1);
    assert_eq!((job.state, job.attempts), (State::Due, 0));
    world.restart();
    world.run();
    assert_eq!(world.calls[0].attempt, 1);
    // One that crashed with the host was an attempt.
    world.restart();
    world.run();
    assert_eq!(world.calls[0].attempt, 2);
    world.answer(crashed(Crash::Trap));
    assert_eq!(names(&world.calls), ["redact s/2"]);
}

#[test]
fn the_outcome_of_a_redaction_that_nothing_waits_for_is_nothing() {
    let mut world = replaced(took);
    world.answer(took());
    let call = world.answer(took());
    world.answer_all(took);
    let rows = world.rows.clone();
    world.tell(ended(&call, Said::Redacted(Redaction::Unsupported)));
    world.tell(ended(&call, took()));
    assert!(rows == world.rows);
    assert_eq!(world.totals().redactions_done, 2);
}

/// Puts so many redactions into the store, of sessions of ten notes each.
fn stored(world: &mut World, jobs: u64) {
    world.link("pattern");
    world.post("pattern", 1);
    let sent: SentNote = world.row(Table::Sent, "pattern", 1);
    for n in 0..jobs {
        let job = Job::new(
            SentNote { idempotency_key: format!("{n}"), ..sent.clone() },
            Why::Erased,
            world.now,
        );
        let group = Group("p".into(), format!("x{:06}", n / 10).into());
        let place = Key { table: Table::Redact, group, number: n % 10 + 1 };
        world.rows.insert(place, serde_json::to_vec(&job).expect("a job"));
    }
}

/// Answers all that is called, many calls in one transaction.
fn in_bulk(world: &mut World) -> Vec<Call> {
    let mut done = Vec::new();
    world.run();
    while !world.calls.is_empty() {
        let calls = std::mem::take(&mut world.calls);
        world.round(calls.iter().map(|call| ended(call, took())).collect());
        world.run();
        done.extend(calls);
    }
    done
}

#[test]
fn more_redactions_than_the_memory_is_to_hold_are_done_all_the_same() {
    const MOST: u64 = 10_000;
    let mut world = World::new(settings().with_concurrency(CHAT, 500));
    stored(&mut world, 6_500);
    let sent = world.rows.iter().find(|(key, _)| key.table == Table::Sent);
    let sent = sent.map(|(_, row)| row.clone()).unwrap();
    let erased: Vec<String> = (0..500).map(|n| format!("y{n}")).collect();
    for session in &erased {
        for number in 1..=10 {
            let group = Group("p".into(), (**session).into());
            world.rows.insert(Key { table: Table::Sent, group, number }, sent.clone());
        }
    }
    world.plugins.set(CHAT, |it| it.coming = true);
    world.restart();
    (0..5).for_each(|_| world.run_now());
    // They are read as long as half of the memory's share is free.
    assert_eq!(world.totals().redactions_waiting, MOST / 2 + 1000);
    // Those that find no room when they are decided on aren't lost.
    world.tell(erase(&erased.iter().map(String::as_str).collect::<Vec<_>>(), false));
    let totals = world.totals();
    assert_eq!((totals.redactions_waiting, totals.redactions_queued), (MOST, 5000));
    assert_eq!(world.count(Table::Redact), 11_500);
    world.plugins.set(CHAT, |it| it.coming = false);
    let mut done = in_bulk(&mut world);
    assert_eq!(done.len(), 11_500);
    done.sort_by_key(name);
    done.dedup_by_key(|call| name(call));
    assert_eq!((done.len(), world.totals().redactions_done), (11_500, 11_500));
    assert_eq!((world.count(Table::Redact), world.totals().redactions_waiting), (0, 0));
    // When nothing is left, nothing is read any more.
    world.reads.clear();
    world.run();
    assert_eq!(world.reads.get(&Table::Redact), None);
}

#[test]
fn a_redaction_that_cannot_be_read_is_passed_over() {
    let mut world = World::new(settings());
    stored(&mut world, 3);
    let first = world.rows.keys().find(|key| key.table == Table::Redact).unwrap().clone();
    world.rows.insert(first, b"{".to_vec());
    world.restart();
    assert_eq!(world.answer_all(took).len(), 2);
    assert_eq!(world.count(Table::Redact), 1);
}

#[test]
fn redactions_of_several_plugins_of_a_session_each_go_by_their_own() {
    let mut world = World::new(settings_of(&[CHAT, "second"], Delivery::default()));
    world.link("s");
    world.post("s", 1);
    let mut there = link("s", "there");
    there.plugin = "second".into();
    there.mode = sidenote_core::engine::link::LinkMode::Move;
    world.tell(Command::Link(there));
    world.tell(acts("s", &["it"]));
    world.pass(MOMENT);
    world.answer_all(took);
    world.plugins.set(CHAT, |it| it.coming = true);
    world.tell(erase(&["s"], false));
    // The first waits for its plugin; its turn goes on when that is there.
    world.run_now();
    world.plugins.set(CHAT, |it| it.coming = false);
    let order = names(&world.answer_all(took));
    assert_eq!(order, ["redact s/1", "redact s/2"]);
}
