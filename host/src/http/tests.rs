//! Every route over real sockets, and the clients that mean harm.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::config::{Secret, Server};
use crate::engine::link::{LinkError, LinkEvent, LinkMode, Linked};
use crate::ids::{ConversationId, ProductId, SessionId, SessionKey};

/// Long enough for a loaded machine; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

struct Fake {
    webhooks: Mutex<Vec<(String, WebhookRequest)>>,
    wishes: Mutex<Vec<LinkWish>>,
    answer: Mutex<WebhookAnswer>,
    linked: Mutex<Result<LinkEvent, LinkError>>,
    readiness: Mutex<Readiness>,
    /// A webhook waits for a permit before it answers.
    gate: Semaphore,
    entered: Notify,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            webhooks: Mutex::default(),
            wishes: Mutex::default(),
            answer: Mutex::new(WebhookAnswer::Taken),
            linked: Mutex::new(Ok(LinkEvent::New)),
            readiness: Mutex::new(Readiness {
                streams: vec![StreamReadiness {
                    name: "main".into(),
                    state: StreamState::Connected,
                    last_event_age: Some(Duration::from_millis(1500)),
                    cause: None,
                }],
                store: Part::Ready,
                plugins: vec![("webhook".into(), Part::Ready)],
            }),
            gate: Semaphore::new(1000),
            entered: Notify::new(),
        }
    }
}

#[async_trait::async_trait]
impl Backend for Fake {
    async fn webhook(&self, plugin: &str, request: WebhookRequest) -> WebhookAnswer {
        self.entered.notify_one();
        self.gate.acquire().await.unwrap().forget();
        assert_ne!(plugin, "panics", "as the test wishes");
        self.webhooks.lock().unwrap().push((plugin.to_owned(), request));
        self.answer.lock().unwrap().clone()
    }

    async fn link(&self, wish: LinkWish) -> Result<Linked, LinkError> {
        self.wishes.lock().unwrap().push(wish.clone());
        let event = self.linked.lock().unwrap().clone()?;
        let product = wish.product_id.unwrap_or(ProductId::new("p").unwrap());
        let key = SessionKey { product, session: wish.session_id };
        Ok(Linked { key, conversation: wish.conversation_id, event })
    }

    fn readiness(&self) -> Readiness {
        self.readiness.lock().unwrap().clone()
    }
}

struct Host {
    address: SocketAddr,
    backend: Arc<Fake>,
    stop: CancellationToken,
    serving: JoinHandle<Result<(), ServeError>>,
}

impl Host {
    async fn start(server: Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (backend, stop) = (Arc::new(Fake::default()), CancellationToken::new());
        #[expect(
            clippy::disallowed_methods,
            reason = "each test ends its host, and the runtime with it"
        )]
        let serving = tokio::spawn(serve(listener, backend.clone(), server, stop.clone()));
        Self { address, backend, stop, serving }
    }

    /// Sends raw bytes and reads until the host closes.
    async fn raw(&self, request: impl AsRef<[u8]>) -> Answer {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        socket.write_all(request.as_ref()).await.unwrap();
        read_answer(&mut socket).await
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        self.raw(format!("{head}content-length: {}\r\n\r\n{body}", body.len())).await
    }

    async fn link(&self, body: &Value) -> Answer {
        self.send("POST", "/sessions/link", &[JSON], &body.to_string()).await
    }

    fn wishes(&self) -> Vec<LinkWish> {
        std::mem::take(&mut *self.backend.wishes.lock().unwrap())
    }
}

const JSON: (&str, &str) = ("content-type", "application/json");

async fn read_answer(socket: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    tokio::time::timeout(PATIENCE, socket.read_to_end(&mut bytes))
        .await
        .expect("the host closes")
        .unwrap();
    Answer(String::from_utf8(bytes).unwrap())
}

struct Answer(String);

impl Answer {
    fn status(&self) -> u16 {
        self.0
            .split(' ')
            .nth(1)
            .unwrap_or_else(|| panic!("no status in {:?}", self.0))
            .parse()
            .unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let (head, _) = self.0.split_once("\r\n\r\n").unwrap();
        head.lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(found, _)| *found == name)
            .map(|(_, value)| value)
    }

    fn body(&self) -> &str {
        self.0.split_once("\r\n\r\n").unwrap().1
    }

    fn json(&self) -> Value {
        serde_json::from_str(self.body()).unwrap_or_else(|_| panic!("not JSON: {}", self.0))
    }

    /// The code of an error, after checking that it has all its parts.
    fn code(&self) -> String {
        let error = &self.json()["error"];
        assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{error}");
        assert!(error["next"].as_str().is_some_and(|text| !text.is_empty()), "{error}");
        error["code"].as_str().unwrap().to_owned()
    }
}

