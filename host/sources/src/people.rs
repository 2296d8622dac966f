//! Which session an event belongs to, and whose it is.
//!
//! | the event has | its session |
//! |---|---|
//! | a session of the tool | that one; where it is another person's already, one beside it |
//! | a person or a visitor alone | the one of before, where nothing happened in it for less than 30 minutes; else a new one |
//! | neither | none: it is nobody's |
//!
//! Two names are one person's only where an event has both, or the tool says it ([`Merge`](crate::Merge)): a session
//! or a device that two people use never makes them one. What is remembered is bounded; what was used the longest time
//! ago is forgotten first.

use std::collections::HashSet;
use std::num::NonZeroUsize;

use lru::LruCache;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sidenote_core::clock::Timestamp;
use sidenote_core::session::identity::Names;

use crate::event::Identity;

/// So many sessions, names and people are remembered.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(20_000).expect("it isn't zero");
/// So many sessions of one person are told of a new name.
const SESSIONS: usize = 16;
/// Longest id that is believed to be one, in bytes.
const LONGEST: usize = 256;
/// So long may nothing happen in a session that is made here, in seconds.
const GAP: f64 = 30.0 * 60.0;
/// So long it is told again who a session is, in seconds: as clients send again what wasn't accepted.
const LATELY: f64 = 10.0 * 60.0;
/// So many names lead on to one another at most.
const STEPS: usize = 8;

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
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Who {
    /// A person, as the product names them.
    User(String),
    /// A visitor whom nobody knows.
    Visitor(String),
    /// A person of whom only the address is known, in small letters.
    Address(String),
}

/// Whose a session is.
#[derive(Clone, Serialize, Deserialize)]
struct Session {
    owner: Option<Who>,
    /// The id under which it is told.
    /// Who was told to be its person: user id, address.
    told: (Option<String>, Option<String>),
    /// When that was told first, in seconds.
    told_at: f64,
}

/// A session that is made here.
#[derive(Clone, Serialize, Deserialize)]
struct Made {
    id: String,
    last: f64,
}

type Scoped<T> = (String, T);

/// What is remembered of people and sessions, per product.
pub(crate) struct People {
    /// By the session's id.
    sessions: LruCache<Scoped<String>, Session>,
    /// The ids of somebody's latest sessions.
    of: LruCache<Scoped<Who>, Vec<String>>,
    made: LruCache<Scoped<Who>, Made>,
    /// Which name belongs to which person.
    merged: LruCache<Scoped<String>, String>,
    /// The addresses of people, and of visitors who left one.
    addresses: LruCache<Scoped<Who>, String>,
}

/// Who a session is, where that is news.
pub(crate) struct Known {
    /// The person.
    pub user_id: Option<String>,
    /// Their address.
    pub email: Option<String>,
}

impl Default for People {
    fn default() -> Self {
        Self { sessions: empty(), of: empty(), made: empty(), merged: empty(), addresses: empty() }
    }
}

impl People {
    /// Takes in who an event is of, and names its session; `None` where it is nobody's.
    pub(crate) fn place(
        &mut self,
        product: &str,
        identity: &Identity,
        names: &Names,
        now: Timestamp,
    ) -> Option<String> {
        let id = |it: &Option<String>| {
            let it = it.as_deref().map(str::trim)?;
            (it.len() <= LONGEST && names.names_somebody(it)).then(|| it.to_owned())
        };
        let address = id(&identity.email).filter(|it| names.is_somebodys_address(it));
        let (user, visitor) = (id(&identity.user_id), id(&identity.anonymous_id));
        let session = id(&identity.session_id);
        if let (Some(visitor), Some(user)) = (&visitor, &user) {
            self.merge(product, visitor, user, names);
        }
        let who = match (user, visitor) {
            (Some(user), _) => Some(Who::User(self.resolve(product, user))),
            (None, Some(visitor)) => Some(self.visitor(product, visitor)),
            (None, None) => address.as_ref().map(|it| Who::Address(it.to_lowercase())),
        };
        if let (Some(who), Some(address)) = (&who, &address) {
            self.addresses.put((product.to_owned(), who.clone()), address.clone());
        }
        let session_id = match (session, &who) {
            (Some(session), _) => self.of_tool(product, session, who.as_ref()),
            (None, Some(who)) => self.of_gap(product, who, now),
            (None, None) => return None,
        };
        self.own(product, &session_id, who.as_ref());
        Some(session_id)
    }

