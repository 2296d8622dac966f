//! Where a command belongs when sessions are spread over partitions, and how one that is about several goes to each. The one
//! place where that is decided.
//!
//! | command | partition |
//! |---|---|
//! | actions, summary, offer, reply, help, resend | the session's |
//! | link, by a session's id | the session's; of several products' sessions, the one that is known |
//! | link, by a person | those of the person's names, the surest first |
//! | turn of a conversation | the conversation's |
//! | decision, erasure, removed timers, page of a source | each session's; what is beside the sessions: the namespace's |
//! | key, use of keys, switch, what a plugin keeps, audit | the namespace's |
//! | the outcome of a call, an end, a take-over from autoplay-sdk | none: it is of the host that runs the engine |

use std::collections::BTreeMap;

use super::command::{Answer, Command, SourcePage, SourceRows};
use super::erase::EraseOrder;
use super::link::Who;
use super::rows::Person;
use crate::ids::{ConversationId, PluginName, ProductId, SessionKey};
use crate::rows::Table;

/// Which partition has what a command is about.
#[derive(Clone, PartialEq, Eq)]
pub enum Place {
    /// The session's.
    Session(SessionKey),
    /// That of whichever of these sessions is known: they are looked for before anything is asked of one.
    OneOf(Vec<SessionKey>),
    /// Each session's, and the namespace's: see [`Command::split`].
    Each,
    /// The conversation's, which knows whose sessions it has.
    Conversation(PluginName, ConversationId),
    /// Those of a person's names, in the order in which they count.
    Person(Vec<(ProductId, Person)>),
    /// The one that holds what is the namespace's.
    Namespace,
    /// None. It is never sent.
    Here,
}

/// Where the rows of a table are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowsOf {
    /// In the partition of the session that they are grouped by.
    Session,
    /// In the one that holds what is the namespace's.
    Namespace,
    /// In each partition those that its own sessions led to.
    Each,
}

impl RowsOf {
    /// Those of a table.
    pub const fn table(table: Table) -> Self {
        match table {
            Table::Session
            | Table::Open
            | Table::Outbox
            | Table::Attempt
            | Table::Dead
            | Table::Sent
            | Table::Redact
            | Table::SinkQueue
            | Table::SinkAttempt
            | Table::SinkDead
            | Table::History
            | Table::Help
            | Table::Message
            | Table::Ended
            | Table::SessionValue
            | Table::Timer
            | Table::TimerQueue
            | Table::TimerAttempt
            | Table::TimerDead => Self::Session,
            Table::Key
            | Table::Audit
            | Table::Journal
            | Table::Scrub
            | Table::Source
            | Table::SourceSeen
            | Table::SourcePerson => Self::Namespace,
            Table::Conversation
            | Table::Person
            | Table::Account
            | Table::Kept
            | Table::Talk
            | Table::OfferTimes
            | Table::PluginValue => Self::Each,
        }
    }
}

impl Command {
    /// Where it belongs.
    pub fn place(&self) -> Place {
        match self {
            Self::Actions { key, .. } | Self::Summary { key, .. } => Place::Session(key.clone()),
            Self::Offer(wish) => Place::Session(wish.key.clone()),
            Self::Reply(wish) => Place::Session(wish.key.clone()),
            Self::Help(command) => Place::Session(command.key.clone()),
            Self::Resend(order) => Place::Session(order.key.clone()),
            Self::Link(command) => match &command.who {
                Who::Session(key) => Place::Session(key.clone()),
                Who::SessionOf(products, session) => {
                    Place::OneOf(SessionKey::of(products, session).collect())
                }
                Who::Person { products, user_id, email } => {
                    let sought = Person::sought(user_id.as_deref(), email.as_deref());
                    let of = |person: &Person| {
                        let person = person.clone();
                        products.iter().map(move |product| (product.clone(), person.clone()))
                    };
                    Place::Person(sought.iter().flat_map(|(person, _)| of(person)).collect())
                }
            },
            Self::Turn(turn) => Place::Conversation(turn.plugin.clone(), turn.conversation.clone()),
            Self::Page(_) | Self::Decide(..) | Self::Erase(_) | Self::RemoveTimers(..) => {
                Place::Each
            }
            Self::Key(_)
            | Self::KeysUsed(_)
            | Self::ClearKv(_)
            | Self::Switch(_)
            | Self::Audit(..) => Place::Namespace,
            Self::Adopt(..) | Self::Scrubbed(_) | Self::Ended(_) | Self::Drain | Self::Stop => {
                Place::Here
            }
        }
    }

