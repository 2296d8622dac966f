//! What is in an entry of an inbox.

use crate::ids::{Once, Payload};

/// What a partition is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// What it is known again by, where it may come again from somebody who doesn't number it: events of a stream.
    pub once: Option<Once>,
    /// What it is.
    pub body: Body,
}

/// What an input is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// For the work of the partition.
    Work(Payload),
    /// A message of [`claims`](crate::claims).
    Claims(Payload),
}

const WORK: u8 = 0;
const CLAIMS: u8 = 1;

impl Input {
    /// For the work, known again by `once`.
    #[must_use]
    pub const fn work(once: Option<Once>, body: Payload) -> Self {
        Self { once, body: Body::Work(body) }
    }

    /// A message of claims.
    #[must_use]
    pub const fn claims(body: Payload) -> Self {
        Self { once: None, body: Body::Claims(body) }
    }

    /// As it stands in an inbox: the kind, whether it has an id, the id, the rest.
    #[must_use]
    pub fn encode(&self) -> Payload {
        let (kind, body) = match &self.body {
            Body::Work(body) => (WORK, body),
            Body::Claims(body) => (CLAIMS, body),
        };
        let mut bytes = vec![kind, u8::from(self.once.is_some())];
        bytes.extend(self.once.unwrap_or_default().get().to_be_bytes());
        bytes.extend(body.bytes());
        Payload::new(&bytes)
    }

    /// What [`encode`](Self::encode) wrote; `None` for what a later release wrote.
    #[must_use]
    pub fn decode(payload: &Payload) -> Option<Self> {
        let (head, body) = payload.bytes().split_at_checked(10)?;
        let (flags, once) = head.split_at(2);
        let body = Payload::new(body);
        let body = match flags[0] {
            WORK => Body::Work(body),
            CLAIMS => Body::Claims(body),
            _ => return None,
        };
        let once = once.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        let once = match flags[1] {
            0 => None,
            1 => Some(Once::new(once)),
            _ => return None,
        };
        Some(Self { once, body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_is_read_as_it_was_written() {
        for input in [
            Input::work(None, Payload::new(b"x")),
            Input::work(Some(Once::new(u64::MAX - 3)), Payload::default()),
            Input::claims(Payload::new(b"yz")),
        ] {
            assert_eq!(Input::decode(&input.encode()), Some(input));
        }
        for bytes in [&b""[..], b"\0\0short", b"\x09\0........", b"\0\x02........"] {
            assert_eq!(Input::decode(&Payload::new(bytes)), None);
        }
    }
}
