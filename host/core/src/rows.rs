//! Rows: the form in which everything is kept, whatever the store. A row has a [`Table`], a [`Group`] (two names,
//! such as product and session) and a number in its group.

use serde::{Deserialize, Serialize};

use std::sync::Arc;

/// What a row belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Table {
    /// One row per session: who, linked where.
    Session,
    /// Entries of open batches, by session.
    Open,
    /// Sealed notes, by session; a row never changes.
    Outbox,
    /// How far the attempts at a note of `Outbox` are, under the same group and number.
    Attempt,
    /// Dead letters, by session.
    Dead,
    /// The sessions of a conversation, a row each. Grouped by plugin and conversation.
    Conversation,
    /// The sessions of a person, a row each. Grouped by product and user id or e-mail address.
    Person,
    /// Notes that the platform took, by session: their keys and what the platform calls them.
    Sent,
    /// One row per plugin: the platform's limits and the breaker. Grouped by plugin.
    Account,
    /// One row per journal: how far it was replayed. Grouped by the journal's id.
    Journal,
    /// Notes that are to be redacted, by session, each under its note's number.
    Redact,
    /// What waits for sinks, by session; a row never changes once it was tried.
    SinkQueue,
    /// How far the attempts at a row of `SinkDelivery` are, under the same group and number.
    SinkAttempt,
    /// What sinks were not given in the end, by session.
    SinkDead,
    /// One row while something of rows that were erased may be left in the store's files.
    Scrub,
    /// Notes that stay at the platform though they were to go, a row each. Grouped by plugin and
    /// conversation.
    Kept,
    /// What was accepted of a session lately, a row per batch under the ordinal of its first action; under 0
    /// the summary of what was before.
    History,
    /// How the person of a session is helped: under 0 how it stands, under 1 the latest decisions; other numbers:
    /// rows that were set aside as unreadable.
    Help,
    /// One row per conversation: who wrote when, whether it is closed. Grouped by plugin and conversation.
    Talk,
    /// When offers were made, a row for a product and one for each person. Grouped by product, and the person's hash.
    OfferTimes,
    /// Messages on their way to the person, by session, with how far their attempts are.
    Message,
    /// The keys of the API, a row each. Grouped by the key's id.
    Key,
    /// What people changed, a row each, the newest first. Grouped by 256 of them.
    Audit,
    /// What ended and has no other row, by session: what sinks accepted, messages, redactions.
    Ended,
    /// Where a source that is asked goes on, one row per source. Grouped by plugin.
    Source,
    /// What a source's events were known by that it brought lately, some in a row. Grouped by plugin.
    SourceSeen,
    /// What a source knows of people, a row each. Grouped by plugin and product.
    SourcePerson,
    /// What plugins keep, a row for each key; under no key how much that is. Grouped by plugin and key.
    PluginValue,
    /// What plugins keep of a session, a row for each key of each plugin.
    SessionValue,
    /// Timers that plugins set and that aren't due, by session.
    Timer,
    /// Due timers that wait for their plugins, by session; a row never changes.
    TimerQueue,
    /// How far the attempts at a row of `TimerQueue` are, under the same group and number.
    TimerAttempt,
    /// Due timers whose calls aren't tried any more, by session.
    TimerDead,
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 33] = [
        Self::Session,
        Self::Open,
        Self::Outbox,
        Self::Attempt,
        Self::Dead,
        Self::Conversation,
        Self::Person,
        Self::Sent,
        Self::Account,
        Self::Journal,
        Self::Redact,
        Self::SinkQueue,
        Self::SinkAttempt,
        Self::SinkDead,
        Self::Scrub,
        Self::Kept,
        Self::History,
        Self::Help,
        Self::Talk,
        Self::OfferTimes,
        Self::Message,
        Self::Key,
        Self::Audit,
        Self::Ended,
        Self::Source,
        Self::SourceSeen,
        Self::SourcePerson,
        Self::PluginValue,
        Self::SessionValue,
        Self::Timer,
        Self::TimerQueue,
        Self::TimerAttempt,
        Self::TimerDead,
    ];
}

/// What rows are grouped by: a pair of names that is never glued into one string.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Group(pub Arc<str>, pub Arc<str>);

/// The place of a row.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// Its table.
    pub table: Table,
    /// Its group.
    pub group: Group,
    /// Its number in the group.
    pub number: u64,
}

/// A change of one row.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// Insert or replace.
    Put(Key, Vec<u8>),
    /// Remove; a row that isn't there is fine.
    Delete(Key),
}

impl Change {
    /// The row that is changed.
    pub fn key(&self) -> &Key {
        match self {
            Self::Put(key, _) | Self::Delete(key) => key,
        }
    }
}

impl std::fmt::Debug for Change {
    /// The value is left out: it is customers' data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Put(key, value) => write!(f, "Put({key:?}, {} bytes)", value.len()),
            Self::Delete(key) => write!(f, "Delete({key:?})"),
        }
    }
}

/// The rows of one group in one table, ascending: number and value.
pub type Rows = Vec<(u64, Vec<u8>)>;
