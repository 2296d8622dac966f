//! A vendor on a socket.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use sidenote::clock::{Clock, Timestamp};
use sidenote_sim::Opening;
use tokio::task::JoinSet;

use super::contract::{Happening, Vendor};
use super::desk::{Author, Desk, Entry};
use super::exchange::{Answer, Hook, Received};
use super::limit::{Fault, Limits, Scope, Trouble, Verdict};

/// Largest request, in bytes.
const MAX_REQUEST: usize = 8 << 20;
/// Most refusals that are kept.
const MAX_REFUSALS: usize = 100;
/// Most requests that are kept.
const MAX_REQUESTS: usize = 10_000;
/// How long the host may take over a webhook.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(30);

/// A running platform. It ends when it is dropped.
pub struct VendorServer {
    inner: Arc<Inner>,
    address: SocketAddr,
    webhooks: Mutex<Option<String>>,
    client: reqwest::Client,
    _tasks: JoinSet<()>,
}

struct Inner {
    vendor: Box<dyn Vendor>,
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    desk: Desk,
    limits: Limits,
    stats: VendorStats,
    refusals: Vec<String>,
    requests: Vec<Received>,
}

/// What a platform has seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VendorStats {
    /// Requests.
    pub requests: u64,
    /// Requests that were refused for what they are; see [`VendorServer::refusals`].
    pub refused: u64,
    /// Requests that met a limit.
    pub limited: u64,
    /// Requests that came before the moment which a caller had been told to wait for.
    pub early: u64,
    /// Requests that met a fault.
    pub faults: u64,
}

