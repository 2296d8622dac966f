//! The accept loop: a bounded number of connections, each with deadlines, and an orderly end.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::StatusCode;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::backend::Backend;
use super::routes::{Peer, Routes};
use crate::config::Server;

/// How long requests under way may take after `stop`.
const DRAIN: Duration = Duration::from_secs(10);
/// How long answered connections may take to send what is left, and idle ones to go.
const FLUSH: Duration = Duration::from_millis(500);
/// The pause after a failed accept: without it, running out of files would burn a core.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Most bytes of a request's head.
const MAX_HEAD_BYTES: usize = 64 * 1024;

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
    let shared = Shared {
        router: Routes::router(backend, &server, local),
        requests: TaskTracker::new(),
        header_timeout: server.header_timeout,
    };
    let slots = Arc::new(Semaphore::new(server.max_connections));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    tracing::info!(listen = %local, "http: listening");
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(ended) = connections.join_next() => ended.or_else(only_panics)?,
            (stream, peer, slot) = accept(&listener, &slots) => {
                let connection = connection(stream, peer, shared.clone(), graceful.watcher());
                connections.spawn(async move {
                    connection.await;
                    drop(slot);
                });
            }
        }
    }
    drop(listener);
    drain(connections, graceful, shared.requests).await
}

#[derive(Clone)]
struct Shared {
    router: Router,
    /// One token for each request under way.
    requests: TaskTracker,
    header_timeout: Duration,
}

/// The next client, once there is room for it. Others wait in the system's queue meanwhile.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    let slot = slots.clone().acquire_owned().await.expect("the semaphore is never closed");
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, slot),
            Err(error) => {
                tracing::warn!(%error, "http: a connection couldn't be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, shared: Shared, watcher: Watcher) {
    let Shared { router, requests, header_timeout } = shared;
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let under_way = requests.token();
        let address = address(request.uri().path());
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer));
        let answer = router.clone().oneshot(request);
        async move {
            let answer = answer.await;
            drop(under_way);
            if let Ok(answer) = &answer {
                log(address, answer.status());
            }
            answer.map_err(|never: Infallible| never)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "http: a connection ended early");
    }
}

/// What is logged of a path: the address as it is documented, never what a client put into it.
fn address(path: &str) -> &'static str {
    match path {
        "/sessions/link" => "/sessions/link",
        "/outbox" => "/outbox",
        "/outbox/retry" => "/outbox/retry",
        "/outbox/purge" => "/outbox/purge",
        "/erase" => "/erase",
        "/mcp" => "/mcp",
        "/plugins" => "/plugins",
        "/healthz" => "/healthz",
        "/readyz" => "/readyz",
        _ if path.starts_with("/context/") => "/context/{user_id}",
        _ if path.starts_with("/users/") => "/users/{product_id}/{user_id}/live-activity",
        _ if path.starts_with("/admin/reset/") => "/admin/reset/{user_id}",
        _ if path.starts_with("/webhooks/") => "/webhooks/{plugin}",
        _ if path.starts_with("/ingest/") => "/ingest/{product_id}",
        _ => "unknown",
    }
}

fn log(address: &str, status: StatusCode) {
    let status = status.as_u16();
    match status {
        500.. if address != "/readyz" => tracing::warn!(address, status, "http: a request failed"),
        400.. => tracing::info!(address, status, "http: a request was refused"),
        _ => tracing::debug!(address, status, "http: a request was answered"),
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
