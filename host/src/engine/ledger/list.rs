//! Listing notes.

use serde::{Deserialize, Serialize};

use super::account::Account;
use super::cursor::Cursor;
use super::entry::Entry;
use super::filter::Filter;
use super::walk::Walk;
use crate::clock::Timestamp;
use crate::store::{Store, StoreError};

/// Rows behind those shown that are looked at to say how many more there are.
const COUNTED_ROWS: usize = 20_000;

/// Rows that are looked at for one answer, whether or not they are meant.
const MOST_ROWS: usize = 200_000;

/// An answer ends when its notes weigh so much, in bytes: texts can be long.
const MOST_BYTES: usize = 4 << 20;

/// What is to be listed of the notes that a filter means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// At most so many.
    pub limit: usize,
    /// With their texts.
    pub text: bool,
    /// Those behind this one.
    pub after: Option<Cursor>,
}

/// Notes that a filter means, in the order of product, session and number; those that wait first, then
/// the dead letters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Listing {
    /// The notes.
    pub entries: Vec<Entry>,
    /// Whether there can be more.
    pub more: bool,
    /// How many more there are, as far as they were counted.
    pub beyond: u64,
    /// Whether all of them were counted.
    pub counted_all: bool,
    /// For the next ones, where there can be more.
    pub next: Option<Cursor>,
    /// Rows among those shown that were passed over because they can't be read.
    pub unreadable: u64,
    /// How the plugins' accounts stand; empty where no host runs.
    pub accounts: Vec<Account>,
}

/// Lists notes.
///
/// # Errors
/// The store can't be read.
pub async fn list(
    store: &dyn Store,
    filter: &Filter,
    want: &Want,
    now: Timestamp,
) -> Result<Listing, StoreError> {
    let mut walk = Walk::new(store, filter, want.after.as_ref());
    let mut listing = Listing {
        entries: Vec::new(),
        more: false,
        beyond: 0,
        counted_all: true,
        next: None,
        unreadable: 0,
        accounts: Vec::new(),
    };
    let (mut weight, mut looked_at, mut counted, mut last) = (0, 0, 0, None);
    // Those behind the last note shown are met again by whoever asks for more.
    let mut unreadable_behind = 0;
    while let Some(page) = walk.page(now, want.text && listing.beyond == 0).await? {
        for (row, entry) in page.found {
            let Some(entry) = entry else {
                unreadable_behind += 1;
                continue;
            };
            // The first one is shown whatever it weighs, or nobody would get past it.
            let fits = weight == 0 || weight + entry.weight() <= MOST_BYTES;
            if listing.beyond > 0 || listing.entries.len() >= want.limit || !fits {
                listing.beyond += 1;
                continue;
            }
            weight += entry.weight();
            listing.entries.push(entry);
            listing.unreadable += std::mem::take(&mut unreadable_behind);
            last = Some(row);
        }
        looked_at += page.looked_at;
        if listing.beyond > 0 || listing.entries.len() >= want.limit {
            counted += page.looked_at;
        } else {
            listing.unreadable += std::mem::take(&mut unreadable_behind);
            last = page.last.or(last);
        }
        if counted >= COUNTED_ROWS || looked_at >= MOST_ROWS {
            listing.counted_all = false;
            break;
        }
    }
    listing.more = listing.beyond > 0 || !listing.counted_all;
    listing.next = last.filter(|_| listing.more).map(Cursor::behind);
    if !listing.more {
        listing.unreadable += unreadable_behind;
    }
    Ok(listing)
}
