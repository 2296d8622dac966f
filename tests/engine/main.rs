//! The engine: what is posted when, what survives a crash. Paused time, real stores.

mod accounts;
mod away;
mod believing;
mod bounds;
mod decisions;
mod disabled;
mod erase;
mod formats;
mod gate;
mod history;
mod kv;
mod nobody;
mod one_round;
mod outbox;
mod redaction;
mod replying;
mod restart;
mod settings;
mod sinks;
mod summaries;
mod timers;

use std::sync::Arc;
use std::time::Duration;

use sidenote::config::Delivery;
use sidenote::engine::link::{LinkEvent, LinkMode};
use sidenote::outbox::note::{FailureKind, PostError};
use sidenote::store::{Store, Table};
use sidenote_tests::fresh_store;
use sidenote_tests::world::{
    Answer, Platform, World, crashed, each_sealed, embedded, failed, ok_after, wait, wish,
};

fn world(script: impl IntoIterator<Item = Answer>, rules: Delivery) -> World {
    World::start(fresh_store(), Platform::new(script), rules)
}

#[tokio::test(start_paused = true)]
async fn what_came_before_the_link_goes_first_and_at_once() {
    let world = world([], Delivery::default());
    world.act("s", "a").await;
    world.act("s", "b").await;
    let linked = world.link("s", "c").await.unwrap();
    assert_eq!(linked.event, LinkEvent::New);
    world.act("s", "d").await;
    wait(0.2).await;
    assert_eq!(world.platform.lines(), ["c: [1] a|[2] b", "c: [1] d"]);
    assert_eq!(world.end().await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_note_keeps_its_key_over_attempts_and_dies_with_a_reason() {
    let failing = (0..3).map(|_| failed(FailureKind::Transient, None));
    let world = world(failing, Delivery { max_attempts: 3, ..Delivery::default() });
    world.act("s", "a").await;
    world.link("s", "c").await.unwrap();
    wait(60.0).await;
    world.act("s", "b").await;
    wait(1.0).await;
    let calls: Vec<_> = world.platform.posts().into_iter().map(|post| post.call).collect();
    assert_eq!(calls.iter().map(|call| call.attempt).collect::<Vec<_>>(), [1, 2, 3, 1]);
    assert!(calls[..3].iter().all(|call| call.idempotency_key == calls[0].idempotency_key));
    assert_ne!(calls[3].idempotency_key, calls[0].idempotency_key, "a key of its own");
    let dead = world.dead().await;
    assert_eq!((dead[0].reason.as_str(), dead[0].attempts), ("503: no", 3));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_burns_no_attempt_and_is_not_undercut() {
    let limited = failed(FailureKind::RateLimited, Some(Duration::from_secs(30)));
    let world = world([limited], Delivery { max_attempts: 1, ..Delivery::default() });
    world.act("s", "a").await;
    world.link("s", "c").await.unwrap();
    wait(20.0).await;
    world.link("s", "c").await.unwrap();
    wait(9.9).await;
    assert_eq!(world.platform.lines().len(), 1, "another link event hurries nothing either");
    wait(4.0).await;
    assert_eq!(world.platform.lines().len(), 2);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_while_the_plugin_is_away_and_no_attempt_is_burned() {
    let away = || (Duration::ZERO, Err(PostError::Unavailable { message: "gone".into() }));
    let world = world((0..5).map(|_| away()), Delivery { max_attempts: 1, ..Delivery::default() });
    world.act("s", "a").await;
    world.link("s", "c").await.unwrap();
    wait(60.0).await;
    let begun: Vec<u64> = world.platform.posts().iter().map(|post| post.at.as_secs()).collect();
    assert_eq!(begun, [0, 1, 3, 7, 15, 31]);
    assert_eq!(world.handle.counters().notes_posted.get(), 1);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_host_that_stops_in_the_middle_of_a_post_leaves_no_crash_mark() {
    let store: Arc<dyn Store> = fresh_store();
    for _ in 0..5 {
        let platform = Platform::new([ok_after(3600.0)]);
        let mut world = World::start(store.clone(), platform, Delivery::default());
        if world.rows(Table::Session).await == 0 {
            world.act("s", "a").await;
            world.link("s", "c").await.unwrap();
        }
        wait(1.0).await;
        assert_eq!(world.platform.lines(), ["c: [1] a"]);
        world.handle.stop().await;
        world.ended().await.unwrap();
    }
    let world = World::start(store, Platform::new([]), Delivery::default());
    wait(1.0).await;
    assert_eq!(world.dead().await, []);
    assert_eq!(world.end().await, ["c: [1] a"]);
}

#[tokio::test(start_paused = true)]
async fn a_note_that_cannot_be_delivered_for_a_day_is_a_dead_letter() {
    let away = || (Duration::ZERO, Err(PostError::Unavailable { message: "gone".into() }));
    let world = world((0..1000).map(|_| away()), Delivery::default());
    world.act("s", "a").await;
    world.link("s", "c").await.unwrap();
    wait(23.0 * 3600.0).await;
    assert_eq!(world.dead().await, []);
    wait(2.0 * 3600.0).await;
    assert_eq!(
        world.dead().await[0].reason,
        "expired: not delivered for 86400s; last: unavailable: gone"
    );
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn three_crashes_make_a_note_poison() {
    let world = world((0..3).map(|_| crashed()), Delivery::default());
    world.act("s", "a").await;
    world.link("s", "c").await.unwrap();
    wait(60.0).await;
    assert_eq!(world.handle.counters().notes_dead.get(), 1);
    assert_eq!(world.end().await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_move_sends_what_waits_to_the_old_conversation() {
    let world = world([], Delivery::default());
    world.link("s", "c1").await.unwrap();
    world.act("s", "a").await;
    let moved = world.handle.link(wish("s", "c2", LinkMode::Move)).await.unwrap();
    assert_eq!((moved.event, moved.conversation.as_str()), (LinkEvent::Moved, "c2"));
    world.act("s", "b").await;
    assert_eq!(world.end().await, ["c1: [1] a", "c2: [1] b"]);
}

#[tokio::test(start_paused = true)]
async fn a_lane_longer_than_what_is_in_memory_is_sent_in_order_over_a_crash() {
    let store: Arc<dyn Store> = fresh_store();
    let slow = (0..5).map(|_| ok_after(30.0));
    let world = World::start(store, Platform::new(slow), each_sealed(Delivery::default()));
    world.link("s", "c").await.unwrap();
    for n in 0..40 {
        world.act("s", &n.to_string()).await;
        wait(1.0).await;
    }
    assert_eq!(world.platform.lines().len(), 2, "one at a time");
    let (store, _) = world.crash().await;

    let world = World::start(store, Platform::new([]), Delivery::default());
    wait(1.0).await;
    let expected: Vec<_> = (1..40).map(|n| format!("c: [1] {n}")).collect();
    assert_eq!(world.end().await, expected, "from the one in flight at the crash on");
}

#[tokio::test]
async fn after_a_crash_the_link_the_open_batch_and_the_unknown_post_are_taken_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let world =
        World::start(embedded(&path).await, Platform::new([ok_after(3600.0)]), Delivery::default());
    world.act("s", "a").await;
    world.link("s", "c").await.unwrap();
    world.act("s", "b").await;
    drop(world.crash().await);

    let world = World::start(embedded(&path).await, Platform::new([]), Delivery::default());
    world.act("s", "d").await;
    assert_eq!(world.end().await, ["c: [1] a", "c: [1] b|[2] d"]);
}

#[tokio::test(start_paused = true)]
async fn no_control_character_of_an_action_or_a_summary_reaches_a_platform_or_a_sink() {
    use sidenote::outbox::sink_delivery::Content;
    use sidenote::session::payload::Action;

    let platform = Platform::new([]);
    platform.sinks.add(&["sink"]);
    let rules = Delivery::default();
    let settings = sidenote_tests::world::settings_with(&rules, &["bot", "sink"]);
    let store = fresh_store();
    let world = World::start_with(sidenote_tests::world::BEGIN, store, platform, settings);
    let odd: String = (0..0x20)
        .chain(0x7F..0xA0)
        .filter_map(char::from_u32)
        .chain("\u{2028}\u{202E}x".chars())
        .collect();
    let text = |name: &str| format!("{name}\0b{odd}");
    let action = Action {
        title: text("title"),
        description: text("Typed a"),
        canonical_url: text("/url"),
        raw_url: text("/raw"),
        kind: text("click"),
        ..Action::default()
    };
    world.link("s", "c").await.unwrap();
    world.take(sidenote_tests::world::batch("s", [action])).await;
    wait(1.0).await;
    world.summary("s", &text("They typed a"), 1).await;
    wait(1.0).await;

    let mut seen = Vec::new();
    let of_action = |action: &Action| {
        let Action { title, description, canonical_url, raw_url, kind, .. } = action.clone();
        assert!(description.starts_with("Typed a\u{FFFD}b"), "{description:?}");
        assert!(![&title, &canonical_url, &raw_url, &kind].iter().any(|it| it.contains('\n')));
        [title, description, canonical_url, raw_url, kind]
    };
    let posts = world.platform.posts();
    assert_eq!(posts.len(), 2);
    for post in &posts {
        seen.push(post.note.body.clone());
        seen.extend(post.note.actions.unpack().iter().flat_map(of_action));
    }
    let handed = world.platform.sinks.handed();
    assert_eq!(handed.len(), 2);
    for handed in &handed {
        match &handed.delivery.content {
            Content::Actions(batch) => seen.extend(batch.actions.iter().flat_map(of_action)),
            Content::Summary(summary) => seen.push(summary.summary.clone()),
        }
    }
    assert_eq!(seen.len(), 2 + 5 + 5 + 1);
    for text in seen {
        let odd =
            text.chars().find(|c| c.is_control() && !"\t\r\n".contains(*c) || *c == '\u{202E}');
        assert_eq!(odd, None, "{text:?}");
        assert!(text.contains('\u{FFFD}'), "{text:?}");
    }
    world.end().await;
}
