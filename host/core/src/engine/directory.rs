//! Whose sessions there are, and which conversation has which: indexes in memory, as far as they were asked for.
//!
//! The link in a session's record is the only truth about where its notes go; what stands here says nothing that a
//! record doesn't, and is changed in the same transaction.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use super::rows::{
    Person, PersonRow, conversation_group, delete, person_group, put, read, session_number,
};
use super::tx::Tx;
use super::view::{Missing, View};
use crate::ids::{ProductId, SessionKey};
use crate::rows::{Change, Table};
use crate::session::identity::{Identity, Names};
use crate::session::link::{Owner, Owners};
use crate::session::state::{Record, Target};

/// So many sessions of a person are looked at for the one that was active last: those that were found to be
/// theirs last. A user id that many share stalls nobody.
const MAX_SESSIONS: usize = 64;

/// So many conversations, and persons, stay in memory from one transaction to the next: those that are asked for again
/// are so at once as a rule, and there may be one for each session.
const MOST: usize = 64;

/// The indexes in memory.
#[derive(Default)]
pub(super) struct Directory {
    owners: HashMap<Target, Owners>,
    persons: HashMap<(ProductId, Person), Vec<SessionKey>>,
}

impl Directory {
    /// Reads the owners of conversations that aren't in memory.
    pub(super) fn load_owners(
        &mut self,
        view: &View,
        wanted: &HashSet<Target>,
        names: &Names,
    ) -> Result<(), Missing> {
        let missing: Vec<_> =
            wanted.iter().filter(|target| !self.owners.contains_key(*target)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let groups: Vec<_> =
            missing.iter().map(|(plugin, id)| conversation_group(plugin, id)).collect();
        let rows = view.load(Table::Conversation, &groups)?;
        for (target, rows) in missing.into_iter().zip(rows) {
            let owners = rows.iter().filter_map(|(n, value)| {
                let mut owner: Owner = read(Table::Conversation, *n, value)?;
                names.clean_identity(&mut owner.who);
                Some(owner)
            });
            self.owners.insert(target.clone(), Owners::new(owners.collect()));
        }
        Ok(())
    }

    /// Reads which sessions persons have, where that is not in memory. Returns the sessions of all of them.
    pub(super) fn load_persons(
        &mut self,
        view: &View,
        wanted: &HashSet<(ProductId, Person)>,
    ) -> Result<Vec<SessionKey>, Missing> {
        let missing: Vec<_> =
            wanted.iter().filter(|person| !self.persons.contains_key(*person)).collect();
        if !missing.is_empty() {
            let groups: Vec<_> = missing.iter().map(|(id, it)| person_group(id, it)).collect();
            let rows = view.load(Table::Person, &groups)?;
            for (person, rows) in missing.into_iter().zip(rows) {
                let rows = rows.iter().filter_map(|(n, value)| read(Table::Person, *n, value));
                let mut rows: Vec<PersonRow> = rows.collect();
                rows.sort_by_key(|row| Reverse(row.since));
                rows.truncate(MAX_SESSIONS);
                let keys = rows.into_iter().map(|row| row.key).collect();
                self.persons.insert(person.clone(), keys);
            }
        }
        Ok(wanted.iter().filter_map(|person| self.persons.get(person)).flatten().cloned().collect())
    }

    /// The sessions that are in a conversation without verification, as far as they were read.
    pub(super) fn unverified_owners(&self, target: &Target) -> Vec<SessionKey> {
        self.owners.get(target).into_iter().flat_map(Owners::unverified).cloned().collect()
    }

    /// The sessions that are in a conversation, or were, as far as they were read.
    pub(super) fn sessions_in(&self, target: &Target) -> Vec<SessionKey> {
        self.owners.get(target).into_iter().flat_map(Owners::sessions).cloned().collect()
    }

    /// The sessions of a person in these products, as far as they were read.
    pub(super) fn sessions_of(
        &self,
        products: &[ProductId],
        person: &Person,
    ) -> impl Iterator<Item = &SessionKey> {
        let of = |id: &ProductId| self.persons.get(&(id.clone(), person.clone()));
        products.iter().filter_map(of).flatten()
    }

    /// The owners of a conversation, as far as they were read.
    pub(super) fn owners(&mut self, target: &Target) -> &mut Owners {
        self.owners.entry(target.clone()).or_default()
    }

    /// A session is in a conversation from here on.
    pub(super) fn enter(&mut self, target: &Target, owner: Owner, tx: &mut Tx) {
        let group = conversation_group(&target.0, &target.1);
        tx.push(put(Table::Conversation, group.clone(), session_number(&owner.key), &owner));
        if let Some(forgotten) = self.owners(target).add(owner) {
            tx.push(delete(Table::Conversation, group, session_number(&forgotten.key)));
        }
    }

    /// A session has nothing to do with a conversation any more.
    pub(super) fn leave(&mut self, target: &Target, key: &SessionKey, tx: &mut Tx) {
        if let Some(owners) = self.owners.get_mut(target) {
            owners.remove(key);
        }
        let group = conversation_group(&target.0, &target.1);
        tx.push(delete(Table::Conversation, group, session_number(key)));
    }

    /// Brings the indexes up to date: a session stands under its person and nobody else, and the
    /// conversation that it is in knows whose it is.
    pub(super) fn rekey(
        &mut self,
        key: &SessionKey,
        before: &Identity,
        record: &Record,
        tx: &mut Tx,
    ) {
        let number = session_number(key);
        if let Some(link) = &record.link {
            let (since, basis) = (link.since, link.basis);
            let owner = Owner { key: key.clone(), who: record.identity(), since, basis };
            let group = conversation_group(&link.plugin, &link.conversation);
            tx.push(put(Table::Conversation, group, number, &owner));
            let target = (link.plugin.clone(), link.conversation.clone());
            if let Some(owners) = self.owners.get_mut(&target) {
                owners.update(owner);
            }
        }
        let (before, after) = (persons(before), persons(&record.identity()));
        for person in before.iter().filter(|person| !after.contains(person)) {
            self.forget_person(key, person, tx);
        }
        for person in after.iter().filter(|person| !before.contains(person)) {
            if let Some(keys) = self.persons.get_mut(&(key.product.clone(), person.clone())) {
                keys.push(key.clone());
            }
            let row = PersonRow { key: key.clone(), since: tx.now };
            tx.push(put(Table::Person, person_group(&key.product, person), number, &row));
        }
    }

    /// Takes a session from a person.
    pub(super) fn forget_person(&mut self, key: &SessionKey, person: &Person, tx: &mut Tx) {
        if let Some(keys) = self.persons.get_mut(&(key.product.clone(), person.clone())) {
            keys.retain(|other| other != key);
        }
        let group = person_group(&key.product, person);
        tx.push(delete(Table::Person, group, session_number(key)));
    }

    /// Takes a session that has expired out of the indexes.
    pub(super) fn forget(&mut self, key: &SessionKey, record: &Record, tx: &mut Tx) {
        let link =
            record.link.as_ref().map(|link| (link.plugin.clone(), link.conversation.clone()));
        let targets: HashSet<Target> =
            link.into_iter().chain(record.past.iter().cloned()).collect();
        targets.iter().for_each(|target| self.leave(target, key, tx));
        for person in persons(&record.identity()) {
            self.forget_person(key, &person, tx);
        }
    }

    /// Forgets what is more than may stay, with the memory for it. It is read again when it is asked for.
    pub(super) fn bound(&mut self) {
        if self.owners.len() > MOST {
            self.owners = HashMap::new();
        }
        if self.persons.len() > MOST {
            self.persons = HashMap::new();
        }
    }

    /// Forgets everything: it is read again when it is asked for.
    pub(super) fn clear(&mut self) {
        self.owners.clear();
        self.persons.clear();
    }
}

/// Takes a session from under the names that aren't its person's any more.
pub(super) fn leave_index(
    key: &SessionKey,
    before: &Identity,
    after: &Identity,
) -> impl Iterator<Item = Change> {
    let (before, after) = (persons(before), persons(after));
    let left = before.into_iter().filter(move |person| !after.contains(person));
    let (product, number) = (key.product.clone(), session_number(key));
    left.map(move |person| delete(Table::Person, person_group(&product, &person), number))
}

fn persons(who: &Identity) -> Vec<Person> {
    Person::of(who.user_id.as_deref(), who.email.as_deref()).collect()
}
