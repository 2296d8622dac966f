//! Names and numbers, each of its own type.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        pub struct $name(u64);

        impl $name {
            /// The number `n`.
            #[must_use]
            pub const fn new(n: u64) -> Self {
                Self(n)
            }

            /// The bare number.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The one behind it.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// Which start of a host this is. A host that starts again has another one, greater than all before.
    Incarnation
}
number! {
    /// How often a lease changed hands, or the server's time in milliseconds where that is more. It only grows,
    /// also where the server lost its latest changes.
    Epoch
}
number! {
    /// The number of an attempt at a commit, from 1 in each epoch.
    CommitSeq
}
number! {
    /// The number that a producer gives what it adds to an inbox, from 1 and without a gap.
    Number
}
number! {
    /// What an event, or a request that may come again, is known again by: 64 bits of a hash of its id.
    Once
}

/// Why a text is no name of a host or of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "a name of a host or a stream has 1 to 64 letters, digits, `-`, `_` and `.`, and nothing else"
)]
pub struct BadName;

fn name(text: &str) -> Result<Arc<str>, BadName> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    match text.len() {
        1..=64 if text.bytes().all(fits) => Ok(text.into()),
        _ => Err(BadName),
    }
}

/// The name of a host: the same over all its starts, and no other host's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(Arc<str>);

impl HostId {
    /// The host of this name.
    ///
    /// # Errors
    /// Where it has other signs than a name has, or too many.
    pub fn new(text: &str) -> Result<Self, BadName> {
        name(text).map(Self)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A stream that is read once for all hosts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(Arc<str>);

impl StreamId {
    /// The stream of this name.
    ///
    /// # Errors
    /// Where it has other signs than a name has, or too many.
    pub fn new(text: &str) -> Result<Self, BadName> {
        name(text).map(Self)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One start of a host: who holds leases.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    host: HostId,
    incarnation: Incarnation,
}

impl Member {
    /// The host `host` as it runs since its start `incarnation`.
    #[must_use]
    pub const fn new(host: HostId, incarnation: Incarnation) -> Self {
        Self { host, incarnation }
    }

    /// Which host.
    #[must_use]
    pub const fn host(&self) -> &HostId {
        &self.host
    }

    /// Which of its starts.
    #[must_use]
    pub const fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// What [`Display`](fmt::Display) wrote; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (host, incarnation) = text.split_once('#')?;
        let incarnation = Incarnation::new(incarnation.parse().ok()?);
        Some(Self::new(HostId::new(host).ok()?, incarnation))
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.host.0, self.incarnation)
    }
}

/// One of the parts that sessions are spread over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(u16);

impl Partition {
    /// The partition of this number.
    #[must_use]
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// Its number, from 0.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{:03}", self.0)
    }
}

/// What a lease is of. Each has keys of one slot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// A partition: who writes its rows.
    Partition(Partition),
    /// A stream: who adds its events to inboxes.
    Stream(StreamId),
}

impl Resource {
    /// The hash tag of its keys, braces included.
    #[must_use]
    pub fn tag(&self) -> String {
        match self {
            Self::Partition(partition) => format!("{{{partition}}}"),
            Self::Stream(stream) => format!("{{s:{}}}", stream.0),
        }
    }
}

/// Who numbers what is added. One that begins to number anew has another name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Producer {
    /// What came to a host. Without the incarnation, a host that starts again would count from 1 under a name
    /// whose numbers are known, and lose what it adds.
    Host(Member, u64),
    /// The reader of a stream, since it was given the stream's lease.
    Reader(StreamId, Epoch, u64),
    /// What a partition tells another one. The epoch is the one in which the message was committed: a server that
    /// lost its latest changes has numbers of that epoch used twice, but not those of a later one.
    Partition(Partition, Epoch, u64),
}

impl Producer {
    /// The same one, counting from 1 again: where the inbox has lost more of it than can be sent again. `least`: a number
    /// that no name of this producer had before it was in these hands.
    #[must_use]
    pub fn renamed(&self, least: u64) -> Self {
        let series = |before: &u64| least.max(before + 1);
        match self {
            Self::Host(member, before) => Self::Host(member.clone(), series(before)),
            Self::Reader(stream, epoch, before) => {
                Self::Reader(stream.clone(), *epoch, series(before))
            }
            Self::Partition(partition, epoch, before) => {
                Self::Partition(*partition, *epoch, series(before))
            }
        }
    }

