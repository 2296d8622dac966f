//! Looking at a file that no process has open.

use std::path::Path;

use redb::{ReadOnlyDatabase, ReadableDatabase};

use super::error::OpenError;
use super::format::number_at;
use super::rows;

/// The format of a file without a number, all of whose rows are MessagePack.
const UNNUMBERED: u64 = 2;

/// The format of a file with rows that are JSON.
const OF_JSON: u64 = 1;

/// What is in a file that no process has open. Nothing of it is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileReport {
    /// Its format.
    pub format: u64,
    /// Its rows.
    pub rows: u64,
    /// Those of them that a build of format 1 wrote.
    pub earlier: u64,
    /// Its length.
    pub bytes: u64,
}

/// Looks at a file; `is_packed` says of a row whether it is MessagePack. Every row is read, so that one that can't be
/// is found. Blocks.
///
/// # Errors
/// It can't be read, or must be repaired first, which a start does.
pub fn inspect(path: &Path, is_packed: impl Fn(&[u8]) -> bool) -> Result<FileReport, OpenError> {
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
        let (rows, earlier) = rows::count(&reading, &is_packed)?;
        Ok((number, rows, earlier))
    };
    let (number, rows, earlier) = read().map_err(unusable)?;
    let inferred = if earlier > 0 { OF_JSON } else { UNNUMBERED };
    Ok(FileReport { format: number.unwrap_or(inferred), rows, earlier, bytes })
}
