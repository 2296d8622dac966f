//! One request to the mock, and what it answered.

use bytes::Bytes;
use http::request::Parts;

/// So much of an answer's body is told, in characters.
const SHOWN_ANSWER: usize = 500;

/// One request, and what was answered.
#[derive(Clone, PartialEq, Eq)]
pub struct MockExchange {
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names in lower case and values, in the order received; what isn't text is replaced.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
    /// The id that an answer by the form would have given out.
    pub id: String,
    /// The same as a number.
    pub number: u64,
    /// What was answered, for people: status, headers and body, or what happened instead.
    pub answer: String,
}

impl MockExchange {
    pub(super) fn of(head: &Parts, body: Bytes) -> Self {
        let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        Self {
            method: head.method.to_string(),
            target: head.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned(),
            headers: head.headers.iter().map(header).collect(),
            body,
            id: String::new(),
            number: 0,
            answer: String::new(),
        }
    }

    /// The path without the query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// Whether the address or the body holds a text of plain letters and digits, which looks the same in
    /// every form that a body may have.
    pub fn carries(&self, word: &str) -> bool {
        self.target.contains(word) || memchr::memmem::find(&self.body, word.as_bytes()).is_some()
    }
}

/// An answer, for people.
pub(super) fn told(status: u16, headers: &[(String, String)], body: &str) -> String {
    let mut text = status.to_string();
    for (name, value) in headers {
        text.push_str(&format!("\n{name}: {value}"));
    }
    let shown: String = body.chars().take(SHOWN_ANSWER).collect();
    if !shown.is_empty() {
        text.push_str("\n\n");
        text.push_str(&shown);
    }
    text
}

impl std::fmt::Debug for MockExchange {
    /// Headers and body are left out: they hold secrets and people's words.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MockExchange")
            .field("method", &self.method)
            .field("headers", &self.headers.len())
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}
