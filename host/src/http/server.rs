//! The accept loop: a bounded number of connections, each with deadlines, and an orderly end.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::MatchedPath;
use axum::response::IntoResponse;
use http::header::CONNECTION;
use http::{HeaderValue, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::backend::Backend;
use super::gate::{MAX_HEAD_BYTES, Peer};
use super::permits::{ConnectionPermit, Connections};
use super::routes;
use super::wire::Wire;
use crate::config::Server;
use crate::telemetry::REFUSALS_WINDOW;

/// How long requests under way may take after `stop`.
const DRAIN: Duration = Duration::from_secs(10);
/// How long answered connections may take to send what is left, and idle ones to go.
const FLUSH: Duration = Duration::from_millis(500);
/// The pause after a failed accept: without it, running out of files would keep a core busy.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// What the client of a reserved permit has for its head.
const SHORT_HEADER_TIMEOUT: Duration = Duration::from_secs(2);
/// Requests that are answered on one connection; a client that has more makes another one.
const MAX_REQUESTS: usize = 1000;
/// Most headers of a request.
const MAX_HEADERS: usize = 128;

/// Why serving ended early.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The listener is unusable.
    #[error("http: the listener is unusable: {0}")]
    Listener(#[from] io::Error),
    /// A handler panicked: what it left behind can't be trusted.
    #[error("http: a request handler panicked; the host must be restarted")]
    Panicked,
}

/// Serves `backend` on `listener` until `stop`, then lets requests under way end, for at most ten
/// seconds.
///
/// # Errors
///
/// When the listener is unusable or a handler panicked. A failing client is no error.
pub async fn serve(
    listener: TcpListener,
    backend: Arc<dyn Backend>,
    server: Server,
    stop: CancellationToken,
) -> Result<(), ServeError> {
    let local = listener.local_addr()?;
    tracing::info!(listen = %local, "http: listening");
    let router = routes::router(backend.clone(), &server, local).into_inner();
    serve_router(listener, router, backend, &server, stop).await
}

/// Serves a router, within the bounds of `[server]`, until `stop`: as [`serve`].
pub(crate) async fn serve_router(
    listener: TcpListener,
    router: Router,
    backend: Arc<dyn Backend>,
    server: &Server,
    stop: CancellationToken,
) -> Result<(), ServeError> {
    let requests = TaskTracker::new();
    let shared = Shared { router, backend, requests, header_timeout: server.header_timeout };
    let permits = Connections::new(server.max_connections, server.max_connections_per_peer);
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut counts = interval(REFUSALS_WINDOW);
    counts.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Kept from one turn to the next: who was accepted may wait for a permit.
    let mut accepting = Box::pin(accept(&listener, &permits));
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(ended) = connections.join_next() => ended.or_else(only_panics)?,
            _ = counts.tick() => if let Some(refusals) = shared.backend.refusals() {
                refusals.tell();
            },
            (stream, peer, permit) = &mut accepting => {
                accepting.set(accept(&listener, &permits));
                connections.spawn(connection(stream, peer, permit, shared.clone(), graceful.watcher()));
            }
        }
    }
    drop(accepting);
    drop(listener);
    drain(connections, graceful, shared.requests).await
}

#[derive(Clone)]
struct Shared {
    router: Router,
    backend: Arc<dyn Backend>,
    /// One token for each request under way.
    requests: TaskTracker,
    header_timeout: Duration,
}

/// The next client, with its permit. Where there is none, others wait in the system's queue meanwhile.
async fn accept(
    listener: &TcpListener,
    permits: &Connections,
) -> (TcpStream, SocketAddr, ConnectionPermit) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, permits.take(peer.ip()).await),
            Err(error) => {
                tracing::warn!(%error, "http: a connection couldn't be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    permit: ConnectionPermit,
    shared: Shared,
    watcher: Watcher,
) {
    let Shared { router, backend, requests, header_timeout } = shared;
    let header_timeout = match permit.is_reserved() {
        true => header_timeout.min(SHORT_HEADER_TIMEOUT),
        false => header_timeout,
    };
    let (wire, outlet) = Wire::new(stream);
    let permit = Arc::new(permit);
    let in_use = permit.clone();
    let left = Arc::new(AtomicUsize::new(MAX_REQUESTS));
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (router, backend, requests) = (router.clone(), backend.clone(), requests.clone());
        let (permit, outlet, left) = (in_use.clone(), outlet.clone(), left.clone());
        async move {
            outlet.emptied().await;
            let under_way = requests.token();
            permit.works();
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(Peer(peer));
            request.extensions_mut().insert(permit.clone());
            let mut answer = router.oneshot(request).await.into_response();
            permit.waits();
            drop(under_way);
            log(&*backend, answer.extensions().get(), answer.status());
            let is_last = left.fetch_sub(1, Ordering::Relaxed) <= 1;
            if is_last || permit.is_reserved() {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(wire), service);
    tokio::select! {
        ended = watcher.watch(connection) => if let Err(error) = ended {
            tracing::debug!(%error, "http: a connection ended early");
        },
        () = permit.given_up() => {
            tracing::debug!("http: all connections are in use; one that kept the host waiting gave way");
        }
    }
}

/// Tells of a request: the address as it is documented, never what a client put into it. What anybody can
/// cause is told once a minute, and counted.
fn log(backend: &dyn Backend, path: Option<&MatchedPath>, status: StatusCode) {
    let address = path.map_or("unknown", MatchedPath::as_str);
    let code = status.as_u16();
    if code < 400 {
        return tracing::debug!(address, status = code, "http: a request was answered");
    }
    let line = || match code {
        500.. if address != "/readyz" => {
            tracing::warn!(address, status = code, "http: a request failed");
        }
        _ => tracing::info!(address, status = code, "http: a request was refused"),
    };
    match backend.refusals() {
        Some(refusals) => refusals.say("request", address, status.as_str(), line),
        None => line(),
    }
}

/// Ends the connections: idle ones at once, busy ones when their request is answered or at the deadline.
async fn drain(
    mut connections: JoinSet<()>,
    graceful: GracefulShutdown,
    requests: TaskTracker,
) -> Result<(), ServeError> {
    requests.close();
    let answered = async {
        if tokio::time::timeout(DRAIN, requests.wait()).await.is_ok() {
            tokio::time::sleep(FLUSH).await;
        }
    };
    tokio::select! {
        () = graceful.shutdown() => {}
        () = answered => {}
    }
    let cut = requests.len();
    if cut > 0 {
        tracing::warn!(requests = cut, deadline = ?DRAIN, "http: requests were cut at shutdown; their senders will try again");
    }
    connections.abort_all();
    while let Some(ended) = connections.join_next().await {
        ended.or_else(only_panics)?;
    }
    tracing::info!("http: stopped");
    Ok(())
}

fn only_panics(error: JoinError) -> Result<(), ServeError> {
    if error.is_panic() { Err(ServeError::Panicked) } else { Ok(()) }
}