    /// A command of [`Place::Each`] in its parts, one for each partition; any other as it is, for `namespace`. The part of
    /// the namespace is the last: it says how far a source was read, and is handed over once the others are accepted.
    pub fn split<P: Ord>(self, of: impl Fn(&SessionKey) -> P, namespace: P) -> Vec<(P, Self)> {
        match self {
            Self::Page(SourcePage { batches, beside }) => {
                let parts = grouped(batches, |(key, ..)| of(key)).into_iter();
                let page = |batches, beside| Self::Page(SourcePage { batches, beside });
                let mut parts: Vec<_> =
                    parts.map(|(at, part)| (at, page(part, SourceRows::default()))).collect();
                if !beside.is_empty() {
                    parts.push((namespace, page(Vec::new(), beside)));
                }
                parts
            }
            Self::Decide(decision, notes) => {
                let parts = grouped(notes, |note| of(&note.key)).into_iter();
                parts.map(|(at, notes)| (at, Self::Decide(decision, notes))).collect()
            }
            Self::Erase(order) => {
                let EraseOrder { keys, persons, remembered, keep_notes, id } = order;
                let part = |keys, remembered| {
                    let persons = persons.clone();
                    Self::Erase(EraseOrder { keys, persons, remembered, keep_notes, id })
                };
                let parts = grouped(keys, |key| of(key)).into_iter();
                let mut parts: Vec<_> =
                    parts.map(|(at, keys)| (at, part(keys, Vec::new()))).collect();
                if !remembered.is_empty() {
                    parts.push((namespace, part(Vec::new(), remembered)));
                }
                parts
            }
            Self::RemoveTimers(plugin, keys) => {
                let parts = grouped(keys, |key| of(key)).into_iter();
                let part = |(at, keys)| (at, Self::RemoveTimers(plugin.clone(), keys));
                parts.map(part).collect()
            }
            whole @ (Self::Actions { .. }
            | Self::Summary { .. }
            | Self::Adopt(..)
            | Self::Link(_)
            | Self::Offer(_)
            | Self::Reply(_)
            | Self::Turn(_)
            | Self::Resend(_)
            | Self::Help(_)
            | Self::Key(_)
            | Self::ClearKv(_)
            | Self::Switch(_)
            | Self::KeysUsed(_)
            | Self::Audit(..)
            | Self::Scrubbed(_)
            | Self::Ended(_)
            | Self::Drain
            | Self::Stop) => vec![(namespace, whole)],
        }
    }
}

impl Answer {
    /// What two parts of one command were answered, as the answer to it; `None` where no such command has parts.
    #[must_use]
    pub fn and(self, other: Self) -> Option<Self> {
        Some(match (self, other) {
            (Self::Accepted, Self::Accepted) => Self::Accepted,
            (Self::Decided(one), Self::Decided(other)) => Self::Decided(one + other),
            (Self::Heard(mut all), Self::Heard(more)) => {
                all.extend(more);
                Self::Heard(all)
            }
            (Self::Cleared(one), Self::Cleared(other)) => Self::Cleared(one + other),
            (Self::Erased(mut all), Self::Erased(more)) => {
                all.add(more);
                Self::Erased(all)
            }
            _ => return None,
        })
    }
}

