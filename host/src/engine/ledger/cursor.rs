//! Where to go on reading.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::store::{Group, Key, Table};

/// The tables that are read, in this order: what waits first. So a dead letter that is queued again while
/// the reading is under way isn't met a second time.
pub(super) const TABLES: [Table; 6] = [
    Table::Outbox,
    Table::SinkQueue,
    Table::TimerQueue,
    Table::Dead,
    Table::SinkDead,
    Table::TimerDead,
];

/// A place among the rows; opaque text for whoever asks in pages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(with = "String")]
#[serde(try_from = "String", into = "String")]
pub struct Cursor(Key);

/// Text that is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it isn't a cursor; send `next` of the answer before, unchanged")]
pub struct InvalidCursor;

impl Cursor {
    /// Behind this row of one of [`TABLES`].
    pub(super) fn behind(key: Key) -> Self {
        Self(key)
    }

    /// The row behind which it goes on.
    pub(super) fn key(&self) -> &Key {
        &self.0
    }
}

impl From<Cursor> for String {
    fn from(Cursor(key): Cursor) -> Self {
        let table = TABLES.iter().position(|table| *table == key.table);
        let place = (table, &*key.group.0, &*key.group.1, key.number);
        let place = serde_json::to_vec(&place).expect("text and numbers are JSON");
        URL_SAFE_NO_PAD.encode(place)
    }
}

impl TryFrom<String> for Cursor {
    type Error = InvalidCursor;

    fn try_from(text: String) -> Result<Self, InvalidCursor> {
        let place = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidCursor)?;
        let (table, first, second, number): (usize, String, String, u64) =
            serde_json::from_slice(&place).map_err(|_| InvalidCursor)?;
        let table = TABLES.get(table).copied().ok_or(InvalidCursor)?;
        Ok(Self(Key { table, group: Group(first.into(), second.into()), number }))
    }
}
