//! What holds for all that one plugin sends: the platform's limits and the breaker.

use std::sync::Arc;
use std::time::Duration;

use sidenote::config::{Breaker, Delivery};
use sidenote::engine::Settings;
use sidenote::outbox::note::{Crash, FailureKind, LimitScope, Pause, PostError, Posted};
use sidenote::store::Store;
use sidenote_tests::fresh_store;
use sidenote_tests::world::{Answer, BEGIN, Platform, World, failed, limited, settings, wait};

const MINUTE: Duration = Duration::from_secs(60);

fn rules() -> Delivery {
    Delivery { max_attempts: 3, retry_max: Duration::from_secs(1), ..Delivery::default() }
}

fn with_breaker(breaker: Breaker) -> Settings {
    settings(&rules()).with_breaker("bot", breaker)
}

fn start(store: &Arc<dyn Store>, wall: f64, script: Vec<Answer>, settings: Settings) -> World {
    World::start_with(wall, store.clone(), Platform::new(script), settings)
}

fn memory() -> Arc<dyn Store> {
    fresh_store()
}

fn down(times: usize) -> Vec<Answer> {
    (0..times).map(|_| failed(FailureKind::Transient, None)).collect()
}

/// Several people with a conversation each, and something to post for each.
async fn people(world: &World, names: &[&str]) {
    for name in names {
        world.act(name, "a").await;
        world.link(name, &format!("c-{name}")).await.expect("a link");
    }
}

