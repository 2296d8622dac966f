//! The ways to forge a webhook from a genuine one.

use rand::Rng;
use rand::rngs::StdRng;
use sidenote::plugin::WebhookRequest;

use super::signers::{self, Signer};
use super::{KEY, OTHER_KEY, now};

/// How a webhook is forged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    FlippedBody,
    FlippedSignature,
    FlippedTimestamp,
    CutBody,
    LongerBody,
    CutSignature,
    NoSignature,
    EmptySignature,
    NoTimestamp,
    MovedBoundary,
    WrongKey,
    EmptyKey,
    OtherTenant,
    OtherBodySameSignature,
    Stale,
    FromTheFuture,
    FreshTimestampOldSignature,
    DuplicateSignatureFirst,
    DuplicateSignatureLast,
    DuplicateTimestamp,
    Replay,
}

/// All of them.
pub(super) const WAYS: [Way; 21] = [
    Way::FlippedBody,
    Way::FlippedSignature,
    Way::FlippedTimestamp,
    Way::CutBody,
    Way::LongerBody,
    Way::CutSignature,
    Way::NoSignature,
    Way::EmptySignature,
    Way::NoTimestamp,
    Way::MovedBoundary,
    Way::WrongKey,
    Way::EmptyKey,
    Way::OtherTenant,
    Way::OtherBodySameSignature,
    Way::Stale,
    Way::FromTheFuture,
    Way::FreshTimestampOldSignature,
    Way::DuplicateSignatureFirst,
    Way::DuplicateSignatureLast,
    Way::DuplicateTimestamp,
    Way::Replay,
];

/// A forged webhook and the plugin that it is sent to.
pub(super) struct Forged {
    pub(super) plugin: &'static str,
    pub(super) request: WebhookRequest,
}

impl Way {
    /// Whether nothing is changed: only that it came before shows it.
    pub(super) fn is_replay(self) -> bool {
        self == Self::Replay
    }

    /// Whether it is about the time that a platform signs.
    fn needs_timestamp(self) -> bool {
        matches!(
            self,
            Self::FlippedTimestamp
                | Self::NoTimestamp
                | Self::MovedBoundary
                | Self::Stale
                | Self::FromTheFuture
                | Self::FreshTimestampOldSignature
                | Self::DuplicateTimestamp
        )
    }
}

