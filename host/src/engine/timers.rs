//! Timers that plugins set, for people: which wait, in the order of their sessions.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::core::plugin_timers::TimerRow;
use super::core::rows::{read, session_key};
use crate::ids::{PluginName, ProductId, SessionId, SessionKey};
use crate::store::{Group, Key, Store, StoreError, Table};

/// Rows that are read at once: each can have some thousand bytes.
const PAGE: usize = 256;
/// Rows that are looked at for one answer at most: those of other plugins stand between.
const MOST: usize = 20 * PAGE;

/// What is wanted of the timers of a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimersWant {
    /// Which plugin.
    pub plugin: PluginName,
    /// Behind this place.
    pub after: Option<TimerCursor>,
    /// At most so many.
    pub limit: usize,
    /// Whether the payloads are wanted too: they may tell anything.
    pub payloads: bool,
}

/// Timers of a plugin that aren't due.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TimerListing {
    /// So many in all.
    pub timers: u64,
    /// Some of them, in the order of their sessions.
    pub listed: Vec<TimerEntry>,
    /// What the next page is behind; `None`: there is none. A page can be empty where other plugins have many.
    pub next: Option<TimerCursor>,
}

/// A timer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TimerEntry {
    /// Its product.
    pub product: ProductId,
    /// Its session.
    pub session: SessionId,
    /// What the plugin calls it.
    pub name: String,
    /// When it is due, in seconds since the Unix epoch.
    pub at: f64,
    /// The length of its payload, in bytes.
    pub bytes: u64,
    /// The payload, where it is wanted and is text.
    pub payload: Option<String>,
    /// The payload in base64, where it is wanted and isn't text.
    pub base64: Option<String>,
}

/// A place among the timers; opaque text for whoever asks in pages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(with = "String")]
#[serde(try_from = "String", into = "String")]
pub struct TimerCursor(Key);

/// Text that is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it isn't a cursor; send `next` of the answer before, unchanged")]
pub struct InvalidTimerCursor;

impl From<TimerCursor> for String {
    fn from(TimerCursor(key): TimerCursor) -> Self {
        let place = serde_json::to_vec(&(&*key.group.0, &*key.group.1, key.number));
        URL_SAFE_NO_PAD.encode(place.expect("text and numbers are JSON"))
    }
}

impl TryFrom<String> for TimerCursor {
    type Error = InvalidTimerCursor;

    fn try_from(text: String) -> Result<Self, InvalidTimerCursor> {
        let place = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidTimerCursor)?;
        let (product, session, number): (String, String, u64) =
            serde_json::from_slice(&place).map_err(|_| InvalidTimerCursor)?;
        let group = Group(product.into(), session.into());
        Ok(Self(Key { table: Table::Timer, group, number }))
    }
}

/// Lists timers of a plugin, which needn't be configured any more. How many there are in all isn't counted here.
///
/// # Errors
/// The store can't be read.
pub async fn list(store: &dyn Store, want: &TimersWant) -> Result<TimerListing, StoreError> {
    let mut listing = TimerListing::default();
    let mut after = want.after.clone().map(|TimerCursor(key)| key);
    let mut seen = 0;
    loop {
        let rows = store.scan(Table::Timer, after.clone(), PAGE).await?;
        let at_end = rows.len() < PAGE;
        seen += rows.len();
        for (place, value) in rows {
            let entry = entry(&place, &value, want);
            if entry.is_some() && listing.listed.len() == want.limit {
                listing.next = after.map(TimerCursor);
                return Ok(listing);
            }
            listing.listed.extend(entry);
            after = Some(place);
        }
        if at_end {
            return Ok(listing);
        }
        if seen >= MOST {
            listing.next = after.map(TimerCursor);
            return Ok(listing);
        }
    }
}

fn entry(place: &Key, value: &[u8], want: &TimersWant) -> Option<TimerEntry> {
    let SessionKey { product, session } = session_key(&place.group)?;
    let row = read::<TimerRow>(Table::Timer, place.number, value)?;
    if row.plugin != want.plugin {
        return None;
    }
    let bytes = row.payload.0.len() as u64;
    let (payload, base64) = match (want.payloads, String::from_utf8(row.payload.0)) {
        (false, _) => (None, None),
        (true, Ok(text)) => (Some(text), None),
        (true, Err(odd)) => (None, Some(STANDARD.encode(odd.as_bytes()))),
    };
    let (name, at) = (row.name.to_string(), row.at.as_secs_f64());
    Some(TimerEntry { product, session, name, at, bytes, payload, base64 })
}

/// Sessions with timers of a plugin among some rows; and behind which row there may be more.
///
/// # Errors
/// The store can't be read.
pub(super) async fn sessions(
    store: &dyn Store,
    plugin: &PluginName,
    after: Option<Key>,
) -> Result<(Vec<SessionKey>, Option<Key>), StoreError> {
    let rows = store.scan(Table::Timer, after, PAGE).await?;
    let next = rows.last().filter(|_| rows.len() == PAGE).map(|(key, _)| key.clone());
    let of_plugin = rows.iter().filter_map(|(place, value)| {
        let row = read::<TimerRow>(Table::Timer, place.number, value)?;
        (row.plugin == *plugin).then(|| session_key(&place.group)).flatten()
    });
    let keys: BTreeSet<_> = of_plugin.collect();
    Ok((keys.into_iter().collect(), next))
}
