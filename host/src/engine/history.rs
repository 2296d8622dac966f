//! Reading what is kept of each session for whoever asks: the contexts, the summarizer.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

pub use crate::engine::core::history::{KeptBatch, KeptSummary};

use crate::engine::core::history::SUMMARY;
use crate::engine::core::rows::{read, session_group, session_key};
use crate::engine::handle::Handle;
use crate::ids::SessionKey;
use crate::session::payload::Action;
use crate::session::state::Record;
use crate::store::{Rows, StoreError, Table};

/// Sessions that are looked at at once.
const PAGE: usize = 4096;

/// What is kept of a session.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// The latest summary.
    pub summary: Option<KeptSummary>,
    /// What was accepted, the oldest first. A summary may cover some of it: its note isn't sent yet.
    pub batches: Vec<KeptBatch>,
}

impl History {
    /// The ordinal of the last action that the summary covers; 0 without one.
    pub fn covered(&self) -> u64 {
        self.summary.as_ref().map_or(0, |summary| summary.covers)
    }

    /// The actions that the summary doesn't cover, each with its ordinal, the oldest first.
    pub fn uncovered(&self) -> impl Iterator<Item = (u64, &Action)> {
        let covered = self.covered();
        let all = self.batches.iter().flat_map(KeptBatch::actions);
        all.filter(move |(ordinal, _)| *ordinal > covered)
    }

    fn of(rows: Rows) -> Self {
        let mut history = Self::default();
        for (number, value) in rows {
            if number == SUMMARY {
                history.summary = read(Table::History, number, &value);
            } else if let Some(batch) = read::<KeptBatch>(Table::History, number, &value) {
                history.batches.push(KeptBatch { first: number, ..batch });
            }
        }
        history
    }
}

impl Handle {
    /// What is kept of a session. Empty where no history is kept.
    ///
    /// # Errors
    /// The store can't be read.
    pub async fn history(&self, key: &SessionKey) -> Result<History, StoreError> {
        let histories = self.histories(std::slice::from_ref(key)).await?;
        Ok(histories.into_iter().next().unwrap_or_default())
    }

    /// What is kept of these sessions, in the order asked.
    ///
    /// # Errors
    /// The store can't be read.
    pub async fn histories(&self, keys: &[SessionKey]) -> Result<Vec<History>, StoreError> {
        let groups: Vec<_> = keys.iter().map(session_group).collect();
        let rows = self.store.load(Table::History, &groups).await?;
        Ok(rows.into_iter().map(History::of).collect())
    }

    /// The sessions of configured products that were active last, at most so many, the one that was active
    /// longest ago first, with what is on record of them.
    ///
    /// # Errors
    /// The store can't be read.
    pub async fn latest_sessions(
        &self,
        most: usize,
    ) -> Result<Vec<(SessionKey, Record)>, StoreError> {
        let settings = self.settings();
        let (mut latest, mut records) = (BinaryHeap::new(), HashMap::new());
        let mut after = None;
        loop {
            let rows = self.store.scan(Table::Session, after.take(), PAGE).await?;
            let at_end = rows.len() < PAGE;
            after = rows.last().map(|(key, _)| key.clone());
            for (row, value) in rows {
                // Other numbers are of records that were set aside.
                let key = session_key(&row.group).filter(|_| row.number == 0);
                let configured = |key: &SessionKey| settings.product(&key.product).is_some();
                let Some(key) = key.filter(configured) else { continue };
                let Some(record) = read::<Record>(Table::Session, 0, &value) else { continue };
                latest.push(Reverse((record.active_at, key.clone())));
                records.insert(key, record);
                if latest.len() > most
                    && let Some(Reverse((_, oldest))) = latest.pop()
                {
                    records.remove(&oldest);
                }
            }
            if at_end {
                break;
            }
        }
        let mut latest = latest.into_vec();
        latest.sort_by(|one, other| other.cmp(one));
        let with_record = |Reverse((_, key)): Reverse<(_, SessionKey)>| {
            records.remove(&key).map(|record| (key, record))
        };
        Ok(latest.into_iter().filter_map(with_record).collect())
    }
}
