//! What was taken of each session lately, kept for whoever reads it: the contexts, the summarizer.
//!
//! A batch is stored in the transaction that takes it, a row each; so is the latest summary. A batch that a
//! summary covers wholly goes when the summary's note is on record as sent, or at once where none is
//! posted: where it becomes a dead letter, what it tells of is still there. What is kept of a session is
//! bounded by count and bytes, and by time.

mod index;
mod keep;
mod read;

pub(super) use index::{HistoryIndexes, actions as actions_in};
pub use read::History;
pub(super) use read::is_of;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::session::payload::{Action, ActionsPayload};

/// The number of the summary's row: actions are counted from 1.
const SUMMARY: u64 = 0;

/// A batch as it was taken.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptBatch {
    /// The ordinal of its first action: the actions of a session are counted from 1 as they are taken.
    #[serde(skip)]
    pub first: u64,
    /// When it was taken, by the host's clock.
    pub at: Timestamp,
    /// What was done. It says who did it as far as the session knew.
    pub batch: ActionsPayload,
}

impl KeptBatch {
    /// The ordinal of its last action.
    pub fn last(&self) -> u64 {
        self.first + (self.batch.actions.len() as u64).saturating_sub(1)
    }

    /// Its actions, each with its ordinal.
    pub fn actions(&self) -> impl Iterator<Item = (u64, &Action)> {
        (self.first..).zip(&self.batch.actions)
    }

    /// About so many bytes are in it.
    pub(super) fn bytes(&self) -> usize {
        let of_action = |action: &Action| {
            let Action { title, description, canonical_url, kind, raw_url, .. } = action;
            let texts = [title, description, canonical_url, kind, raw_url];
            size_of::<Action>() + texts.iter().map(|text| text.len()).sum::<usize>()
        };
        self.batch.actions.iter().map(of_action).sum()
    }
}

impl std::fmt::Debug for KeptBatch {
    /// What was done is left out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeptBatch")
            .field("first", &self.first)
            .field("last", &self.last())
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

/// The latest summary of a session.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptSummary {
    /// The text.
    pub text: String,
    /// It covers all actions up to this ordinal.
    pub covers: u64,
    /// When it was taken, by the host's clock.
    pub at: Timestamp,
}

impl std::fmt::Debug for KeptSummary {
    /// The text is left out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeptSummary")
            .field("covers", &self.covers)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}
