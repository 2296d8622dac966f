//! Sessions leave everything, and what is to become of their notes at the platform is on record.

use sidenote_core::engine::erase::{EraseOrder, Erased, OF_SESSION, SessionRows};
use sidenote_core::engine::kept::{KeptCount, KeptRow, Reason};
use sidenote_core::engine::rows::{Person, session_group};
use sidenote_core::engine::{Answer, Command, MAX_SENT};
use sidenote_core::kv::{Scope, Writes};
use sidenote_core::outbox::note::{Crash, Failure, FailureKind, Redaction, Sent, SentNote};
use sidenote_core::outbox::redaction::{Job, State, Why};
use sidenote_core::rows::{Key, Table};
use sidenote_core::rules::{Delivery, History};
use sidenote_core::session::state::{Covers, Record};

use crate::words::{
    CHAT, ERASURE, Said, acts, acts_of, crashed, ended, erase, failed, fails, failure, key, names,
    settings, settings_of, summary, took, wrote,
};
use crate::world::{DAY, HOUR, MOMENT, SECOND, World};

fn erased(answer: Answer) -> Erased {
    let Answer::Erased(erased) = answer else { panic!("{answer:?}") };
    erased
}

fn kept(plugin: &str, reason: Reason, notes: u64) -> KeptCount {
    KeptCount { plugin: plugin.into(), reason, notes }
}

/// A session with something in every table: sent notes, a dead letter, one that is being posted, one that waits, an
/// open batch, what waits for a sink and is dead, a history.
fn full(keep: History) -> World {
    let settings = settings_of(&[CHAT, "sink"], Delivery::default()).with_history(keep);
    let mut world = World::linked(settings, &["s", "t"]);
    world.sink("sink", false);
    let who = (Some("ann"), Some("ann@a.example"));
    world.tell(acts_of("s", who, &["one"]));
    world.pass(MOMENT);
    let call = world.calls.remove(0);
    let mut written = Writes::default();
    written.put(Scope::Session, "last", Some(b"one".to_vec()));
    world.tell(wrote(&call, took(), written));
    world.answer_all(took);
    world.tell(acts_of("s", who, &["two"]));
    world.pass(MOMENT);
    world.answer_all(|| fails(FailureKind::Permanent));
    world.tell(acts_of("s", who, &["three"]));
    world.pass(MOMENT);
    let posting = names(&world.calls).iter().position(|name| name == "post s/3");
    world.calls.swap(0, posting.expect("it is under way"));
    world.answer(fails(FailureKind::Transient));
    world.pass(SECOND);
    world.tell(acts("t", &["other"]));
    world.seal("s");
    world.tell(acts("s", &["five", "six"]));
    world
}

#[test]
fn nothing_of_an_erased_session_is_left_but_what_is_to_become_of_its_notes() {
    let mut world = full(History::default());
    // Offers are looked at in `offers.rs`, timers in `timers.rs`.
    let of_timers = [Table::Timer, Table::TimerQueue, Table::TimerAttempt, Table::TimerDead];
    let elsewhere = [&[Table::Redact, Table::Help, Table::Message][..], &of_timers].concat();
    for table in OF_SESSION {
        assert!(elsewhere.contains(&table) || !world.numbers(table, "s").is_empty(), "{table:?}");
    }
    let before: Vec<_> = OF_SESSION.iter().map(|table| world.numbers(*table, "t")).collect();
    let indexed = (world.count(Table::Person), world.count(Table::Conversation));
    assert_eq!(indexed, (2, 2));
    world.told();
    let totals = erased(world.tell(erase(&["s", "nobody"], false)));
    assert_eq!(
        totals,
        Erased {
            sessions: 1,
            actions: 2,
            notes: 3,
            sink_deliveries: 4,
            timers: 0,
            redactions: 2,
            left: 0,
            kept: Vec::new(),
            erasure: None,
        }
    );
    for table in OF_SESSION {
        let left = world.numbers(table, "s");
        assert_eq!(left, if table == Table::Redact { vec![1, 3] } else { vec![] }, "{table:?}");
    }
    let after: Vec<_> = OF_SESSION.iter().map(|table| world.numbers(*table, "t")).collect();
    assert_eq!(before, after, "others keep what they have");
    assert_eq!((world.count(Table::Person), world.count(Table::Conversation)), (0, 1));
    assert_eq!(world.told().first().map(String::as_str), Some("s: Gone"));
    assert_eq!(world.totals().sessions_erased, 1);
    assert_eq!(world.totals().redactions_queued, 2);
    assert!(world.core.is_scrub_due());
    let job: Job = world.row(Table::Redact, "s", 3);
    assert_eq!((job.state, job.why, job.erasure), (State::Posting, Why::Erased, Some(ERASURE)));
    assert!(world.core.record(&key("s")).is_some_and(|it| it.user_id.is_none()));
}

