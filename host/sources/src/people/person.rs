//! Somebody, as they are remembered: one row of the store.

use serde::{Deserialize, Serialize};
use sidenote_core::clock::Timestamp;

/// Somebody who is to be forgotten.
#[derive(Clone, Copy)]
pub enum Whom<'a> {
    /// By their user id.
    User(&'a str),
    /// By their e-mail address, capitals or not.
    Email(&'a str),
    /// By a session of theirs.
    Session(&'a str),
}

/// Somebody, by the name that counts.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Who {
    /// A person, as the product names them.
    User(String),
    /// A visitor whom nobody knows.
    Visitor(String),
    /// A person of whom only the address is known, in small letters.
    Address(String),
}

/// What is remembered of somebody.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Person {
    pub(super) who: Who,
    /// Their address, as they wrote it last.
    #[serde(default)]
    pub(super) address: Option<String>,
    /// The latest of their sessions that was made here.
    #[serde(default)]
    pub(super) made: Option<Made>,
    /// Their latest sessions.
    #[serde(default)]
    pub(super) sessions: Vec<Session>,
    /// The latest names that lead to them.
    #[serde(default)]
    pub(super) names: Vec<String>,
    /// Where the next question about them goes on.
    #[serde(default)]
    pub(super) cursor: Option<Cursor>,
    /// When they turned up last, to the hour.
    pub(super) at: Timestamp,
}

/// Somebody's session.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Session {
    /// The id under which it is told.
    pub(super) id: String,
    /// Who was told to be its person: user id, address.
    #[serde(default)]
    pub(super) told: (Option<String>, Option<String>),
    /// When that was told first, in seconds.
    #[serde(default)]
    pub(super) told_at: f64,
}

/// A session that is made here.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Made {
    pub(super) id: String,
    /// When something happened in it last, in seconds.
    pub(super) last: f64,
    /// The same as it is stored: to the minute.
    #[serde(skip)]
    pub(super) stored: f64,
}

/// Where the next question about somebody goes on.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Cursor {
    /// As whom they were asked about.
    pub(super) user: String,
    pub(super) text: String,
}

/// What is left of somebody behind an erasure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// All: it is about somebody else.
    All,
    /// A session less.
    Less,
    /// Nothing.
    Nothing,
}

impl Person {
    pub(super) fn new(who: Who, at: Timestamp) -> Self {
        Self {
            who,
            address: None,
            made: None,
            sessions: Vec::new(),
            names: Vec::new(),
            cursor: None,
            at,
        }
    }

    /// Takes out what is to be forgotten.
    pub(crate) fn forget(&mut self, whom: &Whom<'_>) -> Left {
        let is_meant = match whom {
            Whom::User(name) => {
                let name = name.trim();
                self.who == Who::User(name.to_owned()) || self.names.iter().any(|it| it == name)
            }
            Whom::Email(address) => {
                let address = address.trim().to_lowercase();
                let known = self.address.as_ref().map(|it| it.trim().to_lowercase());
                self.who == Who::Address(address.clone()) || known == Some(address)
            }
            // Whose it was is still somebody.
            Whom::Session(id) => {
                let before = self.sessions.len();
                self.sessions.retain(|it| it.id != *id);
                let made = self.made.take_if(|it| it.id == *id);
                return match made.is_some() || self.sessions.len() < before {
                    true => Left::Less,
                    false => Left::All,
                };
            }
        };
        if is_meant { Left::Nothing } else { Left::All }
    }
}
