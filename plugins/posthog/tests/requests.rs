//! What is answered to whom, and where a request's key is found.

use serde_json::Value;
use sidenote_plugin::Source;
use sidenote_plugin::source::{EventKind, Received, Rejection, RejectionKind};
use sidenote_plugin::test::{Host, request};
use sidenote_posthog::PostHog;

fn get(path: &str) -> Result<Received, Rejection> {
    PostHog::receive(request("GET", path, &[], ""))
}

fn post(path: &str, body: &str) -> Result<Received, Rejection> {
    PostHog::receive(request("POST", path, &[], body))
}

#[test]
fn posthog_js_is_told_that_it_may_capture() {
    let config = get("/array/phc_any/config").unwrap();
    assert!(config.keyless && config.batches.is_empty());
    let config: Value = serde_json::from_slice(&config.response.body).unwrap();
    assert_eq!(config["autocapture_opt_out"], false);
    assert_eq!(config["supportedCompression"][0], "gzip-js");
    assert_eq!(config["hasFeatureFlags"], false);
    let old: Value = serde_json::from_slice(&post("/decide/", "").unwrap().response.body).unwrap();
    assert_eq!(old["autocapture_opt_out"], false);
    let script = get("/array/phc_any/config.js").unwrap();
    assert!(script.keyless);
    let script = String::from_utf8(script.response.body).unwrap();
    assert!(script.contains(r#"["phc_any"] = {config: {"#), "{script}");
    for key in ["a%22b", "a\"b", "</script>"] {
        let refused = get(&format!("/array/{key}/config.js")).unwrap_err();
        assert_eq!(refused.kind, RejectionKind::NotFound);
    }
}

#[test]
fn a_snippet_is_sent_on_to_where_the_operator_says() {
    let location = |received: Received| {
        assert_eq!(received.response.status, 302);
        received.response.headers.iter().find(|(name, _)| name == "location").unwrap().1.clone()
    };
    Host::new().install();
    assert_eq!(
        location(get("/static/array.js").unwrap()),
        "https://us-assets.i.posthog.com/static/array.js"
    );
    assert_eq!(
        location(get("/static/1.449.2/dead-clicks-autocapture.js").unwrap()),
        "https://us-assets.i.posthog.com/static/1.449.2/dead-clicks-autocapture.js"
    );
    assert!(get("/static/1.449.2/recorder.js").is_err());
    Host::new().config("array_js", "https://shop.example/array.js").install();
    assert_eq!(location(get("/static/array.js").unwrap()), "https://shop.example/array.js");
    let later = get("/static/1.449.2/dead-clicks-autocapture.js");
    assert!(later.is_err(), "nobody knows where that server has it");
}

#[test]
fn what_is_nothing_of_ours_is_refused_by_its_kind() {
    for (method, path, body, kind) in [
        ("GET", "/e/", "", RejectionKind::Method),
        ("POST", "/array/k/config", "", RejectionKind::Method),
        ("GET", "/", "", RejectionKind::Method),
        ("POST", "/nothing/here", "{}", RejectionKind::NotFound),
        ("POST", "/e/", "", RejectionKind::Malformed),
        ("POST", "/", "no", RejectionKind::Malformed),
    ] {
        let refused = PostHog::receive(request(method, path, &[], body)).unwrap_err();
        assert_eq!(refused.kind, kind, "{method} {path}");
    }
}

#[test]
fn the_key_is_found_wherever_the_clients_put_it() {
    for body in [
        r#"{"api_key":"k","batch":[{"event":"e","distinct_id":"u"}]}"#,
        r#"{"token":"k","batch":[]}"#,
        r#"[{"event":"e","properties":{"token":"k"}}]"#,
        r#"{"event":"e","properties":{"token":"k"}}"#,
        r#"{"api_key":"k","event":"e","distinct_id":"u"}"#,
    ] {
        assert_eq!(post("/e/", body).unwrap().key.as_deref(), Some("k"), "{body}");
    }
    assert_eq!(post("/e/", r#"[{"event":"e"}]"#).unwrap().key, None);
}

#[test]
fn a_webhooks_header_is_its_key() {
    let body = r#"{"event":{"event":"Paid","distinct_id":"u-1","properties":{}},"person":{"properties":{"email":"a@b.example"}}}"#;
    let receive = |header: &str| {
        PostHog::receive(request("POST", "/", &[(header, "secret-1")], body)).unwrap()
    };
    Host::new().install();
    let received = receive("x-posthog-secret");
    assert_eq!(received.key.as_deref(), Some("secret-1"));
    let event = &received.batches[0].events[0];
    assert_eq!((event.kind, &*event.name), (EventKind::Custom, "Paid"));
    assert_eq!(event.identity.email.as_deref(), Some("a@b.example"));
    assert_eq!(receive("x-other").key, None);
    Host::new().config("secret_header", "x-other").install();
    assert_eq!(receive("x-other").key.as_deref(), Some("secret-1"));
}

#[test]
fn a_clock_that_is_wrong_is_set_right() {
    let mut sent = request(
        "POST",
        "/batch/",
        &[],
        r#"{"sent_at":"2026-01-01T00:00:10.500Z","batch":[{"event":"e","distinct_id":"u","timestamp":"2026-01-01T00:00:08.250Z"}]}"#,
    );
    sent.received_at_ms = 2_000_000_000_000;
    let at = PostHog::receive(sent).unwrap().batches[0].events[0].at.unwrap();
    assert!((at - 1_999_999_997.75).abs() < 0.001, "{at}");
    let mut old = request("POST", "/e/", &[], r#"[{"event":"e","distinct_id":"u","offset":2500}]"#);
    old.received_at_ms = 2_000_000_000_000;
    let at = PostHog::receive(old).unwrap().batches[0].events[0].at.unwrap();
    assert!((at - 1_999_999_997.5).abs() < 0.001, "{at}");
}

#[test]
fn source_lines_of_a_server_and_addresses_of_campaigns_are_not_handed_on() {
    let body = r#"[{"event":"$exception","distinct_id":"u","properties":{"$exception_list":[{"type":"E","value":"v","stacktrace":{"frames":[{"context_line":"let key = 1"}]}}]}},
        {"event":"Paid","distinct_id":"u","properties":{"utm_source":"x","gclid":"y","$ip":"1.2.3.4","plan":"pro","list":[1],"deep":{"a":1,"b":{"c":1}}}}]"#;
    let events = &post("/e/", body).unwrap().batches[0].events;
    assert_eq!(events[0].properties, "");
    let kept: serde_json::Value = serde_json::from_str(&events[1].properties).unwrap();
    assert_eq!(kept, serde_json::json!({"deep": {"a": 1}, "plan": "pro"}));
}

#[test]
fn who_is_a_visitor_and_who_a_person_is_told_apart() {
    let uuid = "018f3a6e-7b1c-7cc2-9d5e-2f6a0b1c2d3e";
    for (properties, id, is_person) in [
        (r#""$is_identified":true"#, uuid, true),
        (r#""$is_identified":false"#, "u-1", false),
        (r#""$device_id":"d-1""#, "d-1", false),
        (r#""$process_person_profile":false"#, "anon-1", false),
        (r#""x":1"#, uuid, false),
        (r#""x":1"#, "u-1", true),
        (r#""$user_id":"018f3a6e-7b1c-7cc2-9d5e-2f6a0b1c2d3e""#, uuid, true),
    ] {
        let body =
            format!(r#"[{{"event":"e","distinct_id":"{id}","properties":{{{properties}}}}}]"#);
        let identity = post("/e/", &body).unwrap().batches[0].events[0].identity.clone();
        assert_eq!(identity.user_id.is_some(), is_person, "{body}");
        assert_eq!(identity.anonymous_id.is_some(), !is_person, "{body}");
    }
}
