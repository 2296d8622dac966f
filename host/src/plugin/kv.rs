//! What a guest keeps under keys: reads of the store, and the writes of the call under way, which whoever made the call
//! stores with its outcome.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::bindings::v0_1::sidenote::plugin::kv as wit;
use super::ground::Ground;
use crate::clock::Clock;
use crate::engine::core::plugin_timers::TimerRow;
use crate::engine::core::rows::{read, session_group};
use crate::engine::core::values::{PluginValue, SessionValue, Usage, VALUE, usage, value_group};
use crate::ids::{PluginName, SessionKey};
use crate::kv::{CallKv, MAX_KEY, Scope, Writes, size};
use crate::store::{Key, Store, StoreError, Table};
use crate::timer::TimersHeld;

/// Keys of one page at most.
const MAX_PAGE: usize = 100;

/// What the call under way keeps under keys, and its timers.
#[derive(Default)]
pub(super) struct KvOfCall(pub(super) Option<Open>);

/// What a call knows of its plugin's timers: see `timer`.
pub(super) struct TimersOfCall {
    pub(super) clock: Clock,
    /// How many each plugin has.
    pub(super) held: TimersHeld,
    /// The plugin's of the session, as they are stored, once they were read.
    pub(super) stored: Option<BTreeMap<Arc<str>, TimerRow>>,
}

/// Of a call that can keep something.
pub(super) struct Open {
    pub(super) store: Arc<dyn Store>,
    pub(super) session: Option<SessionKey>,
    pub(super) is_stored: bool,
    pub(super) written: Writes,
    /// What is known of the plugin's timers.
    pub(super) timers: TimersOfCall,
    /// What is stored, as far as it was read: how much the plugin keeps, how long what is under keys that were written is,
    /// and all that it keeps of the session.
    usage: Option<Usage>,
    sizes: BTreeMap<String, Option<usize>>,
    of_session: Option<BTreeMap<Arc<str>, Vec<u8>>>,
}

/// What can't be done.
type Refused = wit::Error;

impl KvOfCall {
    /// Of no call: there is nothing to read.
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// Of a call with what was written so far.
    pub(super) fn of(store: Arc<dyn Store>, call: &CallKv, timers: TimersOfCall) -> Self {
        Self(Some(Open {
            store,
            timers,
            session: call.session().cloned(),
            is_stored: call.is_stored(),
            written: call.written(),
            usage: None,
            sizes: BTreeMap::new(),
            of_session: None,
        }))
    }

    /// What is written now, by this call and those before it.
    pub(super) fn take_written(&mut self) -> Writes {
        self.0.as_mut().map(|open| std::mem::take(&mut open.written)).unwrap_or_default()
    }

    /// The value under a key.
    pub(super) async fn get(
        &mut self,
        ground: &Ground,
        scope: Scope,
        key: &str,
    ) -> Result<Option<Vec<u8>>, Refused> {
        let open = self.open(ground, scope)?;
        check_key(key)?;
        if let Some(written) = open.written.get(scope, key) {
            return Ok(written.map(<[u8]>::to_vec));
        }
        match scope {
            Scope::Plugin => {
                let groups = [value_group(&ground.name, key)];
                let rows = open.store.load(Table::PluginValue, &groups).await;
                let rows = rows.map_err(unavailable)?;
                let row = rows.iter().flatten().find(|(number, _)| *number == VALUE);
                let value = row.and_then(|(n, row)| read(Table::PluginValue, *n, row));
                Ok(value.map(|PluginValue { value }| value.0))
            }
            Scope::Session => Ok(open.of_session(&ground.name).await?.get(key).cloned()),
        }
    }

    /// Has a value under a key.
    pub(super) async fn set(
        &mut self,
        ground: &Ground,
        scope: Scope,
        key: &str,
        value: Vec<u8>,
    ) -> Result<(), Refused> {
        let open = self.open_to_write(ground, scope)?;
        check_key(key)?;
        let limits = &ground.limits.kv;
        if value.len() > limits.value_bytes {
            let (is, most) = (value.len(), limits.value_bytes);
            return Err(invalid(format!(
                "the value has {is} bytes, and `kv_value` in [plugins.{}.limits] allows {most}",
                ground.name
            )));
        }
        open.know(&ground.name, scope, key).await?;
        let others = open.used_beside(scope, key);
        let before = others.changed(None, open.length(scope, key));
        let after = others.changed(None, Some(size(key, &value)));
        let bounds = match scope {
            Scope::Plugin => [("kv_keys", limits.keys), ("kv_bytes", limits.bytes)],
            Scope::Session => [
                ("kv_session_keys", limits.session_keys),
                ("kv_session_bytes", limits.session_bytes),
            ],
        };
        let grows = [(before.keys, after.keys), (before.bytes, after.bytes)];
        for ((name, most), (before, after)) in bounds.into_iter().zip(grows) {
            // What is too much already, because the bound was lowered, may get less.
            if after > most as u64 && after > before {
                return Err(refused(
                    wit::ErrorKind::Full,
                    format!(
                        "that would be {after}, and `{name}` in [plugins.{}.limits] allows {most}; delete something first",
                        ground.name
                    ),
                ));
            }
        }
        open.written.put(scope, key, Some(value));
        Ok(())
    }