#[test]
fn an_erasure_of_nobody_leaves_everything_and_wants_no_scrub() {
    let mut world = full(History::default());
    let rows = world.rows.clone();
    assert_eq!(erased(world.tell(erase(&["nobody"], false))), Erased::default());
    assert!(rows == world.rows);
    assert!(!world.core.is_scrub_due());
    assert_eq!(world.totals().sessions_erased, 0);
}

#[test]
fn what_comes_of_a_post_that_was_under_way_says_what_becomes_of_its_note() {
    let unsure = Failure { sent: Sent::Unknown, ..failure(FailureKind::Transient) };
    for (said, calls, reason) in [
        (took(), vec!["redact s/1"], None),
        (Said::Took(None), vec![], Some(Reason::NoNoteId)),
        (crashed(Crash::Timeout), vec!["redact s/1"], None),
        (Said::Failed(failed(unsure)), vec!["redact s/1"], None),
        (fails(FailureKind::Permanent), vec![], None),
        (fails(FailureKind::Transient), vec![], None),
    ] {
        let told = format!("{said:?}");
        let mut world = World::linked(settings(), &["s"]);
        world.seal("s");
        world.tell(erase(&["s"], false));
        assert_eq!(world.row::<Job>(Table::Redact, "s", 1).state, State::Posting);
        // What is done meanwhile is a session that nobody knows; its notes have numbers of their own.
        world.link("s");
        world.tell(acts("s", &["anew"]));
        world.answer(said);
        assert_eq!(names(&world.calls), calls, "{told}");
        let reasons: Vec<_> =
            world.all::<KeptRow>(Table::Kept).iter().map(|row| row.reason).collect();
        assert_eq!(reasons, reason.into_iter().collect::<Vec<_>>(), "{told}");
        assert_eq!(world.count(Table::Redact), calls.len(), "{told}");
        assert_eq!(world.count(Table::Sent), 0, "{told}");
        assert_eq!(world.totals().redactions_unsupported, u64::from(reason.is_some()));
        world.answer_all(took);
        world.pass(MOMENT);
        assert_eq!(names(&world.calls), ["post s/2"], "{told}");
        assert_eq!(world.count(Table::Redact), 0);
    }
}

#[test]
fn a_note_that_may_have_come_there_by_an_earlier_attempt_is_asked_for_whatever_the_last_one_says() {
    for restarted in [false, true] {
        let mut world = World::linked(settings(), &["s"]);
        world.seal("s");
        if restarted {
            world.restart();
        } else {
            world.answer(crashed(Crash::Timeout));
        }
        world.pass(SECOND);
        assert_eq!(names(&world.calls), ["post s/1, asked for first"]);
        world.tell(erase(&["s"], false));
        world.answer(fails(FailureKind::Permanent));
        assert_eq!(names(&world.calls), ["redact s/1"]);
        world.answer(took());
        assert_eq!((world.count(Table::Redact), world.count(Table::Kept)), (0, 0));
    }
}

#[test]
fn a_post_of_an_erased_session_that_ends_under_its_id_is_redacted_by_it() {
    let mut world = World::linked(settings(), &["s"]);
    world.seal("s");
    world.tell(erase(&["s"], false));
    world.answer(Said::Took(Some("named")));
    let job: Job = world.row(Table::Redact, "s", 1);
    assert_eq!(job.note.note_id.as_deref(), Some("named"));
    assert!(world.scrubbing, "what was erased is scrubbed at once");
    world.tell(Command::Scrubbed(Ok(())));
    assert!(!world.core.is_scrub_due());
    world.answer(took());
    assert!(world.core.is_scrub_due(), "what the redaction knew of it is to go too");
}

#[test]
fn a_note_of_which_it_is_not_known_whether_it_came_there_is_asked_for_and_one_that_did_not_is_not()
{
    let mut world = World::linked(settings(), &["s"]);
    world.seal("s");
    world.answer(crashed(Crash::Timeout));
    world.seal("s");
    let totals = erased(world.tell(erase(&["s"], false)));
    assert_eq!((totals.notes, totals.redactions, totals.left), (2, 1, 0));
    assert_eq!(world.numbers(Table::Redact, "s"), [1]);
    assert_eq!(names(&world.calls), ["redact s/1"]);
    world.answer(Said::Redacted(Redaction::Unsupported));
    let row: KeptRow = world.only(Table::Kept);
    assert_eq!(
        (row.reason, row.why, row.erasure),
        (Reason::OutcomeUnknown, Why::Erased, Some(ERASURE))
    );
    assert_eq!((world.count(Table::Sent), world.count(Table::Redact)), (0, 0));
}

