//! What fails, in groups: for somebody who asks what is wrong before asking about single notes.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::entry::{Entry, EntryState};
use super::filter::Filter;
use super::walk::Walk;
use crate::clock::Timestamp;
use crate::ids::{PluginName, ProductId};
use crate::store::{Store, StoreError};

/// Rows that are looked at at most.
const MOST_ROWS: usize = 20_000;
/// Groups that are told apart; what is more is counted as one with no name.
const MOST_GROUPS: usize = 200;
/// Longest code, in characters: a reason without one is cut.
const MAX_CODE: usize = 60;

/// What fails.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Failures {
    /// Dead letters and what waits after a failure, by product, plugin and code; the most dead letters first.
    pub groups: Vec<Failure>,
    /// Whether all rows were looked at.
    pub counted_all: bool,
}

/// Notes of a product that one plugin couldn't deliver for the same reason.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// The product.
    pub product: ProductId,
    /// The plugin.
    pub plugin: PluginName,
    /// What the reasons have in common: the platform's code, such as `404`, or the host's word, such as `expired`.
    pub code: String,
    /// One of the reasons, whole.
    pub reason: String,
    /// Dead letters.
    pub dead: u64,
    /// Notes that wait and are tried again.
    pub waiting: u64,
    /// How long ago the oldest of them was sealed, in seconds.
    pub oldest_seconds: f64,
}

/// Groups what fails. Looks at a bounded number of rows.
///
/// # Errors
/// The store can't be read.
pub async fn failures(store: &dyn Store, now: Timestamp) -> Result<Failures, StoreError> {
    let filter = Filter::default();
    let mut walk = Walk::new(store, &filter, None);
    let (mut groups, mut looked_at) = (BTreeMap::new(), 0);
    let mut counted_all = true;
    while let Some(page) = walk.page(now, false).await? {
        let entries = page.found.into_iter().filter_map(|(_, entry)| entry);
        entries.for_each(|entry| add(&mut groups, entry));
        looked_at += page.looked_at;
        if looked_at >= MOST_ROWS {
            counted_all = false;
            break;
        }
    }
    let mut groups: Vec<Failure> = groups.into_values().collect();
    groups.sort_by_key(|group| Reverse((group.dead, group.waiting)));
    Ok(Failures { groups, counted_all })
}

fn add(groups: &mut BTreeMap<(ProductId, PluginName, String), Failure>, entry: Entry) {
    // What waits for its turn alone doesn't fail.
    let Some(reason) = entry.reason else { return };
    let is_dead = match entry.state {
        EntryState::Dead | EntryState::GivenUp => true,
        EntryState::Due | EntryState::InFlight | EntryState::RetryAt | EntryState::HeldUntil => {
            false
        }
    };
    let mut key = (entry.product, entry.plugin, code(&reason).to_owned());
    if groups.len() >= MOST_GROUPS && !groups.contains_key(&key) {
        key.2 = String::new();
    }
    let group = groups.entry(key).or_insert_with_key(|(product, plugin, code)| Failure {
        product: product.clone(),
        plugin: plugin.clone(),
        code: code.clone(),
        reason,
        dead: 0,
        waiting: 0,
        oldest_seconds: 0.0,
    });
    *if is_dead { &mut group.dead } else { &mut group.waiting } += 1;
    group.oldest_seconds = group.oldest_seconds.max(entry.age_seconds);
}

/// What stands before the first colon.
fn code(reason: &str) -> &str {
    let code = reason.split_once(':').map_or(reason, |(code, _)| code).trim();
    code.char_indices().nth(MAX_CODE).map_or(code, |(end, _)| &code[..end])
}
