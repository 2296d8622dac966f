//! A conversation as Intercom's API answers it: the parts, and of each what tells whose note it is. What else a part
//! has, and parts of kinds that are to come, are passed over.

use serde_json::Value;
use sidenote_plugin::json;

use crate::marker;

/// The parts of a conversation, the oldest first.
pub(crate) struct Parts<'a>(pub(crate) &'a [Value]);

impl Parts<'_> {
    /// The newest note of this teammate that has the key's marker: its id, empty where it has none.
    pub(crate) fn note(&self, admin: &str, key: &str) -> Option<String> {
        let mut notes = self.of("note", admin);
        let marked =
            notes.find(|part| marker::is_in(part["body"].as_str().unwrap_or_default(), key));
        marked.map(|part| json::id(&part["id"]).unwrap_or_default())
    }

    /// The newest part of this kind by this teammate: its id, empty where it has none.
    pub(crate) fn latest(&self, kind: &str, admin: &str) -> Option<String> {
        self.of(kind, admin).next().map(|part| json::id(&part["id"]).unwrap_or_default())
    }

    fn of<'a>(&'a self, kind: &'a str, admin: &'a str) -> impl Iterator<Item = &'a Value> {
        let parts = self.0.iter().rev().filter(move |part| part["part_type"] == kind);
        parts.filter(move |part| json::id(&part["author"]["id"]).as_deref() == Some(admin))
    }
}
