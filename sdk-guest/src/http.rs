//! One request, one response, through the host's door to the network.
//!
//! Only hosts that the operator granted can be reached. `{{secret:NAME}}` in a header value is
//! replaced by the host, for hosts that the secret is granted to: see [`secret`].

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::host::sidenote::plugin::http as wit;
use crate::{Failure, FailureKind, Sent};

pub use wit::{Error, ErrorKind, Response};

/// The placeholder of a secret.
///
/// ```
/// assert_eq!(sidenote_plugin::http::secret("token"), "{{secret:token}}");
/// ```
pub fn secret(name: &str) -> String {
    format!("{{{{secret:{name}}}}}")
}

/// A request to be sent once.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a request does nothing until it is sent"]
pub struct Request(wit::Request);

impl Request {
    /// A request with a method in upper case and a whole address.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self(wit::Request {
            method: method.into(),
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
            secrets_in_body: false,
            timeout_ms: None,
        })
    }

    /// A GET.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// A POST.
    pub fn post(url: impl Into<String>) -> Self {
        Self::new("POST", url)
    }

    /// A PUT.
    pub fn put(url: impl Into<String>) -> Self {
        Self::new("PUT", url)
    }

    /// Adds a header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.headers.push((name.into(), value.into()));
        self
    }

    /// Adds `authorization: Bearer` with a secret.
    pub fn bearer_secret(self, name: &str) -> Self {
        self.header("authorization", format!("Bearer {}", secret(name)))
    }

    /// Sets the body as it is.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.0.body = body.into();
        self
    }

    /// Sets a JSON body and its content type. Fails where the value has no JSON form.
    pub fn json<T: Serialize + ?Sized>(mut self, value: &T) -> Result<Self, Failure> {
        self.0.body = serde_json::to_vec(value).map_err(|error| {
            Failure::invalid("json", error.to_string()).with_sent(Sent::NotSent)
        })?;
        Ok(self.header("content-type", "application/json"))
    }

    /// Has placeholders in the body replaced too. Never for a body that holds text which others wrote.
    pub fn secrets_in_body(mut self) -> Self {
        self.0.secrets_in_body = true;
        self
    }

    /// How long the exchange may take; the call's deadline holds all the same.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.0.timeout_ms = Some(u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX));
        self
    }

    /// The body as it stands, for signing it.
    pub fn as_body(&self) -> &[u8] {
        &self.0.body
    }

    /// Sends the request and waits for the whole response, whatever its status. A body that is larger
    /// than `max_response` ends there: see [`Response::is_truncated`]. The error becomes a [`Failure`]
    /// with `?`.
    pub fn send(self) -> Result<Response, Error> {
        send(self.0)
    }
}

impl Response {
    /// The first value of a header, whatever the case of its name.
    pub fn header(&self, name: &str) -> Option<&str> {
        find_header(&self.headers, name)
    }

    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether the body was larger than the plugin's `max_response` and ends there. The platform took
    /// the request all the same.
    pub fn is_truncated(&self) -> bool {
        self.header("x-sidenote-truncated").is_some()
    }

    /// The response where its status is 2xx, else [`Failure::from_status`].
    pub fn error_for_status(self) -> Result<Self, Failure> {
        if self.is_success() {
            Ok(self)
        } else {
            Err(Failure::from_status(self.status, &self.headers))
        }
    }

    /// The body as JSON. A body that doesn't fit, or was cut off, is a permanent failure: the platform
    /// answered, and asking again would double the note.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        if self.is_truncated() {
            let message = "the answer is larger than the plugin's max_response; raise it";
            return Err(Failure::permanent("json", message).with_sent(Sent::Sent));
        }
        serde_json::from_slice(&self.body).map_err(|error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            Failure::permanent("json", format!("the answer isn't the JSON expected, at {place}"))
                .with_sent(Sent::Sent)
        })
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (kind, code) = match error.kind {
            // The operator can mend it: the note waits for that.
            ErrorKind::Denied => (FailureKind::Auth, "http-denied"),
            ErrorKind::Secret => (FailureKind::Auth, "http-secret"),
            ErrorKind::Invalid => (FailureKind::Invalid, "http-invalid"),
            ErrorKind::Connect => (FailureKind::Transient, "http-connect"),
            ErrorKind::Timeout => (FailureKind::Transient, "http-timeout"),
            ErrorKind::TooLarge => (FailureKind::Permanent, "http-too-large"),
            ErrorKind::Io => (FailureKind::Transient, "http-io"),
        };
        Failure::new(kind, code, error.message).with_sent(error.sent)
    }
}

/// The first value of a header in a list, whatever the case of its name.
pub(crate) fn find_header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

#[cfg(target_arch = "wasm32")]
fn send(request: wit::Request) -> Result<Response, Error> {
    wit::send(&request)
}

#[cfg(not(target_arch = "wasm32"))]
fn send(request: wit::Request) -> Result<Response, Error> {
    crate::test::send(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_was_cut_off_is_a_success_whose_json_is_not_read() {
        let mut answer = Response { status: 200, headers: Vec::new(), body: b"17".to_vec() };
        assert_eq!(answer.json::<u32>(), Ok(17));
        answer.headers.push(("x-sidenote-truncated".to_owned(), "true".to_owned()));
        assert!(answer.is_success() && answer.is_truncated());
        let failure = answer.json::<u32>().unwrap_err();
        assert_eq!((failure.kind, failure.sent), (FailureKind::Permanent, Sent::Sent));
        assert!(failure.message.contains("max_response"), "{}", failure.message);
    }
}
