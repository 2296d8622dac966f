//! The types of [`Webhook`](crate::Webhook): requests in, events out, and what it takes to tell a genuine
//! request from a forged one.
//!
//! The signature comes first: nothing that an unverified request says deserves an answer of its own. A
//! repeat of a request that was accepted is the host's to recognise: whatever [`Hmac::verify`] accepted is
//! remembered there.
//!
//! ```
//! use sidenote_plugin::crypto::{Encoding, Hash};
//! use sidenote_plugin::json;
//! use sidenote_plugin::webhook::{Event, Hmac, Identity, Rejection, Request, Turn, check_age};
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
//!     let body = request.value()?;
//!     let conversation = json::id(&body["conversation"])
//!         .ok_or_else(|| Rejection::new(400, "body", "`conversation` is missing"))?;
//!     let turn = Turn { email: json::id(&body["email"]), ..Turn::new(conversation) };
//!     // The bot knows its people by their sign-in, and signs.
//!     Ok(vec![Event::Opened(turn.vouched([Identity::Email]))])
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

use std::cell::RefCell;

use serde_json::Value;

use crate::crypto::{self, Encoding, Hash};
use crate::{Failure, FailureKind, Outlook, clock, config, json, log};

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

    /// The body as JSON, read as [`json::parse`] does: what is needed of it is looked up by name, and nothing else
    /// in it can make it unreadable. What isn't JSON, or no object, is rejected with 400, code `body`.
    pub fn value(&self) -> Result<Value, Rejection> {
        let unreadable = |message| Rejection::new(400, "body", message);
        let body = json::parse(&self.body)
            .map_err(|error| unreadable(format!("the body isn't the JSON expected: {error}")))?;
        if body.is_object() {
            return Ok(body);
        }
        Err(unreadable("the body isn't a JSON object".to_owned()))
    }

    /// As [`Request::value`], as a struct: a field of another type makes the body unreadable, 400 with the code
    /// `body`. Ids are best read as [`json::Id`].
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, Rejection> {
        // Serde's text may quote what people wrote.
        let unfit = |_| Rejection::new(400, "body", "the body isn't the JSON object expected");
        serde_json::from_value(self.value()?).map_err(unfit)
    }
}

/// What tells whose a conversation is: a field of a [`Turn`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Identity {
    /// `session_id`.
    SessionId,
    /// `external_user_id`.
    ExternalUserId,
    /// `email`.
    Email,
}

impl Identity {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::SessionId, Self::ExternalUserId, Self::Email];

    /// How the host calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::SessionId => "session-id",
            Self::ExternalUserId => "external-user-id",
            Self::Email => "email",
        }
    }

    fn is_in(self, turn: &Turn) -> bool {
        match self {
            Self::SessionId => turn.session_id.is_some(),
            Self::ExternalUserId => turn.external_user_id.is_some(),
            Self::Email => turn.email.is_some(),
        }
    }
}

/// The key of a turn's extras that names what is vouched for.
const VERIFIED: &str = "verified";
/// The key that says who is behind it: `person` where it isn't there, `agent` or `bot`.
const AUTHOR: &str = "author";
/// The key that says what happened: `message` where it isn't there, `typing`, `closed`, `reopened` or `reaction`.
const HAPPENED: &str = "happened";
/// The key with the id of the quick reply that was clicked.
const OPTION_ID: &str = "option-id";
/// The key with what the platform calls the message.
const MESSAGE_ID: &str = "message-id";

