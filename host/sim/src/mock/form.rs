//! What the mock answers when nothing is wrong: the form of one platform's answers.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::exchange::{MockExchange, told};
use super::{Body, whole};

/// The answers of a platform, the first that fits a request counts. Where none fits, it is 200 with
/// `{"id": "…"}`.
#[derive(Debug, Clone, Default)]
pub struct Form {
    rules: Vec<Rule>,
    /// Which of them were given.
    given: Vec<bool>,
}

/// One answer, and the requests that it is for.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    method: Option<String>,
    /// With `*` for any run of characters.
    path: Option<String>,
    #[serde(default = "ok")]
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: Value,
    /// What is to come of it; without it, the answer is what the platform usually says.
    expect: Option<MockExpectation>,
}

/// What a plugin is to make of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MockExpectation {
    /// How the call ends.
    pub outcome: MockOutcome,
    /// How long the host is to wait, in milliseconds, where that matters.
    pub retry_after_ms: Option<u64>,
}

/// How a call ends: a note is posted, or the kind of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "they are the words of the interface")]
pub enum MockOutcome {
    Posted,
    Transient,
    RateLimited,
    Auth,
    NotFound,
    Invalid,
    Permanent,
}

fn ok() -> u16 {
    200
}

/// Why a text isn't the form of a platform's answers.
#[derive(Debug, thiserror::Error)]
pub enum FormError {
    /// It isn't JSON of the right shape.
    #[error(
        "{0}; write a list such as [{{\"method\": \"POST\", \"path\": \"/notes/*\", \"status\": 200, \"body\": {{\"id\": \"{{id}}\"}}}}]"
    )]
    Shape(#[from] serde_json::Error),
    /// A status or a header can't be sent.
    #[error("answer {0}: the {1} can't be sent")]
    Unsendable(usize, &'static str),
}

/// An answer with its ids filled in.
#[derive(Debug, Clone)]
pub(super) struct Filled {
    pub(super) id: String,
    pub(super) number: u64,
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Form {
    /// Reads a JSON list of answers: `method` and `path` say which requests one is for (`*` for any run of
    /// characters, anything where left out), `status`, `headers` and `body` what is answered. A body that
    /// is a text is sent as it is, any other as JSON. In its texts `{id}` and `{number}` stand for a fresh
    /// id; a text that is `"{number}"` and nothing else becomes a number. One with `expect` is given to nobody but the
    /// note that it is tried out with.
    ///
    /// # Errors
    /// It isn't such a list, or an answer can't be sent.
    pub fn read(text: &str) -> Result<Self, FormError> {
        let rules: Vec<Rule> = serde_json::from_str(text)?;
        for (index, rule) in rules.iter().enumerate() {
            let place = index + 1;
            if !(200..600).contains(&rule.status) {
                return Err(FormError::Unsendable(place, "status"));
            }
            let sendable = |(name, value): (&String, &String)| {
                HeaderName::from_bytes(name.as_bytes()).is_ok()
                    && HeaderValue::from_str(value).is_ok()
            };
            if !rule.headers.iter().all(sendable) {
                return Err(FormError::Unsendable(place, "header"));
            }
        }
        let given = vec![false; rules.len()];
        Ok(Self { rules, given })
    }

    /// The answers that fitted no request so far, by their places from 1.
    pub(super) fn unused(&self) -> Vec<usize> {
        let places = self.given.iter().enumerate().filter(|(_, given)| !**given);
        places.map(|(index, _)| index + 1).collect()
    }

    /// The answers that something is expected of: their places from 1, their status, and what that is.
    pub fn expectations(&self) -> Vec<(usize, u16, MockExpectation)> {
        let rules = self.rules.iter().enumerate();
        let expected = rules.filter_map(|(index, rule)| {
            let expect = rule.expect.clone()?;
            Some((index + 1, rule.status, expect))
        });
        expected.collect()
    }

    /// Answers as usual, or, where it fits the request, by the answer of a place that something is expected of.
    pub(super) fn answer(
        &mut self,
        request: &MockExchange,
        count: u64,
        forced: Option<usize>,
    ) -> Filled {
        let ids = Ids { id: format!("mock{count}id"), number: 7_000_000 + count };
        let forced = forced
            .map(|place| place - 1)
            .filter(|place| self.rules.get(*place).is_some_and(|rule| rule.fits(request)));
        let usual =
            || self.rules.iter().position(|rule| rule.expect.is_none() && rule.fits(request));
        let place = forced.or_else(usual);
        let rule = place.map(|place| {
            self.given[place] = true;
            &self.rules[place]
        });
        let (status, mut headers, body) = match rule {
            Some(rule) => {
                let headers = rule.headers.iter();
                let headers =
                    headers.map(|(name, value)| (name.to_ascii_lowercase(), ids.text(value)));
                (rule.status, headers.collect::<Vec<_>>(), ids.fill(&rule.body))
            }
            None => (200, Vec::new(), json!({ "id": ids.id })),
        };
        let (kind, body) = match body {
            Value::Null => (None, String::new()),
            Value::String(text) => (Some("text/plain; charset=utf-8"), text),
            body @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                (Some("application/json"), body.to_string())
            }
        };
        if let Some(kind) = kind
            && !headers.iter().any(|(name, _)| name == "content-type")
        {
            headers.insert(0, ("content-type".to_owned(), kind.to_owned()));
        }
        Filled { id: ids.id, number: ids.number, status, headers, body }
    }
}

impl Rule {
    fn fits(&self, request: &MockExchange) -> bool {
        let method =
            self.method.as_ref().is_none_or(|method| method.eq_ignore_ascii_case(&request.method));
        let path = self.path.as_ref().is_none_or(|path| {
            let whole = if path.contains('?') { &request.target } else { request.path() };
            matches(path, whole)
        });
        method && path
    }
}

/// Whether a pattern with `*` is a text.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(text) = text.strip_prefix(first) else {
        return false;
    };
    // The rest may begin at any place, the end included.
    text.char_indices().map(|(at, _)| at).chain([text.len()]).any(|at| matches(rest, &text[at..]))
}