fn with_token() -> Server {
    Server { token: Some(Secret::new("right")), ..Server::default() }
}

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
    assert_eq!((answer.status(), answer.json()), (200, json!({"status": "taken"})));

    let webhooks = host.backend.webhooks.lock().unwrap();
    let [(plugin, request)] = webhooks.as_slice() else { panic!("{} webhooks", webhooks.len()) };
    assert_eq!((plugin.as_str(), request.method.as_str()), ("intercom", "POST"));
    assert_eq!(request.url, "https://notes.example/base/webhooks/intercom?a=%20b&c");
    assert_eq!(request.body, Bytes::from_static(body));
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

#[tokio::test]
async fn a_link_answers_what_became_of_it() {
    let host = Host::start(Server::default()).await;
    let body = json!({"product_id": "p", "session_id": "s", "conversation_id": "c", "plugin": "webhook", "mode": "move"});
    for (event, text) in [
        (LinkEvent::New, "NEW"),
        (LinkEvent::ReplyExisting, "REPLY_EXISTING"),
        (LinkEvent::Kept, "KEPT"),
        (LinkEvent::Moved, "MOVED"),
    ] {
        *host.backend.linked.lock().unwrap() = Ok(event);
        let answer = host.link(&body).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(
            answer.json(),
            json!({"session_id": "s", "conversation_id": "c", "event": text})
        );
    }
    let wish = LinkWish {
        product_id: Some(ProductId::new("p").unwrap()),
        session_id: SessionId::new("s").unwrap(),
        conversation_id: ConversationId::new("c").unwrap(),
        plugin: Some("webhook".into()),
        mode: LinkMode::Move,
    };
    assert_eq!(host.wishes(), vec![wish; 4]);

    host.link(&json!({"session_id": "s", "conversation_id": "c"})).await;
    let [wish] = host.wishes().try_into().unwrap();
    assert_eq!((wish.product_id, wish.plugin, wish.mode), (None, None, LinkMode::Auto));
}

#[tokio::test]
async fn a_link_with_unusable_ids_changes_nothing() {
    let host = Host::start(Server::default()).await;
    let unusable = [
        json!(""),
        json!(null),
        json!(42),
        json!(4.5),
        json!(true),
        json!(["c"]),
        json!({"id": "c"}),
    ];
    for field in ["session_id", "conversation_id", "product_id", "plugin"] {
        for value in &unusable {
            let mut body = json!({"product_id": "p", "session_id": "s", "conversation_id": "c", "plugin": "w"});
            body[field] = value.clone();
            let answer = host.link(&body).await;
            assert_eq!(
                (answer.status(), answer.code().as_str()),
                (422, "invalid_id"),
                "{field} = {value}"
            );
        }
    }
    let message = host
        .link(&json!({"session_id": "s", "conversation_id": 42}))
        .await
        .json()["error"]["message"]
        .to_string();
    assert!(message.contains("numbers aren't ids"), "{message}");

    let long = "x".repeat(ConversationId::MAX_BYTES + 1);
    for (body, status, code) in [
        (json!({"session_id": "s", "conversation_id": long}).to_string(), 422, "invalid_id"),
        (json!({"session_id": "s"}).to_string(), 422, "missing_field"),
        (json!({"conversation_id": "c"}).to_string(), 422, "missing_field"),
        (
            json!({"session_id": "s", "conversation_id": "c", "mode": "steal"}).to_string(),
            422,
            "invalid_mode",
        ),
        (
            json!({"session_id": "s", "conversation_id": "c", "mode": null}).to_string(),
            422,
            "invalid_mode",
        ),
        (json!({"session_id": "s", "conversationId": "c"}).to_string(), 422, "unknown_field"),
        ("[]".into(), 422, "invalid_body"),
        ("null".into(), 422, "invalid_body"),
        ("{".into(), 400, "invalid_json"),
        (String::new(), 400, "invalid_json"),
        ("[".repeat(100_000), 400, "invalid_json"),
    ] {
        let answer = host.send("POST", "/sessions/link", &[JSON], &body).await;
        assert_eq!((answer.status(), answer.code().as_str()), (status, code), "{body:.80}");
    }
    assert_eq!(host.wishes(), []);
}

