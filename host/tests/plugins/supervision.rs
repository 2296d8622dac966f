//! A plugin that does nothing but trap is held back, and taken back when it answers.

use std::time::Duration;

use sidenote::outbox::note::PostError;
use sidenote::plugin::{Health, ReceiveError, Registry, WebhookRequest};

use crate::guests::{assert_alive, crashed, eventually, plugin, post, registry};

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
    assert_eq!(registry.receive("bot", request()).await, Err(ReceiveError::Unavailable));
    assert_eq!(registry.states()[0].calls, state.calls, "no guest saw these");

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
