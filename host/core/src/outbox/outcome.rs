//! What can come of an attempt at a delivery.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A note that the platform took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    /// What the platform calls the note, where it says.
    pub note_id: Option<String>,
    /// The platform takes nothing more for a while, where it says so before it refuses.
    pub pause: Option<Pause>,
}

/// For how long a platform takes nothing more, and of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// How long.
    pub time: Duration,
    /// Of what.
    pub scope: LimitScope,
}

/// What a platform's limit is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitScope {
    /// All that the plugin's account sends.
    Account,
    /// The one conversation.
    Conversation,
}

/// Why an attempt didn't succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PostError {
    /// The plugin said so.
    Failed(Failure),
    /// The plugin trapped, or was stopped at a limit: it said nothing, the outcome is unknown.
    Crashed {
        /// How it ended.
        crash: Crash,
        /// What happened, for people.
        message: String,
    },
    /// There is no such plugin at the moment, or it can't be called. Nothing was sent; uses up no
    /// attempt.
    Unavailable {
        /// What a person must do.
        message: String,
    },
}

impl PostError {
    /// Whether the platform may have the note all the same.
    pub fn is_unknown(&self) -> bool {
        match self {
            Self::Crashed { .. } => true,
            Self::Unavailable { .. } => false,
            Self::Failed(failure) => failure.sent == Sent::Unknown,
        }
    }

    /// How long the platform asks to wait at least.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Failed(failure) => failure.retry_after,
            Self::Crashed { .. } | Self::Unavailable { .. } => None,
        }
    }

    /// Whether the platform refused on account of a limit.
    pub fn is_limit(&self) -> bool {
        matches!(self, Self::Failed(failure) if failure.kind == FailureKind::RateLimited)
    }

    /// Why, as `code: message`.
    pub fn reason(&self) -> String {
        match self {
            Self::Failed(failure) => format!("{}: {}", failure.code, failure.message),
            Self::Crashed { crash, message } => format!("{}: {message}", crash.code()),
            Self::Unavailable { message } => format!("unavailable: {message}"),
        }
    }
}

/// How a call ended without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// The plugin trapped.
    Trap,
    /// It didn't answer in time. A platform that hangs can cause it: it doesn't count towards poison.
    Timeout,
    /// It computed for too long.
    Cpu,
    /// It wanted too much memory.
    Memory,
}

impl Crash {
    /// A short word for logs and dead letters.
    pub fn code(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Timeout => "timeout",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
        }
    }
}

/// The outcome of a note that was to be redacted.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Redaction {
    /// It is gone, or wasn't there any more.
    Removed,
    /// It is still there and its text is gone.
    Overwritten,
    /// Nothing: the platform, or the plugin, can't redact notes.
    Unsupported,
}

/// What a platform says when it is asked for a note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It has it, under this id where it says.
    Yes(Option<String>),
    /// It doesn't have it.
    No,
    /// Nobody can say: the plugin has no `finder`.
    Unsupported,
}

/// A failure as a plugin reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What is to be done about it.
    pub kind: FailureKind,
    /// The platform's own code, for example `404` or `rate_limit_exceeded`.
    pub code: String,
    /// What happened, for people.
    pub message: String,
    /// How long to wait at least, where the platform says.
    pub retry_after: Option<Duration>,
    /// What a rate limit is for; a plugin that doesn't say means its account.
    pub scope: LimitScope,
    /// Whether the platform may have the note all the same.
    pub sent: Sent,
}

/// What is to be done about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// Try again later.
    Transient,
    /// Try again when the limit allows; uses up no attempt.
    RateLimited,
    /// The credentials were refused: try again later, a person must act.
    Auth,
    /// The conversation isn't there.
    NotFound,
    /// The platform or the plugin's configuration refuses this request.
    Invalid,
    /// It will never succeed.
    Permanent,
}

/// Whether bytes of the request left the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// Certainly not.
    NotSent,
    /// Perhaps.
    Unknown,
    /// Yes, and the platform answered.
    Sent,
}