#[tokio::test]
async fn a_link_that_fails_says_why_and_when_to_come_again() {
    let host = Host::start(Server::default()).await;
    for (error, status, code, retry_after) in [
        (LinkError::NotFound("no product has this plugin"), 404, "not_linked", None),
        (LinkError::Ambiguous, 409, "ambiguous_session", None),
        (LinkError::Foreign, 409, "foreign_conversation", None),
        (LinkError::Unavailable, 503, "store_unavailable", Some("2")),
        (LinkError::Closed, 503, "shutting_down", Some("2")),
    ] {
        *host.backend.linked.lock().unwrap() = Err(error);
        let answer = host.link(&json!({"session_id": "s", "conversation_id": "c"})).await;
        assert_eq!(
            (answer.status(), answer.code().as_str(), answer.header("retry-after")),
            (status, code, retry_after)
        );
    }
}

#[tokio::test]
async fn a_link_must_be_json_and_say_so() {
    let host = Host::start(Server::default()).await;
    let body = r#"{"session_id": "s", "conversation_id": "c"}"#;
    for (content_type, status) in [
        ("application/json", 200),
        ("Application/JSON; charset=utf-8", 200),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("", 415),
    ] {
        let answer =
            host.send("POST", "/sessions/link", &[("content-type", content_type)], body).await;
        assert_eq!(answer.status(), status, "{content_type}");
    }
}

#[tokio::test]
async fn with_a_token_only_its_bearer_links() {
    let host = Host::start(with_token()).await;
    let body = r#"{"session_id": "s", "conversation_id": "c"}"#;
    for authorization in [
        "",
        "right",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Bearer right2",
        "Bearer righ",
        "Basic right",
        "Bearer right, Bearer right",
    ] {
        let answer = host
            .send("POST", "/sessions/link", &[JSON, ("authorization", authorization)], body)
            .await;
        assert_eq!(
            (answer.status(), answer.code().as_str()),
            (401, "unauthorized"),
            "{authorization}"
        );
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        assert!(!answer.0.contains("right2"), "an answer never repeats a token");
    }
    let twice = [JSON, ("authorization", "Bearer right"), ("authorization", "Bearer right")];
    assert_eq!(host.send("POST", "/sessions/link", &twice, body).await.status(), 401);
    assert_eq!(host.send("POST", "/sessions/link", &[JSON], body).await.status(), 401);
    assert_eq!(host.wishes(), []);

    for authorization in ["Bearer right", "bearer right"] {
        let answer = host
            .send("POST", "/sessions/link", &[JSON, ("authorization", authorization)], body)
            .await;
        assert_eq!(answer.status(), 200, "{authorization}");
    }
    assert_eq!(host.send("GET", "/healthz", &[], "").await.status(), 200);
    assert_eq!(host.send("GET", "/readyz", &[], "").await.status(), 200);
    assert_eq!(host.send("POST", "/webhooks/x", &[], "").await.status(), 200);
}

#[tokio::test]
async fn without_a_token_only_programs_on_this_machine_link() {
    let host = Host::start(Server::default()).await;
    let body = r#"{"session_id": "s", "conversation_id": "c"}"#;
    for sign in ["origin", "x-forwarded-for", "x-real-ip", "forwarded", "via"] {
        let answer =
            host.send("POST", "/sessions/link", &[JSON, (sign, "http://127.0.0.1")], body).await;
        assert_eq!((answer.status(), answer.code().as_str()), (401, "unauthorized"), "{sign}");
    }
    assert_eq!(host.wishes(), []);
    assert_eq!(host.send("POST", "/sessions/link", &[JSON], body).await.status(), 200);
}

#[test]
fn a_listener_that_others_reach_serves_nobody_without_a_token() {
    let headers = http::HeaderMap::new();
    let local = "127.0.0.1:5000".parse().unwrap();
    let rule = auth::Rule::of(None, "0.0.0.0:80".parse().unwrap());
    assert!(rule.check(local, &headers).is_err());
    let rule = auth::Rule::of(None, "127.0.0.1:80".parse().unwrap());
    assert!(rule.check(local, &headers).is_ok());
    assert!(rule.check("[::ffff:127.0.0.1]:5000".parse().unwrap(), &headers).is_ok());
    assert!(rule.check("10.0.0.1:5000".parse().unwrap(), &headers).is_err());
}

