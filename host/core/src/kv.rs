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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ids::{ProductId, SessionId};

    #[derive(Debug, Clone)]
    enum Step {
        Put(Scope, String, Option<Vec<u8>>),
        Forget(Scope, String),
    }

    fn scope() -> impl Strategy<Value = Scope> {
        prop_oneof![Just(Scope::Plugin), Just(Scope::Session)]
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let value = proptest::option::of(proptest::collection::vec(any::<u8>(), 0..4));
        let put =
            (scope(), "[ab]{1,2}", value).prop_map(|(of, key, value)| Step::Put(of, key, value));
        let forget = (scope(), "[ab]{1,2}").prop_map(|(of, key)| Step::Forget(of, key));
        proptest::collection::vec(prop_oneof![3 => put, 1 => forget], 0..24)
    }

    proptest! {
        #[test]
        fn what_was_written_last_is_what_is_there(steps in steps()) {
            let mut writes = Writes::default();
            let mut model = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Put(of, key, value) => {
                        writes.put(of, &key, value.clone());
                        model.insert((of, key), value);
                    }
                    Step::Forget(of, key) => {
                        writes.forget(of, &key);
                        model.remove(&(of, key));
                    }
                }
            }
            for of in [Scope::Plugin, Scope::Session] {
                for key in ["a", "b", "aa", "ab", "ba", "bb"] {
                    let wanted = model.get(&(of, key.to_owned())).map(Option::as_deref);
                    prop_assert_eq!(writes.get(of, key), wanted);
                }
                let wanted: Vec<_> = model.iter().filter(|((it, _), _)| *it == of).collect();
                let wanted: Vec<_> = wanted.iter().map(|((_, key), value)| (&**key, value.as_deref())).collect();
                let found: Vec<_> = writes.of(of).map(|(key, value)| (&**key, value)).collect();
                prop_assert_eq!(writes.has_none_of(of), wanted.is_empty());
                prop_assert_eq!(found, wanted);
            }
            prop_assert_eq!(writes.len(), model.len());
            prop_assert_eq!(writes.is_empty(), model.is_empty());
            let value = |value: &Option<Vec<u8>>| value.as_ref().map_or(0, Vec::len);
            let bytes: usize = model.iter().map(|((_, key), it)| key.len() + value(it)).sum();
            prop_assert_eq!(writes.bytes(), bytes);
        }
    }

    #[test]
    fn a_timer_alone_is_something_written_until_it_is_forgotten() {
        let mut writes = Writes::default();
        writes.put_timer("later", None);
        assert!(!writes.is_empty());
        assert_eq!(writes.len(), 0);
        assert_eq!(writes.timers().map(|(name, _)| &**name).collect::<Vec<_>>(), ["later"]);
        writes.forget_timer("later");
        assert!(writes.is_empty());
        assert_eq!(writes.timers().len(), 0);
    }

    #[test]
    fn neither_keys_nor_values_are_shown() {
        let mut writes = Writes::default();
        writes.put(Scope::Session, "ada@example.com", Some(b"secret".to_vec()));
        assert_eq!(format!("{writes:?}"), "Writes(1 keys, 0 timers)");
        let kv = CallKv::stored(None);
        kv.keep(writes);
        assert_eq!(format!("{kv:?}"), "CallKv { is_stored: true, .. }");
    }

    #[test]
    fn what_is_stored_is_shared_by_its_clones_and_what_isnt_is_dropped() {
        let product = ProductId::new("acme").unwrap();
        let session = SessionKey { product, session: SessionId::new("s1").unwrap() };
        let mut writes = Writes::default();
        writes.put(Scope::Plugin, "k", None);
        let stored = CallKv::stored(Some(session.clone()));
        let clone = stored.clone();
        clone.keep(writes.clone());
        assert_eq!((stored.session(), stored.is_stored()), (Some(&session), true));
        assert_eq!(stored.written(), writes);
        assert_eq!(stored, clone);

        let read_only = CallKv::read_only(Some(session));
        read_only.keep(writes);
        assert!(!read_only.is_stored() && read_only.written().is_empty());
        assert_ne!(stored, read_only);
        assert_ne!(CallKv::stored(None), CallKv::read_only(None));
    }
}
