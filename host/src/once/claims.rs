//! What is accepted once: a request or an event that its sender sends again until it is told that it was accepted.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::seen::{Digest, Limits, Seen};
use crate::clock::Timestamp;

/// What was accepted, and is being accepted. Cloning shares it.
#[derive(Clone)]
pub struct Claims(Arc<Mutex<Memory>>);

struct Memory {
    accepted: Seen,
    /// As many as are let in at the same time.
    under_way: BTreeSet<Digest>,
}

/// What something is to that which was accepted.
#[derive(Debug)]
pub enum Claimed {
    /// It wasn't accepted.
    New(Claim),
    /// It was.
    Repeat,
    /// It is being accepted at this moment.
    UnderWay,
}

/// Something that is being accepted. Dropped without [`Claim::keep`], it was never there: who sent it sends it
/// again, and then it must count.
pub struct Claim {
    claims: Claims,
    digests: BTreeSet<Digest>,
}

impl Claims {
    /// Remembers nothing yet.
    pub fn new(limits: Limits) -> Self {
        let memory = Memory { accepted: Seen::new(limits), under_way: BTreeSet::new() };
        Self(Arc::new(Mutex::new(memory)))
    }

    /// Looks whether what these digests stand for was accepted before; where not, it is being accepted from here on.
    ///
    /// A repeat is that of which *all* was accepted before: a part may stand in everything. What has no digest
    /// is none.
    pub fn claim(&self, digests: BTreeSet<Digest>, now: Timestamp) -> Claimed {
        let mut memory = self.memory();
        let Memory { accepted, under_way } = &mut *memory;
        let new: Vec<_> = digests.iter().filter(|it| accepted.get(it, now).is_none()).collect();
        if !digests.is_empty() && new.iter().all(|digest| under_way.contains(*digest)) {
            return if new.is_empty() { Claimed::Repeat } else { Claimed::UnderWay };
        }
        under_way.extend(&digests);
        drop(memory);
        Claimed::New(Claim { claims: self.clone(), digests })
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim {
    /// A number that it is known again by, the same in every process; `None` for what can't be known again.
    pub fn number(&self) -> Option<u64> {
        let first = self.digests.first()?.first_chunk::<8>()?;
        Some(u64::from_be_bytes(*first))
    }

    /// It was accepted: what comes again is a repeat.
    pub fn keep(self, now: Timestamp) {
        let mut memory = self.claims.memory();
        for digest in &self.digests {
            memory.accepted.insert(*digest, (), now);
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut memory = self.claims.memory();
        for digest in &self.digests {
            memory.under_way.remove(digest);
        }
    }
}

impl std::fmt::Debug for Claims {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Claims")
            .field("accepted", &self.memory().accepted.len())
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Claim").field("digests", &self.digests.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LIMITS: Limits = Limits { entries: 4, age: Duration::from_secs(100) };
    const NOW: Timestamp = Timestamp(0);

    fn claim(claims: &Claims, digests: &[u8]) -> Claimed {
        claims.claim(digests.iter().map(|it| [*it; 32]).collect(), NOW)
    }

    fn new(claimed: Claimed) -> Claim {
        match claimed {
            Claimed::New(claim) => claim,
            other @ (Claimed::Repeat | Claimed::UnderWay) => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_was_taken_is_a_repeat_and_what_was_not_counts_again() {
        let claims = Claims::new(LIMITS);
        drop(new(claim(&claims, b"a")));
        let first = new(claim(&claims, b"a"));
        assert!(matches!(claim(&claims, b"a"), Claimed::UnderWay));
        first.keep(NOW);
        assert!(matches!(claim(&claims, b"a"), Claimed::Repeat));
        drop(new(claim(&claims, b"b")));
        assert!(claims.memory().under_way.is_empty());
        let later = NOW + LIMITS.age;
        new(claims.claim([[b'a'; 32]].into(), later));
    }

    #[test]
    fn a_repeat_is_that_of_which_all_was_taken_before() {
        let claims = Claims::new(LIMITS);
        let first = new(claim(&claims, b"*a"));
        assert!(matches!(claim(&claims, b"*"), Claimed::UnderWay));
        first.keep(NOW);
        assert!(matches!(claim(&claims, b"a"), Claimed::Repeat));
        assert!(matches!(claim(&claims, b"a*"), Claimed::Repeat));
        let second = new(claim(&claims, b"*b"));
        assert!(matches!(claim(&claims, b"*b"), Claimed::UnderWay));
        second.keep(NOW);
        assert!(matches!(claim(&claims, b"*b"), Claimed::Repeat));
    }

    #[test]
    fn what_has_no_digest_is_never_a_repeat() {
        let claims = Claims::new(LIMITS);
        for _ in 0..2 {
            new(claim(&claims, b"")).keep(NOW);
        }
        assert!(claims.memory().accepted.is_empty());
    }
}
