//! What webhooks of a plugin were taken, so that a repeat means nothing: bounded, and expiring.
//!
//! A webhook is known by what its plugin had verified of it: the names of the secrets and the signed
//! data. Nothing else of a request is proved, so nothing else can make a repeat look new. Where nothing
//! was verified, nothing is a repeat.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

/// What is verified in one call at most for it to be known again.
const MAX_PER_CALL: usize = 16;

/// SHA-256 over a secret's name and the data that its signature fitted.
type Digest = [u8; 32];

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
    fn into_digests(self) -> BTreeSet<Digest> {
        if self.too_many { BTreeSet::new() } else { self.digests }
    }
}

/// How much is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// At most so many digests; a webhook has one, rarely two. Each takes about 120 bytes.
    pub(super) entries: usize,
    /// At most for so long. Platforms give up sending again before that.
    pub(super) age: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { entries: 65_536, age: Duration::from_secs(24 * 3600) }
    }
}

/// The webhooks that were taken. Cloning shares it.
#[derive(Debug, Clone)]
pub(super) struct Replays(Arc<Mutex<Memory>>);

#[derive(Debug)]
struct Memory {
    limits: Limits,
    taken: HashMap<Digest, Instant>,
    /// The keys of `taken`, oldest first.
    order: VecDeque<Digest>,
    /// Of webhooks that are being taken; as many as there are requests at the same time.
    under_way: BTreeSet<Digest>,
}

/// What a webhook is to those that were taken.
#[derive(Debug)]
pub(super) enum Seen {
    /// It isn't among them.
    New(Claim),
    /// It is one of them.
    Repeat,
    /// It is being taken at this moment.
    UnderWay,
}

/// A webhook that is being taken. Dropped without [`Claim::keep`], it was never there: the platform
/// sends it again, and then it must count.
#[derive(Debug)]
pub(super) struct Claim {
    replays: Replays,
    digests: BTreeSet<Digest>,
}

impl Replays {
    /// Remembers nothing yet.
    pub(super) fn new(limits: Limits) -> Self {
        let (taken, order, under_way) = (HashMap::new(), VecDeque::new(), BTreeSet::new());
        Self(Arc::new(Mutex::new(Memory { limits, taken, order, under_way })))
    }

    /// Looks whether a webhook was taken before; where not, it is being taken from here on.
    ///
    /// A repeat is one of which *all* was verified before: a plugin may have something verified that
    /// stands in every webhook.
    pub(super) fn claim(&self, verified: Verified, now: Instant) -> Seen {
        let digests = verified.into_digests();
        let mut memory = self.memory();
        memory.forget(now);
        let known = |digest| memory.taken.contains_key(digest);
        if !digests.is_empty() && digests.iter().all(known) {
            return Seen::Repeat;
        }
        let busy = |digest| known(digest) || memory.under_way.contains(digest);
        if !digests.is_empty() && digests.iter().all(busy) {
            return Seen::UnderWay;
        }
        memory.under_way.extend(&digests);
        drop(memory);
        Seen::New(Claim { replays: self.clone(), digests })
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim {
    /// The webhook was taken: what comes again is a repeat.
    pub(super) fn keep(self, now: Instant) {
        let mut memory = self.replays.memory();
        for digest in &self.digests {
            if memory.taken.insert(*digest, now).is_none() {
                memory.order.push_back(*digest);
            }
        }
        memory.forget(now);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut memory = self.replays.memory();
        for digest in &self.digests {
            memory.under_way.remove(digest);
        }
    }
}

impl Memory {
    fn forget(&mut self, now: Instant) {
        while let Some(oldest) = self.order.front() {
            let age = |at: &Instant| now.saturating_duration_since(*at);
            let too_old = self.taken.get(oldest).is_none_or(|at| age(at) >= self.limits.age);
            if !too_old && self.order.len() <= self.limits.entries {
                break;
            }
            self.taken.remove(oldest);
            self.order.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { entries: 4, age: Duration::from_secs(100) };

    fn verified(data: &[&str]) -> Verified {
        let mut verified = Verified::default();
        for data in data {
            verified.add("incoming", data.as_bytes());
        }
        verified
    }

    fn new(seen: Seen) -> Claim {
        match seen {
            Seen::New(claim) => claim,
            other @ (Seen::Repeat | Seen::UnderWay) => panic!("{other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_taken_is_a_repeat_and_what_was_not_counts_again() {
        let (replays, now) = (Replays::new(LIMITS), Instant::now());
        drop(new(replays.claim(verified(&["a"]), now)));
        let claim = new(replays.claim(verified(&["a"]), now));
        assert!(matches!(replays.claim(verified(&["a"]), now), Seen::UnderWay));
        claim.keep(now);
        assert!(matches!(replays.claim(verified(&["a"]), now), Seen::Repeat));
        drop(new(replays.claim(verified(&["b"]), now)));
        assert!(replays.memory().under_way.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_repeat_is_one_of_which_all_was_verified_before() {
        let (replays, now) = (Replays::new(LIMITS), Instant::now());
        new(replays.claim(verified(&["always", "a"]), now)).keep(now);
        assert!(matches!(replays.claim(verified(&["a"]), now), Seen::Repeat));
        assert!(matches!(replays.claim(verified(&["a", "always"]), now), Seen::Repeat));
        new(replays.claim(verified(&["always", "b"]), now)).keep(now);
    }

    #[tokio::test(start_paused = true)]
    async fn where_nothing_or_too_much_was_verified_nothing_is_a_repeat() {
        let (replays, now) = (Replays::new(LIMITS), Instant::now());
        let many: Vec<_> = (0..=MAX_PER_CALL).map(|n| n.to_string()).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        for data in [&[][..], &many] {
            new(replays.claim(verified(data), now)).keep(now);
            new(replays.claim(verified(data), now)).keep(now);
        }
        assert!(replays.memory().taken.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_secret_is_part_of_what_a_webhook_is_known_by() {
        let digests = |secret: &str, data: &str| {
            let mut verified = Verified::default();
            verified.add(secret, data.as_bytes());
            verified.into_digests()
        };
        assert_eq!(digests("a", "b"), digests("a", "b"));
        assert_ne!(digests("a", "b"), digests("b", "b"));
        assert_ne!(digests("a", "bc"), digests("ab", "c"));
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded_by_count_and_age() {
        let (replays, start) = (Replays::new(LIMITS), Instant::now());
        for n in 0..100 {
            new(replays.claim(verified(&[&n.to_string()]), start)).keep(start);
            assert!(replays.memory().order.len() <= LIMITS.entries);
        }
        drop(new(replays.claim(verified(&["95"]), start)));
        assert!(matches!(replays.claim(verified(&["96"]), start), Seen::Repeat));
        assert!(matches!(replays.claim(verified(&["99"]), start), Seen::Repeat));
        let later = start + LIMITS.age;
        drop(new(replays.claim(verified(&["99"]), later)));
        let memory = replays.memory();
        assert!(memory.taken.is_empty() && memory.order.is_empty());
    }
}
