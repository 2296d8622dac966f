//! What people change, and who they are: keys of the API, and the audit log.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::access::{Actor, KeyId};
use crate::clock::Timestamp;
use crate::engine::core::Command;
use crate::engine::core::rows::read;
use crate::engine::handle::Handle;
use crate::engine::inbox::{Closed, Reply};
use crate::engine::timers;
use crate::ids::{PluginName, ProductId};
use crate::outbox::account::Disabled;
use crate::store::{Group, Key, Store, StoreError, Table};

pub use crate::engine::core::audit::{
    Act, AuditRow, Deed, Outcome, Subject as SubjectHash, SubjectKind,
};
pub use crate::engine::core::keys::{KeyChange, KeyError, KeyRow, KeyTable, MOST_KEYS};
pub use crate::engine::core::switch::{MOST_REASON, PluginSwitch, SwitchError, SwitchTo, Switched};

impl Handle {
    /// The same way into the engine, on somebody's account: what is changed through it is put on record in the audit log,
    /// in the commit of the change.
    #[must_use]
    pub fn on_behalf_of(&self, by: Actor) -> Self {
        Self { by: Some(by), ..self.clone() }
    }

    /// What whoever this handle is for does; `None` where it is for nobody: the host acts by itself.
    pub fn deed(&self, act: Act, product: Option<&ProductId>) -> Option<Deed> {
        let by = self.by.clone()?;
        Some(Deed { by, act, product: product.cloned(), order: None })
    }

    /// Puts on record what somebody did that the engine doesn't carry out. Returns after the commit.
    ///
    /// # Errors
    /// The engine has ended, or waits for its store: it isn't on record.
    pub async fn put_on_record(&self, act: Act, outcome: Outcome) -> Result<(), Closed> {
        match self.deed(act, None) {
            Some(deed) => self.record(deed, outcome).await,
            None => Ok(()),
        }
    }

    pub(super) async fn record(&self, deed: Deed, outcome: Outcome) -> Result<(), Closed> {
        self.ask(Command::Audit(deed, outcome), None, Reply::Done).await
    }

    /// Makes a key or revokes one. Returns after the commit: from then on it opens what it says, or nothing.
    ///
    /// # Errors
    /// Nothing changed, and why.
    pub async fn change_keys(&self, change: KeyChange) -> Result<KeyRow, KeyError> {
        let act = match &change {
            KeyChange::New { id, row } => Act::KeyNew {
                id: id.clone(),
                name: row.name.clone(),
                scopes: row.scopes.clone(),
                products: row.products.clone(),
            },
            KeyChange::Revoke(id) => Act::KeyRevoke { id: id.clone(), name: None },
        };
        let deed = self.deed(act, None);
        let changed = self.ask(Command::Key(change), deed, Reply::Keyed).await;
        changed.unwrap_or(Err(KeyError::Unavailable))
    }

    /// Has a plugin not called from here on, or called again. Returns after the commit.
    ///
    /// # Errors
    /// Nothing changed, and why.
    pub async fn switch_plugin(&self, switch: PluginSwitch) -> Result<Switched, SwitchError> {
        let plugin = switch.plugin.clone();
        let act = match &switch.to {
            SwitchTo::Disabled { reason } => {
                Act::PluginDisabled { plugin, reason: reason.is_some() }
            }
            SwitchTo::Enabled => Act::PluginEnabled { plugin },
        };
        let deed = self.deed(act, None);
        let switched = self.ask(Command::Switch(switch), deed, Reply::Switched).await;
        switched.unwrap_or(Err(SwitchError::Unavailable))
    }

    /// Removes what a plugin keeps under keys, but for what it keeps of sessions. Returns after the commit: how many
    /// values there were.
    ///
    /// # Errors
    /// The engine has ended, or waits for its store: nothing is removed.
    pub async fn clear_kv(&self, plugin: PluginName) -> Result<u64, Closed> {
        let deed = self.deed(Act::KvCleared { plugin: plugin.clone() }, None);
        self.ask(Command::ClearKv(plugin), deed, Reply::Cleared).await
    }

