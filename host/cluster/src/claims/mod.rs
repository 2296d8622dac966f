//! Who has a conversation, or a person's name: at most one session, although sessions are in other partitions.
//!
//! The subject's partition is the directory. A session claims the subject there, and is linked when that is granted. Each
//! claim has a generation, so that what answers an older one changes nothing. Everything is told in messages of the
//! commit that caused them; every message may come again, and after a server lost its latest changes, late.
//!
//! | message | to | what it does |
//! |---|---|---|
//! | link, unlink | session | what somebody wants |
//! | claim | subject | grants, where nobody else has it; else refuses, and has the other one verified |
//! | granted | session | links, if it is the claim that waits; else the claim is released |
//! | refused | session | ends the claim that waits, or the link of that generation |
//! | release | subject | frees it, if it is of that generation |
//! | verify | session | releases what the session doesn't know of |

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{Epoch, Payload};
use crate::input::Input;
use crate::partition::{Partitions, SessionKey, Subject};
use crate::row::{RowKey, Tx};
use crate::rules::{Rule, Rules};

/// The table of what sessions have and wait for.
pub const SESSIONS: &str = "claim";

/// The directory's table.
pub const SUBJECTS: &str = "directory";

/// Which claim of a session: the epoch of its partition, and the number there. Later ones are greater, and none is used
/// twice, also where a server lost its latest changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Generation(Epoch, u64);

/// What a claim is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Whose.
    pub session: SessionKey,
    /// Of what.
    pub subject: Subject,
    /// Which one.
    pub generation: Generation,
}

/// What partitions tell each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// Somebody wants the session to have the subject.
    Link(SessionKey, Subject),
    /// Somebody wants the session to have nothing.
    Unlink(SessionKey),
    /// The session asks for the subject.
    Claim(Claim),
    /// It has it.
    Granted(Claim),
    /// It doesn't.
    Refused(Claim),
    /// It needs it no more.
    Release(Claim),
    /// Another one asked for it: is it still the session's?
    Verify(Claim),
}

/// The outcome of a session's claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It has the subject.
    Linked(SessionKey, Subject),
    /// It doesn't get the subject: another session has it, or this one has something already.
    Refused(SessionKey, Subject),
    /// It has the subject no more.
    Unlinked(SessionKey, Subject),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Standing {
    linked: Option<(Subject, Generation)>,
    waits: Option<(Subject, Generation)>,
}

/// The claims of a partition's sessions, and its part of the directory.
#[derive(Debug)]
pub struct Claims {
    rules: Rules,
    partitions: Partitions,
    /// The latest generation that was made.
    latest: Generation,
    sessions: BTreeMap<SessionKey, Standing>,
    directory: BTreeMap<Subject, (SessionKey, Generation)>,
}

impl Claims {
    /// Those of a partition that is owned since `epoch`: none yet.
    #[must_use]
    pub const fn new(rules: Rules, partitions: Partitions, epoch: Epoch) -> Self {
        let latest = Generation(epoch, 0);
        Self { rules, partitions, latest, sessions: BTreeMap::new(), directory: BTreeMap::new() }
    }

    /// What a row says, where it is one of these. A row that can't be read is passed over: its claim is verified when
    /// somebody asks for the subject.
    pub fn load(&mut self, key: &RowKey, value: &Payload) {
        let (first, second) = (key.group.0.clone(), key.group.1.clone());
        match &*key.table {
            SESSIONS => {
                if let Ok(standing) = rmp_serde::from_slice(value.bytes()) {
                    self.sessions.insert(SessionKey { product: first, session: second }, standing);
                }
            }
            SUBJECTS => {
                if let Ok(has) = rmp_serde::from_slice(value.bytes()) {
                    self.directory.insert(Subject { kind: first, name: second }, has);
                }
            }
            _ => {}
        }
    }

    /// What a session has.
    #[must_use]
    pub fn link(&self, session: &SessionKey) -> Option<&Subject> {
        self.sessions.get(session)?.linked.as_ref().map(|(subject, _)| subject)
    }

    /// Every session that has something, and what.
    pub fn links(&self) -> impl Iterator<Item = (&SessionKey, &Subject, Generation)> {
        self.sessions.iter().filter_map(|(session, standing)| {
            standing.linked.as_ref().map(|(subject, generation)| (session, subject, *generation))
        })
    }

