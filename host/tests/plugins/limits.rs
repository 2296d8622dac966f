//! What a hostile or broken plugin can't do.

use std::sync::Arc;
use std::time::Duration;

use sidenote::outbox::note::{FailureKind, PostError, Sent};
use sidenote::plugin::{ReceiveError, WebhookRequest};
use sidenote::post::Post;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::guests::{assert_alive, call, crashed, id, note, plugin, post, registry};

/// How late a stop may come on a busy machine.
const GRACE: Duration = Duration::from_millis(1500);

#[tokio::test]
async fn a_loop_is_stopped_at_the_deadline_and_at_the_cpu_budget() {
    let mut thrifty = plugin("guest_spin.wasm");
    thrifty.limits.cpu_time = Duration::from_millis(200);
    let registry = registry([("spin", plugin("guest_spin.wasm")), ("thrifty", thrifty)]).await;

    let started = Instant::now();
    let outcome = registry.post_note(call(Duration::from_millis(400)), &note("spin", "spin")).await;
    assert_eq!(crashed(outcome).0, "timeout");
    let took = started.elapsed();
    assert!(
        took >= Duration::from_millis(400) && took < Duration::from_millis(400) + GRACE,
        "{took:?}"
    );

    let started = Instant::now();
    let (code, message) = crashed(post(&registry, "thrifty", "spin").await);
    assert_eq!(code, "cpu");
    assert!(message.contains("cpu_time"), "{message}");
    assert!(started.elapsed() < Duration::from_millis(200) + GRACE, "{:?}", started.elapsed());

    assert_alive(&registry, "spin").await;
    assert_alive(&registry, "thrifty").await;
}

#[tokio::test]
async fn computing_within_the_budget_is_left_alone() {
    let registry = registry([("spin", plugin("guest_spin.wasm"))]).await;
    assert_eq!(id(&registry, "spin", "work").await, "100000000");
}

#[tokio::test]
async fn a_wait_is_stopped_at_the_deadline_and_the_plugins_own_limit_holds_too() {
    let mut short = plugin("guest_spin.wasm");
    short.limits.call_timeout = Duration::from_millis(300);
    let registry = registry([("spin", plugin("guest_spin.wasm")), ("short", short)]).await;
    for (name, timeout) in
        [("spin", Duration::from_millis(300)), ("short", Duration::from_secs(60))]
    {
        let started = Instant::now();
        let outcome = registry.post_note(call(timeout), &note(name, "sleep")).await;
        assert_eq!(crashed(outcome).0, "timeout", "{name}");
        assert!(
            started.elapsed() < Duration::from_millis(300) + GRACE,
            "{name}: {:?}",
            started.elapsed()
        );
        assert_alive(&registry, name).await;
    }
}

#[tokio::test]
async fn after_a_trap_the_next_call_gets_a_fresh_instance() {
    let mut one = plugin("guest_trap.wasm");
    one.limits.concurrency = 1;
    let registry = registry([("trap", one)]).await;
    for (body, said) in [("trap", "`sidenote plugin logs trap`"), ("exit", "exit status")] {
        let (code, message) = crashed(post(&registry, "trap", body).await);
        assert_eq!(code, "trap");
        assert!(message.contains(said) && !message.contains("asked"), "{message}");
        assert_alive(&registry, "trap").await;
    }
    let request = WebhookRequest {
        method: "POST".into(),
        url: "/".into(),
        headers: Vec::new(),
        body: Vec::new(),
    };
    let outcome = registry.receive("trap", request).await;
    assert!(
        matches!(outcome, Err(ReceiveError::Crashed { ref code, .. }) if code == "trap"),
        "{outcome:?}"
    );
    assert_alive(&registry, "trap").await;
    let state = &registry.states()[0];
    assert_eq!((state.calls, state.failures, state.traps), (6, 0, 3));
}

#[tokio::test]
async fn a_plugin_that_eats_memory_is_stopped_at_its_limit() {
    let registry = registry([("memory", plugin("guest_memory.wasm"))]).await;
    let (code, message) = crashed(post(&registry, "memory", "eat").await);
    assert_eq!(code, "memory");
    assert!(message.contains("than `memory` (64 MiB): "), "{message}");
    assert_alive(&registry, "memory").await;
}

#[tokio::test]
async fn a_cancelled_call_drops_its_instance_and_nothing_else() {
    let mut one = plugin("guest_spin.wasm");
    one.limits.concurrency = 1;
    let registry = registry([("spin", one)]).await;
    let (call, note) = (call(Duration::from_secs(10)), note("spin", "sleep"));
    let post = registry.post_note(call, &note);
    assert!(
        tokio::time::timeout(Duration::from_millis(50), post).await.is_err(),
        "it waits for ever"
    );
    assert_alive(&registry, "spin").await;
}

#[tokio::test]
async fn an_instance_is_reused_and_replaced_after_its_calls() {
    let mut probe = plugin("guest_probe.wasm");
    probe.limits.calls_per_instance = 3;
    probe.limits.concurrency = 1;
    let registry = registry([("probe", probe)]).await;
    let mut counts = Vec::new();
    for _ in 0..7 {
        counts.push(id(&registry, "probe", "count").await);
    }
    assert_eq!(counts, ["1", "2", "3", "1", "2", "3", "1"]);
}

