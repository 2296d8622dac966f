//! The keys of the API: a row each. Nothing of a key's secret is here but its hash.

use serde::{Deserialize, Serialize};

use std::sync::Arc;
use std::time::Duration;

pub use super::key_row::{KeyRow, KeyTable};
use super::rows::{delete, key_group, put, read};
use super::settings::Settings;
use super::tx::Tx;
use super::view::{Missing, View};
use crate::access::KeyId;
use crate::clock::Timestamp;
use crate::ids::ProductId;
use crate::rows::Table;

/// Keys at once, those that have expired and are still listed included.
pub const MOST_KEYS: usize = 1000;

/// How long a key that has expired is listed.
const LISTED: Duration = Duration::from_secs(90 * 86_400);

/// A change of the keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyChange {
    /// A key is made.
    New {
        /// Its public part.
        id: KeyId,
        /// The rest of it; when it was made is the transaction's moment.
        row: KeyRow,
    },
    /// A key opens nothing from here on.
    Revoke(KeyId),
}

/// Why the keys weren't changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum KeyError {
    /// Another live key has this name.
    #[error("there is a key of this name already; choose another name, or revoke that key first")]
    NameInUse,
    /// Another key has this id.
    #[error("there is a key of this id already; make another")]
    IdInUse,
    /// There are as many as may be.
    #[error("there are {MOST_KEYS} keys, and there may be no more; revoke those that nobody uses")]
    TooMany,
    /// A product isn't configured.
    #[error("the product {0} isn't configured; name one that has a table [products.ID]")]
    Product(ProductId),
    /// It would open nothing.
    #[error("the key would open nothing: give it a scope, a product and an expiry that isn't over")]
    Nothing,
    /// There is no key of this id.
    #[error("there is no key of this id; `sidenote key list` shows those that there are")]
    Unknown,
    /// The store can't take anything at the moment.
    #[error("the store takes nothing at the moment; ask again later")]
    Unavailable,
}

impl KeyError {
    /// In one word, for programs and the audit log.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NameInUse => "name_in_use",
            Self::IdInUse => "id_in_use",
            Self::TooMany => "too_many_keys",
            Self::Product(_) => "unknown_product",
            Self::Nothing => "invalid_key",
            Self::Unknown => "unknown_key",
            Self::Unavailable => "store_unavailable",
        }
    }
}

/// What is known of the keys.
#[derive(Default)]
pub(super) struct Keys {
    rows: Arc<KeyTable>,
    /// Whether they are others than those that were told.
    untold: bool,
}

impl Keys {
    /// Takes up what the last run left.
    pub(super) fn load(&mut self, view: &View) -> Result<(), Missing> {
        // One more than there can be: a page that is full has no end.
        let page = view.scan(Table::Key, None, MOST_KEYS + 1)?;
        let row = |(key, value): &(crate::rows::Key, Vec<u8>)| {
            Some((KeyId::new(&key.group.0).ok()?, read::<KeyRow>(Table::Key, key.number, value)?))
        };
        self.rows = Arc::new(page.iter().filter_map(row).collect());
        self.untold = true;
        Ok(())
    }

    /// Changes them. Answers the key as it is now, or was.
    pub(super) fn change(
        &mut self,
        change: KeyChange,
        settings: &Settings,
        tx: &mut Tx,
    ) -> Result<KeyRow, KeyError> {
        match change {
            KeyChange::New { id, row } => self.add(id, row, settings, tx),
            KeyChange::Revoke(id) => self.remove(&id, tx).ok_or(KeyError::Unknown),
        }
    }

    fn add(
        &mut self,
        id: KeyId,
        row: KeyRow,
        settings: &Settings,
        tx: &mut Tx,
    ) -> Result<KeyRow, KeyError> {
        let now = tx.now;
        let row = KeyRow { made_at: now, used_at: None, ..row };
        let products = row.products.limit();
        if row.scopes.is_empty() || !row.is_live(now) || products.is_some_and(|it| it.is_empty()) {
            return Err(KeyError::Nothing);
        }
        let unknown = products.into_iter().flatten().find(|it| settings.product(it).is_none());
        if let Some(product) = unknown {
            return Err(KeyError::Product(product.clone()));
        }
        if self.rows.values().any(|key| key.name == row.name && key.is_live(now)) {
            return Err(KeyError::NameInUse);
        }
        if self.rows.contains_key(&id) {
            return Err(KeyError::IdInUse);
        }
        if self.rows.len() >= MOST_KEYS {
            return Err(KeyError::TooMany);
        }
        self.put(id, row.clone(), tx);
        Ok(row)
    }

    fn put(&mut self, id: KeyId, row: KeyRow, tx: &mut Tx) {
        tx.push(put(Table::Key, key_group(&id), 0, &row));
        Arc::make_mut(&mut self.rows).insert(id, row);
        self.untold = true;
    }

    fn remove(&mut self, id: &KeyId, tx: &mut Tx) -> Option<KeyRow> {
        self.rows.get(id)?;
        tx.push(delete(Table::Key, key_group(id), 0));
        self.untold = true;
        Arc::make_mut(&mut self.rows).remove(id)
    }

    /// Remembers when keys were used last. One that is gone meanwhile stays gone.
    pub(super) fn used(&mut self, uses: Vec<(KeyId, Timestamp)>, tx: &mut Tx) {
        for (id, at) in uses {
            let Some(row) = self.rows.get(&id).filter(|row| row.used_at.is_none_or(|it| it < at))
            else {
                continue;
            };
            let row = KeyRow { used_at: Some(at), ..row.clone() };
            self.put(id, row, tx);
        }
    }

    /// Removes those that expired long ago.
    pub(super) fn expire(&mut self, tx: &mut Tx) {
        let oldest = tx.now - LISTED;
        let old = |row: &KeyRow| row.expires_at.is_some_and(|at| at < oldest);
        let gone: Vec<_> =
            self.rows.iter().filter(|(_, row)| old(row)).map(|(id, _)| id.clone()).collect();
        for id in gone {
            self.remove(&id, tx);
        }
    }

    /// All of them, where they are others than those that were told; to be told behind the commit.
    pub(super) fn tell(&mut self) -> Option<Arc<KeyTable>> {
        std::mem::take(&mut self.untold).then(|| self.rows.clone())
    }
}
