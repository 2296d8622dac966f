//! What a person must see to arrives at a webhook, signed as Standard Webhooks asks for, and nothing that people did.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use serde_json::Value;
use sha2::Sha256;
use sidenote_sim::{Fault, Scope};
use sidenote_tests::{Person, Rig, Setup, eventually};
use tokio::task::JoinSet;

const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

#[derive(Default)]
struct Seen {
    /// As many requests are answered 500 first.
    failing: usize,
    ids: Vec<String>,
    events: Vec<Value>,
    text: String,
}

struct Hook {
    addr: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    _task: JoinSet<()>,
}

impl Hook {
    async fn start(failing: usize) -> Self {
        let seen = Arc::new(Mutex::new(Seen { failing, ..Seen::default() }));
        let routes = Router::new().route("/hook", post(take)).with_state(seen.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("it is bound");
        let mut task = JoinSet::new();
        task.spawn(async move { axum::serve(listener, routes).await.expect("it serves") });
        Self { addr, seen, _task: task }
    }

    fn setup(&self) -> Setup {
        let secret = format!("whsec_{}", STANDARD.encode(KEY));
        Setup {
            tables: format!(
                "[operator_events]\nurl = \"http://{}/hook\"\nsecret = {{ env = \"EVENTS\" }}\ndead_letters = 0",
                self.addr
            ),
            secrets: vec![("EVENTS", secret)],
            ..Setup::default()
        }
    }

    /// The first event of this type.
    async fn told(&self, kind: &str) -> Value {
        let found = || {
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let found = seen.events.iter().find(|event| event["type"] == kind).cloned();
            found.ok_or_else(|| format!("{kind} is told: {:?}", seen.events))
        };
        eventually(|| found().map(drop)).await;
        found().expect("it is there")
    }
}

/// Takes what is signed as it should be.
async fn take(State(seen): State<Arc<Mutex<Seen>>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = |name| headers.get(name).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let (id, at) = (header("webhook-id"), header("webhook-timestamp"));
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY).expect("a key");
    mac.update(format!("{id}.{at}.").as_bytes());
    mac.update(&body);
    let signed = STANDARD.decode(header("webhook-signature").trim_start_matches("v1,"));
    if !signed.is_ok_and(|signed| mac.verify_slice(&signed).is_ok()) {
        return StatusCode::UNAUTHORIZED;
    }
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    seen.ids.push(id.to_owned());
    if seen.failing > 0 {
        seen.failing -= 1;
        return StatusCode::INTERNAL_SERVER_ERROR;
    }
    seen.text.push_str(&String::from_utf8_lossy(&body));
    seen.events.push(serde_json::from_slice(&body).expect("an object"));
    StatusCode::NO_CONTENT
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_and_dead_letters_are_told_once_each_and_tried_until_accepted() {
    let hook = Hook::start(1).await;
    let rig = Rig::start(hook.setup()).await;
    let person = Person::new("p", "canary-session");
    let conversation = rig.open(&person).await;
    rig.platform.fail(Scope::Any, Fault::status(401), 100_000);
    rig.emit(&person.batch(0..1)).await;
    let refused = hook.told("credentials.refused").await;
    let data = &refused["data"];
    assert_eq!((&data["state"], &data["subject"]), (&"begun".into(), &"bot".into()));
    assert!(data["reason"].as_str().is_some_and(|reason| reason.contains("401")), "{data}");
    assert!(data["next"].as_str().is_some_and(|next| next.contains("secret")), "{data}");

    rig.platform.heal();
    rig.arrives(&conversation, &person, 1).await;
    rig.platform.fail(Scope::Any, Fault::status(422), 1);
    rig.emit(&person.batch(1..2)).await;
    rig.dead_letters(1).await;
    let dead = hook.told("dead_letters.above").await;
    assert_eq!(dead["data"]["reason"], "there are more than 0 dead letters");
    rig.stop().await;

    let seen = hook.seen.lock().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(seen.ids[0], seen.ids[1], "the same event again is known by its id");
    let begun = |event: &&Value| event["data"]["state"] == "begun";
    let kinds: Vec<_> = seen.events.iter().filter(begun).map(|it| it["type"].clone()).collect();
    assert_eq!(kinds, ["credentials.refused", "dead_letters.above"]);
    for canary in ["canary-session", &conversation, "api-token"] {
        assert!(!seen.text.contains(canary), "{canary:?} is in what the webhook was sent");
    }
}
