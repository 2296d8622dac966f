//! What stays at the platforms of an erasure, and of notes that a summary was to replace: a row per note, so
//! that it can be looked up and counted afterwards. It tells plugin, conversation and note, and nothing of
//! the person.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

pub use crate::engine::core::kept::{KeptCount, Reason};

use crate::engine::core::kept::KeptRow;
use crate::engine::core::rows::read;
use crate::ids::{ConversationId, PluginName, ProductId};
use crate::outbox::redaction::{ErasureId, Job, State, Why};
use crate::store::{Group, Key, Store, StoreError, Table};

/// Rows that are read at once.
const PAGE: usize = 1000;
/// Rows that are looked at for the counts of one list.
const MOST_COUNTED: usize = 100_000;

/// A note that stays, as it is listed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct KeptNote {
    /// The plugin that posted it.
    pub plugin: PluginName,
    /// The conversation that it stands beside.
    pub conversation: ConversationId,
    /// What the platform calls it; `None` where it doesn't say, and for those that aren't remembered.
    pub note_id: Option<String>,
    /// Of which product it is.
    pub product: ProductId,
    /// Why it stays.
    pub reason: Reason,
    /// Why it was to go.
    pub why: Why,
    /// When it was found to stay, in seconds since the Unix epoch.
    pub at: f64,
    /// The erasure that it is left of.
    pub erasure: Option<ErasureId>,
    /// How many notes are meant: 1, but for those that aren't remembered one by one.
    pub notes: u64,
}

/// Which notes are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeptFilter {
    /// Left of this erasure.
    pub erasure: Option<ErasureId>,
    /// Posted by this plugin.
    pub plugin: Option<PluginName>,
    /// Of this product.
    pub product: Option<ProductId>,
    /// Those too that a summary was to replace.
    pub replaced: bool,
    /// Of one of these products: what whoever asks may ask about.
    pub within: Option<BTreeSet<ProductId>>,
}

/// What stays, page by page.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct KeptList {
    /// The notes, by plugin and conversation.
    pub notes: Vec<KeptNote>,
    /// How many there are in all, by plugin and reason; of the first page only.
    pub counts: Vec<KeptCount>,
    /// Notes of erasures that are still to be redacted; of the first page only.
    pub waiting: u64,
    /// Whether everything was counted.
    pub counted_all: bool,
    /// Where the next page begins; `None` where this is the last one.
    pub next: Option<KeptCursor>,
}

/// A place among the rows; opaque text for whoever asks in pages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(with = "String")]
#[serde(try_from = "String", into = "String")]
pub struct KeptCursor(Key);

/// Text that is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it isn't a cursor; send `next` of the answer before, unchanged")]
pub struct InvalidKeptCursor;

impl From<KeptCursor> for String {
    fn from(KeptCursor(key): KeptCursor) -> Self {
        let place = (&*key.group.0, &*key.group.1, key.number);
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&place).expect("text and numbers are JSON"))
    }
}

impl TryFrom<String> for KeptCursor {
    type Error = InvalidKeptCursor;

    fn try_from(text: String) -> Result<Self, InvalidKeptCursor> {
        let place = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidKeptCursor)?;
        let (first, second, number): (String, String, u64) =
            serde_json::from_slice(&place).map_err(|_| InvalidKeptCursor)?;
        let group = Group(first.into(), second.into());
        Ok(Self(Key { table: Table::Kept, group, number }))
    }
}

/// Lists what stays.
///
/// # Errors
/// The store can't be read.
pub async fn list(
    store: &dyn Store,
    filter: &KeptFilter,
    limit: usize,
    after: Option<KeptCursor>,
) -> Result<KeptList, StoreError> {
    let is_first = after.is_none();
    let mut list = KeptList::default();
    let mut counts: BTreeMap<(PluginName, Reason), u64> = BTreeMap::new();
    let (mut after, mut seen, mut has_more) = (after.map(|cursor| cursor.0), 0, false);
    let mut last = None;
    // The first page counts what is behind it too; the others end where they are full.
    while is_first || !has_more {
        let rows = store.scan(Table::Kept, after.take(), PAGE).await?;
        let at_end = rows.len() < PAGE;
        after = rows.last().map(|(key, _)| key.clone());
        seen += rows.len();
        for (key, value) in rows {
            let Some(note) = listed(&key, &value).filter(|note| filter.takes(note)) else {
                continue;
            };
            *counts.entry((note.plugin.clone(), note.reason)).or_default() += note.notes;
            if list.notes.len() < limit {
                list.notes.push(note);
                last = Some(KeptCursor(key));
            } else {
                has_more = true;
            }
        }
        list.counted_all = at_end;
        if at_end || seen >= MOST_COUNTED {
            break;
        }
    }
    if !is_first {
        return Ok(KeptList { next: last.filter(|_| has_more), ..list });
    }
    // Behind what was looked at there may be more.
    list.next = last.filter(|_| has_more || !list.counted_all);
    let of = |((plugin, reason), notes)| KeptCount { plugin, reason, notes };
    list.counts = counts.into_iter().map(of).collect();
    list.waiting = waiting(store, filter).await?;
    Ok(list)
}

fn listed(key: &Key, value: &[u8]) -> Option<KeptNote> {
    let KeptRow { product, note_id, why, reason, at, erasure, notes } =
        read::<KeptRow>(Table::Kept, key.number, value)?;
    let conversation = ConversationId::new(key.group.1.clone()).ok()?;
    let (plugin, at) = (key.group.0.clone(), at.as_secs_f64());
    Some(KeptNote { plugin, conversation, note_id, product, reason, why, at, erasure, notes })
}

impl KeptFilter {
    fn takes(&self, note: &KeptNote) -> bool {
        let of = |wanted: &Option<PluginName>, is: &PluginName| {
            wanted.as_ref().is_none_or(|it| it == is)
        };
        (self.replaced || note.why == Why::Erased)
            && of(&self.plugin, &note.plugin)
            && self.product.as_ref().is_none_or(|product| *product == note.product)
            && self.within.as_ref().is_none_or(|products| products.contains(&note.product))
            && (self.erasure.is_none() || self.erasure == note.erasure)
    }
}

/// How many notes of erasures are still to be redacted.
async fn waiting(store: &dyn Store, filter: &KeptFilter) -> Result<u64, StoreError> {
    let (mut after, mut seen, mut waiting) = (None, 0, 0);
    loop {
        let rows = store.scan(Table::Redact, after.take(), PAGE).await?;
        let at_end = rows.len() < PAGE;
        after = rows.last().map(|(key, _)| key.clone());
        seen += rows.len();
        for (key, value) in rows {
            let Some(job) = read::<Job>(Table::Redact, key.number, &value) else { continue };
            let of_plugin = filter.plugin.as_ref().is_none_or(|it| *it == job.note.plugin);
            let of_product = filter.product.as_ref().is_none_or(|it| it.as_str() == &*key.group.0);
            let within = filter.within.as_ref();
            let of_product = of_product
                && within.is_none_or(|ids| ids.iter().any(|it| it.as_str() == &*key.group.0));
            let of_erasure = filter.erasure.is_none() || filter.erasure == job.erasure;
            let waits = job.why == Why::Erased && job.state != State::GivenUp;
            waiting += u64::from(waits && of_plugin && of_product && of_erasure);
        }
        if at_end || seen >= MOST_COUNTED {
            return Ok(waiting);
        }
    }
}