    /// Has nothing under a key.
    pub(super) async fn delete(
        &mut self,
        ground: &Ground,
        scope: Scope,
        key: &str,
    ) -> Result<(), Refused> {
        let open = self.open_to_write(ground, scope)?;
        check_key(key)?;
        open.know(&ground.name, scope, key).await?;
        // Only what is there is deleted, so that deleting has a bound too.
        match open.stored_length(scope, key) {
            Some(_) => open.written.put(scope, key, None),
            None => open.written.forget(scope, key),
        }
        Ok(())
    }

    /// The first keys that begin with `prefix`, behind `after`.
    pub(super) async fn list(
        &mut self,
        ground: &Ground,
        scope: Scope,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<wit::Page, Refused> {
        let open = self.open(ground, scope)?;
        for text in [prefix, after.unwrap_or_default()] {
            if !text.is_empty() {
                check_key(text)?;
            }
        }
        let limit = usize::try_from(limit).unwrap_or(MAX_PAGE).min(MAX_PAGE);
        let is_wanted =
            |key: &str| key.starts_with(prefix) && after.is_none_or(|after| key > after);
        let mut keys: BTreeSet<String> = match scope {
            Scope::Plugin => open.keys_of_plugin(&ground.name, prefix, after, limit).await?,
            Scope::Session => {
                let stored = open.of_session(&ground.name).await?.keys();
                stored.filter(|key| is_wanted(key)).map(|key| key.to_string()).collect()
            }
        };
        for (key, value) in open.written.of(scope).filter(|(key, _)| is_wanted(key)) {
            match value {
                Some(_) => drop(keys.insert(key.to_string())),
                None => drop(keys.remove(&**key)),
            }
        }
        let more = keys.len() > limit;
        Ok(wit::Page { keys: keys.into_iter().take(limit).collect(), more })
    }

    fn open(&mut self, ground: &Ground, scope: Scope) -> Result<&mut Open, Refused> {
        if !ground.kv {
            return Err(refused(
                wit::ErrorKind::Denied,
                format!(
                    "the plugin may keep nothing; grant it with\n[plugins.{}.grants]\nkv = true",
                    ground.name
                ),
            ));
        }
        let open = self.0.as_mut().ok_or_else(|| {
            let message = "nothing can be kept or read before the first call";
            refused(wit::ErrorKind::Unavailable, message.to_owned())
        })?;
        if scope == Scope::Session && open.session.is_none() {
            let message = "this call isn't about a session".to_owned();
            return Err(refused(wit::ErrorKind::NoSession, message));
        }
        Ok(open)
    }

    fn open_to_write(&mut self, ground: &Ground, scope: Scope) -> Result<&mut Open, Refused> {
        let open = self.open(ground, scope)?;
        if open.is_stored {
            return Ok(open);
        }
        let message = "nothing of such a call is stored: it can only read".to_owned();
        Err(refused(wit::ErrorKind::ReadOnly, message))
    }
}

impl Open {
    /// What the plugin keeps of the session, as it is stored.
    async fn of_session(
        &mut self,
        plugin: &PluginName,
    ) -> Result<&BTreeMap<Arc<str>, Vec<u8>>, Refused> {
        if self.of_session.is_none() {
            let groups: Vec<_> = self.session.iter().map(session_group).collect();
            let rows = self.store.load(Table::SessionValue, &groups).await.map_err(unavailable)?;
            let rows = rows.iter().flatten();
            let rows = rows.filter_map(|(n, row)| read(Table::SessionValue, *n, row));
            let ours = rows.filter(|row: &SessionValue| row.plugin == *plugin);
            self.of_session = Some(ours.map(|row| (row.key, row.value.0)).collect());
        }
        Ok(self.of_session.get_or_insert_default())
    }

