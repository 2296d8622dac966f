//! Events that a connector pushes: each request is signed, read as an event of the stream is, and accepted
//! once.
//!
//! The signature is the one of autoplay-sdk's `WebhookReceiver`: HMAC-SHA256 over the raw body, as
//! `sha256=` and lower-case hexadecimal digits. Nothing of a body means anything before it fits. A
//! product without a secret accepts nothing.
//!
//! A connector sends again what it got no answer for, and the protocol has no id for an event. An event
//! that was accepted is known by its content and its `forwarded_at`, as on the stream; one without
//! `forwarded_at` can't be told from a person doing the same thing again, and is accepted each time.

use std::collections::BTreeMap;
use std::sync::Arc;

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::dedupe::EventKey;
use crate::clock::Timestamp;
use crate::config::Secret;
use crate::ids::ProductId;
use crate::once::{Claim, Claimed, Claims, Limits};
use crate::session::payload::{Parsed, Payload, PayloadError, parse_event};

/// What stands before the digits of a signature.
const SCHEME: &[u8] = b"sha256=";

/// The products that events are pushed to. Cloning shares it.
#[derive(Clone)]
pub struct WebhookVerifier(Arc<Products>);

struct Products {
    pushed_to: BTreeMap<ProductId, Product>,
    /// What was accepted. Of products that aren't pushed to any more too: one that is again knows its repeats.
    accepted: BTreeMap<ProductId, Claims>,
}

/// One product that accepts events.
struct Product {
    id: ProductId,
    secret: Secret,
    accepted: Claims,
}

/// What an event is to those that were accepted.
#[derive(Debug)]
pub enum Admitted {
    /// It isn't among them.
    Fresh(Box<Fresh>),
    /// It is one of them.
    Repeat,
    /// It is being accepted at this moment.
    UnderWay,
}

/// An event that is to be accepted.
#[derive(Debug)]
pub struct Fresh {
    /// The event.
    pub payload: Payload,
    /// Its size on the wire.
    pub bytes: usize,
    /// Actions left out of it because they can't be used.
    pub dropped_actions: usize,
    /// To be kept once the event is accepted.
    pub claim: Claim,
}

/// Why a pushed event isn't accepted. Nothing of it has an effect, and sending it again as it is helps nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// No product of this name accepts pushed events.
    #[error("push: no product of this name accepts pushed events; set its `ingest_secret`")]
    NoProduct,
    /// A signature is missing, or doesn't fit the body.
    #[error("push: the signature is missing, or it doesn't fit; check the product's secret")]
    Signature,
    /// The body isn't text.
    #[error("push: the body isn't UTF-8; the event is refused")]
    NotText,
    /// The body is no event.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// The body names another product than the address.
    #[error("push: the body's product isn't the one in the address; the event is refused")]
    OtherProduct,
    /// The event names no session that can be used.
    #[error("push: the event has no usable session_id; the event is refused")]
    NoSession,
    /// A summary that says nothing.
    #[error("push: the summary has no text; the event is refused")]
    NoSummary,
}

impl PushError {
    /// A word for what went wrong, the same for all alike.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NoProduct => "no_product",
            Self::Signature => "signature",
            Self::NotText => "not_text",
            Self::Payload(_) => "payload",
            Self::OtherProduct => "other_product",
            Self::NoSession => "no_session",
            Self::NoSummary => "no_summary",
        }
    }
}

impl WebhookVerifier {
    /// Accepts events of the products that have a secret. An empty one is none.
    pub fn new(secrets: BTreeMap<ProductId, Secret>) -> Self {
        Self::over(BTreeMap::new(), secrets)
    }

    /// The same with other products and secrets. What was accepted stays known.
    #[must_use]
    pub fn with_secrets(&self, secrets: BTreeMap<ProductId, Secret>) -> Self {
        Self::over(self.0.accepted.clone(), secrets)
    }