#[tokio::test]
async fn health_shows_the_streams_and_readiness_all_parts() {
    let host = Host::start(Server::default()).await;
    let alive = host.send("GET", "/healthz", &[], "").await;
    let main = json!({"state": "connected", "last_event_age_seconds": 1.5, "cause": null});
    assert_eq!(
        (alive.status(), alive.json()),
        (200, json!({"status": "ok", "streams": {"main": main}}))
    );
    assert_eq!(alive.header("cache-control"), Some("no-store"));
    let ready = host.send("GET", "/readyz", &[], "").await;
    let parts = json!({"status": "ready", "streams": {"main": main}, "store": {"ready": true}, "plugins": {"webhook": {"ready": true}}});
    assert_eq!((ready.status(), ready.json()), (200, parts));

    let broken = Part::NotReady { cause: "disk full".into() };
    let good = host.backend.readiness.lock().unwrap().clone();
    let mut cases = Vec::new();
    for state in [StreamState::Connecting, StreamState::Waiting, StreamState::Stopped] {
        let stream = StreamReadiness {
            state,
            cause: Some("401".into()),
            last_event_age: None,
            ..good.streams[0].clone()
        };
        cases.push((Readiness { streams: vec![stream], ..good.clone() }, "degraded"));
    }
    cases.push((Readiness { store: broken.clone(), ..good.clone() }, "ok"));
    cases.push((Readiness { plugins: vec![("webhook".into(), broken)], ..good }, "ok"));
    for (readiness, health) in cases {
        *host.backend.readiness.lock().unwrap() = readiness.clone();
        let alive = host.send("GET", "/healthz", &[], "").await;
        assert_eq!(
            (alive.status(), alive.json()["status"].as_str()),
            (200, Some(health)),
            "{readiness:?}"
        );
        let ready = host.send("GET", "/readyz", &[], "").await;
        assert_eq!(
            (ready.status(), ready.json()["status"].as_str()),
            (503, Some("not_ready")),
            "{readiness:?}"
        );
        assert!(
            ready.body().contains("disk full") || ready.body().contains("401"),
            "{}",
            ready.body()
        );
    }
}

