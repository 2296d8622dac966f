//! What is kept of sessions for whoever reads it.

use sidenote_core::engine::history::{KeptBatch, KeptSummary, is_of};
use sidenote_core::engine::rows::{Person, encode, session_group};
use sidenote_core::engine::{Call, Command, Settings};
use sidenote_core::outbox::note::FailureKind;
use sidenote_core::rows::{Key, Table};
use sidenote_core::rules::{Delivery, History};
use sidenote_core::session::batch::{Entry, StoredEntry};
use sidenote_core::session::packed::Packed;
use sidenote_core::session::state::{Covers, Summarized};

use crate::words::{
    CHAT, acts, acts_of, erase, fails, key, note, settings, settings_of, summarized, summary, took,
};
use crate::world::{DAY, HOUR, SECOND, World};

fn keeping(rules: History) -> Settings {
    settings().with_history(rules)
}

#[test]
fn each_batch_is_kept_under_the_ordinal_of_its_first_action_with_who_it_is() {
    let mut world = World::new(keeping(History::default()));
    world.tell(acts_of("s", (Some("ann"), None), &["one", "two"]));
    world.tell(acts_of("s", (None, Some("a@a.example")), &["three"]));
    world.tell(acts("s", &[]));
    world.tell(acts("s", &["four"]));
    assert_eq!(world.numbers(Table::History, "s"), [1, 3, 4]);
    let last: KeptBatch = world.row(Table::History, "s", 4);
    let who = (last.batch.user_id.as_deref(), last.batch.email.as_deref());
    assert_eq!((who, last.at), ((Some("ann"), Some("a@a.example")), world.now));
    let told = world.told();
    let batches = told.iter().filter(|told| *told == "s: Batch(..)").count();
    assert_eq!((batches, world.accepted), (3, 4));
    // Nothing is kept where nothing is to be.
    let mut world = World::new(settings());
    world.tell(acts("s", &["one"]));
    assert_eq!((world.count(Table::History), world.told().len()), (0, 0));
}

#[test]
fn the_oldest_make_room_and_that_is_counted() {
    let mut world = World::new(keeping(History { max_actions: 3, ..History::default() }));
    world.tell(acts("s", &["1", "2"]));
    world.tell(acts("s", &["3"]));
    world.tell(acts("s", &["4"]));
    assert_eq!(world.numbers(Table::History, "s"), [3, 4]);
    assert_eq!(world.totals().history_dropped, 2);
    // What is stored is known of in the next process.
    world.restart();
    world.tell(acts("s", &["5", "6"]));
    assert_eq!(world.numbers(Table::History, "s"), [4, 5]);
    // Under other rules it is looked up again.
    world.change_settings(keeping(History { max_actions: 1, ..History::default() }));
    world.tell(acts("s", &["7"]));
    assert_eq!(world.numbers(Table::History, "s"), [7]);
    world.change_settings(settings());
    world.tell(acts("s", &["8"]));
    world.change_settings(keeping(History { max_actions: 1, ..History::default() }));
    world.tell(acts("s", &["9"]));
    assert_eq!(world.numbers(Table::History, "s"), [9]);
}

#[test]
fn a_batch_that_a_summary_covers_goes_when_the_summary_is_on_record_as_sent() {
    let mut world = World::linked(keeping(History::default()), &["s"]);
    world.tell(acts("s", &["one"]));
    world.tell(acts("s", &["two", "three"]));
    world.tell(summary("s", "Two", Covers::Next(2)));
    let kept: KeptSummary = world.row(Table::History, "s", 0);
    assert_eq!((&*kept.text, kept.covers, kept.at), ("Two", 2, world.now));
    assert_eq!(world.told(), ["s: Batch(..)", "s: Batch(..)", "s: Summary(..)"]);
    assert_eq!(world.numbers(Table::History, "s"), [0, 1, 2]);
    // One that became a dead letter takes no place.
    world.answer(took());
    world.answer(fails(FailureKind::Permanent));
    assert_eq!(world.numbers(Table::History, "s"), [0, 1, 2]);
    world.tell(summary("s", "All", Covers::Next(1)));
    world.pass(SECOND);
    world.answer_all(took);
    assert_eq!(world.numbers(Table::History, "s"), [0]);
    assert_eq!(world.row::<KeptSummary>(Table::History, "s", 0).covers, 3);
}

