//! What a turn of a conversation means: who did what. Pure.
//!
//! Platforms tell of far more than of what people write: of agents, of automations, of what we posted ourselves, of
//! conversations that end. What each of them means for the host is decided in [`meaning`] alone.
//!
//! | who | `message` | `typing` | `reaction` | `closed`, `reopened` |
//! |---|---|---|---|---|
//! | the person | [`Meaning::PersonWrote`] | [`Meaning::PersonTypes`] | [`Meaning::PersonReacted`] | it closed or opened again |
//! | a human agent | [`Meaning::AgentWrote`] | [`Meaning::AgentTypes`] | nothing | it closed or opened again |
//! | a bot | nothing | nothing | nothing | it closed or opened again |

use serde::{Deserialize, Serialize};

/// Who is behind a turn: the key `author` of its extras.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Author {
    /// The person whose conversation it is; what a turn that doesn't say is taken for.
    #[default]
    Person,
    /// A human agent of support.
    Agent,
    /// An automation of the platform, or what this host posted itself.
    Bot,
}

/// What happened in a turn: the key `happened` of its extras.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Happened {
    /// Something was written, or an answer clicked; what a turn that doesn't say is taken for.
    #[default]
    Message,
    /// Somebody is writing at this moment.
    Typing,
    /// The conversation was closed.
    Closed,
    /// The conversation was opened again.
    Reopened,
    /// Somebody reacted to a message, with an emoji for example.
    Reaction,
}

/// What a turn means for the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Meaning {
    /// The person wrote, or clicked an answer. The only one that links a session, that tells who somebody is, and
    /// that can be answered.
    PersonWrote,
    /// The person is writing.
    PersonTypes,
    /// The person reacted to a message.
    PersonReacted,
    /// A human agent wrote.
    AgentWrote,
    /// A human agent is writing.
    AgentTypes,
    /// The conversation was closed, by whomever.
    Closed,
    /// The conversation was opened again, by whomever.
    Reopened,
    /// Of no interest.
    Nothing,
}

/// What it means that `author` did this.
///
/// ```
/// use sidenote_core::session::turn::{Author, Happened, Meaning, meaning};
///
/// assert!(meaning(Author::Person, Happened::Message).links());
/// assert!(!meaning(Author::Agent, Happened::Message).links());
/// assert_eq!(meaning(Author::Bot, Happened::Message), Meaning::Nothing);
/// assert_eq!(meaning(Author::Bot, Happened::Closed), Meaning::Closed);
/// ```
pub fn meaning(author: Author, happened: Happened) -> Meaning {
    match (happened, author) {
        (Happened::Message, Author::Person) => Meaning::PersonWrote,
        (Happened::Message, Author::Agent) => Meaning::AgentWrote,
        (Happened::Typing, Author::Person) => Meaning::PersonTypes,
        (Happened::Typing, Author::Agent) => Meaning::AgentTypes,
        (Happened::Reaction, Author::Person) => Meaning::PersonReacted,
        (Happened::Closed, Author::Person | Author::Agent | Author::Bot) => Meaning::Closed,
        (Happened::Reopened, Author::Person | Author::Agent | Author::Bot) => Meaning::Reopened,
        (Happened::Message | Happened::Typing, Author::Bot)
        | (Happened::Reaction, Author::Agent | Author::Bot) => Meaning::Nothing,
    }
}

impl Meaning {
    /// Whether the turn links its conversation, tells who the person is, and can be answered. Nobody is known by what
    /// others write.
    pub fn links(self) -> bool {
        match self {
            Self::PersonWrote => true,
            Self::PersonTypes
            | Self::PersonReacted
            | Self::AgentWrote
            | Self::AgentTypes
            | Self::Closed
            | Self::Reopened
            | Self::Nothing => false,
        }
    }
}

impl Author {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Person, Self::Agent, Self::Bot];

    /// The word of the key `author`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Agent => "agent",
            Self::Bot => "bot",
        }
    }

    /// Reads the word; `None` for one that this version doesn't know.
    pub fn read(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.word() == word)
    }
}

impl Happened {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Message, Self::Typing, Self::Closed, Self::Reopened, Self::Reaction];

    /// The word of the key `happened`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Typing => "typing",
            Self::Closed => "closed",
            Self::Reopened => "reopened",
            Self::Reaction => "reaction",
        }
    }

    /// Reads the word; `None` for one that this version doesn't know.
    pub fn read(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.word() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_person_writes_links() {
        for author in Author::ALL {
            for happened in Happened::ALL {
                let is_it = (author, happened) == (Author::Person, Happened::Message);
                assert_eq!(meaning(author, happened).links(), is_it, "{author:?} {happened:?}");
            }
        }
    }

    #[test]
    fn a_bot_says_nothing_and_closes_as_anybody_does() {
        for (happened, wanted) in [
            (Happened::Message, Meaning::Nothing),
            (Happened::Typing, Meaning::Nothing),
            (Happened::Reaction, Meaning::Nothing),
            (Happened::Closed, Meaning::Closed),
            (Happened::Reopened, Meaning::Reopened),
        ] {
            assert_eq!(meaning(Author::Bot, happened), wanted);
        }
    }

    #[test]
    fn every_word_is_read_as_it_is_written_and_no_other() {
        assert!(Author::ALL.iter().all(|it| Author::read(it.word()) == Some(*it)));
        assert!(Happened::ALL.iter().all(|it| Happened::read(it.word()) == Some(*it)));
        for unknown in ["", "Person", " agent", "merged"] {
            assert_eq!((Author::read(unknown), Happened::read(unknown)), (None, None));
        }
    }
}
