//! Sources over real sockets: requests as tools, pages and programs make them, a real host with a real component, and the
//! note beside the conversation.

mod polls;
mod restarts;

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use sidenote_sim::{Opening, PlatformOptions};
use sidenote_tests::{Rig, Setup, eventually};

const KEY: &str = "pk_of_the_website";
const PAGE: &str = "https://app.example.com";

/// A host with the source `events` for the product `p`.
async fn rig(more: &str) -> Rig {
    Rig::start(setup(more)).await
}

fn setup(more: &str) -> Setup {
    let tables = format!(
        r#"
[plugins.events.source]
product = "p"
origins = ["{PAGE}"]
max_body = "1MiB"
{more}
[plugins.events.source.keys.website]
key = "{KEY}"
[plugins.events.source.keys.other]
key = "pk_of_q"
product = "q"
[plugins.events.source.words]
show = ["format"]
"#
    );
    Setup {
        tables,
        files: &["events.wasm"],
        delivery: "debounce = \"20ms\"".to_owned(),
        platform: PlatformOptions::default(),
        ..Setup::default()
    }
}

/// Sends something to a source's address.
async fn send(
    rig: &Rig,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<reqwest::Body>,
) -> Response {
    let client = reqwest::Client::builder().no_proxy().build().expect("a plain client");
    let mut request = client.request(method, rig.url(path)).body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.expect("the host answers")
}

/// Sends events with the website's key; what is answered.
async fn told(rig: &Rig, body: &Value) -> (u16, Value) {
    let bearer = format!("Bearer {KEY}");
    let headers = [("authorization", &*bearer)];
    let answer = send(rig, Method::POST, "/sources/events", &headers, body.to_string()).await;
    let status = answer.status().as_u16();
    (status, answer.json().await.expect("JSON"))
}

/// The lines that arrived in a conversation.
fn lines(rig: &Rig, conversation: &str) -> Vec<String> {
    let notes = rig.platform.notes(conversation);
    notes.iter().flat_map(|note| note.actions.iter().map(|it| it.description.clone())).collect()
}

async fn arrive(rig: &Rig, conversation: &str, wanted: &[&str]) {
    eventually(|| match lines(rig, conversation) {
        lines if lines.len() >= wanted.len() => Ok(()),
        lines => Err(format!("{lines:?}, and not {wanted:?}")),
    })
    .await;
    assert_eq!(lines(rig, conversation), wanted);
}

/// What a header of an answer says.
fn header<'a>(answer: &'a Response, name: &str) -> Option<&'a str> {
    answer.headers().get(name).map(|value| value.to_str().expect("text"))
}

