//! What sources bring and remember.

use std::time::Duration;

use serde::Serialize;
use sidenote_core::clock::Timestamp;
use sidenote_core::engine::erase::EraseOrder;
use sidenote_core::engine::rows::{delete, put};
use sidenote_core::engine::{Answer, Command, PollMark, SourcePage, SourceRows};
use sidenote_core::rows::{Change, Group, Table};

use crate::words::{ERASURE, acts, key, settings};
use crate::world::World;

/// The part of a row that says how old it is.
#[derive(Serialize)]
struct Row {
    at: Timestamp,
}

fn rows(at: Timestamp) -> Vec<Change> {
    let of = |table, second: &str| put(table, Group("s".into(), second.into()), 7, &Row { at });
    vec![of(Table::SourceSeen, ""), of(Table::SourcePerson, "p")]
}

fn page(session: &str, beside: SourceRows) -> Command {
    let Command::Actions { key, batch, bytes, .. } = acts(session, &["one"]) else {
        unreachable!("those are actions")
    };
    Command::Page(SourcePage { batches: vec![(key, batch, bytes)], beside })
}

#[test]
fn what_a_source_knows_is_in_the_transaction_of_what_it_brought() {
    let mut world = World::new(settings());
    let now = Timestamp(0);
    let mark = Some(("s".into(), PollMark { cursor: Some("1".to_owned()), at: now }));
    let beside = SourceRows { mark, remembered: rows(now), ..SourceRows::default() };
    assert!(matches!(world.transaction(vec![page("a", beside)])[..], [Answer::Accepted]));
    for table in [Table::Source, Table::SourceSeen, Table::SourcePerson, Table::Session] {
        assert_eq!(world.count(table), 1, "{table:?}");
    }
    assert_eq!(world.count(Table::Scrub), 0);
    let remembered = vec![delete(Table::SourcePerson, Group("s".into(), "p".into()), 7)];
    let nothing = SourcePage {
        batches: Vec::new(),
        beside: SourceRows { remembered, erases: true, ..SourceRows::default() },
    };
    world.transaction(vec![Command::Page(nothing)]);
    assert_eq!((world.count(Table::SourcePerson), world.count(Table::SourceSeen)), (0, 1));
    assert_eq!(world.count(Table::Scrub), 1, "somebody is erased: the files are written anew");
}

#[test]
fn somebody_who_is_erased_leaves_what_sources_remember_too() {
    let mut world = World::new(settings());
    let beside = SourceRows { remembered: rows(Timestamp(0)), ..SourceRows::default() };
    world.tell(page("a", beside));
    let order = |keys: &[&str], remembered| EraseOrder {
        keys: keys.iter().map(|session| key(session)).collect(),
        persons: Vec::new(),
        remembered,
        keep_notes: false,
        id: ERASURE,
    };
    let remembered = vec![delete(Table::SourcePerson, Group("s".into(), "p".into()), 7)];
    // Of whom there is nothing else.
    let answer = world.tell(Command::Erase(order(&[], remembered)));
    assert!(matches!(answer, Answer::Erased(erased) if erased.sessions == 0));
    assert_eq!((world.count(Table::SourcePerson), world.count(Table::Scrub)), (0, 1));
    assert_eq!(world.numbers(Table::Session, "a"), [0]);
}

#[test]
fn what_sources_remember_goes_when_sessions_would() {
    let mut settings = settings();
    settings.retention.sessions = Duration::from_secs(3600);
    let mut world = World::new(settings);
    world.pass(Duration::from_secs(1));
    let beside = SourceRows { remembered: rows(world.now), ..SourceRows::default() };
    world.tell(page("a", beside));
    world.pass(Duration::from_secs(3000));
    world.sweep();
    assert_eq!((world.count(Table::SourceSeen), world.count(Table::SourcePerson)), (1, 1));
    world.pass(Duration::from_secs(700));
    world.sweep();
    assert_eq!((world.count(Table::SourceSeen), world.count(Table::SourcePerson)), (0, 0));
}