/// A turn is a person's message unless it says otherwise. Only that links a conversation and can be answered: say of
/// everything else what it is, and of nobody but the person whose it is.
///
/// ```
/// use sidenote_plugin::webhook::Turn;
/// let clicked = Turn::new("c-1").clicked("yes").with_message_id(Some("m-7".to_owned()));
/// assert_eq!(clicked.extras, [
///     ("option-id".to_owned(), "yes".to_owned()),
///     ("message-id".to_owned(), "m-7".to_owned()),
/// ]);
/// assert_eq!(Turn::new("c-1").by_agent().closed().extras, [
///     ("author".to_owned(), "agent".to_owned()),
///     ("happened".to_owned(), "closed".to_owned()),
/// ]);
/// ```
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

    /// Says that a human agent of support is behind it. Then nobody else is named by it: leave the person's fields
    /// out.
    pub fn by_agent(self) -> Self {
        self.saying(AUTHOR, "agent")
    }

    /// Says that an automation is behind it, or this plugin itself. A platform that tells of what we posted must
    /// never have it look like an agent's or a person's.
    pub fn by_bot(self) -> Self {
        self.saying(AUTHOR, "bot")
    }

    /// Says that somebody is writing at this moment.
    pub fn typing(self) -> Self {
        self.saying(HAPPENED, "typing")
    }

    /// Says that the conversation was closed.
    pub fn closed(self) -> Self {
        self.saying(HAPPENED, "closed")
    }

    /// Says that the conversation was opened again.
    pub fn reopened(self) -> Self {
        self.saying(HAPPENED, "reopened")
    }

    /// Says that somebody reacted to a message.
    pub fn reacted(self) -> Self {
        self.saying(HAPPENED, "reaction")
    }

    /// Says which quick reply was clicked: its id, as the offer had it. Its label is the turn's text.
    pub fn clicked(self, option_id: impl Into<String>) -> Self {
        self.saying(OPTION_ID, option_id)
    }

    /// Says what the platform calls the message, where it is known: the same whenever the platform tells of it. One
    /// message is answered once.
    pub fn with_message_id(self, id: Option<String>) -> Self {
        match id {
            Some(id) => self.saying(MESSAGE_ID, id),
            None => self,
        }
    }

    /// Puts a key in place of what it said before; an empty text says nothing.
    fn saying(mut self, key: &str, value: impl Into<String>) -> Self {
        self.extras.retain(|(known, _)| known != key);
        let value = value.into();
        if !value.is_empty() {
            self.extras.push((key.to_owned(), value));
        }
        self
    }

    /// Says for which of its fields the platform vouches: that they are this person's. What isn't named is a claim,
    /// which links a conversation only where the operator wants that. Fields that aren't set are left out, so set
    /// them before.
    ///
    /// What a visitor typed, or a page of theirs can set, is a claim however well the request is signed: the signature
    /// says that the platform tells it, not that it is true.
    ///
    /// ```
    /// use sidenote_plugin::webhook::{Identity, Turn};
    /// let turn = Turn { external_user_id: Some("u-1".into()), email: Some("typed".into()), ..Turn::new("c-1") };
    /// let turn = turn.vouched([Identity::ExternalUserId]);
    /// assert_eq!(turn.extras, [("verified".to_owned(), "external-user-id".to_owned())]);
    /// ```
    pub fn vouched(self, fields: impl IntoIterator<Item = Identity>) -> Self {
        let fields: Vec<_> = fields.into_iter().collect();
        let known =
            Identity::ALL.into_iter().filter(|field| fields.contains(field) && field.is_in(&self));
        let names: Vec<_> = known.map(Identity::name).collect();
        self.saying(VERIFIED, names.join(" "))
    }
}

/// Whether the operator says that the platform's identity verification is switched on: the setting
/// `identity_verification`, false where it isn't set. Without it a platform's user id is what a visitor says.
/// 503, code `config`, where it is neither true nor false.
pub fn identity_verification() -> Result<bool, Rejection> {
    let setting = config::flag("identity_verification");
    setting.map_err(|failure| Rejection::new(503, "config", failure.message))
}

