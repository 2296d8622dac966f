//! What comes out: batches as the connector sends them, and what was left out.

use std::collections::BTreeMap;

use sidenote_core::session::payload::ActionsPayload;

/// Why an event has no line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// It only says who somebody is.
    Identity,
    /// It is told by another line.
    Folded,
    /// A rule drops it.
    Rule,
    /// The field may not be named.
    Sensitive,
    /// It has neither a name nor a page.
    Nameless,
    /// It happened long before it came.
    Old,
    /// It is nobody's: no session, no person.
    Nobody,
}

impl Reason {
    /// A word for it, the same for all alike.
    pub fn word(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Folded => "folded",
            Self::Rule => "rule",
            Self::Sensitive => "sensitive",
            Self::Nameless => "nameless",
            Self::Old => "old",
            Self::Nobody => "nobody",
        }
    }

    /// It in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Identity => "says who somebody is, nothing that they did",
            Self::Folded => "told by the line of another event",
            Self::Rule => "dropped by a rule",
            Self::Sensitive => "a field that may hold a secret",
            Self::Nameless => "has neither a name nor a page",
            Self::Old => "happened long before it came",
            Self::Nobody => "names neither a session nor a person",
        }
    }
}

/// What a batch became.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Worded {
    /// One batch per session that something is known of, in the order in which the sessions came up. One without
    /// actions only tells who it is.
    pub sessions: Vec<ActionsPayload>,
    /// How many events have no line of their own, by the reason.
    pub left_out: BTreeMap<Reason, u32>,
}

impl Worded {
    pub(crate) fn leave_out(&mut self, reason: Reason, count: u32) {
        if count > 0 {
            let left = self.left_out.entry(reason).or_default();
            *left = left.saturating_add(count);
        }
    }
}