    /// What [`Display`](fmt::Display) wrote; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        let (rest, series) = rest.rsplit_once('/')?;
        let series = series.parse().ok()?;
        let (name, number) = rest.rsplit_once('#')?;
        match kind {
            "h" => Some(Self::Host(Member::parse(rest)?, series)),
            "r" => {
                let epoch = Epoch::new(number.parse().ok()?);
                Some(Self::Reader(StreamId::new(name).ok()?, epoch, series))
            }
            "p" => {
                let partition = Partition(name.strip_prefix('p')?.parse().ok()?);
                Some(Self::Partition(partition, Epoch::new(number.parse().ok()?), series))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(member, series) => write!(f, "h:{member}/{series}"),
            Self::Reader(stream, epoch, series) => write!(f, "r:{}#{epoch}/{series}", stream.0),
            Self::Partition(partition, epoch, series) => {
                write!(f, "p:{partition}#{epoch}/{series}")
            }
        }
    }
}

/// A place in an inbox: that of an entry, from 1. The time tells it from the entry that a server which lost its latest
/// changes puts in the same place later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset {
    number: u64,
    at: u64,
}

impl Offset {
    /// Before the first entry.
    pub const START: Self = Self { number: 0, at: 0 };

    /// The entry `number`, added when the server's clock showed `at` milliseconds.
    #[must_use]
    pub const fn new(number: u64, at: u64) -> Self {
        Self { number, at }
    }

    /// Which entry, from 1.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.number
    }

    /// When it was added, in milliseconds of the server's clock.
    #[must_use]
    pub const fn at(self) -> u64 {
        self.at
    }
}

/// How far a stream was added to inboxes: everything before it is in, or lost with its readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Up to this event, and that one, too.
    Behind(Once),
    /// Up to this event, and without it: where its reader begins.
    Before(Once),
}

impl Mark {
    /// Which event.
    #[must_use]
    pub const fn event(self) -> Once {
        match self {
            Self::Behind(event) | Self::Before(event) => event,
        }
    }

    /// What [`Display`](fmt::Display) wrote; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix('<') {
            Some(event) => Some(Self::Before(Once::new(event.parse().ok()?))),
            None => Some(Self::Behind(Once::new(text.parse().ok()?))),
        }
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Behind(event) => write!(f, "{event}"),
            Self::Before(event) => write!(f, "<{event}"),
        }
    }
}

/// Bytes of what people did. Nothing of them is in `Debug`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Payload(Arc<[u8]>);

impl Payload {
    /// These bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let member = Member::new(HostId::new("a-1.b").unwrap(), Incarnation::new(7));
        assert_eq!(Member::parse(&member.to_string()), Some(member.clone()));
        let stream = StreamId::new("acme").unwrap();
        for producer in [
            Producer::Host(member, 2),
            Producer::Reader(stream, Epoch::new(9), 0),
            Producer::Partition(Partition::new(63), Epoch::new(1), 3),
        ] {
            assert_eq!(Producer::parse(&producer.to_string()), Some(producer.clone()));
            assert_ne!(producer.renamed(0).to_string(), producer.to_string());
        }
        for text in ["", "h:", "h:a/0", "x:a#1/0", "p:p1#x/0", "h:a b#1/0"] {
            assert_eq!(Producer::parse(text), None, "{text}");
        }
    }

    #[test]
    fn marks_are_read_as_they_are_written() {
        for mark in [Mark::Behind(Once::new(u64::MAX)), Mark::Before(Once::new(0))] {
            assert_eq!(Mark::parse(&mark.to_string()), Some(mark));
        }
        assert_eq!(Mark::parse("<"), None);
    }

    #[test]
    fn a_name_has_nothing_that_parts_names() {
        for text in ["", "a#b", "a/b", "{a}", "a:b", &"a".repeat(65)] {
            assert_eq!(HostId::new(text), Err(BadName), "{text}");
        }
    }
}