/// What stands for the placeholders of one answer.
struct Ids {
    id: String,
    number: u64,
}

impl Ids {
    fn text(&self, text: &str) -> String {
        text.replace("{id}", &self.id).replace("{number}", &self.number.to_string())
    }

    fn fill(&self, value: &Value) -> Value {
        match value {
            Value::String(text) if text == "{number}" => self.number.into(),
            Value::String(text) => self.text(text).into(),
            Value::Array(items) => items.iter().map(|item| self.fill(item)).collect(),
            Value::Object(fields) => {
                fields.iter().map(|(key, value)| (key.clone(), self.fill(value))).collect()
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }
}

impl Filled {
    /// The answer, for people.
    pub(super) fn told(&self) -> String {
        told(self.status, &self.headers, &self.body)
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let mut response = Response::new(whole(self.body));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        for (name, value) in &self.headers {
            // A form is checked when it is read; ids are letters and digits.
            if let (Ok(name), Ok(value)) =
                (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value))
            {
                response.headers_mut().append(name, value);
            }
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, target: &str) -> MockExchange {
        let request = http::Request::builder().method(method).uri(target).body(()).unwrap();
        MockExchange::of(&request.into_parts().0, bytes::Bytes::new())
    }

    #[test]
    fn the_first_answer_that_fits_a_request_counts() {
        let mut form = Form::read(
            r#"[
                {"method": "post", "path": "/c/*/parts", "body": {"part": {"id": "{number}", "at": ["n-{id}"]}}},
                {"path": "/c/*", "status": 404},
                {"path": "/text", "headers": {"X-Id": "{id}"}, "body": "said {id}"}
            ]"#,
        )
        .unwrap();
        let mut told = |method, target| form.answer(&request(method, target), 3, None).told();
        let json = "content-type: application/json";
        assert_eq!(
            told("POST", "/c/1/parts?x=y"),
            format!("200\n{json}\n\n{{\"part\":{{\"id\":7000003,\"at\":[\"n-mock3id\"]}}}}")
        );
        assert_eq!(told("GET", "/c/1/parts"), "404");
        assert_eq!(
            told("GET", "/text"),
            "200\ncontent-type: text/plain; charset=utf-8\nx-id: mock3id\n\nsaid mock3id"
        );
        assert_eq!(told("PUT", "/other"), format!("200\n{json}\n\n{{\"id\":\"mock3id\"}}"));
        assert_eq!(form.unused(), Vec::<usize>::new());
        assert_eq!(Form::read("[{}, {}]").unwrap().unused(), [1, 2]);
    }

    #[test]
    fn an_answer_that_something_is_expected_of_is_given_where_it_is_asked_for() {
        let mut form = Form::read(
            r#"[{"method": "POST", "status": 423, "headers": {"retry-after": "2"},
                "expect": {"outcome": "rate-limited", "retry_after_ms": 2000}}, {"body": "usual"}]"#,
        )
        .unwrap();
        let expected =
            MockExpectation { outcome: MockOutcome::RateLimited, retry_after_ms: Some(2000) };
        assert_eq!(form.expectations(), [(1, 423, expected)]);
        let status =
            |form: &mut Form, method, forced| form.answer(&request(method, "/"), 1, forced).status;
        assert_eq!(status(&mut form, "POST", None), 200);
        assert_eq!(form.unused(), [1]);
        assert_eq!(status(&mut form, "GET", Some(1)), 200, "it doesn't fit");
        assert_eq!(status(&mut form, "POST", Some(1)), 423);
        assert_eq!(form.unused(), Vec::<usize>::new());
    }

    #[test]
    fn a_star_stands_for_any_run_of_characters() {
        for (pattern, text, is) in [
            ("/a", "/a", true),
            ("/a", "/ab", false),
            ("*", "", true),
            ("/a*", "/a/b/c", true),
            ("/*/c", "/a/b/c", true),
            ("/*/d", "/a/b/c", false),
            ("*b*é*", "abcé", true),
            ("/a*a", "/a", false),
        ] {
            assert_eq!(matches(pattern, text), is, "{pattern} {text}");
        }
    }

    #[test]
    fn what_is_no_form_is_refused_with_an_example() {
        for (text, wanted) in [
            ("{}", "write a list such as [{\"method\""),
            (r#"[{"code": 200}]"#, "unknown field `code`"),
            (r#"[{}, {"status": 99}]"#, "answer 2: the status can't be sent"),
            (r#"[{"headers": {"a b": ""}}]"#, "answer 1: the header can't be sent"),
        ] {
            let error = Form::read(text).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
