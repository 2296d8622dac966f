//! Which conversation a session's notes go to. Pure: what is stored and a wish in, a decision out.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::ids::{ConversationId, PluginName, SessionKey};

/// A session's link: the one truth of where its notes go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The plugin that posts there.
    pub plugin: PluginName,
    /// The conversation.
    pub conversation: ConversationId,
    /// Since when.
    pub since: Timestamp,
    /// How often the session was moved before.
    pub moves: u32,
}

/// The sessions that were linked to one conversation, the latest last.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Owners(Vec<Owner>);

/// A session that was linked to a conversation.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Owner {
    /// The session.
    pub key: SessionKey,
    /// Whose session it is.
    #[serde(flatten)]
    pub who: Identity,
    /// When it was linked.
    pub since: Timestamp,
}

/// Who a person is, as far as is known.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Identity {
    /// The activity source's user id.
    pub user_id: Option<String>,
    /// The e-mail address.
    pub email: Option<String>,
}

/// A wish to link a session.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// The plugin that posts into the conversation.
    pub plugin: &'a PluginName,
    /// The conversation.
    pub conversation: &'a ConversationId,
    /// What to do when the session is linked to another conversation already.
    pub mode: LinkMode,
    /// Who the platform says that it is.
    pub told: &'a Identity,
}

/// What to do when the session is linked to another conversation already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkMode {
    /// The link is sticky: keep the first conversation.
    Auto,
    /// As `Auto`; the platform says that the conversation is under way already.
    Reply,
    /// An operator's word: the session goes to this conversation, from wherever it is. A move is
    /// recorded in the log and in [`Link::moves`].
    Move,
}

/// What happened to the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkEvent {
    /// The conversation wasn't known; the session goes to it.
    New,
    /// The conversation was known already; the session goes to it.
    ReplyExisting,
    /// The session is linked to another conversation and stays there.
    Kept,
    /// The session was moved from another conversation.
    Moved,
}

/// The conversation belongs to another person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the conversation belongs to another person's session")]
pub struct Foreign;

/// Decides what a wish to link a session of `who` to a conversation with these `owners` does to its
/// `current` link. `same` says whether `current` is that very conversation.
///
/// A conversation that another person's session owns is refused, so that nobody's actions land
/// beside somebody else's conversation; sessions whose person isn't known on both sides are let in,
/// as several sessions of one person on one conversation are the usual case.
pub fn decide(
    current: Option<&Link>,
    same: bool,
    owners: &Owners,
    who: &Identity,
    mode: LinkMode,
) -> Result<LinkEvent, Foreign> {
    match (mode, current.is_some() && !same) {
        (LinkMode::Auto | LinkMode::Reply, true) => return Ok(LinkEvent::Kept),
        (LinkMode::Move, true) => return Ok(LinkEvent::Moved),
        (LinkMode::Auto | LinkMode::Reply | LinkMode::Move, false) => {}
    }
    if !same
        && mode != LinkMode::Move
        && owners.0.iter().any(|owner| owner.who.is_another_than(who))
    {
        return Err(Foreign);
    }
    let under_way = match mode {
        LinkMode::Auto => same || !owners.0.is_empty(),
        LinkMode::Reply => true,
        LinkMode::Move => false,
    };
    Ok(if under_way { LinkEvent::ReplyExisting } else { LinkEvent::New })
}

impl Owners {
    /// At most so many sessions are remembered for one conversation; the oldest is forgotten first.
    /// A forgotten session keeps its own link.
    pub const MAX: usize = 32;

    /// The owners of a conversation.
    pub fn new(mut owners: Vec<Owner>) -> Self {
        owners.sort_by_key(|owner| owner.since);
        let over = owners.len().saturating_sub(Self::MAX);
        owners.drain(..over);
        Self(owners)
    }

    /// Adds a session, or brings its user up to date. Returns the owner that had to make room.
    pub fn add(&mut self, owner: Owner) -> Option<Owner> {
        self.0.retain(|other| other.key != owner.key);
        let forgotten = (self.0.len() >= Self::MAX).then(|| self.0.remove(0));
        self.0.push(owner);
        forgotten
    }

    /// Brings what is known of a session up to date, where the session is among the owners.
    pub fn update(&mut self, owner: Owner) {
        if let Some(known) = self.0.iter_mut().find(|known| known.key == owner.key) {
            *known = owner;
        }
    }

    /// Takes a session out.
    pub fn remove(&mut self, key: &SessionKey) {
        self.0.retain(|owner| owner.key != *key);
    }

    /// The sessions, the latest last.
    pub fn sessions(&self) -> impl Iterator<Item = &SessionKey> {
        self.0.iter().map(|owner| &owner.key)
    }
}

impl Identity {
    /// Whether the two are known to be different people: by their user ids, and where one of these isn't
    /// known, by their addresses.
    pub fn is_another_than(&self, other: &Self) -> bool {
        if let (Some(one), Some(two)) = (&self.user_id, &other.user_id) {
            return one != two;
        }
        match (&self.email, &other.email) {
            (Some(one), Some(two)) => one.trim().to_lowercase() != two.trim().to_lowercase(),
            (Some(_) | None, None) | (None, Some(_)) => false,
        }
    }
}

impl std::fmt::Debug for Identity {
    /// The person is left out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity(..)")
    }
}

impl std::fmt::Debug for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Owner").field("key", &self.key).finish_non_exhaustive()
    }
}
