//! What plugins keep under keys: stored with what came of the call that wrote it, gone with the session.

use std::collections::BTreeMap;

use proptest::prelude::*;
use sidenote_core::engine::rows::{decode, session_group};
use sidenote_core::engine::values::{PluginValue, SessionValue, Usage, VALUE, usage, value_group};
use sidenote_core::engine::{Answer, Command};
use sidenote_core::kv::{Scope, Writes, size};
use sidenote_core::outbox::note::FailureKind;
use sidenote_core::rows::{Key, Table};

use crate::words::{CHAT, acts, decide, ended, erase, fails, key, settings, took, wrote};
use crate::world::{DAY, HOUR, MOMENT, World};

fn writes(list: &[(Scope, &str, Option<&str>)]) -> Writes {
    let mut writes = Writes::default();
    for (scope, key, value) in list {
        writes.put(*scope, key, value.map(|value| value.as_bytes().to_vec()));
    }
    writes
}

/// The plugin's values, and how much they are said to be.
fn of_plugin(world: &World) -> (BTreeMap<String, String>, Usage) {
    let rows = world.rows.iter().filter(|(key, _)| key.table == Table::PluginValue);
    let value = |(key, row): (&Key, &Vec<u8>)| {
        let row: PluginValue = decode(row).expect("a row of ours");
        (key.number == VALUE).then(|| {
            (key.group.1.to_string(), String::from_utf8(row.value.0).expect("a text of ours"))
        })
    };
    let values = rows.clone().filter(|(key, _)| key.number != 0).filter_map(value).collect();
    let totals = rows.filter(|(key, _)| key.group == value_group(&CHAT.into(), ""));
    let totals: Vec<_> = totals.map(|(key, row)| (key.number, row.clone())).collect();
    (values, usage(&totals))
}

fn of_session(world: &World, session: &str) -> Vec<(String, String)> {
    let group = session_group(&key(session));
    let rows = world.rows.iter();
    let rows = rows.filter(|(key, _)| key.table == Table::SessionValue && key.group == group);
    let value = |(_, row): (&Key, &Vec<u8>)| {
        let row: SessionValue = decode(row).expect("a row of ours");
        (row.key.to_string(), String::from_utf8(row.value.0).expect("a text of ours"))
    };
    rows.map(value).collect()
}

