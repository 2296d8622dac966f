//! What is sent once more of a note that was delivered.

use crate::clock::Timestamp;
use crate::ids::SessionKey;
use crate::outbox::note::NoteKind;
use crate::session::link::Link;
use crate::session::note::body;
use crate::session::payload::Action;
use crate::session::wording::worded;

/// What is to be sent once more.
#[derive(Clone, PartialEq)]
pub struct Repeat {
    /// The number of the note that is repeated.
    pub of: u64,
    /// Where the session's notes go now.
    pub link: Link,
    /// What it is made of.
    pub kind: NoteKind,
    /// The actions that it tells of; none where it has a text.
    pub actions: Vec<Action>,
    /// The text; `None` for a note of actions.
    pub text: Option<String>,
    /// As of the note that is repeated.
    pub through: u64,
}

impl std::fmt::Debug for Repeat {
    /// The text, the actions and the conversation are left out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Repeat")
            .field("of", &self.of)
            .field("kind", &self.kind)
            .field("through", &self.through)
            .finish_non_exhaustive()
    }
}

impl Repeat {
    /// What its note says. `bin_seconds` is the width of its time bins.
    pub fn body(&self, key: &SessionKey, bin_seconds: f64, now: Timestamp) -> String {
        let actions = worded(self.actions.clone());
        body(key, &actions, self.text.as_deref(), bin_seconds, now)
    }
}
