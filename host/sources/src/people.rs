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
//! ago is forgotten first. Somebody is one row of the store ([`Person`]), which is written when they change.

mod person;
mod stored;

use std::collections::{BTreeSet, HashMap};

use lru::LruCache;
use sha2::{Digest, Sha256};
use sidenote_core::clock::Timestamp;
use sidenote_core::engine::rows::decode;
use sidenote_core::rows::Change;
use sidenote_core::session::identity::Names;

pub use person::Whom;
use person::{Cursor, Left, Made, Person, Session, Who};
pub use stored::forgotten;

use crate::event::Identity;

/// So many people and visitors are remembered.
const REMEMBERED: usize = 20_000;
/// So many sessions and further names of all of them.
const NAMES: usize = 60_000;
/// So many sessions of one person, and so many further names.
const OF_ONE: usize = 16;
/// Longest id that is believed to be one, in bytes.
const LONGEST: usize = 256;
/// Longest cursor of a person that is remembered, in bytes.
const LONGEST_CURSOR: usize = 1024;
/// So long may nothing happen in a session that is made here, in seconds.
const GAP: f64 = 30.0 * 60.0;
/// So exactly it is stored when something happened in such a session last, in seconds.
const MINUTE: f64 = 60.0;
/// So exactly it is stored when somebody turned up last.
const HOUR: std::time::Duration = std::time::Duration::from_secs(3600);
/// So long it is told again who a session is, in seconds: as clients send again what wasn't accepted.
const LATELY: f64 = 10.0 * 60.0;

/// Within a product.
type Scoped<T> = (String, T);

/// What is remembered of people and sessions, per product.
pub(crate) struct People {
    people: LruCache<Scoped<Who>, Person>,
    /// Whose a session is, by its id.
    owners: HashMap<Scoped<String>, Who>,
    /// Which name belongs to which person.
    merged: HashMap<Scoped<String>, String>,
    /// Those whose rows aren't as they are.
    changed: BTreeSet<Scoped<Who>>,
}

/// Who a session is.
#[derive(Default)]
pub(crate) struct Known {
    /// The person.
    pub user_id: Option<String>,
    /// Their address.
    pub email: Option<String>,
}

impl Default for People {
    fn default() -> Self {
        Self {
            people: LruCache::unbounded(),
            owners: HashMap::new(),
            merged: HashMap::new(),
            changed: BTreeSet::new(),
        }
    }
}

