//! Rows in redb's tables.

use std::collections::HashMap;
use std::ops::Bound;

use redb::{
    Database, Durability, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata,
    TableDefinition, TableError, TableHandle,
};

use super::format;
use crate::store::{Change, Group, Key, Rows, Table};

type Definition = TableDefinition<'static, (&'static str, &'static str, u64), &'static [u8]>;

const fn definition(table: Table) -> Definition {
    TableDefinition::new(match table {
        Table::Session => "session",
        Table::Open => "open",
        Table::Outbox => "outbox",
        Table::Attempt => "attempt",
        Table::Dead => "dead",
        Table::Conversation => "conversation",
        Table::Person => "person",
        Table::Sent => "sent",
        Table::Account => "account",
        Table::Journal => "journal",
        Table::Redact => "redact",
        Table::SinkQueue => "parcel",
        Table::SinkAttempt => "parcel_attempt",
        Table::SinkDead => "parcel_dead",
        Table::Scrub => "scrub",
        Table::Kept => "kept",
        Table::History => "history",
        Table::Help => "help",
        Table::Talk => "talk",
        Table::OfferTimes => "offer_times",
        Table::Message => "message",
        Table::Key => "key",
        Table::Audit => "audit",
        Table::Ended => "ended",
        Table::Source => "source",
        Table::SourceSeen => "source_seen",
        Table::SourcePerson => "source_person",
        Table::PluginValue => "plugin_value",
        Table::Timer => "timer",
        Table::TimerQueue => "timer_queue",
        Table::TimerAttempt => "timer_attempt",
        Table::TimerDead => "timer_dead",
        Table::SessionValue => "session_value",
    })
}

/// Makes every table that isn't there, so that a read never misses one. A file that has them all is
/// left as it is: on a full disk it must still open.
pub(super) fn make_tables(database: &Database) -> Result<(), redb::Error> {
    let there: Vec<String> =
        database.begin_read()?.list_tables()?.map(|table| table.name().to_owned()).collect();
    let is_there = |table| there.iter().any(|name| name == definition(table).name());
    if Table::ALL.into_iter().all(is_there) && format::number(database)? == Some(format::FORMAT) {
        return Ok(());
    }
    let transaction = durable(database)?;
    for table in Table::ALL {
        transaction.open_table(definition(table))?;
    }
    format::write(&transaction)?;
    transaction.commit()?;
    Ok(())
}

pub(super) fn load(
    database: &Database,
    table: Table,
    groups: &[Group],
) -> Result<Vec<Rows>, redb::Error> {
    let rows = database.begin_read()?.open_table(definition(table))?;
    let mut loaded = Vec::with_capacity(groups.len());
    for Group(first, second) in groups {
        let range = rows.range((&**first, &**second, 0)..=(&**first, &**second, u64::MAX))?;
        let mut of_group = Vec::new();
        for row in range {
            let (key, value) = row?;
            of_group.push((key.value().2, value.value().to_vec()));
        }
        loaded.push(of_group);
    }
    Ok(loaded)
}

pub(super) fn scan(
    database: &Database,
    table: Table,
    after: Option<&Key>,
    limit: usize,
) -> Result<Vec<(Key, Vec<u8>)>, redb::Error> {
    let rows = database.begin_read()?.open_table(definition(table))?;
    let range = match after {
        None => rows.range::<(&str, &str, u64)>(..)?,
        Some(after) => {
            let bounds = (Bound::Excluded(place(after)), Bound::Unbounded);
            rows.range::<(&str, &str, u64)>(bounds)?
        }
    };
    let mut scanned = Vec::new();
    for row in range.take(limit) {
        let (key, value) = row?;
        let (first, second, number) = key.value();
        let key = Key { table, group: Group(first.into(), second.into()), number };
        scanned.push((key, value.value().to_vec()));
    }
    Ok(scanned)
}

pub(super) fn commit(database: &Database, changes: &[Change]) -> Result<(), redb::Error> {
    let transaction = durable(database)?;
    for table in Table::ALL {
        let mut of_table = changes.iter().filter(|change| change.key().table == table).peekable();
        if of_table.peek().is_none() {
            continue;
        }
        let mut rows = transaction.open_table(definition(table))?;
        for change in of_table {
            match change {
                Change::Put(key, value) => drop(rows.insert(place(key), value.as_slice())?),
                Change::Delete(key) => drop(rows.remove(place(key))?),
            }
        }
    }
    transaction.commit()?;
    Ok(())
}

/// So many bytes of rows are copied in one transaction.
const COPIED: usize = 16 << 20;

/// Writes every row of one moment of a file into another, which has none.
pub(super) fn copy(reading: &ReadTransaction, to: &Database) -> Result<(), redb::Error> {
    for table in Table::ALL {
        let rows = reading.open_table(definition(table))?;
        let mut rows = rows.iter()?.peekable();
        while rows.peek().is_some() {
            let writing = durable(to)?;
            {
                let mut copied = writing.open_table(definition(table))?;
                let mut bytes = 0;
                while bytes < COPIED
                    && let Some(row) = rows.next()
                {
                    let (key, value) = row?;
                    bytes += value.value().len();
                    copied.insert(key.value(), value.value())?;
                }
            }
            writing.commit()?;
        }
    }
    Ok(())
}

/// How many bytes the rows of a file take, with what redb keeps beside them.
pub(super) fn size(database: &Database) -> Result<u64, redb::Error> {
    size_at(&database.begin_read()?)
}

/// How many bytes they take at one moment of the file.
pub(super) fn size_at(reading: &ReadTransaction) -> Result<u64, redb::Error> {
    let mut bytes = 0;
    for table in Table::ALL {
        let stats = reading.open_table(definition(table))?.stats()?;
        bytes += stats.stored_bytes() + stats.metadata_bytes() + stats.fragmented_bytes();
    }
    Ok(bytes)
}

/// How many rows there are, and how many of them aren't as `is_packed` wants them. An earlier build may lack tables.
pub(super) fn count(
    reading: &ReadTransaction,
    is_packed: impl Fn(&[u8]) -> bool,
) -> Result<(u64, u64), redb::Error> {
    let (mut all, mut earlier) = (0, 0);
    for table in Table::ALL {
        let rows = match reading.open_table(definition(table)) {
            Err(TableError::TableDoesNotExist(_)) => continue,
            opened => opened?,
        };
        for row in rows.iter()? {
            all += 1;
            earlier += u64::from(!is_packed(row?.1.value()));
        }
    }
    Ok((all, earlier))
}

/// Whether every row reads as `changes` leave it.
pub(super) fn hold(database: &Database, changes: &[Change]) -> Result<bool, redb::Error> {
    let mut wanted = HashMap::new();
    for change in changes {
        match change {
            Change::Put(key, value) => wanted.insert(key, Some(value.as_slice())),
            Change::Delete(key) => wanted.insert(key, None),
        };
    }
    let transaction = database.begin_read()?;
    for (key, value) in wanted {
        let rows = transaction.open_table(definition(key.table))?;
        if rows.get(place(key))?.as_ref().map(redb::AccessGuard::value) != value {
            return Ok(false);
        }
    }
    Ok(true)
}

fn place(key: &Key) -> (&str, &str, u64) {
    let Key { group: Group(first, second), number, .. } = key;
    (first, second, *number)
}

/// A transaction that is on the disk, in two phases, once it is committed.
fn durable(database: &Database) -> Result<redb::WriteTransaction, redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    transaction.set_two_phase_commit(true);
    Ok(transaction)
}
