//! Which events were accepted before: a tool sends again what it got no answer for, together with others.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};
use sidenote_sources::Batch;

/// So many ids are remembered at least; twice as many at most.
const REMEMBERED: usize = 131_072;

/// What an event is known by.
type Id = u128;

/// The events of one source. Cloning shares it.
#[derive(Clone, Default)]
pub(super) struct Seen(Arc<Mutex<Memory>>);

#[derive(Default)]
struct Memory {
    /// Two generations: where the first is full, it becomes the second, and what was that is forgotten.
    latest: HashSet<Id>,
    before: HashSet<Id>,
    /// As many as are let in at the same time.
    under_way: HashSet<Id>,
}

/// Events that are being accepted. Dropped without [`Claim::keep`], they never came.
pub(super) struct Claim {
    seen: Seen,
    ids: Vec<Id>,
}

/// One of them is being accepted at this moment: whether it will be isn't known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UnderWay;

impl Seen {
    /// Leaves out of batches, each of its product, what was accepted before or stands there twice, and says how much that
    /// was. What has no id is none of it.
    ///
    /// # Errors
    /// [`UnderWay`]; nothing is claimed.
    pub(super) fn claim(&self, batches: &mut [Batch]) -> Result<(Claim, u64), UnderWay> {
        let mut memory = self.memory();
        let mut new: HashSet<Id> = HashSet::new();
        let (mut repeats, mut busy) = (0, false);
        for batch in batches {
            let product = batch.product_id.as_deref().unwrap_or_default();
            batch.events.retain(|event| {
                if event.id.is_empty() {
                    return true;
                }
                let id = id(product, &event.id);
                busy |= memory.under_way.contains(&id);
                let is_new = !memory.has(id) && new.insert(id);
                repeats += u64::from(!is_new);
                is_new
            });
        }
        if busy {
            return Err(UnderWay);
        }
        memory.under_way.extend(&new);
        drop(memory);
        Ok((Claim { seen: self.clone(), ids: new.into_iter().collect() }, repeats))
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    fn has(&self, id: Id) -> bool {
        self.latest.contains(&id) || self.before.contains(&id)
    }

    fn remember(&mut self, id: Id) {
        if self.latest.len() >= REMEMBERED {
            self.before = std::mem::take(&mut self.latest);
        }
        self.latest.insert(id);
    }
}

impl Claim {
    /// They were accepted: what comes again is a repeat.
    pub(super) fn keep(self) {
        let mut memory = self.seen.memory();
        self.ids.iter().for_each(|id| memory.remember(*id));
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut memory = self.seen.memory();
        for id in &self.ids {
            memory.under_way.remove(id);
        }
    }
}

fn id(product: &str, id: &str) -> Id {
    let mut hash = Sha256::new();
    hash.update((product.len() as u64).to_be_bytes());
    hash.update(product);
    hash.update(id);
    Id::from_be_bytes(hash.finalize()[..16].try_into().expect("a hash has 32 bytes"))
}

#[cfg(test)]
mod tests {
    use sidenote_sources::Event;

    use super::*;

    fn batch(ids: &[&str]) -> Vec<Batch> {
        let event = |id: &&str| Event { id: (*id).to_owned(), ..Event::default() };
        let product_id = Some("acme".to_owned());
        vec![Batch { product_id, events: ids.iter().map(event).collect(), ..Batch::default() }]
    }

    fn claim(seen: &Seen, ids: &[&str]) -> (Option<Claim>, Vec<String>, u64) {
        let mut batches = batch(ids);
        let claimed = seen.claim(&mut batches);
        let left = batches.remove(0).events.into_iter().map(|event| event.id).collect();
        match claimed {
            Ok((claim, repeats)) => (Some(claim), left, repeats),
            Err(UnderWay) => (None, left, 0),
        }
    }

    #[test]
    fn what_was_accepted_is_left_out_and_what_is_new_beside_it_is_not() {
        let seen = Seen::default();
        let (first, left, repeats) = claim(&seen, &["a", "b", "a", "", ""]);
        assert_eq!((left.join(","), repeats), ("a,b,,".to_owned(), 1));
        first.unwrap().keep();
        let (second, left, repeats) = claim(&seen, &["a", "b", "c"]);
        assert_eq!((left.join(","), repeats), ("c".to_owned(), 2));
        second.unwrap().keep();
        let mut other = batch(&["a"]);
        other[0].product_id = Some("beta".to_owned());
        assert_eq!(seen.claim(&mut other).map(|(_, repeats)| repeats), Ok(0));
    }

    #[test]
    fn what_is_under_way_is_known_when_it_ended() {
        let seen = Seen::default();
        let (first, ..) = claim(&seen, &["a"]);
        assert!(claim(&seen, &["a", "b"]).0.is_none());
        drop(first);
        let (again, left, _) = claim(&seen, &["a", "b"]);
        assert_eq!(left, ["a", "b"]);
        drop(again);
        assert!(seen.memory().under_way.is_empty() && seen.memory().latest.is_empty());
    }

    #[test]
    fn memory_is_bounded() {
        let seen = Seen::default();
        for n in 0..3 * REMEMBERED {
            seen.memory().remember(n as u128);
        }
        let memory = seen.memory();
        assert!(memory.latest.len() + memory.before.len() <= 2 * REMEMBERED);
        assert!(memory.has(3 * REMEMBERED as u128 - 1) && !memory.has(0));
    }
}
