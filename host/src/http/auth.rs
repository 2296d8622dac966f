//! Who asks: the bearer of the token or of a key, or, where no token is set, a program on this machine.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use http::header::{AUTHORIZATION, FORWARDED, HeaderName, ORIGIN, VIA};
use http::request::Parts;
use http::uri::{Authority, Uri};
use http::{HeaderMap, HeaderValue, Version};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::answer::Refused;
use super::backend::Backend;
use crate::access::{Caller, KeyId};
use crate::config::{Secret, Server};
use crate::keys::{Keys, NoCaller, PREFIX, RefusedLogin};
use crate::telemetry::Refusals;

/// Signs that a request was passed on by a proxy, so that its peer says nothing about the client.
const PASSED_ON: [HeaderName; 8] = [
    FORWARDED,
    VIA,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-forwarded-server"),
    HeaderName::from_static("x-real-ip"),
];

/// What a browser says of the page that asks; no page can change it.
pub(crate) const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

const SET_TOKEN: &str =
    "set `token` in [server] and send `Authorization: Bearer TOKEN`, or send a key of this host";

const SEND_TOKEN: &str = "send `Authorization: Bearer TOKEN` with the value of `token` in [server], or with a key of this host";

/// When to ask again while the keys are being read.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The rule of one listener.
#[derive(Debug, Clone)]
pub(super) enum Rule {
    /// The token must be sent.
    Bearer(Secret),
    /// The peer must be on this machine.
    ThisMachine,
    /// Nobody: no token is set, and others reach the listener; the text says how.
    Nobody(&'static str),
}

impl Rule {
    /// The rule of a listener. The configuration refuses one that others reach without a token; this stays
    /// closed without it. Who names a public address has a proxy before the host, perhaps one that doesn't
    /// say that it passes requests on.
    pub(super) fn of(server: &Server, listener: SocketAddr) -> Self {
        let public = server.public_url.as_deref().and_then(|url| url.parse::<Uri>().ok());
        let elsewhere = public.is_some_and(|url| !url.authority().is_some_and(is_this_machine));
        match &server.token {
            Some(token) => Self::Bearer(token.clone()),
            None if !is_loopback(listener.ip()) => {
                Self::Nobody("no token is set, and other machines reach this host")
            }
            None if elsewhere => Self::Nobody(
                "no token is set, and `public_url` says that others reach this host through a proxy",
            ),
            None => Self::ThisMachine,
        }
    }

    /// Who asks, or why nobody may. `host` is the one that the request names. Whoever sends a key is judged by the key
    /// alone.
    pub(super) fn caller(
        &self,
        logins: &Logins<'_>,
        peer: SocketAddr,
        head: &Parts,
        host: Option<&Authority>,
    ) -> Result<Caller, Refused> {
        match self {
            Self::Bearer(token) => bearer(token, logins, &head.headers),
            Self::ThisMachine | Self::Nobody(_) if is_key(&head.headers) => {
                logins.with_key(sent(&head.headers)?)
            }
            Self::ThisMachine => this_machine(peer, head, host).map(|()| Caller::machine()),
            Self::Nobody(why) => Err(Refused::unauthorized(why, SET_TOKEN)),
        }
    }
}

/// Where keys are looked up, and what is refused is counted.
pub(super) struct Logins<'a> {
    keys: Option<Keys>,
    refusals: Option<&'a Refusals>,
}

impl<'a> Logins<'a> {
    /// Those of a host.
    pub(super) fn of(backend: &'a dyn Backend) -> Self {
        Self { keys: backend.keys(), refusals: backend.refusals() }
    }

    /// Who has this key.
    fn with_key(&self, sent: &[u8]) -> Result<Caller, Refused> {
        const NEXT: &str = "send `Authorization: Bearer KEY` with a key that `sidenote key list` shows, whole as it was written when it was made";
        let sent = std::str::from_utf8(sent).unwrap_or_default();
        let known = self.keys.as_ref().ok_or(NoCaller::NoKey);
        let (why, id, message) = match known.and_then(|keys| keys.authenticate(sent)) {
            Ok(caller) => return Ok(caller),
            Err(NoCaller::Unread) => {
                let message = "the keys are being read";
                return Err(Refused::unavailable("keys_not_ready", message, RETRY_AFTER));
            }
            Err(NoCaller::NoKey) => {
                (RefusedLogin::UnknownKey, None, "the key isn't written as a key is")
            }
            Err(NoCaller::Unknown(id)) => {
                (RefusedLogin::UnknownKey, Some(id), "there is no such key, or it was revoked")
            }
            Err(NoCaller::Expired(id)) => {
                (RefusedLogin::ExpiredKey, Some(id), "the key has expired")
            }
        };
        self.refuse(why, id.as_ref());
        Err(Refused::unauthorized(message, NEXT))
    }

