//! What a host asks of the server, and what that answers: one script or one read each, of keys in one slot.

use crate::ids::{
    CommitSeq, Epoch, Mark, Member, Number, Offset, Once, Partition, Payload, Producer, Resource,
    StreamId,
};
use crate::partition::Partitions;
use crate::row::{Change, RowKey};

/// How the rows of a partition are laid out. A host refuses what it doesn't know.
pub const LAYOUT: u32 = 2;

/// How many leases long a host that is silent is still told of.
pub const TOLD: u64 = 10;

/// What is asked. It is sent once, and comes back to the host with its answer, or without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// A lease, where nobody has it.
    Acquire(Acquire),
    /// A sign of life.
    Renew(Renew),
    /// The lease is let go.
    Release(Release),
    /// Rows are changed.
    Commit(Commit),
    /// Inputs for a partition.
    Add(Add),
    /// A host is there.
    Beat(Beat),
    /// The rows of a partition, how far its inbox was read, and its producers.
    Load(Load),
    /// Entries of an inbox behind an offset.
    Read(Read),
}

/// Asks for a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acquire {
    /// Of what.
    pub of: Resource,
    /// For whom.
    pub by: Member,
    /// The latest epoch that this host knows of: where there is a later one, nothing is given. So a call that is late, or
    /// a client's own repeat, gives nobody a lease that they don't know of.
    pub seen: Epoch,
    /// Whose lease may be ended where it ran out: its host is gone.
    pub over: Option<Member>,
    /// Whether it has all that the holder hasn't added yet. Of partitions it is always so.
    pub ready: bool,
    /// Where it isn't ready: the first event that it has.
    pub from: Option<Once>,
    /// How many partitions this host believes there are.
    pub partitions: Partitions,
}

/// Keeps a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renew {
    /// Of what.
    pub of: Resource,
    /// Whose it is.
    pub by: Member,
    /// Since which epoch.
    pub epoch: Epoch,
    /// The last commit that the server acknowledged: an owner with nothing to do hears here that it was lost.
    pub acknowledged: CommitSeq,
    /// How far the stream was added.
    pub mark: Option<Mark>,
}

/// Ends a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// Of what.
    pub of: Resource,
    /// Whose it is.
    pub by: Member,
    /// Since which epoch.
    pub epoch: Epoch,
    /// How far the stream was added.
    pub mark: Option<Mark>,
}

/// Changes rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Of which partition.
    pub partition: Partition,
    /// Who writes.
    pub by: Member,
    /// In which epoch.
    pub epoch: Epoch,
    /// Which attempt.
    pub seq: CommitSeq,
    /// The last one that the server acknowledged.
    pub acknowledged: CommitSeq,
    /// How far the inbox was read. Where that is further than before, the entry must be there.
    pub offset: Offset,
    /// Whether entries up to the offset are removed.
    pub trim: bool,
    /// The changes, at most one per row.
    pub changes: Vec<Change>,
    /// Producers that are forgotten.
    pub forget: Vec<Producer>,
}

/// Adds to an inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Add {
    /// Of which partition.
    pub partition: Partition,
    /// Who numbers.
    pub producer: Producer,
    /// The number of the first.
    pub first: Number,
    /// What is added. Nothing, to hear which number is the last.
    pub payloads: Vec<Payload>,
    /// Which reader of which stream adds.
    pub reader: Option<(StreamId, Epoch)>,
}

/// How a host goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It works.
    Working,
    /// It hands over what it has.
    Draining,
    /// It is about to end, and has nothing.
    Leaving,
}

/// A sign of life of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beat {
    /// Whose.
    pub by: Member,
    /// How it goes on.
    pub standing: Standing,
    /// What it is to have beside the others.
    pub weight: u8,
}

/// Loads a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// Which one.
    pub partition: Partition,
    /// For its owner of this epoch: rows that were loaded for an earlier one are of no use.
    pub epoch: Epoch,
}

/// Reads an inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// Of which partition.
    pub partition: Partition,
    /// Behind which entry.
    pub after: Offset,
    /// At most so many.
    pub limit: u32,
}

/// What the server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To [`Call::Acquire`].
    Acquire(Acquired),
    /// To [`Call::Renew`].
    Renew(Renewed),
    /// To [`Call::Release`]: whether it was ours.
    Release(bool),
    /// To [`Call::Commit`].
    Commit(Committed),
    /// To [`Call::Add`].
    Add(Added),
    /// To [`Call::Beat`].
    Beat(Vec<Seen>),
    /// To [`Call::Load`].
    Load(Loaded),
    /// To [`Call::Read`].
    Read(Vec<Entry>),
}

