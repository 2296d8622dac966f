//! What a person decides about deliveries: to have them tried again, or to remove them.
//!
//! A decision is about what is so when it is carried out. The rows were read before the other inputs of its round
//! were applied, so each is looked up with the round's changes on top.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{Kind, attempt_row};
use crate::clock::Timestamp;
use crate::engine::inbox::{Decision, LaneKind, NoteRef};
use crate::engine::round::{Engine, Round};
use crate::engine::rows::{delete, put, read, session_group};
use crate::ids::PluginName;
use crate::outbox::lane::{DeadLetter, Progress};
use crate::outbox::note::Note;
use crate::outbox::sink_delivery::SinkDelivery;
use crate::store::{Group, Key, Store, StoreError, Table};

/// What is stored of a delivery that a person decides about.
enum Named<K> {
    /// It waits.
    Waiting(Arc<K>),
    /// It is a dead letter.
    Dead(Box<DeadLetter<K>>),
}

impl Engine {
    /// Reads the rows of what is decided about.
    pub(in crate::engine) async fn load_named(
        &self,
        decided: HashSet<NoteRef>,
    ) -> Result<HashMap<Key, Vec<u8>>, StoreError> {
        let mut rows = HashMap::new();
        for (lane, tables) in [
            (LaneKind::Note, <Note as Kind>::TABLES),
            (LaneKind::Sink, <SinkDelivery as Kind>::TABLES),
        ] {
            let of_kind = || decided.iter().filter(|named| named.lane == lane);
            let wanted: HashSet<(Group, u64)> =
                of_kind().map(|named| (session_group(&named.key), named.seq)).collect();
            let groups: HashSet<&Group> = wanted.iter().map(|(group, _)| group).collect();
            let groups: Vec<Group> = groups.into_iter().cloned().collect();
            for table in [tables.queued, tables.dead] {
                load_rows(&*self.store, table, &groups, &wanted, &mut rows).await?;
            }
        }
        Ok(rows)
    }

    /// Carries a decision out. Returns for how many it was.
    pub(in crate::engine) fn decide(
        &mut self,
        round: &mut Round,
        decision: Decision,
        notes: Vec<NoteRef>,
        now: Timestamp,
    ) -> usize {
        let mut carried_out = 0;
        let mut seen = HashSet::new();
        for named in notes {
            // One that is named twice counts once.
            if !seen.insert(named.clone()) {
                continue;
            }
            let done = match named.lane {
                LaneKind::Note => self.decide_one::<Note>(round, decision, &named, now),
                LaneKind::Sink => self.decide_one::<SinkDelivery>(round, decision, &named, now),
            };
            if done {
                carried_out += 1;
                round.touched.push(named.key);
            }
        }
        carried_out
    }

    fn decide_one<K: Kind>(
        &mut self,
        round: &mut Round,
        decision: Decision,
        of: &NoteRef,
        now: Timestamp,
    ) -> bool {
        let Some(named) = named::<K>(round, of) else { return false };
        match (decision, named) {
            (Decision::Retry, Named::Waiting(item)) => self.retry_now(round, &item, now),
            (Decision::Retry, Named::Dead(letter)) => self.requeue(round, &letter.note, now),
            (Decision::Purge, Named::Waiting(item)) => self.purge(round, &*item, true),
            (Decision::Purge, Named::Dead(letter)) => {
                self.purge(round, &*letter.note, letter.holds_lane)
            }
        }
    }

    /// Has the plugin's calls made again: whoever has its deliveries tried again has repaired it.
    fn enable(&mut self, round: &mut Round, plugin: &PluginName, now: Timestamp) -> bool {
        let enabled = self.accounts.enable(plugin, now, &self.counters);
        if enabled {
            round.accounts.insert(plugin.clone());
        }
        enabled
    }

    /// What waits is due at once.
    fn retry_now<K: Kind>(&mut self, round: &mut Round, item: &Arc<K>, now: Timestamp) -> bool {
        let enabled = self.enable(round, item.plugin(), now);
        let Some(live) = self.memory.sessions.get_mut(item.key()) else { return false };
        live.touched = now;
        let Some(place) = K::lanes_mut(live).get_mut(item.plugin()) else { return enabled };
        // One of those that aren't in memory is due when its turn comes.
        let changed = !place.lane.is_behind(item.seq()) && place.lane.revive(item, now);
        if changed {
            round.changes.extend(place.lane.queued(item.seq()).map(attempt_row));
        }
        changed || enabled
    }

    /// A dead letter is queued again, as if never tried.
    fn requeue<K: Kind>(&mut self, round: &mut Round, item: &Arc<K>, now: Timestamp) -> bool {
        self.enable(round, item.plugin(), now);
        let Some(live) = self.memory.sessions.get_mut(item.key()) else { return false };
        live.touched = now;
        if !K::lanes_mut(live).of(item.plugin()).lane.revive(item, now) {
            return false;
        }
        self.counters.notes_requeued.add(1);
        let (group, seq) = (session_group(item.key()), item.seq());
        let progress = Progress::revived(now);
        round.changes.push(put(K::TABLES.queued, group.clone(), seq, &**item));
        round.changes.push(put(K::TABLES.attempt, group.clone(), seq, &progress));
        round.changes.push(delete(K::TABLES.dead, group, seq));
        true
    }

    /// Removes one for good. `in_lane`: it stands in its lane. One whose call is under way stays.
    fn purge<K: Kind>(&mut self, round: &mut Round, item: &K, in_lane: bool) -> bool {
        let (key, seq) = (item.key(), item.seq());
        let Some(live) = self.memory.sessions.get_mut(key) else { return false };
        if in_lane {
            let Some(place) = K::lanes_mut(live).get_mut(item.plugin()) else { return false };
            if place.lane.is_behind(seq) {
                place.lane.purged_behind();
            } else if !place.lane.purge(seq) {
                return false;
            }
            place.forget(seq);
        }
        self.counters.notes_purged.add(1);
        for table in [K::TABLES.queued, K::TABLES.attempt, K::TABLES.dead] {
            round.changes.push(delete(table, session_group(key), seq));
        }
        true
    }
}

/// What a delivery is, the changes of the round included. One that holds its lane has both rows, and is dead.
fn named<K: Kind>(round: &Round, of: &NoteRef) -> Option<Named<K>> {
    let row = |table| {
        let key = Key { table, group: session_group(&of.key), number: of.seq };
        round.row(&key)
    };
    if let Some(letter) = row(K::TABLES.dead) {
        let letter = read::<DeadLetter<K>>(K::TABLES.dead, of.seq, letter)?;
        return Some(Named::Dead(Box::new(letter)));
    }
    let item = read::<K>(K::TABLES.queued, of.seq, row(K::TABLES.queued)?)?;
    Some(Named::Waiting(Arc::new(item)))
}

async fn load_rows(
    store: &dyn Store,
    table: Table,
    groups: &[Group],
    wanted: &HashSet<(Group, u64)>,
    rows: &mut HashMap<Key, Vec<u8>>,
) -> Result<(), StoreError> {
    if groups.is_empty() {
        return Ok(());
    }
    for (group, of_group) in groups.iter().zip(store.load(table, groups).await?) {
        for (number, value) in of_group {
            if wanted.contains(&(group.clone(), number)) {
                rows.insert(Key { table, group: group.clone(), number }, value);
            }
        }
    }
    Ok(())
}
