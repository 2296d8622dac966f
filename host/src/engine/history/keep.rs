//! Keeping what is taken, in the round that takes it.

use std::collections::HashSet;
use std::sync::Arc;

use super::index::{HistoryIndex, Slot};
use super::{KeptBatch, KeptSummary, SUMMARY};
use crate::clock::Timestamp;
use crate::engine::feed::What;
use crate::engine::inbox::Input;
use crate::engine::round::{Engine, Round};
use crate::engine::rows::{delete, put, session_group};
use crate::ids::SessionKey;
use crate::outbox::note::{Note, NoteKind};
use crate::session::payload::ActionsPayload;
use crate::session::state::Summarized;
use crate::store::{Group, Store, StoreError, Table};

/// Sessions that are read at once.
const TOGETHER: usize = 64;

impl Engine {
    /// Reads which batches are kept of the sessions whose history these inputs may change.
    pub(in crate::engine) async fn load_shelves(
        &mut self,
        inputs: &[Input],
    ) -> Result<(), StoreError> {
        if self.settings.history.is_none() {
            return Ok(());
        }
        let mut keys = HashSet::new();
        for input in inputs {
            let key = match input {
                Input::Actions { key, .. } | Input::Summary { key, .. } => key,
                Input::Outcome(outcome)
                    if is_sent_summary(&outcome.item, outcome.result.is_ok()) =>
                {
                    &outcome.item.key
                }
                Input::Outcome(_)
                | Input::Link { .. }
                | Input::Decide { .. }
                | Input::Erase(_)
                | Input::Scrubbed(_)
                | Input::Redacted(_)
                | Input::Written(_)
                | Input::Settings(_)
                | Input::Drain
                | Input::Stop => continue,
            };
            if !self.history_indexes.has(key) {
                keys.insert(key.clone());
            }
        }
        let keys: Vec<_> = keys.into_iter().collect();
        let groups: Vec<_> = keys.iter().map(session_group).collect();
        let history_indexes = load(&*self.store, &groups).await?;
        keys.into_iter()
            .zip(history_indexes)
            .for_each(|(key, index)| self.history_indexes.put(key, index));
        Ok(())
    }

    /// The places of what is kept of these sessions, each with the number of its row.
    pub(in crate::engine) async fn kept_rows(
        &self,
        groups: &[Group],
    ) -> Result<Vec<Vec<u64>>, StoreError> {
        let history_indexes = load(&*self.store, groups).await?;
        // The summary's row may be there or not: to remove it does no harm.
        Ok(history_indexes.iter().map(|index| index.numbers().chain([SUMMARY]).collect()).collect())
    }

    /// Keeps a batch that is about to be taken.
    pub(in crate::engine) fn keep_batch(
        &mut self,
        round: &mut Round,
        key: &SessionKey,
        batch: &ActionsPayload,
        at: Timestamp,
    ) {
        let Some(rules) = &self.settings.history else { return };
        if batch.actions.is_empty() || self.settings.product(&key.product).is_none() {
            return;
        }
        let Some(live) = self.memory.sessions.get(key) else { return };
        let known = live.session.record();
        let told = |told: &Option<String>| told.clone().filter(|text| !text.is_empty());
        let batch = ActionsPayload {
            user_id: told(&batch.user_id).or_else(|| known.user_id.clone()),
            email: told(&batch.email).or_else(|| known.email.clone()),
            ..batch.clone()
        };
        let kept = KeptBatch { first: live.session.actions() + 1, at, batch };
        let row = put(Table::History, session_group(key), kept.first, &kept);
        let bytes = match &row {
            crate::store::Change::Put(_, value) => value.len(),
            crate::store::Change::Delete(_) => 0,
        };
        let slot = Slot { first: kept.first, actions: kept.batch.actions.len() as u64, bytes };
        let over = self.history_indexes.open(key).push(slot, rules);
        round.changes.push(row);
        self.counters.history_dropped.add(over.iter().map(|slot| slot.actions).sum());
        remove(round, key, &over);
        round.told.push((key.clone(), What::Batch(Arc::new(kept))));
    }

    /// Keeps a summary that was taken, in the place of the one before it. Where no note of it is posted,
    /// what it covers goes at once.
    pub(in crate::engine) fn keep_summary(
        &mut self,
        round: &mut Round,
        key: &SessionKey,
        text: String,
        summarized: Summarized,
        at: Timestamp,
    ) {
        let Some(live) = self.memory.sessions.get(key) else { return };
        let covers = live.session.record().covered;
        match summarized {
            Summarized::Stale => return,
            Summarized::Queued { .. } => {}
            Summarized::Unlinked => self.remove_covered(round, key, covers),
        }
        let kept = KeptSummary { text, covers, at };
        round.changes.push(put(Table::History, session_group(key), SUMMARY, &kept));
        round.told.push((key.clone(), What::Summary(Arc::new(kept))));
    }

    /// A note is on record as sent: what it covers, where it is a summary, is not needed any more.
    pub(in crate::engine) fn end_covered(&mut self, round: &mut Round, note: &Note) {
        if self.settings.history.is_some() && is_sent_summary(note, true) {
            self.remove_covered(round, &note.key, note.through);
        }
    }

    fn remove_covered(&mut self, round: &mut Round, key: &SessionKey, through: u64) {
        let covered = self.history_indexes.get_mut(key).map(|index| index.take_covered(through));
        remove(round, key, &covered.unwrap_or_default());
    }
}

/// Reads which batches are kept: of few sessions at once, as their rows hold all that they did.
async fn load(store: &dyn Store, groups: &[Group]) -> Result<Vec<HistoryIndex>, StoreError> {
    let mut history_indexes = Vec::with_capacity(groups.len());
    for groups in groups.chunks(TOGETHER) {
        let rows = store.load(Table::History, groups).await?;
        history_indexes.extend(rows.iter().map(HistoryIndex::of));
    }
    Ok(history_indexes)
}

fn is_sent_summary(note: &Note, sent: bool) -> bool {
    sent && note.kind == NoteKind::Summary
}

fn remove(round: &mut Round, key: &SessionKey, slots: &[Slot]) {
    let rows = slots.iter().map(|slot| delete(Table::History, session_group(key), slot.first));
    round.changes.extend(rows);
}
