//! `POST /streams/retry`.

use super::*;

#[tokio::test]
async fn a_stream_is_asked_at_once_by_whoever_has_the_token() {
    let token = Some(Secret::new("token"));
    let host = Host::start(Server { token, ..Server::default() }).await;
    host.backend.readiness.lock().unwrap().streams[0] = StreamReadiness {
        name: "main".into(),
        state: StreamState::Refused,
        last_event_age: None,
        cause: Some("the connector refused with HTTP 404".into()),
        next_attempt: Some(Duration::from_secs(280)),
    };
    let bearer = [("authorization", "Bearer token")];
    let main = json!({
        "state": "refused",
        "last_event_age_seconds": null,
        "cause": "the connector refused with HTTP 404",
        "next_attempt_in_seconds": 280.0,
    });
    for (path, named) in [("/streams/retry", None), ("/streams/main/retry", Some("main"))] {
        let answer = host.send("POST", path, &[], "").await;
        assert_eq!((answer.status(), answer.code().as_str()), (401, "unauthorized"), "{path}");
        assert_eq!(host.backend.retried.lock().unwrap().len(), 0, "{path}");
        let answer = host.send("POST", path, &bearer, "").await;
        assert_eq!((answer.status(), answer.json()), (200, json!({"streams": {"main": main}})));
        let retried = std::mem::take(&mut *host.backend.retried.lock().unwrap());
        assert_eq!(retried, [named.map(str::to_owned)]);
        let answer = host.send("GET", path, &bearer, "").await;
        assert_eq!((answer.status(), answer.header("allow")), (405, Some("POST")));
    }
    let unknown = host.send("POST", "/streams/other/retry", &bearer, "").await;
    assert_eq!((unknown.status(), unknown.code().as_str()), (404, "unknown_stream"));
    let ready = host.send("GET", "/readyz", &[], "").await;
    assert_eq!((ready.status(), &ready.json()["streams"]["main"]), (503, &main));
}
