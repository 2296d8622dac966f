//! One JSON post over loopback, on a connection of its own.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{HeaderMap, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// How long a post may take from connecting to the last byte of the answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer read, in bytes.
const MAX_ANSWER: usize = 1 << 20;

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// The address isn't `http://HOST:PORT/…`.
    #[error("sim: {0:?} can't be posted to: give an address like http://127.0.0.1:8787/path")]
    Address(String),
    /// A header can't be sent.
    #[error("sim: a header can't be sent")]
    Header(#[from] http::Error),
    /// Nothing listens there.
    #[error("sim: no connection")]
    Connect(#[source] std::io::Error),
    /// The connection broke before the answer was complete.
    #[error("sim: the connection broke before the answer was complete")]
    Broken(#[source] hyper::Error),
    /// The answer broke off or is too large.
    #[error("sim: the answer can't be read")]
    Answer(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It took too long.
    #[error("sim: no answer within {} s", TIMEOUT.as_secs())]
    Timeout,
}

/// Posts `body` as JSON to an `http` address.
///
/// # Errors
/// When no complete answer came; any status is an answer.
pub async fn post_json(
    url: &str,
    headers: &[(&str, &str)],
    body: Bytes,
) -> Result<Answer, PostError> {
    tokio::time::timeout(TIMEOUT, send(url, headers, body)).await.map_err(|_| PostError::Timeout)?
}

async fn send(url: &str, headers: &[(&str, &str)], body: Bytes) -> Result<Answer, PostError> {
    let address = || PostError::Address(url.to_owned());
    let uri: Uri = url.parse().map_err(|_| address())?;
    let authority =
        uri.authority().filter(|_| uri.scheme_str() == Some("http")).ok_or_else(address)?;
    let mut request = Request::post(uri.path_and_query().map_or("/", |path| path.as_str()))
        .header(http::header::HOST, authority.as_str())
        .header(http::header::CONTENT_TYPE, "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(body))?;

    let stream = TcpStream::connect((authority.host(), authority.port_u16().unwrap_or(80)))
        .await
        .map_err(PostError::Connect)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(PostError::Broken)?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(PostError::Broken)?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(PostError::Answer)?;
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body: body.to_bytes() })
    };
    tokio::pin!(exchange, connection);
    let mut open = true;
    loop {
        tokio::select! {
            answer = &mut exchange => return answer,
            ended = &mut connection, if open => {
                open = false;
                if let Err(error) = ended {
                    tracing::debug!(%error, "sim: the connection ended during a post");
                }
            }
        }
    }
}

impl Answer {
    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        StatusCode::from_u16(self.status).is_ok_and(|status| status.is_success())
    }
}
