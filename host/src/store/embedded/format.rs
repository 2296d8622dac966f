//! Which format a file has: a number in a table of its own, beside the rows. It counts up when a build that doesn't know the
//! new format couldn't use the file. `docs/src/operators/formats.md` says what each one is.

use std::path::Path;

use redb::{
    Database, ReadOnlyDatabase, ReadTransaction, ReadableDatabase, TableDefinition, TableError,
    WriteTransaction,
};

use super::error::OpenError;
use super::rows;

/// The format that this build writes. It reads all before it too.
pub const FORMAT: u64 = 3;

/// The format of a file without a number, all of whose rows are MessagePack.
const UNNUMBERED: u64 = 2;

/// The format of a file with rows that are JSON.
const OF_JSON: u64 = 1;

const TABLE: TableDefinition<'static, &'static str, u64> = TableDefinition::new("sidenote");

/// The one row of the table.
const ROW: &str = "format";

/// The number in a file; `None`: it has none.
pub(super) fn number(database: &Database) -> Result<Option<u64>, redb::Error> {
    number_at(&database.begin_read()?)
}

fn number_at(reading: &ReadTransaction) -> Result<Option<u64>, redb::Error> {
    match reading.open_table(TABLE) {
        Ok(table) => Ok(table.get(ROW)?.map(|number| number.value())),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Puts the number of this build into a file.
pub(super) fn write(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    transaction.open_table(TABLE)?.insert(ROW, FORMAT)?;
    Ok(())
}

/// What is in a file that no process has open. Nothing of it is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileReport {
    /// Its format.
    pub format: u64,
    /// Its rows.
    pub rows: u64,
    /// Those of them that an earlier build wrote in another form.
    pub earlier: u64,
    /// Its length.
    pub bytes: u64,
}

/// Looks at a file; `is_of_today` says of a row whether it is in today's form. Every row is read, so that one that can't be
/// is found. Blocks.
///
/// # Errors
/// It can't be read, or must be repaired first, which a start does.
pub fn inspect(path: &Path, is_of_today: impl Fn(&[u8]) -> bool) -> Result<FileReport, OpenError> {
    let shown = || path.display().to_string();
    let bytes = std::fs::metadata(path)
        .map_err(|cause| OpenError::Failing { path: shown(), cause: cause.to_string() })?
        .len();
    let unusable =
        |error: redb::Error| OpenError::Unusable { path: shown(), cause: error.to_string() };
    let database = ReadOnlyDatabase::open(path).map_err(|error| {
        if matches!(error, redb::DatabaseError::DatabaseAlreadyOpen) {
            OpenError::InUse(shown())
        } else if matches!(error, redb::DatabaseError::RepairAborted) {
            OpenError::Unrepaired(shown())
        } else {
            unusable(error.into())
        }
    })?;
    let read = || {
        let reading = database.begin_read()?;
        let number = number_at(&reading)?;
        let (rows, earlier) = rows::count(&reading, &is_of_today)?;
        Ok((number, rows, earlier))
    };
    let (number, rows, earlier) = read().map_err(unusable)?;
    let inferred = if earlier > 0 { OF_JSON } else { UNNUMBERED };
    Ok(FileReport { format: number.unwrap_or(inferred), rows, earlier, bytes })
}