#[test]
fn notes_that_an_operator_wishes_to_keep_stay_and_are_on_record() {
    let mut world = World::linked(settings(), &["s"]);
    world.post("s", 2);
    world.seal("s");
    let totals = erased(world.tell(erase(&["s"], true)));
    assert_eq!((totals.redactions, totals.left), (0, 3));
    assert_eq!(totals.kept, [kept(CHAT, Reason::Wished, 3)]);
    assert_eq!(world.count(Table::Redact), 0);
    let rows: Vec<KeptRow> = world.all(Table::Kept);
    assert!(rows.iter().all(|row| row.reason == Reason::Wished && row.erasure == Some(ERASURE)));
    assert_eq!((rows.len(), world.totals().redactions_unsupported), (3, 0));
    // The outcome of the post finds nothing that waits for it.
    world.answer(took());
    assert_eq!((world.count(Table::Redact), world.count(Table::Sent)), (0, 0));
}

#[test]
fn an_erasure_that_keeps_notes_ends_their_redaction_too() {
    let mut world = World::linked(settings(), &["s"]);
    world.post("s", 2);
    world.tell(summary("s", "Both", Covers::Next(2)));
    world.answer(took());
    assert_eq!(names(&world.calls), ["redact s/1"]);
    let totals = erased(world.tell(erase(&["s"], true)));
    assert_eq!((totals.redactions, totals.left), (0, 3));
    assert_eq!((world.count(Table::Redact), world.totals().redactions_waiting), (0, 0));
    world.answer(took());
    assert_eq!((world.count(Table::Kept), world.totals().redactions_done), (3, 0));
}

#[test]
fn a_redaction_under_way_goes_on_as_the_erasures_and_is_not_begun_twice() {
    let mut world = World::linked(settings(), &["s"]);
    world.post("s", 2);
    world.tell(summary("s", "Both", Covers::Next(2)));
    world.answer(took());
    assert_eq!(names(&world.calls), ["redact s/1"]);
    world.tell(erase(&["s"], false));
    let job: Job = world.row(Table::Redact, "s", 1);
    assert_eq!((job.state, job.why, job.attempts), (State::InFlight, Why::Erased, 1));
    assert_eq!(names(&world.answer_all(took)), ["redact s/1", "redact s/2", "redact s/3"]);
    assert_eq!((world.count(Table::Redact), world.totals().redactions_done), (0, 3));
}

#[test]
fn where_no_plugin_can_redact_the_notes_stay_and_that_is_said_beforehand() {
    let mut world = World::linked(settings(), &["s"]);
    world.plugins.set(CHAT, |it| it.redacts = Some(false));
    world.post("s", 1);
    let mut rows = SessionRows::default();
    for table in OF_SESSION {
        let of_table = world
            .rows
            .iter()
            .filter(|(place, _)| place.table == table && place.group == session_group(&key("s")));
        rows.add(table, of_table.map(|(place, row)| (place.number, row.clone())));
    }
    let preview = rows.preview(false, &|_| Some(false));
    let answer = erased(world.tell(erase(&["s"], false)));
    assert_eq!(preview, answer);
    assert_eq!(answer.kept, [kept(CHAT, Reason::NoRedactor, 1)]);
    assert_eq!((answer.redactions, answer.left), (0, 1));
    assert_eq!((world.count(Table::Redact), world.totals().redactions_unsupported), (0, 1));
    assert_eq!(rows.preview(true, &|_| None).kept, [kept(CHAT, Reason::Wished, 1)]);
    let tried = rows.preview(false, &|_| None);
    assert_eq!((tried.redactions, tried.left), (1, 0));
}

#[test]
fn a_note_without_an_id_stays_and_one_that_stayed_before_is_tried_all_the_same() {
    let mut world = World::linked(settings(), &["s"]);
    world.seal("s");
    world.answer(Said::Took(None));
    world.post("s", 1);
    world.tell(summary("s", "Both", Covers::Next(2)));
    world.answer(took());
    world.answer_all(|| Said::Redacted(Redaction::Unsupported));
    assert!(world.row::<SentNote>(Table::Sent, "s", 2).stays);
    assert_eq!(world.count(Table::Kept), 2);
    let totals = erased(world.tell(erase(&["s"], false)));
    assert_eq!(totals.kept, [kept(CHAT, Reason::NoNoteId, 1), kept(CHAT, Reason::Unsupported, 1)]);
    assert_eq!((totals.redactions, totals.left), (1, 2));
    assert_eq!(names(&world.answer_all(took)), ["redact s/2", "redact s/3"]);
    let left: KeptRow = world.only(Table::Kept);
    assert_eq!((left.reason, left.why), (Reason::NoNoteId, Why::Erased));
}

