//! Why there is no answer.

use std::time::Duration;

/// Why a model gave no usable answer. Nothing of the question or of the answer is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LlmError {
    /// Too many questions or tokens for the account.
    #[error(
        "llm: the provider's limit is reached{}; it is asked again later, or raise the account's limit",
        After(.retry_after)
    )]
    RateLimited {
        /// How long to wait, where the provider says.
        retry_after: Option<Duration>,
    },
    /// The key is refused.
    #[error("llm: the provider refuses the key (status {status}); check `api_key` of [llm]")]
    Auth {
        /// The answer's.
        status: u16,
    },
    /// The account or the settings: every question would be refused until a person sees to it.
    #[error(
        "llm: the provider refuses every question for what the account may do or how it is asked{}; check the provider's account (billing, limits, region), and `model`, `api_version` and `base_url` of [llm]",
        Coded(.code)
    )]
    Setting {
        /// The provider's short word for it.
        code: Option<String>,
    },
    /// There is no such model or address.
    #[error("llm: the provider knows no such model or address{}; check `model` and `base_url` of [llm]", Coded(.code))]
    NotFound {
        /// The provider's short word for it.
        code: Option<String>,
    },
    /// The provider won't answer this question: filtered, too long, or not as it wants it.
    #[error("llm: the provider refuses this question{}; what it was made of stays as it is", Coded(.code))]
    Refused {
        /// The provider's short word for it.
        code: Option<String>,
    },
    /// No complete answer in time.
    #[error("llm: no complete answer within {after:?}; see `timeout` of [llm]")]
    TimedOut {
        /// The time.
        after: Duration,
    },
    /// The provider can't be reached, or fails.
    #[error("llm: the provider can't answer: {cause}; it is asked again later")]
    Unavailable {
        /// What happened; nothing of an answer's body.
        cause: String,
        /// How long to wait, where the provider says.
        retry_after: Option<Duration>,
    },
    /// The answer isn't what the provider's interface says.
    #[error("llm: the answer can't be read: {cause}; check `provider` and `base_url` of [llm]")]
    Malformed {
        /// What is wrong with it.
        cause: String,
    },
    /// The answer is longer than anything that was asked for.
    #[error("llm: the answer is longer than {most} bytes")]
    TooLong {
        /// The bound.
        most: usize,
    },
    /// The answer has no text.
    #[error(
        "llm: the answer is empty; a model that thinks first may need more `max_output_tokens`"
    )]
    Empty,
}

/// What a failure says of the next question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Every question would fail: the provider, the way to it, or the key.
    Service,
    /// This question failed; others may not.
    Question,
}

impl LlmError {
    /// Whether other questions would fail too.
    pub fn scope(&self) -> Scope {
        match self {
            Self::RateLimited { .. }
            | Self::Auth { .. }
            | Self::Setting { .. }
            | Self::NotFound { .. }
            | Self::TimedOut { .. }
            | Self::Unavailable { .. } => Scope::Service,
            Self::Refused { .. } | Self::Malformed { .. } | Self::TooLong { .. } | Self::Empty => {
                Scope::Question
            }
        }
    }

    /// How long the provider asks to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after } | Self::Unavailable { retry_after, .. } => {
                *retry_after
            }
            Self::Auth { .. }
            | Self::Setting { .. }
            | Self::NotFound { .. }
            | Self::Refused { .. }
            | Self::TimedOut { .. }
            | Self::Malformed { .. }
            | Self::TooLong { .. }
            | Self::Empty => None,
        }
    }

    /// Whether the same question may be answered a moment later.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::RateLimited { .. } | Self::Unavailable { .. })
    }

    /// A word for counters and the log.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::RateLimited { .. } => "rate_limited",
            Self::Auth { .. } => "auth",
            Self::Setting { .. } => "setting",
            Self::NotFound { .. } => "not_found",
            Self::Refused { .. } => "refused",
            Self::TimedOut { .. } => "timed_out",
            Self::Unavailable { .. } => "unavailable",
            Self::Malformed { .. } => "malformed",
            Self::TooLong { .. } => "too_long",
            Self::Empty => "empty",
        }
    }

    /// That an answer isn't what the provider's interface says.
    pub(super) fn malformed(cause: impl Into<String>) -> Self {
        Self::Malformed { cause: cause.into() }
    }

    /// That something can't be reached; for models of one's own.
    pub fn unavailable(cause: impl Into<String>) -> Self {
        Self::Unavailable { cause: cause.into(), retry_after: None }
    }
}

struct After<'a>(&'a Option<Duration>);

impl std::fmt::Display for After<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.map_or(Ok(()), |after| write!(f, " for {after:?}"))
    }
}

struct Coded<'a>(&'a Option<String>);

impl std::fmt::Display for Coded<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.as_ref().map_or(Ok(()), |code| write!(f, " ({code})"))
    }
}
