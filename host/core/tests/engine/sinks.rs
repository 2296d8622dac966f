//! Batches and summaries for sinks: a lane of each sink, what joins, what is behind the memory.

use std::time::Duration;

use sidenote_core::engine::{Command, Work};
use sidenote_core::outbox::lane::{Progress, State};
use sidenote_core::outbox::note::{FailureKind, LimitScope};
use sidenote_core::outbox::sink_delivery::{Content, SinkDelivery};
use sidenote_core::rows::Table;
use sidenote_core::rules::Delivery;
use sidenote_core::session::payload::SummaryPayload;
use sidenote_core::session::state::{Covers, Record, Summarized};

use crate::words::{
    CHAT, acts, acts_of, erase, fails, limited, names, settings_of, summarized, summary, took,
};
use crate::world::{HOUR, SECOND, World};

fn sinks(names: &[&str], rules: Delivery) -> World {
    let world = World::new(settings_of(names, rules));
    names.iter().for_each(|name| world.sink(name, false));
    world
}

/// What a row of a sink holds.
fn held(world: &World, session: &str, seq: u64) -> Vec<String> {
    match world.row::<SinkDelivery>(Table::SinkQueue, session, seq).content {
        Content::Actions(batch) => batch.actions.into_iter().map(|it| it.description).collect(),
        Content::Summary(summary) => vec![summary.summary],
    }
}

#[test]
fn each_sink_is_given_every_batch_with_who_it_is_and_nothing_waits_for_a_conversation() {
    let mut world = sinks(&["one", "two"], Delivery::default());
    world.tell(acts_of("s", (Some("ann"), Some("a@a.example")), &["first"]));
    world.tell(acts("s", &["second"]));
    world.tell(acts("s", &[]));
    assert_eq!(world.count(Table::Open), 0);
    assert_eq!(world.numbers(Table::SinkQueue, "s"), [1, 2, 3, 4]);
    let Content::Actions(batch) = world.row::<SinkDelivery>(Table::SinkQueue, "s", 4).content
    else {
        panic!("a batch")
    };
    assert_eq!(
        (batch.user_id.as_deref(), batch.email.as_deref()),
        (Some("ann"), Some("a@a.example"))
    );
    let mut calls = names(&world.calls);
    calls.sort();
    assert_eq!(calls, ["send s/1 to one", "send s/2 to two"]);
    assert_eq!(world.row::<Progress>(Table::SinkAttempt, "s", 1).state, State::InFlight);
    let mut order = names(&world.answer_all(took));
    order.sort();
    let all = ["send s/1 to one", "send s/2 to two", "send s/3 to one", "send s/4 to two"];
    assert_eq!(order, all);
    assert_eq!((world.count(Table::SinkQueue), world.count(Table::SinkAttempt)), (0, 0));
    let totals = world.totals();
    assert_eq!((totals.sink_deliveries_made, totals.sink_deliveries_accepted), (4, 4));
    let record: Record = world.row(Table::Session, "s", 0);
    assert_eq!((record.sink_deliveries, record.left), (4, 2));
}

#[test]
fn a_sink_that_is_away_holds_up_no_other() {
    let mut world = sinks(&["one", "two"], Delivery::default());
    world.plugins.set("one", |it| it.coming = true);
    world.tell(acts("s", &["it"]));
    world.round(Vec::new());
    assert_eq!(names(&world.calls), ["send s/2 to two"]);
    world.answer(fails(FailureKind::Transient));
    assert_eq!(world.totals().sink_attempts_failed, 1);
    world.plugins.set("one", |it| it.coming = false);
    world.run();
    assert_eq!(names(&world.calls), ["send s/1 to one"]);
}

