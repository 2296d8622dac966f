//! Crashes, traps, a plugin that can't be loaded, a breaker.

use std::time::Duration;

use sidenote::config::{Breaker, Delivery};
use sidenote::engine::erase::{Erased, Erasure, Subject};
use sidenote::outbox::note::{FailureKind, Sent};
use sidenote::session::payload::ActionsPayload;
use sidenote::store::Table;
use sidenote_tests::fresh_store;
use sidenote_tests::world::{
    BEGIN, Platform, World, action, batch, embedded, product, settings_with, wait,
};

use super::{after, fails, numbers, start, trap, unavailable, world};

const BOTH: [&str; 3] = ["bot", "sink1", "sink2"];

#[tokio::test(start_paused = true)]
async fn after_a_kill_everything_is_there_and_what_was_in_flight_comes_again_under_its_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    let rules = Delivery { max_lane_notes: 1000, ..Delivery::default() };
    let platform = Platform::new([]);
    let world = start(embedded(&path).await, &BOTH, &rules, platform.clone());
    platform.sinks.script("sink1", [after(1000.0)]);
    platform.sinks.script("sink2", [unavailable()]);
    for n in numbers(0..30) {
        world.act("s", &n).await;
    }
    let (store, _) = world.crash().await;
    drop(store);
    platform.sinks.recover();
    let world = start(embedded(&path).await, &BOTH, &rules, platform.clone());
    for n in numbers(30..40) {
        world.act("s", &n).await;
    }
    wait(5.0).await;
    for sink in ["sink1", "sink2"] {
        assert_eq!(platform.sinks.kept(sink, "s"), numbers(0..40), "{sink}");
    }
    let handed = platform.sinks.handed_to("sink1");
    assert_eq!(handed[0].call.idempotency_key, handed[1].call.idempotency_key);
    assert_eq!(handed.len(), 41, "the one in flight is doubled, and no other");
    assert_eq!(
        (world.rows(Table::SinkQueue).await, world.record("s").await.sink_deliveries),
        (0, 80)
    );
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_ordered_stop_counts_as_no_crash() {
    let store = fresh_store();
    let platform = Platform::new([]);
    for _ in 0..5 {
        platform.sinks.script("sink", [after(1000.0)]);
        let mut world = start(store.clone(), &["sink"], &Delivery::default(), platform.clone());
        if platform.sinks.handed().is_empty() {
            world.act("s", "a").await;
        }
        wait(0.1).await;
        world.handle.stop().await;
        world.ended().await.expect("it ends well");
    }
    platform.sinks.recover();
    let world = start(store, &["sink"], &Delivery::default(), platform.clone());
    wait(0.1).await;
    assert_eq!(platform.sinks.kept("sink", "s"), ["a"]);
    assert_eq!(platform.sinks.handed().len(), 6);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_traps_the_sink_three_times_is_given_up_and_the_others_go_on() {
    let world = world(&["sink"], &Delivery::default());
    world.platform.sinks.script("sink", [trap(), trap(), trap()]);
    world.act("s", "poison").await;
    world.act("s", "b").await;
    wait(30.0).await;
    assert_eq!(world.platform.sinks.handed().len(), 4);
    assert_eq!((world.rows(Table::SinkDead).await, world.rows(Table::Dead).await), (1, 0));
    assert_eq!(world.platform.sinks.kept("sink", "s").last().map(String::as_str), Some("b"));
    assert_eq!(world.handle.counters().sink_deliveries_dead.get(), 1);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_delivered_for_a_day_is_given_up() {
    let world = world(&["sink"], &Delivery::default());
    let away = || fails(FailureKind::RateLimited, None, Sent::NotSent);
    world.platform.sinks.script("sink", (0..100_000).map(|_| away()));
    world.act("s", "a").await;
    wait(23.9 * 3600.0).await;
    assert_eq!(world.rows(Table::SinkDead).await, 0);
    wait(0.3 * 3600.0).await;
    assert_eq!((world.rows(Table::SinkDead).await, world.rows(Table::SinkQueue).await), (1, 0));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_can_not_be_loaded_misses_nothing_across_a_restart_too() {
    let store = fresh_store();
    let platform = Platform::new([]);
    let world = start(store.clone(), &["sink"], &Delivery::default(), platform.clone());
    world.act("s", "a").await;
    wait(0.1).await;
    let unloaded = || {
        (
            Duration::ZERO,
            Err(sidenote::outbox::note::PostError::Unavailable {
                message: "there is no such file".to_owned(),
            }),
        )
    };
    platform.sinks.script("sink", (0..1000).map(|_| unloaded()));
    platform.sinks.set_roles("sink", None);
    world.act("s", "b").await;
    wait(0.1).await;
    world.crash().await;
    let settings = settings_with(&Delivery::default(), &["sink"]);
    let world = World::start_with(BEGIN, store, platform.clone(), settings);
    world.act("s", "c").await;
    wait(3600.0).await;
    assert_eq!(platform.sinks.kept("sink", "s"), ["a"]);
    platform.sinks.recover();
    platform.sinks.add(&["sink"]);
    wait(1200.0).await;
    assert_eq!(platform.sinks.kept("sink", "s"), ["a", "b", "c"]);
    assert_eq!(world.rows(Table::Open).await, 0);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_is_away_is_asked_by_one_call_at_a_time_and_burns_no_attempts() {
    let rules = Delivery::default();
    let settings = settings_with(&rules, &["bot", "sink"]).with_breaker("sink", Breaker::default());
    let platform = Platform::new([]);
    platform.sinks.add(&["sink"]);
    platform.sinks.script("sink", (0..10_000).map(|_| unavailable()));
    let world = World::start_with(BEGIN, fresh_store(), platform.clone(), settings);
    for n in numbers(0..100) {
        world.act(&format!("s{n}"), &n).await;
    }
    world.act("linked", "a").await;
    world.link("linked", "c").await.expect("a link");
    wait(6.0 * 3600.0).await;
    assert!(world.handle.counters().breakers_opened.get() >= 1);
    let calls = platform.sinks.handed().len();
    assert!(calls < 1000, "a platform that is down isn't asked {calls} times");
    assert_eq!(world.rows(Table::SinkDead).await, 0, "no attempts are burnt");
    platform.sinks.recover();
    wait(2.0 * 3600.0).await;
    for n in numbers(0..100) {
        assert_eq!(platform.sinks.kept("sink", &format!("s{n}")), [n]);
    }
    assert_eq!(world.end().await, ["c: [1] a"], "the conversation had its note all the while");
}

#[tokio::test(start_paused = true)]
async fn erasing_somebody_takes_what_waits_for_sinks_and_what_they_were_not_given() {
    let world = world(&BOTH, &Delivery::default());
    let invalid = || fails(FailureKind::Invalid, None, Sent::Sent);
    world.platform.sinks.script("sink1", [invalid(), after(1000.0)]);
    world.platform.sinks.script("sink2", [unavailable(); 1].into_iter().chain([invalid()]));
    for (person, session) in [("ann", "a1"), ("ann", "a1"), ("bob", "b1")] {
        let user_id = Some(person.to_owned());
        let email = Some(format!("{person}@example.com"));
        world.take(ActionsPayload { user_id, email, ..batch(session, [action(person)]) }).await;
    }
    wait(0.1).await;
    let subject = Subject::User("ann".to_owned());
    let erasure = Erasure { product: product("p"), subject, keep_notes: false };
    let preview = world.handle.preview_erase(&erasure).await.expect("a preview");
    let erased = world.handle.erase(&erasure).await.expect("an erasure");
    assert_eq!((erased.sessions, erased.sink_deliveries), (1, 4), "{erased:?}");
    assert_eq!(preview, Erased { erasure: None, ..erased });
    for table in [Table::SinkQueue, Table::SinkAttempt, Table::SinkDead, Table::Session] {
        let rows = world.store.scan(table, None, 100).await.expect("the store answers");
        for (row, value) in rows {
            assert_eq!(&*row.group.1, "b1", "{table:?}");
            assert!(!String::from_utf8_lossy(&value).contains("ann"), "{table:?}");
        }
    }
    // The hand-over that was under way ends, and what comes later of her is a session like any other.
    wait(2000.0).await;
    world.act("a1", "later").await;
    wait(1.0).await;
    assert_eq!(world.platform.sinks.kept("sink1", "a1").last().map(String::as_str), Some("later"));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_outlives_its_session_is_found_by_its_person_and_its_number_is_not_given_again() {
    let world = world(&["sink"], &Delivery::default());
    world.platform.sinks.script("sink", [fails(FailureKind::Invalid, None, Sent::Sent)]);
    let user_id = Some("ann".to_owned());
    world.take(ActionsPayload { user_id, ..batch("s", [action("a")]) }).await;
    wait(26.0 * 3600.0).await;
    assert_eq!((world.rows(Table::Session).await, world.rows(Table::SinkDead).await), (0, 1));
    world.act("s", "b").await;
    wait(0.1).await;
    assert_eq!(world.record("s").await.sink_deliveries, 2);
    let subject = Subject::User("ann".to_owned());
    let erasure = Erasure { product: product("p"), subject, keep_notes: false };
    let erased = world.handle.erase(&erasure).await.expect("an erasure");
    assert_eq!((erased.sessions, erased.sink_deliveries), (1, 1));
    assert_eq!(world.rows(Table::SinkDead).await, 0);
    world.end().await;
}