    /// Finds out how much is stored, and how long what is stored under a key and under those that were written.
    async fn know(&mut self, plugin: &PluginName, scope: Scope, key: &str) -> Result<(), Refused> {
        if scope == Scope::Session {
            return self.of_session(plugin).await.map(drop);
        }
        let written = self.written.of(scope).map(|(key, _)| &**key);
        let unknown: BTreeSet<_> =
            written.chain([key]).filter(|key| !self.sizes.contains_key(*key)).collect();
        let unknown: Vec<_> = unknown.into_iter().map(str::to_owned).collect();
        let of_usage = self.usage.is_none().then(|| value_group(plugin, ""));
        let groups = unknown.iter().map(|key| value_group(plugin, key)).chain(of_usage);
        let groups: Vec<_> = groups.collect();
        if groups.is_empty() {
            return Ok(());
        }
        let rows = self.store.load(Table::PluginValue, &groups).await.map_err(unavailable)?;
        if self.usage.is_none() {
            self.usage = rows.last().map(usage);
        }
        for (key, rows) in unknown.into_iter().zip(rows) {
            let row = rows.iter().find(|(number, _)| *number == VALUE);
            let value = row.and_then(|(n, row)| read(Table::PluginValue, *n, row));
            let length = value.map(|PluginValue { value }| size(&key, &value.0));
            self.sizes.insert(key, length);
        }
        Ok(())
    }

    /// How long what is stored under a key is, which is [known](Self::know).
    fn stored_length(&self, scope: Scope, key: &str) -> Option<usize> {
        match scope {
            Scope::Plugin => self.sizes.get(key).copied().flatten(),
            Scope::Session => Some(size(key, self.of_session.as_ref()?.get(key)?)),
        }
    }

    /// The same with what was written.
    fn length(&self, scope: Scope, key: &str) -> Option<usize> {
        match self.written.get(scope, key) {
            Some(value) => value.map(|value| size(key, value)),
            None => self.stored_length(scope, key),
        }
    }

    /// How much is kept under other keys than this one.
    fn used_beside(&self, scope: Scope, key: &str) -> Usage {
        let stored = match scope {
            Scope::Plugin => self.usage.unwrap_or_default(),
            Scope::Session => {
                let all = self.of_session.iter().flatten();
                all.fold(Usage::default(), |used, (key, value)| {
                    used.changed(None, Some(size(key, value)))
                })
            }
        };
        let written = self.written.of(scope).filter(|(other, _)| ***other != *key);
        let used = written.fold(stored, |used, (key, value)| {
            used.changed(self.stored_length(scope, key), value.map(|value| size(key, value)))
        });
        used.changed(self.stored_length(scope, key), None)
    }

    /// Stored keys: with what was written they are enough for a page, and to tell whether there are more.
    async fn keys_of_plugin(
        &self,
        plugin: &PluginName,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<BTreeSet<String>, Refused> {
        let group = |key: &str| value_group(plugin, key);
        // Numbers of values are above 0, that of what is behind a key is above theirs.
        let mut behind = match after.filter(|after| *after >= prefix) {
            Some(after) => Key { table: Table::PluginValue, group: group(after), number: u64::MAX },
            None => Key { table: Table::PluginValue, group: group(prefix), number: 0 },
        };
        let deleted = |key: &str| self.written.get(Scope::Plugin, key) == Some(None);
        let (mut keys, mut kept) = (BTreeSet::new(), 0);
        loop {
            let page = self.store.scan(Table::PluginValue, Some(behind), MAX_PAGE).await;
            let page = page.map_err(unavailable)?;
            let is_last = page.len() < MAX_PAGE;
            for (row, _) in &page {
                if row.group.0 != *plugin || !row.group.1.starts_with(prefix) {
                    return Ok(keys);
                }
                kept += usize::from(!deleted(&row.group.1));
                keys.insert(row.group.1.to_string());
                if kept > limit {
                    return Ok(keys);
                }
            }
            match page.into_iter().last() {
                Some((last, _)) if !is_last => behind = last,
                Some(_) | None => return Ok(keys),
            }
        }
    }
}

/// Whether something can be kept under this key.
fn check_key(key: &str) -> Result<(), Refused> {
    if key.is_empty() {
        return Err(invalid("the key is empty".to_owned()));
    }
    if key.len() > MAX_KEY {
        return Err(invalid(format!("the key has {} bytes, and may have {MAX_KEY}", key.len())));
    }
    if key.chars().any(char::is_control) {
        return Err(invalid("the key has a line break or a control character".to_owned()));
    }
    Ok(())
}

fn invalid(message: String) -> Refused {
    refused(wit::ErrorKind::Invalid, message)
}

fn unavailable(error: StoreError) -> Refused {
    // What it says is the operator's business, and in the log.
    tracing::debug!("kv: {error}");
    let message = "the host's store can't be asked at the moment; fail with `transient`";
    refused(wit::ErrorKind::Unavailable, message.to_owned())
}

fn refused(kind: wit::ErrorKind, message: String) -> Refused {
    wit::Error { kind, message }
}

impl From<wit::Scope> for Scope {
    fn from(scope: wit::Scope) -> Self {
        match scope {
            wit::Scope::Plugin => Self::Plugin,
            wit::Scope::Session => Self::Session,
        }
    }
}
