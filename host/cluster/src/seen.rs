//! Which events a partition has seen: rows of the commit that applied them.

use std::collections::{BTreeSet, HashMap};

use crate::ids::{Once, Payload};
use crate::row::{RowKey, Tx};
use crate::time::{Times, millis};

/// Their table.
pub const TABLE: &str = "seen";

/// How many are remembered at most; the oldest go first.
const BOUND: usize = 65_536;

/// How many that are too old are forgotten in one commit.
const FORGOTTEN_AT_ONCE: usize = 256;

/// The ids of events, each with when it was first seen.
///
/// Times are the server's, from when the event was added to the inbox: no host's clock decides what is forgotten.
#[derive(Debug, Default)]
pub struct SeenEvents {
    known: HashMap<Once, u64>,
    by_age: BTreeSet<(u64, Once)>,
}

impl SeenEvents {
    /// What a row says.
    pub fn load(&mut self, number: u64, value: &Payload) {
        let bytes: [u8; 8] = value.bytes().try_into().unwrap_or_default();
        self.insert(Once::new(number), u64::from_be_bytes(bytes));
    }

    /// Whether it is new; then it is remembered. `at`: when it was added, in
    /// milliseconds of the server's clock.
    pub fn is_new(&mut self, once: Once, at: u64, tx: &mut Tx) -> bool {
        if self.known.contains_key(&once) {
            return false;
        }
        self.insert(once, at);
        tx.put(row(once), Payload::new(&at.to_be_bytes()));
        true
    }

    fn insert(&mut self, once: Once, at: u64) {
        if let Some(before) = self.known.insert(once, at) {
            self.by_age.remove(&(before, once));
        }
        self.by_age.insert((at, once));
    }

    /// Forgets what is too old, or too much.
    pub fn forget(&mut self, times: Times, at: u64, tx: &mut Tx) {
        let oldest = at.saturating_sub(millis(times.remember()));
        for _ in 0..FORGOTTEN_AT_ONCE {
            match self.by_age.first() {
                Some((at, once)) if *at < oldest || self.known.len() > BOUND => {
                    let (at, once) = (*at, *once);
                    self.by_age.remove(&(at, once));
                    self.known.remove(&once);
                    tx.delete(row(once));
                }
                Some(_) | None => return,
            }
        }
    }

    /// How many are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}

fn row(once: Once) -> RowKey {
    RowKey::new(TABLE, "", "", once.get())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::row::Change;

    #[test]
    fn an_event_is_new_once_also_for_the_next_owner() {
        let (mut seen, mut tx) = (SeenEvents::default(), Tx::default());
        assert!(
            seen.is_new(Once::new(7), 1000, &mut tx) && !seen.is_new(Once::new(7), 2000, &mut tx)
        );
        let [Change::Put(key, value)] = &tx.changes[..] else { panic!("{tx:?}") };
        let mut next = SeenEvents::default();
        next.load(key.number, value);
        assert!(!next.is_new(Once::new(7), 3000, &mut Tx::default()));
    }

    #[test]
    fn what_is_old_or_too_much_is_forgotten_with_its_row() {
        let times = Times::default().remembering(Duration::from_secs(10));
        let (mut seen, mut tx) = (SeenEvents::default(), Tx::default());
        seen.is_new(Once::new(1), 1000, &mut tx);
        seen.is_new(Once::new(2), 9000, &mut tx);
        let mut tx = Tx::default();
        seen.forget(times, 11_001, &mut tx);
        assert_eq!((seen.len(), tx.changes.len()), (1, 1));
        for n in 0..BOUND as u64 + 10 {
            seen.is_new(Once::new(100 + n), 9001, &mut Tx::default());
        }
        seen.forget(times, 11_001, &mut Tx::default());
        assert_eq!(seen.len(), BOUND);
        assert!(seen.is_new(Once::new(2), 9001, &mut Tx::default()), "the oldest went first");
    }
}
