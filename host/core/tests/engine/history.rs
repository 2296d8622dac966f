//! What is kept of sessions for whoever reads it.

use sidenote_core::engine::history::{KeptBatch, KeptSummary, is_of};
use sidenote_core::engine::rows::Person;
use sidenote_core::engine::{Command, Settings};
use sidenote_core::outbox::note::FailureKind;
use sidenote_core::rows::Table;
use sidenote_core::rules::{Delivery, History};
use sidenote_core::session::state::{Covers, Summarized};

use crate::words::{CHAT, acts, acts_of, fails, settings, settings_of, summarized, summary, took};
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
