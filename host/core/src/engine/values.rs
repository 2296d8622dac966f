//! What plugins keep under keys, as rows. What a call wrote is stored with what came of the call.
//!
//! A plugin's values are a row each, grouped by plugin and key, so that they can be read and listed one by one; a row beside
//! them says how much they are. A session's values are rows of the session, of all plugins, and go with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::rows::{delete, put, read, session_group};
use super::tx::Tx;
use super::view::{Missing, View};
pub use crate::bytes::Bytes;
use crate::ids::{PluginName, SessionKey};
use crate::kv::{Scope, Writes, size};
use crate::rows::{Group, Key, Rows, Table};

/// Rows of a plugin's values that are read at once when all are cleared.
const PAGE: usize = 256;

/// The number of the row that has a plugin's value, in the group of its key.
pub const VALUE: u64 = 1;

/// The group of the value that a plugin keeps under a key. No key is empty: that group has the [`Usage`], under 0.
pub fn value_group(plugin: &PluginName, key: &str) -> Group {
    Group(plugin.clone(), key.into())
}

/// A plugin's value: its row.
#[derive(Serialize, Deserialize)]
pub struct PluginValue {
    /// The value.
    pub value: Bytes,
}

/// A value of a plugin's and a session's: its row.
#[derive(Serialize, Deserialize)]
pub struct SessionValue {
    /// Whose.
    pub plugin: PluginName,
    /// Under which key.
    pub key: Arc<str>,
    /// The value.
    pub value: Bytes,
}

/// How much a plugin keeps, its sessions' values left out.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct Usage {
    /// So many keys.
    pub keys: u64,
    /// So many bytes of keys and values.
    pub bytes: u64,
}

impl Usage {
    /// The same behind a change from one size to another; `None`: there is nothing under the key.
    #[must_use]
    pub fn changed(self, before: Option<usize>, after: Option<usize>) -> Self {
        let count = |size: Option<usize>| u64::from(size.is_some());
        let bytes = |size: Option<usize>| size.unwrap_or(0) as u64;
        Self {
            keys: (self.keys + count(after)).saturating_sub(count(before)),
            bytes: (self.bytes + bytes(after)).saturating_sub(bytes(before)),
        }
    }
}

/// How much a plugin keeps, from the rows of the group with no key.
pub fn usage(rows: &Rows) -> Usage {
    let row = rows.iter().find(|(number, _)| *number == 0);
    row.and_then(|(_, value)| read(Table::PluginValue, 0, value)).unwrap_or_default()
}

/// The rows that must be read before what a call wrote can be stored.
///
/// # Errors
/// They are missing.
pub fn load(
    view: &View,
    plugin: &PluginName,
    session: Option<&SessionKey>,
    writes: &Writes,
) -> Result<(), Missing> {
    let mut missing = Missing::default();
    let mut want = |loaded: Result<_, Missing>| {
        if let Err(more) = loaded {
            missing.groups.extend(more.groups);
        }
    };
    if !writes.has_none_of(Scope::Plugin) {
        let keys = writes.of(Scope::Plugin).map(|(key, _)| value_group(plugin, key));
        let groups: Vec<_> = keys.chain([value_group(plugin, "")]).collect();
        want(view.load(Table::PluginValue, &groups).map(drop));
    }
    if let Some(session) = session.filter(|_| !writes.has_none_of(Scope::Session)) {
        let groups = [session_group(session)];
        want(view.load_all([Table::Session, Table::SessionValue], &groups).map(drop));
    }
    if missing.groups.is_empty() { Ok(()) } else { Err(missing) }
}