/// In groups, each in the order in which it was.
fn grouped<T, P: Ord>(all: Vec<T>, of: impl Fn(&T) -> P) -> BTreeMap<P, Vec<T>> {
    let mut groups: BTreeMap<P, Vec<T>> = BTreeMap::new();
    for one in all {
        groups.entry(of(&one)).or_default().push(one);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::erase::Erased;
    use crate::engine::message::tests::{commands, key};
    use crate::engine::order::{Decision, NoteRef};
    use crate::rows::{Change, Group, Key, Table};

    /// The number in a session's id.
    fn of(key: &SessionKey) -> u32 {
        key.session.as_str()[1..].parse().unwrap()
    }

    #[test]
    fn every_command_that_is_sent_has_a_place_and_no_other() {
        for command in commands() {
            assert!(command.place() != Place::Here);
        }
        assert!(Command::Drain.place() == Place::Here);
        assert!(Command::Scrubbed(Ok(())).place() == Place::Here);
    }

    #[test]
    fn a_decision_goes_to_the_partition_of_each_note_and_its_answers_are_added_up() {
        let notes = ["s1", "s2", "s1"].map(|it| NoteRef::note(key(it), 7)).to_vec();
        let parts = Command::Decide(Decision::Purge, notes).split(of, 0);
        let counts: Vec<_> = parts
            .iter()
            .map(|(at, part)| {
                let Command::Decide(Decision::Purge, notes) = part else { panic!() };
                (*at, notes.len())
            })
            .collect();
        assert_eq!(counts, [(1, 2), (2, 1)]);
        let sum = Answer::Decided(2).and(Answer::Decided(1));
        assert!(matches!(sum, Some(Answer::Decided(3))));
        assert!(Answer::Decided(2).and(Answer::Accepted).is_none());
    }

    #[test]
    fn removed_timers_are_parted_by_their_sessions() {
        let keys = ["s2", "s1", "s2"].map(key).to_vec();
        let parts = Command::RemoveTimers("bot".into(), keys).split(of, 0);
        let counts: Vec<_> = parts
            .iter()
            .map(|(at, part)| {
                let Command::RemoveTimers(_, keys) = part else { panic!() };
                (*at, keys.len())
            })
            .collect();
        assert_eq!(counts, [(1, 1), (2, 2)]);
        let sum = Answer::Cleared(2).and(Answer::Cleared(1));
        assert!(matches!(sum, Some(Answer::Cleared(3))));
    }

    #[test]
    fn an_erasure_goes_to_each_session_and_what_sources_remember_to_the_namespace_at_the_end() {
        let group = Group("source".into(), "".into());
        let remembered = vec![Change::Delete(Key { table: Table::SourcePerson, group, number: 1 })];
        let order = commands().into_iter().find_map(|command| {
            if let Command::Erase(order) = command { Some(order) } else { None }
        });
        let order = EraseOrder {
            keys: vec![key("s2"), key("s1")],
            remembered: remembered.clone(),
            ..order.unwrap()
        };
        let (id, persons) = (order.id, order.persons.len());
        let parts = Command::Erase(order).split(of, 0);
        let parts: Vec<_> = parts
            .into_iter()
            .map(|(at, part)| {
                let Command::Erase(part) = part else { panic!() };
                (at, part)
            })
            .collect();
        let places: Vec<_> =
            parts.iter().map(|(at, part)| (*at, part.keys.len(), part.remembered.len())).collect();
        assert_eq!(places, [(1, 1, 0), (2, 1, 0), (0, 0, 1)]);
        assert!(parts.iter().all(|(_, part)| part.id == id && part.persons.len() == persons));
        let one = |sessions| Answer::Erased(Erased { sessions, ..Erased::default() });
        let Some(Answer::Erased(all)) = one(1).and(one(2)) else { panic!() };
        assert_eq!(all.sessions, 3);
    }

    #[test]
    fn a_page_of_a_source_is_parted_and_its_mark_comes_last() {
        let page = commands().into_iter().find(|it| matches!(it, Command::Page(_))).unwrap();
        let parts = page.split(of, 0);
        let places: Vec<_> = parts
            .iter()
            .map(|(at, part)| {
                let Command::Page(page) = part else { panic!() };
                (*at, page.batches.len(), page.beside.is_empty())
            })
            .collect();
        assert_eq!(places, [(1, 2, true), (2, 1, true), (0, 0, false)]);
    }
}
