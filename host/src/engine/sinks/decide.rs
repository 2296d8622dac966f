//! What a person decides about what waits for sinks, and about what they were not given.

use std::collections::HashMap;
use std::sync::Arc;

use super::lanes::progress_row;
use crate::clock::Timestamp;
use crate::engine::inbox::{LaneKind, NoteRef};
use crate::engine::round::{Engine, Named, Round};
use crate::engine::rows::{delete, put, read, session_group};
use crate::ids::SessionKey;
use crate::outbox::lane::{DeadLetter, Progress};
use crate::outbox::parcel::Parcel;
use crate::store::{StoreError, Table};

impl Engine {
    /// Reads what is stored of the parcels of these sessions, dead or waiting.
    pub(in crate::engine) async fn load_named_parcels(
        &self,
        keys: Vec<SessionKey>,
        named: &mut HashMap<NoteRef, Named>,
    ) -> Result<(), StoreError> {
        if keys.is_empty() {
            return Ok(());
        }
        let groups: Vec<_> = keys.iter().map(session_group).collect();
        let at = |key: &SessionKey, seq| NoteRef { key: key.clone(), lane: LaneKind::Sink, seq };
        for (key, rows) in keys.iter().zip(self.store.load(Table::Parcel, &groups).await?) {
            for (seq, value) in rows {
                if let Some(parcel) = read::<Parcel>(Table::Parcel, seq, &value) {
                    named.insert(at(key, seq), Named::WaitingParcel(Arc::new(parcel)));
                }
            }
        }
        // One that holds its lane has both rows, and is dead.
        for (key, rows) in keys.iter().zip(self.store.load(Table::ParcelDead, &groups).await?) {
            for (seq, value) in rows {
                let letter = read::<DeadLetter<Parcel>>(Table::ParcelDead, seq, &value);
                if let Some(letter) = letter {
                    named.insert(at(key, seq), Named::DeadParcel(Box::new(letter)));
                }
            }
        }
        Ok(())
    }

    /// One that waits is due at once.
    pub(in crate::engine) fn hurry_parcel(
        &mut self,
        round: &mut Round,
        parcel: &Arc<Parcel>,
        now: Timestamp,
    ) -> bool {
        let enabled = self.enable(round, &parcel.plugin, now);
        let Some(live) = self.memory.sessions.get_mut(&parcel.key) else { return false };
        live.touched = now;
        let sink = live.sinks.of(&parcel.plugin);
        // One of those that aren't in memory is due when its turn comes.
        let changed = !sink.lane.is_behind(parcel.seq) && sink.lane.revive(parcel, now);
        if changed {
            let queued = sink.lane.queued(parcel.seq);
            round.changes.extend(queued.map(|queued| progress_row(&parcel.key, queued)));
        }
        changed || enabled
    }

    /// A dead letter is queued again, as if never tried.
    pub(in crate::engine) fn revive_parcel(
        &mut self,
        round: &mut Round,
        letter: &DeadLetter<Parcel>,
        now: Timestamp,
    ) -> bool {
        let parcel = &letter.note;
        self.enable(round, &parcel.plugin, now);
        let Some(live) = self.memory.sessions.get_mut(&parcel.key) else { return false };
        live.touched = now;
        if !live.sinks.of(&parcel.plugin).lane.revive(parcel, now) {
            return false;
        }
        self.counters.notes_revived.add(1);
        let (group, seq) = (session_group(&parcel.key), parcel.seq);
        let progress = Progress::revived(now);
        round.changes.push(put(Table::Parcel, group.clone(), seq, &**parcel));
        round.changes.push(put(Table::ParcelAttempt, group.clone(), seq, &progress));
        round.changes.push(delete(Table::ParcelDead, group, seq));
        true
    }

    /// One is removed for good. `holds_lane`: it stands in its lane.
    pub(in crate::engine) fn purge_parcel(
        &mut self,
        round: &mut Round,
        parcel: &Parcel,
        holds_lane: bool,
    ) -> bool {
        let Some(live) = self.memory.sessions.get_mut(&parcel.key) else { return false };
        if holds_lane {
            let sink = live.sinks.of(&parcel.plugin);
            if sink.lane.is_behind(parcel.seq) {
                sink.lane.purged_behind();
            } else if !sink.lane.purge(parcel.seq) {
                return false;
            }
            sink.forget(parcel.seq);
        }
        self.counters.notes_purged.add(1);
        for table in [Table::Parcel, Table::ParcelAttempt, Table::ParcelDead] {
            round.changes.push(delete(table, session_group(&parcel.key), parcel.seq));
        }
        true
    }
}
