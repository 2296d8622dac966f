//! A plugin that does nothing but trap is held back, and called again when it answers.

use std::time::Duration;

use sidenote::outbox::note::PostError;
use sidenote::plugin::{Health, ReceiveError, Registry, WebhookRequest};

use crate::guests::{assert_alive, crashed, eventually, plugin, post, registry, secret};
use crate::server::Server;

fn health(registry: &Registry) -> Health {
    registry.states()[0].health
}

fn request() -> WebhookRequest {
    WebhookRequest { method: "POST".into(), url: "/".into(), headers: Vec::new(), body: Vec::new() }
}

#[tokio::test]
async fn five_traps_in_a_row_hold_a_plugin_back_and_an_answer_clears_it() {
    let registry = registry([("bot", plugin("guest_hostile.wasm"))]).await;
    for round in 0..3 {
        for _ in 0..4 {
            assert_eq!(crashed(post(&registry, "bot", "panic").await).0, "trap");
        }
        assert_alive(&registry, "bot").await;
        assert_eq!(health(&registry), Health::Loaded, "round {round}: an answer forgives");
    }
    for body in ["panic", "exit", "recurse", "handles", "panic"] {
        assert_eq!(crashed(post(&registry, "bot", body).await).0, "trap", "{body}");
    }
    let state = registry.states().remove(0);
    assert_eq!(state.health, Health::HeldBack);
    assert!(state.held_back_until.is_some());
    let Err(PostError::Unavailable { message }) = post(&registry, "bot", "alive").await else {
        panic!("it isn't held back")
    };
    assert!(message.contains("traps again and again"), "{message}");
    assert_eq!(registry.states()[0].calls, state.calls, "no guest saw it");
    assert!(!registry.states()[0].webhooks_trap, "webhooks aren't held back with it");

    eventually("the pause ends", async || health(&registry) == Health::Unhealthy).await;
    assert_eq!(crashed(post(&registry, "bot", "panic").await).0, "trap");
    assert_eq!(health(&registry), Health::HeldBack, "one trap is enough from here on");
    eventually("the pause ends", async || health(&registry) == Health::Unhealthy).await;
    assert_alive(&registry, "bot").await;
    assert_eq!(health(&registry), Health::Loaded);
    assert_eq!(crashed(post(&registry, "bot", "panic").await).0, "trap");
    assert_eq!(health(&registry), Health::Loaded);
}

#[tokio::test]
async fn what_came_of_calls_is_counted_by_export_with_the_instances_that_were_started() {
    let registry = registry([("bot", plugin("guest_hostile.wasm"))]).await;
    assert_alive(&registry, "bot").await;
    let totals = |registry: &Registry| registry.totals().remove(0).1;
    assert_eq!(totals(&registry).starts, 0, "the one that was tried out is called");
    for _ in 0..2 {
        assert_eq!(crashed(post(&registry, "bot", "panic").await).0, "trap");
        assert_alive(&registry, "bot").await;
    }
    let Err(ReceiveError::Crashed { .. }) = registry.receive("bot", request()).await else {
        panic!("it doesn't trap")
    };
    let totals = totals(&registry);
    let told: Vec<_> = totals.calls.iter().map(|it| (it.interface, &*it.outcomes)).collect();
    assert_eq!(
        told,
        [("writer", &[("answered", 3), ("trap", 2)][..]), ("webhook", &[("trap", 1)])]
    );
    assert_eq!(totals.calls[0].times.count(), 5);
    assert_eq!(totals.starts, 2, "each trap costs an instance");
    assert_eq!(totals.slots.map(|slots| slots.busy), [0, 0]);
}

#[tokio::test]
async fn webhooks_that_trap_hold_webhooks_back_for_a_moment_and_no_note() {
    let registry = registry([("bot", plugin("guest_hostile.wasm"))]).await;
    for _ in 0..5 {
        let Err(ReceiveError::Crashed { code, .. }) = registry.receive("bot", request()).await
        else {
            panic!("it doesn't trap")
        };
        assert_eq!(code, "trap");
        assert_alive(&registry, "bot").await;
    }
    assert_eq!(registry.receive("bot", request()).await, Err(ReceiveError::Unavailable));
    let state = registry.states().remove(0);
    assert_eq!((state.health, state.webhooks_trap), (Health::Loaded, true));
    for _ in 0..20 {
        assert_alive(&registry, "bot").await;
    }
    eventually("webhooks are tried again", async || {
        matches!(registry.receive("bot", request()).await, Err(ReceiveError::Crashed { .. }))
    })
    .await;
    assert_eq!(health(&registry), Health::Loaded);
}

/// Whoever handed them out had a configuration that `check` refuses: a signature is checked over the whole body.
#[tokio::test]
async fn five_unsigned_posts_that_are_too_large_to_be_checked_hold_no_note_back() {
    let server = Server::start().await;
    let mut bot = plugin("sidenote_webhook.wasm");
    bot.config = [("url".to_owned(), server.url("/notes"))].into();
    (bot.hosts, bot.allow_private) = (vec![server.grant()], true);
    bot.secrets = [("signing", "k1"), ("incoming", "k2")]
        .map(|(name, value)| (name.to_owned(), secret(value, &[])))
        .into();
    let registry = registry([("bot", bot)]).await;
    let headers = [("x-sidenote-timestamp", "1"), ("x-sidenote-signature", "sha256=00")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    for _ in 0..5 {
        let request =
            WebhookRequest { headers: headers.clone(), body: vec![b'x'; 8 << 20], ..request() };
        let refused = registry.receive("bot", request).await;
        assert!(matches!(refused, Err(ReceiveError::Crashed { .. })), "{refused:?}");
        post(&registry, "bot", "a note").await.unwrap();
    }
    assert_eq!(health(&registry), Health::Loaded);
    post(&registry, "bot", "a note").await.unwrap();
    assert_eq!(server.seen().len(), 6);
}

#[tokio::test]
async fn failures_and_platforms_that_hang_hold_nothing_back() {
    let mut bot = plugin("guest_hostile.wasm");
    bot.limits.call_timeout = Duration::from_millis(50);
    let registry = registry([("bot", bot)]).await;
    for _ in 0..8 {
        assert!(matches!(post(&registry, "bot", "nonsense").await, Err(PostError::Failed(_))));
    }
    for _ in 0..8 {
        assert_eq!(crashed(post(&registry, "bot", "sleep").await).0, "timeout");
    }
    assert_eq!(health(&registry), Health::Loaded);
}
