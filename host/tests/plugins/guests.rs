//! The built components, and registries made of them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sidenote::clock::Timestamp;
use sidenote::config::{Cache, Plugin, PluginLimits, PluginSecret, Secret};
use sidenote::ids::{ConversationId, ProductId, SessionId, SessionKey};
use sidenote::kv::CallKv;
use sidenote::outbox::note::{Call, Note, NoteKind, PostError, Posted};
use sidenote::plugin::Registry;
use sidenote::post::Post;
use sidenote::session::packed::Packed;
use sidenote::session::payload::Action;

/// Where the built components are; `SIDENOTE_GUESTS` names another folder.
pub(crate) fn folder() -> PathBuf {
    match std::env::var_os("SIDENOTE_GUESTS") {
        Some(folder) => folder.into(),
        None => workspace().join("target/wasm32-wasip2/guest"),
    }
}

/// The workspace's folder, from whichever of its packages.
fn workspace() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().find(|folder| folder.join("Cargo.lock").is_file()).unwrap()
}

/// A built component of this folder.
pub(crate) fn built(file: &str) -> PathBuf {
    let path = folder().join(file);
    assert!(path.is_file(), "{} isn't there; run `cargo xtask guests`", path.display());
    path
}

/// Limits that a test can wait for.
pub(crate) fn limits() -> PluginLimits {
    PluginLimits {
        memory_bytes: 64 << 20,
        call_timeout: Duration::from_secs(10),
        cpu_time: Duration::from_secs(5),
        concurrency: 2,
        calls_per_instance: 100,
        max_response_bytes: 64 << 10,
        max_log_bytes: 4 << 10,
        ..PluginLimits::default()
    }
}

/// The configuration of a plugin that is granted nothing.
pub(crate) fn plugin(file: &str) -> Plugin {
    Plugin { limits: limits(), ..Plugin::of(file) }
}

/// A secret and the hosts that it may go to.
pub(crate) fn secret(value: &str, hosts: &[&str]) -> PluginSecret {
    PluginSecret {
        value: Secret::new(value),
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
    }
}

/// A registry of these plugins, each of which must run.
pub(crate) async fn registry<const N: usize>(plugins: [(&str, Plugin); N]) -> Registry {
    for (_, plugin) in &plugins {
        built(&plugin.file);
    }
    let folder = tempfile::tempdir().unwrap();
    for (_, plugin) in &plugins {
        std::fs::copy(built(&plugin.file), folder.path().join(&plugin.file)).unwrap();
    }
    let plugins = plugins.into_iter().map(|(name, plugin)| (name.into(), plugin)).collect();
    // Kept between tests and runs: a debug host takes its time to compile.
    let cache = Cache::at(workspace().join("target/test-cache"));
    let registry = Registry::load_cached(folder.path(), &plugins, &cache).await.unwrap();
    for state in registry.states() {
        assert_eq!(state.failed, None, "{}", state.name);
    }
    registry
}

/// The hostile component with another version in it, which it answers to `version`.
pub(crate) fn version(number: usize) -> Vec<u8> {
    const MARK: &[u8] = b"hostile-version-";
    let mut bytes = std::fs::read(built("guest_hostile.wasm")).unwrap();
    let at = bytes.windows(MARK.len()).position(|window| window == MARK).unwrap() + MARK.len();
    bytes[at..at + 8].copy_from_slice(format!("{number:08}").as_bytes());
    bytes
}

/// What the hostile component of this version answers.
pub(crate) fn answer_of(number: usize) -> String {
    format!("hostile-version-{number:08}")
}

/// Waits until something is so.
pub(crate) async fn eventually(what: &str, mut is: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), waiting).await;
    waited.unwrap_or_else(|_| panic!("not within a minute: {what}"));
}

/// A note with this body.
pub(crate) fn note(plugin: &str, body: &str) -> Note {
    Note {
        key: SessionKey {
            product: ProductId::new("shop").unwrap(),
            session: SessionId::new("s1").unwrap(),
        },
        seq: 3,
        plugin: plugin.into(),
        conversation: ConversationId::new("c1").unwrap(),
        user_id: Some("u1".to_owned()),
        email: Some("u@example.com".to_owned()),
        kind: NoteKind::Actions,
        body: body.to_owned(),
        actions: Packed::of(&[Action {
            title: "Click".to_owned(),
            description: "clicked \"Pay\"".to_owned(),
            canonical_url: "https://shop.example/cart".to_owned(),
            kind: "click".to_owned(),
            timestamp_start: Some(1.5),
            ..Action::default()
        }]),
        through: 1,
        idempotency_key: "key-1".to_owned(),
        sealed_at: Timestamp(0),
        waits_since: None,
        begun: false,
        resent_of: None,
    }
}

/// A first attempt that may take this long.
pub(crate) fn call(timeout: Duration) -> Call {
    Call {
        idempotency_key: "key-1".to_owned(),
        attempt: 1,
        timeout,
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
        kv: CallKv::default(),
    }
}

/// Posts a note with this body, with ten seconds for it.
pub(crate) async fn post(
    registry: &Registry,
    plugin: &str,
    body: &str,
) -> Result<Posted, PostError> {
    registry.post_note(call(Duration::from_secs(10)), &note(plugin, body)).await
}

/// The id of a note that was posted.
pub(crate) async fn id(registry: &Registry, plugin: &str, body: &str) -> String {
    post(registry, plugin, body).await.unwrap().note_id.unwrap()
}

/// Checks that a plugin answers.
pub(crate) async fn assert_alive(registry: &Registry, plugin: &str) {
    assert_eq!(id(registry, plugin, "hello").await, "alive", "{plugin}");
}

/// The code of a post that crashed.
pub(crate) fn crashed(outcome: Result<Posted, PostError>) -> (&'static str, String) {
    match outcome {
        Err(PostError::Crashed { crash, message }) => (crash.code(), message),
        other => panic!("not crashed: {other:?}"),
    }
}