#[test]
fn a_note_of_actions_that_is_sent_leaves_what_is_kept() {
    let mut world = World::linked(keeping(History::default()), &["s"]);
    world.post("s", 2);
    assert_eq!(world.numbers(Table::History, "s"), [1, 2]);
}

#[test]
fn a_summary_of_a_session_without_a_conversation_takes_its_place_at_once_and_a_stale_one_never() {
    let mut world = World::new(keeping(History::default()));
    for what in ["one", "two", "three"] {
        world.tell(acts("s", &[what]));
    }
    let unlinked = world.tell(summary("s", "Two", Covers::Through(2)));
    assert_eq!(summarized(unlinked), Summarized::Unlinked);
    assert_eq!(world.numbers(Table::History, "s"), [0, 3]);
    assert_eq!(world.totals().summaries_unlinked, 1);
    let stale = world.tell(summary("s", "Less", Covers::Through(1)));
    assert_eq!(summarized(stale), Summarized::Stale);
    assert_eq!(world.row::<KeptSummary>(Table::History, "s", 0).text, "Two");
    assert_eq!(world.totals().summaries_ignored, 1);
}

#[test]
fn what_was_journalled_counts_by_when_it_was_accepted_but_not_as_accepted_again() {
    let mut world = World::new(keeping(History::default()));
    let early = world.now - HOUR;
    let late = world.now + HOUR;
    for (session, at, kept) in [("s", early, early), ("t", late, world.now)] {
        let Command::Actions { key, batch, bytes, .. } = acts(session, &["it"]) else {
            panic!("actions")
        };
        world.tell(Command::Actions { key, batch, bytes, accepted_at: Some(at) });
        assert_eq!(world.row::<KeptBatch>(Table::History, session, 1).at, kept);
        let Command::Summary { key, text, covers, forwarded_at, .. } =
            summary(session, "It", Covers::Next(1))
        else {
            panic!("a summary")
        };
        world.tell(Command::Summary { key, text, covers, forwarded_at, accepted_at: Some(at) });
        assert_eq!(world.row::<KeptSummary>(Table::History, session, 0).at, kept);
    }
    assert_eq!(world.accepted, 0);
}

#[test]
fn a_batch_of_a_product_that_is_not_served_any_more_is_dropped_and_that_is_counted() {
    let mut world = World::new(settings());
    let Command::Actions { batch, bytes, .. } = acts("s", &["one", "two"]) else {
        panic!("actions")
    };
    let key = crate::words::key_of("q", "s");
    let answer = world.tell(Command::Actions { key, batch, bytes, accepted_at: None });
    assert!(matches!(answer, sidenote_core::engine::Answer::None));
    assert_eq!((world.totals().dropped_unknown_product, world.accepted), (2, 0));
    let answer = world.tell(acts_of("s", (Some("null"), Some("a@a.example")), &["one"]));
    assert!(matches!(answer, sidenote_core::engine::Answer::Accepted));
    assert_eq!(world.totals().nobody_ids, 1);
}

#[test]
fn what_is_kept_for_so_long_expires_at_that_moment() {
    let mut world = World::linked(keeping(History { keep: HOUR, ..History::default() }), &["s"]);
    world.tell(acts("s", &["one"]));
    let at = world.now;
    world.now = at + SECOND * 10;
    world.tell(acts("s", &["two"]));
    world.sweep_at(at + HOUR);
    assert_eq!(world.numbers(Table::History, "s"), [1, 2]);
    world.sweep_at(at + HOUR + SECOND);
    assert_eq!((world.numbers(Table::History, "s"), world.totals().history_expired), (vec![2], 1));
    // What is gone has no place any more.
    world.tell(acts("s", &["three"]));
    assert_eq!(world.numbers(Table::History, "s"), [2, 3]);
    // Where nothing is kept any more, what was kept goes when its session would.
    world.change_settings(settings());
    world.sweep_at(at + DAY + SECOND * 5);
    assert_eq!(world.numbers(Table::History, "s"), [2, 3]);
    world.sweep_at(at + DAY + SECOND * 11);
    assert_eq!(world.numbers(Table::History, "s"), [3]);
}

#[test]
fn what_expired_has_room_for_others() {
    let rules = History { keep: HOUR, max_actions: 2, ..History::default() };
    let mut world = World::linked(keeping(rules), &["s"]);
    world.tell(acts("s", &["one", "two"]));
    let at = world.now;
    world.now = at + SECOND * 2;
    world.tell(acts("t", &["other"]));
    world.sweep_at(at + HOUR + SECOND);
    world.tell(acts("s", &["three"]));
    assert_eq!((world.numbers(Table::History, "s"), world.totals().history_dropped), (vec![3], 0));
    assert_eq!(world.numbers(Table::History, "t"), [1]);
}

