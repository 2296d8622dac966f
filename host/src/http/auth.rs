//! Who may use the API: the bearer of the token, or, where none is set, programs on this machine.

use std::net::{IpAddr, SocketAddr};

use http::header::{AUTHORIZATION, FORWARDED, HeaderName, ORIGIN, VIA};
use http::{HeaderMap, HeaderValue};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::answer::Refused;
use crate::config::Secret;

/// Signs that a request was passed on by a proxy, so that its peer says nothing about the client.
const PASSED_ON: [HeaderName; 4] = [
    FORWARDED,
    VIA,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-real-ip"),
];

/// The rule of one listener.
#[derive(Debug, Clone)]
pub(super) enum Rule {
    /// The token must be sent.
    Bearer(Secret),
    /// The peer must be on this machine.
    ThisMachine,
    /// Nobody: other machines reach the listener and no token is set.
    Nobody,
}

impl Rule {
    /// The rule of a listener. The configuration refuses the last case; this stays closed without it.
    pub(super) fn of(token: Option<Secret>, listener: SocketAddr) -> Self {
        match token {
            Some(token) => Self::Bearer(token),
            None if is_loopback(listener.ip()) => Self::ThisMachine,
            None => Self::Nobody,
        }
    }

    /// Lets a request pass, or says why not.
    pub(super) fn check(&self, peer: SocketAddr, headers: &HeaderMap) -> Result<(), Refused> {
        match self {
            Self::Bearer(token) => bearer(token, headers),
            Self::ThisMachine => this_machine(peer, headers),
            Self::Nobody => Err(Refused::unauthorized(
                "no token is set for this host",
                "set `token` in [server]",
            )),
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
    // Equal lengths by hashing: neither content nor length shows in the time taken.
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

fn this_machine(peer: SocketAddr, headers: &HeaderMap) -> Result<(), Refused> {
    let next = "set `token` in [server] and send `Authorization: Bearer TOKEN`";
    if !is_loopback(peer.ip()) || PASSED_ON.iter().any(|name| headers.contains_key(name)) {
        return Err(Refused::unauthorized(
            "without a token only programs on this machine are served",
            next,
        ));
    }
    // A page in a browser on this machine isn't a program of its owner's.
    if headers.contains_key(ORIGIN) {
        return Err(Refused::unauthorized(
            "without a token no requests of web pages are served",
            next,
        ));
    }
    Ok(())
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}
