//! Reading the rows in order, a page at a time: first what waits, notes and then what is for sinks and due timers, then
//! the dead letters of them.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::cursor::{Cursor, TABLES};
use super::entry::{Entry, EntryState, Listed, Text};
use super::filter::Filter;
use crate::clock::Timestamp;
use crate::engine::core::rows::{decode, session_key};
use crate::outbox::due_timer::DueTimer;
use crate::outbox::lane::{DeadLetter, Progress, State};
use crate::outbox::note::Note;
use crate::outbox::sink_delivery::SinkDelivery;
use crate::store::{Group, Key, Store, StoreError, Table};

/// Rows that are read at once. A note may have tens of kilobytes.
const PAGE: usize = 128;

/// A walk through the notes that a filter means.
pub(super) struct Walk<'a> {
    store: &'a dyn Store,
    filter: &'a Filter,
    next: Option<Stop>,
}

/// Where a walk goes on.
#[derive(Clone)]
struct Stop {
    table: Table,
    after: Option<Key>,
}

/// The rows of one step.
pub(super) struct Page {
    /// Those that are meant, in order, each with its row; `None` for a row that can't be read.
    pub(super) found: Vec<(Key, Option<Entry>)>,
    /// How many rows were looked at, and the last of them.
    pub(super) looked_at: usize,
    pub(super) last: Option<Key>,
}

impl<'a> Walk<'a> {
    /// A walk from the beginning, or from behind a row.
    pub(super) fn new(store: &'a dyn Store, filter: &'a Filter, after: Option<&Cursor>) -> Self {
        let mut walk = Self { store, filter, next: None };
        walk.next = match after {
            Some(cursor) => {
                Some(Stop { table: cursor.key().table, after: Some(cursor.key().clone()) })
            }
            None => walk.next_table(None),
        };
        walk
    }

    /// The next page; `None` at the end. A page may be empty. `text`: with the notes' texts.
    pub(super) async fn page(
        &mut self,
        now: Timestamp,
        text: bool,
    ) -> Result<Option<Page>, StoreError> {
        let Some(Stop { table, after }) = self.next.take() else { return Ok(None) };
        let mut rows = self.store.scan(table, after, PAGE).await?;
        let full = rows.len() == PAGE;
        let looked_at = rows.len();
        rows.retain(|(key, _)| self.is_inside(&key.group));
        // The rows are in order: the first one outside is the end of those inside.
        let last = rows.last().map(|(row, _)| row.clone());
        self.next = if full && rows.len() == looked_at {
            Some(Stop { table, after: last.clone() })
        } else {
            self.next_table(Some(table))
        };
        let mut page = Page { found: Vec::new(), looked_at, last };
        let mut progress = match attempts_of(table) {
            None => HashMap::new(),
            Some((attempts, _)) => self.progress(&rows, table, attempts).await?,
        };
        for (row, value) in rows {
            let of_row = progress.remove(&row).unwrap_or_else(|| Some(first_progress(&value)));
            if of_row.is_none() {
                page.found.push((row.clone(), None));
            }
            // The engine does the same: a note whose attempts can't be read counts as never tried.
            let of_row = of_row.unwrap_or(Progress::FRESH).by_the_clock_at(now);
            // It is a dead letter too, which says more of it, and is met as that.
            if of_row.state == State::GivenUp && self.is_dead(&row).await? {
                continue;
            }
            match read(&row, &value, of_row, now, text) {
                None => page.found.push((row, None)),
                Some(entry) if self.filter.matches(&entry) => page.found.push((row, Some(entry))),
                Some(_) => {}
            }
        }
        let unreadable = page.found.iter().filter(|(_, entry)| entry.is_none()).count();
        if unreadable > 0 {
            tracing::debug!(?table, unreadable, "outbox: rows can't be read and are passed over");
        }
        Ok(Some(page))
    }

    /// How far the attempts at the notes of these rows are, by the rows; `None` where that can't be read.
    async fn progress(
        &self,
        rows: &[(Key, Vec<u8>)],
        table: Table,
        attempts: Table,
    ) -> Result<HashMap<Key, Option<Progress>>, StoreError> {
        let mut groups: Vec<Group> = rows.iter().map(|(row, _)| row.group.clone()).collect();
        groups.dedup();
        let attempts = self.store.load(attempts, &groups).await?;
        let mut progress = HashMap::new();
        for (group, of_group) in groups.into_iter().zip(attempts) {
            for (number, value) in of_group {
                let row = Key { table, group: group.clone(), number };
                if rows.binary_search_by(|(other, _)| other.cmp(&row)).is_ok() {
                    progress.insert(row, decode(&value).ok());
                }
            }
        }
        Ok(progress)
    }

