//! The types of [`Webhook`](crate::Webhook): requests in, events out, and what it takes to tell a genuine
//! request from a forged one.
//!
//! The signature comes first: nothing that an unverified request says deserves an answer of its own. A
//! repeat of a request that was taken is the host's to recognise: whatever [`Hmac::verify`] accepted is
//! remembered there.
//!
//! ```
//! use sidenote_plugin::crypto::{Encoding, Hash};
//! use sidenote_plugin::webhook::{Event, Hmac, Rejection, Request, Turn, check_age};
//!
//! const SIGNATURE: Hmac =
//!     Hmac { secret: "incoming", hash: Hash::Sha256, encoding: Encoding::Hex };
//!
//! fn receive(request: Request) -> Result<Vec<Event>, Rejection> {
//!     let timestamp = request.required_header("x-bot-timestamp")?;
//!     let signature = request.required_header("x-bot-signature")?;
//!     let signed = [timestamp.as_bytes(), b".", &request.body].concat();
//!     SIGNATURE.verify(&signed, signature)?;
//!     check_age(timestamp.parse().unwrap_or(0), 300)?;
//!     #[derive(serde::Deserialize)]
//!     struct Body {
//!         conversation: String,
//!     }
//!     let body: Body = request.json()?;
//!     Ok(vec![Event::Opened(Turn::new(body.conversation))])
//! }
//! # use sidenote_plugin::{crypto, test};
//! # let host = test::Host::new().at(1_700_000_000).secret("incoming", "k");
//! # let host = host.install();
//! # let signature = crypto::hmac_sign(
//! #     "incoming", Hash::Sha256, Encoding::Hex, br#"1700000000.{"conversation":"c-1"}"#,
//! # ).unwrap();
//! # let headers = [("x-bot-timestamp", "1700000000"), ("x-bot-signature", &*signature)];
//! # let request = test::webhook("POST", &headers, br#"{"conversation":"c-1"}"#);
//! # assert_eq!(receive(request.clone()), Ok(vec![Event::Opened(Turn::new("c-1"))]));
//! # host.at(1_700_000_301);
//! # assert_eq!(receive(request).unwrap_err().code, "timestamp");
//! ```

use crate::clock;
use crate::crypto::{self, Encoding, Hash};

pub use crate::bindings::webhook::exports::sidenote::plugin::webhook::{
    Answer, Event, Rejection, Request, Turn,
};

impl Request {
    /// The first value of a header, whatever the case of its name.
    pub fn header(&self, name: &str) -> Option<&str> {
        crate::http::find_header(&self.headers, name)
    }

    /// The value of a header, or `None` where it isn't there. Two values are refused with 401: whoever
    /// reads the first and whoever reads the last would see two requests.
    pub fn single_header(&self, name: &str) -> Result<Option<&str>, Rejection> {
        let mut values =
            self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|it| &*it.1);
        let value = values.next();
        if values.next().is_some() {
            return Err(Rejection::unverified(format!("the header {name} is there twice")));
        }
        Ok(value)
    }

    /// As [`Request::single_header`], of a header that must be there: 401 where it isn't.
    pub fn required_header(&self, name: &str) -> Result<&str, Rejection> {
        self.single_header(name)?
            .ok_or_else(|| Rejection::unverified(format!("the header {name} is missing")))
    }

    /// The body as JSON; a body that doesn't fit is rejected with 400, code `body`.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, Rejection> {
        serde_json::from_slice(&self.body).map_err(|error| {
            // Serde's text may quote what people wrote, so only the place is told.
            let place = format!("line {}, column {}", error.line(), error.column());
            Rejection::new(400, "body", format!("the body isn't the JSON expected, at {place}"))
        })
    }
}

impl Turn {
    /// A turn of a conversation, with nothing said about whose it is.
    pub fn new(conversation_id: impl Into<String>) -> Self {
        Self {
            conversation_id: conversation_id.into(),
            session_id: None,
            external_user_id: None,
            email: None,
            product_id: None,
            text: None,
            extras: Vec::new(),
        }
    }
}

impl Answer {
    /// Status 200 with a plain text: what most challenges want back.
    pub fn text(body: impl Into<String>) -> Self {
        Self { status: 200, content_type: "text/plain".to_owned(), body: body.into().into_bytes() }
    }