/// Forges a webhook from a genuine one. Where a platform signs no time, a way that needs one is replaced by
/// flipped bits of the body.
pub(super) fn forge(
    way: Way,
    signer: &dyn Signer,
    genuine: &WebhookRequest,
    number: usize,
    rng: &mut StdRng,
) -> (Way, Forged) {
    let way =
        if way.needs_timestamp() && signer.timestamp().is_none() { Way::FlippedBody } else { way };
    let mut request = genuine.clone();
    let mut plugin = "one";
    match way {
        Way::FlippedBody => flip_bits(&mut request.body, rng),
        Way::FlippedSignature => {
            let value = header(&mut request, signer.signature());
            let mut flipped = value.clone();
            // The case of a hex digit means nothing.
            while flipped.eq_ignore_ascii_case(value) {
                flipped = flip_text(value, rng);
            }
            *value = flipped;
        }
        Way::FlippedTimestamp => {
            let value = header(&mut request, stamp(signer));
            let mut flipped = value.clone();
            while flipped == *value {
                flipped = flip_text(value, rng);
            }
            *value = flipped;
        }
        Way::CutBody => {
            let length = rng.random_range(0..request.body.len());
            request.body.truncate(length);
        }
        Way::LongerBody => request.body.push(b' '),
        Way::CutSignature => {
            let value = header(&mut request, signer.signature());
            value.truncate(rng.random_range(1..value.len()));
        }
        Way::NoSignature => request.headers.retain(|(name, _)| name != signer.signature()),
        Way::EmptySignature => header(&mut request, signer.signature()).clear(),
        Way::NoTimestamp => request.headers.retain(|(name, _)| name != stamp(signer)),
        Way::MovedBoundary => move_boundary(signer, &mut request),
        Way::WrongKey => {
            let mut key = KEY.as_bytes().to_vec();
            let at = rng.random_range(0..key.len());
            key[at] ^= 1 << rng.random_range(0..5);
            let key = String::from_utf8(key).unwrap();
            request = signers::request(signer, &key, now(), number);
        }
        Way::EmptyKey => request = signers::request(signer, "", now(), number),
        Way::OtherTenant => {
            // As genuine as can be, for whoever has that key: either is sent to the other.
            if rng.random() {
                request = signers::request(signer, OTHER_KEY, now(), number);
            } else {
                plugin = "two";
            }
        }
        Way::OtherBodySameSignature => request.body = signer.body(number + 1_000_000).into_bytes(),
        Way::Stale => {
            let age = window(signer) + rng.random_range(5..1_000_000);
            request = signers::request(signer, KEY, now() - age, number);
        }
        Way::FromTheFuture => {
            let ahead = window(signer) + rng.random_range(60..1_000_000);
            request = signers::request(signer, KEY, now() + ahead, number);
        }
        Way::FreshTimestampOldSignature => {
            let later = signer.stamp(now() + 1 + rng.random_range(0..60));
            *header(&mut request, stamp(signer)) = later;
        }
        Way::DuplicateSignatureFirst => double(&mut request, signer.signature(), true, rng),
        Way::DuplicateSignatureLast => double(&mut request, signer.signature(), false, rng),
        Way::DuplicateTimestamp => {
            let first = rng.random();
            double(&mut request, stamp(signer), first, rng);
        }
        Way::Replay => {}
    }
    (way, Forged { plugin, request })
}

fn stamp(signer: &dyn Signer) -> &'static str {
    signer.timestamp().expect("a way that needs a timestamp is replaced where there is none").0
}

fn window(signer: &dyn Signer) -> u64 {
    signer.timestamp().expect("a way that needs a timestamp is replaced where there is none").1
}

fn header<'a>(request: &'a mut WebhookRequest, name: &str) -> &'a mut String {
    let found = request.headers.iter_mut().find(|(key, _)| key == name);
    &mut found.unwrap_or_else(|| panic!("a genuine webhook has the header {name}")).1
}

/// Flips one to three bits; the same bit twice would leave it as it was.
fn flip_bits(body: &mut [u8], rng: &mut StdRng) {
    let before = body.to_vec();
    while body == before {
        for _ in 0..rng.random_range(1..=3) {
            let at = rng.random_range(0..body.len());
            body[at] ^= 1 << rng.random_range(0..8);
        }
    }
}

/// Flips a bit so that it stays text as a header can hold.
fn flip_text(text: &str, rng: &mut StdRng) -> String {
    loop {
        let mut bytes = text.as_bytes().to_vec();
        let at = rng.random_range(0..bytes.len());
        bytes[at] ^= 1 << rng.random_range(0..7);
        if bytes[at].is_ascii_graphic() {
            return String::from_utf8(bytes).unwrap();
        }
    }
}

/// Adds another value of a header, before or behind the genuine one.
fn double(request: &mut WebhookRequest, name: &str, first: bool, rng: &mut StdRng) {
    let value = header(request, name).clone();
    // The same value twice is no better.
    let other = if rng.random() { value } else { flip_text(&value, rng) };
    let place = request.headers.iter().position(|(key, _)| key == name).unwrap();
    request.headers.insert(if first { place } else { place + 1 }, (name.to_owned(), other));
}

/// The same signed bytes, parted elsewhere: bytes go from the timestamp to the body or back.
fn move_boundary(signer: &dyn Signer, request: &mut WebhookRequest) {
    let timestamp = header(request, stamp(signer)).clone();
    let body = String::from_utf8(request.body.clone()).unwrap();
    let (timestamp, body) = signer.moved_boundary(&timestamp, &body);
    *header(request, stamp(signer)) = timestamp;
    request.body = body.into_bytes();
}
