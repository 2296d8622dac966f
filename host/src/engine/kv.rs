//! What plugins keep under keys, for people: how much, and under which keys.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::core::rows::read;
use super::core::values::{PluginValue, VALUE, usage, value_group};
use crate::ids::PluginName;
use crate::kv::size;
use crate::store::{Key, Store, StoreError, Table};

/// Rows that are read at once: a value can have some ten thousand bytes.
const PAGE: usize = 100;

/// What is wanted of what a plugin keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvWant {
    /// Which plugin.
    pub plugin: PluginName,
    /// Behind this key.
    pub after: Option<String>,
    /// At most so many keys.
    pub limit: usize,
    /// Whether the values are wanted too: they may tell anything.
    pub values: bool,
}

/// What a plugin keeps, what it keeps of sessions left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct KvListing {
    /// So many keys in all.
    pub keys: u64,
    /// So many bytes of keys and values in all.
    pub bytes: u64,
    /// Some of the keys, in their order.
    pub listed: Vec<KvEntry>,
    /// What the next page is behind; `None`: there is none.
    pub next: Option<String>,
}

/// A key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct KvEntry {
    /// The key.
    pub key: String,
    /// So many bytes of key and value.
    pub bytes: u64,
    /// The value, where it is wanted and is text.
    pub value: Option<String>,
    /// The value in base64, where it is wanted and isn't text.
    pub base64: Option<String>,
}

/// Lists what a plugin keeps. It needn't be configured any more.
///
/// # Errors
/// The store can't be read.
pub async fn list(store: &dyn Store, want: &KvWant) -> Result<KvListing, StoreError> {
    let plugin = &want.plugin;
    let rows = store.load(Table::PluginValue, &[value_group(plugin, "")]).await?;
    let used = rows.first().map(usage).unwrap_or_default();
    let mut listing = KvListing { keys: used.keys, bytes: used.bytes, ..KvListing::default() };
    let group = value_group(plugin, want.after.as_deref().unwrap_or_default());
    let mut behind = Key { table: Table::PluginValue, group, number: VALUE };
    loop {
        let rows = store.scan(Table::PluginValue, Some(behind), PAGE).await?;
        let is_last = rows.len() < PAGE;
        let last = rows.last().map(|(key, _)| key.clone());
        for (row, value) in rows {
            if row.group.0 != *plugin {
                return Ok(listing);
            }
            if listing.listed.len() == want.limit {
                listing.next = listing.listed.last().map(|entry| entry.key.clone());
                return Ok(listing);
            }
            listing.listed.extend(entry(&row, &value, want.values));
        }
        match last {
            Some(last) if !is_last => behind = last,
            Some(_) | None => return Ok(listing),
        }
    }
}

fn entry(row: &Key, value: &[u8], is_wanted: bool) -> Option<KvEntry> {
    let PluginValue { value } = read(Table::PluginValue, row.number, value)?;
    let (key, bytes) = (row.group.1.to_string(), size(&row.group.1, &value.0) as u64);
    let (value, base64) = match (is_wanted, String::from_utf8(value.0)) {
        (false, _) => (None, None),
        (true, Ok(text)) => (Some(text), None),
        (true, Err(odd)) => (None, Some(STANDARD.encode(odd.as_bytes()))),
    };
    Some(KvEntry { key, bytes, value, base64 })
}
