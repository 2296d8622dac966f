//! The pages behind their guard: who comes in, what they see, and what a form does.

mod coming_in;
mod forms;
mod live;
mod shown;
mod who;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use futures_util::StreamExt;
use http::header::{CONTENT_TYPE, COOKIE, HOST, LOCATION, SET_COOKIE};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::guard::Needs;
use super::login::{Caller, Scope};
use super::visitor::FORM_TOKEN;
use super::*;
use crate::access::{Actor, KeyId, KeyName, Products};
use crate::clock::Timestamp;
use crate::engine::core::Counters;
use crate::engine::erase::{EraseError, Erased, Erasure};
use crate::engine::latest::Attempted;
use crate::engine::ledger::Timeline;
use crate::engine::ledger::{
    Decided, Entry, EntryKind, EntryState, Failure, Failures, Filter, LedgerError, Listing, Order,
    Want,
};
use crate::engine::link::{LinkError, Linked};
use crate::engine::{Decision, LaneKind};
use crate::http::{
    LinkRequest, Part, Peer, PluginsReport, Readiness, StreamReadiness, StreamState, WebhookAnswer,
};
use crate::ids::{ProductId, SessionId, SessionKey};
use crate::outbox::delivery_id::DeliveryId;
use crate::plugin::{CacheTotals, ReloadTotals, WebhookRequest};
use crate::session::state::Record;
use crate::store::StoreError;

const NOW: Timestamp = Timestamp(1_700_000_000_000_000);
/// What a platform may say of a note.
const NASTY: &str = "404: <script>alert(1)</script>";

/// A host of which little is known.
#[derive(Default)]
struct Fake {
    /// The filters and orders that came through.
    asked: Mutex<Vec<Filter>>,
    orders: Mutex<Vec<Order>>,
    texts: Mutex<Vec<bool>>,
}

fn product(id: &str) -> ProductId {
    ProductId::new(id).unwrap()
}

fn entry(of: &str) -> Entry {
    Entry {
        id: DeliveryId::note(
            SessionKey { product: product(of), session: SessionId::new("s").unwrap() },
            1,
        ),
        product: product(of),
        session: SessionId::new("s").unwrap(),
        lane: LaneKind::Note,
        seq: 1,
        plugin: "bot".into(),
        conversation: None,
        kind: EntryKind::Actions,
        state: EntryState::Dead,
        attempts: 1,
        crashes: None,
        waits_until: None,
        sealed_at: NOW.as_secs_f64(),
        age_seconds: 0.0,
        dead_lettered_at: Some(NOW.as_secs_f64()),
        bytes: 3,
        actions: 1,
        reason: Some(NASTY.to_owned()),
        idempotency_key: "key".to_owned(),
        text: None,
    }
}

fn decided(done: u64) -> Decided {
    Decided {
        matched: 2,
        done,
        entries: vec![entry("p"); 2],
        more: false,
        until: NOW.as_secs_f64(),
        next: None,
        unreadable: 0,
    }
}

#[async_trait::async_trait]
impl Backend for Fake {
    async fn webhook(&self, _: &str, _: WebhookRequest) -> WebhookAnswer {
        WebhookAnswer::UnknownPlugin
    }

    async fn link(&self, _: LinkRequest, _: &Actor) -> Result<Linked, LinkError> {
        Err(LinkError::Closed)
    }

    async fn outbox(&self, filter: &Filter, want: &Want) -> Result<Listing, LedgerError> {
        assert!(!want.text, "the outbox shows no texts");
        self.asked.lock().unwrap().push(filter.clone());
        Ok(Listing {
            entries: vec![entry("p")],
            more: false,
            beyond: 0,
            counted_all: true,
            next: None,
            unreadable: 0,
            accounts: Vec::new(),
        })
    }

    async fn preview(&self, order: &Order) -> Result<Decided, LedgerError> {
        self.asked.lock().unwrap().push(order.filter.clone());
        Ok(decided(0))
    }

    async fn decide(&self, order: &Order, _: &Actor) -> Result<Decided, LedgerError> {
        self.orders.lock().unwrap().push(order.clone());
        Ok(decided(1))
    }

    async fn erase(&self, _: &Erasure, _: bool, _: &Actor) -> Result<Erased, EraseError> {
        Ok(Erased::default())
    }

    fn now(&self) -> Timestamp {
        NOW
    }

    fn readiness(&self) -> Readiness {
        Readiness { streams: Vec::new(), store: Part::Ready, plugins: Vec::new() }
    }

    fn plugins(&self) -> PluginsReport {
        let (reloads, cache) = (ReloadTotals::default(), CacheTotals::default());
        PluginsReport { plugins: Vec::new(), reloads, cache }
    }
}

#[async_trait::async_trait]
impl Source for Fake {
    async fn standing(&self) -> Standing {
        let readiness = StreamReadiness {
            name: "main".to_owned(),
            state: StreamState::Refused,
            last_event_age: None,
            cause: Some("401".to_owned()),
            next_attempt: None,
        };
        Standing {
            now: NOW,
            streams: vec![StreamStanding { readiness, lag: None, paused: None }],
            store: Part::Ready,
            store_is_away: false,
            plugins: Vec::new(),
            totals: Counters::default().totals(),
        }
    }

