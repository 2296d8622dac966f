//! A writer whose requests go through wasi:http, by wstd's client and its executor.

use shared::{Call, Failure, FailureKind, Guest, HEADERS, Note, Posted, Sent, failure};
use wstd::http::{Body, Client, Request};

struct Writer;

shared::export!(Writer with_types_in shared);

impl Guest for Writer {
    fn post_note(call: Call, note: Note) -> Result<Posted, Failure> {
        let url = shared::url()?;
        wstd::runtime::block_on(post(&url, shared::body(&call, &note)))
    }
}

async fn post(url: &str, body: Vec<u8>) -> Result<Posted, Failure> {
    let mut request = Request::post(url);
    for (name, value) in HEADERS {
        request = request.header(name, value);
    }
    let invalid = |error: &dyn std::fmt::Display| {
        failure(FailureKind::Invalid, "request", &error.to_string(), Sent::NotSent)
    };
    let request = request.body(Body::from(body)).map_err(|error| invalid(&error))?;
    let mut response = Client::new().send(request).await.map_err(|error| unsent(&error))?;
    let retry = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
    let (status, retry) = (response.status().as_u16(), retry.map(str::to_owned));
    // The status stands where the rest of the answer doesn't come.
    let body = response.body_mut().contents().await.unwrap_or_default();
    shared::outcome(status, retry.as_deref(), body)
}

fn unsent(error: &wstd::http::Error) -> Failure {
    use wstd::http::error::ErrorCode;
    let (kind, sent) = match error.downcast_ref::<ErrorCode>() {
        Some(ErrorCode::HttpRequestDenied | ErrorCode::HttpRequestUriInvalid) => {
            (FailureKind::Invalid, Sent::NotSent)
        }
        Some(ErrorCode::ConnectionRefused | ErrorCode::DnsTimeout | ErrorCode::DnsError(_)) => {
            (FailureKind::Transient, Sent::NotSent)
        }
        _ => (FailureKind::Transient, Sent::Unknown),
    };
    failure(kind, "http", &format!("{error:#}"), sent)
}
