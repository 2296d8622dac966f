//! The connector's handle and how it answers requests.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::{Request, Response};
use serde_json::json;
use sidenote::session::payload::ActionsPayload;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::behaviour::{Behaviour, ConnectorOptions, WhenUnread};
use super::event::Event;
use super::feed::Feed;
use super::product::{Item, Product};
use super::stats::{ConnectorStats, Counters, count};
use crate::serve::{self, Reset, Server};

/// Most products; requests for further ones are refused.
const MAX_PRODUCTS: usize = 1024;

/// A running connector; cheap to clone. It ends when the last handle is dropped.
#[derive(Clone)]
pub struct Connector {
    state: Arc<State>,
    server: Arc<Server>,
}

/// The outcome of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Emitted {
    /// It goes to the reader, or to the next one.
    Queued,
    /// Nobody reads and [`WhenUnread::Drop`] holds: it was dropped and counted.
    Dropped,
    /// The connector is shut down.
    Closed,
}

impl Connector {
    /// Listens where the options say.
    ///
    /// # Errors
    /// When that can't be had.
    pub async fn start(options: ConnectorOptions) -> io::Result<Self> {
        let listener = TcpListener::bind(options.listen).await?;
        let state = Arc::new(State {
            behaviour: watch::Sender::new(options.behaviour.clone()),
            options,
            products: Mutex::default(),
            refusal: Mutex::new(None),
            counters: Arc::default(),
            closed: CancellationToken::new(),
        });
        let answering = Arc::clone(&state);
        let server = Server::over(listener, move |request, reset| {
            let answer = answering.answer(&request, reset);
            std::future::ready(answer)
        })?;
        Ok(Self { state, server: Arc::new(server) })
    }

    /// The address of a product's stream.
    pub fn stream_url(&self, product: &str) -> String {
        format!("{}/stream/{product}", self.server.url())
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The bearer token that a reader must show.
    pub fn token(&self) -> &str {
        &self.state.options.token
    }

    /// Sends an event on a product's stream. Waits while the queue is full: the reader is slow or, with
    /// [`WhenUnread::Wait`], nobody reads.
    pub async fn emit(&self, product: &str, event: Event) -> Emitted {
        let Some(product) = self.state.product(product) else {
            count(&self.state.counters.dropped);
            return Emitted::Dropped;
        };
        if self.state.options.when_unread == WhenUnread::Drop && product.reader().is_none() {
            count(&self.state.counters.dropped);
            return Emitted::Dropped;
        }
        tokio::select! {
            sent = product.queue.send(Item::Event(event)) => match sent {
                Ok(()) => Emitted::Queued,
                Err(_) => Emitted::Closed,
            },
            () = self.state.closed.cancelled() => Emitted::Closed,
        }
    }

    /// Sends a batch of actions on its product's stream, as [`Self::emit`] does.
    pub async fn emit_actions(&self, payload: &ActionsPayload) -> Emitted {
        self.emit(&payload.product_id, Event::actions(payload)).await
    }

    /// Waits until somebody reads the product's stream; `false` when the connector is shut down.
    pub async fn connected(&self, product: &str) -> bool {
        let Some(product) = self.state.product(product) else {
            return false;
        };
        tokio::select! {
            () = product.read_by_someone() => true,
            () = self.state.closed.cancelled() => false,
        }
    }

    /// Closes the reader's connection in good order, after all events emitted before. `false` when
    /// nobody reads.
    pub async fn disconnect(&self, product: &str) -> bool {
        let Some(product) = self.state.product(product) else {
            return false;
        };
        let Some(reader) = product.reader() else {
            return false;
        };
        product.queue.send(Item::HangUp { reader }).await.is_ok()
    }

    /// Resets the reader's connection: what is under way on it is lost. `false` when nobody reads.
    pub fn abort(&self, product: &str) -> bool {
        self.state.product(product).is_some_and(|product| product.reset())
    }

    /// Answers the next requests with a status instead of a stream.
    pub fn refuse(&self, requests: u64, status: StatusCode, retry_after: Option<Duration>) {
        *self.state.refusal.lock().expect("no holder panics") =
            Some(Refusal { left: requests, status, retry_after });
    }

    /// Changes the manners, for open connections as well.
    pub fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        self.state.behaviour.send_modify(change);
    }

