//! Which format a file has: a number in a table of its own, beside the rows. It counts up when a build that doesn't know the
//! new format couldn't use the file. `docs/src/operators/formats.md` says what each one is.

use redb::{
    Database, ReadTransaction, ReadableDatabase, TableDefinition, TableError, WriteTransaction,
};

/// The format that this build writes. It reads all before it too.
pub const FORMAT: u64 = 4;

const TABLE: TableDefinition<'static, &'static str, u64> = TableDefinition::new("sidenote");

/// The one row of the table.
const ROW: &str = "format";

/// The number in a file; `None`: it has none.
pub(super) fn number(database: &Database) -> Result<Option<u64>, redb::Error> {
    number_at(&database.begin_read()?)
}

/// The number in a file that is read.
pub(super) fn number_at(reading: &ReadTransaction) -> Result<Option<u64>, redb::Error> {
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
