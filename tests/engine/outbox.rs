//! Notes whose outcome isn't known, what is remembered of sent ones, what expires.

use std::sync::Arc;
use std::time::Duration;

use sidenote::config::Delivery;
use sidenote::engine::core::rows::decode;
use sidenote::outbox::note::{Crash, FailureKind, PostError, SentNote};
use sidenote::store::{Store, Table};
use sidenote_tests::fresh_store;
use sidenote_tests::world::{
    Answer, BEGIN, Platform, World, crashed, failed, ok_after, settings, wait,
};

fn memory() -> Arc<dyn Store> {
    fresh_store()
}

async fn one_note(world: &World) -> String {
    world.act("s", "a").await;
    world.link("s", "c").await.expect("a link");
    wait(0.1).await;
    world.platform.posts()[0].call.idempotency_key.clone()
}

#[tokio::test(start_paused = true)]
async fn a_note_that_the_platform_has_is_not_sent_again() {
    let world = World::start(memory(), Platform::new([crashed()]), Delivery::default());
    let key = one_note(&world).await;
    world.platform.finds([key.clone()]);
    wait(10.0).await;
    assert_eq!(world.platform.asked(), [key]);
    assert_eq!(world.platform.lines().len(), 1);
    let counters = world.handle.counters();
    assert_eq!((counters.notes_posted.get(), counters.notes_found.get()), (1, 1));
    let sent = world.store.scan(Table::Sent, None, 10).await.unwrap();
    let sent: SentNote = decode(&sent[0].1).unwrap();
    assert_eq!(sent.note_id.as_deref(), Some("found"));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_note_that_the_platform_does_not_have_is_sent_again_under_its_key() {
    let world = World::start(memory(), Platform::new([crashed()]), Delivery::default());
    world.platform.finds([]);
    let key = one_note(&world).await;
    wait(10.0).await;
    assert_eq!(world.platform.asked(), std::slice::from_ref(&key));
    let keys: Vec<_> =
        world.platform.posts().iter().map(|post| post.call.idempotency_key.clone()).collect();
    assert_eq!(keys, [key.clone(), key]);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_platform_is_asked_after_a_crash_of_the_host_and_not_after_a_clear_refusal() {
    let platform = Platform::new([failed(FailureKind::Transient, None), ok_after(3600.0)]);
    platform.finds([]);
    let world = World::start(memory(), platform, Delivery::default());
    one_note(&world).await;
    wait(10.0).await;
    assert_eq!(world.platform.asked(), Vec::<String>::new(), "nothing was sent");
    let (store, _) = world.crash().await;
    let platform = Platform::new([]);
    platform.finds([]);
    let world = World::start(store, platform, Delivery::default());
    wait(1.0).await;
    assert_eq!(world.platform.asked().len(), 1);
    assert_eq!(world.end().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn sent_notes_are_remembered_up_to_a_bound_and_go_with_their_session() {
    let platform = Platform::new([]);
    let world = World::start(memory(), platform, Delivery::default());
    one_note(&world).await;
    for n in 0..1100 {
        world.act("s", &n.to_string()).await;
        wait(0.2).await;
    }
    assert_eq!(world.rows(Table::Sent).await, 1024);
    wait(26.0 * 3600.0).await;
    assert_eq!((world.rows(Table::Session).await, world.rows(Table::Sent).await), (0, 0));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn dead_letters_expire_after_their_retention() {
    let mut settings = settings(&Delivery::default());
    settings.retention.dead_letters = Duration::from_secs(48 * 3600);
    let script: Vec<Answer> = vec![failed(FailureKind::Invalid, None)];
    let world = World::start_with(BEGIN, memory(), Platform::new(script), settings);
    one_note(&world).await;
    wait(47.0 * 3600.0).await;
    assert_eq!(world.rows(Table::Dead).await, 1);
    wait(2.0 * 3600.0).await;
    assert_eq!(world.rows(Table::Dead).await, 0);
    assert_eq!(world.handle.counters().dead_expired.get(), 1);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_note_behind_one_that_expires_gets_its_turn() {
    let rules = Delivery {
        max_age: Duration::from_secs(100),
        retry_initial: Duration::from_secs(60),
        retry_max: Duration::from_secs(60),
        ..Delivery::default()
    };
    let unavailable = || {
        let message = "gone".to_owned();
        (Duration::ZERO, Err(PostError::Unavailable { message }))
    };
    let world = World::start(memory(), Platform::new([unavailable(), unavailable()]), rules);
    one_note(&world).await;
    wait(30.0).await;
    world.act("s", "b").await;
    wait(80.0).await;
    assert_eq!(world.dead().await.len(), 1);
    assert_eq!(world.platform.lines().last().map(String::as_str), Some("c: [1] b"));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_trap_counts_towards_poison_and_a_timeout_does_not() {
    let end = |crash| (Duration::ZERO, Err(PostError::Crashed { crash, message: String::new() }));
    let script = [end(Crash::Timeout), end(Crash::Timeout), end(Crash::Timeout), end(Crash::Cpu)];
    let world = World::start(memory(), Platform::new(script), Delivery::default());
    one_note(&world).await;
    wait(60.0).await;
    assert_eq!((world.dead().await, world.handle.counters().notes_posted.get()), (vec![], 1));
    world.end().await;
}