#[test]
fn whose_a_kept_row_is_is_found_by_id_and_by_address() {
    let mut world = World::new(keeping(History::default()));
    world.tell(acts_of("s", (Some(" ann "), Some("Ann@A.example")), &["one"]));
    let (_, row) = world.rows.iter().find(|(key, _)| key.table == Table::History).unwrap();
    let is = |person: Person| is_of(row, &person);
    assert!(is(Person::User("ann".into())) && is(Person::Email("ann@a.example".into())));
    assert!(!is(Person::User("bob".into())) && !is(Person::Email("bob@a.example".into())));
    assert!(!is_of(b"{", &Person::User("ann".into())));
}

#[test]
fn a_plugin_that_posts_nothing_has_batches_kept_too_and_their_ordinals_counted() {
    let settings = settings_of(&[CHAT], Delivery::default()).with_history(History::default());
    let mut world = World::new(settings);
    world.sink(CHAT, false);
    world.tell(acts("s", &["one", "two"]));
    world.tell(acts("s", &["three"]));
    assert_eq!(world.numbers(Table::History, "s"), [1, 3]);
    assert_eq!(world.count(Table::Open), 0);
    // A session that is linked has its notes all the same.
    world.link("t");
    world.tell(acts("t", &["one"]));
    assert_eq!(world.numbers(Table::Open, "t"), [0]);
}

/// The actions of an open batch, and the numbers of the rows that have them: here, where there is one.
fn waiting(world: &World, session: &str) -> (Vec<String>, Vec<Option<u64>>) {
    let rows = world.numbers(Table::Open, session).into_iter();
    let places = rows.map(|n| world.row::<StoredEntry>(Table::Open, session, n).kept_under());
    (world.open(session).into_iter().map(|it| it.description).collect(), places.collect())
}

fn texts(call: &Call) -> Vec<String> {
    note(call).actions.unpack().into_iter().map(|action| action.description).collect()
}

#[test]
fn what_waits_and_is_kept_is_stored_once() {
    let mut world = World::new(keeping(History::default()));
    world.tell(acts("s", &["one", "two"]));
    world.tell(acts("s", &["three"]));
    assert_eq!(waiting(&world, "s").1, [Some(1), Some(3)]);
    for text in ["two", "three"] {
        let has = |row: &&Vec<u8>| row.windows(text.len()).any(|part| part == text.as_bytes());
        assert_eq!(world.rows.values().filter(has).count(), 1, "{text}");
    }
    world.link("s");
    assert_eq!(texts(&world.calls[0]), ["one", "two", "three"]);
    assert_eq!(world.numbers(Table::Open, "s"), [0_u64; 0]);
    assert_eq!(world.numbers(Table::History, "s"), [1, 3]);
    // What doesn't fit into one note is more than one entry.
    let settings = settings_of(&[CHAT], Delivery { max_note_actions: 2, ..Delivery::default() });
    let mut world = World::new(settings.with_history(History::default()));
    world.tell(acts("s", &["one", "two", "three"]));
    assert_eq!(waiting(&world, "s").1, [None, None]);
    assert_eq!(waiting(&world, "s").0, ["one", "two", "three"]);
}

#[test]
fn the_next_process_reads_what_waits_where_it_is_kept() {
    for keeps in [true, false] {
        let mut world = World::new(keeping(History::default()));
        for text in ["one", "two"] {
            world.tell(acts("s", &[text]));
            world.tell(acts("t", &[text]));
        }
        let next = if keeps { keeping(History::default()) } else { settings() };
        world.restart_with(next);
        assert_eq!(world.reads.get(&Table::History), None, "nothing is read before its turn");
        world.tell(acts("s", &["three"]));
        for (session, wanted) in [("s", vec!["one", "two", "three"]), ("t", vec!["one", "two"])] {
            world.link(session);
            assert_eq!(texts(&world.answer(took())), wanted, "{session}, {keeps}");
        }
        world.restart();
        world.run();
        assert_eq!((world.count(Table::Open), world.calls.len()), (0, 0));
    }
}