fn begun(world: &World) -> Vec<u64> {
    world.platform.posts().iter().map(|post| post.at.as_secs()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_the_account_holds_everybodys_notes_and_none_is_early() {
    let store = memory();
    let script = vec![limited(LimitScope::Account, MINUTE)];
    let world = start(&store, BEGIN, script, settings(&rules()));
    people(&world, &["a", "b", "c"]).await;
    wait(59.0).await;
    assert_eq!(begun(&world), [0], "the platform asked for a pause");
    wait(10.0).await;
    assert!(begun(&world)[1..].iter().all(|at| *at >= 60), "{:?}", begun(&world));
    assert_eq!(world.end().await.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_limit_outlives_a_crash_of_the_host() {
    let store = memory();
    let script = vec![limited(LimitScope::Account, MINUTE)];
    let world = start(&store, BEGIN, script, settings(&rules()));
    people(&world, &["a"]).await;
    wait(20.0).await;
    let (store, _) = world.crash().await;
    let world = start(&store, BEGIN + 20.0, Vec::new(), settings(&rules()));
    people(&world, &["b"]).await;
    wait(39.0).await;
    assert_eq!(begun(&world), Vec::<u64>::new());
    wait(10.0).await;
    assert_eq!(world.end().await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_a_conversation_holds_nobody_else() {
    let store = memory();
    let script = vec![limited(LimitScope::Conversation, MINUTE)];
    let world = start(&store, BEGIN, script, settings(&rules()));
    people(&world, &["a"]).await;
    wait(0.1).await;
    people(&world, &["b"]).await;
    // Another session of the limited conversation.
    world.act("a2", "a").await;
    world.link("a2", "c-a").await.unwrap();
    wait(59.0).await;
    assert_eq!(world.platform.lines(), ["c-a: [1] a", "c-b: [1] a"]);
    wait(10.0).await;
    assert_eq!(world.end().await.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_comes_with_a_success_is_kept() {
    let pause = Pause { time: MINUTE, scope: LimitScope::Account };
    let posted = Posted { note_id: None, pause: Some(pause) };
    let world = start(&memory(), BEGIN, vec![(Duration::ZERO, Ok(posted))], settings(&rules()));
    people(&world, &["a", "b"]).await;
    wait(59.0).await;
    assert_eq!(begun(&world), [0]);
    wait(10.0).await;
    assert_eq!(world.end().await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn actions_gather_in_one_note_while_the_platform_takes_none() {
    let world = start(
        &memory(),
        BEGIN,
        vec![limited(LimitScope::Account, MINUTE)],
        settings(&Delivery { max_note_actions: 5, max_gathered_actions: 20, ..rules() }),
    );
    people(&world, &["a"]).await;
    for n in 0..28 {
        world.act("a", &n.to_string()).await;
        wait(1.0).await;
    }
    assert_eq!(world.handle.counters().notes_sealed.get(), 2, "the first, and one that was full");
    wait(60.0).await;
    let sizes: Vec<_> = world.platform.posts().iter().map(|post| post.note.actions.len()).collect();
    assert_eq!(sizes, [1, 1, 20, 8], "the held one twice, then what gathered");
    assert_eq!(world.handle.counters().notes_gathered.get(), 2);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn actions_gather_behind_a_note_that_is_tried_again_too() {
    let rules = Delivery { retry_initial: MINUTE, retry_max: MINUTE, ..rules() };
    let world = start(&memory(), BEGIN, down(1), settings(&rules));
    people(&world, &["a"]).await;
    for n in 0..10 {
        world.act("a", &n.to_string()).await;
        wait(1.0).await;
    }
    wait(120.0).await;
    let sizes: Vec<_> = world.platform.posts().iter().map(|post| post.note.actions.len()).collect();
    assert_eq!(sizes, [1, 1, 10]);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_platform_that_is_down_is_asked_by_one_call_at_a_time_and_no_note_dies_of_it() {
    let breaker = Breaker { failures: 3, ..Breaker::default() };
    let world = start(&memory(), BEGIN, down(20), with_breaker(breaker));
    people(&world, &["a", "b", "c", "d", "e"]).await;
    wait(1500.0).await;
    assert_eq!(world.dead().await, [], "twenty failures, and a note may fail three times");
    assert_eq!(world.handle.counters().notes_posted.get(), 5);
    assert_eq!(world.handle.counters().breakers_opened.get(), 1);
    let begun = begun(&world);
    let probes = &begun[3..20];
    assert!(probes.windows(2).all(|pair| pair[0] < pair[1]), "one at a time: {begun:?}");
    assert!(probes.windows(2).all(|pair| pair[1] - pair[0] <= 61), "{begun:?}");
    assert_eq!(world.handle.accounts()[0].breaker, "closed");
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_is_seen_and_outlives_a_crash() {
    let breaker = Breaker { failures: 2, pause_initial: MINUTE, ..Breaker::default() };
    let store = memory();
    let world = start(&store, BEGIN, down(2), with_breaker(breaker));
    people(&world, &["a", "b", "c"]).await;
    wait(5.0).await;
    assert_eq!(begun(&world), [0, 0]);
    let shown = &world.handle.accounts()[0];
    assert_eq!((&*shown.plugin, shown.breaker, shown.failures), ("bot", "open", 2));
    let (store, _) = world.crash().await;
    let world = start(&store, BEGIN + 5.0, Vec::new(), with_breaker(breaker));
    wait(20.0).await;
    assert_eq!(begun(&world), Vec::<u64>::new());
    wait(60.0).await;
    assert_eq!(world.end().await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_plugin_without_a_success_for_days_is_disabled_until_a_person_enables_it() {
    let breaker = Breaker { failures: 1, disable_after: MINUTE * 5, ..Breaker::default() };
    let rules = Delivery { max_age: MINUTE * 60, ..rules() };
    let world = start(&memory(), BEGIN, down(1000), settings(&rules).with_breaker("bot", breaker));
    people(&world, &["a"]).await;
    wait(1000.0).await;
    let tried = begun(&world).len();
    assert_eq!(world.handle.accounts()[0].breaker, "disabled");
    assert_eq!(world.handle.counters().plugins_disabled.get(), 1);
    wait(1000.0).await;
    assert_eq!(begun(&world).len(), tried, "nobody is asked");
    wait(3600.0).await;
    let dead = world.dead().await;
    assert!(dead[0].reason.starts_with("expired"), "{}", dead[0].reason);

    world.platform.recover();
    let notes = vec![sidenote::engine::NoteRef::note(dead[0].note.key.clone(), 1)];
    let decided = world.handle.decide(sidenote::engine::Decision::Retry, notes).await.unwrap();
    assert_eq!(decided, 1);
    wait(1.0).await;
    assert_eq!(world.handle.counters().notes_posted.get(), 1);
    assert_eq!(world.handle.counters().plugins_disabled.get(), 0);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_platform_that_refuses_notes_one_by_one_is_not_down() {
    let breaker = Breaker { failures: 2, ..Breaker::default() };
    let refusals = (0..20).map(|_| failed(FailureKind::NotFound, None)).collect();
    let world = start(&memory(), BEGIN, refusals, with_breaker(breaker));
    for n in 0..20 {
        let name = format!("s{n}");
        people(&world, &[&name]).await;
    }
    wait(5.0).await;
    assert_eq!(world.dead().await.len(), 20);
    assert_eq!(world.handle.counters().breakers_opened.get(), 0);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn calls_that_time_out_open_the_breaker_and_make_no_note_poison() {
    let breaker = Breaker { failures: 4, ..Breaker::default() };
    let timeout = || {
        let message = "no answer".to_owned();
        (Duration::from_secs(20), Err(PostError::Crashed { crash: Crash::Timeout, message }))
    };
    let rules = Delivery { max_attempts: 20, ..rules() };
    let script = (0..12).map(|_| timeout()).collect();
    let world = start(&memory(), BEGIN, script, settings(&rules).with_breaker("bot", breaker));
    people(&world, &["a"]).await;
    wait(1200.0).await;
    assert_eq!(world.dead().await, []);
    assert_eq!(world.handle.counters().notes_posted.get(), 1);
    assert_eq!(world.handle.counters().breakers_opened.get(), 1);
    world.end().await;
}

/// A limit whose length is none: no time, one that is past, or nothing said.
fn limit_of_no_length(n: usize) -> Answer {
    match n % 3 {
        0 => limited(LimitScope::Account, Duration::ZERO),
        1 => failed(FailureKind::RateLimited, None),
        _ => limited(LimitScope::Account, Duration::from_millis(1)),
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_asks_for_no_wait_shortens_no_pause_of_the_hosts_own() {
    let rules = Delivery { max_attempts: 2, ..Delivery::default() };
    let store = memory();
    let settings = || settings(&rules).with_concurrency("bot", 4);
    let script = (0..5000).map(limit_of_no_length).collect();
    let world = start(&store, BEGIN, script, settings());
    let names: Vec<_> = (0..20).map(|n| format!("s{n}")).collect();
    people(&world, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    wait(5.0).await;
    let first = begun(&world).len();
    assert!(first <= 16 + 20, "{first} requests in 5 s");
    wait(3600.0).await;
    let hour = begun(&world).len();
    assert!(hour <= 20 * 20, "{hour} requests in an hour");
    assert!(begun(&world)[hour - 1] > 3000, "it goes on asking");
    assert_eq!(world.dead().await, [], "a limit uses up no attempt");
    assert_eq!(world.handle.counters().breakers_opened.get(), 0);

    // A restart asks no sooner either, and a link event hurries nothing.
    let (store, _) = world.crash().await;
    let script = (0..5000).map(limit_of_no_length).collect();
    let world = start(&store, BEGIN + 3605.0, script, settings());
    for name in &names {
        world.link(name, &format!("c-{name}")).await.expect("a link");
    }
    wait(20.0).await;
    let again = begun(&world).len();
    assert!(again <= 20, "{again} requests after a restart");
    world.platform.recover();
    wait(1300.0).await;
    assert_eq!(world.handle.counters().notes_posted.get(), 20);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_pauses_after_a_limit_start_over_when_the_platform_takes_something() {
    let none = || limited(LimitScope::Account, Duration::ZERO);
    let mut script: Vec<_> = (0..6).map(|_| none()).collect();
    script.push((Duration::ZERO, Ok(Posted { note_id: None, pause: None })));
    script.push(none());
    let world = start(&memory(), BEGIN, script, settings(&rules()));
    people(&world, &["a"]).await;
    wait(120.0).await;
    let begun_at = begun(&world);
    assert_eq!(begun_at.len(), 7, "{begun_at:?}");
    assert!(begun_at[6] - begun_at[5] >= 16, "they grew: {begun_at:?}");
    people(&world, &["b"]).await;
    wait(5.0).await;
    let after = begun(&world);
    assert_eq!(after.len(), 9, "{after:?}");
    assert!(after[8] - after[7] <= 2, "they started over: {after:?}");
    world.end().await;
}