#[tokio::test]
async fn a_call_that_finds_no_instance_free_is_put_off_without_an_attempt() {
    let mut one = plugin("guest_spin.wasm");
    one.limits.concurrency = 1;
    let registry = registry([("spin", one)]).await;
    let (hog, note) = (call(Duration::from_millis(900)), note("spin", "sleep"));
    let mut hogging = std::pin::pin!(registry.post_note(hog, &note));
    let waiting = async {
        let started = Instant::now();
        let outcome = registry
            .post_note(call(Duration::from_millis(400)), &crate::guests::note("spin", "hello"))
            .await;
        (outcome, started.elapsed())
    };
    let (outcome, took) = tokio::select! {
        biased;
        _ = &mut hogging => panic!("it waits for ever"),
        outcome = waiting => outcome,
    };
    let Err(PostError::Failed(failure)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(
        (failure.kind, failure.sent, &*failure.code),
        (FailureKind::RateLimited, Sent::NotSent, "busy")
    );
    assert!(took < Duration::from_millis(400), "half of the call is for waiting: {took:?}");
    assert_eq!(crashed(hogging.await).0, "timeout");
}

/// One thread on purpose: a guest that loops must give it back.
#[tokio::test]
async fn neighbours_keep_their_pace_beside_a_loop_a_bomb_and_a_trap() {
    let registry = Arc::new(
        registry([
            ("spin", plugin("guest_spin.wasm")),
            ("memory", plugin("guest_memory.wasm")),
            ("trap", plugin("guest_trap.wasm")),
            ("good", plugin("guest_probe.wasm")),
        ])
        .await,
    );
    let mut hostile = JoinSet::new();
    for (name, body) in [("spin", "spin"), ("spin", "spin"), ("memory", "eat"), ("trap", "trap")] {
        let registry = registry.clone();
        hostile.spawn(async move {
            let outcome = registry.post_note(call(Duration::from_secs(2)), &note(name, body)).await;
            crashed(outcome).0
        });
    }
    let mut took = Vec::new();
    for _ in 0..40 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let started = Instant::now();
        id(&registry, "good", "count").await;
        took.push(started.elapsed());
    }
    took.sort();
    assert!(
        took[20] < Duration::from_millis(100),
        "the median beside two loops on one thread: {:?}",
        took[20]
    );
    let mut codes = hostile.join_all().await;
    codes.sort();
    assert_eq!(codes, ["memory", "timeout", "timeout", "trap"]);
}

#[tokio::test]
async fn nonsense_is_cut_cleaned_or_refused() {
    let registry = registry([("garbage", plugin("guest_garbage.wasm"))]).await;
    let Err(PostError::Failed(failure)) = post(&registry, "garbage", "failure").await else {
        panic!()
    };
    assert!(failure.code.len() <= 64 && failure.message.len() <= 1000, "{failure:?}");
    assert!(
        !failure
            .code
            .chars()
            .chain(failure.message.chars())
            .any(|c| c.is_control() || c == '\u{202e}')
    );
    assert!(failure.retry_after.unwrap() <= Duration::from_secs(86_400));
    for body in ["long-id", "odd-id", "empty-id"] {
        assert_eq!(post(&registry, "garbage", body).await.unwrap().note_id, None, "{body}");
    }
    assert_eq!(crashed(post(&registry, "garbage", "flood").await).0, "trap");
    assert!(post(&registry, "garbage", "log").await.is_ok());
    assert_alive(&registry, "garbage").await;

    for body in ["many", "empty-conversation", "long-conversation", "challenge"] {
        let request = WebhookRequest {
            method: "POST".into(),
            url: "/".into(),
            headers: Vec::new(),
            body: body.as_bytes().to_vec(),
        };
        let outcome = registry.receive("garbage", request).await;
        assert!(
            matches!(outcome, Err(ReceiveError::Crashed { ref code, .. }) if code == "invalid"),
            "{body}: {outcome:?}"
        );
    }
    let request = WebhookRequest {
        method: "POST".into(),
        url: "/".into(),
        headers: Vec::new(),
        body: Vec::new(),
    };
    match registry.receive("garbage", request).await {
        Err(ReceiveError::Rejected { status: 400, code, message }) => {
            assert!(code.len() <= 64 && message.len() <= 1000 && !message.contains('\u{1b}'));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_beyond_the_concurrency_wait_their_turn() {
    let mut probe = plugin("guest_probe.wasm");
    probe.limits.concurrency = 3;
    let registry = Arc::new(registry([("probe", probe)]).await);
    let mut calls = JoinSet::new();
    for _ in 0..100 {
        let registry = registry.clone();
        calls.spawn(async move { id(&registry, "probe", "count").await });
    }
    assert_eq!(calls.join_all().await.len(), 100);
    let state = &registry.states()[0];
    assert_eq!((state.calls, state.failures, state.traps), (100, 0, 0));
}

#[tokio::test]
async fn a_call_carries_its_key_attempt_and_deadline() {
    let registry = registry([("probe", plugin("guest_probe.wasm"))]).await;
    let mut second = call(Duration::from_secs(4));
    second.attempt = 2;
    let posted = registry.post_note(second, &note("probe", "call")).await.unwrap().note_id.unwrap();
    let [key, attempt, left] = posted.split(' ').collect::<Vec<_>>()[..] else {
        panic!("{posted}")
    };
    assert_eq!((key, attempt), ("key-1", "2"));
    let left: u64 = left.parse().unwrap();
    assert!((1..=4100).contains(&left), "{left} ms");
}