/// Stores what a call wrote under the plugin's keys. The rows were [loaded](load).
pub fn store_of_plugin(plugin: &PluginName, writes: &Writes, tx: &mut Tx) {
    if writes.has_none_of(Scope::Plugin) {
        return;
    }
    let of_usage = Key { table: Table::PluginValue, group: value_group(plugin, ""), number: 0 };
    let before: Usage =
        tx.row(&of_usage).and_then(|row| read(Table::PluginValue, 0, row)).unwrap_or_default();
    let mut usage = before;
    for (key, value) in writes.of(Scope::Plugin) {
        let place =
            Key { table: Table::PluginValue, group: value_group(plugin, key), number: VALUE };
        let stored = tx.row(&place).and_then(|row| read(Table::PluginValue, VALUE, row));
        let before = stored.map(|PluginValue { value }| size(key, &value.0));
        usage = usage.changed(before, value.map(|value| size(key, value)));
        let Key { group, .. } = place;
        match value {
            Some(value) => {
                let row = PluginValue { value: Bytes(value.to_vec()) };
                tx.push(put(Table::PluginValue, group, VALUE, &row));
            }
            None => tx.push(delete(Table::PluginValue, group, VALUE)),
        }
    }
    let Key { group, .. } = of_usage;
    if usage == Usage::default() {
        tx.push(delete(Table::PluginValue, group, 0));
    } else if usage != before {
        tx.push(put(Table::PluginValue, group, 0, &usage));
    }
}

/// Stores what a call wrote under the session's keys. The rows were [loaded](load).
pub fn store_of_session(plugin: &PluginName, session: &SessionKey, writes: &Writes, tx: &mut Tx) {
    if writes.has_none_of(Scope::Session) {
        return;
    }
    let group = session_group(session);
    let stored: Vec<(u64, SessionValue)> = tx.read_rows(Table::SessionValue, &group);
    let mut next = tx.rows(Table::SessionValue, &group).last_key_value().map_or(0, |(n, _)| n + 1);
    let ours = stored.into_iter().filter(|(_, row)| row.plugin == *plugin);
    let numbers: BTreeMap<Arc<str>, u64> = ours.map(|(number, row)| (row.key, number)).collect();
    for (key, value) in writes.of(Scope::Session) {
        let number = numbers.get(key).copied();
        let change = match (value, number) {
            (Some(value), number) => {
                let number = number.unwrap_or_else(|| {
                    next += 1;
                    next - 1
                });
                let (plugin, key) = (plugin.clone(), key.clone());
                let row = SessionValue { plugin, key, value: Bytes(value.to_vec()) };
                put(Table::SessionValue, group.clone(), number, &row)
            }
            (None, Some(number)) => delete(Table::SessionValue, group.clone(), number),
            (None, None) => continue,
        };
        tx.push(change);
    }
}

/// Reads every row of a plugin's values.
///
/// # Errors
/// Some are missing.
pub(super) fn load_all(view: &View, plugin: &PluginName) -> Result<Vec<Key>, Missing> {
    let mut keys = Vec::new();
    let mut after = Key { table: Table::PluginValue, group: value_group(plugin, ""), number: 0 };
    loop {
        let page = view.scan(Table::PluginValue, Some(after), PAGE)?;
        let ours = page.iter().map(|(key, _)| key).take_while(|key| key.group.0 == *plugin);
        let found = ours.clone().count();
        keys.extend(ours.cloned());
        match page.last() {
            Some((last, _)) if found == PAGE => after = last.clone(),
            Some(_) | None => return Ok(keys),
        }
    }
}

/// Removes every value of a plugin's that isn't a session's. The rows were [loaded](load_all). Returns how many there were.
pub(super) fn clear(plugin: &PluginName, tx: &mut Tx) -> u64 {
    let view = std::mem::take(&mut tx.view);
    let stored = load_all(&view, plugin).unwrap_or_default();
    tx.view = view;
    let of = |group: &Group| group.0 == *plugin && !group.1.is_empty();
    let mut there: BTreeMap<Group, bool> =
        stored.into_iter().map(|key| (key.group, true)).collect();
    // What was written in this very transaction.
    for change in tx.changes() {
        let key = change.key();
        if key.table == Table::PluginValue && of(&key.group) {
            let is_put = matches!(change, crate::rows::Change::Put(..));
            there.insert(key.group.clone(), is_put);
        }
    }
    let gone: Vec<_> = there.into_iter().filter_map(|(group, is)| is.then_some(group)).collect();
    let count = gone.len() as u64;
    tx.extend(gone.into_iter().map(|group| delete(Table::PluginValue, group, VALUE)));
    tx.push(delete(Table::PluginValue, value_group(plugin, ""), 0));
    count
}