#[tokio::test]
async fn unknown_addresses_and_methods_are_typed_errors() {
    let host = Host::start(Server::default()).await;
    for (method, path, status, code, allow) in [
        ("GET", "/", 404, "not_found", None),
        ("GET", "/webhooks", 404, "not_found", None),
        ("GET", "/webhooks/a/b", 404, "not_found", None),
        ("PUT", "/webhooks/x", 405, "method_not_allowed", Some("GET, HEAD, POST")),
        ("GET", "/sessions/link", 405, "method_not_allowed", Some("POST")),
        ("OPTIONS", "/sessions/link", 405, "method_not_allowed", Some("POST")),
        ("POST", "/healthz", 405, "method_not_allowed", Some("GET, HEAD")),
        ("DELETE", "/readyz", 405, "method_not_allowed", Some("GET, HEAD")),
    ] {
        let answer = host.send(method, path, &[], "").await;
        assert_eq!(
            (answer.status(), answer.code().as_str(), answer.header("allow")),
            (status, code, allow),
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_whether_it_is_declared_or_not() {
    let host = Host::start(Server { max_body_bytes: 1000, ..Server::default() }).await;
    let fits = "x".repeat(1000);
    assert_eq!(host.send("POST", "/webhooks/x", &[], &fits).await.status(), 200);

    let declared =
        host.raw("POST /webhooks/x HTTP/1.1\r\nhost: x\r\ncontent-length: 1001\r\n\r\n").await;
    assert_eq!((declared.status(), declared.code().as_str()), (413, "body_too_large"));

    let chunked = format!(
        "POST /webhooks/x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3e9\r\n{fits}x\r\n"
    );
    let chunked = host.raw(chunked).await;
    assert_eq!((chunked.status(), chunked.code().as_str()), (413, "body_too_large"));

    let link = host.send("POST", "/sessions/link", &[JSON], &format!("\"{fits}\"")).await;
    assert_eq!((link.status(), link.code().as_str()), (413, "body_too_large"));
    assert_eq!(host.backend.webhooks.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_client_that_is_slow_with_its_head_is_cut() {
    let host =
        Host::start(Server { header_timeout: Duration::from_millis(100), ..Server::default() })
            .await;
    let mut silent = TcpStream::connect(host.address).await.unwrap();
    let mut slow = TcpStream::connect(host.address).await.unwrap();
    slow.write_all(b"GET /healthz HTTP/1.1\r\nhost").await.unwrap();
    // Served once, then silent on the same connection.
    let mut kept = TcpStream::connect(host.address).await.unwrap();
    kept.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();

    assert_eq!(read_answer(&mut silent).await.0, "");
    let answer = read_answer(&mut slow).await.0;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert_eq!(read_answer(&mut kept).await.status(), 200);
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let host = Host::start(Server::default()).await;
    let mut socket = TcpStream::connect(host.address).await.unwrap();
    socket
        .write_all(format!("GET /{} HTTP/1.1\r\nhost: x\r\n", "x".repeat(70_000)).as_bytes())
        .await
        .unwrap();
    assert!(matches!(read_answer(&mut socket).await.status(), 414 | 431));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_given_up() {
    let host = Host::start(Server::default()).await;
    let mut socket = TcpStream::connect(host.address).await.unwrap();
    let part = "POST /webhooks/x HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 10\r\n\r\nabc";
    socket.write_all(part.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    // Paused time jumps to the deadline while everyone waits.
    socket.read_to_end(&mut bytes).await.unwrap();
    let answer = Answer(String::from_utf8(bytes).unwrap());
    assert_eq!((answer.status(), answer.code().as_str()), (408, "body_timeout"));
}

#[tokio::test]
async fn connections_over_the_cap_wait_for_their_turn() {
    let host = Host::start(Server { max_connections: 1, ..Server::default() }).await;
    host.backend.gate.forget_permits(1000);
    let first = async {
        let answer = host.send("POST", "/webhooks/first", &[], "").await;
        (answer.status(), "first")
    };
    let second = async {
        host.backend.entered.notified().await;
        let waiting = host.send("GET", "/healthz", &[], "");
        tokio::pin!(waiting);
        // The one slot is taken until the gate opens.
        assert!(tokio::time::timeout(Duration::from_millis(200), &mut waiting).await.is_err());
        host.backend.gate.add_permits(1);
        waiting.await.status()
    };
    assert_eq!(tokio::join!(first, second), ((200, "first"), 200));
}

#[tokio::test]
async fn a_request_under_way_is_answered_at_shutdown_and_idle_connections_do_not_hold_it_up() {
    let host = Host::start(Server::default()).await;
    host.backend.gate.forget_permits(1000);
    let idle = TcpStream::connect(host.address).await.unwrap();
    let under_way = host.send("POST", "/webhooks/x", &[], "");
    let shutdown = async {
        host.backend.entered.notified().await;
        host.stop.cancel();
        // The listener closes first.
        let refused = async { while TcpStream::connect(host.address).await.is_ok() {} };
        tokio::time::timeout(PATIENCE, refused).await.expect("no further connections are taken");
        assert!(!host.serving.is_finished());
        host.backend.gate.add_permits(1);
    };
    let (answer, ()) = tokio::join!(under_way, shutdown);
    assert_eq!(answer.status(), 200);
    tokio::time::timeout(Duration::from_secs(5), host.serving)
        .await
        .expect("idle clients don't hold it up")
        .unwrap()
        .unwrap();
    drop(idle);
}

#[tokio::test]
async fn a_request_that_hangs_is_cut_at_the_deadline_of_the_shutdown() {
    let host = Host::start(Server::default()).await;
    host.backend.gate.forget_permits(1000);
    let mut socket = TcpStream::connect(host.address).await.unwrap();
    socket.write_all(b"POST /webhooks/x HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    host.backend.entered.notified().await;
    tokio::time::pause();
    host.stop.cancel();
    host.serving.await.unwrap().unwrap();
    assert_eq!(read_answer(&mut socket).await.0, "");
}

#[tokio::test]
async fn a_panic_in_a_handler_ends_the_serving() {
    let host = Host::start(Server::default()).await;
    assert_eq!(host.send("POST", "/webhooks/panics", &[], "").await.0, "");
    let ended = tokio::time::timeout(PATIENCE, host.serving).await.expect("it ends").unwrap();
    assert!(matches!(ended, Err(ServeError::Panicked)));
}
