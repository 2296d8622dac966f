//! Settings that are changed while the engine runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use sidenote::config::{Breaker, Delivery, History, Product};
use sidenote::engine::{Closed, Settings, Unchanged};
use sidenote::outbox::note::FailureKind;
use sidenote::store::{Store, Table};
use sidenote_tests::fresh_store;
use sidenote_tests::world::{
    BEGIN, Platform, World, action, batch, failed, ok_after, product, settings, wait,
};

const PATIENCE: Duration = Duration::from_secs(1);

fn memory() -> Arc<dyn Store> {
    fresh_store()
}

fn slow() -> Delivery {
    let (debounce, max_wait) = (Duration::from_secs(60), Duration::from_secs(600));
    Delivery { debounce, max_wait, ..Delivery::default() }
}

/// Only product `q`.
fn without_p(rules: &Delivery) -> Settings {
    let served = Product::of(vec!["bot".into()], rules.clone());
    let mut settings = Settings::of_products([(product("q"), served)]);
    settings.jitter = || 1.0;
    settings
}

async fn change(world: &World, settings: Settings) {
    world.handle.change_settings(settings, || {}, PATIENCE).await.expect("the engine runs");
}

#[tokio::test(start_paused = true)]
async fn other_rules_hold_for_what_waits_from_the_moment_in_which_they_come_into_force() {
    let world = World::start(memory(), Platform::new([]), slow());
    world.act("s", "a").await;
    world.link("s", "c").await.unwrap();
    world.act("s", "b").await;
    wait(10.0).await;
    assert_eq!(world.platform.lines(), ["c: [1] a"], "the second one waits for its minute");
    change(&world, settings(&Delivery::default())).await;
    wait(0.2).await;
    assert_eq!(world.platform.lines(), ["c: [1] a", "c: [1] b"]);
    assert_eq!(world.end().await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_was_handed_over_before_goes_by_the_settings_before() {
    let world = World::start(memory(), Platform::new([]), Delivery::default());
    // Both are in the engine's inbox before it comes to look at either.
    let handed = world.handle.accept_committed(batch("s", [action("a")]), 100);
    let changed = world.handle.change_settings(without_p(&slow()), || {}, PATIENCE);
    let (handed, changed) = tokio::join!(handed, changed);
    assert_eq!((handed, changed), (Ok(()), Ok(())));
    assert_eq!(world.handle.counters().actions_accepted.get(), 1);
    assert_eq!(world.handle.counters().dropped_unknown_product.get(), 0);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_swap_is_done_in_the_moment_of_the_change_and_once() {
    let world = World::start(memory(), Platform::new([]), Delivery::default());
    let swaps = Arc::new(AtomicU32::new(0));
    let (counted, seen) = (swaps.clone(), world.handle.clone());
    let swap = move || {
        assert!(seen.settings().product(&product("p")).is_some(), "the ones before are in force");
        counted.fetch_add(1, SeqCst);
    };
    world.handle.change_settings(without_p(&slow()), swap, PATIENCE).await.unwrap();
    assert_eq!(swaps.load(SeqCst), 1);
    assert!(world.handle.settings().product(&product("p")).is_none());
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_product_that_is_removed_and_added_again_loses_nothing_of_what_was_taken() {
    let down = (0..1000).map(|_| failed(FailureKind::Transient, None));
    let rules = Delivery { max_attempts: 1000, ..Delivery::default() };
    let world = World::start(memory(), Platform::new(down), rules.clone());
    world.act("s", "a").await;
    world.link("s", "c").await.unwrap();
    world.act("s", "b").await;
    wait(5.0).await;
    change(&world, without_p(&rules)).await;
    let refused = world.handle.accept_committed(batch("s", [action("lost")]), 100).await;
    assert_eq!(refused, Ok(()), "it isn't served, which is counted");
    assert_eq!(world.handle.counters().dropped_unknown_product.get(), 1);
    wait(60.0).await;
    change(&world, settings(&rules)).await;
    world.platform.recover();
    world.act("s", "d").await;
    wait(700.0).await;
    let sent: Vec<_> = world.platform.posts().into_iter().filter(|seen| seen.ok).collect();
    let bodies: Vec<_> = sent.iter().map(|seen| seen.note.body.as_str()).collect();
    assert!(bodies[0].ends_with("[1] a"), "{bodies:?}");
    let rest = bodies[1..].join("\n");
    let (b, d) = (rest.find("] b"), rest.find("] d"));
    assert!(b.is_some() && b < d, "{bodies:?}");
    assert!(!rest.contains("lost"), "{bodies:?}");
    assert!(world.dead().await.is_empty());
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_plugin_gets_and_loses_its_breaker_with_the_settings() {
    let down = (0..1000).map(|_| failed(FailureKind::Transient, None));
    let retry_max = Duration::from_secs(1);
    let rules = Delivery { retry_max, max_attempts: 1000, ..Delivery::default() };
    let world = World::start(memory(), Platform::new(down), rules.clone());
    world.act("s", "a").await;
    world.link("s", "c").await.unwrap();
    wait(30.0).await;
    let before = world.platform.posts().len();
    assert!(before > 15, "{before}: without a breaker each second is one try");
    let breaker =
        Breaker { failures: 1, pause_initial: Duration::from_secs(60), ..Breaker::default() };
    change(&world, settings(&rules).with_breaker("bot", breaker)).await;
    wait(30.0).await;
    let held = world.platform.posts().len() - before;
    assert!(held <= 2, "{held}: the breaker holds it back");
    assert_eq!(world.handle.accounts()[0].breaker, "open");
    change(&world, settings(&rules)).await;
    assert_eq!(world.handle.accounts()[0].breaker, "closed");
    world.platform.recover();
    wait(2.0).await;
    assert!(world.platform.posts().last().unwrap().ok);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn more_room_is_used_at_once() {
    let slow = (0..8).map(|_| ok_after(1000.0));
    let world = World::start(memory(), Platform::new(slow), Delivery::default());
    for n in 0..4 {
        world.act(&format!("s{n}"), "a").await;
        world.link(&format!("s{n}"), &format!("c{n}")).await.unwrap();
    }
    wait(10.0).await;
    assert_eq!(world.platform.posts().len(), 1, "one call at a time");
    change(&world, settings(&Delivery::default()).with_concurrency("bot", 1)).await;
    wait(1.0).await;
    assert_eq!(world.platform.posts().len(), 4);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_history_that_is_switched_off_and_on_again_knows_what_is_stored() {
    let rules = Delivery::default();
    let keeping = |most| {
        let history = History { max_actions: most, ..History::default() };
        settings(&rules).with_history(history)
    };
    let world = World::start_with(BEGIN, memory(), Platform::new([]), keeping(2));
    world.act("s", "a").await;
    change(&world, settings(&rules)).await;
    world.act("s", "unkept").await;
    assert_eq!(world.rows(Table::History).await, 1);
    change(&world, keeping(2)).await;
    world.act("s", "b").await;
    world.act("s", "c").await;
    assert_eq!(world.rows(Table::History).await, 2, "the oldest made room");
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_has_ended_says_so() {
    let world = World::start(memory(), Platform::new([]), Delivery::default());
    let handle = world.handle.clone();
    world.end().await;
    let changed = handle.change_settings(without_p(&slow()), || panic!("never"), PATIENCE).await;
    assert_eq!(changed, Err(Unchanged::Closed));
    assert_eq!(handle.accept_committed(batch("s", [action("a")]), 1).await, Err(Closed));
}
