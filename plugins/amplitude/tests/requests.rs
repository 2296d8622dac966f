//! What is answered to whom, and where a request's key is found.

use serde_json::Value;
use sidenote_amplitude::Amplitude;
use sidenote_plugin::Source;
use sidenote_plugin::source::RejectionKind;
use sidenote_plugin::test::request;

#[test]
fn the_answer_is_the_one_that_the_sdks_wait_for() {
    let body =
        r#"{"api_key":"k","events":[{"event_type":"Paid","user_id":"u"},{"event_type":""}]}"#;
    let received = Amplitude::receive(request("POST", "/2/httpapi", &[], body)).unwrap();
    assert_eq!(received.key.as_deref(), Some("k"));
    assert_eq!(received.batches[0].events.len(), 1);
    assert_eq!(received.ignored[0].count, 1);
    let answer: Value = serde_json::from_slice(&received.response.body).unwrap();
    assert_eq!((answer["code"].as_u64(), answer["events_ingested"].as_u64()), (Some(200), Some(2)));
    assert_eq!(answer["payload_size_bytes"], body.len());
}

#[test]
fn what_is_nothing_of_ours_is_refused_by_its_kind() {
    for (method, path, body, kind) in [
        ("GET", "/2/httpapi", "", RejectionKind::Method),
        ("POST", "/", "{}", RejectionKind::NotFound),
        ("POST", "/2/httpapi", "no", RejectionKind::Malformed),
        ("POST", "/2/httpapi", "[]", RejectionKind::Malformed),
        ("POST", "/2/httpapi", r#"{"events":7}"#, RejectionKind::Malformed),
    ] {
        let refused = Amplitude::receive(request(method, path, &[], body)).unwrap_err();
        assert_eq!(refused.kind, kind, "{method} {path} {body}");
    }
}

#[test]
fn a_session_that_outlives_a_logout_is_the_devices_own() {
    let session = |device: &str, session: i64| {
        let body = format!(
            r#"{{"events":[{{"event_type":"E","device_id":"{device}","session_id":{session}}}]}}"#
        );
        let received = Amplitude::receive(request("POST", "/2/httpapi", &[], body)).unwrap();
        received.batches[0].events[0].identity.session_id.clone()
    };
    assert_ne!(session("d-1", 1_795_943_020_569), session("d-2", 1_795_943_020_569));
    assert_eq!(session("d-1", -1), None, "outside of any session");
}
