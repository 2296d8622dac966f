//! Bounds that nothing else would notice if they were gone: memory, slots, pages, pauses.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sidenote::clock::Timestamp;
use sidenote::config::Delivery;
use sidenote::engine::erase::{Erasure, Subject};
use sidenote::ids::{ConversationId, SessionId};
use sidenote::outbox::attempt::Attempts;
use sidenote::outbox::note::{NoteKind, Redaction, SentNote};
use sidenote::outbox::redaction::{Job, Why};
use sidenote::store::{Change, Group, Key, Store, Table};
use sidenote_tests::fresh_store;
use sidenote_tests::world::{
    BEGIN, Platform, World, ok_after, product, settings, settings_with, wait,
};

fn memory() -> Arc<dyn Store> {
    fresh_store()
}

fn erasure(session: &str) -> Erasure {
    let subject = Subject::Session(SessionId::new(session).expect("not empty"));
    Erasure { product: product("p"), subject, keep_notes: false }
}

#[tokio::test(start_paused = true)]
async fn sessions_beyond_the_bound_leave_the_memory_and_lose_nothing() {
    let rules = Delivery::default();
    let mut settings = settings(&rules);
    settings.max_live = 10;
    let world = World::start_with(BEGIN, memory(), Platform::new([]), settings);
    for n in 0..100 {
        world.act(&format!("s{n}"), "a").await;
    }
    wait(0.1).await;
    let live = world.handle.counters().sessions_in_memory.get();
    assert!(live <= 11, "{live} of 100 idle sessions are in memory");
    for n in 0..100 {
        world.link(&format!("s{n}"), &format!("c{n}")).await.expect("a link");
    }
    assert_eq!(world.end().await.len(), 100);
}

#[tokio::test(start_paused = true)]
async fn redactions_take_a_quarter_of_the_slots_at_most() {
    let rules = Delivery::default();
    let script = (0..8).map(|_| (Duration::from_secs(10), Ok(Redaction::Removed)));
    let platform = Platform::with_redactions([], script);
    // Eight slots, so two for redactions.
    let world = World::start_with(BEGIN, memory(), platform, settings_with(&rules, &["bot"]));
    for n in 0..8 {
        world.link(&format!("s{n}"), &format!("c{n}")).await.expect("a link");
        world.act(&format!("s{n}"), "a").await;
    }
    wait(1.0).await;
    for n in 0..8 {
        world.handle.erase(&erasure(&format!("s{n}"))).await.expect("an erasure");
    }
    wait(100.0).await;
    let mut at_once: HashMap<u64, usize> = HashMap::new();
    for seen in world.platform.redactions() {
        *at_once.entry(seen.at.as_secs() / 10).or_default() += 1;
    }
    assert_eq!(at_once.values().sum::<usize>(), 8);
    assert_eq!(at_once.values().max(), Some(&2), "{at_once:?}");
    world.end().await;
}

fn sent(name: &str) -> SentNote {
    SentNote {
        plugin: "bot".into(),
        conversation: ConversationId::new("c").expect("not empty"),
        idempotency_key: name.to_owned(),
        note_id: Some(name.to_owned()),
        at: Timestamp::from_secs_f64(BEGIN),
        kind: NoteKind::Actions,
        through: 1,
        stays: false,
        made: None,
        actions: 0,
        resent_of: None,
        tries: Attempts::NONE,
    }
}

fn row(table: Table, session: &str, number: u64, value: &impl serde::Serialize) -> Change {
    let group = Group("p".into(), session.into());
    let value = serde_json::to_vec(value).expect("a row can be written");
    Change::Put(Key { table, group, number }, value)
}

#[tokio::test(start_paused = true)]
async fn a_redaction_that_found_no_room_in_memory_is_done_in_the_same_run() {
    let store = memory();
    let job = |name: &str| Job::new(sent(name), Why::Erased, Timestamp::from_secs_f64(BEGIN));
    // Some of these are read at the start, and the place of the last of them is remembered.
    let waiting = (0..8000).map(|n| format!("m{n}")).map(|s| row(Table::Redact, &s, 1, &job(&s)));
    // These stand before that place, and are more than find room beside what was read.
    let to_erase = (0..5).flat_map(|n| (1..=1024).map(move |seq| (format!("b{n}"), seq)));
    let to_erase = to_erase.map(|(s, seq)| row(Table::Sent, &s, seq, &sent(&format!("{s}-{seq}"))));
    let rows: Vec<_> = waiting.chain(to_erase).collect();
    store.commit(rows.into()).await.expect("the store takes it");
    let slow = (0..1000).map(|_| (Duration::from_secs(60), Ok(Redaction::Removed)));
    let platform = Platform::with_redactions([], slow);
    let settings = settings(&Delivery::default()).with_concurrency("bot", 1000);
    let world = World::start_with(BEGIN, store, platform, settings);
    wait(10.0).await;
    for n in 0..5 {
        let erased = world.handle.erase(&erasure(&format!("b{n}"))).await.expect("an erasure");
        assert_eq!(erased.redactions, 1024);
    }
    wait(600.0).await;
    assert_eq!(world.platform.redactions().len(), 8000 + 5 * 1024);
    assert_eq!(world.rows(Table::Redact).await, 0);
    world.crash().await;
}

#[tokio::test(start_paused = true)]
async fn a_start_takes_up_every_session_however_many_there_are() {
    let forever = (0..4).map(|_| ok_after(1e6));
    let world = World::start(memory(), Platform::new(forever), Delivery::default());
    for n in 0..2500 {
        world.link(&format!("s{n}"), &format!("c{n}")).await.expect("a link");
        world.act(&format!("s{n}"), "a").await;
    }
    wait(3.0).await;
    assert_eq!((world.rows(Table::Outbox).await, world.rows(Table::Open).await), (1, 2499));
    let (store, _) = world.crash().await;
    let world = World::start(store, Platform::new([]), Delivery::default());
    wait(60.0).await;
    assert_eq!(world.platform.posts().len(), 2500);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn files_are_written_anew_no_sooner_than_a_minute_after_the_last_time() {
    let platform = Platform::with_redactions([], []);
    let world = World::start(memory(), platform, Delivery::default());
    for n in 0..10 {
        let session = format!("s{n}");
        world.act(&session, "a").await;
        world.handle.erase(&erasure(&session)).await.expect("an erasure");
        wait(5.0).await;
    }
    assert_eq!(world.handle.counters().scrubs.get(), 1, "ten erasures within a minute");
    wait(60.0).await;
    assert_eq!(world.handle.counters().scrubs.get(), 2);
    assert_eq!(world.rows(Table::Scrub).await, 0);
    world.end().await;
}
