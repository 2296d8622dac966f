//! What a person decides about notes: to have them sent again, or to remove them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::engine::inbox::{Decision, NoteRef};
use crate::engine::live::progress_row;
use crate::engine::round::{Engine, Named, Round};
use crate::engine::rows::{delete, put, read, session_group};
use crate::ids::SessionKey;
use crate::outbox::lane::DeadLetter;
use crate::outbox::note::Note;
use crate::store::{StoreError, Table};

impl Engine {
    /// Reads what is stored of the notes of these sessions, dead or waiting.
    pub(super) async fn load_named(
        &self,
        keys: HashSet<SessionKey>,
    ) -> Result<HashMap<NoteRef, Named>, StoreError> {
        let mut named = HashMap::new();
        if keys.is_empty() {
            return Ok(named);
        }
        let keys: Vec<_> = keys.into_iter().collect();
        let groups: Vec<_> = keys.iter().map(session_group).collect();
        for (key, rows) in keys.iter().zip(self.store.load(Table::Outbox, &groups).await?) {
            for (seq, value) in rows {
                if let Some(note) = read::<Note>(Table::Outbox, seq, &value) {
                    let note_ref = NoteRef { key: key.clone(), seq };
                    named.insert(note_ref, Named::Waiting(Arc::new(note)));
                }
            }
        }
        // One that holds its lane has both rows, and is dead.
        for (key, rows) in keys.iter().zip(self.store.load(Table::Dead, &groups).await?) {
            for (seq, value) in rows {
                if let Some(letter) = read::<DeadLetter>(Table::Dead, seq, &value) {
                    let note_ref = NoteRef { key: key.clone(), seq };
                    named.insert(note_ref, Named::Dead(Box::new(letter)));
                }
            }
        }
        Ok(named)
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
                Decision::Retry => self.revive(round, &note_ref.key, &named, now),
                Decision::Purge => self.purge(round, &note_ref, &named),
            };
            if done {
                carried_out += 1;
                round.touched.push(note_ref.key);
            }
        }
        carried_out
    }

    fn revive(
        &mut self,
        round: &mut Round,
        key: &SessionKey,
        named: &Named,
        now: Timestamp,
    ) -> bool {
        let note = match named {
            Named::Waiting(note) => note,
            Named::Dead(letter) => &letter.note,
        };
        // Whoever has its notes sent again has repaired the plugin.
        let enabled = self.accounts.enable(&note.plugin, now, &self.counters);
        if enabled {
            round.accounts.insert(note.plugin.clone());
        }
        let Some(live) = self.memory.sessions.get_mut(key) else { return false };
        live.touched = now;
        let group = session_group(key);
        match named {
            Named::Waiting(note) => {
                // One of those that aren't in memory is due when its turn comes.
                let changed = !live.lane.is_behind(note.seq) && live.lane.revive(note, now);
                if changed {
                    let queued = live.lane.queued(note.seq);
                    round.changes.extend(queued.map(|queued| progress_row(key, queued)));
                }
                changed || enabled
            }
            Named::Dead(letter) => {
                if !live.lane.revive(&letter.note, now) {
                    return false;
                }
                self.counters.notes_revived.add(1);
                let seq = letter.note.seq;
                let progress = crate::outbox::lane::Progress::revived(now);
                round.changes.push(put(Table::Outbox, group.clone(), seq, &*letter.note));
                round.changes.push(put(Table::Attempt, group.clone(), seq, &progress));
                round.changes.push(delete(Table::Dead, group, seq));
                true
            }
        }
    }

    fn purge(&mut self, round: &mut Round, note_ref: &NoteRef, named: &Named) -> bool {
        let NoteRef { key, seq } = note_ref;
        let Some(live) = self.memory.sessions.get_mut(key) else { return false };
        let holds_lane = match named {
            Named::Waiting(_) => true,
            Named::Dead(letter) => letter.holds_lane,
        };
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
