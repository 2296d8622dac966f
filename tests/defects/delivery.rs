//! The rows that the engine answers for: what is posted, when, in which order, and what is kept.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use sidenote::config::{Delivery, Product};
use sidenote::engine::Settings;
use sidenote::engine::link::{LinkCommand, LinkError, LinkEvent, LinkMode, Who};
use sidenote::ids::{SessionId, SessionKey};
use sidenote::outbox::note::{FailureKind, PostError};
use sidenote::session::payload::ActionsPayload;
use sidenote::store::{MemoryStore, Table};
use sidenote_tests::world::{
    Answer, BEGIN, Platform, Seen, World, action, batch, crashed, embedded, failed, ok_after,
    product, wait, wish,
};

pub(crate) fn world(script: impl IntoIterator<Item = Answer>) -> World {
    World::start(Arc::new(MemoryStore::new()), Platform::new(script), Delivery::default())
}

fn unavailable() -> Answer {
    (Duration::ZERO, Err(PostError::Unavailable { message: "no such plugin".to_owned() }))
}

/// Whether no post was cut off.
fn none_cut_off(world: &World) -> bool {
    world.platform.posts().iter().all(|post| post.end.is_some())
}

#[tokio::test(start_paused = true)]
async fn d02_a_failed_flush_keeps_the_batch() {
    let failures = [
        failed(FailureKind::Transient, None),
        failed(FailureKind::Auth, None),
        failed(FailureKind::RateLimited, Some(Duration::from_secs(5))),
        crashed(),
        unavailable(),
    ];
    for failure in failures {
        let world = world([failure.clone()]);
        world.link("s", "c").await.unwrap();
        world.act("s", "a").await;
        wait(0.2).await;
        world.act("s", "b").await;
        wait(20.0).await;
        assert_eq!(world.platform.lines(), ["c: [1] a", "c: [1] a", "c: [1] b"], "{failure:?}");
        let posts = world.platform.posts();
        assert_eq!(posts[0].call.idempotency_key, posts[1].call.idempotency_key);
        assert_eq!(posts[0].note, posts[1].note, "a sealed note never changes");
        world.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn d02_attempts_back_off_are_bounded_and_what_is_given_up_is_kept_and_counted() {
    let rules =
        Delivery { max_attempts: 5, retry_max: Duration::from_secs(4), ..Delivery::default() };
    let platform = Platform::new((0..5).map(|_| failed(FailureKind::Transient, None)));
    let world = World::start(Arc::new(MemoryStore::new()), platform, rules);
    world.link("s", "c").await.unwrap();
    world.act("s", "a").await;
    wait(0.2).await;
    world.act("s", "b").await;
    wait(60.0).await;
    let posts = world.platform.posts();
    let pauses: Vec<_> =
        posts[..5].windows(2).map(|two| (two[1].at - two[0].at).as_secs()).collect();
    assert_eq!(pauses, [1, 2, 4, 4]);
    assert_eq!(world.handle.counters().notes_dead.get(), 1);
    let dead = world.dead().await;
    assert_eq!((dead.len(), dead[0].note.actions.list()[0].description), (1, "a"));
    assert_eq!(world.end().await.last().unwrap(), "c: [1] b", "the lane goes on");
}

#[tokio::test]
async fn d03_a_restart_routes_from_the_stored_link() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let world = World::start(embedded(&path).await, Platform::new([]), Delivery::default());
    world.act("s", "a").await;
    world.link("s", "c").await.unwrap();
    world.act("s", "b").await;
    drop(world.crash().await);

    // Nobody links again, and far more time passed than what isn't linked is kept for.
    let world = World::start_at(
        BEGIN + 3600.0,
        embedded(&path).await,
        Platform::new([]),
        Delivery::default(),
    );
    world.act("s", "d").await;
    let lines = world.end().await;
    assert_eq!(lines.last().unwrap().rsplit("] ").next(), Some("d"));
    assert!(lines.iter().all(|line| line.starts_with("c: ")), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("] b")), "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn d09_a_post_in_flight_is_never_cancelled_by_an_action() {
    let world = world((0..8).map(|_| ok_after(1.0)));
    world.link("s", "c").await.unwrap();
    for n in 0..8 {
        world.act("s", &n.to_string()).await;
        wait(0.5).await;
    }
    wait(10.0).await;
    let posts = world.platform.posts();
    assert!(none_cut_off(&world));
    assert!(posts.windows(2).all(|two| two[0].end.unwrap() <= two[1].at), "one at a time");
    let told: Vec<_> = posts.iter().flat_map(|post| post.note.actions.unpack()).collect();
    let told: Vec<_> = told.iter().map(|action| action.description.as_str()).collect();
    assert_eq!(told, ["0", "1", "2", "3", "4", "5", "6", "7"]);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn d10_actions_during_a_flush_need_no_later_action_to_be_sent() {
    let world = world([ok_after(1.0)]);
    world.act("s", "before").await;
    world.link("s", "c").await.unwrap();
    world.act("s", "during").await;
    wait(5.0).await;
    assert_eq!(world.platform.lines(), ["c: [1] before", "c: [1] during"]);
    assert!(none_cut_off(&world));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn d10_a_move_drops_neither_what_is_scheduled_nor_what_is_in_flight() {
    let world = world([ok_after(1.0)]);
    world.act("s", "in flight").await;
    world.link("s", "c1").await.unwrap();
    wait(0.1).await;
    world.act("s", "scheduled").await;
    world.handle.link(wish("s", "c2", LinkMode::Move)).await.unwrap();
    world.act("s", "after").await;
    wait(5.0).await;
    assert_eq!(world.platform.lines(), ["c1: [1] in flight", "c1: [1] scheduled", "c2: [1] after"]);
    assert!(none_cut_off(&world));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn d11_a_failure_at_link_time_keeps_link_and_batch_and_the_next_webhook_hurries_them() {
    for failure in [crashed(), failed(FailureKind::Transient, None)] {
        let failures = vec![failure; 2];
        let world = world(failures);
        world.act("s", "a").await;
        assert_eq!(world.link("s", "c").await.unwrap().event, LinkEvent::New);
        wait(0.1).await;
        assert_eq!(world.platform.posts().len(), 1);
        assert_eq!(world.record("s").await.link.unwrap().conversation.as_str(), "c");
        assert_eq!(world.link("s", "c").await.unwrap().event, LinkEvent::ReplyExisting);
        wait(0.1).await;
        assert_eq!(world.platform.posts().len(), 2, "the webhook that is sent again is no no-op");
        wait(10.0).await;
        assert_eq!(world.platform.lines(), ["c: [1] a"; 3], "and without one it is retried too");
        world.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn d12_a_success_without_a_note_id_is_a_success() {
    let world = world([ok_after(0.0), ok_after(0.0), ok_after(0.0)]);
    world.act("s", "a").await;
    world.link("s", "c").await.unwrap();
    for text in ["b", "d"] {
        world.act("s", text).await;
        wait(1.0).await;
        world.link("s", "c").await.unwrap();
    }
    wait(600.0).await;
    assert_eq!(world.platform.lines(), ["c: [1] a", "c: [1] b", "c: [1] d"]);
    let totals = world.handle.counters().totals();
    assert_eq!((totals.notes_posted, totals.attempts_failed), (3, 0));
    assert_eq!(world.rows(Table::Outbox).await, 0);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn d13_a_wrong_client_clock_loses_nothing() {
    let world = world([]);
    let clocks =
        [json!(null), json!(0), json!(BEGIN - 1e6), json!(BEGIN + 1e6), json!(-5), json!("soon")];
    for (n, clock) in clocks.iter().enumerate() {
        let event = json!({
            "type": "actions", "product_id": "p", "session_id": "s",
            "actions": [{"description": format!("t{n}"), "timestamp_start": clock}],
        });
        let (payload, _) = ActionsPayload::from_value(&event).unwrap();
        world.take(payload).await;
        wait(19.0).await;
    }
    world.act("s", "none").await;
    world.link("s", "c").await.unwrap();
    let lines = world.end().await;
    assert_eq!(lines.len(), 1);
    for text in ["t0", "t1", "t2", "t3", "t4", "t5", "none"] {
        assert!(lines[0].contains(text), "{text} is missing in {lines:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn d13_what_waits_for_a_link_is_bounded_by_count_and_bytes_and_drops_are_counted() {
    let by_count = Delivery { pre_link_max_actions: 3, ..Delivery::default() };
    // A batch of the world is 100 bytes on the wire.
    let by_bytes = Delivery { pre_link_max_bytes: 300, ..Delivery::default() };
    for rules in [by_count, by_bytes] {
        let world = World::start(Arc::new(MemoryStore::new()), Platform::new([]), rules);
        for n in 0..10 {
            world.act("s", &n.to_string()).await;
        }
        world.link("s", "c").await.unwrap();
        assert_eq!(world.handle.counters().dropped_window.get(), 7);
        assert_eq!(world.end().await, ["c: [1] 7|[2] 8|[3] 9"]);
    }
}

#[tokio::test(start_paused = true)]
async fn d14_the_window_holds_at_link_time_too() {
    let live = world([]);
    live.act("s", "old").await;
    wait(100.0).await;
    live.act("s", "young").await;
    wait(30.0).await;
    live.link("s", "c").await.unwrap();
    assert_eq!(live.handle.counters().dropped_window.get(), 1);
    assert_eq!(live.end().await, ["c: [1] young"]);

    // The host was down meanwhile: no timer ran.
    let restarted = world([]);
    restarted.act("s", "old").await;
    let (store, _) = restarted.crash().await;
    let restarted = World::start_at(BEGIN + 121.0, store, Platform::new([]), Delivery::default());
    restarted.link("s", "c").await.unwrap();
    assert_eq!(restarted.handle.counters().dropped_window.get(), 1);
    assert_eq!(restarted.end().await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn d30_what_is_keyed_by_product_and_session_is_never_found_under_other_names() {
    // Glued together with the separator of autoplay-sdk, all four have the same name.
    let names =
        [("p\x1fs", "t"), ("p", "s\x1ft"), ("p\x1fs\x1f", "t\x1f"), ("p\x1f", "\x1fs\x1ft\x1f")];
    let rules = Delivery::default();
    let products =
        names.map(|(id, _)| (product(id), Product::of(vec!["bot".into()], rules.clone())));
    let store = Arc::new(MemoryStore::new());
    let settings = Settings::of_products(products);
    let world = World::start_with(BEGIN, store, Platform::new([]), settings);
    for (n, (product, session)) in names.into_iter().enumerate() {
        let user_id = Some(format!("{session}\x1f{product}"));
        let actions = [action(&format!("secret of {n}"))];
        let product_id = product.to_owned();
        world.take(ActionsPayload { product_id, user_id, ..batch(session, actions) }).await;
    }
    for (n, (id, session)) in names.into_iter().enumerate() {
        let key = SessionKey { product: product(id), session: SessionId::new(session).unwrap() };
        let who = Who::Session(key.clone());
        let request = LinkCommand { who, ..wish("s", &format!("c{n}"), LinkMode::Auto) };
        let linked = world.handle.link(request);
        let linked = linked.await.unwrap();
        assert_eq!((linked.key, linked.event), (key, LinkEvent::New));
    }
    let mut lines = world.end().await;
    lines.sort();
    let expected: Vec<_> = (0..4).map(|n| format!("c{n}: [1] secret of {n}")).collect();
    assert_eq!(lines, expected);
}

#[tokio::test(start_paused = true)]
async fn d36_memory_and_store_return_to_the_base_line() {
    let world = world([]);
    let counters = world.handle.counters();
    for n in 0..120 {
        let session = format!("s{n}");
        let user_id = (n % 3 > 0).then(|| format!("u{}", n % 50));
        let email = (n % 3 > 1).then(|| format!("u{}@example.com", n % 50));
        let payload = batch(&session, [action("a"), action("b")]);
        world.take(ActionsPayload { user_id, email, ..payload }).await;
        if n % 2 == 0 {
            world.link(&session, &format!("c{n}")).await.unwrap();
            for m in 0..n % 20 {
                let move_on = wish(&session, &format!("c{n} {m}"), LinkMode::Move);
                world.handle.link(move_on).await.unwrap();
            }
            world.act(&session, "d").await;
        }
    }
    wait(5.0).await;
    assert_eq!(counters.sessions_in_memory.get(), 120);
    wait(300.0).await;
    assert_eq!(counters.sessions_in_memory.get(), 0, "idle sessions leave the memory");
    assert!(world.rows(Table::Session).await >= 120, "and stay in the store");
    wait(25.0 * 3600.0).await;
    assert_eq!(counters.sessions_in_memory.get(), 0);
    assert_eq!(counters.sessions_expired.get(), 120);
    for table in Table::ALL {
        assert_eq!(world.rows(table).await, 0, "{table:?}");
    }
    assert_eq!(counters.notes_posted.get(), counters.notes_sealed.get());
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn d42_actions_without_a_session_are_counted_and_never_pooled() {
    let world = world([]);
    for session_id in [None, Some(String::new())] {
        let payload = batch("s", [action("whose?"), action("nobody's")]);
        world.take(ActionsPayload { session_id, ..payload }).await;
    }
    assert_eq!(world.handle.counters().dropped_no_session.get(), 4);
    for session in ["unknown", "None", "null"] {
        let linked = world.link(session, &format!("c {session}")).await;
        assert_eq!(linked, Err(LinkError::Nobody("session")));
    }
    assert_eq!(world.rows(Table::Open).await, 0);
    assert_eq!(world.end().await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn d43_an_endless_stream_of_actions_is_sent_in_time_and_in_bounded_notes() {
    let rules = Delivery { max_note_actions: 10, ..Delivery::default() };
    let world = World::start(Arc::new(MemoryStore::new()), Platform::new([]), rules);
    world.link("s", "c").await.unwrap();
    for n in 0..80 {
        world.act("s", &n.to_string()).await;
        wait(0.125).await;
    }
    let posts = world.platform.posts();
    assert!(posts[0].at <= Duration::from_millis(2010), "{:?}", posts[0].at);
    assert!(posts.windows(2).all(|two| two[1].at - two[0].at <= Duration::from_millis(2130)));
    assert!(posts.iter().all(|post| post.note.actions.len() <= 10));

    world.take(batch("s", (0..95).map(|n| action(&n.to_string())))).await;
    let (platform, before) = (world.platform.clone(), posts.len());
    world.end().await;
    let actions = |post: &Seen| post.note.actions.len();
    let sizes: Vec<_> = platform.posts()[before..].iter().map(actions).collect();
    assert!(sizes.iter().all(|size| *size <= 10), "{sizes:?}");
    assert!(sizes.iter().sum::<usize>() >= 95, "{sizes:?}");
}

#[tokio::test(start_paused = true)]
async fn d44_a_shutdown_sends_what_waits() {
    let world = world([ok_after(0.5), ok_after(0.5)]);
    world.link("s1", "c1").await.unwrap();
    world.link("s2", "c2").await.unwrap();
    world.act("s1", "a").await;
    world.act("s2", "b").await;
    world.act("not linked", "stays in the store").await;
    let store = world.store.clone();
    let mut lines = world.end().await;
    lines.sort();
    assert_eq!(lines, ["c1: [1] a", "c2: [1] b"]);

    let world = World::start_at(BEGIN + 2.0, store, Platform::new([]), Delivery::default());
    world.link("not linked", "c3").await.unwrap();
    assert_eq!(world.end().await, ["c3: [1] stays in the store"]);
}

#[tokio::test(start_paused = true)]
async fn d45_a_failed_flush_is_retried_by_timer_and_the_counters_tell_the_true_state() {
    let world = world((0..3).map(|_| failed(FailureKind::Transient, None)));
    world.act("s", "a").await;
    world.link("s", "c").await.unwrap();
    wait(0.5).await;
    let totals = world.handle.counters().totals();
    assert_eq!((totals.notes_sealed, totals.notes_posted, totals.attempts_failed), (1, 0, 1));
    // Longer than the window of what isn't linked: it doesn't trim what waits for a retry.
    wait(130.0).await;
    let totals = world.handle.counters().totals();
    assert_eq!((totals.notes_posted, totals.attempts_failed, totals.dropped_window), (1, 3, 0));
    assert_eq!(world.platform.lines(), ["c: [1] a"; 4]);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn d46_notes_arrive_in_the_order_of_their_actions_whatever_fails() {
    let script = [
        ok_after(1.0),
        failed(FailureKind::Transient, None),
        crashed(),
        failed(FailureKind::RateLimited, Some(Duration::from_secs(3))),
    ];
    let world = world(script);
    world.act("s", "0").await;
    world.link("s", "c").await.unwrap();
    for n in 1..10 {
        world.act("s", &n.to_string()).await;
        wait(0.3).await;
    }
    wait(60.0).await;
    let posts = world.platform.posts();
    let delivered = posts.iter().filter(|post| post.ok).flat_map(|post| post.note.actions.unpack());
    let delivered: Vec<_> = delivered.map(|action| action.description).collect();
    assert_eq!(delivered, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    assert!(posts.windows(2).all(|two| two[0].note.seq <= two[1].note.seq), "none overtakes");
    world.end().await;
}
