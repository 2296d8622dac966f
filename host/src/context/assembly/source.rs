//! Where a part comes from.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, timeout_at};

/// Somebody who knows something.
#[async_trait::async_trait]
pub trait Source: Send + Sync {
    /// Answers in JSON: a text where activity is asked for, a list of `{role, content}` for what was said, a list of
    /// `{title, content}` for knowledge. `null` is nothing.
    ///
    /// # Errors
    /// It can't answer. The words are for the log: nothing of a person belongs there.
    async fn ask(&self, ask: &Ask) -> Result<Value, SourceError>;
}

/// What a source is asked.
#[derive(Clone, PartialEq)]
pub enum Ask {
    /// What was done lately.
    Activity {
        /// In which session, or by whom: as the source knows it.
        session: String,
    },
    /// What was done since.
    ActivitySince {
        /// As of [`Ask::Activity`].
        session: String,
        /// Since when, in seconds since the epoch.
        cutoff: f64,
    },
    /// What a memory knows of what was done.
    Live {
        /// In which session.
        session: String,
        /// By whom; never empty.
        user: String,
    },
    /// What was said in a conversation.
    Turns {
        /// In which session.
        session: String,
        /// In which conversation.
        conversation: Option<String>,
        /// By whom; never empty.
        user: String,
    },
    /// What a knowledge base has about a question.
    Knowledge {
        /// In which product.
        product: String,
        /// What the knowledge base calls it, where that is something else.
        knowledge_product: Option<String>,
        /// Which part of the knowledge base.
        knowledge_id: Option<String>,
        /// In which session; `None` where nobody knows.
        session: Option<String>,
        /// The question.
        query: String,
        /// What was done lately.
        activity: String,
    },
}

impl Ask {
    /// Which source it is for.
    pub fn slot(&self) -> Slot {
        match self {
            Self::Activity { .. } => Slot::Activity,
            Self::ActivitySince { .. } => Slot::ActivitySince,
            Self::Live { .. } => Slot::Live,
            Self::Turns { .. } => Slot::Turns,
            Self::Knowledge { .. } => Slot::Knowledge,
        }
    }
}

impl std::fmt::Debug for Ask {
    /// Who and what is left out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Ask").field(&self.slot()).finish()
    }
}

/// A source of an assembly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    /// What was done lately.
    Activity,
    /// What was done since.
    ActivitySince,
    /// What a memory knows of what was done.
    Live,
    /// What was said before.
    Turns,
    /// A knowledge base.
    Knowledge,
}

impl Slot {
    /// Its name, for answers and the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Activity => "activity",
            Self::ActivitySince => "activity_since",
            Self::Live => "memory",
            Self::Turns => "history",
            Self::Knowledge => "knowledge",
        }
    }
}

/// Why a source can't answer. Nothing of a person belongs in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(pub String);

/// A source that was left out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {why}", .slot.name())]
pub struct Missing {
    /// Which.
    pub slot: Slot,
    /// Why.
    pub why: Why,
}

/// Why a source was left out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// It didn't answer in time.
    #[error("it didn't answer in time")]
    Late,
    /// It failed.
    #[error("it failed: {0}")]
    Failed(SourceError),
    /// What it answered, or so many entries of it, have no form that can be read.
    #[error("{0} of what it answered can't be read")]
    Unreadable(usize),
}

/// Asks a source within its time, and never beyond the time of all.
pub(super) async fn ask(
    source: &dyn Source,
    ask: &Ask,
    per_source: Duration,
    deadline: Instant,
) -> Result<Value, Missing> {
    let until = deadline.min(Instant::now() + per_source);
    let why = match timeout_at(until, source.ask(ask)).await {
        Ok(Ok(answer)) => return Ok(answer),
        Ok(Err(error)) => Why::Failed(error),
        Err(_) => Why::Late,
    };
    Err(Missing { slot: ask.slot(), why })
}
