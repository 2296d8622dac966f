//! Failures on demand.

use std::collections::VecDeque;
use std::time::Duration;

/// Which notes a fault strikes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Whatever comes next.
    Any,
    /// Notes of this conversation.
    Conversation(String),
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
    /// No answer, until the sender gives up.
    Hang,
    /// The connection is reset instead of an answer.
    Reset,
    /// The answer comes late: success where the note is taken, 503 otherwise.
    Slow(Duration),
}

impl Fault {
    /// 429 with `Retry-After`; the note isn't taken.
    pub fn rate_limited(retry_after: Duration) -> Self {
        Self {
            trouble: Trouble::Status { code: 429, retry_after: Some(retry_after) },
            taken: false,
        }
    }

    /// A status; the note isn't taken.
    pub fn status(code: u16) -> Self {
        Self { trouble: Trouble::Status { code, retry_after: None }, taken: false }
    }

    /// No answer; the note isn't taken.
    pub fn hang() -> Self {
        Self { trouble: Trouble::Hang, taken: false }
    }

    /// A reset connection; the note isn't taken.
    pub fn reset() -> Self {
        Self { trouble: Trouble::Reset, taken: false }
    }

    /// The note is taken, and the answer comes late.
    pub fn slow(by: Duration) -> Self {
        Self { trouble: Trouble::Slow(by), taken: true }
    }

    /// The same trouble, but the note is taken before it strikes.
    pub fn but_taken(self) -> Self {
        Self { taken: true, ..self }
    }
}

/// Faults that wait for their notes, oldest first.
#[derive(Debug, Default)]
pub(super) struct Faults(VecDeque<(Scope, Fault, u32)>);

/// Most faults that may wait.
const MAX_FAULTS: usize = 100_000;

impl Faults {
    /// Adds a fault for the next `times` notes in scope; `false` when too many wait already.
    pub(super) fn add(&mut self, scope: Scope, fault: Fault, times: u32) -> bool {
        let room = self.0.len() < MAX_FAULTS;
        if room && times > 0 {
            self.0.push_back((scope, fault, times));
        }
        room
    }

    /// The fault that strikes a note of this conversation, used up by one.
    pub(super) fn strike(&mut self, conversation: &str) -> Option<Fault> {
        let at = self.0.iter().position(|(scope, ..)| match scope {
            Scope::Any => true,
            Scope::Conversation(id) => id == conversation,
        })?;
        let (_, fault, left) = &mut self.0[at];
        let fault = fault.clone();
        *left -= 1;
        if *left == 0 {
            self.0.remove(at);
        }
        Some(fault)
    }
}
