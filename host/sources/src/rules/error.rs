//! What is wrong with rules, and where.

/// Rules that can't be used. It names the table and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("reading the words of a source: {table}: {cause}")]
pub struct SettingsError {
    /// The table, counted from 0: `rules[2]`.
    pub table: String,
    /// What is wrong, and what would be right.
    pub cause: String,
}

impl SettingsError {
    pub(super) fn new(table: impl Into<String>, cause: impl Into<String>) -> Self {
        Self { table: table.into(), cause: cause.into() }
    }
}
