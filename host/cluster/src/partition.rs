//! Which partition something belongs to.
//!
//! The partition of a session is the first 8 bytes, as a big-endian number, of the SHA-256 of the length of the product
//! (8 bytes, big-endian), the product and the session, modulo the number of partitions. That of a subject (a
//! conversation, a person) is made in the same way of its kind and its name. It never changes: rows are stored by it.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::ids::{Once, Partition};

/// A session: two names that are never glued together.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionKey {
    /// The tenant of the stream.
    pub product: Arc<str>,
    /// The session's id, as the source names it.
    pub session: Arc<str>,
}

/// What one session at a time can have: a conversation, or a person's name in the directory.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Subject {
    /// Which kind of thing, and of what: the plugin of a conversation, the product of a person.
    pub kind: Arc<str>,
    /// Its id.
    pub name: Arc<str>,
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey(…)")
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subject(…)")
    }
}

/// Why a number of partitions isn't one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("there are {0} partitions; 1 to {MAX} are possible")]
pub struct BadCount(pub u16);

/// Three digits name a partition in its keys.
const MAX: u16 = 1000;

/// How many partitions there are: fixed when a namespace is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partitions(u16);

impl Default for Partitions {
    fn default() -> Self {
        Self(64)
    }
}

impl Partitions {
    /// So many.
    ///
    /// # Errors
    /// Where there are none, or more than a key has digits for.
    pub const fn new(count: u16) -> Result<Self, BadCount> {
        if count == 0 || count > MAX {
            return Err(BadCount(count));
        }
        Ok(Self(count))
    }

    /// How many.
    #[must_use]
    pub const fn count(self) -> u16 {
        self.0
    }

    /// The one that has what is of the namespace as a whole: there is always a first one.
    #[must_use]
    pub const fn of_namespace(self) -> Partition {
        Partition::new(0)
    }

    /// Each of them.
    pub fn all(self) -> impl Iterator<Item = Partition> {
        (0..self.0).map(Partition::new)
    }

    /// That of a session.
    #[must_use]
    pub fn of_session(self, session: &SessionKey) -> Partition {
        self.of(&session.product, &session.session)
    }

    /// That of a subject.
    #[must_use]
    pub fn of_subject(self, subject: &Subject) -> Partition {
        self.of(&subject.kind, &subject.name)
    }

    fn of(self, first: &str, second: &str) -> Partition {
        let place = hash(first, second) % u64::from(self.0);
        Partition::new(u16::try_from(place).unwrap_or_default())
    }
}

/// What an event of a source is known again by.
#[must_use]
pub fn once(source: &str, id: &str) -> Once {
    Once::new(hash(source, id))
}

/// 64 bits of two names.
pub(crate) fn hash(first: &str, second: &str) -> u64 {
    let mut hasher = Sha256::new();
    hasher.update((first.len() as u64).to_be_bytes());
    hasher.update(first);
    hasher.update(second);
    let digest = hasher.finalize();
    digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ids::Resource;

    fn session(product: &str, session: &str) -> SessionKey {
        SessionKey { product: product.into(), session: session.into() }
    }

    /// Made with another program's SHA-256: `printf '\0\0\0\0\0\0\0\4acmes-1' | sha256sum`.
    const VECTORS: &[(&str, &str, u16, u16)] = &[
        ("acme", "s-1", 64, 0),
        ("acme", "s-2", 64, 36),
        ("", "", 64, 58),
        ("日本", "セッション", 64, 50),
        ("acme", "s-1", 7, 6),
        ("acm", "es-1", 64, 59),
    ];

    #[test]
    fn a_session_stays_in_its_partition_for_ever() {
        for (product, id, count, wanted) in VECTORS {
            let partitions = Partitions::new(*count).unwrap();
            let partition = partitions.of_session(&session(product, id));
            assert_eq!(partition.number(), *wanted, "{product} {id} of {count}");
        }
    }

    #[test]
    fn keys_have_the_tag_of_their_partition() {
        assert_eq!(Resource::Partition(Partition::new(7)).tag(), "{p007}");
        assert_eq!(Partitions::default().count(), 64);
        assert_eq!(Partitions::new(0), Err(BadCount(0)));
        assert_eq!(Partitions::new(1001), Err(BadCount(1001)));
    }

    #[test]
    fn sessions_are_spread_evenly() {
        let mut counts = [0_u32; 64];
        for n in 0..64_000 {
            let of = Partitions::default().of_session(&session("acme", &format!("s-{n}")));
            counts[usize::from(of.number())] += 1;
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }

    proptest! {
        #[test]
        fn every_session_has_one(product: String, id: String, count in 1_u16..=1000) {
            let of = Partitions::new(count).unwrap().of_session(&session(&product, &id));
            prop_assert!(of.number() < count);
        }
    }
}
