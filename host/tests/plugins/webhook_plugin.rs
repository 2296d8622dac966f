//! The generic writer, both ways.

use std::time::{Duration, SystemTime};

use hmac::{Hmac, Mac};
use sha2::Sha256;
use sidenote::outbox::note::{FailureKind, PostError, Sent};
use sidenote::plugin::{ReceiveError, Registry, WebhookEvent, WebhookRequest};

use crate::guests::{plugin, post, registry, secret};
use crate::server::Server;

const FILE: &str = "sidenote_webhook.wasm";

fn signature(key: &str, timestamp: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

#[expect(clippy::disallowed_methods, reason = "the plugin compares with the system's clock")]
fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

async fn writer(server: &Server, path: &str, settings: &[(&str, &str)]) -> Registry {
    let mut bot = plugin(FILE);
    bot.config =
        settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    bot.config.insert("url".to_owned(), server.url(path));
    bot.hosts = vec![server.grant()];
    bot.allow_private = true;
    bot.secrets = [
        ("signing".to_owned(), secret("k1", &[])),
        ("token".to_owned(), secret("t0ken", &[&server.grant()])),
        ("incoming".to_owned(), secret("k2", &[])),
    ]
    .into();
    registry([("bot", bot)]).await
}

#[tokio::test]
async fn a_note_arrives_signed_and_whole() {
    let server = Server::start().await;
    let registry = writer(&server, "/notes", &[("bearer", "true")]).await;
    let posted = post(&registry, "bot", "He clicked \"Pay\"\nand left").await.unwrap();
    assert_eq!(posted.note_id.as_deref(), Some("n1"));

    let seen = &server.seen()[0];
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", "/notes"));
    assert_eq!(seen.header("x-sidenote-delivery"), Some("key-1"));
    assert_eq!(seen.header("authorization"), Some("Bearer t0ken"));
    assert_eq!(seen.header("content-type"), Some("application/json"));
    assert_eq!(
        seen.header("traceparent"),
        Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    );
    let timestamp = seen.header("x-sidenote-timestamp").unwrap();
    assert!(timestamp.parse::<u64>().unwrap().abs_diff(now()) < 60);
    assert_eq!(seen.header("x-sidenote-signature"), Some(&*signature("k1", timestamp, &seen.body)));

    let body: serde_json::Value = serde_json::from_slice(&seen.body).unwrap();
    let wanted = serde_json::json!({
        "type": "note", "product_id": "shop", "session_id": "s1", "conversation_id": "c1", "user_id": "u1",
        "email": "u@example.com", "kind": "actions", "seq": 3, "body": "He clicked \"Pay\"\nand left",
        "actions": [{
            "index": 0, "type": "click", "title": "Click", "description": "clicked \"Pay\"",
            "canonical_url": "https://shop.example/cart", "raw_url": "",
            "timestamp_start": 1.5, "timestamp_end": null,
        }],
        "idempotency_key": "key-1", "attempt": 1,
    });
    assert_eq!(body, wanted);
}

#[tokio::test]
async fn statuses_become_kinds_of_failure() {
    let server = Server::start().await;
    let cases = [
        (429, FailureKind::RateLimited, Sent::Sent),
        (401, FailureKind::Auth, Sent::Sent),
        (404, FailureKind::NotFound, Sent::Sent),
        (422, FailureKind::Invalid, Sent::Sent),
        (302, FailureKind::Invalid, Sent::Sent),
        (500, FailureKind::Transient, Sent::Unknown),
    ];
    for (status, kind, sent) in cases {
        let registry = writer(&server, &format!("/status/{status}"), &[]).await;
        let Err(PostError::Failed(failure)) = post(&registry, "bot", "x").await else {
            panic!("{status}")
        };
        assert_eq!(
            (failure.kind, failure.sent, failure.code),
            (kind, sent, status.to_string()),
            "{status}"
        );
        assert_eq!(failure.retry_after, Some(Duration::from_secs(7)), "{status}");
    }
}

#[tokio::test]
async fn a_note_is_taken_whatever_the_size_of_the_answer() {
    let server = Server::start().await;
    let over = crate::guests::limits().max_response_bytes + 1;
    let registry = writer(&server, &format!("/large/{over}"), &[]).await;
    assert_eq!(post(&registry, "bot", "b").await.unwrap().note_id, None);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn without_its_secret_nothing_is_posted_unless_that_is_wanted() {
    let server = Server::start().await;
    let mut bot = plugin(FILE);
    bot.config = [("url".to_owned(), server.url("/notes"))].into();
    bot.hosts = vec![server.grant()];
    bot.allow_private = true;
    let mut open = bot.clone();
    open.config.insert("unsigned".to_owned(), "true".to_owned());
    let registry = registry([("bot", bot), ("open", open)]).await;

    let Err(PostError::Failed(failure)) = post(&registry, "bot", "x").await else { panic!() };
    assert_eq!((failure.kind, failure.sent), (FailureKind::Invalid, Sent::NotSent));
    assert!(failure.message.contains("[plugins.bot.secrets.signing]"), "{}", failure.message);
    assert!(server.seen().is_empty());

    post(&registry, "open", "x").await.unwrap();
    assert_eq!(server.seen()[0].header("x-sidenote-signature"), None);
}

fn incoming(body: &str, key: &str, timestamp: u64) -> WebhookRequest {
    let timestamp = timestamp.to_string();
    WebhookRequest {
        method: "POST".to_owned(),
        url: "https://notes.example/webhooks/bot".to_owned(),
        headers: vec![
            ("x-sidenote-signature".to_owned(), signature(key, &timestamp, body.as_bytes())),
            ("x-sidenote-timestamp".to_owned(), timestamp),
        ],
        body: body.as_bytes().to_vec(),
    }
}

#[tokio::test]
async fn a_signed_webhook_becomes_an_event() {
    let server = Server::start().await;
    let registry = writer(&server, "/", &[]).await;
    let body =
        r#"{"event":"opened","conversation_id":"c9","session_id":"s9","user_id":"","text":"help"}"#;
    let events = registry.receive("bot", incoming(body, "k2", now())).await.unwrap();
    let [WebhookEvent::Opened(turn)] = &*events else { panic!("{events:?}") };
    assert_eq!((turn.conversation_id.as_str(), turn.session_id.as_deref()), ("c9", Some("s9")));
    assert_eq!((turn.external_user_id.as_deref(), turn.text.as_deref()), (None, Some("help")));

    let body = r#"{"event":"challenge","challenge":"abc"}"#;
    let events = registry.receive("bot", incoming(body, "k2", now())).await.unwrap();
    assert!(
        matches!(&*events, [WebhookEvent::Challenge(answer)] if answer.body == b"abc"),
        "{events:?}"
    );
    let events =
        registry.receive("bot", incoming(r#"{"event":"typing"}"#, "k2", now())).await.unwrap();
    assert_eq!(events, [WebhookEvent::Ignored]);
}

#[tokio::test]
async fn what_cannot_be_verified_is_refused() {
    let server = Server::start().await;
    let registry = writer(&server, "/", &[]).await;
    let body = r#"{"event":"opened","conversation_id":"c9"}"#;
    let good = incoming(body, "k2", now());
    let with = |change: &dyn Fn(&mut WebhookRequest)| {
        let mut request = good.clone();
        change(&mut request);
        request
    };
    let cases = [
        ("another key", incoming(body, "k1", now()), 401, "signature"),
        ("another body", with(&|request| request.body.push(b' ')), 401, "signature"),
        (
            "another timestamp",
            with(&|request| request.headers[1].1 = (now() - 1).to_string()),
            401,
            "signature",
        ),
        ("no signature", with(&|request| drop(request.headers.remove(0))), 401, "signature"),
        ("no timestamp", with(&|request| drop(request.headers.remove(1))), 401, "signature"),
        ("an old one", incoming(body, "k2", now() - 400), 401, "timestamp"),
        ("one from the future", incoming(body, "k2", now() + 400), 401, "timestamp"),
        ("no JSON", incoming("{", "k2", now()), 400, "body"),
        ("no conversation", incoming(r#"{"event":"opened"}"#, "k2", now()), 400, "body"),
        ("a GET", with(&|request| request.method = "GET".to_owned()), 405, "method"),
    ];
    for (what, request, wanted, word) in cases {
        match registry.receive("bot", request).await {
            Err(ReceiveError::Rejected { status, code, .. }) => {
                assert_eq!((status, &*code), (wanted, word), "{what}")
            }
            other => panic!("{what}: {other:?}"),
        }
    }
    assert!(registry.receive("bot", good).await.is_ok(), "nothing but the changes was wrong");

    let mut bot = plugin(FILE);
    bot.config = [("url".to_owned(), server.url("/"))].into();
    let unset = crate::guests::registry([("bot", bot)]).await;
    let outcome = unset.receive("bot", incoming(body, "", now())).await;
    assert!(matches!(outcome, Err(ReceiveError::Rejected { status: 503, .. })), "{outcome:?}");
    assert_eq!(
        unset.receive("none", incoming(body, "", now())).await,
        Err(ReceiveError::NoSuchPlugin)
    );
}
