//! A webhook that comes again byte for byte means nothing.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use sidenote_sim::{Answer, PlatformOptions, post_json};
use sidenote_tests::{Person, Rig, Setup};

pub(crate) const INCOMING: &str = "incoming-secret";

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_webhook_is_answered_as_taken_and_counted() {
    let platform =
        PlatformOptions { webhook_secret: INCOMING.to_owned(), ..PlatformOptions::default() };
    let rig = Rig::start(Setup { platform, ..Setup::default() }).await;
    let anna = Person::new("p", "anna");
    let conversation = rig.conversation(&anna);
    let opened = Signed::new(&json!({
        "event": "opened", "conversation_id": conversation, "product_id": "p",
        "session_id": "anna",
    }));
    let first = opened.send(&rig).await;
    assert_eq!((first.status, repeats(&rig).await), (200, 0));
    for again in 1..=3 {
        let answer = opened.send(&rig).await;
        assert_eq!((answer.status, repeats(&rig).await), (200, again));
        assert_eq!(answer.body, first.body, "nothing tells whoever repeats it");
    }
    rig.emit(&anna.batch(0..3)).await;
    rig.arrives(&conversation, &anna, 3).await;

    // A challenge is answered whenever it comes.
    let challenge = Signed::new(&json!({"event": "challenge", "challenge": "abc"}));
    for _ in 0..2 {
        let answer = challenge.send(&rig).await;
        assert_eq!((answer.status, &answer.body[..]), (200, &b"abc"[..]));
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_was_refused_counts_when_it_comes_again_as_it_should() {
    let platform =
        PlatformOptions { webhook_secret: INCOMING.to_owned(), ..PlatformOptions::default() };
    let rig = Rig::start(Setup { platform, ..Setup::default() }).await;
    let anna = Person::new("p", "anna");
    let conversation = rig.conversation(&anna);
    let good = Signed::new(&json!({
        "event": "opened", "conversation_id": conversation, "product_id": "p",
        "session_id": "anna",
    }));
    let bad = Signed { signature: format!("{}0", good.signature), ..good.clone() };
    assert_eq!(bad.send(&rig).await.status, 401);
    assert_eq!(good.send(&rig).await.status, 200);
    assert_eq!(repeats(&rig).await, 0);
    rig.emit(&anna.batch(0..1)).await;
    rig.arrives(&conversation, &anna, 1).await;
    rig.end().await;
}

/// A webhook as a bot signs it, to be sent as often as anybody likes.
#[derive(Clone)]
pub(crate) struct Signed {
    timestamp: String,
    signature: String,
    body: String,
}

impl Signed {
    pub(crate) fn new(body: &Value) -> Self {
        #[expect(clippy::disallowed_methods, reason = "a bot has the system's clock")]
        let now = SystemTime::now();
        let timestamp = now.duration_since(UNIX_EPOCH).unwrap().as_secs().to_string();
        let body = body.to_string();
        let mut mac = Hmac::<Sha256>::new_from_slice(INCOMING.as_bytes()).unwrap();
        mac.update(format!("{timestamp}.{body}").as_bytes());
        let signature = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
        Self { timestamp, signature, body }
    }

    pub(crate) async fn send(&self, rig: &Rig) -> Answer {
        let url = rig.url("/webhooks/bot");
        let headers = [
            ("x-sidenote-timestamp", &*self.timestamp),
            ("x-sidenote-signature", &*self.signature),
        ];
        post_json(&url, &headers, self.body.clone().into()).await.unwrap()
    }
}

/// How many webhooks were repeats, as `GET /plugins` tells.
async fn repeats(rig: &Rig) -> u64 {
    let url = format!("http://{}/plugins", rig.host().addr());
    let request = reqwest::Client::new().get(url).bearer_auth("api-token");
    let answer = request.send().await.unwrap().text().await.unwrap();
    let report: Value = serde_json::from_str(&answer).unwrap();
    let plugins = report["plugins"].as_array().unwrap();
    let bot = plugins.iter().find(|plugin| plugin["name"] == "bot").unwrap();
    bot["repeats"].as_u64().unwrap()
}
