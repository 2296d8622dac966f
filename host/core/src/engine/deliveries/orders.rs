//! What a person decides about deliveries: to have them tried again, or to remove them.
//!
//! A decision is about what is so when it is carried out: each row is looked up with what its transaction has changed
//! so far.

use std::sync::Arc;

use super::kind::Kind;
use super::lanes::{Lanes, attempt_row};
use super::pipeline::Pipeline;
use crate::engine::counters::Counters;
use crate::engine::order::{Decision, NoteRef};
use crate::engine::rows::{delete, put, read, session_group};
use crate::engine::tx::Tx;
use crate::ids::PluginName;
use crate::outbox::attempt::Attempts;
use crate::outbox::lane::{DeadLetter, Progress};
use crate::rows::Key;

/// What is stored of a delivery that a person decides about.
enum Named<K> {
    /// It waits.
    Waiting(Arc<K>),
    /// It is a dead letter.
    Dead(Box<DeadLetter<K>>),
}

impl<K: Kind> Pipeline<Lanes<K>> {
    /// Carries a decision out. `enable` has a plugin's calls made again, and says whether they weren't: whoever has
    /// its deliveries tried again has repaired it. `false`: there was nothing to be done.
    pub(in crate::engine) fn decide(
        &mut self,
        decision: Decision,
        of: &NoteRef,
        tx: &mut Tx,
        counters: &Counters,
        mut enable: impl FnMut(&PluginName, &mut Tx) -> bool,
    ) -> bool {
        let Some(named) = named::<K>(tx, of) else { return false };
        match (decision, named) {
            (Decision::Retry, Named::Waiting(item)) => {
                let enabled = enable(item.plugin(), tx);
                self.retry_now(&item, tx) || enabled
            }
            (Decision::Retry, Named::Dead(letter)) => {
                enable(letter.note.plugin(), tx);
                self.requeue(*letter, tx, counters)
            }
            (Decision::Purge, Named::Waiting(item)) => self.purge(&item, true, tx, counters),
            (Decision::Purge, Named::Dead(letter)) => {
                self.purge(&letter.note, letter.holds_lane, tx, counters)
            }
        }
    }

    /// What waits is due at once.
    fn retry_now(&mut self, item: &Arc<K>, tx: &mut Tx) -> bool {
        let place = self.get_mut(item.key()).and_then(|lanes| lanes.get_mut(item.plugin()));
        let Some(place) = place else { return false };
        // One of those that aren't in memory is due when its turn comes.
        let changed =
            !place.lane.is_behind(item.seq()) && place.lane.requeue(item, Attempts::NONE, tx.now);
        if changed {
            tx.extend(place.lane.queued(item.seq()).map(attempt_row));
        }
        changed
    }

    /// A dead letter is queued again, as if never tried.
    fn requeue(&mut self, letter: DeadLetter<K>, tx: &mut Tx, counters: &Counters) -> bool {
        let DeadLetter { note: item, tries, .. } = letter;
        let lane = &mut self.open(item.key()).of(item.plugin()).lane;
        if !lane.requeue(&item, tries.clone(), tx.now) {
            return false;
        }
        counters.notes_requeued.add(1);
        let (group, seq) = (session_group(item.key()), item.seq());
        let progress = Progress::requeued(tx.now, tries);
        tx.push(put(K::TABLES.queued, group.clone(), seq, &*item));
        tx.push(put(K::TABLES.attempt, group.clone(), seq, &progress));
        tx.push(delete(K::TABLES.dead, group, seq));
        true
    }

    /// Removes one for good. `in_lane`: it stands in its lane. One whose call is under way stays.
    fn purge(&mut self, item: &Arc<K>, in_lane: bool, tx: &mut Tx, counters: &Counters) -> bool {
        let (key, seq) = (item.key(), item.seq());
        if in_lane {
            let place = self.get_mut(key).and_then(|lanes| lanes.get_mut(item.plugin()));
            let Some(place) = place else { return false };
            if place.lane.is_behind(seq) {
                place.lane.purged_behind();
            } else if !place.lane.purge(seq) {
                return false;
            }
            place.forget(seq);
        }
        counters.notes_purged.add(1);
        for table in [K::TABLES.queued, K::TABLES.attempt, K::TABLES.dead] {
            tx.push(delete(table, session_group(key), seq));
        }
        true
    }
}

/// What a delivery is, the changes of the transaction included. One that holds its lane has both rows, and is dead.
fn named<K: Kind>(tx: &Tx, of: &NoteRef) -> Option<Named<K>> {
    let row = |table| tx.row(&Key { table, group: session_group(&of.key), number: of.seq });
    if let Some(letter) = row(K::TABLES.dead) {
        let letter = read::<DeadLetter<K>>(K::TABLES.dead, of.seq, letter)?;
        return Some(Named::Dead(Box::new(letter)));
    }
    let item = read::<K>(K::TABLES.queued, of.seq, row(K::TABLES.queued)?)?;
    Some(Named::Waiting(Arc::new(item)))
}
