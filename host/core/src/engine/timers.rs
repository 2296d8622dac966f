//! When something is due, by session.

use std::collections::{BTreeSet, HashMap};

use crate::clock::Timestamp;
use crate::ids::SessionKey;

/// A moment for each of some sessions.
#[derive(Default)]
pub(super) struct Timers {
    at: HashMap<SessionKey, Timestamp>,
    due: BTreeSet<(Timestamp, SessionKey)>,
}

impl Timers {
    /// Sets a session's moment, or removes it.
    pub(super) fn set(&mut self, key: &SessionKey, at: Option<Timestamp>) {
        let before = match at {
            Some(at) => match self.at.get_mut(key) {
                Some(before) if *before == at => return,
                Some(before) => Some(std::mem::replace(before, at)),
                None => self.at.insert(key.clone(), at),
            },
            None => self.at.remove(key),
        };
        if let Some(before) = before {
            self.due.remove(&(before, key.clone()));
        }
        if let Some(at) = at {
            self.due.insert((at, key.clone()));
        }
    }

    /// Whether a session has one.
    pub(super) fn has(&self, key: &SessionKey) -> bool {
        self.at.contains_key(key)
    }

    /// The next moment.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Takes the sessions whose moment has come.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Vec<SessionKey> {
        let mut due = Vec::new();
        while self.next().is_some_and(|at| at <= now) {
            if let Some((_, key)) = self.due.pop_first() {
                self.at.remove(&key);
                due.push(key);
            }
        }
        due
    }
}
