//! What a person decides about notes: to have them sent again, or to remove them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::engine::inbox::{Decision, LaneKind, NoteRef};
use crate::engine::live::progress_row;
use crate::engine::round::{Engine, Named, Round};
use crate::engine::rows::{delete, put, read, session_group};
use crate::ids::{PluginName, SessionKey};
use crate::outbox::lane::{DeadLetter, Progress};
use crate::outbox::note::Note;
use crate::store::{StoreError, Table};

impl Engine {
    /// Reads what is stored of the notes of these sessions, dead or waiting.
    pub(super) async fn load_named(
        &self,
        decided: HashSet<(SessionKey, LaneKind)>,
    ) -> Result<HashMap<NoteRef, Named>, StoreError> {
        let mut named = HashMap::new();
        let of = |kind| {
            let keys = decided.iter().filter(move |(_, lane)| *lane == kind);
            keys.map(|(key, _)| key.clone()).collect::<Vec<_>>()
        };
        let (notes, parcels) = (of(LaneKind::Note), of(LaneKind::Sink));
        self.load_named_notes(notes, &mut named).await?;
        self.load_named_parcels(parcels, &mut named).await?;
        Ok(named)
    }

    async fn load_named_notes(
        &self,
        keys: Vec<SessionKey>,
        named: &mut HashMap<NoteRef, Named>,
    ) -> Result<(), StoreError> {
        if keys.is_empty() {
            return Ok(());
        }
        let groups: Vec<_> = keys.iter().map(session_group).collect();
        for (key, rows) in keys.iter().zip(self.store.load(Table::Outbox, &groups).await?) {
            for (seq, value) in rows {
                if let Some(note) = read::<Note>(Table::Outbox, seq, &value) {
                    let note_ref = NoteRef::note(key.clone(), seq);
                    named.insert(note_ref, Named::Waiting(Arc::new(note)));
                }
            }
        }
        // One that holds its lane has both rows, and is dead.
        for (key, rows) in keys.iter().zip(self.store.load(Table::Dead, &groups).await?) {
            for (seq, value) in rows {
                if let Some(letter) = read::<DeadLetter>(Table::Dead, seq, &value) {
                    let note_ref = NoteRef::note(key.clone(), seq);
                    named.insert(note_ref, Named::Dead(Box::new(letter)));
                }
            }
        }
        Ok(())
    }

    /// Carries a decision out. Returns for how many of the notes.
    pub(super) fn decide(
        &mut self,
        round: &mut Round,
        decision: Decision,
        notes: Vec<NoteRef>,
        now: Timestamp,
    ) -> usize {
        let mut carried_out = 0;
        for note_ref in notes {
            // Taken out, so that a note that is named twice counts once.
            let Some(named) = round.named.remove(&note_ref) else { continue };
            let done = match decision {
                Decision::Retry => match &named {
                    Named::Waiting(note) => self.hurry(round, &note_ref.key, note, now),
                    Named::Dead(letter) => self.revive(round, &note_ref.key, letter, now),
                    Named::WaitingParcel(parcel) => self.hurry_parcel(round, parcel, now),
                    Named::DeadParcel(letter) => self.revive_parcel(round, letter, now),
                },
                Decision::Purge => match &named {
                    Named::Waiting(_) => self.purge(round, &note_ref, true),
                    Named::Dead(letter) => self.purge(round, &note_ref, letter.holds_lane),
                    Named::WaitingParcel(parcel) => self.purge_parcel(round, parcel, true),
                    Named::DeadParcel(letter) => {
                        self.purge_parcel(round, &letter.note, letter.holds_lane)
                    }
                },
            };
            if done {
                carried_out += 1;
                round.touched.push(note_ref.key);
            }
        }
        carried_out
    }

    /// Has the plugin's calls made again: whoever has its notes sent again has repaired it.
    pub(super) fn enable(
        &mut self,
        round: &mut Round,
        plugin: &PluginName,
        now: Timestamp,
    ) -> bool {
        let enabled = self.accounts.enable(plugin, now, &self.counters);
        if enabled {
            round.accounts.insert(plugin.clone());
        }
        enabled
    }

    fn hurry(
        &mut self,
        round: &mut Round,
        key: &SessionKey,
        note: &Arc<Note>,
        now: Timestamp,
    ) -> bool {
        let enabled = self.enable(round, &note.plugin, now);
        let Some(live) = self.memory.sessions.get_mut(key) else { return false };
        live.touched = now;
        // One of those that aren't in memory is due when its turn comes.
        let changed = !live.lane.is_behind(note.seq) && live.lane.revive(note, now);
        if changed {
            let queued = live.lane.queued(note.seq);
            round.changes.extend(queued.map(|queued| progress_row(key, queued)));
        }
        changed || enabled
    }

    fn revive(
        &mut self,
        round: &mut Round,
        key: &SessionKey,
        letter: &DeadLetter,
        now: Timestamp,
    ) -> bool {
        self.enable(round, &letter.note.plugin, now);
        let Some(live) = self.memory.sessions.get_mut(key) else { return false };
        live.touched = now;
        if !live.lane.revive(&letter.note, now) {
            return false;
        }
        self.counters.notes_revived.add(1);
        let (group, seq) = (session_group(key), letter.note.seq);
        let progress = Progress::revived(now);
        round.changes.push(put(Table::Outbox, group.clone(), seq, &*letter.note));
        round.changes.push(put(Table::Attempt, group.clone(), seq, &progress));
        round.changes.push(delete(Table::Dead, group, seq));
        true
    }

    fn purge(&mut self, round: &mut Round, note_ref: &NoteRef, holds_lane: bool) -> bool {
        let NoteRef { key, seq, .. } = note_ref;
        let Some(live) = self.memory.sessions.get_mut(key) else { return false };
        if holds_lane {
            if live.lane.is_behind(*seq) {
                live.lane.purged_behind();
            } else if !live.lane.purge(*seq) {
                return false;
            }
        }
        self.counters.notes_purged.add(1);
        for table in [Table::Outbox, Table::Attempt, Table::Dead] {
            round.changes.push(delete(table, session_group(key), *seq));
        }
        true
    }
}
