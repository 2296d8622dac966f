//! A key of the API, as it is stored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::access::{Actor, Caller, KeyId, KeyName, Products, Scopes};
use crate::clock::Timestamp;

/// The row of a key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRow {
    /// What people call it.
    pub name: KeyName,
    /// SHA-256 of its secret. The secret is 256 random bits: nobody finds it by trying, however fast the hash is.
    pub hash: [u8; 32],
    /// What it may do.
    pub scopes: Scopes,
    /// With which products.
    pub products: Products,
    /// When it was made.
    pub made_at: Timestamp,
    /// Who made it.
    pub made_by: Actor,
    /// From when on it opens nothing; `None`: it doesn't expire.
    pub expires_at: Option<Timestamp>,
    /// When it was used last, to about a minute.
    pub used_at: Option<Timestamp>,
}

impl std::fmt::Debug for KeyRow {
    /// The hash is left out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyRow").field("name", &self.name).finish_non_exhaustive()
    }
}

impl KeyRow {
    /// Whether it opens anything at this moment.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|at| now < at)
    }

    /// Who has it.
    pub fn caller(&self, id: &KeyId) -> Caller {
        let actor = Actor::Key { id: id.clone(), name: self.name.clone() };
        Caller { actor, scopes: self.scopes.clone(), products: self.products.clone() }
    }
}

/// Every key, by its id.
pub type KeyTable = BTreeMap<KeyId, KeyRow>;
