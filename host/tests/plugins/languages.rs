//! A component of another toolchain: JavaScript, whose own `fetch` is `wasi:http` of a version that this
//! host didn't choose. It goes through the same egress and ends at the same limits.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use sidenote::config::{Cache, Isolation, Plugin, PluginLimits};
use sidenote::outbox::note::{Failure, FailureKind, PostError, Sent};
use sidenote::plugin::Registry;
use sidenote::post::Post;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::guests::{call, crashed, id, limits, note, post, secret};
use crate::server::Server;

const FILE: &str = "guest_fetch.wasm";

/// A writer that posts to this address, which it is granted, also where it is on this machine.
fn writer(origin: &str, path: &str) -> Plugin {
    Plugin {
        config: [("url".to_owned(), format!("{origin}{path}"))].into(),
        hosts: vec![origin.to_owned()],
        allow_private: true,
        secrets: [("token".to_owned(), secret("t0p-s3cret", &[origin]))].into(),
        limits: PluginLimits {
            memory_bytes: 256 << 20,
            call_timeout: Duration::from_secs(20),
            ..limits()
        },
        ..Plugin::of(FILE)
    }
}

/// A registry of these writers, each of which must run. The component is compiled once.
async fn registry<const N: usize>(writers: [(&str, Plugin); N]) -> Registry {
    static COMPILED: OnceCell<()> = OnceCell::const_new();
    let first = || [("first", writer("http://127.0.0.1:1", "/"))];
    COMPILED.get_or_init(async || drop(load(first()).await)).await;
    let registry = load(writers).await;
    assert_eq!(registry.cache().used, 1, "it was compiled again");
    registry
}

#[expect(clippy::print_stdout, reason = "what it costs to load is seen with --nocapture")]
async fn load<const N: usize>(writers: [(&str, Plugin); N]) -> Registry {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    let built = target.join("test-guests").join(FILE);
    assert!(built.is_file(), "{} isn't there; run `cargo xtask guests`", built.display());
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(&built, folder.path().join(FILE)).unwrap();
    let writers = writers.into_iter().map(|(name, plugin)| (name.into(), plugin)).collect();
    // Kept between runs: to compile it takes a debug host a while.
    let cache = Cache { max_bytes: 256 << 20, ..Cache::at(target.join("test-cache")) };
    let started = Instant::now();
    let registry = Registry::load_cached(folder.path(), &writers, &cache).await.unwrap();
    let how = if registry.cache().stored > 0 { "compiled" } else { "from the cache" };
    println!("{} bytes, {how}, in {:?}", built.metadata().unwrap().len(), started.elapsed());
    for state in registry.states() {
        assert_eq!(state.failed, None, "{}", state.name);
    }
    registry
}

async fn failure(registry: &Registry, writer: &str) -> Failure {
    match post(registry, writer, "hello").await {
        Err(PostError::Failed(failure)) => failure,
        other => panic!("{writer}: {other:?}"),
    }
}

/// A port of this machine that tells whether anybody connected.
struct Port(TcpListener);

impl Port {
    fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    fn origin(&self) -> String {
        format!("http://{}", self.0.local_addr().unwrap())
    }