#[test]
fn what_waits_outlives_what_is_kept() {
    type Drop = fn(&mut World);
    let (more, old, summarized, erased): (Drop, Drop, Drop, Drop) = (
        |world| {
            world.tell(acts("s", &["three"]));
        },
        |world| world.sweep_at(world.now + SECOND * 61),
        |world| drop(world.tell(summary("s", "Both", Covers::Through(2)))),
        |world| drop(world.tell(erase(&["s"], false))),
    );
    let rules = History { max_actions: 2, keep: SECOND * 60, ..History::default() };
    for (name, drops, numbers, places, left) in [
        ("more", more, vec![2, 3], vec![None, Some(2), Some(3)], vec!["one", "two", "three"]),
        ("old", old, vec![], vec![None, None], vec!["one", "two"]),
        ("summarized", summarized, vec![0], vec![None, None], vec!["one", "two"]),
        ("erased", erased, vec![], vec![], vec![]),
    ] {
        for (restarts, memory) in [(false, usize::MAX), (true, usize::MAX), (true, 0)] {
            let mut settings = keeping(rules.clone());
            settings.max_waiting_bytes = memory;
            let mut world = World::new(settings);
            world.tell(acts("s", &["one"]));
            world.tell(acts("s", &["two"]));
            if restarts {
                world.restart();
            }
            drops(&mut world);
            let case = format!("{name}, restarted: {restarts}, memory: {memory}");
            assert_eq!(world.numbers(Table::History, "s"), numbers, "{case}");
            let wanted = left.iter().map(|it| (*it).to_owned()).collect();
            assert_eq!(waiting(&world, "s"), (wanted, places.clone()), "{case}");
            world.restart();
            world.link("s");
            let told: Vec<_> = world.answer_all(took).iter().flat_map(texts).collect();
            assert_eq!(told, left, "{case}");
        }
    }
}

#[test]
fn a_batch_that_waits_and_is_not_in_memory_stays_until_it_was_read_back() {
    let mut settings = keeping(History { max_actions: 1, ..History::default() });
    settings.max_waiting_bytes = 0;
    let mut world = World::new(settings);
    for text in ["one", "two", "three"] {
        world.tell(acts("s", &[text]));
    }
    assert_eq!(world.numbers(Table::History, "s"), [1, 2, 3]);
    assert_eq!(world.totals().history_dropped, 0);
    world.link("s");
    assert_eq!(texts(&world.answer(took())), ["one", "two", "three"]);
    world.tell(acts("s", &["four"]));
    assert_eq!((world.numbers(Table::History, "s"), world.totals().history_dropped), (vec![4], 3));
}

#[test]
fn what_an_earlier_version_stored_twice_is_read_and_goes_twice() {
    let mut world = World::new(keeping(History { max_actions: 2, ..History::default() }));
    world.tell(acts("s", &["one"]));
    world.tell(acts("s", &["two"]));
    for (row, (number, text)) in [(1, "one"), (2, "two")].into_iter().enumerate() {
        let mut stored: StoredEntry = world.row(Table::Open, "s", row as u64);
        assert_eq!(stored.kept_under(), Some(number));
        let KeptBatch { batch, .. } = world.row(Table::History, "s", number);
        assert_eq!(batch.actions[0].description, text);
        stored = stored.with(Packed::of(&batch.actions)).unwrap();
        let entry = Entry {
            arrived: stored.arrived,
            bytes: stored.bytes,
            actions: stored.actions.unwrap(),
        };
        let place = Key { table: Table::Open, group: session_group(&key("s")), number: row as u64 };
        world.rows.insert(place, encode(&entry));
    }
    world.restart();
    world.tell(acts("s", &["three"]));
    assert_eq!(world.numbers(Table::History, "s"), [2, 3]);
    assert_eq!(waiting(&world, "s").1, [None, None, Some(3)]);
    world.link("s");
    assert_eq!(texts(&world.answer(took())), ["one", "two", "three"]);
}

#[test]
fn what_waits_for_a_row_that_is_gone_holds_nothing_up_and_is_no_more_than_that() {
    let mut world = World::new(keeping(History::default()));
    for text in ["one", "two", "three"] {
        world.tell(acts("s", &[text]));
    }
    let place = Key { table: Table::History, group: session_group(&key("s")), number: 2 };
    world.rows.insert(place, b"\x01nothing".to_vec());
    world.restart();
    world.link("s");
    assert_eq!(texts(&world.answer(took())), ["one", "three"]);
}