fn packed(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_who_signs_in_has_all_of_it_beside_the_conversation_that_is_opened_by_email() {
    let rig = rig("").await;
    let visit = json!([
        {"id": "1", "kind": "page", "anonymous": "a-1", "url": format!("{PAGE}/billing?invite_token=s3cr3t"), "page_title": "Billing"},
        {"id": "2", "name": "Invoice Exported", "anonymous": "a-1", "url": format!("{PAGE}/billing"), "page_title": "Billing", "properties": {"format": "csv", "card": "4111"}},
    ]);
    assert_eq!(told(&rig, &visit).await, (200, json!({"accepted": 2, "refused": 0, "errors": []})));
    let sign_in = json!({"id": "3", "kind": "identity", "anonymous": "a-1", "user": "u-1", "email": "Ann@Example.com"});
    assert_eq!(told(&rig, &sign_in).await.0, 200);
    // The same again, with something new beside it: an SDK had no answer.
    let again = json!([visit[0], visit[1], {"id": "4", "name": "Plan Changed", "user": "u-1"}]);
    assert_eq!(told(&rig, &again).await.1["accepted"], 3);
    let opening = Opening {
        product: "p".to_owned(),
        email: Some("ann@example.com".to_owned()),
        ..Opening::default()
    };
    let conversation = rig.platform.open(opening).await.expect("the host takes it");
    arrive(
        &rig,
        &conversation,
        &["Viewed Billing", "Invoice Exported (format csv)", "Plan Changed"],
    )
    .await;
    // What comes late with the name of before is theirs too.
    let late = json!({"id": "5", "name": "Help Read", "anonymous": "a-1"});
    assert_eq!(told(&rig, &late).await.0, 200);
    arrive(
        &rig,
        &conversation,
        &["Viewed Billing", "Invoice Exported (format csv)", "Plan Changed", "Help Read"],
    )
    .await;
    let notes = rig.platform.notes(&conversation);
    assert!(notes.iter().all(|note| note.product_id == "p"));
    assert_eq!(notes.last().expect("a note").user_id.as_deref(), Some("u-1"));
    assert!(notes.iter().all(|note| !format!("{note:?}").contains("s3cr3t")));
    let bearer = [("authorization", "Bearer api-token")];
    let metrics =
        send(&rig, Method::GET, "/metrics", &bearer, "").await.text().await.expect("text");
    let repeated = "sidenote_source_events_left_out_total{reason=\"repeated\"} 2";
    assert!(metrics.contains(repeated), "{metrics}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_key_that_is_known_lets_events_in_and_only_for_its_product() {
    let rig = rig("").await;
    let event = json!({"name": "Paid", "user": "u-1"}).to_string();
    let sent = async |path: &str, headers: &[(&str, &str)]| {
        let answer = send(&rig, Method::POST, path, headers, event.clone()).await;
        (answer.status().as_u16(), answer.text().await.expect("text"))
    };
    for (path, headers) in [
        ("/sources/events/", &[][..]),
        ("/sources/events?writeKey=pk_wrong", &[]),
        ("/sources/events", &[("authorization", "Bearer pk_of_the_websit")]),
        ("/sources/events", &[("x-sidenote-key", "")]),
    ] {
        let (status, body) = sent(path, headers).await;
        assert_eq!(status, 401, "{path}: {body}");
        assert!(!body.contains("pk_"), "{body}");
    }
    for (path, headers) in [
        ("/sources/events/?writeKey=pk_of_the_website", &[][..]),
        ("/sources/events", &[("x-sidenote-key", KEY)]),
        ("/sources/events", &[("authorization", "Basic cGtfb2ZfdGhlX3dlYnNpdGU6")]),
        ("/sources/events", &[("authorization", "Bearer pk_of_q")]),
    ] {
        assert_eq!(sent(path, headers).await.0, 200, "{path}");
    }
    let (status, body) = sent("/sources/events/more", &[("x-sidenote-key", KEY)]).await;
    assert_eq!((status, body.contains("not_found")), (404, true), "{body}");
    assert_eq!(sent("/sources/bot", &[("x-sidenote-key", KEY)]).await.0, 404);
    assert_eq!(sent("/sources/", &[("x-sidenote-key", KEY)]).await.0, 404);
    let half = format!("{event}\n{{\"name\": 1, \"user\": \"u-1\"}}");
    let headers = [("x-sidenote-key", KEY)];
    let answer = send(&rig, Method::POST, "/sources/events", &headers, half).await;
    assert_eq!(answer.status(), 200);
    let answer: Value = answer.json().await.expect("JSON");
    assert_eq!(answer["errors"], json!([{"line": 2, "field": "name", "error": "it is no text"}]));
    let answer = send(&rig, Method::POST, "/sources/events", &headers, "no").await;
    assert_eq!(answer.status(), 400);
    let answer: Value = answer.json().await.expect("JSON");
    assert_eq!(answer["error"]["message"], "line 1, column 2: it is no JSON");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_a_configured_origin_may_send_with_any_header() {
    let rig = rig("").await;
    let ask = async |origin: &str| {
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            (
                "access-control-request-headers",
                "authorization,content-type,x-retry-count,rsa-retry-attempt",
            ),
        ];
        send(&rig, Method::OPTIONS, "/sources/events/v1/t", &headers, "").await
    };
    let answer = ask(PAGE).await;
    assert_eq!(answer.status(), 204);
    assert_eq!(header(&answer, "access-control-allow-origin"), Some(PAGE));
    assert_eq!(header(&answer, "access-control-allow-methods"), Some("POST"));
    let allowed = header(&answer, "access-control-allow-headers").expect("it is there");
    assert!(
        allowed.contains("x-retry-count") && allowed.contains("rsa-retry-attempt"),
        "{allowed}"
    );
    assert_eq!(header(&answer, "access-control-max-age"), Some("7200"));
    assert_eq!(header(&answer, "access-control-allow-credentials"), None);
    let answer = ask("https://evil.example").await;
    assert_eq!(
        (answer.status().as_u16(), header(&answer, "access-control-allow-origin")),
        (403, None)
    );

    let event = json!({"name": "Paid", "user": "u-1"}).to_string();
    // What a browser's beacon brings along means nothing.
    let headers = [
        ("origin", PAGE),
        ("x-sidenote-key", KEY),
        ("cookie", "ph_x=1"),
        ("sec-fetch-site", "cross-site"),
    ];
    let answer = send(&rig, Method::POST, "/sources/events", &headers, event.clone()).await;
    assert_eq!(
        (answer.status().as_u16(), header(&answer, "access-control-allow-origin")),
        (200, Some(PAGE))
    );
    assert_eq!((header(&answer, "vary"), header(&answer, "set-cookie")), (Some("origin"), None));
    // An SDK must see why it is refused.
    let headers = [("origin", PAGE), ("x-sidenote-key", "pk_wrong")];
    let answer = send(&rig, Method::POST, "/sources/events", &headers, event.clone()).await;
    assert_eq!(
        (answer.status().as_u16(), header(&answer, "access-control-allow-origin")),
        (401, Some(PAGE))
    );
    let headers = [("origin", "null"), ("x-sidenote-key", KEY)];
    let answer = send(&rig, Method::POST, "/sources/events", &headers, event).await;
    assert_eq!(answer.status(), 403);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packed_body_is_unpacked_by_its_bytes_and_one_that_is_too_large_is_refused() {
    let rig = rig("max_requests = 5").await;
    let event = json!({"name": "Paid", "user": "u-1"}).to_string();
    let headers = [("x-sidenote-key", KEY), ("content-type", "text/plain")];
    let post =
        async |body: Vec<u8>| send(&rig, Method::POST, "/sources/events", &headers, body).await;
    assert_eq!(post(packed(event.as_bytes())).await.status(), 200);
    let bomb = packed(&vec![b' '; 64 << 20]);
    assert!(bomb.len() < 1 << 20, "{}", bomb.len());
    assert_eq!(post(bomb).await.status(), 413);
    assert_eq!(post(vec![b' '; (1 << 20) + 1]).await.status(), 413);
    let mut cut = packed(event.as_bytes());
    cut.truncate(20);
    assert_eq!(post(cut).await.status(), 400);
    // A key that sends too much is told to come again, and never 429: some clients lose what is answered so.
    let mut waits = None;
    for _ in 0..20 {
        let answer = post(event.clone().into_bytes()).await;
        match answer.status().as_u16() {
            200 => {}
            503 => waits = header(&answer, "retry-after").map(str::to_owned),
            other => panic!("{other}"),
        }
    }
    assert_eq!(waits.as_deref(), Some("1"));
    let other = [("x-sidenote-key", "pk_of_q")];
    let answer = send(&rig, Method::POST, "/sources/events", &other, event).await;
    assert_eq!(answer.status(), 200, "each key by itself");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_traps_or_is_disabled_loses_nothing() {
    let tables = format!(
        r#"
[plugins.flawed]
file = "guest_source.wasm"
[plugins.flawed.config]
flaw = "panics-on-garbage"
[plugins.flawed.source.keys.website]
key = "{KEY}"
product = "p"
"#
    );
    let rig = Rig::start(Setup { tables, files: &["guest_source.wasm"], ..Setup::default() }).await;
    let headers = [("x-sidenote-key", KEY)];
    let post = async |path: &str, body: &str| {
        let answer =
            send(&rig, Method::POST, &format!("/sources/flawed{path}"), &headers, body.to_owned())
                .await;
        (answer.status().as_u16(), header(&answer, "retry-after").is_some())
    };
    let good = r#"[{"id": 1, "name": "Paid", "user": "u"}]"#;
    assert_eq!(post("/", "x").await, (503, true));
    assert_eq!(post("/", good).await, (200, false));
    let settings = send(&rig, Method::GET, "/sources/flawed/settings", &[], "").await;
    assert_eq!(settings.status(), 200, "what is asked for before there is a key");
    assert_eq!(rig.post("/plugins/flawed/disable", &json!({})).await.status, 200);
    assert_eq!(post("/", good).await, (503, true));
    assert_eq!(rig.post("/plugins/flawed/enable", &json!({})).await.status, 200);
    assert_eq!(post("/", good).await, (200, false));
    // The key isn't there any more: nothing is accepted.
    let mut rig = rig;
    let without = rig.configuration().replace(KEY, "pk_of_next_year");
    rig.configure(without);
    assert_eq!(rig.reload().await.0, 200);
    let answer = send(&rig, Method::POST, "/sources/flawed", &headers, good).await;
    assert_eq!(answer.status(), 401);
    rig.end().await;
}