/// What a look-up in the course of a webhook came to: `None` where the platform will never say, so that the
/// conversation counts without it; a rejection, 503 with this code, where it may say it another time, so that the
/// platform sends the webhook again. Refused credentials are the former: they don't pass by repeating. Of those the
/// log tells, once in an instance.
pub fn looked_up<T>(code: &str, outcome: Result<T, Failure>) -> Result<Option<T>, Rejection> {
    thread_local! {
        static TOLD: RefCell<Vec<FailureKind>> = const { RefCell::new(Vec::new()) };
    }
    let failure = match outcome {
        Ok(found) => return Ok(Some(found)),
        Err(failure) => failure,
    };
    match failure.kind.outlook() {
        Outlook::Passing => return Err(Rejection::new(503, code, failure.message)),
        Outlook::Final => {}
    }
    let is_new = TOLD.with_borrow_mut(|told| {
        let is_new = !told.contains(&failure.kind);
        if is_new {
            told.push(failure.kind);
        }
        is_new
    });
    match failure.kind {
        FailureKind::NotFound => {}
        FailureKind::Auth if is_new => log::error!(
            { code = failure.code, asked = code },
            "whose conversations are isn't told, and they count without it: {}", failure.message
        ),
        FailureKind::Auth => {}
        FailureKind::Invalid | FailureKind::Permanent if is_new => log::warn!(
            { code = failure.code, asked = code },
            "an answer can't be used, and a conversation counts without it: {}", failure.message
        ),
        FailureKind::Invalid
        | FailureKind::Permanent
        | FailureKind::Transient
        | FailureKind::RateLimited => {}
    }
    Ok(None)
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
    /// code `secret`, where the operator set no secret of this name: without one nothing is accepted.
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
    fn a_turn_names_what_is_vouched_for_of_what_it_has() {
        use Identity::*;
        let turn = Turn {
            session_id: Some("s-1".to_owned()),
            email: Some("ann@example.com".to_owned()),
            ..Turn::new("c-1")
        };
        for (fields, wanted) in [
            (&[][..], None),
            (&[ExternalUserId], None),
            (&[Email, ExternalUserId, Email], Some("email")),
            (&Identity::ALL, Some("session-id email")),
        ] {
            // What is said last counts.
            let turn = turn.clone().vouched([Email]).vouched(fields.iter().copied());
            let wanted = wanted.map(|names: &str| ("verified".to_owned(), names.to_owned()));
            assert_eq!(turn.extras, Vec::from_iter(wanted), "{fields:?}");
        }
    }

    #[test]
    fn what_is_said_of_a_turn_last_counts_and_an_empty_id_is_none() {
        let turn = Turn::new("c-1").by_agent().typing().clicked("o1").by_bot().closed();
        let turn = turn.clicked("").with_message_id(Some(String::new())).with_message_id(None);
        let wanted = [("author", "bot"), ("happened", "closed")];
        assert_eq!(turn.extras, wanted.map(|(key, word)| (key.to_owned(), word.to_owned())));
        assert_eq!(turn.reopened().reacted().extras[1].1, "reaction");
    }

    #[test]
    fn a_look_up_that_fails_for_good_is_taken_without_and_one_that_passes_comes_again() {
        let host = Host::new().install();
        assert_eq!(looked_up("who", Ok(7)), Ok(Some(7)));
        for _ in 0..3 {
            for failure in [
                Failure::not_found("404", "gone"),
                Failure::auth("missing_scope", "add it"),
                Failure::invalid("never_heard_of", ""),
                Failure::permanent("json", ""),
            ] {
                assert_eq!(looked_up::<u8>("who", Err(failure)), Ok(None));
            }
        }
        let lines = host.lines();
        assert_eq!(lines.len(), 3, "each kind once, but what isn't there: {lines:?}");
        assert!(lines[0].1.contains("add it") && lines[0].1.contains("code=missing_scope"));
        for failure in [Failure::transient("500", ""), Failure::rate_limited("429", "", None)] {
            let passing = (503, "who".to_owned());
            assert_eq!(refused(looked_up::<u8>("who", Err(failure))), passing);
        }
    }

    #[test]
    fn a_body_is_read_whatever_else_is_in_it_and_no_object_is_none() {
        let body = webhook("POST", &[], r#"{"id":7,"odd":{"id":["\ud83d"]}}"#).value().unwrap();
        assert_eq!(json::id(&body["id"]).as_deref(), Some("7"));
        for none in ["", "{", "[]", "null", "7"] {
            let request = webhook("POST", &[], none);
            assert_eq!(refused(request.value()), (400, "body".to_owned()), "{none}");
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