#[test]
fn a_summary_is_for_sinks_too_and_says_how_many_actions_it_takes_the_place_of() {
    let mut world = sinks(&["sink"], Delivery::default());
    world.tell(acts("s", &["one", "two", "three"]));
    world.answer_all(took);
    let own = world.tell(summary("s", "Two", Covers::Through(2)));
    assert_eq!(summarized(own), Summarized::Unlinked);
    let theirs = world.tell(Command::Summary {
        key: crate::words::key("s"),
        text: "All".to_owned(),
        covers: Covers::Next(7),
        forwarded_at: 12.5,
        accepted_at: None,
    });
    assert_eq!(summarized(theirs), Summarized::Unlinked);
    let stale = world.tell(summary("s", "Stale", Covers::Through(9)));
    assert_eq!(summarized(stale), Summarized::Stale);
    let rows: Vec<SinkDelivery> = world.all(Table::SinkQueue);
    let of = |row: &SinkDelivery| match &row.content {
        Content::Summary(summary) => summary.clone(),
        Content::Actions(_) => panic!("a summary"),
    };
    let summaries: Vec<SummaryPayload> = rows.iter().map(of).collect();
    let told: Vec<_> =
        summaries.iter().map(|it| (&*it.summary, it.replaces, it.forwarded_at)).collect();
    assert_eq!(told, [("Two", 2, 0.0), ("All", 7, 12.5)]);
    assert_eq!(summaries[0].session_id.as_deref(), Some("s"));
    let totals = world.totals();
    assert_eq!((totals.summaries_unlinked, totals.summaries_ignored), (2, 1));
}

#[test]
fn what_waits_for_a_sink_that_takes_nothing_is_joined_up_to_a_bound() {
    let rules = Delivery { max_gathered_actions: 3, ..Delivery::default() };
    let mut world = sinks(&["sink"], rules);
    world.plugins.set("sink", |it| it.coming = true);
    world.tell(acts("s", &["1"]));
    world.round(Vec::new());
    for what in ["2", "3", "4"] {
        world.tell(acts("s", &[what]));
    }
    assert_eq!(
        (held(&world, "s", 1), held(&world, "s", 2)),
        (vec!["1".into(), "2".into(), "3".into()], vec!["4".into()])
    );
    // Another person's is never joined, nor a summary.
    world.tell(acts_of("s", (Some("ann"), None), &["5"]));
    world.tell(summary("s", "sum", Covers::Next(1)));
    world.tell(acts("s", &["6"]));
    assert_eq!(world.numbers(Table::SinkQueue, "s"), [1, 2, 3, 4, 5]);
    let totals = world.totals();
    assert_eq!((totals.sink_deliveries_made, totals.sink_deliveries_joined), (5, 2));
    world.plugins.set("sink", |it| it.coming = false);
    let sent = world.answer_all(took);
    let texts = sent.iter().map(|call| match &call.work {
        Work::Sink(delivery) => delivery.actions(),
        Work::Note { .. } | Work::Timer(_) | Work::Message { .. } | Work::Redaction { .. } => {
            panic!("for a sink")
        }
    });
    assert_eq!(texts.collect::<Vec<_>>(), [3, 1, 1, 0, 1]);
}

#[test]
fn what_was_tried_is_never_changed() {
    let mut world = sinks(&["sink"], Delivery::default());
    world.tell(acts("s", &["1"]));
    world.answer(limited(LimitScope::Account, SECOND * 20));
    world.tell(acts("s", &["2"]));
    world.tell(acts("s", &["3"]));
    assert_eq!(
        (held(&world, "s", 1), held(&world, "s", 2)),
        (vec!["1".into()], vec!["2".into(), "3".into()])
    );
    world.pass(SECOND * 30);
    assert_eq!(names(&world.answer_all(took)), ["send s/1 to sink", "send s/2 to sink"]);
    // What is on its way alone waits for nothing: the next one is its own.
    world.tell(acts("s", &["4"]));
    world.tell(acts("s", &["5"]));
    world.tell(acts("s", &["6"]));
    assert_eq!(world.numbers(Table::SinkQueue, "s"), [3, 4, 5]);
}

#[test]
fn many_that_wait_are_joined_where_the_sink_is_merely_slow() {
    let rules = Delivery { max_lane_notes: 3, ..Delivery::default() };
    let mut world = sinks(&["sink"], rules);
    for what in ["1", "2", "3", "4", "5"] {
        world.tell(acts("s", &[what]));
    }
    assert_eq!(world.numbers(Table::SinkQueue, "s"), [1, 2, 3]);
    assert_eq!(held(&world, "s", 3), ["3", "4", "5"]);
    assert_eq!(world.answer_all(took).len(), 3);
    // A joined one that is behind the memory is sent as it was joined.
    let rules = Delivery { max_lane_notes: 6, ..Delivery::default() };
    let mut world = sinks(&["sink"], rules);
    for what in ["1", "2", "3", "4", "5", "6", "7"] {
        world.tell(acts("s", &[what]));
    }
    assert_eq!(held(&world, "s", 6), ["6", "7"]);
    let sent = world.answer_all(took);
    let Work::Sink(last) = &sent[5].work else { panic!("for a sink") };
    assert_eq!((sent.len(), last.actions()), (6, 2));
}