    async fn failures(&self) -> Result<Failures, LedgerError> {
        let group = |of: &str| Failure {
            product: product(of),
            plugin: "bot".into(),
            code: "404".to_owned(),
            reason: format!("{NASTY} of {of}"),
            dead: 2,
            waiting: 0,
            oldest_seconds: 60.0,
        };
        Ok(Failures { groups: vec![group("p"), group("q")], counted_all: true })
    }

    fn latest_attempts(&self) -> Vec<Attempted> {
        let of = |id: &str| Attempted {
            number: 1,
            at: NOW,
            key: SessionKey { product: product(id), session: SessionId::new("s").unwrap() },
            plugin: "bot".into(),
            of: "note",
            failure: None,
        };
        vec![of("p"), of("q")]
    }

    async fn session(&self, key: &SessionKey, texts: bool) -> Result<Option<Session>, StoreError> {
        self.texts.lock().unwrap().push(texts);
        let user_id = Some("the-user".to_owned());
        let record = Some(Record { user_id, ..Record::default() });
        let timeline = Timeline {
            product: key.product.clone(),
            session: key.session.clone(),
            waiting_actions: 0,
            moments: Vec::new(),
            next: None,
            cut: false,
        };
        Ok(Some(Session { record, help: None, timeline }))
    }

    async fn find_sessions(
        &self,
        _: &ProductId,
        _: &str,
    ) -> Result<Vec<(SessionKey, Record)>, StoreError> {
        Ok(Vec::new())
    }

    fn products(&self) -> Vec<ProductId> {
        vec![product("p"), product("q")]
    }
}

/// The pages of a fake host, and whoever asks for them.
struct Pages {
    fake: Arc<Fake>,
    dashboard: Dashboard,
    router: Router,
}

fn caller(scopes: &[Scope], products: Products) -> Caller {
    let id = KeyId::new("0123456789").unwrap();
    let actor = Actor::Key { id, name: KeyName::new("somebody").unwrap() };
    Caller { actor, scopes: scopes.iter().copied().collect(), products }
}

const ALL: [Scope; 4] = [Scope::Read, Scope::Text, Scope::Operate, Scope::Admin];

impl Pages {
    /// With the keys `all`, `p` (everything of the product p), and one that lacks each scope: `no-read` and so on.
    fn new(public_url: Option<&str>) -> Self {
        let without = |scope| ALL.into_iter().filter(|it| *it != scope).collect::<Vec<_>>();
        let of_p = Products::Only(BTreeSet::from([product("p")]));
        let keys = Keys::these([
            ("all", caller(&ALL, Products::All)),
            ("p", caller(&ALL, of_p)),
            ("no-read", caller(&without(Scope::Read), Products::All)),
            ("no-text", caller(&without(Scope::Text), Products::All)),
            ("no-operate", caller(&without(Scope::Operate), Products::All)),
            ("no-admin", caller(&without(Scope::Admin), Products::All)),
        ]);
        Self::with(keys, public_url)
    }

    fn with(keys: Keys, public_url: Option<&str>) -> Self {
        let fake = Arc::new(Fake::default());
        let public_url = public_url.map(str::to_owned);
        let config = config::Dashboard { public_url, ..config::Dashboard::default() };
        let local = "127.0.0.1:8788".parse().unwrap();
        let dashboard = Dashboard(Arc::new(Shared {
            source: fake.clone(),
            keys,
            logins: Logins::default(),
            guard: Guard::of(&config, local),
            pulse: Pulse::default(),
            followers: Followers::default(),
            stop: CancellationToken::new(),
        }));
        let router = routes::router(dashboard.clone());
        Self { fake, dashboard, router }
    }

    /// The cookie and the form token of somebody who logged in.
    fn login(&self, key: &str) -> (String, String) {
        let (_, proof) = self.dashboard.keys.caller(key).expect("it is one of the keys");
        let value = self.dashboard.logins.begin(proof, NOW);
        let id = logins::LoginId::of_cookie(&value);
        let login = self.dashboard.logins.get(&id, false, NOW).expect("a moment ago");
        (format!("sidenote_dashboard={value}"), login.form_token)
    }

    async fn send(&self, request: http::request::Builder, body: impl Into<Body>) -> Response {
        let has_host = request.headers_ref().is_some_and(|headers| headers.contains_key(HOST));
        let request = if has_host { request } else { request.header(HOST, "127.0.0.1:8788") };
        let mut request: Request = request.body(body.into()).unwrap();
        if request.extensions().get::<Peer>().is_none() {
            request.extensions_mut().insert(Peer("192.0.2.7:1000".parse().unwrap()));
        }
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn get(&self, path: &str, cookie: &str) -> Response {
        self.send(Request::get(path).header(COOKIE, cookie), Body::empty()).await
    }

    async fn post(&self, path: &str, cookie: &str, form: &[(&str, &str)]) -> Response {
        self.send(form_to(path, cookie), written(form)).await
    }
}

fn form_to(path: &str, cookie: &str) -> http::request::Builder {
    let form = "application/x-www-form-urlencoded";
    Request::post(path).header(COOKIE, cookie).header(CONTENT_TYPE, form)
}

fn written(form: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish()
}

async fn text(response: Response) -> String {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.into()).unwrap()
}

/// An address of each route.
fn address(path: &str) -> String {
    let path = path.replace("{product}", "p").replace("{session}", "s");
    let path = path.replace("{name}", assets::STYLE.path.trim_start_matches("/assets/"));
    if path == "/outbox/confirm" { format!("{path}?decision=retry&state=dead") } else { path }
}