    /// Status 200 with a JSON text.
    pub fn json(body: &serde_json::Value) -> Self {
        let body = body.to_string().into_bytes();
        Self { status: 200, content_type: "application/json".to_owned(), body }
    }
}

impl Rejection {
    /// A rejection with a status of 400 to 599, a short code, and a message for the operator.
    pub fn new(status: u16, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status, code: code.into(), message: message.into() }
    }

    /// 401, code `signature`: the request can't be verified.
    pub fn unverified(message: impl Into<String>) -> Self {
        Self::new(401, "signature", message)
    }
}

/// How a platform signs: by the name of a secret, which the operator sets and the plugin never sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hmac {
    /// The secret's name, as in `[plugins.NAME.secrets.…]`.
    pub secret: &'static str,
    /// The hash function.
    pub hash: Hash,
    /// How the signature is written.
    pub encoding: Encoding,
}

impl Hmac {
    /// Checks a signature over data in constant time. 401, code `signature`, where it doesn't fit; 503,
    /// code `secret`, where the operator set no secret of this name: without one nothing is taken.
    pub fn verify(&self, data: &[u8], signature: &str) -> Result<(), Rejection> {
        let secret = self.secret;
        match crypto::hmac_verify(secret, self.hash, self.encoding, data, signature) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Rejection::unverified(format!(
                "the signature doesn't fit the body and the secret `{secret}`"
            ))),
            Err(missing) => Err(Rejection::new(503, "secret", missing)),
        }
    }
}

/// Checks that a time, in seconds since the Unix epoch, is at most `window` seconds from this host's
/// clock, either way: 401, code `timestamp`, where it isn't. Only a time that was signed says anything.
pub fn check_age(timestamp: u64, window: u64) -> Result<(), Rejection> {
    if timestamp.abs_diff(clock::now()) <= window {
        return Ok(());
    }
    let message = format!("the timestamp is more than {window} seconds from this host's clock");
    Err(Rejection::new(401, "timestamp", message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::{Host, webhook};

    const SCHEME: Hmac = Hmac { secret: "incoming", hash: Hash::Sha1, encoding: Encoding::Base64 };

    fn refused<T: std::fmt::Debug>(outcome: Result<T, Rejection>) -> (u16, String) {
        let rejection = outcome.unwrap_err();
        (rejection.status, rejection.code)
    }

    #[test]
    fn a_header_that_is_missing_or_twice_is_refused() {
        let request = webhook("POST", &[("x-one", "1"), ("X-Two", "a"), ("x-two", "a")], "");
        assert_eq!(request.single_header("X-ONE"), Ok(Some("1")));
        assert_eq!(request.single_header("x-none"), Ok(None));
        assert_eq!(request.required_header("x-one"), Ok("1"));
        let unverified = (401, "signature".to_owned());
        assert_eq!(refused(request.single_header("x-two")), unverified);
        assert_eq!(refused(request.required_header("x-two")), unverified);
        assert_eq!(refused(request.required_header("x-none")), unverified);
    }

    #[test]
    fn a_signature_fits_is_refused_or_has_no_secret_to_fit() {
        Host::new().secret("incoming", "k").install();
        let signature = crypto::hmac_sign("incoming", SCHEME.hash, SCHEME.encoding, b"data");
        let signature = signature.unwrap();
        assert_eq!(SCHEME.verify(b"data", &signature), Ok(()));
        assert_eq!(refused(SCHEME.verify(b"dat", &signature)), (401, "signature".to_owned()));
        assert_eq!(refused(SCHEME.verify(b"data", "")), (401, "signature".to_owned()));
        for none in [Host::new(), Host::new().secret("incoming", "")] {
            none.install();
            assert_eq!(refused(SCHEME.verify(b"data", &signature)), (503, "secret".to_owned()));
        }
    }

    #[test]
    fn a_time_is_taken_within_its_window_either_way() {
        Host::new().at(1000).install();
        for near in [700, 1000, 1300] {
            assert_eq!(check_age(near, 300), Ok(()), "{near}");
        }
        for far in [0, 699, 1301, u64::MAX] {
            assert_eq!(refused(check_age(far, 300)), (401, "timestamp".to_owned()), "{far}");
        }
    }
}