macro_rules! of_kind {
    ($($(#[$doc:meta])* $name:ident: $kind:ident($type:ty),)*) => {
        impl Answer {
            $(
                $(#[$doc])*
                #[must_use]
                pub fn $name(self) -> Option<$type> {
                    if let Self::$kind(answer) = self { Some(answer) } else { None }
                }
            )*
        }
    };
}

of_kind! {
    /// The answer to [`Call::Acquire`], where it is one.
    acquire: Acquire(Acquired),
    /// The answer to [`Call::Renew`], where it is one.
    renew: Renew(Renewed),
    /// The answer to [`Call::Release`], where it is one.
    release: Release(bool),
    /// The answer to [`Call::Commit`], where it is one.
    commit: Commit(Committed),
    /// The answer to [`Call::Add`], where it is one.
    add: Add(Added),
    /// The answer to [`Call::Beat`], where it is one.
    beat: Beat(Vec<Seen>),
    /// The answer to [`Call::Load`], where it is one.
    load: Load(Loaded),
    /// The answer to [`Call::Read`], where it is one.
    read: Read(Vec<Entry>),
}

/// Whether a lease was acquired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acquired {
    /// It is ours.
    Ours {
        /// Since this epoch.
        epoch: Epoch,
        /// How far the stream was added.
        mark: Option<Mark>,
        /// Whether the holder before had let it go.
        released: bool,
    },
    /// Another one has it.
    Held {
        /// Who.
        by: Member,
        /// Since, or until, this epoch.
        epoch: Epoch,
        /// How far the stream was added.
        mark: Option<Mark>,
    },
    /// It ran out, but its holder wasn't named as gone.
    Expired {
        /// Who.
        by: Member,
        /// Since, or until, this epoch.
        epoch: Epoch,
        /// How far the stream was added.
        mark: Option<Mark>,
    },
    /// It is free for whoever has all that the holder before hadn't added.
    Free {
        /// The latest epoch.
        epoch: Epoch,
        /// How far the stream was added.
        mark: Option<Mark>,
    },
    /// It could be given, but in another epoch than the one that was named: it is asked for again.
    Moved {
        /// The latest epoch.
        epoch: Epoch,
        /// How far the stream was added.
        mark: Option<Mark>,
    },
    /// The rows are laid out in another way, or in another number of partitions.
    Layout {
        /// How.
        layout: u32,
        /// In how many.
        partitions: u16,
    },
}

/// Whether a lease was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Renewed {
    /// It is still ours.
    Ours {
        /// The last entry of the partition's inbox.
        end: Offset,
        /// Who is ready to take the stream over.
        next: Option<Member>,
    },
    /// Another one has it, in this epoch.
    TakenOver(Epoch),
    /// The server doesn't know of this epoch any more.
    ServerLost(Epoch),
}

/// What came of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    /// It is stored.
    Done,
    /// Nothing is stored: another one has the partition, in this epoch.
    TakenOver(Epoch),
    /// Nothing is stored: a later one of this host is.
    Stale,
    /// Nothing is stored: the server came back without what it had acknowledged.
    ServerLost(Epoch),
}

/// What came of an add.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// All is in, now or since before; the producer's last number.
    In(Number),
    /// Nothing is added: the producer's last number isn't the one before.
    Gap(Number),
    /// Nothing is added: the stream has a later reader.
    Fenced(Epoch),
}

/// A member, as the server knows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Who.
    pub member: Member,
    /// How it goes on.
    pub standing: Standing,
    /// What it is to have beside the others.
    pub weight: u8,
    /// How long ago it told so, in milliseconds of the server's clock.
    pub age: u64,
}

/// A partition at its take-over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// All its rows.
    pub rows: Vec<(RowKey, Payload)>,
    /// How far its inbox was read.
    pub offset: Offset,
    /// Who added to it, and how long ago they last did, in milliseconds of the server's clock.
    pub producers: Vec<(Producer, u64)>,
}

/// An entry of an inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place.
    pub offset: Offset,
    /// When the entry before it was added: so a reader sees that it read what a server has lost since.
    pub before: u64,
    /// What was added.
    pub payload: Payload,
}
