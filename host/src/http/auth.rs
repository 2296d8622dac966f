//! Who may use the API: the bearer of the token, or, where none is set, programs on this machine.

use std::net::{IpAddr, SocketAddr};

use http::header::{AUTHORIZATION, FORWARDED, HeaderName, ORIGIN, VIA};
use http::request::Parts;
use http::uri::{Authority, Uri};
use http::{HeaderMap, HeaderValue, Version};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::answer::Refused;
use crate::config::{Secret, Server};

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
pub(super) const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

const SET_TOKEN: &str = "set `token` in [server] and send `Authorization: Bearer TOKEN`";

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

    /// Lets a request pass, or says why not. `host` is the one that it names.
    pub(super) fn check(
        &self,
        peer: SocketAddr,
        head: &Parts,
        host: Option<&Authority>,
    ) -> Result<(), Refused> {
        match self {
            Self::Bearer(token) => bearer(token, &head.headers),
            Self::ThisMachine => this_machine(peer, head, host),
            Self::Nobody(why) => Err(Refused::unauthorized(why, SET_TOKEN)),
        }
    }
}

fn bearer(token: &Secret, headers: &HeaderMap) -> Result<(), Refused> {
    let next = "send `Authorization: Bearer TOKEN` with the value of `token` in [server]";
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(Refused::unauthorized("the request has no bearer token, or several", next));
    };
    let Some(sent) = after_scheme(value) else {
        return Err(Refused::unauthorized("the Authorization header has no bearer token", next));
    };
    // Equal lengths by hashing: neither content nor length shows in the time.
    if bool::from(Sha256::digest(sent).ct_eq(&Sha256::digest(token.expose()))) {
        Ok(())
    } else {
        Err(Refused::unauthorized("the bearer token isn't the right one", next))
    }
}

fn after_scheme(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, rest) = value.as_bytes().split_at_checked("bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| rest.trim_ascii())
}

fn this_machine(peer: SocketAddr, head: &Parts, host: Option<&Authority>) -> Result<(), Refused> {
    let headers = &head.headers;
    // Proxies speak HTTP/1.0 that were not told otherwise; programs have not done so for long.
    let is_passed_on =
        head.version < Version::HTTP_11 || PASSED_ON.iter().any(|name| headers.contains_key(name));
    if !is_loopback(peer.ip()) || is_passed_on {
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

/// Whether a name or an address in `Host` is this machine's own.
pub(super) fn is_this_machine(host: &Authority) -> bool {
    let name = host.host();
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.map_or(name.eq_ignore_ascii_case("localhost"), is_loopback)
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}