    /// Joins two names. A visitor's sessions become the person's, and what comes with the old name later too.
    pub(crate) fn merge(&mut self, product: &str, from: &str, into: &str, names: &Names) -> bool {
        let (from, into) = (from.trim(), into.trim());
        let usable = |it: &str| it.len() <= LONGEST && names.names_somebody(it);
        if !usable(from) || !usable(into) {
            return false;
        }
        let into = self.resolve(product, into.to_owned());
        if from == into || self.resolve(product, from.to_owned()) == into {
            return false;
        }
        self.merged.put((product.to_owned(), from.to_owned()), into.clone());
        let into = Who::User(into);
        for old in [Who::Visitor(from.to_owned()), Who::User(from.to_owned())] {
            let old = (product.to_owned(), old);
            let new = (product.to_owned(), into.clone());
            if let Some(address) = self.addresses.pop(&old) {
                self.addresses.get_or_insert(new.clone(), || address);
            }
            if let Some(made) = self.made.pop(&old)
                && self.made.peek(&new).is_none_or(|it| it.last < made.last)
            {
                self.made.put(new, made);
            }
            for id in self.of.pop(&old).unwrap_or_default() {
                self.hand_over(product, &id, &into);
            }
        }
        true
    }

    /// Who a session is, where that wasn't told yet, or was told lately: the commit may have failed, and then the same
    /// comes again.
    pub(crate) fn news(
        &mut self,
        product: &str,
        session_id: &str,
        now: Timestamp,
    ) -> Option<Known> {
        let known = self.known(product, session_id)?;
        let session = self.sessions.peek_mut(&(product.to_owned(), session_id.to_owned()))?;
        let who = (known.user_id.clone(), known.email.clone());
        let now = now.as_secs_f64();
        if session.told != who {
            (session.told, session.told_at) = (who, now);
        }
        let is_news = session.told != (None, None) && now - session.told_at < LATELY;
        is_news.then_some(known)
    }

    /// Who a session is.
    pub(crate) fn known(&self, product: &str, session_id: &str) -> Option<Known> {
        let session = self.sessions.peek(&(product.to_owned(), session_id.to_owned()))?;
        let of = |who: &Who| self.addresses.peek(&(product.to_owned(), who.clone())).cloned();
        let (user_id, email) = match &session.owner {
            Some(who @ Who::User(user)) => (Some(user.clone()), of(who)),
            Some(who @ (Who::Address(_) | Who::Visitor(_))) => (None, of(who)),
            None => (None, None),
        };
        Some(Known { user_id, email })
    }

    /// The latest sessions of the person that a name belongs to.
    pub(crate) fn sessions_of(&self, product: &str, name: &str) -> Vec<String> {
        let user = self.resolve(product, name.trim().to_owned());
        self.of.peek(&(product.to_owned(), Who::User(user))).cloned().unwrap_or_default()
    }

    /// Forgets somebody, under every name that led to them: what comes later is told without what was known.
    pub(crate) fn forget(&mut self, product: &str, whom: &Whom<'_>) {
        let here = |it: &str| it == product;
        let mut gone: HashSet<Who> = match whom {
            Whom::User(name) => {
                let name = name.trim().to_owned();
                HashSet::from([Who::User(self.resolve(product, name.clone())), Who::User(name)])
            }
            Whom::Email(address) => {
                let address = address.trim().to_lowercase();
                let same = |known: &String| known.trim().to_lowercase() == address;
                let owners =
                    self.addresses.iter().filter(|((of, _), known)| here(of) && same(known));
                let owners: Vec<_> = owners.map(|((_, who), _)| who.clone()).collect();
                owners.into_iter().chain([Who::Address(address)]).collect()
            }
            // Whose it was is still somebody.
            Whom::Session(_) => HashSet::new(),
        };
        let leads: Vec<_> = self.merged.iter().filter(|((of, _), _)| here(of)).collect();
        let leads =
            leads.into_iter().filter(|(_, into)| gone.contains(&Who::User((*into).clone())));
        let names: Vec<String> = leads.map(|((_, from), _)| from.clone()).collect();
        gone.extend(
            names.iter().cloned().flat_map(|name| [Who::Visitor(name.clone()), Who::User(name)]),
        );
        let theirs = |(of, session): &(&Scoped<String>, &Session)| {
            let named = matches!(whom, Whom::Session(id) if of.1 == *id);
            here(&of.0) && (named || session.owner.as_ref().is_some_and(|who| gone.contains(who)))
        };
        let sessions: Vec<_> =
            self.sessions.iter().filter(theirs).map(|(key, _)| key.clone()).collect();
        for key in &sessions {
            self.sessions.pop(key);
            for (_, ids) in self.of.iter_mut().filter(|((of, _), _)| here(of)) {
                ids.retain(|id| *id != key.1);
            }
        }
        for name in names {
            self.merged.pop(&(product.to_owned(), name));
        }
        for who in gone {
            let key = (product.to_owned(), who);
            self.of.pop(&key);
            self.made.pop(&key);
            self.addresses.pop(&key);
        }
    }

    /// The name that a name leads to.
    fn resolve(&self, product: &str, name: String) -> String {
        let mut name = name;
        for _ in 0..STEPS {
            match self.merged.peek(&(product.to_owned(), name.clone())) {
                Some(next) => name = next.clone(),
                None => break,
            }
        }
        name
    }

    fn visitor(&mut self, product: &str, visitor: String) -> Who {
        // A name that is used isn't forgotten.
        if self.merged.get(&(product.to_owned(), visitor.clone())).is_some() {
            return Who::User(self.resolve(product, visitor));
        }
        Who::Visitor(visitor)
    }

