//! `/sources/{name}/…`: what tools, pages and programs tell of what people do, to the plugin that reads it.
//!
//! Clients of these tools can't be talked to: a 4xx makes them throw away what they have, no answer makes some stand still.
//! So what isn't the sender's fault is answered 503, and everything within a time.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, COOKIE, HeaderName};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};

use super::answer::{Refused, guarded};
use super::body;
use super::state::ApiState;
use crate::config::PluginSource;
use crate::plugin::{SourceAnswer, SourceRequest};
use crate::sources::cors::{self, Sender};
use crate::sources::{Refusal, Reply, Request as Sent, TooLarge, Unpacked, unpack};

/// Bodies from here on are unpacked on a thread of their own, in bytes.
const LARGE: usize = 32 << 10;

/// What is answered where a body is too large.
const SEND_LESS: &str = "send less, or raise `max_body` in [plugins.NAME.source]";

/// Names of headers that a plugin has no say in: those of the connection, of cookies, and those that are the host's.
const OURS: [&str; 14] = [
    "connection",
    "content-encoding",
    "content-length",
    "date",
    "keep-alive",
    "proxy-authenticate",
    "server",
    "set-cookie",
    "strict-transport-security",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
];

/// Hands a request to its source. Answers after the commit.
pub(super) async fn source(State(api): State<ApiState>, request: Request) -> Response {
    let (name, path) = parts_of(request.uri().path());
    let (name, path) = (name.to_owned(), path.to_owned());
    let Some(rules) = api.backend.source_rules(&name) else {
        return refused(Refusal::NoSource).into_response();
    };
    let (head, body) = request.into_parts();
    let sender = Sender::of(&head.headers, &rules.origins);
    let answer = match sender {
        Sender::Stranger => Err(stranger()),
        Sender::Program | Sender::Page(_) if cors::is_preflight(&head.method, &head.headers) => {
            Ok(preflight(&head.headers))
        }
        Sender::Program | Sender::Page(_) => receive(&api, (name, path), &rules, head, body).await,
    };
    let mut answer = answer.unwrap_or_else(IntoResponse::into_response);
    sender.mark(answer.headers_mut());
    answer
}

/// The name in an address, and what is below it.
fn parts_of(path: &str) -> (&str, &str) {
    let below = path.strip_prefix("/sources/").unwrap_or_default();
    below.find('/').map_or((below, "/"), |at| below.split_at(at))
}

fn preflight(asked: &HeaderMap) -> Response {
    let mut answer = guarded(Response::new(Body::empty()));
    *answer.status_mut() = StatusCode::NO_CONTENT;
    cors::allow(asked, answer.headers_mut());
    answer
}

async fn receive(
    api: &ApiState,
    (name, path): (String, String),
    rules: &PluginSource,
    head: Parts,
    body: Body,
) -> Result<Response, Refused> {
    if let Some(refusal) = api.backend.refuses_source(&name) {
        return Err(refused(refusal));
    }
    let received_at = api.backend.now();
    let (method, query) =
        (head.method.to_string(), head.uri.query().unwrap_or_default().to_owned());
    let headers = headers(&head.headers);
    let most = rules.max_body_bytes;
    let body = body::read_within(Request::from_parts(head, body), most, SEND_LESS).await?;
    let bytes = body.len();
    let body = unpacked(body, most).await?;
    let request = SourceRequest { method, path, query, headers, body, received_at };
    let sent = Sent { source: name.as_str().into(), request, bytes };
    match api.within_deadline(api.backend.receive(sent)).await? {
        Reply::Answer(answer) => Ok(response(answer)),
        Reply::Refused(refusal) => Err(refused(refusal)),
    }
}

/// What a plugin is told of a head: all but cookies, which are of no concern to anybody here.
fn headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let told = headers.iter().filter(|(name, _)| *name != COOKIE);
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    told.map(|(name, value)| (name.to_string(), text(value))).collect()
}

async fn unpacked(body: Bytes, most: usize) -> Result<Bytes, Refused> {
    let unpacked = match body.len() < LARGE {
        true => unpack(body, most),
        false => tokio::task::spawn_blocking(move || unpack(body, most))
            .await
            .unwrap_or(Ok(Unpacked::Broken)),
    };
    match unpacked {
        Ok(Unpacked::Whole(body)) => Ok(body),
        Ok(Unpacked::Broken) => Err(Refused::new(
            StatusCode::BAD_REQUEST,
            "malformed",
            "the body begins as one packed with gzip, and can't be unpacked",
            "send it whole",
        )),
        Err(TooLarge) => Err(body::too_large(most, SEND_LESS)),
    }
}

/// The plugin's answer, as far as it is the plugin's to say.
fn response(answer: SourceAnswer) -> Response {
    let SourceAnswer { status, headers, body } = answer;
    let mut response = guarded(Response::new(Body::from(body)));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes());
        let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(&value)) else { continue };
        let is_ours = OURS.contains(&name.as_str()) || name.as_str().starts_with("access-control-");
        if !is_ours {
            response.headers_mut().insert(name, value);
        }
    }
    let headers = response.headers_mut();
    // What a browser would guess at.
    headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/octet-stream"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn stranger() -> Refused {
    Refused::new(
        StatusCode::FORBIDDEN,
        "web_page",
        "pages of this origin may not send here",
        "add the page's origin to `origins` in [plugins.NAME.source], for example \"https://app.example.com\"",
    )
}

fn refused(refusal: Refusal) -> Refused {
    match refusal {
        Refusal::NoSource => Refused::new(
            StatusCode::NOT_FOUND,
            "no_source",
            "no plugin of this name is a source",
            "the address is /sources/NAME with the NAME of [plugins.NAME.source] in the configuration",
        ),
        Refusal::NotFound => Refused::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "the source has nothing at this path",
            "see the plugin's page for its paths",
        ),
        Refusal::Method => Refused::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "the source doesn't take this method at this path",
            "see the plugin's page for its paths",
        ),
        Refusal::Unauthorized => Refused::unauthorized(
            "the write key is missing, or it isn't known",
            "send a key of [plugins.NAME.source.keys], for example as `Authorization: Bearer KEY`",
        ),
        Refusal::Malformed(message) => Refused::new(
            StatusCode::BAD_REQUEST,
            "malformed",
            message,
            "see the plugin's page for what it reads",
        ),
        Refusal::Unavailable { retry_after } => Refused::unavailable(
            "unavailable",
            "nothing can be accepted at the moment",
            retry_after,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_name_and_a_path() {
        assert_eq!(parts_of("/sources/events"), ("events", "/"));
        assert_eq!(parts_of("/sources/events/"), ("events", "/"));
        assert_eq!(parts_of("/sources/ph/i/v0/e/%2F"), ("ph", "/i/v0/e/%2F"));
    }

    #[test]
    fn a_plugin_says_nothing_of_the_connection_nor_of_cookies() {
        let headers = [
            ("Content-Type", "text/html"),
            ("set-cookie", "a=b"),
            ("transfer-encoding", "chunked"),
            ("access-control-allow-origin", "*"),
            ("location", "https://cdn.example/array.js"),
            ("bad name", "x"),
            ("x-odd", "a\nb"),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let answer = response(SourceAnswer { status: 302, headers, body: Bytes::new() });
        let names: Vec<_> = answer.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["cache-control", "x-content-type-options", "content-type", "location"]);
        assert_eq!(answer.status(), 302);
    }
}
