//! What expires: rows of every table, some time after the last thing that happened to them.

use serde::Deserialize;
use std::time::Duration;

use super::view::{Missing, Page, View};
use crate::clock::Timestamp;
use crate::rows::{Key, Table};

/// How often the rows are looked at.
const SWEEP: Duration = Duration::from_secs(30);
/// How soon the next page is, where a table has more rows than one.
const NEXT_PAGE: Duration = Duration::from_secs(1);
/// Rows that one step looks at.
const PAGE: usize = 4096;
/// The same of a table whose rows hold whole notes or batches.
const LARGE_PAGE: usize = 256;

/// Tables whose rows expire.
const TABLES: [(Table, usize); 12] = [
    (Table::Session, PAGE),
    (Table::Dead, LARGE_PAGE),
    (Table::SinkDead, LARGE_PAGE),
    (Table::TimerDead, LARGE_PAGE),
    (Table::Redact, PAGE),
    (Table::Kept, PAGE),
    (Table::History, LARGE_PAGE),
    (Table::Talk, PAGE),
    (Table::OfferTimes, LARGE_PAGE),
    (Table::Ended, PAGE),
    (Table::SourceSeen, LARGE_PAGE),
    (Table::SourcePerson, PAGE),
];

/// When the rows are looked at for what has expired, and how far each table was.
pub(super) struct Retention {
    /// When the next step is due.
    at: Timestamp,
    /// By table: behind which row it goes on.
    after: [Option<Key>; TABLES.len()],
}

/// What is read of a row for how old it is.
#[derive(Deserialize)]
pub(super) struct Age {
    pub(super) at: Timestamp,
}

impl Retention {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { at: now + SWEEP, after: Default::default() }
    }

    /// When the next step is due.
    pub(super) fn at(&self) -> Timestamp {
        self.at
    }

    /// The next rows of each table.
    pub(super) fn pages<'a>(&self, view: &'a View) -> Result<Vec<(Table, &'a Page)>, Missing> {
        let mut missing = Missing::default();
        let mut pages = Vec::new();
        for ((table, rows), after) in TABLES.iter().zip(&self.after) {
            match view.scan(*table, after.clone(), *rows) {
                Ok(page) => pages.push((*table, page)),
                Err(more) => missing.pages.extend(more.pages),
            }
        }
        if missing.pages.is_empty() { Ok(pages) } else { Err(missing) }
    }

    /// The pages were looked at. Behind the last of a table it begins again.
    pub(super) fn go_on(&mut self, looked_at: Vec<(usize, Option<Key>)>, now: Timestamp) {
        for ((after, (_, rows)), (found, last)) in self.after.iter_mut().zip(TABLES).zip(looked_at)
        {
            *after = last.filter(|_| found == rows);
        }
        let more = self.after.iter().any(Option::is_some);
        self.at = now + if more { NEXT_PAGE } else { SWEEP };
    }
}
