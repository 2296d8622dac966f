//! One request, one response, through the host's door to the network.
//!
//! Only hosts that the operator granted can be reached. `{{secret:NAME}}` in a header value is
//! replaced by the host, for hosts that the secret is granted to: see [`secret`].
//!
//! ```
//! use sidenote_plugin::http::{self, Request};
//! # use sidenote_plugin::test::Host;
//! # let host = Host::new().respond(204, "").install();
//! let conversation = "a/b";
//! let url = format!("https://api.example.com/conversations/{}/notes/17", http::encode(conversation));
//! let response = Request::delete(url).bearer_secret("token").send()?.error_for_status()?;
//! assert_eq!(response.status, 204);
//! # assert!(host.requests()[0].url.ends_with("/conversations/a%2Fb/notes/17"));
//! # Ok::<(), sidenote_plugin::Failure>(())
//! ```

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::bindings::host::sidenote::plugin::http as wit;
use crate::{Failure, FailureKind, Sent, json};

pub use wit::{Error, ErrorKind, Response};

/// The placeholder of a secret.
///
/// ```
/// assert_eq!(sidenote_plugin::http::secret("token"), "{{secret:token}}");
/// ```
pub fn secret(name: &str) -> String {
    format!("{{{{secret:{name}}}}}")
}

/// A text as one segment of a path, or as a name or value of a query: everything but letters, digits,
/// `-`, `.`, `_` and `~` in percent-encoding. Use it for every id that goes into an address.
///
/// ```
/// assert_eq!(sidenote_plugin::http::encode("a/b?c=é"), "a%2Fb%3Fc%3D%C3%A9");
/// ```
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(byte.into());
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    // A segment of dots leads elsewhere, `%2E` too. Encoded twice it names something that isn't there.
    if matches!(&*encoded, "." | "..") { encoded.replace('.', "%252E") } else { encoded }
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

    /// A PATCH.
    pub fn patch(url: impl Into<String>) -> Self {
        Self::new("PATCH", url)
    }

    /// A DELETE.
    pub fn delete(url: impl Into<String>) -> Self {
        Self::new("DELETE", url)
    }

    /// A HEAD.
    pub fn head(url: impl Into<String>) -> Self {
        Self::new("HEAD", url)
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

    /// Adds `authorization: Basic` with a user and a secret as the password. The host puts the secret in
    /// and writes the pair in base64. Nothing in `user` may be a colon.
    ///
    /// Where the secret is the user, or both are secrets, write the pair yourself:
    /// `.header("authorization", "Basic {{secret:key}}:X")`.
    ///
    /// ```
    /// # use sidenote_plugin::{http::Request, test::Host};
    /// # let host = Host::new().respond(200, "").install();
    /// Request::get("https://api.example.com/me").basic_secret("ann@example.com/token", "api").send()?;
    /// # let header = ("authorization".to_owned(), "Basic ann@example.com/token:{{secret:api}}".to_owned());
    /// # assert_eq!(host.requests()[0].headers, [header]);
    /// # Ok::<(), sidenote_plugin::http::Error>(())
    /// ```
    pub fn basic_secret(self, user: &str, name: &str) -> Self {
        self.header("authorization", format!("Basic {user}:{}", secret(name)))
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

    /// Sets a body as HTML forms send it, and its content type.
    ///
    /// ```
    /// use sidenote_plugin::http::Request;
    /// let request = Request::post("https://api.example.com").form([("Body", "a b&c"), ("To", "x")]);
    /// assert_eq!(request.as_body(), b"Body=a%20b%26c&To=x");
    /// ```
    pub fn form<'a>(mut self, fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let pair = |(name, value)| format!("{}={}", encode(name), encode(value));
        self.0.body = fields.into_iter().map(pair).collect::<Vec<_>>().join("&").into_bytes();
        self.header("content-type", "application/x-www-form-urlencoded")
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

    /// The body as JSON, read as [`json::parse`] does. A body that doesn't fit, or was cut off, is a permanent
    /// failure: the platform answered, and asking again would double the note.
    ///
    /// A struct fails as a whole where one field has another type. Of a platform's answer read a
    /// [`serde_json::Value`], and of it what is needed: it may write things that its documentation doesn't have.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        let unreadable = |message| Failure::permanent("json", message).with_sent(Sent::Sent);
        if self.is_truncated() {
            let message = "the answer is larger than the plugin's max_response; raise it";
            return Err(unreadable(message.to_owned()));
        }
        let body = json::parse(&self.body)
            .map_err(|error| unreadable(format!("the answer isn't the JSON expected: {error}")))?;
        // Serde's text may quote what people wrote.
        serde_json::from_value(body)
            .map_err(|_| unreadable("the answer isn't the JSON expected".to_owned()))
    }

    /// A list that the body's JSON must have under these names, one in the other. As [`Response::json`], where it
    /// hasn't.
    ///
    /// ```
    /// # use sidenote_plugin::http::Response;
    /// # let answer = |body: &str| Response { status: 200, headers: Vec::new(), body: body.into() };
    /// let found = answer(r#"{"page": {"notes": [1, {"odd": true}]}}"#).list(&["page", "notes"])?;
    /// assert_eq!(found.len(), 2);
    /// assert!(answer(r#"{"page": {}}"#).list(&["page", "notes"]).is_err());
    /// # Ok::<(), sidenote_plugin::Failure>(())
    /// ```
    pub fn list(&self, names: &[&str]) -> Result<Vec<Value>, Failure> {
        let mut body: Value = self.json()?;
        let list = names.iter().try_fold(&mut body, |value, name| value.get_mut(*name));
        if let Some(Value::Array(list)) = list.map(Value::take) {
            return Ok(list);
        }
        let message = format!("the answer has no list `{}`", names.join("."));
        Err(Failure::permanent("json", message).with_sent(Sent::Sent))
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
    fn an_id_cannot_lead_to_another_address() {
        for (id, wanted) in [
            ("c-1_x.y~z", "c-1_x.y~z"),
            ("../admin", "..%2Fadmin"),
            ("..", "%252E%252E"),
            (".", "%252E"),
            ("...", "..."),
            ("a?b#c", "a%3Fb%23c"),
            ("%2F", "%252F"),
            ("", ""),
        ] {
            assert_eq!(encode(id), wanted);
        }
    }

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