#[test]
fn notes_that_are_not_remembered_any_more_are_on_record_as_so_many() {
    for (more, past) in [(0, false), (1, false), (700, false), (700, true)] {
        let mut world = World::linked(settings(), &["s"]);
        world.post("s", 1);
        let mut record: Record = world.row(Table::Session, "s", 0);
        record.notes = MAX_SENT + more;
        if past {
            let link = record.link.take().unwrap();
            record.past = vec![
                ("old".into(), crate::words::conversation("first")),
                (link.plugin, link.conversation),
            ];
        }
        let place = Key { table: Table::Session, group: session_group(&key("s")), number: 0 };
        world.rows.insert(place, serde_json::to_vec(&record).unwrap());
        world.restart();
        let totals = erased(world.tell(erase(&["s"], false)));
        // The one that is remembered, number 1, is among the oldest.
        let forgotten = more.saturating_sub(1);
        assert_eq!(totals.left, forgotten, "{more}");
        let of = |row: &KeptRow| (row.reason, row.notes, row.note_id.clone(), row.erasure);
        let rows: Vec<_> = world.all::<KeptRow>(Table::Kept).iter().map(of).collect();
        let expected = (Reason::Forgotten, forgotten, None, Some(ERASURE));
        assert_eq!(rows, if forgotten > 0 { vec![expected] } else { vec![] });
        if forgotten > 0 {
            assert_eq!(totals.kept, [kept(CHAT, Reason::Forgotten, forgotten)]);
            let place = world.rows.keys().find(|key| key.table == Table::Kept).unwrap();
            assert_eq!((&*place.group.0, &*place.group.1), (CHAT, "s"));
        }
    }
}

#[test]
fn no_more_sent_notes_are_remembered_than_the_latest() {
    let mut world = World::linked(settings(), &["s"]);
    world.post("s", 1);
    let mut record: Record = world.row(Table::Session, "s", 0);
    record.notes = MAX_SENT - 1;
    let place = Key { table: Table::Session, group: session_group(&key("s")), number: 0 };
    world.rows.insert(place, serde_json::to_vec(&record).unwrap());
    world.restart();
    world.post("s", 1);
    assert_eq!(world.numbers(Table::Sent, "s"), [1, MAX_SENT]);
    world.post("s", 1);
    assert_eq!(world.numbers(Table::Sent, "s"), [MAX_SENT, MAX_SENT + 1]);
}

#[test]
fn a_session_that_is_erased_is_found_under_none_of_the_names_it_had() {
    let mut world = World::linked(settings(), &["s"]);
    world.tell(acts_of("s", (Some("ann"), Some("Ann@A.example ")), &["one"]));
    world.pass(MOMENT);
    assert_eq!(world.count(Table::Person), 2);
    // Its record can't be read: its notes say whose they are, and the order under whom it was found.
    world.spoil(Table::Session, "s", 0);
    world.calls.clear();
    world.restart();
    world.rows.retain(|key, _| key.table != Table::Attempt);
    let keys = vec![key("s")];
    let persons = Person::of(Some("other"), None).collect();
    let order =
        EraseOrder { keys, persons, remembered: Vec::new(), keep_notes: false, id: ERASURE };
    world.tell(Command::Erase(order));
    assert_eq!((world.count(Table::Person), world.count(Table::Conversation)), (0, 0));
}

#[test]
fn what_waits_for_sinks_says_whose_session_it_was_too() {
    let mut world = World::new(settings_of(&["sink"], Delivery::default()));
    world.sink("sink", false);
    world.tell(acts_of("s", (Some("ann"), None), &["one"]));
    world.tell(acts_of("s", (Some("bob"), None), &["two"]));
    world.answer(fails(FailureKind::Permanent));
    world.spoil(Table::Session, "s", 0);
    world.plugins.set("sink", |it| it.coming = true);
    world.restart();
    let totals = erased(world.tell(erase(&["s"], false)));
    assert_eq!((totals.sink_deliveries, world.count(Table::Person)), (2, 0));
}

