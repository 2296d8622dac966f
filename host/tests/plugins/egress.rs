//! The egress, from a guest's side.

use std::collections::BTreeSet;
use std::time::Duration;

use sidenote::outbox::note::{Crash, FailureKind, PostError, Sent};
use sidenote::plugin::Registry;
use sidenote::post::Post;
use tokio::time::Instant;

use crate::guests::{call, id, note, plugin, post, registry, secret};
use crate::server::Server;

async fn probe(hosts: &[&str], allow_private: bool, secret_hosts: &[&str]) -> Registry {
    let mut probe = plugin("guest_probe.wasm");
    probe.hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
    probe.allow_private = allow_private;
    probe.secrets = [
        ("token".to_owned(), secret("t0p-s3cret", secret_hosts)),
        ("key".to_owned(), secret("Jefe", &[])),
    ]
    .into();
    registry([("probe", probe)]).await
}

async fn failure(registry: &Registry, body: &str) -> sidenote::outbox::note::Failure {
    match post(registry, "probe", body).await {
        Err(PostError::Failed(failure)) => failure,
        other => panic!("{body}: {other:?}"),
    }
}

#[tokio::test]
async fn a_host_that_is_not_granted_is_denied_with_the_grant_to_paste() {
    let server = Server::start().await;
    let registry = probe(&["api.example.com"], true, &[]).await;
    let denied = failure(&registry, &format!("get {}", server.url("/"))).await;
    assert_eq!(
        (denied.kind, denied.sent, &*denied.code),
        (FailureKind::Auth, Sent::NotSent, "http-denied")
    );
    let grant =
        format!("[plugins.probe.grants] hosts = [\"api.example.com\", \"{}\"]", server.grant());
    assert!(denied.message.contains(&grant), "{}", denied.message);
    let denied = failure(&registry, "get https://evil.example/").await;
    assert!(denied.message.contains("\"evil.example\"]"), "{}", denied.message);
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_private_address_is_denied_by_name_and_by_number() {
    let server = Server::start().await;
    let port = server.address.port();
    let (number, name) = (format!("http://127.0.0.1:{port}"), format!("http://localhost:{port}"));
    let shut = probe(&[&number, &name], false, &[]).await;
    for url in
        [&number, &name, &format!("http://2130706433:{port}"), &format!("http://0x7f.0.0.1:{port}")]
    {
        let denied = failure(&shut, &format!("get {url}/")).await;
        assert_eq!(
            (&*denied.code, denied.sent),
            ("http-denied", Sent::NotSent),
            "{url}: {}",
            denied.message
        );
        assert!(denied.message.contains("private = true"), "{url}: {}", denied.message);
    }
    assert!(server.seen().is_empty());
    let open = probe(&[&number, &name], true, &[]).await;
    for url in [&number, &name] {
        assert!(id(&open, "probe", &format!("get {url}/")).await.starts_with("200"), "{url}");
    }
}

#[tokio::test]
async fn a_metadata_address_is_denied_whatever_is_granted() {
    let registry =
        probe(&["http://169.254.169.254", "http://[::ffff:169.254.169.254]"], true, &[]).await;
    for url in ["http://169.254.169.254/latest", "http://[::ffff:a9fe:a9fe]/latest"] {
        let denied = failure(&registry, &format!("get {url}")).await;
        assert!(denied.message.contains("no grant opens it"), "{}", denied.message);
    }
}

#[tokio::test]
async fn a_secret_goes_only_to_its_hosts_and_never_comes_back() {
    let (granted, other) = (Server::start().await, Server::start().await);
    let registry = probe(&[&granted.grant(), &other.grant()], true, &[&granted.grant()]).await;

    let answer = id(&registry, "probe", &format!("get-with-secret {}", granted.url("/echo"))).await;
    assert_eq!(granted.seen()[0].header("authorization"), Some("Bearer t0p-s3cret"));
    assert_eq!(answer, "200 [Bearer [secret]]  [Bearer [secret]]");

    let refused = failure(&registry, &format!("get-with-secret {}", other.url("/echo"))).await;
    assert_eq!((&*refused.code, refused.sent), ("http-secret", Sent::NotSent));
    assert!(
        refused.message.contains("[plugins.probe.secrets.token] hosts = ["),
        "{}",
        refused.message
    );
    assert!(!refused.message.contains("t0p-s3cret"));
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn a_placeholder_in_a_body_is_filled_only_on_request() {
    let server = Server::start().await;
    let registry = probe(&[&server.grant()], true, &[&server.grant()]).await;
    id(&registry, "probe", &format!("post-body {}", server.url("/"))).await;
    id(&registry, "probe", &format!("post-filled-body {}", server.url("/"))).await;
    let seen = server.seen();
    assert_eq!(seen[0].body, "said {{secret:token}}");
    assert_eq!(seen[1].body, "said t0p-s3cret");
}

#[tokio::test]
async fn a_guest_signs_with_a_key_that_it_never_sees() {
    let registry = probe(&[], false, &[]).await;
    let signed = id(&registry, "probe", "sign what do ya want for nothing?").await;
    assert_eq!(signed, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

#[tokio::test]
async fn headers_of_the_connection_are_the_hosts_and_line_breaks_are_refused() {
    let server = Server::start().await;
    let registry = probe(&[&server.grant()], true, &[]).await;
    id(&registry, "probe", &format!("get-with-own-headers {}", server.url("/"))).await;
    let seen = &server.seen()[0];
    assert_eq!(seen.header("host"), Some(&*server.address.to_string()));
    assert_eq!(seen.header("x-mine"), Some("kept"));
    assert!(seen.header("transfer-encoding").is_none() && seen.header("connection").is_none());
    assert!(seen.header("user-agent").is_some_and(|agent| agent.starts_with("sidenote/")));

    let refused = failure(&registry, &format!("get-with-line-break {}", server.url("/"))).await;
    assert_eq!((&*refused.code, refused.sent), ("http-invalid", Sent::NotSent));
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let server = Server::start().await;
    let registry = probe(&[&server.grant()], true, &[]).await;
    assert!(
        id(&registry, "probe", &format!("get {}", server.url("/redirect")))
            .await
            .starts_with("302")
    );
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_response_is_cut_at_the_cap_and_its_status_stands() {
    let server = Server::start().await;
    let registry = probe(&[&server.grant()], true, &[]).await;
    let limit = crate::guests::limits().max_response_bytes;
    for (bytes, wanted) in [
        (limit, format!("200 {limit} false {limit}")),
        (limit + 1, format!("200 {limit} true none")),
        (limit * 20, format!("200 {limit} true none")),
    ] {
        let url = server.url(&format!("/large/{bytes}"));
        assert_eq!(id(&registry, "probe", &format!("get-size {url}")).await, wanted);
    }
    // The server's own word for it isn't taken.
    let url = server.url("/truncated");
    assert_eq!(id(&registry, "probe", &format!("get-size {url}")).await, "200 5 false 5");
}

#[tokio::test]
async fn connections_are_kept_across_calls_and_plugins() {
    let server = Server::start().await;
    let mut one = plugin("guest_probe.wasm");
    one.hosts = vec![server.grant()];
    one.allow_private = true;
    let registry = registry([("a", one.clone()), ("b", one)]).await;
    for name in ["a", "b", "a", "b"] {
        id(&registry, name, &format!("get {}", server.url("/"))).await;
    }
    let peers: BTreeSet<_> = server.seen().iter().map(|seen| seen.peer).collect();
    assert_eq!(peers.len(), 1, "one connection carried all four");
}

#[tokio::test]
async fn an_answer_that_does_not_come_ends_with_the_call() {
    let server = Server::start().await;
    let registry = probe(&[&server.grant()], true, &[]).await;
    let started = Instant::now();
    let outcome = registry
        .post_note(
            call(Duration::from_millis(300)),
            &note("probe", &format!("get {}", server.url("/hang"))),
        )
        .await;
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    // On a busy machine the guest may not get to say it.
    match outcome {
        Err(PostError::Crashed { crash, .. }) => assert_eq!(crash, Crash::Timeout),
        Err(PostError::Failed(failure)) => {
            assert_eq!((failure.sent, &*failure.code), (Sent::Unknown, "http-timeout"))
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_closed_port_is_told_as_not_sent() {
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let registry = probe(&[&closed], true, &[]).await;
    let refused = failure(&registry, &format!("get {closed}/")).await;
    assert_eq!(
        (refused.kind, refused.sent, &*refused.code),
        (FailureKind::Transient, Sent::NotSent, "http-connect")
    );
}

#[tokio::test]
async fn wasi_http_goes_through_the_same_door() {
    let server = Server::start().await;
    let mut open = plugin("guest_wasi.wasm");
    open.hosts = vec![server.grant()];
    open.allow_private = true;
    open.secrets = [("token".to_owned(), secret("t0p-s3cret", &[&server.grant()]))].into();
    let mut shut = open.clone();
    shut.hosts.clear();
    let mut inside = open.clone();
    inside.allow_private = false;
    let mut unsecret = open.clone();
    unsecret.secrets.insert("token".to_owned(), secret("t0p-s3cret", &["other.example"]));
    let registry =
        registry([("open", open), ("shut", shut), ("inside", inside), ("unsecret", unsecret)])
            .await;

    let request = format!("POST {} /echo", server.address);
    let answer = id(&registry, "open", &request).await;
    assert_eq!(answer, "200 [Bearer [secret]] hello {{secret:token}}");
    let seen = &server.seen()[0];
    assert_eq!(seen.header("authorization"), Some("Bearer t0p-s3cret"));
    assert_eq!(
        seen.header("traceparent"),
        Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    );
    assert_eq!(seen.body, "hello {{secret:token}}", "a body is never filled here");

    for (name, wanted) in [
        ("shut", "HttpRequestDenied"),
        ("inside", "HttpRequestDenied"),
        ("unsecret", "isn't granted to"),
    ] {
        let Err(PostError::Failed(failure)) = post(&registry, name, &request).await else {
            panic!("{name}")
        };
        assert!(failure.message.contains(wanted), "{name}: {}", failure.message);
    }
    assert_eq!(server.seen().len(), 1);

    let limit = crate::guests::limits().max_response_bytes;
    for (bytes, truncated) in [(limit, false), (limit + 1, true)] {
        let answer = id(&registry, "open", &format!("GET {} /large/{bytes}", server.address)).await;
        assert_eq!(answer, format!("200 {limit} bytes, truncated: {truncated}"));
    }
}

#[tokio::test]
async fn requests_of_wasi_http_at_once_take_turns_and_hold_no_more_than_allowed() {
    let server = Server::start().await;
    let mut open = plugin("guest_wasi.wasm");
    open.hosts = vec![server.grant()];
    open.allow_private = true;
    open.secrets = [("token".to_owned(), secret("t0p-s3cret", &[&server.grant()]))].into();
    let registry = registry([("open", open)]).await;
    let limit = crate::guests::limits().max_response_bytes;
    // More than are sent at a time, and twice what may lie unread; then the capacity is free again.
    for (bytes, truncated, held) in [(10, 0, 80), (limit, 4, 4 * limit), (limit, 4, 4 * limit)] {
        let answer =
            id(&registry, "open", &format!("MANY {} /large/{bytes}", server.address)).await;
        assert_eq!(answer, format!("8 responses, {truncated} truncated, {held} bytes"));
    }
}
