//! Which events were accepted before: a tool sends again what it got no answer for, together with others.
//!
//! The ids are rows of the store, several in a row, written in the commit that has the events. A row is written again with
//! later ones until it has [`FULL`], and only with ids that are committed: a commit that fails takes none along.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sidenote_sources::Batch;

use crate::clock::Timestamp;
use crate::engine::core::rows::{delete, put, read, source_group};
use crate::ids::PluginName;
use crate::store::{Change, Table};

/// So many ids are remembered at least; those of one row more at most.
const REMEMBERED: usize = 131_072;
/// A row with so many ids isn't written again.
const FULL: usize = 64;

/// What an event is known by.
type Id = u128;

/// The events of one source. Cloning shares it.
#[derive(Clone, Default)]
pub(super) struct Seen(Arc<Mutex<Memory>>);

#[derive(Default)]
struct Memory {
    ids: HashSet<Id>,
    /// The rows that are committed, the oldest first.
    rows: VecDeque<Row>,
    /// The number of the next new row.
    next: u64,
    /// As many as are let in at the same time.
    under_way: HashSet<Id>,
    /// How many commits are under way.
    commits: usize,
    /// One of them failed: what is remembered isn't what is stored.
    is_stale: bool,
}

struct Row {
    number: u64,
    ids: Vec<Id>,
}

/// A row as it is stored.
#[derive(Serialize, Deserialize)]
struct Stored {
    at: Timestamp,
    ids: Vec<Id>,
}

/// Events that are being accepted. Dropped before its commit, they never came.
pub(super) struct Claim {
    seen: Seen,
    ids: Vec<Id>,
}

/// A commit that is under way. Dropped without [`Commit::keep`], it failed: the source's memory is read anew then.
pub(super) struct Commit {
    seen: Seen,
    claim: Option<Claim>,
    row: Option<Row>,
    is_kept: bool,
}

/// One of them is being accepted at this moment: whether it will be isn't known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UnderWay;

impl Seen {
    /// Remembers what was stored, and nothing else. No commit may be under way.
    pub(super) fn load(&self, stored: Vec<(u64, Vec<u8>)>) {
        let mut memory = Memory::default();
        for (number, value) in stored {
            let Some(row) = read::<Stored>(Table::SourceSeen, number, &value) else { continue };
            memory.next = number.saturating_add(1);
            memory.ids.extend(&row.ids);
            memory.rows.push_back(Row { number, ids: row.ids });
        }
        *self.memory() = memory;
    }

    /// Whether what is remembered must be read anew: a commit failed.
    ///
    /// # Errors
    /// [`UnderWay`]: it must, and can't yet, since others are under way.
    pub(super) fn is_stale(&self) -> Result<bool, UnderWay> {
        let memory = self.memory();
        if memory.is_stale && memory.commits > 0 { Err(UnderWay) } else { Ok(memory.is_stale) }
    }

    /// Leaves out of batches, each of its product, what was accepted before or stands there twice, and says how much that
    /// was. What has no id is none of it.
    ///
    /// # Errors
    /// [`UnderWay`]; nothing is claimed.
    pub(super) fn claim(&self, batches: &mut [Batch]) -> Result<(Claim, u64), UnderWay> {
        let mut memory = self.memory();
        let mut new: HashSet<Id> = HashSet::new();
        let mut ids = Vec::new();
        let (mut repeats, mut busy) = (0, false);
        for batch in batches {
            let product = batch.product_id.as_deref().unwrap_or_default();
            batch.events.retain(|event| {
                if event.id.is_empty() {
                    return true;
                }
                let id = id(product, &event.id);
                busy |= memory.under_way.contains(&id);
                let is_new = !memory.ids.contains(&id) && new.insert(id);
                if is_new {
                    ids.push(id);
                }
                repeats += u64::from(!is_new);
                is_new
            });
        }
        if busy {
            return Err(UnderWay);
        }
        memory.under_way.extend(&ids);
        drop(memory);
        Ok((Claim { seen: self.clone(), ids }, repeats))
    }

