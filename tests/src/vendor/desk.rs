//! A platform's memory: conversations and what was written in them.

use std::collections::BTreeMap;

use serde_json::Value;
use sidenote::clock::Timestamp;
use sidenote_sim::Opening;

/// Most that is written in one conversation; Zendesk's own limit.
const MAX_ENTRIES: usize = 5000;
/// Most conversations.
const MAX_CONVERSATIONS: usize = 10_000;

/// What a platform remembers.
#[derive(Debug, Default)]
pub struct Desk {
    conversations: BTreeMap<String, Conversation>,
    last_number: u64,
}

/// A conversation.
#[derive(Debug, Clone)]
pub struct Conversation {
    /// What the platform calls it.
    pub id: String,
    /// Whose it is.
    pub opening: Opening,
    /// What was written in it, in order.
    pub entries: Vec<Entry>,
}

/// Something that was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// What the platform calls it.
    pub id: String,
    /// Who wrote it: an id of the platform's.
    pub author: String,
    /// As whom.
    pub kind: Author,
    /// As the platform keeps it.
    pub text: String,
    /// Whether its text was taken away.
    pub redacted: bool,
    /// Whether it is gone altogether.
    pub removed: bool,
    /// What can be clicked in it.
    pub options: Vec<Choice>,
    /// What else the platform keeps.
    pub extra: Value,
    /// When it was written.
    pub at: Timestamp,
}

/// An answer that a person can click.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// What the platform tells of a click.
    pub id: String,
    /// What the person reads.
    pub label: String,
}

/// As whom something was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Author {
    /// The person.
    Person,
    /// Support, for the person to see.
    Visible,
    /// Support, for support only: a note.
    Note,
}

impl Desk {
    /// A number that was never given before: for ids.
    pub fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// A conversation.
    pub fn conversation(&self, id: &str) -> Option<&Conversation> {
        self.conversations.get(id)
    }

    /// A conversation, to change it.
    pub fn conversation_mut(&mut self, id: &str) -> Option<&mut Conversation> {
        self.conversations.get_mut(id)
    }

    /// What is there under this id in any conversation: for platforms that don't name the conversation.
    pub fn entry_mut(&mut self, id: &str) -> Option<&mut Entry> {
        self.conversations.values_mut().find_map(|conversation| conversation.entry_mut(id))
    }

    /// Opens a conversation.
    ///
    /// # Panics
    /// When there are too many, or one of this id is there.
    pub fn open(&mut self, id: String, opening: Opening) {
        assert!(self.conversations.len() < MAX_CONVERSATIONS, "too many conversations");
        let conversation = Conversation { id: id.clone(), opening, entries: Vec::new() };
        let other = self.conversations.insert(id, conversation);
        assert!(other.is_none(), "there is a conversation of this id");
    }
}

impl Conversation {
    /// Writes something.
    ///
    /// # Panics
    /// When there is too much in it.
    pub fn write(&mut self, entry: Entry) {
        assert!(self.entries.len() < MAX_ENTRIES, "too much in one conversation");
        self.entries.push(entry);
    }

    /// The latest offer that can be clicked.
    pub fn offer(&self) -> Option<&Entry> {
        let mut latest = self.entries.iter().rev();
        latest.find(|entry| !(entry.options.is_empty() || entry.removed || entry.redacted))
    }

    /// The option of this id in the latest offer, and the offer.
    ///
    /// # Panics
    /// When nothing of the kind can be clicked.
    pub fn clicked(&self, id: &str) -> (&Entry, &Choice) {
        let offer = self.offer().expect("an offer that can be clicked");
        let choice = offer.options.iter().find(|choice| choice.id == id);
        (offer, choice.expect("an option of the offer"))
    }

    /// What is there under this id.
    ///
    /// # Panics
    /// When it isn't.
    pub fn entry(&self, id: &str) -> &Entry {
        let entry = self.entries.iter().find(|entry| entry.id == id && !entry.removed);
        entry.expect("something that was written")
    }

    /// What is there under this id, to change it.
    pub fn entry_mut(&mut self, id: &str) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.id == id && !entry.removed)
    }
}

impl Entry {
    /// A note of support.
    pub fn note(id: String, author: &str, text: String, at: Timestamp) -> Self {
        Self {
            id,
            author: author.to_owned(),
            kind: Author::Note,
            text,
            redacted: false,
            removed: false,
            options: Vec::new(),
            extra: Value::Null,
            at,
        }
    }
}
