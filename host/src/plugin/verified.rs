//! What a guest had verified in a call: what a webhook is known by when it comes again.
//!
//! The names of the secrets and the signed data are. Nothing else of a request is proved, so nothing else can
//! make a repeat look new. Where nothing was verified, nothing is a repeat.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

use crate::once::Digest;

/// What is verified in one call at most for it to be known again.
const MAX_PER_CALL: usize = 16;

/// What a guest had verified in the call under way.
#[derive(Debug, Default)]
pub(super) struct Verified {
    digests: BTreeSet<Digest>,
    too_many: bool,
}

impl Verified {
    /// Adds data that a signature fitted.
    pub(super) fn add(&mut self, secret: &str, data: &[u8]) {
        let mut hash = Sha256::new();
        // The length parts the two.
        hash.update((secret.len() as u64).to_le_bytes());
        hash.update(secret);
        hash.update(data);
        if self.digests.len() < MAX_PER_CALL {
            self.digests.insert(hash.finalize().into());
        } else {
            self.too_many = true;
        }
    }

    /// What the webhook is known by; nothing where nothing, or too much, was verified.
    pub(super) fn into_digests(self) -> BTreeSet<Digest> {
        if self.too_many { BTreeSet::new() } else { self.digests }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digests(verified: &[(&str, &str)]) -> BTreeSet<Digest> {
        let mut all = Verified::default();
        for (secret, data) in verified {
            all.add(secret, data.as_bytes());
        }
        all.into_digests()
    }

    #[test]
    fn where_nothing_or_too_much_was_verified_there_is_nothing_to_know_it_by() {
        let many: Vec<_> = (0..=MAX_PER_CALL).map(|n| n.to_string()).collect();
        let many: Vec<_> = many.iter().map(|data| ("incoming", data.as_str())).collect();
        assert!(digests(&[]).is_empty() && digests(&many).is_empty());
        assert_eq!(digests(&many[1..]).len(), MAX_PER_CALL);
    }

    #[test]
    fn the_secret_is_part_of_what_a_webhook_is_known_by() {
        assert_eq!(digests(&[("a", "b")]), digests(&[("a", "b")]));
        assert_ne!(digests(&[("a", "b")]), digests(&[("b", "b")]));
        assert_ne!(digests(&[("a", "bc")]), digests(&[("ab", "c")]));
    }
}