    /// Whether the note of a row of what waits is a dead letter too.
    async fn is_dead(&self, row: &Key) -> Result<bool, StoreError> {
        let Some((_, dead)) = attempts_of(row.table) else { return Ok(false) };
        let letters = self.store.load(dead, std::slice::from_ref(&row.group)).await?;
        Ok(letters.iter().flatten().any(|(number, _)| *number == row.number))
    }

    fn wants_waiting(&self) -> bool {
        EntryState::ALL
            .into_iter()
            .any(|state| state != EntryState::Dead && self.filter.wants(state))
    }

    fn wants_dead(&self) -> bool {
        self.filter.wants(EntryState::Dead) || self.filter.wants(EntryState::GivenUp)
    }

    /// The table behind this one that can have what is meant.
    fn next_table(&self, after: Option<Table>) -> Option<Stop> {
        let passed = TABLES.iter().position(|table| Some(*table) == after).map_or(0, |n| n + 1);
        let wanted = |table: &&Table| match attempts_of(**table) {
            Some(_) => self.wants_waiting(),
            None => self.wants_dead(),
        };
        TABLES[passed..].iter().find(wanted).map(|table| self.start(*table))
    }

    /// Before the first row that can be meant. Notes are numbered from 1, and no session is nameless.
    fn start(&self, table: Table) -> Stop {
        let (product, session) = self.filter.place();
        let group = product.map(|product| {
            let session = session.map(|session| session.shared());
            Group(product.shared(), session.unwrap_or_else(|| "".into()))
        });
        Stop { table, after: group.map(|group| Key { table, group, number: 0 }) }
    }

    /// Whether rows of this group can be meant. Those that can stand side by side.
    fn is_inside(&self, group: &Group) -> bool {
        match self.filter.place() {
            (None, _) => true,
            (Some(product), None) => *group.0 == *product.as_str(),
            (Some(product), Some(session)) => {
                *group.0 == *product.as_str() && *group.1 == *session.as_str()
            }
        }
    }
}

/// Where the attempts at what waits in a table are, and its dead letters; `None` for a table of dead
/// letters, which say it themselves.
fn attempts_of(table: Table) -> Option<(Table, Table)> {
    match table {
        Table::Outbox => Some((Table::Attempt, Table::Dead)),
        Table::SinkQueue => Some((Table::SinkAttempt, Table::SinkDead)),
        Table::TimerQueue => Some((Table::TimerAttempt, Table::TimerDead)),
        Table::Session
        | Table::Open
        | Table::Attempt
        | Table::Dead
        | Table::Conversation
        | Table::Person
        | Table::Sent
        | Table::Account
        | Table::Journal
        | Table::Redact
        | Table::SinkAttempt
        | Table::SinkDead
        | Table::History
        | Table::Help
        | Table::Talk
        | Table::OfferTimes
        | Table::Message
        | Table::Key
        | Table::Audit
        | Table::Ended
        | Table::Source
        | Table::SourceSeen
        | Table::SourcePerson
        | Table::PluginValue
        | Table::SessionValue
        | Table::Timer
        | Table::TimerAttempt
        | Table::TimerDead
        | Table::Kept
        | Table::Scrub => None,
    }
}

/// Reads a row; `None` where it is no note, sink delivery or due timer, or another one than its place says.
fn read(row: &Key, value: &[u8], progress: Progress, now: Timestamp, text: bool) -> Option<Entry> {
    if row.table == Table::SinkQueue || row.table == Table::SinkDead {
        read_as::<SinkDelivery>(row, value, progress, now, text)
    } else if row.table == Table::TimerQueue || row.table == Table::TimerDead {
        read_as::<DueTimer>(row, value, progress, now, text)
    } else {
        read_as::<Note>(row, value, progress, now, text)
    }
}

/// How far the attempts are at what waits, where no row of its own says so.
fn first_progress(value: &[u8]) -> Progress {
    #[derive(Deserialize)]
    struct Begun {
        #[serde(default)]
        begun: bool,
        sealed_at: Timestamp,
    }
    match decode(value) {
        Ok(Begun { begun: true, sealed_at }) => Progress::begun(sealed_at),
        Ok(_) | Err(_) => Progress::FRESH,
    }
}

fn read_as<T: Listed + DeserializeOwned>(
    row: &Key,
    value: &[u8],
    progress: Progress,
    now: Timestamp,
    text: bool,
) -> Option<Entry> {
    let key = session_key(&row.group)?;
    let (mut entry, item) = if attempts_of(row.table).is_none() {
        let letter: DeadLetter<T> = decode(value).ok()?;
        (Entry::dead(key.clone(), &letter, now), letter.note)
    } else {
        let item: Arc<T> = decode(value).ok()?;
        (Entry::waiting(key.clone(), &*item, progress, now), item)
    };
    entry.text = text.then(|| Text(item.text().into_owned()));
    (*item.key() == key && item.seq() == row.number).then_some(entry)
}
