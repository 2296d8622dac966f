//! Requests to a platform, its answers, and its webhooks.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use serde_json::Value;
use sidenote::clock::Timestamp;

/// A request as it came in.
#[derive(Debug, Clone)]
pub struct Received {
    /// In upper case.
    pub method: String,
    /// Without the query; as it came, percent-encoded.
    pub path: String,
    /// Without the question mark; empty for none.
    pub query: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The raw bytes.
    pub body: Bytes,
    /// When it had been read.
    pub at: Timestamp,
}

impl Received {
    /// The value of a header that is there exactly once.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?.to_str().ok()?;
        values.next().is_none().then_some(value)
    }

    /// Whether the body is said to be JSON.
    pub fn is_json(&self) -> bool {
        let essence = self.header("content-type").map(|it| it.split(';').next().unwrap_or(it));
        essence.is_some_and(|it| it.trim().eq_ignore_ascii_case("application/json"))
    }

    /// The body as JSON.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// Method and path parts, for a `match`: `("POST", ["conversations", id, "reply"])`.
    pub fn route(&self) -> (&str, Vec<&str>) {
        (&self.method, self.path.trim_start_matches('/').split('/').collect())
    }

    /// The value of a field of the query, as it came.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    }
}

/// What a platform answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body; nothing where it is null.
    pub body: Value,
}

impl Answer {
    /// A JSON answer.
    pub fn json(status: u16, body: Value) -> Self {
        Self { status, headers: Vec::new(), body }
    }

    /// Adds a header.
    pub fn header(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let body =
            if self.body.is_null() { Body::empty() } else { Body::from(self.body.to_string()) };
        let mut response = Response::new(body);
        *response.status_mut() =
            StatusCode::from_u16(self.status).expect("a vendor answers with a status");
        let json = ("content-type", "application/json; charset=utf-8".to_owned());
        for (name, value) in self.headers.into_iter().chain([json]) {
            let value = HeaderValue::from_str(&value).expect("a vendor's headers are plain text");
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
        response
    }
}

/// A webhook, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// In upper case.
    pub method: &'static str,
    /// Names and values, the signature among them.
    pub headers: Vec<(String, String)>,
    /// The raw bytes.
    pub body: Vec<u8>,
}

impl Hook {
    /// A post of JSON.
    pub fn post(body: &Value) -> Self {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        Self { method: "POST", headers, body: body.to_string().into_bytes() }
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }
}
