//! What links a session to a conversation, and what can come of it.

use serde::{Deserialize, Serialize};

pub use crate::session::identity::{Vouched, Word};
pub use crate::session::link::{Identity, LinkEvent, LinkMode};

use super::counters::Counters;
use super::settings::Settings;
use crate::ids::{ConversationId, PluginName, ProductId, SessionId, SessionKey};
use crate::session::identity::{Tie, UserIds};

/// A session is to be linked to a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkCommand {
    /// The plugin that posts into the conversation.
    pub plugin: PluginName,
    /// The conversation.
    pub conversation: ConversationId,
    /// Whose conversation it is.
    pub who: Who,
    /// What to do when the session is linked to another conversation already.
    pub mode: LinkMode,
    /// Who the platform says that it is; used where the activity source doesn't say, and as far as the
    /// platform vouches for it.
    pub told: Identity,
    /// Whose word it is.
    pub word: Word,
}

/// How a session was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Found {
    /// By its id.
    Session,
    /// By its person's user id.
    User,
    /// By its person's address.
    Address,
}

impl LinkCommand {
    /// The request as far as it says something and is believed.
    ///
    /// # Errors
    /// Nothing is left that could be linked.
    pub fn believed(mut self, settings: &Settings, counters: &Counters) -> Result<Self, LinkError> {
        let names = settings.names();
        if !names.names_somebody(self.conversation.as_str()) {
            counters.nobody_ids.add(1);
            return Err(LinkError::Nobody("conversation"));
        }
        match &mut self.who {
            Who::Session(SessionKey { session, .. }) | Who::SessionOf(_, session) => {
                if !names.names_somebody(session.as_str()) {
                    counters.nobody_ids.add(1);
                    return Err(LinkError::Nobody("session"));
                }
            }
            Who::Person { user_id, email, .. } => {
                counters.nobody_ids.add(names.clean(user_id, email));
            }
        }
        counters.nobody_ids.add(names.clean_identity(&mut self.told));
        let Word::Platform(vouched) = self.word else { return Ok(self) };
        let belief = settings.belief(&self.plugin);
        self.told = Identity {
            user_id: self.told.user_id.filter(|_| vouched.user_id),
            email: self.told.email.filter(|_| vouched.email),
            told_by: None,
        };
        match belief.user_ids {
            UserIds::Product => {}
            UserIds::Matching => self.told.told_by = Some(self.plugin.clone()),
            UserIds::Platform => self.told.user_id = None,
        }
        if self.told.user_id.is_none() {
            self.told.told_by = None;
        }
        if let Who::Person { user_id, email, .. } = &mut self.who {
            if belief.user_ids == UserIds::Platform {
                *user_id = None;
            }
            let named = user_id.is_some() || email.is_some();
            if !belief.accept_claims {
                *user_id = user_id.take().filter(|_| vouched.user_id);
                *email = email.take().filter(|_| vouched.email);
            }
            if named && user_id.is_none() && email.is_none() {
                return Err(LinkError::Claimed);
            }
        }
        Ok(self)
    }

    /// What ties the command to a session that was found so.
    pub(super) fn tie(&self, found: Found) -> Tie {
        let Word::Platform(vouched) = self.word else { return Tie::Operator };
        match found {
            Found::Session if vouched.session_id => Tie::Verified,
            Found::Session => Tie::Named,
            Found::User if vouched.user_id => Tie::Verified,
            Found::Address if vouched.email => Tie::Verified,
            Found::User | Found::Address => Tie::Claimed,
        }
    }
}

/// How the session is named.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Who {
    /// By its key.
    Session(SessionKey),
    /// By its id within one of the products that the plugin serves.
    SessionOf(Vec<ProductId>, SessionId),
    /// By the person, in one of the products that the plugin serves: the most recent session counts.
    Person {
        /// The products to look in.
        products: Vec<ProductId>,
        /// The activity source's user id.
        user_id: Option<String>,
        /// The e-mail address.
        email: Option<String>,
    },
}

impl std::fmt::Debug for Who {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Session(_) => "Session(..)",
            Self::SessionOf(..) => "SessionOf(..)",
            Self::Person { .. } => "Person(..)",
        })
    }
}

/// What came of a [`LinkCommand`], after the commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Linked {
    /// The session.
    pub key: SessionKey,
    /// The conversation that the session's notes go to.
    pub conversation: ConversationId,
    /// What happened.
    pub event: LinkEvent,
}

/// Why a session wasn't linked. Nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize)]
#[serde(into = "Written")]
pub enum LinkError {
    /// No product or session fits.
    #[error("no session fits: {0}")]
    NotFound(&'static str),
    /// Several products know the session; one must be named.
    #[error("several products know this session; name the product in `POST /sessions/link`")]
    Ambiguous,
    /// The session's or the conversation's id is one that names none, such as `undefined`.
    #[error("the {0}'s id names none: it stands where a program knew of nothing")]
    Nobody(&'static str),
    /// Nothing vouches for who it is said to be.
    #[error("who it is was only claimed: nothing vouches for it")]
    Claimed,
    /// The conversation belongs to another person's session.
    #[error("the conversation belongs to another person's session; nothing was linked")]
    Foreign,
    /// The store can't take anything at the moment; ask again.
    #[error("the store takes nothing at the moment; ask again later")]
    Unavailable,
    /// The host is shutting down.
    #[error("the host is shutting down")]
    Closed,
}

/// What [`LinkError::NotFound`] says, where an engine says it.
pub(super) mod not_found {
    pub(in super::super) const PRODUCT: &str = "its product isn't configured";
    pub(in super::super) const SESSION: &str = "no product of this plugin knows the session";
    pub(in super::super) const PERSON: &str = "no session of this person is known";

    /// The same text, as this release has it; another release may say it in other words.
    pub(super) fn of(text: &str) -> &'static str {
        let known = [PRODUCT, SESSION, PERSON].into_iter().find(|it| *it == text);
        known.unwrap_or("none is known")
    }
}

/// A [`LinkError`] as it is written.
#[derive(Clone, Serialize, Deserialize)]
enum Written {
    NotFound(String),
    Ambiguous,
    Nobody(String),
    Claimed,
    Foreign,
    Unavailable,
    Closed,
}

impl From<LinkError> for Written {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::NotFound(why) => Self::NotFound(why.to_owned()),
            LinkError::Ambiguous => Self::Ambiguous,
            LinkError::Nobody(whose) => Self::Nobody(whose.to_owned()),
            LinkError::Claimed => Self::Claimed,
            LinkError::Foreign => Self::Foreign,
            LinkError::Unavailable => Self::Unavailable,
            LinkError::Closed => Self::Closed,
        }
    }
}

impl<'de> Deserialize<'de> for LinkError {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Written::deserialize(deserializer).map(Self::from)
    }
}

impl From<Written> for LinkError {
    fn from(written: Written) -> Self {
        match written {
            Written::NotFound(why) => Self::NotFound(not_found::of(&why)),
            Written::Ambiguous => Self::Ambiguous,
            Written::Nobody(whose) => {
                Self::Nobody(if whose == "session" { "session" } else { "conversation" })
            }
            Written::Claimed => Self::Claimed,
            Written::Foreign => Self::Foreign,
            Written::Unavailable => Self::Unavailable,
            Written::Closed => Self::Closed,
        }
    }
}
