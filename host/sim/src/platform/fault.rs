//! Failures on demand.

use std::collections::VecDeque;
use std::time::Duration;

use sidenote::clock::Timestamp;

/// What a fault strikes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Whichever note or message comes next.
    Any,
    /// Notes and messages of this conversation.
    Conversation(String),
    /// What is to be redacted, whatever it is.
    Redactions,
}

impl Scope {
    fn holds(&self, conversation: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Conversation(id) => id == conversation,
            Self::Redactions => false,
        }
    }
}

/// What happens to a note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What the sender sees.
    pub trouble: Trouble,
    /// Whether the platform takes the note all the same: the sender can't know.
    pub taken: bool,
}

/// What the sender sees of a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// A status instead of success.
    Status {
        /// HTTP status.
        code: u16,
        /// `Retry-After`, in whole seconds.
        retry_after: Option<Duration>,
    },
    /// No answer, until the sender waits no longer.
    Hang,
    /// The connection is reset instead of an answer.
    Reset,
    /// The answer comes late: success where the note is accepted, 503 otherwise.
    Slow(Duration),
    /// The answer's head comes at once, its body a byte at a time without end.
    Drip {
        /// The pause before each byte.
        every: Duration,
    },
    /// The answer has a body of so many bytes: success where the note is accepted, 503 otherwise.
    Flood {
        /// Bytes of the body, sent as fast as they are read.
        bytes: u64,
    },
}

impl Fault {
    /// 429 with `Retry-After`; the note isn't accepted.
    pub fn rate_limited(retry_after: Duration) -> Self {
        Self {
            trouble: Trouble::Status { code: 429, retry_after: Some(retry_after) },
            taken: false,
        }
    }

    /// A status; the note isn't accepted.
    pub fn status(code: u16) -> Self {
        Self { trouble: Trouble::Status { code, retry_after: None }, taken: false }
    }

    /// No answer; the note isn't accepted.
    pub fn hang() -> Self {
        Self { trouble: Trouble::Hang, taken: false }
    }

    /// A reset connection; the note isn't accepted.
    pub fn reset() -> Self {
        Self { trouble: Trouble::Reset, taken: false }
    }

    /// The note is accepted, and the answer comes late.
    pub fn slow(by: Duration) -> Self {
        Self { trouble: Trouble::Slow(by), taken: true }
    }

    /// An answer whose body drips a byte at a time and never ends; the note isn't accepted.
    pub fn drip(every: Duration) -> Self {
        Self { trouble: Trouble::Drip { every }, taken: false }
    }

    /// A 503 with a body of so many bytes; the note isn't accepted.
    pub fn flood(bytes: u64) -> Self {
        Self { trouble: Trouble::Flood { bytes }, taken: false }
    }

    /// The same trouble, but the note is accepted before it strikes.
    pub fn but_taken(self) -> Self {
        Self { taken: true, ..self }
    }
}

/// Faults that wait for their notes, oldest first, and limits, which are stronger.
#[derive(Debug, Default)]
pub(super) struct Faults {
    waiting: VecDeque<(Scope, Fault, u32)>,
    limits: Vec<(Scope, Timestamp)>,
}

/// Most faults that may wait.
const MAX_FAULTS: usize = 100_000;
/// Most limits at the same time.
const MAX_LIMITS: usize = 1_000;

impl Faults {
    /// Adds a fault for the next `times` notes in scope; `false` when too many wait already.
    pub(super) fn add(&mut self, scope: Scope, fault: Fault, times: u32) -> bool {
        let room = self.waiting.len() < MAX_FAULTS;
        if room && times > 0 {
            self.waiting.push_back((scope, fault, times));
        }
        room
    }

    /// Refuses notes in scope until a moment; `false` when there are too many limits already.
    pub(super) fn limit(&mut self, scope: Scope, until: Timestamp) -> bool {
        let room = self.limits.len() < MAX_LIMITS;
        if room {
            self.limits.push((scope, until));
        }
        room
    }

    /// Forgets all that waits.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// How long the longest limit still is under which a note of this conversation comes.
    pub(super) fn limited(&mut self, conversation: &str, now: Timestamp) -> Option<Duration> {
        self.limits.retain(|(_, until)| *until > now);
        let under = self.limits.iter().filter(|(scope, _)| scope.holds(conversation));
        under.map(|(_, until)| until.since(now)).max()
    }

    /// The fault that strikes a note of this conversation, used up by one.
    pub(super) fn strike(&mut self, conversation: &str) -> Option<Fault> {
        self.take(|scope| scope.holds(conversation))
    }

    /// The fault that strikes a redaction, used up by one.
    pub(super) fn strike_redaction(&mut self) -> Option<Fault> {
        self.take(|scope| *scope == Scope::Redactions)
    }

    fn take(&mut self, holds: impl Fn(&Scope) -> bool) -> Option<Fault> {
        let at = self.waiting.iter().position(|(scope, ..)| holds(scope))?;
        let (_, fault, left) = &mut self.waiting[at];
        let fault = fault.clone();
        *left -= 1;
        if *left == 0 {
            self.waiting.remove(at);
        }
        Some(fault)
    }
}
