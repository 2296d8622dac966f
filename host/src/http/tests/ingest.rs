//! `POST /ingest/{product_id}`.

use super::*;
use crate::session::payload::PayloadError;
use crate::stream::push::PushError;

#[tokio::test]
async fn a_pushed_event_is_handed_on_byte_for_byte_with_every_signature() {
    // Whoever may push needs no token: the signature is checked behind the route.
    let token = Some(Secret::new("token"));
    let host = Host::start(Server { token, ..Server::default() }).await;
    let signed = [("X-Connector-Signature", "sha256=ab"), ("x-connector-signature", "sha256=cd")];
    let answer = host.send("POST", "/ingest/a%2Fb%20c", &signed, "{\"not\" : json\r\n").await;
    let taken = json!({"status": "accepted", "dropped_actions": 0});
    assert_eq!((answer.status(), answer.json()), (200, taken));
    let pushes = std::mem::take(&mut *host.backend.pushes.lock().unwrap());
    let expected = PushRequest {
        product: "a/b c".to_owned(),
        signatures: vec![b"sha256=ab".to_vec(), b"sha256=cd".to_vec()],
        body: Bytes::from("{\"not\" : json\r\n"),
    };
    assert_eq!(pushes, [expected]);
    assert!(!format!("{pushes:?}").contains("sha256"));
    assert_eq!(host.send("GET", "/ingest/p", &[], "").await.status(), 405);
}

#[tokio::test]
async fn what_becomes_of_a_pushed_event_is_the_answer() {
    let host = Host::start(Server::default()).await;
    let refused = PushAnswer::Refused;
    let payload = |error| refused(PushError::Payload(error));
    for (answer, status, code) in [
        (refused(PushError::NoProduct), 404, "not_pushed"),
        (refused(PushError::Signature), 401, "signature"),
        (refused(PushError::NotText), 400, "invalid_json"),
        (payload(PayloadError::NotJson { line: 1, column: 2 }), 400, "invalid_json"),
        (payload(PayloadError::NotAnObject), 422, "invalid_body"),
        (payload(PayloadError::UnknownType), 422, "unknown_type"),
        (refused(PushError::OtherProduct), 422, "other_product"),
        (refused(PushError::NoSession), 422, "missing_field"),
        (refused(PushError::NoSummary), 422, "missing_field"),
        (PushAnswer::Unavailable { retry_after: Duration::from_secs(2) }, 503, "unavailable"),
    ] {
        *host.backend.pushed.lock().unwrap() = answer;
        let told = host.send("POST", "/ingest/p", &[], "{}").await;
        assert_eq!((told.status(), told.code().as_str()), (status, code), "{answer:?}");
        let wait = matches!(answer, PushAnswer::Unavailable { .. }).then_some("2");
        assert_eq!(told.header("retry-after"), wait, "{answer:?}");
    }
    *host.backend.pushed.lock().unwrap() = PushAnswer::Repeat;
    let told = host.send("POST", "/ingest/p", &[], "{}").await;
    assert_eq!((told.status(), told.json()), (200, json!({"status": "repeated"})));
}

#[tokio::test]
async fn a_pushed_event_that_is_too_large_is_not_read() {
    let host = Host::start(Server { max_body_bytes: 100, ..Server::default() }).await;
    let answer = host.send("POST", "/ingest/p", &[], &"x".repeat(101)).await;
    assert_eq!((answer.status(), answer.code().as_str()), (413, "body_too_large"));
    assert!(host.backend.pushes.lock().unwrap().is_empty());
}
