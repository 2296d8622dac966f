//! The one name of a delivery, which lists, answers, commands and log lines have of it.

use std::fmt;
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use crate::ids::{ProductId, SessionId, SessionKey};

/// What stands in an id as it is: what needs no quotes in a shell and no escape in an address.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A delivery: its session, what it is, and its number. As text `PRODUCT/SESSION/NUMBER`, each part escaped as in an
/// address: `acme/s-17/3` is a note, `acme/s-17/sink-3` something for a sink, `acme/s-17/timer-3` a due timer,
/// `acme/s-17/message-3` an offer or an answer.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[schemars(with = "String")]
#[serde(try_from = "String", into = "String")]
pub struct DeliveryId {
    /// Its session.
    pub key: SessionKey,
    /// What it is; each is numbered on its own.
    pub kind: DeliveryKind,
    /// Its number in the session, from 1.
    pub seq: u64,
}

/// What is delivered.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryKind {
    /// A note, beside a conversation.
    Note,
    /// A batch or a summary, to a sink.
    Sink,
    /// A timer that is due, to the plugin that set it.
    Timer,
    /// What the person sees: an offer, an answer, or that an offer is removed.
    Message,
}

/// Text that names no delivery. The text itself is left out: it may be personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "it is no delivery's id, which is PRODUCT/SESSION/NUMBER as `sidenote outbox list --json` has it, for example acme/s-17/3"
)]
pub struct InvalidDeliveryId;

impl DeliveryKind {
    /// What stands before the number.
    fn prefix(self) -> &'static str {
        match self {
            Self::Note => "",
            Self::Sink => "sink-",
            Self::Timer => "timer-",
            Self::Message => "message-",
        }
    }
}

impl DeliveryId {
    /// A note's.
    pub fn note(key: SessionKey, seq: u64) -> Self {
        Self { key, kind: DeliveryKind::Note, seq }
    }

    /// A session's names as an id begins with them: `PRODUCT/SESSION`.
    pub fn escaped(key: &SessionKey) -> String {
        let escaped = |text| utf8_percent_encode(text, PLAIN);
        format!("{}/{}", escaped(key.product.as_str()), escaped(key.session.as_str()))
    }

    /// From the parts of an address, unescaped.
    ///
    /// # Errors
    /// A part can't be one of an id.
    pub fn of_parts(product: &str, session: &str, number: &str) -> Result<Self, InvalidDeliveryId> {
        let kinds =
            [DeliveryKind::Sink, DeliveryKind::Timer, DeliveryKind::Message, DeliveryKind::Note];
        let kind =
            kinds.into_iter().find_map(|kind| Some((kind, number.strip_prefix(kind.prefix())?)));
        let (kind, digits) = kind.ok_or(InvalidDeliveryId)?;
        let plain = !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
        let seq = digits.parse().ok().filter(|_| plain).ok_or(InvalidDeliveryId)?;
        let product = ProductId::new(product).map_err(|_| InvalidDeliveryId)?;
        let session = SessionId::new(session).map_err(|_| InvalidDeliveryId)?;
        Ok(Self { key: SessionKey { product, session }, kind, seq })
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}{}", Self::escaped(&self.key), self.kind.prefix(), self.seq)
    }
}

impl FromStr for DeliveryId {
    type Err = InvalidDeliveryId;

    fn from_str(text: &str) -> Result<Self, InvalidDeliveryId> {
        let plain = |part| percent_decode_str(part).decode_utf8().map_err(|_| InvalidDeliveryId);
        let mut parts = text.split('/');
        let mut part = || parts.next().ok_or(InvalidDeliveryId);
        let (product, session, number) = (plain(part()?)?, plain(part()?)?, part()?);
        match parts.next() {
            None => Self::of_parts(&product, &session, number),
            Some(_) => Err(InvalidDeliveryId),
        }
    }
}

impl TryFrom<String> for DeliveryId {
    type Error = InvalidDeliveryId;

    fn try_from(text: String) -> Result<Self, InvalidDeliveryId> {
        text.parse()
    }
}

impl From<DeliveryId> for String {
    fn from(id: DeliveryId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_was_written_whatever_is_in_it() {
        let names = ["s", "a/b", "a%2Fb", "ü ?#&=+\"'\u{1b}", "..", "12", "message-1"];
        for (product, session) in names.into_iter().flat_map(|one| names.map(|two| (one, two))) {
            let kinds = [
                DeliveryKind::Note,
                DeliveryKind::Sink,
                DeliveryKind::Timer,
                DeliveryKind::Message,
            ];
            for kind in kinds {
                let key = SessionKey {
                    product: ProductId::new(product).unwrap(),
                    session: SessionId::new(session).unwrap(),
                };
                let id = DeliveryId { key, kind, seq: 12 };
                let text = id.to_string();
                assert_eq!(text.parse::<DeliveryId>(), Ok(id), "{text}");
                let safe = |c: char| c.is_ascii_alphanumeric() || "-_.~%/".contains(c);
                assert!(text.chars().all(safe), "{text}");
            }
        }
        let id: DeliveryId = "acme/s-17/sink-3".parse().unwrap();
        assert_eq!(
            (id.kind, id.seq, id.to_string().as_str()),
            (DeliveryKind::Sink, 3, "acme/s-17/sink-3")
        );
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in [
            "",
            "a",
            "a/b",
            "a/b/",
            "a/b/x",
            "a/b/0",
            "a/b/01",
            "a/b/-1",
            "a/b/+1",
            "a/b/1/2",
            "/b/1",
            "a//1",
            "a/%FF/1",
            "a/b/99999999999999999999",
            "a/b/sink-",
            "a/b/redaction-1",
        ] {
            assert_eq!(text.parse::<DeliveryId>(), Err(InvalidDeliveryId), "{text:?}");
        }
    }
}
