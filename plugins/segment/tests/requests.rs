//! What is answered to whom, where a request's key is found, and whose webhooks are believed.

use sidenote_plugin::Source;
use sidenote_plugin::crypto::{Encoding, Hash, hmac_sign};
use sidenote_plugin::source::{EventKind, Received, Rejection, RejectionKind};
use sidenote_plugin::test::{Host, request};
use sidenote_segment::Segment;

fn post(path: &str, body: &str) -> Result<Received, Rejection> {
    Segment::receive(request("POST", path, &[], body))
}

#[test]
fn sdks_are_told_that_they_may_send() {
    for (path, needs) in [
        ("/v1/projects/k-1/settings", r#""Segment.io":{"apiKey":"k-1"}"#),
        ("/v1/projects/%22/settings", r#""Segment.io":{}"#),
        ("/sourceConfig/", r#""enabled":true"#),
    ] {
        let answer = Segment::receive(request("GET", path, &[], "")).unwrap();
        assert!(answer.keyless && answer.batches.is_empty(), "{path}");
        assert!(String::from_utf8_lossy(&answer.response.body).contains(needs), "{path}");
    }
    let figures = post("/v1/m", r#"{"series":[]}"#).unwrap();
    assert!(figures.keyless && figures.ignored.len() == 1);
}

#[test]
fn the_address_says_what_a_call_is_where_the_call_does_not() {
    for (path, kind) in [
        ("/v1/t", EventKind::Custom),
        ("/v1/track", EventKind::Custom),
        ("/v1/p", EventKind::Page),
        ("/v1/screen", EventKind::Screen),
        ("/v1/i", EventKind::Identity),
    ] {
        let received = post(path, r#"{"event":"E","userId":"u","writeKey":"k"}"#).unwrap();
        assert_eq!(received.key.as_deref(), Some("k"));
        assert_eq!(received.batches[0].events[0].kind, kind, "{path}");
    }
    assert_eq!(post("/v1/other", "{}").unwrap_err().kind, RejectionKind::NotFound);
    assert_eq!(post("/v1/t", "no").unwrap_err().kind, RejectionKind::Malformed);
    let refused = Segment::receive(request("GET", "/v1/t", &[], "")).unwrap_err();
    assert_eq!(refused.kind, RejectionKind::Method);
}

#[test]
fn what_cannot_be_used_of_a_batch_takes_nothing_of_the_rest() {
    let body = r#"{"writeKey":"k","batch":[{"type":"track","userId":"u"},{"type":"odd"},7,null,{"type":"track","event":"E","userId":"u"}]}"#;
    let received = post("/v1/batch", body).unwrap();
    assert_eq!(received.response.status, 200);
    assert_eq!(received.batches[0].events.len(), 1);
    let ignored: u32 = received.ignored.iter().map(|it| it.count).sum();
    assert_eq!(ignored, 4);
}

#[test]
fn an_alias_of_an_id_to_itself_is_nothing() {
    for (body, merges) in [
        (r#"{"type":"alias","userId":"u","previousId":"u"}"#, 0),
        (r#"{"type":"alias","userId":"u","previousId":""}"#, 0),
        (r#"{"type":"alias","userId":"","previousId":"v"}"#, 0),
        (r#"{"type":"alias","userId":"u","previousId":"v"}"#, 1),
    ] {
        assert_eq!(post("/v1/a", body).unwrap().batches[0].merges.len(), merges, "{body}");
    }
}

#[test]
fn a_webhook_is_signed_where_the_operator_asks_for_it() {
    let body = r#"{"type":"track","event":"E","userId":"u"}"#;
    let send = |signature: &[(&str, &str)]| Segment::receive(request("POST", "/", signature, body));
    let refused = |signature: &[(&str, &str)]| send(signature).unwrap_err().kind;

    Host::new().install();
    assert!(send(&[]).is_ok(), "the key alone is asked for");
    Host::new().config("signed", "true").install();
    assert_eq!(refused(&[("x-signature", "00")]), RejectionKind::Unavailable);
    Host::new().config("signed", "true").secret("webhook", "shared").install();
    let signature = hmac_sign("webhook", Hash::Sha1, Encoding::Hex, body.as_bytes()).unwrap();
    assert!(send(&[("x-signature", &signature)]).is_ok());
    assert_eq!(refused(&[]), RejectionKind::Unauthorized);
    assert_eq!(refused(&[("x-signature", &signature[1..])]), RejectionKind::Unauthorized);
}
