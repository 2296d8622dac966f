//! A conversation as Intercom's API answers it: the parts, and of each what tells whose it is. What else a part
//! has, and parts of kinds that are to come, are passed over.

use serde_json::Value;
use sidenote_plugin::json;

use crate::marker;

/// The parts of a conversation, the oldest first.
pub(crate) struct Parts<'a>(pub(crate) &'a [Value]);

impl Parts<'_> {
    /// The newest note of this teammate that has the key's marker: its id, empty where it has none.
    pub(crate) fn note(&self, admin: &str, key: &str) -> Option<String> {
        self.place("note", admin, key).map(|place| self.id(place))
    }

    /// As [`Self::note`], of what the person sees: an offer's id has its quick replies' behind a comma, where the
    /// conversation shows them.
    pub(crate) fn visible(&self, admin: &str, key: &str) -> Option<String> {
        let place = self.place("comment", admin, key)?;
        let mut later = (place + 1..self.0.len()).filter(|later| self.is_by(*later, admin));
        let next = later.find(|later| self.0[*later]["part_type"] != "note");
        let replies = next.filter(|next| self.0[*next]["part_type"] == "quick_reply");
        Some(match replies.map(|replies| self.id(replies)).filter(|id| !id.is_empty()) {
            Some(replies) => format!("{},{replies}", self.id(place)),
            None => self.id(place),
        })
    }

    /// The newest part of this kind by this teammate: its id.
    pub(crate) fn latest(&self, kind: &str, admin: &str) -> Option<String> {
        let mut places = (0..self.0.len()).rev();
        let is_it =
            |place: &usize| self.0[*place]["part_type"] == kind && self.is_by(*place, admin);
        places.find(is_it).map(|place| self.id(place))
    }

    fn place(&self, kind: &str, admin: &str, key: &str) -> Option<usize> {
        self.0.iter().enumerate().rposition(|(place, part)| {
            let body = part["body"].as_str().unwrap_or_default();
            part["part_type"] == kind && self.is_by(place, admin) && marker::is_in(body, key)
        })
    }

    fn is_by(&self, place: usize, admin: &str) -> bool {
        json::id(&self.0[place]["author"]["id"]).as_deref() == Some(admin)
    }

    fn id(&self, place: usize) -> String {
        json::id(&self.0[place]["id"]).unwrap_or_default()
    }
}
