//! Health, readiness and addresses that mean nothing.

use super::*;

#[tokio::test]
async fn health_shows_the_streams_and_readiness_all_parts() {
    let host = Host::start(Server::default()).await;
    let alive = host.send("GET", "/healthz", &[], "").await;
    let main = json!({"state": "connected", "last_event_age_seconds": 1.5, "cause": null, "next_attempt_in_seconds": null});
    assert_eq!(
        (alive.status(), alive.json()),
        (200, json!({"status": "ok", "streams": {"main": main}}))
    );
    assert_eq!(alive.header("cache-control"), Some("no-store"));
    let ready = host.send("GET", "/readyz", &[], "").await;
    let parts = json!({"status": "ready", "streams": {"main": main}, "store": {"ready": true}, "plugins": {"webhook": {"ready": true}}});
    assert_eq!((ready.status(), ready.json()), (200, parts));

    let broken = Part::NotReady { cause: "disk full".into() };
    let good = host.backend.readiness.lock().unwrap().clone();
    let mut cases = Vec::new();
    for state in
        [StreamState::Connecting, StreamState::Waiting, StreamState::Refused, StreamState::Stopped]
    {
        let stream = StreamReadiness {
            state,
            cause: Some("401".into()),
            last_event_age: None,
            ..good.streams[0].clone()
        };
        cases.push((Readiness { streams: vec![stream], ..good.clone() }, "degraded"));
    }
    cases.push((Readiness { store: broken.clone(), ..good.clone() }, "ok"));
    cases.push((Readiness { plugins: vec![("webhook".into(), broken)], ..good }, "ok"));
    for (readiness, health) in cases {
        *host.backend.readiness.lock().unwrap() = readiness.clone();
        let alive = host.send("GET", "/healthz", &[], "").await;
        assert_eq!(
            (alive.status(), alive.json()["status"].as_str()),
            (200, Some(health)),
            "{readiness:?}"
        );
        let ready = host.send("GET", "/readyz", &[], "").await;
        assert_eq!(
            (ready.status(), ready.json()["status"].as_str()),
            (503, Some("not_ready")),
            "{readiness:?}"
        );
        assert!(
            ready.body().contains("disk full") || ready.body().contains("401"),
            "{}",
            ready.body()
        );
    }
}

#[tokio::test]
async fn the_last_failure_of_a_plugin_is_told_without_the_platforms_words() {
    let host = Host::start(Server::default()).await;
    *host.backend.errors.lock().unwrap() = vec![("webhook".into(), plugins::refused())];
    let ready = host.send("GET", "/readyz", &[], "").await;
    let expected = json!({
        "ready": true,
        "last_error": {
            "at": 20.5, "kind": "auth", "code": "401", "ongoing": true, "since": 1.5, "failures": 7,
        },
    });
    assert_eq!(ready.json()["plugins"]["webhook"], expected);
    assert!(!ready.body().contains("token_revoked"), "anyone can read it");
}

#[tokio::test]
async fn unknown_addresses_and_methods_are_typed_errors() {
    let host = Host::start(Server::default()).await;
    for (method, path, status, code, allow) in [
        ("GET", "/", 404, "not_found", None),
        ("GET", "/webhooks", 404, "not_found", None),
        ("GET", "/webhooks/a/b", 404, "not_found", None),
        ("PUT", "/webhooks/x", 405, "method_not_allowed", Some("GET, HEAD, POST")),
        ("GET", "/sessions/link", 405, "method_not_allowed", Some("POST")),
        ("OPTIONS", "/sessions/link", 405, "method_not_allowed", Some("POST")),
        ("POST", "/healthz", 405, "method_not_allowed", Some("GET, HEAD")),
        ("DELETE", "/readyz", 405, "method_not_allowed", Some("GET, HEAD")),
    ] {
        let answer = host.send(method, path, &[], "").await;
        assert_eq!(
            (answer.status(), answer.code().as_str(), answer.header("allow")),
            (status, code, allow),
            "{method} {path}"
        );
    }
}
