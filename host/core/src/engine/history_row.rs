//! What is kept of a session for context, as it is stored.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::session::packed::Packed;
use crate::session::payload::{Action, ActionsPayload};

/// The number of the summary's row: actions are counted from 1.
pub const SUMMARY: u64 = 0;

/// A batch as it was accepted.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptBatch {
    /// The ordinal of its first action: the actions of a session are counted from 1 as they are accepted.
    #[serde(skip)]
    pub first: u64,
    /// When it was accepted, by the host's clock.
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
    pub fn bytes(&self) -> usize {
        let of_action = |action: &Action| {
            let Action { title, description, canonical_url, kind, raw_url, .. } = action;
            let texts = [title, description, canonical_url, kind, raw_url];
            size_of::<Action>() + texts.iter().map(|text| text.len()).sum::<usize>()
        };
        self.batch.actions.iter().map(of_action).sum()
    }
}

impl KeptBatch {
    /// The same as it is stored, of which these are the actions, packed already.
    pub(super) fn row<'a>(&'a self, packed: &'a Packed) -> impl Serialize + 'a {
        #[derive(Serialize)]
        struct Row<'a> {
            at: Timestamp,
            batch: Batch<'a>,
        }
        #[derive(Serialize)]
        struct Batch<'a> {
            product_id: &'a str,
            session_id: &'a Option<String>,
            user_id: &'a Option<String>,
            email: &'a Option<String>,
            conversation_id: &'a Option<String>,
            actions: &'a Packed,
            forwarded_at: f64,
        }
        let ActionsPayload { product_id, session_id, user_id, email, conversation_id, .. } =
            &self.batch;
        let forwarded_at = self.batch.forwarded_at;
        let actions = packed;
        Row {
            at: self.at,
            batch: Batch {
                product_id,
                session_id,
                user_id,
                email,
                conversation_id,
                actions,
                forwarded_at,
            },
        }
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
    /// When it was accepted, by the host's clock.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::rows::{decode, encode};

    #[test]
    fn a_row_is_the_batch_itself_with_its_actions_packed() {
        let actions = vec![Action { title: "Paid".to_owned(), index: 3, ..Action::default() }];
        let batch = ActionsPayload {
            product_id: "p".to_owned(),
            session_id: Some("s".to_owned()),
            email: Some("a@example.org".to_owned()),
            conversation_id: Some("c".to_owned()),
            actions,
            forwarded_at: 1.5,
            ..ActionsPayload::default()
        };
        let kept = KeptBatch { first: 0, at: Timestamp(7), batch };
        let row = encode(&kept.row(&Packed::of(&kept.batch.actions)));
        assert_eq!(row, encode(&kept));
        assert!(decode::<KeptBatch>(&row).unwrap() == kept);
    }
}