    fn over(
        mut accepted: BTreeMap<ProductId, Claims>,
        secrets: BTreeMap<ProductId, Secret>,
    ) -> Self {
        let usable = secrets.into_iter().filter(|(_, secret)| !secret.expose().is_empty());
        let product = |(id, secret): (ProductId, Secret)| {
            let accepted = accepted.entry(id.clone()).or_insert_with(|| Claims::new(Limits::DAY));
            (id.clone(), Product { id, secret, accepted: accepted.clone() })
        };
        let pushed_to = usable.map(product).collect();
        Self(Arc::new(Products { pushed_to, accepted }))
    }

    /// Whether events of a product are accepted.
    pub fn accepts(&self, product: &ProductId) -> bool {
        self.0.pushed_to.contains_key(product)
    }

    /// Checks and reads a request to the address of `product`. `signatures` are the values of all
    /// signature headers: each must fit.
    ///
    /// # Errors
    /// The request isn't the connector's, or its body can't be used.
    pub fn admit(
        &self,
        product: &str,
        signatures: &[Vec<u8>],
        body: &[u8],
        now: Timestamp,
    ) -> Result<Admitted, PushError> {
        let product = ProductId::new(product).ok().and_then(|id| self.0.pushed_to.get(&id));
        let product = product.ok_or(PushError::NoProduct)?;
        if !product.is_signed(signatures, body) {
            return Err(PushError::Signature);
        }
        let text = std::str::from_utf8(body).map_err(|_| PushError::NotText)?;
        let parsed = product.of_this_product(parse_event(text)?)?;
        Ok(product.claim(parsed, body.len(), now))
    }
}

impl Product {
    fn is_signed(&self, signatures: &[Vec<u8>], body: &[u8]) -> bool {
        let mac = Hmac::<Sha256>::new_from_slice(self.secret.expose().as_bytes());
        let mac = mac.expect("HMAC takes keys of any length").chain_update(body);
        let fits = |signature: &Vec<u8>| {
            let signed = signature.strip_prefix(SCHEME).and_then(digest);
            // In constant time: what fits of a wrong one isn't told.
            signed.is_some_and(|signed| mac.clone().verify_slice(&signed).is_ok())
        };
        !signatures.is_empty() && signatures.iter().all(fits)
    }

    /// Holds what can't be told from the outside to the address: an event without a product is of the
    /// one whose secret signed it.
    fn of_this_product(&self, mut parsed: Parsed) -> Result<Parsed, PushError> {
        let (product, session) = match &mut parsed.payload {
            Payload::Actions(batch) => (&mut batch.product_id, &batch.session_id),
            Payload::Summary(summary) if summary.summary.trim().is_empty() => {
                return Err(PushError::NoSummary);
            }
            Payload::Summary(summary) => (&mut summary.product_id, &summary.session_id),
        };
        if product.is_empty() {
            self.id.as_str().clone_into(product);
        } else if product != self.id.as_str() {
            return Err(PushError::OtherProduct);
        }
        let usable = session.as_ref().and_then(|id| crate::ids::SessionId::new(id.as_str()).ok());
        usable.map(|_| parsed).ok_or(PushError::NoSession)
    }

    fn claim(&self, parsed: Parsed, bytes: usize, now: Timestamp) -> Admitted {
        let Parsed { payload, dropped_actions, .. } = parsed;
        // Each request is a connection of its own, over which nothing comes twice.
        let digests = EventKey::new(None, &payload).into_iter().map(EventKey::digest).collect();
        match self.accepted.claim(digests, now) {
            Claimed::New(claim) => {
                Admitted::Fresh(Box::new(Fresh { payload, bytes, dropped_actions, claim }))
            }
            Claimed::Repeat => Admitted::Repeat,
            Claimed::UnderWay => Admitted::UnderWay,
        }
    }
}

/// The bytes of 64 lower-case hexadecimal digits: autoplay-sdk compares texts, and writes them so.
fn digest(digits: &[u8]) -> Option<[u8; 32]> {
    let lower = digits.iter().all(|digit| !digit.is_ascii_uppercase());
    let mut digest = [0; 32];
    (lower && hex::decode_to_slice(digits, &mut digest).is_ok()).then_some(digest)
}

#[cfg(test)]
mod tests;
