//! The rows that a transaction was given to read.
//!
//! The core never waits for a store. It reads from a [`View`]; where rows aren't in it yet, it says which
//! ([`Missing`]), the driver reads them, and the core is asked again. What changes memory comes behind the last read,
//! so that asking again does no harm.

use std::collections::HashMap;

use crate::rows::{Group, Key, Rows, Table};

/// Some rows of a table in the order of their keys.
pub type Page = Vec<(Key, Vec<u8>)>;

/// Where a page begins, and how long it may be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PageOf {
    /// The table.
    pub table: Table,
    /// Behind this row; from the first on where there is none.
    pub after: Option<Key>,
    /// At most so many rows.
    pub limit: usize,
}

/// Rows that were read.
#[derive(Default)]
pub struct View {
    groups: HashMap<(Table, Group), Rows>,
    pages: HashMap<PageOf, Page>,
}

/// Rows that aren't in the view and are needed.
#[derive(Debug, Default)]
pub struct Missing {
    /// Groups by table.
    pub groups: Vec<(Table, Vec<Group>)>,
    /// Pages.
    pub pages: Vec<PageOf>,
}

impl View {
    /// Puts the rows of a group in, the lowest number first.
    pub fn put(&mut self, table: Table, group: Group, rows: Rows) {
        self.groups.insert((table, group), rows);
    }

    /// Puts a page in.
    pub fn put_page(&mut self, of: PageOf, page: Page) {
        self.pages.insert(of, page);
    }

    /// The rows of these groups, in the order asked.
    pub(super) fn load(&self, table: Table, groups: &[Group]) -> Result<Vec<&Rows>, Missing> {
        let [rows] = self.load_all([table], groups)?;
        Ok(rows)
    }

    /// The rows of these groups in several tables.
    pub(super) fn load_all<const N: usize>(
        &self,
        tables: [Table; N],
        groups: &[Group],
    ) -> Result<[Vec<&Rows>; N], Missing> {
        let mut missing = Missing::default();
        let rows = tables.map(|table| {
            let mut absent = Vec::new();
            let mut found = Vec::with_capacity(groups.len());
            for group in groups {
                match self.groups.get(&(table, group.clone())) {
                    Some(rows) => found.push(rows),
                    None => absent.push(group.clone()),
                }
            }
            if !absent.is_empty() {
                missing.groups.push((table, absent));
            }
            found
        });
        if missing.groups.is_empty() { Ok(rows) } else { Err(missing) }
    }

    /// A page.
    pub(super) fn scan(
        &self,
        table: Table,
        after: Option<Key>,
        limit: usize,
    ) -> Result<&Page, Missing> {
        let of = PageOf { table, after, limit };
        match self.pages.get(&of) {
            Some(page) => Ok(page),
            None => Err(Missing { groups: Vec::new(), pages: vec![of] }),
        }
    }

    /// The rows of a group, where it was read.
    pub(super) fn group(&self, table: Table, group: &Group) -> Option<&Rows> {
        self.groups.get(&(table, group.clone()))
    }
}
