//! What is kept goes some time after it was taken.

use serde::Deserialize;

use crate::clock::Timestamp;
use crate::engine::round::{Engine, EngineError, Round};
use crate::engine::rows::{delete, read, session_key};
use crate::store::{Key, Table};

/// Rows that one step looks at: each holds a batch.
const PAGE: usize = 1024;

/// What is read of a row.
#[derive(Deserialize)]
struct Age {
    at: Timestamp,
}

impl Engine {
    /// Removes what is too old among the next rows, and remembers where to go on. What a run with a history
    /// left behind goes too where none is kept.
    pub(in crate::engine) async fn expire_history(
        &mut self,
        after: Option<Key>,
        now: Timestamp,
    ) -> Result<Option<Key>, EngineError> {
        let rows = self.store.scan(Table::History, after, PAGE).await?;
        let next = (rows.len() == PAGE).then(|| rows.last().map(|(key, _)| key.clone())).flatten();
        let keep =
            self.settings.history.as_ref().map_or(self.settings.retention.sessions, |it| it.keep);
        let oldest = now - keep;
        let mut round = Round::default();
        for (row, value) in rows {
            let Some(age) = read::<Age>(Table::History, row.number, &value) else { continue };
            if age.at >= oldest {
                continue;
            }
            if let Some(key) = session_key(&row.group)
                && let Some(shelf) = self.shelves.get_mut(&key)
            {
                shelf.remove(row.number);
            }
            self.counters.history_expired.add(1);
            round.changes.push(delete(Table::History, row.group, row.number));
        }
        self.finish(round, now).await?;
        Ok(next)
    }
}