    fn was_connected_to(&self) -> bool {
        match self.0.accept() {
            Ok(_) => true,
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn a_note_is_posted_with_the_languages_own_client() {
    let server = Server::start().await;
    let fresh = Plugin { isolation: Isolation::Call, ..writer(&server.grant(), "/notes") };
    let warm = writer(&server.grant(), "/notes");
    let registry = registry([("fresh", fresh), ("warm", warm)]).await;
    assert_eq!(id(&registry, "warm", "said \"hello\", ünïcode 💬").await, "n1");
    let seen = &server.seen()[0];
    assert_eq!((&*seen.method, &*seen.path), ("POST", "/notes"));
    assert_eq!(seen.header("content-type"), Some("application/json"));
    assert_eq!(
        seen.header("traceparent"),
        Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        "the host's"
    );
    assert_eq!(seen.body, r#"{"body":"said \"hello\", ünïcode 💬","idempotency_key":"key-1"}"#);

    for name in ["fresh", "warm"] {
        let mut took = Vec::new();
        for _ in 0..50 {
            let started = Instant::now();
            assert_eq!(id(&registry, name, "hello").await, "n1");
            took.push(started.elapsed());
        }
        took.sort();
        println!("{name} instance: a post takes {:?} in the median of 50", took[25]);
    }
    assert_eq!(server.seen().len(), 101);
}

#[tokio::test]
async fn what_the_platform_answers_is_what_the_host_hears() {
    let server = Server::start().await;
    let at = |status: u16| writer(&server.grant(), &format!("/status/{status}"));
    let registry = registry([("busy", at(429)), ("down", at(503)), ("gone", at(404))]).await;
    for (name, kind, code, retry_after, sent) in [
        ("busy", FailureKind::RateLimited, "429", Some(Duration::from_secs(7)), Sent::Sent),
        ("down", FailureKind::Transient, "503", None, Sent::Unknown),
        ("gone", FailureKind::Permanent, "404", None, Sent::Sent),
    ] {
        let failure = failure(&registry, name).await;
        assert_eq!(
            (failure.kind, &*failure.code, failure.retry_after, failure.sent),
            (kind, code, retry_after, sent)
        );
    }
}

#[tokio::test]
async fn nobody_connects_to_a_host_or_an_address_that_is_not_granted() {
    let port = Port::open();
    let granted = writer(&port.origin(), "/");
    let elsewhere = Plugin { hosts: vec!["api.example.com".to_owned()], ..granted.clone() };
    let inside = Plugin { allow_private: false, ..granted.clone() };
    let registry =
        registry([("elsewhere", elsewhere), ("inside", inside), ("granted", granted)]).await;
    for name in ["elsewhere", "inside"] {
        let failure = failure(&registry, name).await;
        assert_eq!((failure.kind, &*failure.code), (FailureKind::Transient, "fetch"), "{name}");
        assert!(!port.was_connected_to(), "{name}");
    }
    // The port does tell: nobody answers there, and one that may connect waits for its deadline.
    let outcome = registry.post_note(call(Duration::from_secs(1)), &note("granted", "hello")).await;
    assert!(outcome.is_err());
    assert!(port.was_connected_to());
}

#[tokio::test]
async fn a_secret_is_filled_in_on_the_way_out_for_its_own_hosts_only() {
    let (granted, other) = (Server::start().await, Server::start().await);
    let its_own = writer(&granted.grant(), "/notes");
    let mut elsewhere = writer(&other.grant(), "/notes");
    elsewhere.secrets = its_own.secrets.clone();
    let registry = registry([("its-own", its_own), ("elsewhere", elsewhere)]).await;

    assert_eq!(id(&registry, "its-own", "{{secret:token}}").await, "n1");
    let seen = &granted.seen()[0];
    assert_eq!(seen.header("authorization"), Some("Bearer t0p-s3cret"));
    assert_eq!(seen.body, r#"{"body":"{{secret:token}}","idempotency_key":"key-1"}"#);

    let refused = failure(&registry, "elsewhere").await;
    assert_eq!((refused.kind, &*refused.code), (FailureKind::Transient, "fetch"));
    assert!(!refused.message.contains("t0p-s3cret"));
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let server = Server::start().await;
    let registry = registry([("moved", writer(&server.grant(), "/redirect"))]).await;
    let failure = failure(&registry, "moved").await;
    assert_eq!((failure.kind, &*failure.code), (FailureKind::Permanent, "302"));
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn an_endless_loop_is_stopped_at_its_limit_and_the_next_note_is_posted() {
    let server = Server::start().await;
    let mut thrifty = writer(&server.grant(), "/notes");
    thrifty.limits.cpu_time = Duration::from_millis(300);
    let registry = registry([("thrifty", thrifty)]).await;
    let started = Instant::now();
    let (code, message) = crashed(post(&registry, "thrifty", "loop").await);
    assert_eq!(code, "cpu", "{message}");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert_eq!(id(&registry, "thrifty", "hello").await, "n1");
}

#[tokio::test]
async fn an_instance_that_hoards_handles_is_replaced_before_it_has_none_left() {
    let server = Server::start().await;
    // Its `fetch` never gives its handles back, eight for each, and there are 64 of them.
    let registry = registry([("js", writer(&server.grant(), "/notes"))]).await;
    for n in 0..30 {
        let posted = post(&registry, "js", "hello").await;
        assert!(posted.is_ok(), "{n}: {posted:?}");
    }
    assert_eq!(server.seen().len(), 30);
}

#[tokio::test]
async fn an_answer_of_the_size_that_is_allowed_is_read_by_the_languages_own_client_at_default_settings()
 {
    let server = Server::start().await;
    let limits = PluginLimits::default();
    for bytes in [512 << 10, limits.max_response_bytes] {
        let path = format!("/large/{bytes}");
        let writer = Plugin { limits: limits.clone(), ..writer(&server.grant(), &path) };
        let registry = registry([("js", writer)]).await;
        for n in 0..3 {
            let posted = post(&registry, "js", "hello").await;
            assert!(posted.is_ok(), "{bytes} bytes, {n}: {posted:?}");
        }
    }
    assert_eq!(server.seen().len(), 6, "no note was sent twice");
}

/// Through `fetch`, `wasi:http` and our `http`: what is over the bound is left out, and what is within it is read.
#[tokio::test]
async fn an_answer_of_8_mib_is_posted_once_whatever_reads_it() {
    const LARGE: usize = 8 << 20;
    let server = Server::start().await;
    let path = format!("/large/{LARGE}");
    let of = |file: &str, max_response_bytes| {
        let base = writer(&server.grant(), &path);
        let limits = PluginLimits { max_response_bytes, ..PluginLimits::default() };
        Plugin { file: file.to_owned(), limits, ..base }
    };
    let default = PluginLimits::default().max_response_bytes;
    let authority = server.url("").trim_start_matches("http://").trim_end_matches('/').to_owned();
    let by_wasi = format!("GET {authority} {path}");
    let by_http = format!("get {}", server.url(&path));
    let cases = [
        ("js", "guest_fetch.wasm", "hello"),
        ("wasi", "guest_wasi.wasm", &*by_wasi),
        ("http", "guest_hostile.wasm", &*by_http),
    ];
    for max_response in [default, LARGE] {
        for (name, file, body) in cases {
            let registry = if file == FILE {
                registry([(name, of(file, max_response))]).await
            } else {
                crate::guests::registry([(name, of(file, max_response))]).await
            };
            let before = server.seen().len();
            let posted = post(&registry, name, body).await;
            let posted = posted.unwrap_or_else(|error| panic!("{name}, {max_response}: {error:?}"));
            if let Some(id) = posted.note_id {
                assert!(id.contains(&max_response.to_string()), "{name}, {max_response}: {id}");
            }
            assert_eq!(server.seen().len(), before + 1, "{name}, {max_response}");
        }
    }
}

#[tokio::test]
async fn a_language_that_runs_out_of_handles_is_told_the_key_that_bounds_them() {
    let server = Server::start().await;
    let mut writer = writer(&server.grant(), "/notes");
    writer.limits.handles = 2;
    let registry = registry([("js", writer)]).await;
    let (code, message) = crashed(post(&registry, "js", "hello").await);
    assert_eq!(code, "trap");
    assert!(message.contains("`handles` in [plugins.js.limits]"), "{message}");
}
