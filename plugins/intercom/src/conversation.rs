//! A conversation as Intercom's API answers it: the parts, and of each what tells whose note it is.

use serde::Deserialize;

use crate::marker;

/// What is read of a conversation.
#[derive(Deserialize)]
pub(crate) struct Conversation {
    conversation_parts: Parts,
}

#[derive(Deserialize)]
struct Parts {
    conversation_parts: Vec<Part>,
}

/// What is read of a part.
#[derive(Deserialize)]
struct Part {
    id: Id,
    part_type: String,
    body: Option<String>,
    author: Option<Author>,
}

#[derive(Deserialize)]
struct Author {
    id: Option<Id>,
}

/// Ids are texts, and numbers in some versions.
#[derive(Deserialize, PartialEq)]
#[serde(untagged)]
enum Id {
    Text(String),
    Number(u64),
}

impl Id {
    fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
        }
    }
}

impl Conversation {
    /// The newest note of this teammate that has the key's marker.
    pub(crate) fn note(&self, admin: &str, key: &str) -> Option<String> {
        let mut notes = self.of("note", admin);
        let marked =
            notes.find(|part| marker::is_in(part.body.as_deref().unwrap_or_default(), key));
        marked.map(|part| part.id.text())
    }

    /// The newest part of this kind by this teammate.
    pub(crate) fn latest(&self, kind: &str, admin: &str) -> Option<String> {
        self.of(kind, admin).next().map(|part| part.id.text())
    }

    fn of<'a>(&'a self, kind: &'a str, admin: &'a str) -> impl Iterator<Item = &'a Part> {
        let by_admin = move |part: &&Part| {
            let author = part.author.as_ref().and_then(|author| author.id.as_ref());
            author.is_some_and(|id| id.text() == admin)
        };
        let parts = self.conversation_parts.conversation_parts.iter().rev();
        parts.filter(move |part| part.part_type == kind).filter(by_admin)
    }
}
