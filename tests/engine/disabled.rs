//! A person has a plugin not called, and called again.

use std::sync::Arc;
use std::time::Duration;

use sidenote::access::Actor;
use sidenote::config::{Breaker, Delivery};
use sidenote::engine::people::{Act, Outcome, PluginSwitch, SwitchError, SwitchTo, audited};
use sidenote::outbox::note::FailureKind;
use sidenote::store::Store;
use sidenote_tests::fresh_store;
use sidenote_tests::world::{BEGIN, Platform, World, failed, settings, wait};

fn disabled(reason: Option<&str>) -> PluginSwitch {
    let to = SwitchTo::Disabled { reason: reason.map(str::to_owned) };
    PluginSwitch { plugin: "bot".into(), to }
}

fn enabled() -> PluginSwitch {
    PluginSwitch { plugin: "bot".into(), to: SwitchTo::Enabled }
}

fn store() -> Arc<dyn Store> {
    fresh_store()
}

#[tokio::test(start_paused = true)]
async fn nothing_is_begun_while_a_plugin_is_disabled_and_behind_it_the_order_is_kept() {
    let world = World::start(store(), Platform::new([]), Delivery::default());
    world.link("s", "c").await.expect("a link");
    world.act("s", "a").await;
    wait(3.0).await;
    let done = world.handle.switch_plugin(disabled(Some("moving"))).await.expect("it is known");
    assert!(done.changed && done.disabled.is_some());
    assert!(!world.handle.may_ask("bot"), "its webhooks and triggers wait too");
    let again = world.handle.switch_plugin(disabled(Some("moving"))).await.expect("it is known");
    assert!(!again.changed);
    for text in ["b", "c", "d"] {
        world.act("s", text).await;
        wait(600.0).await;
    }
    world.act("t", "e").await;
    world.link("t", "c2").await.expect("links are made all the same");
    wait(600.0).await;
    assert_eq!(world.platform.lines(), ["c: [1] a"]);
    let state = &world.handle.accounts()[0];
    assert_eq!((state.breaker, state.failures), ("closed", 0));
    assert!(world.dead().await.is_empty());

    let done = world.handle.switch_plugin(enabled()).await.expect("it is known");
    assert!(done.changed && done.disabled.is_none() && world.handle.may_ask("bot"));
    wait(5.0).await;
    let lines = world.platform.lines();
    let of_s: Vec<_> = lines.iter().filter(|line| line.starts_with("c: ")).collect();
    assert_eq!(
        of_s,
        ["c: [1] a", "c: [1] b", "c: [1] c|[2] d"],
        "the first at once, then what gathered"
    );
    assert!(lines.contains(&"c2: [1] e".to_owned()), "{lines:?}");
    assert!(world.platform.posts().iter().all(|post| post.call.attempt == 1), "none was burned");
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn it_holds_over_a_crash_and_other_settings_and_a_retry_opens_nothing() {
    let store = store();
    let world = World::start(store.clone(), Platform::new([]), Delivery::default());
    world.handle.switch_plugin(disabled(None)).await.expect("it is known");
    world.link("s", "c").await.expect("a link");
    world.act("s", "a").await;
    let (store, _) = world.crash().await;
    let other = settings(&Delivery::default()).with_breaker("bot", Breaker::default());
    let world = World::start_with(BEGIN + 10.0, store, Platform::new([]), other);
    wait(60.0).await;
    assert!(world.handle.disabled("bot").is_some());
    assert!(world.platform.lines().is_empty());
    world.handle.switch_plugin(enabled()).await.expect("it is known");
    wait(5.0).await;
    assert_eq!(world.platform.lines(), ["c: [1] a"]);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_too_long_becomes_a_dead_letter_all_the_same() {
    let rules = Delivery { max_age: Duration::from_secs(3600), ..Delivery::default() };
    let world = World::start(store(), Platform::new([]), rules);
    world.handle.switch_plugin(disabled(None)).await.expect("it is known");
    world.act("s", "a").await;
    world.link("s", "c").await.expect("a link");
    wait(3500.0).await;
    assert!(world.dead().await.is_empty());
    wait(200.0).await;
    let dead = world.dead().await;
    assert_eq!((dead.len(), dead[0].attempts), (1, 0));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn enabling_closes_a_breaker_that_gave_up_too() {
    let days = Duration::from_secs(7200);
    let breaker = Breaker { failures: 1, disable_after: days, ..Breaker::default() };
    let failing = (0..1000).map(|_| failed(FailureKind::Transient, None));
    let settings = settings(&Delivery { max_attempts: 9999, ..Delivery::default() });
    let settings = settings.with_breaker("bot", breaker);
    let world = World::start_with(BEGIN, store(), Platform::new(failing), settings);
    world.act("s", "a").await;
    world.link("s", "c").await.expect("a link");
    wait(4.0 * 3600.0).await;
    assert_eq!(world.handle.accounts()[0].breaker, "disabled");
    assert!(world.handle.switch_plugin(enabled()).await.expect("it is known").changed);
    // The next call is made at once, and fails as the others did.
    assert_ne!(world.handle.accounts()[0].breaker, "disabled");
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn who_did_it_is_on_record_and_not_what_they_said() {
    let store = store();
    let world = World::start(store.clone(), Platform::new([]), Delivery::default());
    let ops = world.handle.on_behalf_of(Actor::Token);
    ops.switch_plugin(disabled(Some("canary"))).await.expect("it is known");
    ops.switch_plugin(enabled()).await.expect("it is known");
    let unknown = PluginSwitch { plugin: "other".into(), to: SwitchTo::Enabled };
    assert_eq!(ops.switch_plugin(unknown).await, Err(SwitchError::Unknown));
    let rows = audited(&*store, 10, None).await.expect("the store is there").rows;
    let [unknown, on, off] = &*rows else { panic!("{rows:?}") };
    assert_eq!(unknown.outcome, Outcome::refused("unknown_plugin"));
    assert_eq!(on.act, Act::PluginEnabled { plugin: "bot".into() });
    assert_eq!(off.act, Act::PluginDisabled { plugin: "bot".into(), reason: true });
    assert!(!format!("{rows:?}").contains("canary"));
    world.end().await;
}