#[test]
fn nothing_joins_what_was_sent_or_is_a_dead_letter() {
    let rules = Delivery { max_lane_notes: 1, ..Delivery::default() };
    for said in [took(), fails(FailureKind::Permanent)] {
        let mut world = sinks(&["sink"], rules.clone());
        world.tell(acts("s", &["1"]));
        world.answer(said);
        world.plugins.set("sink", |it| it.coming = true);
        world.tell(acts("s", &["2"]));
        assert_eq!(world.numbers(Table::SinkQueue, "s"), [2]);
        world.tell(erase(&["s"], false));
        world.tell(acts("s", &["3"]));
        assert_eq!(held(&world, "s", 3), ["3"]);
    }
}

#[test]
fn a_sinks_lane_is_refilled_with_its_own_rows_however_many_of_others_stand_between() {
    let rules = Delivery { max_lane_notes: 1000, ..Delivery::default() };
    for between in [0, 10, 63, 64, 65, 200] {
        let mut world = sinks(&["one", "two"], rules.clone());
        let only = |world: &World, name: &str| {
            for sink in ["one", "two"] {
                world.plugins.set(sink, |it| {
                    it.roles.as_mut().expect("it has some").sink = sink == name;
                });
            }
        };
        let act = |world: &mut World, times: usize| {
            for _ in 0..times {
                world.tell(acts("s", &["it"]));
            }
        };
        only(&world, "one");
        act(&mut world, 4);
        only(&world, "two");
        act(&mut world, between);
        only(&world, "one");
        act(&mut world, 5);
        // Another session's rows are none of these.
        world.tell(acts("t", &["it"]));
        let sent = names(&world.answer_all(took));
        let of =
            |name: &str| sent.iter().filter(|it| it.contains("s/") && it.ends_with(name)).count();
        assert_eq!((of("one"), of("two"), sent.len()), (9, between, 10 + between));
        assert_eq!((world.count(Table::SinkQueue), world.core.is_hungry()), (0, false));
        world.reads.clear();
        world.run();
        assert!(world.reads.is_empty(), "nothing is read for lanes that have nothing");
    }
}

#[test]
fn what_was_tried_before_is_known_of_what_is_read_again() {
    let mut world = World::linked(settings_of(&[CHAT], Delivery::default()), &["s", "t"]);
    for _ in 0..6 {
        world.seal("s");
    }
    // The fifth was tried, in a lane that began with it.
    let tried = Progress { attempts: 7, ..Progress::FRESH };
    let place = sidenote_core::rows::Key {
        table: Table::Attempt,
        group: sidenote_core::engine::rows::session_group(&crate::words::key("s")),
        number: 5,
    };
    world.rows.insert(place, serde_json::to_vec(&tried).unwrap());
    let sent = world.answer_all(took);
    let attempts: Vec<_> = sent.iter().map(|call| call.attempt).collect();
    assert_eq!(attempts, [1, 1, 1, 1, 8, 1]);
}

#[test]
fn a_row_that_cannot_be_read_is_passed_over_and_left_where_it_is() {
    let mut world = World::linked(settings_of(&[CHAT], Delivery::default()), &["s"]);
    for _ in 0..9 {
        world.seal("s");
    }
    world.spoil(Table::Outbox, "s", 6);
    assert_eq!(world.answer_all(took).len(), 8);
    assert_eq!(world.numbers(Table::Outbox, "s"), [6]);
    // All that is left can't be read: there is nothing to be waited for.
    for _ in 0..6 {
        world.seal("s");
    }
    [14, 15].iter().for_each(|n| world.spoil(Table::Outbox, "s", *n));
    assert_eq!(world.answer_all(took).len(), 4);
    assert!(!world.core.is_hungry());
    world.restart();
    assert!(world.answer_all(took).is_empty());
    world.pass(HOUR);
    world.spoil(Table::SinkQueue, "s", 3);
    world.restart();
    world.pass(Duration::from_millis(1));
    assert!(world.calls.is_empty());
}
