//! Which conversation a session's notes go to. Pure: what is stored and a request in, a decision out.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::ids::{ConversationId, PluginName, SessionKey};
use crate::session::identity::{Basis, Names, Tie};

pub use crate::session::identity::Identity;
use crate::short::{Reader, Short, Writer, flags, is_set, short_but_in_json};

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
    /// What it rests on.
    #[serde(default)]
    pub basis: Basis,
}

/// The sessions that were linked to one conversation, the latest last.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Owners(Vec<Owner>);

/// A session that was linked to a conversation.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Owner {
    /// The session.
    pub key: SessionKey,
    /// Whose session it is.
    #[serde(flatten)]
    pub who: Identity,
    /// When it was linked.
    pub since: Timestamp,
    /// What its link rests on.
    #[serde(default)]
    pub basis: Basis,
}

short_but_in_json!(Owner);

impl Short for Owner {
    fn write(&self, to: &mut Writer) {
        let Self { key, who: Identity { user_id, email, told_by }, since, basis } = self;
        let by = basis.code();
        let named = [user_id.is_some(), email.is_some(), told_by.is_some()];
        to.put(&(flags(named) | by << named.len()));
        to.put(&(&key.product, &key.session));
        to.put_some(user_id.as_ref());
        to.put_some(email.as_ref());
        to.put_some(told_by.as_ref());
        to.put(since);
    }

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        let flags: u8 = from.take()?;
        let basis = Basis::coded(flags >> 3)?;
        let (product, session) = from.take()?;
        let who = Identity {
            user_id: from.take_if(is_set(flags, 0))?,
            email: from.take_if(is_set(flags, 1))?,
            told_by: from.take_if(is_set(flags, 2))?,
        };
        Some(Self { key: SessionKey { product, session }, who, since: from.take()?, basis })
    }

    fn read_named<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::deserialize(deserializer)
    }
}

/// A session that is to be linked, and what its link would rest on.
#[derive(Debug, Clone, Copy)]
pub struct Party<'a> {
    /// The session.
    pub key: &'a SessionKey,
    /// Whose it is.
    pub who: &'a Identity,
    /// What the link rests on.
    pub basis: Basis,
}

/// A request to link a session.
#[derive(Debug, Clone, Copy)]
pub struct LinkRequest<'a> {
    /// The plugin that posts into the conversation.
    pub plugin: &'a PluginName,
    /// The conversation.
    pub conversation: &'a ConversationId,
    /// What to do when the session is linked to another conversation already.
    pub mode: LinkMode,
    /// Who the platform vouches that it is.
    pub told: &'a Identity,
    /// How the session was found.
    pub tie: Tie,
    /// Which names say something.
    pub names: &'a Names,
}

/// What to do when the session is linked to another conversation already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LinkMode {
    /// The link is sticky: keep the first conversation, unless what the request rests on is surer than what
    /// the link rests on.
    Auto,
    /// As `Auto`; the platform says that the conversation is under way already.
    Reply,
    /// An operator's word: the session goes to this conversation, from wherever it is. A move is
    /// recorded in the log and in [`Link::moves`].
    Move,
}

/// What happened to the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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

/// Decides what a request to link a session (`party`) to a conversation with these `owners` does to its
/// `current` link. `same` says whether `current` is that very conversation.
///
/// A conversation that another person's session owns is refused, so that nobody's actions land
/// beside somebody else's conversation; sessions whose person isn't known on both sides are let in,
/// as several sessions of one person on one conversation are the usual case. An owner whose link rests on
/// less than the request keeps nobody out: a visitor's claim locks no true person out.
pub fn decide(
    current: Option<&Link>,
    same: bool,
    owners: &Owners,
    party: Party<'_>,
    mode: LinkMode,
    names: &Names,
) -> Result<LinkEvent, Foreign> {
    let elsewhere = current.filter(|_| !same);
    match (mode, elsewhere) {
        (LinkMode::Move, Some(_)) => return Ok(LinkEvent::Moved),
        (LinkMode::Auto | LinkMode::Reply, Some(link)) if party.basis <= link.basis => {
            return Ok(LinkEvent::Kept);
        }
        (LinkMode::Auto | LinkMode::Reply | LinkMode::Move, _) => {}
    }
    let keeps_out =
        |owner: &Owner| owner.basis >= party.basis && owner.is_another_than(party, names);
    if !same && mode != LinkMode::Move && owners.0.iter().any(keeps_out) {
        return Err(Foreign);
    }
    if elsewhere.is_some() {
        return Ok(LinkEvent::Moved);
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

    /// Adds a session, or brings its user up to date. Returns the owner that went for it.
    pub fn add(&mut self, owner: Owner) -> Option<Owner> {
        self.0.retain(|other| other.key != owner.key);
        let forgotten = (self.0.len() >= Self::MAX).then(|| self.0.remove(0));
        // Most conversations have one session, and there are many.
        self.0.reserve_exact(1);
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

    /// The sessions of other people than the party's that are here without verification, where the
    /// party's link rests on more.
    pub fn outranked_by(&self, party: Party<'_>, names: &Names) -> Vec<SessionKey> {
        let is_outranked = |owner: &&Owner| {
            owner.basis == Basis::Unverified
                && party.basis > Basis::Unverified
                && owner.is_another_than(party, names)
        };
        self.0.iter().filter(is_outranked).map(|owner| owner.key.clone()).collect()
    }

    /// The sessions that are here without verification.
    pub fn unverified(&self) -> impl Iterator<Item = &SessionKey> {
        let unverified = self.0.iter().filter(|owner| owner.basis == Basis::Unverified);
        unverified.map(|owner| &owner.key)
    }

    /// The sessions, the latest last.
    pub fn sessions(&self) -> impl Iterator<Item = &SessionKey> {
        self.0.iter().map(|owner| &owner.key)
    }
}

impl Owner {
    fn is_another_than(&self, party: Party<'_>, names: &Names) -> bool {
        let same_product = self.key.product == party.key.product;
        self.key != *party.key && self.who.is_another_than(party.who, same_product, names)
    }
}

impl std::fmt::Debug for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Owner").field("key", &self.key).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