impl VendorServer {
    /// Starts a platform.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start(vendor: impl Vendor) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let inner = Arc::new(Inner {
            vendor: Box::new(vendor),
            clock: Clock::system(),
            state: Mutex::new(State::default()),
        });
        let served = Arc::clone(&inner);
        let app = Router::new().fallback(move |request: Request<Body>| {
            let inner = Arc::clone(&served);
            async move { inner.handle(request).await }
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            axum::serve(listener, app).await.expect("serving never ends by itself");
        });
        sidenote::tls::install_provider();
        let client = reqwest::Client::builder().no_proxy().timeout(WEBHOOK_TIMEOUT);
        let client = client.build().expect("a plain client");
        Self { inner, address, webhooks: Mutex::new(None), client, _tasks: tasks }
    }

    /// What is particular to it.
    pub fn vendor(&self) -> &dyn Vendor {
        &*self.inner.vendor
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where webhooks go.
    pub fn deliver_webhooks_to(&self, url: String) {
        *self.webhooks.lock().expect("no holder panics") = Some(url);
    }

    /// Opens a conversation, of which the host isn't told.
    pub fn create(&self, opening: Opening) -> String {
        let desk = &mut self.state().desk;
        let number = desk.number();
        let id = self.inner.vendor.conversation_id(number);
        desk.open(id.clone(), opening);
        id
    }

    /// Opens a conversation and tells the host.
    ///
    /// # Panics
    /// When the host doesn't take the webhook.
    pub async fn open(&self, opening: Opening) -> String {
        let id = self.create(opening);
        self.tell(&id, &Happening::Opened).await;
        id
    }

    /// Tells the host of something.
    ///
    /// # Panics
    /// When the host doesn't take the webhook.
    pub async fn tell(&self, conversation: &str, happening: &Happening) {
        let status = self.send(self.hook(conversation, happening)).await;
        assert!((200..300).contains(&status), "the host answered {status} to {happening:?}");
    }

    /// The signed webhook that tells of something.
    ///
    /// # Panics
    /// When there is no such conversation, or the platform doesn't tell of that: see [`Self::tells`].
    pub fn hook(&self, conversation: &str, happening: &Happening) -> Hook {
        let hook = self.hook_of(conversation, happening);
        hook.unwrap_or_else(|| panic!("the platform doesn't tell of {happening:?}"))
    }

    /// Whether the platform tells of such a thing at all.
    ///
    /// # Panics
    /// When there is no such conversation.
    pub fn tells(&self, conversation: &str, happening: &Happening) -> bool {
        self.hook_of(conversation, happening).is_some()
    }

    fn hook_of(&self, conversation: &str, happening: &Happening) -> Option<Hook> {
        let state = self.state();
        let conversation = state.desk.conversation(conversation).expect("a conversation of ours");
        self.inner.vendor.webhook(conversation, happening, self.inner.clock.now())
    }

    /// Has the person click the option with this label, of the latest offer, and tells the host.
    ///
    /// # Panics
    /// When there is no such option, or the host doesn't take the webhook.
    pub async fn click(&self, conversation: &str, label: &str) {
        let option = {
            let state = self.state();
            let conversation = state.desk.conversation(conversation);
            let offer = conversation.expect("a conversation of ours").offer();
            let options = &offer.expect("an offer that can be clicked").options;
            let option = options.iter().find(|option| option.label == label);
            option.expect("an option of the offer").id.clone()
        };
        self.tell(conversation, &Happening::Clicked(option)).await;
    }

    /// What was written in a conversation for the person to see and is still there, in order.
    pub fn visible(&self, conversation: &str) -> Vec<Entry> {
        let state = self.state();
        let entries = state.desk.conversation(conversation).map(|it| &*it.entries);
        let seen = entries.unwrap_or_default().iter();
        seen.filter(|it| it.kind == Author::Visible && !it.removed && !it.redacted)
            .cloned()
            .collect()
    }

    /// What the platform sends to an address before it uses it.
    pub fn greetings(&self) -> Vec<Hook> {
        self.inner.vendor.greetings(self.inner.clock.now())
    }

    /// Sends a webhook as it is; the status of the host's answer.
    ///
    /// # Panics
    /// When no address was set, or the host doesn't answer.
    pub async fn send(&self, hook: Hook) -> u16 {
        let url = self.webhooks.lock().expect("no holder panics").clone();
        let url = url.expect("an address for webhooks: `deliver_webhooks_to`");
        let method = hook.method.parse().expect("a vendor's method");
        let mut request = self.client.request(method, url).body(hook.body);
        for (name, value) in hook.headers {
            request = request.header(name, value);
        }
        let answer = request.send().await.unwrap_or_else(|error| panic!("{error}"));
        answer.status().as_u16()
    }

    /// The notes of a conversation that are still there, in order.
    pub fn notes(&self, conversation: &str) -> Vec<Entry> {
        let state = self.state();
        let entries = state.desk.conversation(conversation).map(|it| &*it.entries);
        let notes = entries.unwrap_or_default().iter();
        notes.filter(|entry| entry.kind == Author::Note && !entry.removed).cloned().collect()
    }

    /// What a person reads in the notes of a conversation.
    pub fn read(&self, conversation: &str) -> Vec<String> {
        let notes = self.notes(conversation);
        notes.iter().map(|note| self.inner.vendor.readable(&note.text)).collect()
    }

    /// All that is kept of a conversation, as it is kept: for looking for what must be gone.
    pub fn kept(&self, conversation: &str) -> String {
        let state = self.state();
        let entries = state.desk.conversation(conversation).map(|it| &*it.entries);
        let entries = entries.unwrap_or_default().iter();
        let kept = entries.filter(|entry| entry.kind != Author::Person && !entry.removed);
        kept.map(|entry| format!("{} {}\n", entry.text, entry.extra)).collect()
    }

    /// Has the platform take nothing for so long, once `calls` more have passed. The moment at which it ends is
    /// in whole seconds.
    pub fn limit(&self, scope: Scope, calls: u64, time: Duration) {
        let until = (self.inner.clock.now() + time).0;
        let until = Timestamp((until + 999_999) / 1_000_000 * 1_000_000);
        self.state().limits.set(scope, calls, until);
    }

    /// Lets the next calls fail.
    pub fn break_next(&self, calls: usize, fault: Fault) {
        self.state().limits.break_next(calls, fault);
    }

    /// What it has seen.
    pub fn stats(&self) -> VendorStats {
        self.state().stats
    }

    /// The first requests that were refused for what they are, and how.
    pub fn refusals(&self) -> Vec<String> {
        self.state().refusals.clone()
    }

    /// The first requests that came in.
    pub fn requests(&self) -> Vec<Received> {
        self.state().requests.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state()
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }

    async fn handle(&self, request: Request<Body>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let Ok(body) = axum::body::to_bytes(body, MAX_REQUEST).await else {
            return Answer::json(413, serde_json::Value::Null).into_response();
        };
        let received = Received {
            method: head.method.to_string(),
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            headers: head.headers,
            body,
            at: self.clock.now(),
        };
        match self.answer(&received) {
            Some(answer) => answer.into_response(),
            None => std::future::pending().await,
        }
    }

    /// The answer, or nothing where it never comes.
    fn answer(&self, received: &Received) -> Option<Answer> {
        let state = &mut *self.state();
        state.stats.requests += 1;
        if state.requests.len() < MAX_REQUESTS {
            state.requests.push(received.clone());
        }
        if let Err(refusal) = self.vendor.check(received) {
            state.refuse(received, &refusal);
            return Some(refusal);
        }
        let conversation = self.vendor.conversation_of(received);
        let conversation = conversation.as_deref();
        let quota = match state.limits.judge(conversation, received.at) {
            Verdict::Passes => Vec::new(),
            Verdict::Counted { left, until } => {
                let quota = self.vendor.quota(left, until, received.at);
                if left == 0 && !quota.is_empty() {
                    state.limits.told(conversation, until);
                }
                quota
            }
            Verdict::Limited { until, scope, early } => {
                state.stats.limited += 1;
                state.stats.early += u64::from(early);
                let (answer, told) = self.vendor.limited(&scope, until, received.at);
                state.limits.told(conversation, told);
                return Some(answer);
            }
        };
        let fault = state.limits.fault();
        state.stats.faults += u64::from(fault.is_some());
        if fault.is_none_or(|fault| fault.taken) {
            let mut answer = self.vendor.answer(&mut state.desk, received);
            // To ask for something that isn't there is no mistake.
            let absent = received.method == "GET" && answer.status == 404;
            if !answer.is_success() && !absent {
                state.refuse(received, &answer);
            }
            answer.headers.extend(quota);
            if fault.is_none() {
                return Some(answer);
            }
        }
        match fault?.trouble {
            Trouble::Status(status) => Some(self.vendor.broken(status)),
            Trouble::Hang => None,
        }
    }
}

impl State {
    fn refuse(&mut self, received: &Received, answer: &Answer) {
        self.stats.refused += 1;
        if self.refusals.len() < MAX_REFUSALS {
            let Received { method, path, .. } = received;
            self.refusals.push(format!("{method} {path}: {} {}", answer.status, answer.body));
        }
    }
}
