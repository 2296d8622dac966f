//! Several engines in one process: what holds for a platform holds for all of them together.

use std::sync::Arc;
use std::time::Duration;

use sidenote::config::{Breaker, Delivery};
use sidenote::engine::{Gate, Settings};
use sidenote::outbox::note::{FailureKind, LimitScope};
use sidenote::store::Store;
use sidenote_tests::fresh_store;
use sidenote_tests::world::{Answer, Platform, World, failed, limited, ok_after, settings, wait};

const MINUTE: Duration = Duration::from_secs(60);

/// So many engines with a store each, one platform and one gate.
fn engines(n: usize, script: Vec<Answer>, settings: Settings) -> Vec<World> {
    let settings = Arc::new(settings);
    let (gate, platform) = (Gate::new(settings.clone()), Platform::new(script));
    let start = |_| {
        let store: Arc<dyn Store> = fresh_store();
        World::start_through(&gate, store, platform.clone(), settings.clone())
    };
    (0..n).map(start).collect()
}

/// A person with a conversation and something to post, at each engine.
async fn people(worlds: &[World], name: &str) {
    for (n, world) in worlds.iter().enumerate() {
        world.act(&format!("{name}{n}"), "a").await;
        world.link(&format!("{name}{n}"), &format!("c-{name}{n}")).await.expect("a link");
    }
}

fn begun(worlds: &[World]) -> Vec<u64> {
    worlds[0].platform.posts().iter().map(|post| post.at.as_secs()).collect()
}

#[tokio::test(start_paused = true)]
async fn the_slots_of_a_plugin_are_everybodys_and_none_waits_for_ever() {
    let slow = (0..40).map(|_| ok_after(1.0)).collect();
    let worlds = engines(3, slow, settings(&Delivery::default()).with_concurrency("bot", 1));
    for name in ["a", "b", "c", "d"] {
        people(&worlds, name).await;
    }
    wait(5.0).await;
    let posts = worlds[0].platform.posts();
    assert_eq!(posts.len(), 12, "four slots, twelve notes of a second each");
    for post in &posts {
        let during = |other: &&sidenote_tests::world::Seen| {
            other.at <= post.at && other.end.is_none_or(|end| end > post.at)
        };
        assert!(posts.iter().filter(during).count() <= 4, "more calls than slots at {:?}", post.at);
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_one_engine_meets_holds_the_others_too() {
    let script = vec![limited(LimitScope::Account, MINUTE)];
    let worlds = engines(2, script, settings(&Delivery::default()).with_concurrency("bot", 2));
    people(&worlds[..1], "a").await;
    wait(1.0).await;
    people(&worlds, "b").await;
    wait(50.0).await;
    assert_eq!(begun(&worlds), [0], "the platform asked for a pause");
    wait(30.0).await;
    assert_eq!(begun(&worlds).len(), 4);
    assert!(begun(&worlds)[1..].iter().all(|at| *at >= 60), "{:?}", begun(&worlds));
}

#[tokio::test(start_paused = true)]
async fn of_all_engines_one_asks_whether_a_platform_that_is_down_answers_again() {
    let down = (0..30).map(|_| failed(FailureKind::Transient, None)).collect();
    let breaker =
        Breaker { failures: 3, pause_initial: MINUTE, pause_max: MINUTE, ..Breaker::default() };
    let rules = Delivery { retry_max: Duration::from_secs(1), ..Delivery::default() };
    let settings = settings(&rules).with_breaker("bot", breaker).with_concurrency("bot", 4);
    let worlds = engines(4, down, settings);
    people(&worlds, "a").await;
    wait(10.0).await;
    let before = begun(&worlds).len();
    assert!(before >= 3, "it opens after three failures");
    wait(65.0).await;
    assert_eq!(begun(&worlds).len(), before + 1, "one probe, whoever has something to send");
    worlds[0].platform.recover();
    wait(70.0).await;
    assert_eq!(worlds[0].platform.lines().len(), begun(&worlds).len());
    for world in &worlds {
        assert_eq!(world.handle.accounts()[0].breaker, "closed");
    }
    let delivered = worlds[0].platform.posts().iter().filter(|post| post.ok).count();
    assert_eq!(delivered, 4);
}