    /// Counts a login that is refused, and says so once per cause and minute. Of a key its public part is told, where it
    /// has one.
    fn refuse(&self, why: RefusedLogin, id: Option<&KeyId>) {
        if let Some(keys) = &self.keys {
            keys.count_refused(why);
        }
        let key = id.map(KeyId::as_str);
        let line = || tracing::warn!(key, reason = why.name(), "http: a login was refused");
        match self.refusals {
            // Strangers make ids up: they are one cause.
            Some(refusals) => refusals.say("login", "api", why.name(), line),
            None => line(),
        }
    }
}

/// Whether a key is sent: nothing else begins so.
fn is_key(headers: &HeaderMap) -> bool {
    sent(headers).is_ok_and(|sent| sent.starts_with(PREFIX.as_bytes()))
}

fn bearer(token: &Secret, logins: &Logins<'_>, headers: &HeaderMap) -> Result<Caller, Refused> {
    let sent = sent(headers)?;
    // Equal lengths by hashing: neither content nor length shows in the time.
    if bool::from(Sha256::digest(sent).ct_eq(&Sha256::digest(token.expose()))) {
        return Ok(Caller::token());
    }
    if sent.starts_with(PREFIX.as_bytes()) {
        return logins.with_key(sent);
    }
    logins.refuse(RefusedLogin::WrongToken, None);
    Err(Refused::unauthorized("the bearer token isn't the right one", SEND_TOKEN))
}

/// What is sent as a bearer's.
fn sent(headers: &HeaderMap) -> Result<&[u8], Refused> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(Refused::unauthorized(
            "the request has no bearer token, or several",
            SEND_TOKEN,
        ));
    };
    after_scheme(value).ok_or_else(|| {
        Refused::unauthorized("the Authorization header has no bearer token", SEND_TOKEN)
    })
}

fn after_scheme(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, rest) = value.as_bytes().split_at_checked("bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| rest.trim_ascii())
}

fn this_machine(peer: SocketAddr, head: &Parts, host: Option<&Authority>) -> Result<(), Refused> {
    let headers = &head.headers;
    if !comes_from_this_machine(peer, head) {
        return Err(Refused::unauthorized(
            "without a token only programs on this machine are served",
            SET_TOKEN,
        ));
    }
    // A page in a browser on this machine isn't a program of its owner's.
    let typed = |site: &HeaderValue| site.as_bytes() == b"none";
    if headers.contains_key(ORIGIN) || !headers.get_all(SEC_FETCH_SITE).iter().all(typed) {
        return Err(Refused::unauthorized(
            "without a token no requests of web pages are served",
            SET_TOKEN,
        ));
    }
    // Such a page can't read answers of other origins, unless a name of its own leads to this machine:
    // then it says that name, as a proxy says the one that it was called by.
    if !host.is_some_and(is_this_machine) {
        return Err(Refused::unauthorized(
            "without a token only requests to this machine's own address are served",
            "call 127.0.0.1, or set `token` in [server] and send `Authorization: Bearer TOKEN`",
        ));
    }
    Ok(())
}

/// Whether a request comes from this machine, and no proxy says that it passed it on.
pub(crate) fn comes_from_this_machine(peer: SocketAddr, head: &Parts) -> bool {
    // Proxies speak HTTP/1.0 that were not told otherwise; programs have not done so for long.
    let is_passed_on = head.version < Version::HTTP_11
        || PASSED_ON.iter().any(|name| head.headers.contains_key(name));
    is_loopback(peer.ip()) && !is_passed_on
}

/// Whether a name or an address in `Host` is this machine's own.
pub(crate) fn is_this_machine(host: &Authority) -> bool {
    let name = host.host();
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.map_or(name.eq_ignore_ascii_case("localhost"), is_loopback)
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}
