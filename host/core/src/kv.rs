//! What plugins keep under keys of their own: whose a value is, and what a call wrote, its timers included.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::ids::SessionKey;
use crate::timer::SetTimer;

/// Longest key, in bytes.
pub const MAX_KEY: usize = 256;

/// Whose a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// The plugin's.
    Plugin,
    /// The plugin's and the session's that the call is about.
    Session,
}

/// What a call wrote: values by scope and key, `None` where it deleted something; timers of its session by name, `None`
/// where it cancelled one.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Writes {
    values: BTreeMap<(Scope, Arc<str>), Option<Vec<u8>>>,
    /// Only calls about a session set timers, and what came of those is never sent.
    #[serde(skip)]
    timers: BTreeMap<Arc<str>, Option<SetTimer>>,
}

impl Writes {
    /// Has a value, or nothing, under a key: what was written there before is forgotten.
    pub fn put(&mut self, scope: Scope, key: &str, value: Option<Vec<u8>>) {
        self.values.insert((scope, key.into()), value);
    }

    /// Forgets what was written under a key.
    pub fn forget(&mut self, scope: Scope, key: &str) {
        self.values.remove(&(scope, key.into()));
    }

    /// What was written under a key; `Some(None)`: it was deleted.
    pub fn get(&self, scope: Scope, key: &str) -> Option<Option<&[u8]>> {
        self.values.get(&(scope, key.into())).map(Option::as_deref)
    }

    /// What was written in a scope, in the order of the keys.
    pub fn of(&self, scope: Scope) -> impl Iterator<Item = (&Arc<str>, Option<&[u8]>)> {
        let of_scope = self.values.iter().filter(move |((of, _), _)| *of == scope);
        of_scope.map(|((_, key), value)| (key, value.as_deref()))
    }

    /// Whether nothing was written in a scope.
    pub fn has_none_of(&self, scope: Scope) -> bool {
        self.of(scope).next().is_none()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty() && self.timers.is_empty()
    }

    /// How many keys were written.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Sets a timer, or cancels it: what was asked before under its name is forgotten.
    pub fn put_timer(&mut self, name: &str, timer: Option<SetTimer>) {
        self.timers.insert(name.into(), timer);
    }

    /// Forgets what was asked of a timer.
    pub fn forget_timer(&mut self, name: &str) {
        self.timers.remove(name);
    }

    /// Timers that were set, and those that were cancelled, in the order of their names.
    pub fn timers(&self) -> impl ExactSizeIterator<Item = (&Arc<str>, Option<&SetTimer>)> {
        self.timers.iter().map(|(name, timer)| (name, timer.as_ref()))
    }

    /// How many bytes of keys and values that is.
    pub fn bytes(&self) -> usize {
        let of = |((_, key), value): (&(Scope, Arc<str>), &Option<Vec<u8>>)| {
            size(key, value.as_deref().unwrap_or_default())
        };
        self.values.iter().map(of).sum()
    }
}

impl std::fmt::Debug for Writes {
    /// Keys and values are left out: they may tell of people.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Writes({} keys, {} timers)", self.len(), self.timers.len())
    }
}

/// What a value counts, in bytes.
pub fn size(key: &str, value: &[u8]) -> usize {
    key.len() + value.len()
}

/// What one piece of work of the host's, with all of its calls of a plugin, may read and write. Cloning shares it.
#[derive(Clone, Default)]
pub struct CallKv {
    session: Option<SessionKey>,
    written: Option<Arc<Mutex<Writes>>>,
}

impl CallKv {
    /// Of work whose outcome is stored, and with it what was written.
    pub fn stored(session: Option<SessionKey>) -> Self {
        Self { session, written: Some(Arc::default()) }
    }

    /// Of work of which nothing is stored.
    pub fn read_only(session: Option<SessionKey>) -> Self {
        Self { session, written: None }
    }

    /// The session that it is about.
    pub fn session(&self) -> Option<&SessionKey> {
        self.session.as_ref()
    }

    /// Whether what is written is stored.
    pub fn is_stored(&self) -> bool {
        self.written.is_some()
    }

    /// What was written so far by calls that ended well.
    pub fn written(&self) -> Writes {
        self.writes().map(|writes| writes.clone()).unwrap_or_default()
    }

    /// A call ended well that had begun with what was [written](CallKv::written): this is what is written now.
    pub fn keep(&self, written: Writes) {
        if let Some(mut writes) = self.writes() {
            *writes = written;
        }
    }

    fn writes(&self) -> Option<MutexGuard<'_, Writes>> {
        Some(self.written.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl std::fmt::Debug for CallKv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallKv").field("is_stored", &self.is_stored()).finish_non_exhaustive()
    }
}

impl PartialEq for CallKv {
    /// The same session and the same writes so far.
    fn eq(&self, other: &Self) -> bool {
        self.session == other.session
            && self.is_stored() == other.is_stored()
            && self.written() == other.written()
    }
}
