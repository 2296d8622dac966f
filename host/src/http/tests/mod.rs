//! Every route over real sockets, and the clients that mean harm.

mod access;
mod attacks;
mod connections;
mod context;
mod deliveries;
mod documented;
mod erase;
mod events;
mod gate;
mod health;
mod ingest;
mod json;
mod keys;
mod link;
mod matrix;
mod mcp;
mod metrics;
mod outbox;
mod page;
mod plugins;
mod reload;
mod reply;
mod streams;
mod tap;
mod webhook;

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
use crate::access::Actor;
use crate::config::{Secret, Server};
use crate::context::Recent;
use crate::engine::Handle;
use crate::engine::erase::kept::{KeptCursor, KeptFilter, KeptList};
use crate::engine::erase::{EraseError, Erased, Erasure};
use crate::engine::ledger::{
    Decided, Delivery, Filter, LedgerError, Listing, Order, Repeat, ResendFailure, Timeline,
    TimelineWant, Want,
};
use crate::engine::link::{LinkError, LinkEvent, LinkMode, Linked};
use crate::ids::{ConversationId, PluginName, ProductId, SessionId, SessionKey};
use crate::keys::{KeyChange, KeyError, KeyRow, Keys};
use crate::llm::Replies;
use crate::outbox::delivery_id::DeliveryId;
use crate::outbox::trouble::LastError;
use crate::plugin::WebhookRequest;
use crate::stream::push::PushError;
use crate::telemetry::Refusals;

/// Long enough for a loaded machine; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

struct Fake {
    webhooks: Mutex<Vec<(String, WebhookRequest)>>,
    pushes: Mutex<Vec<PushRequest>>,
    pushed: Mutex<PushAnswer>,
    links: Mutex<Vec<LinkRequest>>,
    answer: Mutex<WebhookAnswer>,
    linked: Mutex<Result<LinkEvent, LinkError>>,
    readiness: Mutex<Readiness>,
    errors: Mutex<Vec<(PluginName, LastError)>>,
    /// What was asked of the outbox.
    asked: Mutex<Vec<outbox::Asked>>,
    /// What was asked of deliveries and sessions.
    stories: Mutex<Vec<deliveries::Story>>,
    /// What was to be erased, and whether only a count was wanted.
    erasures: Mutex<Vec<(Erasure, bool)>>,
    /// What was asked of the ledger of what stays.
    kept: Mutex<Vec<erase::KeptAsked>>,
    /// What people did lately.
    recent: Mutex<Option<Recent>>,
    replies: Mutex<Option<Replies>>,
    /// The streams that were to be asked at once.
    retried: Mutex<Vec<Option<String>>>,
    /// Who was reset.
    resets: Mutex<Vec<(String, String)>>,
    /// A webhook waits for a permit before it answers.
    gate: Semaphore,
    entered: Notify,
    refusals: Refusals,
    keys: Mutex<Option<Keys>>,
    /// What changes the keys.
    engine: Mutex<Option<Handle>>,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            webhooks: Mutex::default(),
            pushes: Mutex::default(),
            pushed: Mutex::new(PushAnswer::Accepted { dropped_actions: 0 }),
            links: Mutex::default(),
            answer: Mutex::new(WebhookAnswer::Accepted),
            linked: Mutex::new(Ok(LinkEvent::New)),
            readiness: Mutex::new(Readiness {
                streams: vec![StreamReadiness {
                    name: "main".into(),
                    state: StreamState::Connected,
                    last_event_age: Some(Duration::from_millis(1500)),
                    cause: None,
                    next_attempt: None,
                }],
                store: Part::Ready,
                plugins: vec![("webhook".into(), Part::Ready)],
            }),
            errors: Mutex::default(),
            kept: Mutex::default(),
            asked: Mutex::default(),
            stories: Mutex::default(),
            erasures: Mutex::default(),
            recent: Mutex::default(),
            replies: Mutex::default(),
            retried: Mutex::default(),
            resets: Mutex::default(),
            gate: Semaphore::new(1000),
            entered: Notify::new(),
            refusals: Refusals::default(),
            keys: Mutex::default(),
            engine: Mutex::default(),
        }
    }
}

#[async_trait::async_trait]
impl Backend for Fake {
    fn refuses_webhook(&self, plugin: &str) -> Option<WebhookAnswer> {
        (plugin == "none").then_some(WebhookAnswer::UnknownPlugin)
    }

    fn refuses_push(&self, product: &str, signed: bool) -> Option<PushAnswer> {
        match product {
            "none" => Some(PushAnswer::Refused(PushError::NoProduct)),
            "strict" if !signed => Some(PushAnswer::Refused(PushError::Signature)),
            _ => None,
        }
    }

    fn keys(&self) -> Option<Keys> {
        self.keys.lock().unwrap().clone()
    }

    async fn change_keys(&self, change: KeyChange, by: &Actor) -> Result<KeyRow, KeyError> {
        let engine = self.engine.lock().unwrap().clone().ok_or(KeyError::Unavailable)?;
        engine.on_behalf_of(by.clone()).change_keys(change).await
    }

    fn refusals(&self) -> Option<&Refusals> {
        Some(&self.refusals)
    }