    /// How many sessions wait for an answer.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.sessions.values().filter(|standing| standing.waits.is_some()).count()
    }

    /// What the directory says.
    pub fn directory(&self) -> impl Iterator<Item = (&Subject, &SessionKey, Generation)> {
        self.directory
            .iter()
            .map(|(subject, (session, generation))| (subject, session, *generation))
    }

    /// Does what a message says.
    pub fn apply(&mut self, message: Message, tx: &mut Tx) -> Option<Told> {
        match message {
            Message::Link(session, subject) => self.wanted(session, subject, tx),
            Message::Unlink(session) => self.unlink(session, tx),
            Message::Claim(claim) => {
                self.claimed(claim, tx);
                None
            }
            Message::Granted(claim) => self.granted(claim, tx),
            Message::Refused(claim) => self.refused(claim, tx),
            Message::Release(claim) => {
                self.freed(&claim, tx);
                None
            }
            Message::Verify(claim) => {
                let mine = Some((claim.subject.clone(), claim.generation));
                let has = |it: &Standing| it.linked == mine || it.waits == mine;
                if !self.sessions.get(&claim.session).is_some_and(has) {
                    self.to_subject(Message::Release(claim.clone()), &claim, tx);
                }
                None
            }
        }
    }

    fn wanted(&mut self, session: SessionKey, subject: Subject, tx: &mut Tx) -> Option<Told> {
        let standing = self.sessions.entry(session.clone()).or_default();
        let has_it = |it: &Option<(Subject, Generation)>| {
            it.as_ref().is_some_and(|(has, _)| *has == subject)
        };
        if has_it(&standing.linked) || has_it(&standing.waits) {
            return None;
        }
        if standing.linked.is_some() || standing.waits.is_some() {
            return Some(Told::Refused(session, subject));
        }
        self.latest.1 += 1;
        let generation = self.latest;
        if !self.rules.holds(Rule::Claim) {
            standing.linked = Some((subject.clone(), generation));
            self.store_session(&session, tx);
            return Some(Told::Linked(session, subject));
        }
        standing.waits = Some((subject.clone(), generation));
        self.store_session(&session, tx);
        let claim = Claim { session, subject, generation };
        self.to_subject(Message::Claim(claim.clone()), &claim, tx);
        None
    }

    fn unlink(&mut self, session: SessionKey, tx: &mut Tx) -> Option<Told> {
        let standing = self.sessions.get_mut(&session)?;
        // A claim that waits is released when it is granted.
        standing.waits = None;
        let linked = standing.linked.take();
        self.store_session(&session, tx);
        let (subject, generation) = linked?;
        let claim = Claim { session: session.clone(), subject: subject.clone(), generation };
        self.to_subject(Message::Release(claim.clone()), &claim, tx);
        Some(Told::Unlinked(session, subject))
    }

    fn claimed(&mut self, claim: Claim, tx: &mut Tx) {
        let refusal = match self.directory.get(&claim.subject) {
            Some((session, generation)) if *session == claim.session => {
                *generation > claim.generation
            }
            Some((session, generation)) => {
                let other = Claim {
                    session: session.clone(),
                    generation: *generation,
                    subject: claim.subject.clone(),
                };
                self.to_session(Message::Verify(other.clone()), &other, tx);
                true
            }
            None => false,
        };
        if refusal {
            self.to_session(Message::Refused(claim.clone()), &claim, tx);
            return;
        }
        let has = (claim.session.clone(), claim.generation);
        tx.put(subject_row(&claim.subject), encoded(&has));
        self.directory.insert(claim.subject.clone(), has);
        self.to_session(Message::Granted(claim.clone()), &claim, tx);
    }

    fn granted(&mut self, claim: Claim, tx: &mut Tx) -> Option<Told> {
        let mine = Some((claim.subject.clone(), claim.generation));
        let standing = self.sessions.get(&claim.session);
        if standing.is_some_and(|it| it.linked == mine) {
            return None;
        }
        let waits = standing.is_some_and(|it| it.waits == mine);
        if waits || !self.rules.holds(Rule::GrantByGeneration) {
            let linked = Standing { linked: mine, waits: None };
            self.sessions.insert(claim.session.clone(), linked);
            self.store_session(&claim.session, tx);
            return Some(Told::Linked(claim.session, claim.subject));
        }
        self.to_subject(Message::Release(claim.clone()), &claim, tx);
        None
    }

    fn refused(&mut self, claim: Claim, tx: &mut Tx) -> Option<Told> {
        let mine = Some((claim.subject.clone(), claim.generation));
        let standing = self.sessions.get_mut(&claim.session)?;
        let told = if standing.waits == mine {
            standing.waits = None;
            Told::Refused(claim.session.clone(), claim.subject)
        } else if standing.linked == mine {
            // The directory lost what it had granted, and somebody else was first.
            standing.linked = None;
            Told::Unlinked(claim.session.clone(), claim.subject)
        } else {
            return None;
        };
        self.store_session(&claim.session, tx);
        Some(told)
    }

    fn freed(&mut self, claim: &Claim, tx: &mut Tx) {
        let by_generation = self.rules.holds(Rule::ReleaseByGeneration);
        let is_of = |(session, generation): &(SessionKey, Generation)| {
            *session == claim.session && (*generation == claim.generation || !by_generation)
        };
        if self.directory.get(&claim.subject).is_some_and(is_of) {
            self.directory.remove(&claim.subject);
            tx.delete(subject_row(&claim.subject));
        }
    }

    fn store_session(&mut self, session: &SessionKey, tx: &mut Tx) {
        let key = RowKey::new(SESSIONS, &session.product, &session.session, 0);
        match self.sessions.get(session) {
            Some(standing) if *standing != Standing::default() => tx.put(key, encoded(standing)),
            Some(_) | None => {
                self.sessions.remove(session);
                tx.delete(key);
            }
        }
    }

    fn to_subject(&self, message: Message, claim: &Claim, tx: &mut Tx) {
        tx.tell(self.partitions.of_subject(&claim.subject), told(&message));
    }

    fn to_session(&self, message: Message, claim: &Claim, tx: &mut Tx) {
        tx.tell(self.partitions.of_session(&claim.session), told(&message));
    }
}

/// A message as an input of the partition that it goes to.
#[must_use]
pub fn told(message: &Message) -> Payload {
    Input::claims(encoded(message)).encode()
}

/// The message of an input; `None` where a later release wrote it.
#[must_use]
pub fn read(payload: &Payload) -> Option<Message> {
    rmp_serde::from_slice(payload.bytes()).ok()
}

fn subject_row(subject: &Subject) -> RowKey {
    RowKey::new(SUBJECTS, &subject.kind, &subject.name, 0)
}

fn encoded<T: Serialize>(value: &T) -> Payload {
    Payload::new(&rmp_serde::to_vec(value).expect("names and numbers can be written"))
}