    /// Removes the timers that a plugin set and that aren't due. Returns after the last commit: how many there were.
    ///
    /// # Errors
    /// The engine has ended, or waits for its store: some may be removed.
    pub async fn remove_timers(&self, plugin: &PluginName) -> Result<u64, Closed> {
        let deed = self.deed(Act::TimersRemoved { plugin: plugin.clone() }, None);
        // All its commits are one row of the audit log.
        let deed = deed.map(|deed| Deed { order: Some(rand::random()), ..deed });
        let (mut removed, mut after, mut asked) = (0, None, false);
        loop {
            let page = timers::sessions(&*self.store, plugin, after).await;
            let (keys, next) = page.map_err(|_| Closed)?;
            let is_last = next.is_none();
            // Where there are none, that somebody wanted it is on record all the same.
            if !keys.is_empty() || (is_last && !asked) {
                let command = Command::RemoveTimers(plugin.clone(), keys);
                removed += self.ask(command, deed.clone(), Reply::Cleared).await?;
                asked = true;
            }
            if is_last {
                return Ok(removed);
            }
            after = next;
        }
    }

    /// That a person has a plugin not called.
    pub fn disabled(&self, plugin: &str) -> Option<Disabled> {
        self.gate.disabled(plugin)
    }

    /// Whether a plugin may be asked what isn't a delivery: what a webhook means, whether to offer help. Before it is
    /// known what people decided of it, it may not.
    pub fn may_ask(&self, plugin: &str) -> bool {
        self.keys.borrow().is_some() && self.disabled(plugin).is_none()
    }

    /// Remembers when keys were used last. Returns after the commit.
    ///
    /// # Errors
    /// The engine has ended, or waits for its store: it isn't remembered.
    pub async fn keys_used(&self, uses: Vec<(KeyId, Timestamp)>) -> Result<(), Closed> {
        self.ask(Command::KeysUsed(uses), None, Reply::Done).await
    }

    /// The keys as they were committed last; `None` before they were read.
    pub fn keys(&self) -> Option<Arc<KeyTable>> {
        self.keys.borrow().clone()
    }
}

/// The keys of a store that no host writes to.
///
/// # Errors
/// The store can't be read.
pub async fn stored_keys(store: &dyn Store) -> Result<KeyTable, StoreError> {
    let rows = store.scan(Table::Key, None, MOST_KEYS).await?;
    let key = |(key, value): (Key, Vec<u8>)| {
        Some((KeyId::new(&key.group.0).ok()?, read::<KeyRow>(Table::Key, key.number, &value)?))
    };
    Ok(rows.into_iter().filter_map(key).collect())
}

/// Some of the audit log, the newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditPage {
    /// What was done.
    pub rows: Vec<AuditRow>,
    /// Where the next page begins; `None`: there is none.
    pub next: Option<AuditCursor>,
}

/// A place in the audit log; opaque text for whoever asks in pages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AuditCursor(Key);

/// Text that is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it isn't a cursor; send `next` of the answer before, unchanged")]
pub struct InvalidAuditCursor;

impl From<AuditCursor> for String {
    fn from(AuditCursor(key): AuditCursor) -> Self {
        let place = serde_json::to_vec(&(&*key.group.0, key.number));
        URL_SAFE_NO_PAD.encode(place.expect("text and numbers are JSON"))
    }
}

impl TryFrom<String> for AuditCursor {
    type Error = InvalidAuditCursor;

    fn try_from(text: String) -> Result<Self, InvalidAuditCursor> {
        let place = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidAuditCursor)?;
        let (group, number): (String, u64) =
            serde_json::from_slice(&place).map_err(|_| InvalidAuditCursor)?;
        Ok(Self(Key { table: Table::Audit, group: Group(group.into(), "".into()), number }))
    }
}

/// Reads up to `limit` rows of the audit log behind `after`, the newest first.
///
/// # Errors
/// The store can't be read.
pub async fn audited(
    store: &dyn Store,
    limit: usize,
    after: Option<AuditCursor>,
) -> Result<AuditPage, StoreError> {
    let rows = store.scan(Table::Audit, after.map(|cursor| cursor.0), limit).await?;
    let next = rows.last().filter(|_| rows.len() == limit).map(|(key, _)| AuditCursor(key.clone()));
    let row = |(key, value): &(Key, Vec<u8>)| read(Table::Audit, key.number, value);
    Ok(AuditPage { rows: rows.iter().filter_map(row).collect(), next })
}