/// A note of a linked session is being posted.
fn posting() -> World {
    let mut world = World::linked(settings(), &["s"]);
    world.tell(acts("s", &["one"]));
    world.pass(MOMENT);
    assert_eq!(world.calls.len(), 1);
    world
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn what_a_call_wrote_is_in_the_transaction_of_its_outcome() {
    let mut world = posting();
    let call = world.calls.remove(0);
    let written = writes(&[
        (Scope::Plugin, "token", Some("abc")),
        (Scope::Plugin, "gone", None),
        (Scope::Session, "thread", Some("7")),
        (Scope::Session, "gone", None),
    ]);
    assert_eq!((world.count(Table::PluginValue), world.count(Table::SessionValue)), (0, 0));
    world.transaction(vec![wrote(&call, took(), written)]);
    let (values, of) = of_plugin(&world);
    assert_eq!(values.into_iter().collect::<Vec<_>>(), pairs(&[("token", "abc")]));
    assert_eq!(of, Usage { keys: 1, bytes: 8 });
    assert_eq!(of_session(&world, "s"), pairs(&[("thread", "7")]));
    assert_eq!(
        world.numbers(Table::Sent, "s"),
        [1],
        "in the transaction that has the note as sent"
    );
    assert_eq!((world.totals().kv_written, world.totals().kv_dropped), (4, 0));
    world.tell(acts("s", &["two"]));
    world.pass(MOMENT);
    let call = world.calls.remove(0);
    let written = writes(&[
        (Scope::Plugin, "token", None),
        (Scope::Session, "thread", Some("8")),
        (Scope::Session, "other", Some("")),
    ]);
    world.tell(wrote(&call, took(), written));
    assert_eq!(of_plugin(&world), (BTreeMap::new(), Usage::default()));
    assert_eq!(world.count(Table::PluginValue), 0, "not even how much it is");
    assert_eq!(of_session(&world, "s"), pairs(&[("thread", "8"), ("other", "")]));
}

#[test]
fn a_crash_before_the_outcome_is_stored_leaves_nothing_and_the_call_is_made_again() {
    let mut world = posting();
    world.restart();
    world.run();
    assert_eq!((world.count(Table::PluginValue), world.count(Table::SessionValue)), (0, 0));
    let call = world.calls.remove(0);
    assert_eq!(call.attempt, 2);
    let written = writes(&[(Scope::Plugin, "n", Some("2")), (Scope::Session, "n", Some("2"))]);
    world.tell(wrote(&call, took(), written));
    world.restart();
    world.run();
    assert!(world.calls.is_empty(), "both are stored");
    assert_eq!(of_plugin(&world).1.keys, 1);
    assert_eq!(of_session(&world, "s"), pairs(&[("n", "2")]));
}

#[test]
fn of_a_session_that_was_erased_while_the_call_ran_nothing_is_stored() {
    let written = || writes(&[(Scope::Plugin, "n", Some("1")), (Scope::Session, "n", Some("1"))]);
    // Before the outcome, and in one transaction with it, behind it and before.
    for order in 0..3 {
        let mut world = posting();
        let call = world.calls.remove(0);
        let (erasing, outcome) = (erase(&["s"], false), wrote(&call, took(), written()));
        match order {
            0 => {
                world.tell(erasing);
                world.tell(outcome);
            }
            1 => drop(world.transaction(vec![outcome, erasing])),
            _ => drop(world.transaction(vec![erasing, outcome])),
        }
        assert_eq!(world.count(Table::SessionValue), 0, "{order}");
        assert_eq!(of_plugin(&world).1, Usage { keys: 1, bytes: 2 }, "{order}");
        let dropped = if order == 1 { 0 } else { 1 };
        assert_eq!(world.totals().kv_dropped, dropped, "{order}");
        // What redacting the note writes isn't kept of that session either.
        world.run();
        let redaction = world.calls.remove(0);
        world.tell(wrote(&redaction, took(), written()));
        assert_eq!(world.count(Table::SessionValue), 0, "{order}");
    }
}

#[test]
fn of_a_session_that_has_expired_nothing_is_stored() {
    let mut settings = settings();
    settings.retention.sessions = HOUR;
    let mut world = World::linked(settings, &["s"]);
    world.tell(acts("s", &["one"]));
    world.pass(MOMENT);
    let call = world.calls.remove(0);
    let written = writes(&[(Scope::Session, "n", Some("1"))]);
    world.tell(wrote(&call, fails(FailureKind::Permanent), written.clone()));
    assert_eq!(of_session(&world, "s"), pairs(&[("n", "1")]), "it failed for good");
    world.pass(DAY);
    world.sweep();
    assert_eq!((world.count(Table::Session), world.count(Table::SessionValue)), (0, 0));
    assert_eq!(world.numbers(Table::Dead, "s"), [1], "the dead letter outlives its session");
    world.tell(decide(sidenote_core::engine::Decision::Retry, "s", &[1]));
    world.run();
    let call = world.calls.remove(0);
    world.tell(wrote(&call, took(), written));
    assert_eq!((world.count(Table::SessionValue), world.totals().kv_dropped), (0, 1));
}

#[test]
fn what_a_plugin_keeps_is_cleared_and_what_it_keeps_of_sessions_stays() {
    let mut world = posting();
    let call = world.calls.remove(0);
    let mut written = writes(&[(Scope::Session, "n", Some("1"))]);
    for n in 0..600 {
        written.put(Scope::Plugin, &format!("key {n}"), Some(vec![b'x'; 10]));
    }
    world.tell(wrote(&call, took(), written));
    assert_eq!(of_plugin(&world).1.keys, 600);
    assert!(matches!(world.tell(Command::ClearKv("other".into())), Answer::Cleared(0)));
    assert_eq!(of_plugin(&world).1.keys, 600);
    // What is written in the same transaction before it is cleared too, and what comes behind it stays.
    world.tell(acts("s", &["two"]));
    world.pass(MOMENT);
    let call = world.calls.remove(0);
    let outcome = wrote(&call, took(), writes(&[(Scope::Plugin, "late", Some("1"))]));
    let answers = world.transaction(vec![outcome, Command::ClearKv(CHAT.into())]);
    assert!(matches!(answers[..], [Answer::None, Answer::Cleared(601)]), "{answers:?}");
    assert_eq!(world.count(Table::PluginValue), 0);
    assert_eq!(of_session(&world, "s"), pairs(&[("n", "1")]));
    world.tell(acts("s", &["three"]));
    world.pass(MOMENT);
    let call = world.calls.remove(0);
    let outcome = wrote(&call, took(), writes(&[(Scope::Plugin, "n", Some("1"))]));
    world.transaction(vec![Command::ClearKv(CHAT.into()), outcome]);
    assert_eq!(of_plugin(&world).1, Usage { keys: 1, bytes: 2 });
}

#[test]
fn a_call_that_wrote_nothing_reads_no_row_for_it() {
    let mut world = posting();
    let call = world.calls.remove(0);
    world.reads.clear();
    world.tell(ended(&call, took()));
    assert!(!world.reads.contains_key(&Table::PluginValue));
    assert!(!world.reads.contains_key(&Table::SessionValue));
}

type Step = Vec<(bool, u8, Option<Vec<u8>>)>;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let value = prop::option::weighted(0.7, prop::collection::vec(any::<u8>(), 0..20));
    let step = prop::collection::vec((any::<bool>(), 0..6u8, value), 0..6);
    prop::collection::vec(step, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is written: the rows are the last writes, and what is said of them is what they are.
    #[test]
    fn rows_follow_the_writes(steps in steps(), together in any::<bool>()) {
        let mut world = World::linked(settings(), &["s"]);
        let mut model: BTreeMap<(Scope, String), Vec<u8>> = BTreeMap::new();
        let mut outcomes = Vec::new();
        for (n, step) in steps.iter().enumerate() {
            world.tell(acts("s", &[&format!("act {n}")]));
            world.pass(MOMENT);
            let Some(call) = world.calls.pop() else { continue };
            let mut written = Writes::default();
            for (of_plugin, key, value) in step {
                let scope = if *of_plugin { Scope::Plugin } else { Scope::Session };
                let key = "k".repeat(usize::from(*key) + 1);
                written.put(scope, &key, value.clone());
                match value {
                    Some(value) => drop(model.insert((scope, key), value.clone())),
                    None => drop(model.remove(&(scope, key))),
                }
            }
            outcomes.push(wrote(&call, took(), written));
            if !together || n % 2 == 1 {
                world.transaction(std::mem::take(&mut outcomes));
            }
        }
        world.transaction(outcomes);
        let mut stored = BTreeMap::new();
        let mut of = Usage::default();
        for (key, row) in &world.rows {
            if key.table == Table::PluginValue && key.number == VALUE {
                let PluginValue { value } = decode(row).unwrap();
                of = of.changed(None, Some(size(&key.group.1, &value.0)));
                stored.insert((Scope::Plugin, key.group.1.to_string()), value.0);
            } else if key.table == Table::SessionValue {
                let SessionValue { key, value, .. } = decode(row).unwrap();
                stored.insert((Scope::Session, key.to_string()), value.0);
            }
        }
        prop_assert_eq!(stored, model);
        let group = value_group(&CHAT.into(), "");
        let totals = world.rows.get(&Key { table: Table::PluginValue, group, number: 0 });
        let totals: Usage = totals.map(|row| decode(row).unwrap()).unwrap_or_default();
        prop_assert_eq!(totals, of);
    }
}