    async fn webhook(&self, plugin: &str, request: WebhookRequest) -> WebhookAnswer {
        self.entered.notify_one();
        self.gate.acquire().await.unwrap().forget();
        assert_ne!(plugin, "panics", "as the test has it");
        self.webhooks.lock().unwrap().push((plugin.to_owned(), request));
        self.answer.lock().unwrap().clone()
    }

    async fn ingest(&self, push: PushRequest) -> PushAnswer {
        self.pushes.lock().unwrap().push(push);
        *self.pushed.lock().unwrap()
    }

    async fn link(&self, request: LinkRequest, _: &Actor) -> Result<Linked, LinkError> {
        self.links.lock().unwrap().push(request.clone());
        let event = self.linked.lock().unwrap().clone()?;
        let product = request.product_id.unwrap_or(ProductId::new("p").unwrap());
        let key = SessionKey { product, session: request.session_id };
        Ok(Linked { key, conversation: request.conversation_id, event })
    }

    async fn outbox(&self, filter: &Filter, want: &Want) -> Result<Listing, LedgerError> {
        self.asked.lock().unwrap().push(outbox::Asked::List(filter.clone(), want.clone()));
        outbox::listing()
    }

    async fn preview(&self, order: &Order) -> Result<Decided, LedgerError> {
        self.asked.lock().unwrap().push(outbox::Asked::Preview(order.clone()));
        Ok(outbox::decided(0))
    }

    async fn decide(&self, order: &Order, _: &Actor) -> Result<Decided, LedgerError> {
        self.asked.lock().unwrap().push(outbox::Asked::Decide(order.clone()));
        Ok(outbox::decided(1))
    }

    async fn delivery(&self, id: &DeliveryId, text: bool) -> Result<Option<Delivery>, LedgerError> {
        self.stories.lock().unwrap().push(deliveries::Story::Show(id.clone(), text));
        Ok(deliveries::delivery(id))
    }

    async fn resend(
        &self,
        id: &DeliveryId,
        dry_run: bool,
        text: bool,
        _: &Actor,
    ) -> Result<Repeat, ResendFailure> {
        self.stories.lock().unwrap().push(deliveries::Story::Resend(id.clone(), dry_run, text));
        deliveries::resent(id, dry_run)
    }

    async fn timeline(
        &self,
        key: &SessionKey,
        want: &TimelineWant,
    ) -> Result<Option<Timeline>, LedgerError> {
        self.stories.lock().unwrap().push(deliveries::Story::Timeline(key.clone(), want.clone()));
        Ok(deliveries::timeline(key))
    }

    async fn erase(
        &self,
        erasure: &Erasure,
        dry_run: bool,
        _: &Actor,
    ) -> Result<Erased, EraseError> {
        self.erasures.lock().unwrap().push((erasure.clone(), dry_run));
        Ok(erase::erased(dry_run))
    }

    async fn kept(
        &self,
        filter: &KeptFilter,
        limit: usize,
        after: Option<KeptCursor>,
    ) -> Result<KeptList, EraseError> {
        self.kept.lock().unwrap().push((filter.clone(), limit, after));
        Ok(erase::kept())
    }

    fn last_errors(&self) -> Vec<(PluginName, LastError)> {
        self.errors.lock().unwrap().clone()
    }

    fn replies(&self) -> Option<Replies> {
        self.replies.lock().unwrap().clone()
    }

    fn recent(&self) -> Option<Recent> {
        self.recent.lock().unwrap().clone()
    }

    fn product(&self, named: Option<&str>) -> Result<Arc<str>, NoProduct> {
        context::product(named)
    }

    async fn reset(&self, product: &str, user: &str, _: &Actor) -> Result<Erased, EraseError> {
        self.resets.lock().unwrap().push((product.to_owned(), user.to_owned()));
        Ok(erase::erased(false))
    }

    fn readiness(&self) -> Readiness {
        self.readiness.lock().unwrap().clone()
    }

    async fn retry_streams(&self, named: Option<&str>, _: &Actor) -> Option<Vec<StreamReadiness>> {
        self.retried.lock().unwrap().push(named.map(str::to_owned));
        let streams = self.readiness.lock().unwrap().streams.clone();
        let meant: Vec<_> =
            streams.into_iter().filter(|it| named.is_none_or(|name| name == it.name)).collect();
        (!meant.is_empty()).then_some(meant)
    }

    async fn metrics(&self) -> crate::metrics::Scrape {
        metrics::scrape()
    }

    fn plugins(&self) -> PluginsReport {
        plugins::report()
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

    /// Sends raw bytes and reads until the host closes. What it answers is held against the document.
    async fn raw(&self, request: impl AsRef<[u8]>) -> Answer {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        socket.write_all(request.as_ref()).await.unwrap();
        let answer = read_answer(&mut socket).await;
        documented::check(request.as_ref(), &answer);
        answer
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        self.raw(format!("{head}content-length: {}\r\n\r\n{body}", body.len())).await
    }

    async fn link(&self, body: &Value) -> Answer {
        self.send("POST", "/sessions/link", &[JSON], &body.to_string()).await
    }

    fn links(&self) -> Vec<LinkRequest> {
        std::mem::take(&mut *self.backend.links.lock().unwrap())
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
