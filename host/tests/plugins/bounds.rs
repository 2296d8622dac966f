//! Every limit that an operator can set, hit by a real component.

use std::time::Duration;

use sidenote::config::{Isolation, Plugin, PluginLimits};
use sidenote::outbox::note::{PostError, Sent};
use sidenote::plugin::Registry;
use tokio::time::Instant;

use crate::guests::{built, crashed, eventually, id, plugin, post, registry};
use crate::server::Server;

const FILE: &str = "guest_hostile.wasm";

fn limited(limit: impl FnOnce(&mut PluginLimits)) -> Plugin {
    let mut bot = plugin(FILE);
    limit(&mut bot.limits);
    bot
}

async fn granted(server: &Server, limit: impl FnOnce(&mut PluginLimits)) -> Registry {
    let mut bot = limited(limit);
    bot.hosts = vec![server.grant()];
    bot.allow_private = true;
    registry([("bot", bot)]).await
}

#[tokio::test]
async fn what_a_component_is_made_of_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    for file in [FILE, "guest_tables.wasm"] {
        std::fs::copy(built(file), folder.path().join(file)).unwrap();
    }
    let plugins = [
        ("table-elements".into(), limited(|limits| limits.table_elements = 10)),
        ("memories".into(), limited(|limits| limits.memories = 0)),
        ("tables".into(), limited(|limits| limits.tables = 1)),
        ("core-instances".into(), limited(|limits| limits.core_instances = 1)),
        ("memory".into(), limited(|limits| limits.memory_bytes = 64 << 10)),
        ("a-million-elements".into(), plugin("guest_tables.wasm")),
        ("roomy".into(), {
            let mut roomy = plugin("guest_tables.wasm");
            roomy.limits.table_elements = 2_000_000;
            roomy
        }),
        ("fine".into(), plugin(FILE)),
    ];
    let registry = Registry::load(folder.path(), &plugins.into()).await.unwrap();
    for state in registry.states() {
        let key = match &*state.name {
            "fine" | "roomy" => {
                assert_eq!(state.failed, None, "{}", state.name);
                continue;
            }
            "a-million-elements" => "table_elements".to_owned(),
            name => name.replace('-', "_"),
        };
        let (name, failed) = (&state.name, state.failed.unwrap_or_default());
        assert!(failed.starts_with("trial: it can't be started: "), "{name}: {failed}");
        let remedy = format!("or raise `{key}` in [plugins.{name}.limits]");
        assert!(failed.contains(&remedy), "{name}: {failed}");
    }
}

#[tokio::test]
async fn handles_are_bounded() {
    let few = limited(|limits| limits.handles = 10);
    let registry = registry([("bot", plugin(FILE)), ("few", few)]).await;
    for name in ["bot", "few"] {
        let (code, message) = crashed(post(&registry, name, "handles").await);
        assert_eq!(code, "trap");
        assert!(message.contains(&format!("`handles` in [plugins.{name}.limits]")), "{message}");
        assert!(message.contains("; in "), "where it was: {message}");
    }
    assert_eq!(id(&registry, "bot", "handles 40").await, "40");
    assert_eq!(crashed(post(&registry, "few", "handles 40").await).0, "trap");
}

#[tokio::test]
async fn the_stack_and_randomness_are_bounded() {
    let registry = registry([("bot", plugin(FILE))]).await;
    let (code, message) = crashed(post(&registry, "bot", "recurse").await);
    assert_eq!(code, "trap");
    assert!(
        message.contains("calls itself too deep") || message.contains("stack-size"),
        "{message}"
    );
    assert!(message.contains("; in ") && message.contains(" ← …"), "{message}");
    assert_eq!(crashed(post(&registry, "bot", "random").await).0, "trap");
}

#[tokio::test]
async fn what_is_handed_over_at_once_is_bounded() {
    let limit = 100_000;
    let registry = registry([("bot", limited(|limits| limits.max_handover_bytes = limit))]).await;
    assert_eq!(post(&registry, "bot", "answer 90000").await.unwrap().note_id, None, "too long");
    let (code, message) = crashed(post(&registry, "bot", "answer 110000").await);
    assert_eq!(code, "trap");
    let told = "than `max_handover` (100000 bytes); have it answer and send less, or raise `max_handover` in [plugins.bot.limits]";
    assert!(message.contains(told), "{message}");
}

#[tokio::test]
async fn a_requests_body_and_headers_are_bounded() {
    let server = Server::start().await;
    let registry = granted(&server, |limits| {
        limits.max_request_bytes = 10_000;
        limits.max_header_bytes = 5_000;
    })
    .await;
    let url = server.url("/");
    for (body, fits) in [
        (format!("send {url} 10000"), true),
        (format!("send {url} 10001"), false),
        (format!("headers {url} 4900"), true),
        (format!("headers {url} 5000"), false),
    ] {
        match post(&registry, "bot", &body).await {
            Ok(posted) => assert!(fits && posted.note_id.as_deref() == Some("200"), "{body}"),
            Err(PostError::Failed(failure)) => {
                assert!(!fits, "{body}: {failure:?}");
                assert_eq!((&*failure.code, failure.sent), ("http-too-large", Sent::NotSent));
            }
            Err(other) => panic!("{body}: {other:?}"),
        }
    }
    assert_eq!(server.seen().len(), 2);
    assert_eq!(id(&registry, "bot", "headers-wasi 4").await, "4");
    let (code, message) = crashed(post(&registry, "bot", "headers-wasi 5").await);
    assert_eq!(code, "trap");
    assert!(message.contains("raise `max_header` in [plugins.bot.limits]"), "{message}");
}

#[tokio::test]
async fn an_instance_is_replaced_when_it_is_old() {
    let age = Duration::from_millis(1000);
    let registry = registry([("bot", limited(|limits| limits.instance_age = age))]).await;
    let started = Instant::now();
    let counts = [id(&registry, "bot", "count").await, id(&registry, "bot", "count").await];
    if started.elapsed() < age / 2 {
        assert_eq!(counts, ["1", "2"]);
    }
    eventually("a fresh one", async || id(&registry, "bot", "count").await == "1").await;
}

#[tokio::test]
async fn no_more_instances_are_kept_than_told() {
    for (kept, wanted) in [(2, ["2", "2"]), (1, ["1", "2"])] {
        let registry = registry([("bot", limited(|limits| limits.warm_instances = kept))]).await;
        let both = async || {
            let one = async || id(&registry, "bot", "slow-count 300").await;
            let (one, other) = tokio::join!(one(), one());
            let mut both = [one, other];
            both.sort();
            both
        };
        assert_eq!(both().await, ["1", "1"], "two at once are two instances");
        assert_eq!(both().await, wanted, "{kept} kept");
    }
}

#[tokio::test]
async fn with_isolation_by_call_nothing_is_left_of_the_call_before() {
    let mut bot = plugin(FILE);
    bot.isolation = Isolation::Call;
    let registry = registry([("bot", bot), ("warm", plugin(FILE))]).await;
    let mut counts = Vec::new();
    for name in ["bot", "warm", "bot", "warm", "bot", "warm"] {
        counts.push(id(&registry, name, "count").await);
    }
    assert_eq!(counts, ["1", "1", "1", "2", "1", "3"]);
}
