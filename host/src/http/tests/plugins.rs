//! How the plugins are, and who may know.

use super::*;
use crate::outbox::trouble::{FaultKind, LastError};
use crate::plugin::{CacheTotals, Health, LastTrap, PluginState, ReloadTotals};

pub(super) fn report() -> PluginsReport {
    let state = PluginState {
        name: "bot".into(),
        file: "bot.wasm".to_owned(),
        version: Some("0123456789ab".to_owned()),
        interfaces: vec!["writer".into()],
        health: Health::HeldBack,
        held_back_until: Some(1.5),
        webhooks_trap: true,
        failed: None,
        refused: Some("compile: no".to_owned()),
        next_step: None,
        calls: 4,
        failures: 3,
        traps: 2,
        repeats: 6,
        swaps: 1,
        mean_call_ms: Some(12.5),
        last_trap: Some(LastTrap {
            at: 19.5,
            code: "trap".into(),
            version: "0123456789ab".to_owned(),
            backtrace: vec!["post_note".to_owned()],
        }),
    };
    PluginsReport {
        plugins: vec![PluginReport {
            state,
            breaker: None,
            last_error: Some(refused()),
            disabled: None,
        }],
        reloads: ReloadTotals::default(),
        cache: CacheTotals::default(),
    }
}

/// A platform that refuses the token.
pub(super) fn refused() -> LastError {
    LastError {
        at: 20.5,
        kind: FaultKind::Auth,
        code: "401".to_owned(),
        message: "token_revoked".to_owned(),
        since: Some(1.5),
        failures: 7,
    }
}

#[tokio::test]
async fn plugins_are_listed_for_the_bearer_only() {
    let host = Host::start(Server { token: Some(Secret::new("right")), ..Server::default() }).await;
    for headers in [&[][..], &[("authorization", "Bearer wrong")]] {
        let answer = host.send("GET", "/plugins", headers, "").await;
        assert_eq!((answer.status(), answer.code().as_str()), (401, "unauthorized"));
        assert!(!answer.0.contains("bot.wasm"));
    }
    let answer = host.send("GET", "/plugins", &[("authorization", "Bearer right")], "").await;
    assert_eq!(answer.status(), 200);
    let body: Value = serde_json::from_str(answer.0.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(
        body["plugins"][0],
        json!({
            "name": "bot", "file": "bot.wasm", "version": "0123456789ab", "interfaces": ["writer"],
            "health": "held_back", "held_back_until": 1.5, "webhooks_trap": true, "failed": null,
            "refused": "compile: no", "next_step": null,
            "calls": 4, "failures": 3, "traps": 2, "repeats": 6, "swaps": 1, "disabled": null, "breaker": null,
            "mean_call_ms": 12.5,
            "last_trap": {
                "at": 19.5, "code": "trap", "version": "0123456789ab", "backtrace": ["post_note"],
            },
            "last_error": {
                "at": 20.5, "kind": "auth", "code": "401", "message": "token_revoked", "since": 1.5,
                "failures": 7,
            },
        })
    );
    assert_eq!(serde_json::from_value::<PluginsReport>(body).unwrap(), report());
    assert_eq!(host.send("POST", "/plugins", &[], "").await.status(), 405);
}
