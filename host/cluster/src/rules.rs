//! The rules of the protocol, each of which breaks something where it is left out. The simulation shows it.

/// A rule. Its place in the code asks [`Rules::holds`]; in a release all hold, and nothing is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Every script compares epoch and holder. Else two owners write.
    Fence,
    /// How far the inbox was read is stored in the commit that read it. Else inputs are applied twice.
    OffsetInCommit,
    /// The inbox compares the producer's number. Else a repeated add is in twice.
    NumberChecked,
    /// A number that isn't the next one is refused, and one add is in flight. Else what failed looks like a repeat.
    GapRefused,
    /// A host that starts again adds under another name. Else what it adds looks like a repeat.
    IncarnationInName,
    /// A message is a row until its add was answered. Else it is lost with its host.
    OutboxKept,
    /// A message is sent after the commit that caused it. Else it tells of what never was.
    SendAfterCommit,
    /// The ids of events are rows of the commit. Else a take-over applies repeats.
    DedupeCommitted,
    /// Rows are loaded after the lease was acquired. Else changes of the owner before are lost.
    LoadAfterAcquire,
    /// A session is linked after the conversation's partition granted it. Else two sessions are.
    Claim,
    /// A grant is for the claim that it answers. Else the directory and the session disagree.
    GrantByGeneration,
    /// A release frees the claim that it is of. Else it frees a newer one.
    ReleaseByGeneration,
    /// An inbox is trimmed behind the committed offset. Else unread entries go.
    TrimByOffset,
    /// A new second reader takes over from a living one only when it has all that the other one hasn't added.
    NewReaderHeldBack,
    /// An add is compared with the latest reader of its stream. Else a late one breaks the order.
    ReaderFenced,
    /// A release clears the holder. Else a late renewal brings the lease back.
    ReleaseClearsHolder,
    /// What was answered is kept for a while and sent again from where the server's memory ends.
    ResendWindow,
    /// An epoch is no less than the server's time. Else a server that lost the latest one gives it twice.
    EpochFromTime,
    /// A commit is of an inbox that still has the entry up to which it was read. Else entries that came in its place after
    /// a server lost its latest changes are passed over.
    OffsetChecked,
    /// What a partition tells is numbered anew in each epoch. Else numbers whose messages the server lost look like
    /// repeats when they are used again.
    EpochInName,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::Fence,
        Self::OffsetInCommit,
        Self::NumberChecked,
        Self::GapRefused,
        Self::IncarnationInName,
        Self::OutboxKept,
        Self::SendAfterCommit,
        Self::DedupeCommitted,
        Self::LoadAfterAcquire,
        Self::Claim,
        Self::GrantByGeneration,
        Self::ReleaseByGeneration,
        Self::TrimByOffset,
        Self::NewReaderHeldBack,
        Self::ReaderFenced,
        Self::ReleaseClearsHolder,
        Self::ResendWindow,
        Self::EpochFromTime,
        Self::OffsetChecked,
        Self::EpochInName,
    ];
}

/// Which rules hold: all, save where a test leaves one out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    #[cfg(feature = "faults")]
    without: Option<Rule>,
}

impl Rules {
    /// All of them.
    #[must_use]
    pub const fn all() -> Self {
        Self {
            #[cfg(feature = "faults")]
            without: None,
        }
    }

    /// All but one.
    #[cfg(feature = "faults")]
    #[must_use]
    pub const fn without(rule: Rule) -> Self {
        Self { without: Some(rule) }
    }

    #[cfg(feature = "faults")]
    pub(crate) fn holds(self, rule: Rule) -> bool {
        self.without != Some(rule)
    }

    #[cfg(not(feature = "faults"))]
    #[expect(clippy::unused_self, reason = "with the feature `faults` it is asked")]
    pub(crate) const fn holds(self, _: Rule) -> bool {
        true
    }
}
