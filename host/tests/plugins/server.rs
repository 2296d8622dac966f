//! A server on loopback that remembers what it was sent.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, Response};
use tokio::task::JoinSet;

/// One request as it arrived.
#[derive(Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) peer: SocketAddr,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// A running server; it ends when it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    _tasks: JoinSet<()>,
}

impl Server {
    /// Starts a server. What it answers goes by the path:
    ///
    /// | path | answer |
    /// |---|---|
    /// | `/status/N` | status N, `retry-after: 7` |
    /// | `/echo` | the authorization header and the body, in the body and in `x-echo` |
    /// | `/redirect` | 302 to `/elsewhere` |
    /// | `/redirect/N?URL` | status N, to that address |
    /// | `/large/N` | a body of N bytes |
    /// | `/truncated` | five bytes, with the host's header of a body that was cut off |
    /// | `/wait/N` | 200, `{"id":"n1"}`, after N milliseconds |
    /// | `/hang` | none |
    /// | `/drip` | 200 at once, then a byte now and then |
    /// | else | 200, `{"id":"n1"}` |
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let remember = seen.clone();
        let app = Router::new().fallback(
            move |axum::extract::ConnectInfo(peer): axum::extract::ConnectInfo<SocketAddr>,
                  request: Request<Body>| {
                let remember = remember.clone();
                async move { answer(&remember, peer, request).await }
            },
        );
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
                .await
                .unwrap();
        });
        Self { address, seen, _tasks: tasks }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// As it is written in `hosts`.
    pub(crate) fn grant(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn answer(
    remember: &Mutex<Vec<Seen>>,
    peer: SocketAddr,
    request: Request<Body>,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 8 << 20).await.unwrap();
    let (path, headers) = (head.uri.path().to_owned(), head.headers);
    let query = head.uri.query().unwrap_or_default();
    let authorization = headers.get("authorization").cloned();
    remember.lock().unwrap().push(Seen {
        method: head.method.to_string(),
        path: path.clone(),
        headers,
        body: body.clone(),
        peer,
    });
    let answer = Response::builder();
    match path.trim_start_matches('/').split_once('/').unwrap_or((path.trim_start_matches('/'), ""))
    {
        ("status", code) => answer
            .status(code.parse::<u16>().unwrap())
            .header("retry-after", "7")
            .body(Body::empty()),
        ("echo", _) => {
            let authorization = authorization.as_ref().map_or("", |value| value.to_str().unwrap());
            let text = format!("[{authorization}] {}", String::from_utf8_lossy(&body));
            answer.header("x-echo", &text).body(Body::from(text))
        }
        ("redirect", code) if !code.is_empty() => answer
            .status(code.parse::<u16>().unwrap())
            .header("location", query)
            .body(Body::empty()),
        ("redirect", _) => answer.status(302).header("location", "/elsewhere").body(Body::empty()),
        ("large", bytes) => answer.body(Body::from(vec![b'x'; bytes.parse().unwrap()])),
        ("truncated", _) => answer.header("x-sidenote-truncated", "true").body(Body::from("whole")),
        ("wait", millis) => {
            tokio::time::sleep(Duration::from_millis(millis.parse().unwrap())).await;
            answer.body(Body::from(r#"{"id":"n1"}"#))
        }
        ("drip", _) => {
            let drops = futures_util::stream::unfold((), |()| async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                Some((Ok::<_, std::io::Error>(Bytes::from_static(b".")), ()))
            });
            answer.body(Body::from_stream(drops))
        }
        ("hang", _) => {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            answer.body(Body::empty())
        }
        _ => answer.body(Body::from(r#"{"id":"n1"}"#)),
    }
    .unwrap()
}
