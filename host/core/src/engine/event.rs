//! What is told of a session when it is committed.

use std::sync::Arc;

use super::history_row::{KeptBatch, KeptSummary};
use crate::clock::Timestamp;
use crate::offers::help::Standing;
use crate::offers::launch::LaunchEvent;
use crate::offers::log::Decision;
use crate::session::state::Target;

/// What was committed.
#[derive(Clone)]
pub enum What {
    /// Actions were accepted. The batch says who it is as far as the session knows it.
    Batch(Arc<KeptBatch>),
    /// A summary takes the place of the actions that it covers.
    Summary(Arc<KeptSummary>),
    /// The session was found to be another person's, or more is known of them.
    Person {
        /// The user id, where known.
        user_id: Option<String>,
        /// The e-mail address, where known.
        email: Option<String>,
        /// When the session was active last.
        active_at: Timestamp,
    },
    /// Where the session's notes go was changed: to this conversation, or to none.
    Linked(Option<Target>),
    /// How the session stands was changed.
    Help(Standing),
    /// Something was decided of an offer.
    Offer(Decision),
    /// The person wrote something that waits for an answer; it stands under this id in the session's row.
    Asked(String),
    /// A tour is to be shown in the session's browser.
    Launch(LaunchEvent),
    /// Nothing of the session is kept any more: it was erased, or it expired. Its actions are counted from 1
    /// again.
    Gone,
}

impl std::fmt::Debug for What {
    /// What was done and by whom is left out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Batch(_) => "Batch(..)",
            Self::Summary(_) => "Summary(..)",
            Self::Person { .. } => "Person(..)",
            Self::Linked(_) => "Linked(..)",
            Self::Help(_) => "Help(..)",
            Self::Offer(_) => "Offer(..)",
            Self::Asked(_) => "Asked(..)",
            Self::Launch(_) => "Launch(..)",
            Self::Gone => "Gone",
        })
    }
}

impl What {
    /// About so many bytes are in it.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Batch(kept) => kept.bytes(),
            Self::Summary(summary) => summary.text.len(),
            Self::Person { .. }
            | Self::Linked(_)
            | Self::Help(_)
            | Self::Offer(_)
            | Self::Asked(_)
            | Self::Launch(_)
            | Self::Gone => 0,
        }
    }
}
