//! HTTP/1.1 on a loopback socket, with connections that can be reset on demand.

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// Most connections at the same time; further ones wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 1024;

/// A running server. Dropping it ends its tasks; [`Server::shutdown`] waits for them as well.
pub(super) struct Server {
    addr: SocketAddr,
    tasks: TaskTracker,
    stop: CancellationToken,
    _stop_on_drop: DropGuard,
}

impl Server {
    /// Listens on a free port of 127.0.0.1 and answers every request with `handler`.
    pub(super) async fn start<H, F, B>(handler: H) -> io::Result<Self>
    where
        H: Fn(Request<Incoming>, Reset) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        Self::over(listener, handler)
    }

    /// Answers every request to a listener with `handler`.
    pub(super) fn over<H, F, B>(listener: TcpListener, handler: H) -> io::Result<Self>
    where
        H: Fn(Request<Incoming>, Reset) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let addr = listener.local_addr()?;
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        tasks.spawn(accept(listener, handler, tasks.clone(), stop.clone()));
        Ok(Self { addr, tasks, _stop_on_drop: stop.clone().drop_guard(), stop })
    }

    /// `http://127.0.0.1:PORT`.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Closes every connection and waits until all tasks have ended.
    pub(super) async fn shutdown(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Tears a request's connection down with a TCP reset: what was written and not yet sent is lost.
#[derive(Clone)]
pub(super) struct Reset(CancellationToken);

impl Reset {
    /// Resets the connection; the handler and the answer's body are dropped.
    pub(super) fn now(&self) {
        self.0.cancel();
    }
}

/// An answer with a JSON object as its body.
pub(super) fn json(status: StatusCode, value: &serde_json::Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(value.to_string())));
    *response.status_mut() = status;
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}

async fn accept<H, F, B>(
    listener: TcpListener,
    handler: H,
    tasks: TaskTracker,
    stop: CancellationToken,
) where
    H: Fn(Request<Incoming>, Reset) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let slot = Arc::clone(&slots).acquire_owned().await.expect("the semaphore is never closed");
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::debug!(%error, "sim: a connection was not accepted; waiting for the next one");
                    continue;
                }
            },
            () = stop.cancelled() => return,
        };
        let (handler, stop) = (handler.clone(), stop.clone());
        tasks.spawn(async move {
            connection(stream, handler, stop).await;
            drop(slot);
        });
    }
}

async fn connection<H, F, B>(stream: TcpStream, handler: H, stop: CancellationToken)
where
    H: Fn(Request<Incoming>, Reset) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "sim: TCP_NODELAY refused; answers may come later");
    }
    let reset = Reset(CancellationToken::new());
    let service = service_fn(|request| {
        let answer = handler(request, reset.clone());
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let mut http = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        ended = &mut http => if let Err(error) = ended {
            tracing::debug!(%error, "sim: a connection ended early");
        },
        () = stop.cancelled() => {}
        () = reset.0.cancelled() => {
            let stream = http.into_parts().io.into_inner();
            if let Err(error) = stream.set_zero_linger() {
                tracing::debug!(%error, "sim: no reset possible; the connection is closed instead");
            }
        }
    }
}
