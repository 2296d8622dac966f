//! Which deliveries a person decides about, and what.

use serde::{Deserialize, Serialize};

use crate::ids::SessionKey;
use crate::outbox::delivery_id::DeliveryKind;

/// What a person decides about deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Decision {
    /// Dead letters are queued again, as if never tried; what waits is due at once.
    Retry,
    /// They are removed for good. One whose call is under way is left alone.
    Purge,
}

/// One note, or what waits for a sink; waiting or dead.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NoteRef {
    /// Its session.
    pub key: SessionKey,
    /// What it is; each is numbered on its own.
    pub lane: LaneKind,
    /// Its number in the session.
    pub seq: u64,
}

/// What stands in a lane.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum LaneKind {
    /// Notes, on their way into a conversation.
    #[default]
    Note,
    /// Batches and summaries, on their way to a sink.
    Sink,
    /// Due timers, on their way to the plugins that set them.
    Timer,
}

impl From<LaneKind> for DeliveryKind {
    fn from(lane: LaneKind) -> Self {
        match lane {
            LaneKind::Note => Self::Note,
            LaneKind::Sink => Self::Sink,
            LaneKind::Timer => Self::Timer,
        }
    }
}

impl NoteRef {
    /// A note.
    pub fn note(key: SessionKey, seq: u64) -> Self {
        Self { key, lane: LaneKind::Note, seq }
    }
}