    /// What has happened so far.
    pub fn stats(&self) -> ConnectorStats {
        self.state.counters.snapshot()
    }

    /// Closes every connection and waits until all tasks have ended.
    pub async fn shutdown(&self) {
        self.state.closed.cancel();
        self.server.shutdown().await;
    }
}

struct State {
    options: ConnectorOptions,
    behaviour: watch::Sender<Behaviour>,
    products: Mutex<HashMap<String, Arc<Product>>>,
    refusal: Mutex<Option<Refusal>>,
    counters: Arc<Counters>,
    closed: CancellationToken,
}

struct Refusal {
    left: u64,
    status: StatusCode,
    retry_after: Option<Duration>,
}

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

impl State {
    fn product(&self, name: &str) -> Option<Arc<Product>> {
        let mut products = self.products.lock().expect("no holder panics");
        if let Some(product) = products.get(name) {
            return Some(Arc::clone(product));
        }
        if products.len() >= MAX_PRODUCTS {
            return None;
        }
        let product = Arc::new(Product::new(self.options.queued_events));
        products.insert(name.to_owned(), Arc::clone(&product));
        Some(product)
    }

    fn answer(&self, request: &Request<Incoming>, reset: Reset) -> Answer {
        let counters = &self.counters;
        count(&counters.requests);
        if let Some(id) = request.headers().get("last-event-id") {
            *counters.last_event_id.lock().expect("no holder panics") =
                Some(String::from_utf8_lossy(id.as_bytes()).into());
        }
        if let Some(refused) = self.refused() {
            count(&counters.refused);
            return refused;
        }
        if !self.authorised(request.headers()) {
            count(&counters.unauthorised);
            return plain(StatusCode::UNAUTHORIZED, "the bearer token is missing or wrong");
        }
        let product = request.uri().path().strip_prefix("/stream/").filter(|name| !name.is_empty());
        let Some(product) = product.and_then(|name| self.product(name)) else {
            count(&counters.misdirected);
            return plain(StatusCode::NOT_FOUND, "there is /stream/{product}");
        };
        if request.method() != Method::GET {
            count(&counters.misdirected);
            return plain(StatusCode::METHOD_NOT_ALLOWED, "a stream is read with GET");
        }
        if !accepts_events(request.headers()) {
            count(&counters.misdirected);
            return plain(StatusCode::NOT_ACCEPTABLE, "a reader accepts text/event-stream");
        }
        let reader = product.attach(reset);
        let feed = Feed {
            product,
            reader,
            counters: Arc::clone(counters),
            behaviour: self.behaviour.subscribe(),
            heartbeat: self.options.heartbeat,
            when_unread: self.options.when_unread,
            ids: self.options.ids,
        };
        let mut response = Response::new(feed.body());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    fn refused(&self) -> Option<Answer> {
        let mut refusal = self.refusal.lock().expect("no holder panics");
        let current = refusal.as_mut().filter(|refusal| refusal.left > 0)?;
        current.left -= 1;
        let mut response = plain(current.status, "refused on demand");
        if let Some(after) = current.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs()));
        }
        Some(response)
    }

    fn authorised(&self, headers: &HeaderMap) -> bool {
        headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "))
            .is_some_and(|token| token == self.options.token.as_bytes())
    }
}

fn accepts_events(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/event-stream") || accept.contains("*/*"))
}

fn plain(status: StatusCode, error: &str) -> Answer {
    serve::json(status, &json!({ "error": error })).map(BodyExt::boxed_unsync)
}
