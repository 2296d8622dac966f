//! What a restart meets: a clock that was set back, products that are gone, numbers that are taken.

use std::sync::Arc;
use std::time::Duration;

use sidenote::config::{Delivery, Product};
use sidenote::engine::Settings;
use sidenote::outbox::note::FailureKind;
use sidenote::store::{Store, Table};
use sidenote_tests::fresh_store;
use sidenote_tests::world::{
    BEGIN, Platform, World, crashed, failed, ok_after, product, settings, wait,
};

const DAY: f64 = 86_400.0;

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_set_back_delays_no_note() {
    let world = World::start(store(), Platform::new([]), Delivery::default());
    world.link("s", "c").await.unwrap();
    world.act("s", "a").await;
    let (store, _) = world.crash().await;
    let platform = Platform::new([]);
    let world = World::start_at(BEGIN - DAY, store, platform, Delivery::default());
    wait(2.1).await;
    assert_eq!(world.platform.lines(), ["c: [1] a"]);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_set_back_lengthens_no_pause() {
    let pauses = [(None, 1.0), (Some(Duration::from_secs(90)), 99.0)];
    for (retry_after, longest) in pauses {
        let failure = failed(FailureKind::Transient, retry_after);
        let world = World::start(store(), Platform::new([failure]), Delivery::default());
        world.act("s", "a").await;
        world.link("s", "c").await.unwrap();
        wait(0.1).await;
        let (store, _) = world.crash().await;
        let platform = Platform::new([]);
        let world = World::start_at(BEGIN - DAY, store, platform, Delivery::default());
        let asked = retry_after.unwrap_or_default().as_secs_f64();
        wait((asked - 0.1).max(0.0)).await;
        assert!(asked == 0.0 || world.platform.lines().is_empty(), "what was asked for holds");
        wait(longest - asked + 0.2).await;
        assert_eq!(world.platform.lines(), ["c: [1] a"]);
        world.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_is_due_waits_for_its_turn_without_spinning() {
    let script = [failed(FailureKind::Transient, None), ok_after(30.0)];
    let world = World::start(store(), Platform::new(script), Delivery::default());
    world.act("s1", "a").await;
    world.link("s1", "c1").await.unwrap();
    wait(0.1).await;
    world.act("s2", "b").await;
    world.link("s2", "c2").await.unwrap();
    // Paused time stands still while anything spins: this wait would never end.
    wait(20.0).await;
    assert_eq!(world.platform.lines(), ["c1: [1] a", "c2: [1] b"]);
    wait(20.0).await;
    assert_eq!(world.platform.lines().last().unwrap(), "c1: [1] a");
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_taken_of_a_product_that_is_gone_is_sent_once_all_the_same() {
    let world = World::start(store(), Platform::new([crashed()]), Delivery::default());
    world.act("s", "a").await;
    world.link("s", "c").await.unwrap();
    world.act("s", "b").await;
    let (store, _) = world.crash().await;
    let other = Product::of(vec!["bot".into()], Delivery::default());
    let mut gone = Settings::of_products([(product("other"), other)]);
    gone.jitter = || 1.0;
    let world = World::start_with(BEGIN + 5.0, store, Platform::new([]), gone);
    wait(60.0).await;
    assert_eq!(world.platform.lines(), ["c: [1] a", "c: [1] b"]);
    assert_eq!((world.rows(Table::Open).await, world.rows(Table::Outbox).await), (0, 0));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_outlives_its_session_and_one_of_the_same_name() {
    let script = (0..2).map(|_| failed(FailureKind::Permanent, None));
    let world = World::start(store(), Platform::new(script), Delivery::default());
    for text in ["first", "second"] {
        world.act("s", text).await;
        world.link("s", "c").await.unwrap();
        wait(25.0 * 3600.0).await;
        assert_eq!(world.rows(Table::Session).await, 0);
    }
    let dead = world.dead().await;
    let texts: Vec<_> = dead.iter().map(|dead| dead.note.actions.list()[0].description).collect();
    assert_eq!(texts, ["first", "second"]);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_expires_with_its_session_is_counted_as_dropped() {
    let world = World::start(store(), Platform::new([]), Delivery::default());
    world.act("s", "a").await;
    world.act("s", "b").await;
    let (store, _) = world.crash().await;
    let platform = Platform::new([]);
    let world =
        World::start_with(BEGIN + 2.0 * DAY, store, platform, settings(&Delivery::default()));
    wait(60.0).await;
    assert_eq!(world.rows(Table::Open).await, 0);
    assert_eq!(world.handle.counters().dropped_window.get(), 2);
    world.end().await;
}

fn store() -> Arc<dyn Store> {
    fresh_store()
}
