//! What can happen to the engine.

use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::clock::Timestamp;
use crate::engine::deliveries::Outcome;
use crate::engine::erase;
use crate::engine::handle::Summary;
use crate::engine::link::{LinkCommand, LinkError, Linked};
use crate::engine::settings::Change;
use crate::ids::{ConversationId, PluginName, SessionKey};
use crate::outbox::note::{Note, PostError, Redaction};
use crate::outbox::sink_delivery::SinkDelivery;
use crate::session::payload::ActionsPayload;
use crate::session::state::Covers;

/// An input of the loop.
pub(super) enum Input {
    /// A batch of a session.
    Actions {
        key: SessionKey,
        batch: ActionsPayload,
        bytes: usize,
        /// When it was accepted, where that was before: it comes out of the journal.
        accepted_at: Option<Timestamp>,
        /// The room in the inbox that the batch takes; given back after the commit.
        room: Option<OwnedSemaphorePermit>,
        /// Answered after the commit, where somebody waits.
        accepted: Option<oneshot::Sender<()>>,
    },
    /// A summary of a session.
    Summary {
        key: SessionKey,
        text: String,
        covers: Covers,
        /// When its source sent it, in seconds since the Unix epoch by its clock; 0 where that is unknown.
        forwarded_at: f64,
        /// As for actions.
        accepted_at: Option<Timestamp>,
        /// As for actions.
        room: Option<OwnedSemaphorePermit>,
        /// Answered after the commit, where somebody waits.
        reply: Option<oneshot::Sender<Summary>>,
    },
    /// A wish to link.
    Link { request: LinkCommand, reply: oneshot::Sender<Result<Linked, LinkError>> },
    /// A person's decision about notes.
    Decide { decision: Decision, notes: Vec<NoteRef>, reply: oneshot::Sender<usize> },
    /// Sessions that are to be erased.
    Erase(erase::Order),
    /// The store's files were written anew, or why not.
    Scrubbed(Result<(), String>),
    /// The outcome of a post.
    Outcome(Outcome<Note>),
    /// The outcome of a redaction.
    Redacted(Redacted),
    /// The outcome of handing a sink delivery to its sink.
    Written(Outcome<SinkDelivery>),
    /// Other settings, in force from the next round on.
    Settings(Change),
    /// Seal what is open, post what is queued, and end.
    Drain,
    /// End at once: posts under way are cut off, and put on record as not crashed.
    Stop,
}

/// What a person decides about notes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Dead letters are queued again, as if never tried; a note that waits is due at once.
    Retry,
    /// They are removed for good. A note whose post is under way is left alone.
    Purge,
}

/// One note, or what waits for a sink; waiting or dead.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NoteRef {
    /// Its session.
    pub key: SessionKey,
    /// What it is; each is numbered on its own.
    pub lane: LaneKind,
    /// Its number in the session.
    pub seq: u64,
}

/// What stands in a lane.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LaneKind {
    /// Notes, on their way into a conversation.
    #[default]
    Note,
    /// Batches and summaries, on their way to a sink.
    Sink,
}

impl NoteRef {
    /// A note.
    pub fn note(key: SessionKey, seq: u64) -> Self {
        Self { key, lane: LaneKind::Note, seq }
    }
}

/// The outcome of a redaction.
pub(super) struct Redacted {
    pub(super) key: SessionKey,
    /// The note's number.
    pub(super) seq: u64,
    pub(super) plugin: PluginName,
    pub(super) conversation: ConversationId,
    /// As for a post.
    pub(super) probe: bool,
    pub(super) result: Result<Redaction, PostError>,
}
