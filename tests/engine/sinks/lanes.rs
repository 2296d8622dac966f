//! What is handed to whom, in which order.

use std::time::Duration;

use sidenote::config::Delivery;
use sidenote::outbox::note::FailureKind;
use sidenote::outbox::note::Sent;
use sidenote::outbox::sink_delivery::{Content, Roles};
use sidenote::session::payload::{ActionsPayload, Payload, SummaryPayload};
use sidenote::store::Table;
use sidenote_tests::world::{action, batch, wait};

use super::{after, fails, numbers, unavailable, world};

/// A commit waits so long at most for what comes just behind it.
const MOMENT: Duration = Duration::from_millis(10);

#[tokio::test(start_paused = true)]
async fn every_sink_gets_every_batch_and_summary_once_and_in_order_and_so_does_the_conversation() {
    let world = world(&["bot", "sink1", "sink2"], &Delivery::default());
    world.act("s", "a").await;
    world.take(batch("s", [action("b"), action("c")])).await;
    world.link("s", "conversation").await.expect("a link");
    world.summary("s", "a to c", 3).await;
    world.act("s", "d").await;
    wait(1.0).await;
    for sink in ["sink1", "sink2"] {
        let kept = world.platform.sinks.kept(sink, "s");
        assert_eq!(kept, ["a", "b", "c", "summary: a to c", "d"]);
    }
    let handed = world.platform.sinks.handed_to("sink1");
    assert_eq!(handed.len(), 4, "a call for each");
    assert!(handed.iter().all(|it| it.ok && it.call.attempt == 1));
    assert_eq!(world.rows(Table::SinkQueue).await + world.rows(Table::SinkAttempt).await, 0);
    let counters = world.handle.counters().totals();
    assert_eq!(
        (
            counters.sink_deliveries_made,
            counters.sink_deliveries_accepted,
            counters.sink_deliveries_dead
        ),
        (8, 8, 0)
    );
    assert_eq!(world.platform.lines()[0], "conversation: [1] a|[2] b|[3] c");
    assert_eq!(world.end().await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_batch_arrives_as_it_came_with_what_the_session_knows_of_the_person() {
    let world = world(&["sink"], &Delivery::default());
    let first = ActionsPayload {
        user_id: Some("u".to_owned()),
        email: Some("u@example.com".to_owned()),
        conversation_id: Some("c".to_owned()),
        forwarded_at: 12.5,
        ..batch("s", [action("a")])
    };
    world.take(first.clone()).await;
    world.act("s", "b").await;
    let summary = SummaryPayload {
        product_id: "p".to_owned(),
        session_id: Some("s".to_owned()),
        summary: "both".to_owned(),
        replaces: 2,
        forwarded_at: 13.5,
    };
    world.handle.accept(Payload::Summary(summary.clone()), 100).await.expect("the engine runs");
    wait(0.1).await;
    let handed = world.platform.sinks.handed();
    let contents: Vec<_> = handed.into_iter().map(|handed| handed.delivery.content).collect();
    let known = ActionsPayload {
        user_id: first.user_id.clone(),
        email: first.email.clone(),
        ..batch("s", [action("b")])
    };
    assert!(contents[0] == Content::Actions(first));
    assert!(contents[1] == Content::Actions(known));
    assert!(contents[2] == Content::Summary(summary));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn where_nobody_writes_nothing_waits_for_a_conversation() {
    let rules = Delivery { pre_link_max_actions: 2, ..Delivery::default() };
    let world = world(&["sink"], &rules);
    for n in numbers(0..5) {
        world.act("s", &n).await;
    }
    world.take(batch("s", [])).await;
    wait(1.0).await;
    assert_eq!(world.platform.sinks.kept("sink", "s"), numbers(0..5));
    assert_eq!(world.platform.sinks.handed().len(), 5, "a batch without actions is none");
    assert_eq!(world.rows(Table::Open).await, 0);
    let record = world.record("s").await;
    assert_eq!((record.left, record.sink_deliveries), (5, 5));
    let counters = world.handle.counters().totals();
    assert_eq!(
        (counters.dropped_window, counters.notes_sealed, counters.actions_accepted),
        (0, 0, 5)
    );
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn where_no_plugin_is_a_sink_nothing_is_stored_for_one() {
    let world = world(&["bot"], &Delivery::default());
    world.act("s", "a").await;
    world.link("s", "c").await.expect("a link");
    wait(1.0).await;
    assert_eq!(world.record("s").await.sink_deliveries, 0);
    assert_eq!(world.handle.counters().sink_deliveries_made.get(), 0);
    assert_eq!(world.end().await, ["c: [1] a"]);
}

#[tokio::test(start_paused = true)]
async fn a_plugin_that_writes_and_is_a_sink_gets_both() {
    let world = world(&["both"], &Delivery::default());
    world.platform.sinks.set_roles("both", Some(Roles { writer: true, sink: true }));
    let both = sidenote_tests::world::wish("s", "c", sidenote::engine::link::LinkMode::Auto);
    world.act("s", "a").await;
    let request = sidenote::engine::link::LinkCommand { plugin: "both".into(), ..both };
    world.handle.link(request).await.expect("a link");
    wait(1.0).await;
    assert_eq!(world.platform.sinks.kept("both", "s"), ["a"]);
    assert_eq!(world.end().await, ["c: [1] a"]);
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_hangs_holds_up_neither_notes_nor_other_sinks_nor_other_sessions() {
    let world = world(&["bot", "sink1", "sink2"], &Delivery::default());
    world.platform.sinks.script("sink1", [after(3600.0)]);
    world.link("s", "c").await.expect("a link");
    for n in numbers(0..20) {
        world.act("s", &n).await;
        wait(0.2).await;
    }
    world.act("t", "t").await;
    wait(0.3).await;
    assert_eq!(world.platform.lines().len(), 20);
    assert_eq!(world.platform.sinks.kept("sink2", "s"), numbers(0..20));
    assert_eq!(world.platform.sinks.kept("sink1", "s"), [""; 0]);
    assert_eq!(world.platform.sinks.kept("sink1", "t"), ["t"], "another session goes on");
    wait(3600.0).await;
    assert_eq!(world.platform.sinks.kept("sink1", "s"), numbers(0..20));
    assert_eq!(world.rows(Table::SinkQueue).await, 0);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_tried_again_under_the_same_key_and_nothing_overtakes_it() {
    let world = world(&["sink"], &Delivery::default());
    world.platform.sinks.script("sink", [unavailable(), unavailable()]);
    world.act("s", "a").await;
    world.act("s", "b").await;
    wait(10.0).await;
    assert_eq!(world.platform.sinks.kept("sink", "s"), ["a", "b"]);
    let handed = world.platform.sinks.handed();
    let attempts: Vec<_> = handed.iter().map(|handed| handed.call.attempt).collect();
    assert_eq!(attempts, [1, 2, 3, 1]);
    assert!(handed[..3].iter().all(|it| it.call.idempotency_key == handed[0].call.idempotency_key));
    assert_ne!(handed[3].call.idempotency_key, handed[0].call.idempotency_key);
    // Full jitter at its most: one second, then two.
    let pauses = [handed[1].at - handed[0].at, handed[2].at - handed[1].at];
    // Some milliseconds later: a commit takes in what comes just behind it.
    let due = [1000, 2000].map(Duration::from_millis);
    let late = pauses.iter().zip(due).map(|(pause, due)| pause.checked_sub(due));
    assert!(late.flatten().filter(|late| *late <= MOMENT).count() == 2, "{pauses:?}");
    assert_eq!(world.handle.counters().sink_attempts_failed.get(), 2);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn while_a_sink_is_limited_batches_join_and_what_it_asked_for_is_not_undercut() {
    let world = world(&["sink"], &Delivery { max_gathered_actions: 10, ..Delivery::default() });
    let limit = fails(FailureKind::RateLimited, Some(60.0), Sent::Sent);
    world.platform.sinks.script("sink", [limit]);
    for n in numbers(0..25) {
        world.act("s", &n).await;
        wait(0.5).await;
    }
    world.act("t", "t").await;
    wait(80.0).await;
    assert_eq!(world.platform.sinks.kept("sink", "s"), numbers(0..25));
    let handed = world.platform.sinks.handed_to("sink");
    let of_s: Vec<_> = handed.iter().filter(|it| it.delivery.key.session.as_str() == "s").collect();
    let sizes: Vec<_> = of_s.iter().map(|handed| handed.delivery.actions()).collect();
    assert_eq!(sizes, [1, 1, 10, 10, 4], "what was tried stays as it is");
    assert!(of_s.iter().all(|it| it.call.attempt == 1), "a limit burns no attempt");
    assert!(
        handed[1..].iter().all(|it| it.at - handed[0].at >= std::time::Duration::from_secs(60))
    );
    assert_eq!(world.handle.counters().sink_deliveries_joined.get(), 21);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn batches_of_different_people_do_not_join() {
    let world = world(&["sink"], &Delivery::default());
    world.platform.sinks.script("sink", [fails(FailureKind::RateLimited, Some(60.0), Sent::Sent)]);
    for (n, user) in ["u", "u", "u", "v", "v"].into_iter().enumerate() {
        let user_id = Some(user.to_owned());
        world.take(ActionsPayload { user_id, ..batch("s", [action(&n.to_string())]) }).await;
        wait(0.1).await;
    }
    wait(80.0).await;
    let handed = world.platform.sinks.handed();
    let people: Vec<_> = handed
        .iter()
        .map(|it| (it.delivery.person().0.map(str::to_owned), it.delivery.actions()))
        .collect();
    let of = |user: &str, actions| (Some(user.to_owned()), actions);
    assert_eq!(people, [of("u", 1), of("u", 1), of("u", 2), of("v", 2)]);
    world.end().await;
}