#[test]
fn a_session_that_comes_back_gives_no_number_again() {
    let mut world = World::linked(settings(), &["s"]);
    world.post("s", 3);
    world.tell(erase(&["s"], true));
    world.link("s");
    world.seal("s");
    assert_eq!(names(&world.calls), ["post s/4"]);
    let call = world.calls.remove(0);
    // In the same transaction as what was accepted before it, nothing of that is left.
    world.round(vec![ended(&call, took()), acts("s", &["late"]), erase(&["s"], true)]);
    for table in OF_SESSION {
        assert_eq!(world.numbers(table, "s"), [0_u64; 0], "{table:?}");
    }
    assert_eq!(world.core.record(&key("s")).map(|it| it.link.is_some()), Some(false));
}

#[test]
fn the_scrub_waits_for_a_pause_and_is_tried_again_after_a_failure() {
    let mut world = World::linked(settings(), &["a", "b", "c"]);
    assert!(!world.core.begin_scrub(world.now));
    world.tell(erase(&["a"], true));
    assert!(std::mem::take(&mut world.scrubbing));
    assert_eq!((world.count(Table::Scrub), world.totals().scrub_due), (1, 1));
    // What is erased while one is under way wants another.
    world.now = world.now + SECOND * 10;
    world.tell(erase(&["b"], true));
    assert!(!world.scrubbing);
    world.tell(Command::Scrubbed(Ok(())));
    assert!(!world.scrubbing && world.core.is_scrub_due());
    assert_eq!((world.count(Table::Scrub), world.totals().scrubs), (1, 1));
    // It took ten seconds: the next one comes after twenty times as long.
    let next = world.now + SECOND * 200;
    world.pass(SECOND * 200 - MOMENT);
    assert!(!world.scrubbing);
    assert!(world.core.next_timer(world.now) <= next);
    world.pass(MOMENT);
    assert!(std::mem::take(&mut world.scrubbing));
    world.tell(Command::Scrubbed(Err("no room".to_owned())));
    assert!(!world.scrubbing && world.core.is_scrub_due());
    let again = world.now + SECOND * 600;
    world.pass(SECOND * 600 - MOMENT);
    assert!(!world.scrubbing);
    // The next process takes it up, at once.
    world.restart();
    assert_eq!(world.totals().scrub_due, 1);
    assert!(world.core.is_scrub_due());
    world.run();
    assert!(std::mem::take(&mut world.scrubbing) && world.now < again);
    world.tell(Command::Scrubbed(Ok(())));
    assert_eq!((world.count(Table::Scrub), world.totals().scrub_due), (0, 0));
    assert!(!world.core.is_scrub_due());
    // A quick one is followed by another a minute later at the soonest.
    world.tell(erase(&["c"], true));
    assert!(!world.scrubbing);
    world.pass(SECOND * 60 - MOMENT);
    assert!(!world.scrubbing);
    world.pass(MOMENT);
    assert!(world.scrubbing);
    // An answer that nobody asked for is nothing.
    world.tell(Command::Scrubbed(Ok(())));
    world.tell(Command::Scrubbed(Ok(())));
    assert_eq!(world.totals().scrubs, 2);
}

#[test]
fn what_is_left_of_an_erasure_is_counted_with_what_it_was_added_to() {
    let mut one = Erased { sessions: 1, actions: 2, notes: 3, left: 1, ..Erased::default() };
    one.kept = vec![kept(CHAT, Reason::Wished, 1)];
    let mut all = Erased { redactions: 5, sink_deliveries: 7, ..Erased::default() };
    all.add(one.clone());
    one.erasure = Some(ERASURE);
    one.kept.push(kept("other", Reason::Wished, 4));
    one.kept.push(kept(CHAT, Reason::Forgotten, 0));
    one.sink_deliveries = 1;
    one.redactions = 1;
    all.add(one);
    let expected = Erased {
        sessions: 2,
        actions: 4,
        notes: 6,
        sink_deliveries: 8,
        timers: 0,
        redactions: 6,
        left: 2,
        kept: vec![kept(CHAT, Reason::Wished, 2), kept("other", Reason::Wished, 4)],
        erasure: Some(ERASURE),
    };
    assert_eq!(all, expected);
}

#[test]
fn what_was_erased_long_ago_is_on_record_as_long_as_dead_letters_are_kept() {
    let mut world = World::linked(settings(), &["s"]);
    world.post("s", 1);
    world.tell(erase(&["s"], true));
    let at = world.now;
    world.sweep_at(at + DAY * 30);
    assert_eq!(world.count(Table::Kept), 1);
    world.sweep_at(at + DAY * 30 + HOUR / 3_600_000);
    assert_eq!(world.count(Table::Kept), 0);
}
