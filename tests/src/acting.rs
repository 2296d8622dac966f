//! People who act: every action carries a marker by which it is known when it arrives.

use std::ops::Range;

use hmac::{Hmac, Mac};
use sha2::Sha256;
use sidenote::session::payload::{Action, ActionsPayload};
use sidenote_sim::{Marker, Opening};

/// Somebody in a session of a product.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Person {
    /// The product.
    pub product: &'static str,
    /// The session; without white space.
    pub session: String,
}

impl Person {
    /// Somebody in this session.
    pub fn new(product: &'static str, session: impl Into<String>) -> Self {
        Self { product, session: session.into() }
    }

    /// The user id that the person's batches carry.
    pub fn user_id(&self) -> String {
        format!("u-{}", self.session)
    }

    /// The e-mail address that the person's batches carry.
    pub fn email(&self) -> String {
        format!("{}@{}.example", self.session, self.product)
    }

    /// The marker of the person's `n`-th action.
    pub fn marker(&self, n: u64) -> String {
        Marker { session: &self.session, n, emitted: None }.to_string()
    }

    /// A batch of the actions `range`, described by their markers.
    pub fn batch(&self, range: Range<u64>) -> ActionsPayload {
        self.saying(range.map(|n| (n, self.marker(n))))
    }

    /// A batch of actions with these numbers and descriptions; the numbers order them in time.
    pub fn saying(&self, actions: impl IntoIterator<Item = (u64, String)>) -> ActionsPayload {
        let action = |(n, description): (u64, String)| {
            let at = 1_700_000_000.0 + n as f64;
            Action {
                title: "click".to_owned(),
                description,
                canonical_url: format!("https://app.example.com/{}", self.product),
                raw_url: format!("https://app.example.com/{}?n={n}", self.product),
                index: i64::try_from(n).expect("tests count small numbers"),
                kind: "click".to_owned(),
                timestamp_start: Some(at),
                timestamp_end: Some(at),
                ..Action::default()
            }
        };
        ActionsPayload {
            product_id: self.product.to_owned(),
            session_id: Some(self.session.clone()),
            user_id: Some(self.user_id()),
            email: Some(self.email()),
            actions: actions.into_iter().map(action).collect(),
            forwarded_at: 1_700_000_000.0,
            ..ActionsPayload::default()
        }
    }

    /// The secret with which the product's connector signs what it pushes.
    pub fn ingest_secret(&self) -> String {
        format!("connector-of-{}-5b0c", self.product)
    }

    /// The signature of a body that the product's connector pushes.
    ///
    /// # Panics
    /// Never.
    pub fn sign(&self, body: &[u8]) -> String {
        let mac = Hmac::<Sha256>::new_from_slice(self.ingest_secret().as_bytes());
        let mac = mac.expect("HMAC takes keys of any length").chain_update(body);
        format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
    }

    /// What the chat widget says when the person opens a conversation.
    pub fn opening(&self) -> Opening {
        Opening::session(self.product, &self.session)
    }
}
