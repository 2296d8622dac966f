//! Webhooks: what the plugin gets, and what the platform is told.

use super::*;

#[tokio::test]
async fn a_webhook_reaches_its_plugin_byte_for_byte() {
    let host = Host::start(Server {
        public_url: Some("https://notes.example/base".into()),
        ..Server::default()
    })
    .await;
    let body = b"\xff\x00 {\"not\": utf-8}\r\n";
    let mut request = format!(
        "POST /webhooks/intercom?a=%20b&c HTTP/1.1\r\nHost: evil.example\r\nX-Hub-Signature: sha1=ab\r\nX-Twice: 1\r\nX-Twice: 2\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    let answer = host.raw(request).await;
    assert_eq!((answer.status(), answer.json()), (200, json!({"status": "accepted"})));

    let webhooks = host.backend.webhooks.lock().unwrap();
    let [(plugin, request)] = webhooks.as_slice() else { panic!("{} webhooks", webhooks.len()) };
    assert_eq!((plugin.as_str(), request.method.as_str()), ("intercom", "POST"));
    assert_eq!(request.url, "https://notes.example/base/webhooks/intercom?a=%20b&c");
    assert_eq!(request.body, body);
    let values = |wanted: &str| -> Vec<_> {
        request
            .headers
            .iter()
            .filter(|(name, _)| name == wanted)
            .map(|(_, value)| value.clone())
            .collect()
    };
    assert_eq!(values("x-hub-signature"), ["sha1=ab"]);
    assert_eq!(values("x-twice"), ["1", "2"]);
    assert_eq!(values("host"), ["evil.example"]);
    assert!(!format!("{request:?}").contains("sha1=ab"));
}

#[tokio::test]
async fn the_url_of_a_webhook_is_the_listeners_own_without_a_public_one() {
    let host = Host::start(Server::default()).await;
    for method in ["GET", "HEAD"] {
        let answer = host.send(method, "/webhooks/intercom?challenge=1", &[], "").await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.body().is_empty(), method == "HEAD");
    }
    let webhooks = host.backend.webhooks.lock().unwrap();
    let methods: Vec<_> = webhooks.iter().map(|(_, request)| request.method.as_str()).collect();
    assert_eq!(methods, ["GET", "HEAD"]);
    assert_eq!(webhooks[0].1.url, format!("http://{}/webhooks/intercom?challenge=1", host.address));
}

#[tokio::test]
async fn the_verdict_on_a_webhook_is_the_answer() {
    let host = Host::start(Server::default()).await;
    let rejected = |status| WebhookAnswer::Rejected {
        status,
        code: "signature".into(),
        message: "it doesn't fit".into(),
    };
    for (verdict, status, code) in [
        (rejected(401), 401, "signature"),
        (rejected(200), 400, "signature"),
        (rejected(9999), 400, "signature"),
        (WebhookAnswer::UnknownPlugin, 404, "unknown_plugin"),
        (WebhookAnswer::PluginFailed { code: "trap".into() }, 502, "plugin_failed"),
        (
            WebhookAnswer::Unavailable { retry_after: Duration::from_millis(2100) },
            503,
            "unavailable",
        ),
        (
            WebhookAnswer::Answer { status: 42, content_type: String::new(), body: Bytes::new() },
            502,
            "plugin_failed",
        ),
        (
            WebhookAnswer::Answer { status: 200, content_type: "a\nb".into(), body: Bytes::new() },
            502,
            "plugin_failed",
        ),
    ] {
        *host.backend.answer.lock().unwrap() = verdict.clone();
        let answer = host.send("POST", "/webhooks/x", &[], "{}").await;
        assert_eq!((answer.status(), answer.code().as_str()), (status, code), "{verdict:?}");
        let retry_after = matches!(verdict, WebhookAnswer::Unavailable { .. }).then_some("3");
        assert_eq!(answer.header("retry-after"), retry_after, "{verdict:?}");
    }
    let challenge = WebhookAnswer::Answer {
        status: 200,
        content_type: "text/plain".into(),
        body: Bytes::from("42"),
    };
    *host.backend.answer.lock().unwrap() = challenge;
    let answer = host.send("POST", "/webhooks/x", &[], "{}").await;
    assert_eq!(
        (answer.status(), answer.body(), answer.header("content-type")),
        (200, "42", Some("text/plain"))
    );
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
}