    /// A commit without events.
    pub(super) fn commit(&self) -> Commit {
        self.memory().commits += 1;
        Commit { seen: self.clone(), claim: None, row: None, is_kept: false }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim {
    /// The commit that has the events, and its rows: one with their ids, and none any more of those that are too many.
    pub(super) fn commit(self, source: &PluginName, now: Timestamp) -> (Commit, Vec<Change>) {
        let mut commit = self.seen.commit();
        let mut changes = Vec::new();
        if !self.ids.is_empty() {
            let mut memory = self.seen.memory();
            let mut row = memory.row();
            row.ids.extend(&self.ids);
            let group = source_group(source);
            let stored = Stored { at: now, ids: row.ids.clone() };
            changes.push(put(Table::SourceSeen, group.clone(), row.number, &stored));
            while let Some(gone) = memory.oldest() {
                changes.push(delete(Table::SourceSeen, group.clone(), gone));
            }
            commit.row = Some(row);
        }
        commit.claim = Some(self);
        (commit, changes)
    }
}

impl Memory {
    /// The row that later ids go into.
    fn row(&mut self) -> Row {
        if self.rows.back().is_some_and(|row| row.ids.len() < FULL)
            && let Some(row) = self.rows.pop_back()
        {
            return row;
        }
        let number = self.next;
        self.next = number.saturating_add(1);
        Row { number, ids: Vec::new() }
    }

    /// Forgets the oldest row, where there is enough without it.
    fn oldest(&mut self) -> Option<u64> {
        let row = self.rows.front()?;
        if self.ids.len() < REMEMBERED + row.ids.len() {
            return None;
        }
        let row = self.rows.pop_front()?;
        for id in &row.ids {
            self.ids.remove(id);
        }
        Some(row.number)
    }
}

impl Commit {
    /// It is stored: what comes again is a repeat.
    pub(super) fn keep(mut self) {
        self.is_kept = true;
        let mut memory = self.seen.memory();
        memory.ids.extend(self.claim.iter().flat_map(|claim| &claim.ids));
        memory.rows.extend(self.row.take());
    }
}

impl Drop for Commit {
    fn drop(&mut self) {
        let mut memory = self.seen.memory();
        memory.commits -= 1;
        memory.is_stale |= !self.is_kept;
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

    /// What the store has, as it follows the commits.
    #[derive(Default)]
    struct Rows(std::collections::BTreeMap<u64, Vec<u8>>);

    impl Rows {
        fn apply(&mut self, changes: Vec<Change>) {
            for change in changes {
                match change {
                    Change::Put(key, value) => drop(self.0.insert(key.number, value)),
                    Change::Delete(key) => drop(self.0.remove(&key.number)),
                }
            }
        }

        fn loaded(&self) -> Seen {
            let seen = Seen::default();
            seen.load(self.0.clone().into_iter().collect());
            seen
        }
    }

    fn accept(seen: &Seen, rows: &mut Rows, ids: &[&str]) -> u64 {
        let (claimed, _, repeats) = claim(seen, ids);
        let (commit, changes) = claimed.unwrap().commit(&"s".into(), Timestamp(7));
        rows.apply(changes);
        commit.keep();
        repeats
    }

    #[test]
    fn what_was_accepted_is_left_out_and_what_is_new_beside_it_is_not() {
        let (seen, mut rows) = (Seen::default(), Rows::default());
        let (_, left, repeats) = claim(&seen, &["a", "b", "a", "", ""]);
        assert_eq!((left.join(","), repeats), ("a,b,,".to_owned(), 1));
        assert_eq!(accept(&seen, &mut rows, &["a", "b", "a", "", ""]), 1);
        let (_, left, repeats) = claim(&seen, &["a", "b", "c"]);
        assert_eq!((left.join(","), repeats), ("c".to_owned(), 2));
        assert_eq!(accept(&seen, &mut rows, &["a", "b", "c"]), 2);
        let mut other = batch(&["a"]);
        other[0].product_id = Some("beta".to_owned());
        assert_eq!(seen.claim(&mut other).map(|(_, repeats)| repeats), Ok(0));
        assert_eq!(rows.0.len(), 1, "small commits share a row");
        assert_eq!(accept(&rows.loaded(), &mut rows, &["a", "b", "c", "d"]), 3);
        assert_eq!(rows.0.len(), 1);
    }

    #[test]
    fn what_is_under_way_is_known_when_it_ended() {
        let (seen, mut rows) = (Seen::default(), Rows::default());
        let (first, ..) = claim(&seen, &["a"]);
        assert!(claim(&seen, &["a", "b"]).0.is_none());
        drop(first);
        let (again, left, _) = claim(&seen, &["a", "b"]);
        assert_eq!(left, ["a", "b"]);
        let (commit, changes) = again.unwrap().commit(&"s".into(), Timestamp(7));
        assert!(claim(&seen, &["b"]).0.is_none());
        rows.apply(changes);
        commit.keep();
        assert!(seen.memory().under_way.is_empty());
        assert_eq!(claim(&seen, &["b"]).2, 1);
    }

    #[test]
    fn a_commit_that_fails_leaves_no_id_in_another_ones_row_and_has_the_rows_read_anew() {
        let (seen, mut rows) = (Seen::default(), Rows::default());
        accept(&seen, &mut rows, &["a"]);
        let (failing, _) = claim(&seen, &["b"]).0.unwrap().commit(&"s".into(), Timestamp(7));
        let (other, changes) = claim(&seen, &["c"]).0.unwrap().commit(&"s".into(), Timestamp(7));
        rows.apply(changes);
        drop(failing);
        assert_eq!(seen.is_stale(), Err(UnderWay));
        other.keep();
        assert_eq!(seen.is_stale(), Ok(true));
        seen.load(rows.0.clone().into_iter().collect());
        assert_eq!(seen.is_stale(), Ok(false));
        let (_, left, _) = claim(&seen, &["a", "b", "c"]);
        assert_eq!(left, ["b"]);
    }

    #[test]
    fn memory_and_rows_are_bounded() {
        let (seen, mut rows) = (Seen::default(), Rows::default());
        let name = |n: usize| n.to_string();
        for from in (0..2 * REMEMBERED).step_by(500) {
            let ids: Vec<_> = (from..from + 500).map(name).collect();
            accept(&seen, &mut rows, &ids.iter().map(String::as_str).collect::<Vec<_>>());
        }
        for known in [seen.clone(), rows.loaded()] {
            let memory = known.memory();
            assert!((REMEMBERED..REMEMBERED + 1000).contains(&memory.ids.len()));
            assert_eq!(
                memory.rows.iter().map(|row| row.ids.len()).sum::<usize>(),
                memory.ids.len()
            );
            assert_eq!(memory.rows.len(), rows.0.len());
        }
        let bytes: usize = rows.0.values().map(Vec::len).sum();
        assert!(bytes < REMEMBERED * 20, "{bytes}");
        assert_eq!(claim(&seen, &[&name(2 * REMEMBERED - 1), &name(0)]).2, 1);
    }
}