impl People {
    /// What was stored, each with its product. What can't be read is left out.
    pub(crate) fn load<'a>(rows: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let rows = rows.into_iter();
        let mut read: Vec<(&str, Person)> =
            rows.filter_map(|(product, row)| Some((product, decode(row).ok()?))).collect();
        read.sort_by_key(|(_, person)| person.at);
        let mut people = Self::default();
        for (product, person) in read {
            for session in &person.sessions {
                people.owners.insert((product.to_owned(), session.id.clone()), person.who.clone());
            }
            if let Who::User(user) = &person.who {
                for name in &person.names {
                    people.merged.insert((product.to_owned(), name.clone()), user.clone());
                }
            }
            people.people.put((product.to_owned(), person.who.clone()), person);
        }
        people.bound();
        people
    }

    /// The rows of those who changed since it was asked last, of a source of this name.
    pub(crate) fn changes(&mut self, source: &str) -> Vec<Change> {
        let changed = std::mem::take(&mut self.changed).into_iter();
        let row = |key: Scoped<Who>| stored::change(source, &key.0, &key.1, self.people.peek(&key));
        changed.map(row).collect()
    }

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
            self.merge(product, (visitor, user), names, now);
        }
        let who = match (user, visitor) {
            (Some(user), _) => Who::User(self.resolve(product, user)),
            (None, Some(visitor)) => self.visitor(product, visitor),
            (None, None) => match &address {
                Some(address) => Who::Address(address.to_lowercase()),
                None => return session,
            },
        };
        let person = self.person(product, &who, now);
        if address.is_some() && person.address != address {
            person.address = address;
            self.change(product, &who);
        }
        let session_id = match session {
            Some(session) => self.of_tool(product, session, &who),
            None => self.of_gap(product, &who, now),
        };
        self.own(product, &session_id, &who);
        self.bound();
        Some(session_id)
    }

    /// Joins two names, the old one and the person's. A visitor's sessions become the person's, and what comes with the old
    /// name later too.
    pub(crate) fn merge(
        &mut self,
        product: &str,
        (from, into): (&str, &str),
        names: &Names,
        now: Timestamp,
    ) -> bool {
        let (from, into) = (from.trim(), into.trim());
        let usable = |it: &str| it.len() <= LONGEST && names.names_somebody(it);
        if !usable(from) || !usable(into) {
            return false;
        }
        let into = self.resolve(product, into.to_owned());
        let before = self.resolve(product, from.to_owned());
        if from == into || before == into {
            return false;
        }
        // Whoever had the name last has it.
        let before = Who::User(before);
        if let Some(person) = self.people.peek_mut(&(product.to_owned(), before.clone())) {
            person.names.retain(|it| it != from);
            self.change(product, &before);
        }
        let who = Who::User(into);
        let mut further = vec![from.to_owned()];
        let mut sessions = Vec::new();
        let (mut address, mut made): (Option<String>, Option<Made>) = (None, None);
        for old in [Who::Visitor(from.to_owned()), Who::User(from.to_owned())] {
            let Some(old) = self.people.pop(&(product.to_owned(), old)) else { continue };
            self.change(product, &old.who);
            further.splice(0..0, old.names);
            sessions.extend(old.sessions);
            address = address.or(old.address);
            made = later(made, old.made);
        }
        let person = self.person(product, &who, now);
        if person.address.is_none() {
            person.address = address;
        }
        person.made = later(person.made.take(), made);
        for session in sessions {
            self.add_session(product, &who, session);
        }
        for name in further {
            self.add_name(product, &who, name);
        }
        self.change(product, &who);
        self.bound();
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
        let who = self.owners.get(&(product.to_owned(), session_id.to_owned()))?.clone();
        let person = self.people.peek_mut(&(product.to_owned(), who.clone()))?;
        let session = person.sessions.iter_mut().find(|it| it.id == session_id)?;
        let told = (known.user_id.clone(), known.email.clone());
        let now = now.as_secs_f64();
        let is_other = session.told != told;
        if is_other {
            (session.told, session.told_at) = (told, now);
        }
        let is_news = session.told != (None, None) && now - session.told_at < LATELY;
        if is_other {
            self.change(product, &who);
        }
        is_news.then_some(known)
    }

    /// Who a session is; `None` where it is nobody's.
    pub(crate) fn known(&self, product: &str, session_id: &str) -> Option<Known> {
        let who = self.owners.get(&(product.to_owned(), session_id.to_owned()))?;
        let person = self.people.peek(&(product.to_owned(), who.clone()))?;
        let user_id = match who {
            Who::User(user) => Some(user.clone()),
            Who::Address(_) | Who::Visitor(_) => None,
        };
        Some(Known { user_id, email: person.address.clone() })
    }

    /// The latest sessions of the person that a name belongs to.
    pub(crate) fn sessions_of(&self, product: &str, name: &str) -> Vec<String> {
        let user = self.resolve(product, name.trim().to_owned());
        let person = self.people.peek(&(product.to_owned(), Who::User(user)));
        person.map(|it| it.sessions.iter().map(|it| it.id.clone()).collect()).unwrap_or_default()
    }

    /// Where the next question about a person goes on.
    pub(crate) fn cursor(&self, product: &str, user: &str) -> Option<&str> {
        let who = Who::User(self.resolve(product, user.to_owned()));
        let cursor = self.people.peek(&(product.to_owned(), who))?.cursor.as_ref()?;
        (cursor.user == user).then_some(&*cursor.text)
    }

    /// The next question about a person goes on there.
    pub(crate) fn set_cursor(&mut self, product: &str, user: &str, text: String, now: Timestamp) {
        if user.len() > LONGEST || text.len() > LONGEST_CURSOR {
            return;
        }
        let who = Who::User(self.resolve(product, user.to_owned()));
        self.person(product, &who, now).cursor = Some(Cursor { user: user.to_owned(), text });
        self.change(product, &who);
        self.bound();
    }

    /// Forgets somebody, under every name that led to them: what comes later is told without what was known. `false`:
    /// nothing was known.
    pub(crate) fn forget(&mut self, product: &str, whom: &Whom<'_>) -> bool {
        let theirs = self.people.iter_mut().filter(|((of, _), _)| of == product);
        let found: Vec<(Who, Left)> = theirs
            .map(|((_, who), person)| (who.clone(), person.forget(whom)))
            .filter(|(_, left)| *left != Left::All)
            .collect();
        for (who, left) in &found {
            if *left == Left::Nothing
                && let Some(person) = self.people.pop(&(product.to_owned(), who.clone()))
            {
                self.drop_names(product, &person);
            }
            self.change(product, who);
        }
        if let Whom::Session(id) = whom {
            self.owners.remove(&(product.to_owned(), (*id).to_owned()));
        }
        !found.is_empty()
    }

    /// The name that a name leads to.
    fn resolve(&self, product: &str, name: String) -> String {
        let key = (product.to_owned(), name);
        self.merged.get(&key).cloned().unwrap_or(key.1)
    }

    fn visitor(&self, product: &str, visitor: String) -> Who {
        match self.merged.get(&(product.to_owned(), visitor.clone())) {
            Some(user) => Who::User(user.clone()),
            None => Who::Visitor(visitor),
        }
    }

    fn change(&mut self, product: &str, who: &Who) {
        self.changed.insert((product.to_owned(), who.clone()));
    }

    /// Somebody who turned up.
    fn person(&mut self, product: &str, who: &Who, now: Timestamp) -> &mut Person {
        let key = (product.to_owned(), who.clone());
        let is_stored = self.people.peek(&key).is_some_and(|it| now.since(it.at) < HOUR);
        if !is_stored {
            self.changed.insert(key.clone());
        }
        let person = self.people.get_or_insert_mut(key, || Person::new(who.clone(), now));
        if !is_stored {
            person.at = now;
        }
        person
    }

    /// The tool's session, or one beside it where that is somebody else's.
    fn of_tool(&self, product: &str, session: String, who: &Who) -> String {
        let key = (product.to_owned(), session);
        match self.owners.get(&key) {
            Some(owner) if owner != who && !is_same_by_address(owner, who) => {
                let beside = format!("{}~", key.1);
                let theirs = self.people.peek(&(key.0, who.clone()));
                let theirs = theirs.into_iter().flat_map(|it| &it.sessions);
                let known = theirs.map(|it| &it.id).find(|it| it.starts_with(&beside)).cloned();
                known.unwrap_or_else(|| beside + &mark(product, who))
            }
            Some(_) | None => key.1,
        }
    }

    /// The session of somebody whose tool has none.
    fn of_gap(&mut self, product: &str, who: &Who, at: Timestamp) -> String {
        let now = at.as_secs_f64();
        let person = self.person(product, who, at);
        if let Some(made) = &mut person.made
            && now - made.last < GAP
        {
            made.last = made.last.max(now);
            let id = made.id.clone();
            if made.last - made.stored >= MINUTE {
                made.stored = made.last;
                self.change(product, who);
            }
            return id;
        }
        let id = format!("made-{}-{:.0}", mark(product, who), now);
        person.made = Some(Made { id: id.clone(), last: now, stored: now });
        self.change(product, who);
        id
    }

    /// Puts down whose a session is.
    fn own(&mut self, product: &str, session_id: &str, who: &Who) {
        let owner = self.owners.get(&(product.to_owned(), session_id.to_owned())).cloned();
        let session = match (owner, who) {
            (None, _) => Session { id: session_id.to_owned(), told: (None, None), told_at: 0.0 },
            // Somebody whose address was known, and now their name.
            (Some(before @ Who::Address(_)), Who::User(_)) => {
                let Some(session) = self.take_session(product, &before, session_id) else { return };
                session
            }
            (Some(_), _) => return,
        };
        self.add_session(product, who, session);
    }

    fn take_session(&mut self, product: &str, who: &Who, session_id: &str) -> Option<Session> {
        let person = self.people.peek_mut(&(product.to_owned(), who.clone()))?;
        let at = person.sessions.iter().position(|it| it.id == session_id)?;
        let session = person.sessions.remove(at);
        self.change(product, who);
        Some(session)
    }

    fn add_session(&mut self, product: &str, who: &Who, session: Session) {
        let Some(person) = self.people.peek_mut(&(product.to_owned(), who.clone())) else { return };
        let id = session.id.clone();
        person.sessions.push(session);
        let over = person.sessions.len().saturating_sub(OF_ONE);
        for gone in person.sessions.drain(..over) {
            self.owners.remove(&(product.to_owned(), gone.id));
        }
        self.owners.insert((product.to_owned(), id), who.clone());
        self.change(product, who);
    }

    fn add_name(&mut self, product: &str, who: &Who, name: String) {
        let Who::User(user) = who else { return };
        let Some(person) = self.people.peek_mut(&(product.to_owned(), who.clone())) else { return };
        person.names.retain(|it| *it != name);
        person.names.push(name.clone());
        let over = person.names.len().saturating_sub(OF_ONE);
        for gone in person.names.drain(..over) {
            self.merged.remove(&(product.to_owned(), gone));
        }
        self.merged.insert((product.to_owned(), name), user.clone());
    }

    /// Forgets those who were used the longest time ago, where there are too many.
    fn bound(&mut self) {
        while self.people.len() > REMEMBERED || self.owners.len() + self.merged.len() > NAMES {
            let Some(((product, who), person)) = self.people.pop_lru() else { return };
            self.drop_names(&product, &person);
            self.change(&product, &who);
        }
    }

    /// Has nothing lead to somebody any more.
    fn drop_names(&mut self, product: &str, person: &Person) {
        for session in &person.sessions {
            self.owners.remove(&(product.to_owned(), session.id.clone()));
        }
        for name in &person.names {
            self.merged.remove(&(product.to_owned(), name.clone()));
        }
    }
}

/// The session in which something happened last.
fn later(one: Option<Made>, other: Option<Made>) -> Option<Made> {
    match (one, other) {
        (Some(one), Some(other)) => Some(if other.last > one.last { other } else { one }),
        (one, other) => one.or(other),
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

#[cfg(test)]
mod tests;