    /// The tool's session, or one beside it where that is somebody else's.
    fn of_tool(&mut self, product: &str, session: String, who: Option<&Who>) -> String {
        let Some(who) = who else { return session };
        let owner = self
            .sessions
            .get(&(product.to_owned(), session.clone()))
            .and_then(|it| it.owner.clone());
        match owner {
            Some(owner) if owner != *who && !is_same_by_address(&owner, who) => {
                let beside = format!("{session}~");
                let theirs = self.of.get(&(product.to_owned(), who.clone())).into_iter().flatten();
                let known = theirs.into_iter().find(|it| it.starts_with(&beside)).cloned();
                known.unwrap_or_else(|| beside + &mark(product, who))
            }
            Some(_) | None => session,
        }
    }

    /// The session of somebody whose tool has none.
    fn of_gap(&mut self, product: &str, who: &Who, now: Timestamp) -> String {
        let now = now.as_secs_f64();
        let key = (product.to_owned(), who.clone());
        if let Some(made) = self.made.get_mut(&key)
            && now - made.last < GAP
        {
            made.last = made.last.max(now);
            return made.id.clone();
        }
        let id = format!("made-{}-{:.0}", mark(product, who), now);
        self.made.put(key, Made { id: id.clone(), last: now });
        id
    }

    /// Puts down whose a session is.
    fn own(&mut self, product: &str, session_id: &str, who: Option<&Who>) {
        let key = (product.to_owned(), session_id.to_owned());
        let fresh = || Session { owner: None, told: (None, None), told_at: 0.0 };
        let session = self.sessions.get_or_insert_mut(key, fresh);
        let Some(who) = who else { return };
        let replaces = match (&session.owner, who) {
            (None, _) => true,
            // Somebody whose address was known, and now their name.
            (Some(Who::Address(_)), Who::User(_)) => true,
            (Some(_), _) => false,
        };
        if replaces {
            session.owner = Some(who.clone());
            self.remember(product, who, session_id);
        }
    }

    fn hand_over(&mut self, product: &str, session_id: &str, to: &Who) {
        if let Some(session) = self.sessions.get_mut(&(product.to_owned(), session_id.to_owned())) {
            session.owner = Some(to.clone());
            self.remember(product, to, session_id);
        }
    }

    fn remember(&mut self, product: &str, who: &Who, session_id: &str) {
        let ids = self.of.get_or_insert_mut((product.to_owned(), who.clone()), Vec::new);
        if !ids.iter().any(|it| it == session_id) {
            if ids.len() == SESSIONS {
                ids.remove(0);
            }
            ids.push(session_id.to_owned());
        }
    }
}

/// Who somebody is, so that nobody can tell it from what is written.
fn mark(product: &str, who: &Who) -> String {
    let (kind, name) = match who {
        Who::User(name) => ("user", name),
        Who::Visitor(name) => ("visitor", name),
        Who::Address(name) => ("address", name),
    };
    let digest = Sha256::digest(format!("{product}\0{kind}\0{name}"));
    hex::encode(&digest[..8])
}

/// A session that began with an address alone is the person's who turns up in it.
fn is_same_by_address(owner: &Who, who: &Who) -> bool {
    match (owner, who) {
        (Who::Address(_), Who::User(_)) | (Who::User(_), Who::Address(_)) => true,
        (Who::User(_) | Who::Visitor(_) | Who::Address(_), _) => false,
    }
}

/// What is remembered, as it is stored.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Stored {
    sessions: Vec<(Scoped<String>, Session)>,
    of: Vec<(Scoped<Who>, Vec<String>)>,
    made: Vec<(Scoped<Who>, Made)>,
    merged: Vec<(Scoped<String>, String)>,
    addresses: Vec<(Scoped<Who>, String)>,
}

impl Serialize for People {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Stored {
            sessions: entries(&self.sessions),
            of: entries(&self.of),
            made: entries(&self.made),
            merged: entries(&self.merged),
            addresses: entries(&self.addresses),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for People {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = Stored::deserialize(deserializer)?;
        Ok(Self {
            sessions: cache(stored.sessions),
            of: cache(stored.of),
            made: cache(stored.made),
            merged: cache(stored.merged),
            addresses: cache(stored.addresses),
        })
    }
}

/// A cache that is bounded and takes no memory before it has something in it.
fn empty<K: std::hash::Hash + Eq, V>() -> LruCache<K, V> {
    let mut cache = LruCache::unbounded();
    cache.resize(REMEMBERED);
    cache
}

/// The entries, what was used the longest time ago first.
fn entries<K: Clone + std::hash::Hash + Eq, V: Clone>(cache: &LruCache<K, V>) -> Vec<(K, V)> {
    cache.iter().rev().map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn cache<K: std::hash::Hash + Eq, V>(entries: Vec<(K, V)>) -> LruCache<K, V> {
    let mut cache = empty();
    for (key, value) in entries {
        cache.put(key, value);
    }
    cache
}

#[cfg(test)]
mod tests;
