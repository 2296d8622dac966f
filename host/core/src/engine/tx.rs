//! A transaction: filled by the rooms, spent by the driver.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::call::{Call, Work};
use super::event::What;
use super::key_row::KeyTable;
use super::rows::read;
use super::tap::{Happened, Happening, Next};
use super::view::View;
use crate::clock::Timestamp;
use crate::ids::{PluginName, SessionKey};
use crate::rows::{Change, Group, Key, Table};

/// What a transaction is made of. Nothing of it is true before its changes are stored.
pub struct Tx {
    pub(super) now: Timestamp,
    /// The rows that were read for it.
    pub view: View,
    changes: Vec<Change>,
    events: Vec<(SessionKey, What)>,
    calls: Vec<Call>,
    undelivered: Vec<Work>,
    /// What is told to whoever watches; `None` where nobody does.
    happened: Option<Vec<Happened>>,
    /// What happens behind the attempt that ended last, and when.
    pub(super) next: Option<(Next, Option<Timestamp>)>,
    /// Actions that are accepted with it.
    accepted: u64,
    /// Sessions whose record is to be stored.
    pub(super) records: HashSet<SessionKey>,
    /// Sessions to be looked at before the end, in the order of what happened; may name one twice.
    pub(super) touched: Vec<SessionKey>,
    /// Plugins whose account is to be stored.
    pub(super) accounts: HashSet<PluginName>,
    /// Whether redactions were read for it already.
    pub(super) refilled: bool,
}

/// A transaction that is to be stored, and what comes behind the commit.
pub struct Spent {
    /// One commit; the later change of a row wins.
    pub changes: Vec<Change>,
    /// What whoever follows is told, in order.
    pub events: Vec<(SessionKey, What)>,
    /// Calls to be made: their attempts are on record with the commit.
    pub calls: Vec<Call>,
    /// What isn't tried any more, and isn't known to be delivered.
    pub undelivered: Vec<Work>,
    /// What happened, in order: for whoever watches, empty where nobody does.
    pub happened: Vec<Happened>,
    /// Actions that are accepted with it.
    pub accepted: u64,
    /// Sessions whose record changed.
    pub records: HashSet<SessionKey>,
    /// The keys of the API, where they changed.
    pub keys: Option<Arc<KeyTable>>,
}

impl Tx {
    /// An empty one.
    pub fn new(now: Timestamp) -> Self {
        Self {
            now,
            view: View::default(),
            changes: Vec::new(),
            events: Vec::new(),
            calls: Vec::new(),
            undelivered: Vec::new(),
            happened: None,
            next: None,
            accepted: 0,
            records: HashSet::new(),
            touched: Vec::new(),
            accounts: HashSet::new(),
            refilled: false,
        }
    }

    /// Somebody watches: what happens is put down, too.
    pub fn watch(&mut self) {
        self.happened.get_or_insert_default();
    }

    /// Whether somebody watches.
    pub(super) fn is_watched(&self) -> bool {
        self.happened.is_some()
    }

    /// Puts down what happened in a session, where somebody watches.
    pub(super) fn happens(&mut self, key: &SessionKey, what: impl FnOnce() -> Happening) {
        let at = self.now.as_secs_f64();
        if let Some(happened) = &mut self.happened {
            let (product, session) = (key.product.as_str(), key.session.as_str());
            let (product, session) = (product.to_owned(), session.to_owned());
            happened.push(Happened { at, product, session, what: what() });
        }
    }

    /// The moment that it is decided at.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Stores or removes a row.
    pub fn push(&mut self, change: Change) {
        self.changes.push(change);
    }

    /// What is to be stored so far, in order.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    pub(super) fn extend(&mut self, changes: impl IntoIterator<Item = Change>) {
        self.changes.extend(changes);
    }

    pub(super) fn tell(&mut self, key: &SessionKey, what: What) {
        if let Some(told) = self.is_watched().then(|| Happening::of(&what)).flatten() {
            self.happens(key, || told);
        }
        self.events.push((key.clone(), what));
    }

    pub(super) fn call(&mut self, call: Call) {
        if self.is_watched() {
            let (key, begun) = Happening::begun(&call);
            self.happens(key, || begun);
        }
        self.calls.push(call);
    }

    /// It isn't tried any more.
    pub(super) fn undelivered(&mut self, work: Work) {
        self.undelivered.push(work);
    }

    pub(super) fn accept(&mut self, actions: u64) {
        self.accepted += actions;
    }

    /// A row as this transaction leaves it so far. Its group was read.
    pub(super) fn row(&self, key: &Key) -> Option<&[u8]> {
        match self.changes.iter().rev().find(|change| change.key() == key) {
            Some(Change::Put(_, value)) => Some(value),
            Some(Change::Delete(_)) => None,
            None => {
                let rows = self.view.group(key.table, &key.group)?;
                let place = rows.binary_search_by_key(&key.number, |(number, _)| *number).ok()?;
                Some(&rows[place].1)
            }
        }
    }

    /// The rows of a group as this transaction leaves them so far. The group was read.
    pub(super) fn rows(&self, table: Table, group: &Group) -> BTreeMap<u64, Vec<u8>> {
        let stored = self.view.group(table, group).into_iter().flatten().cloned();
        let mut rows: BTreeMap<u64, Vec<u8>> = stored.collect();
        for change in &self.changes {
            let key = change.key();
            if key.table != table || key.group != *group {
                continue;
            }
            match change {
                Change::Put(key, value) => drop(rows.insert(key.number, value.clone())),
                Change::Delete(key) => drop(rows.remove(&key.number)),
            }
        }
        rows
    }

    /// As [`Tx::rows`], read. What can't be read is reported and passed over.
    pub(super) fn read_rows<T: DeserializeOwned>(
        &self,
        table: Table,
        group: &Group,
    ) -> Vec<(u64, T)> {
        let rows = self.rows(table, group).into_iter();
        rows.filter_map(|(n, value)| Some((n, read(table, n, &value)?))).collect()
    }

    /// Takes the changes of these tables' rows of a group back out: the rows are removed.
    pub(super) fn discard(&mut self, tables: &[Table], group: &Group) {
        self.changes.retain(|change| {
            let key = change.key();
            key.group != *group || !tables.contains(&key.table)
        });
    }

    pub(super) fn spend(self) -> Spent {
        let Self { changes, events, calls, undelivered, happened, accepted, records, .. } = self;
        let happened = happened.unwrap_or_default();
        Spent { changes, events, calls, undelivered, happened, accepted, records, keys: None }
    }
}
