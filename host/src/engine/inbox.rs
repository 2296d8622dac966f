//! What can happen to the engine.

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::engine::link::{LinkError, LinkRequest, Linked};
use crate::ids::{PluginName, SessionKey};
use crate::outbox::note::{PostError, Posted};
use crate::session::payload::ActionsPayload;

/// An input of the loop.
pub(super) enum Input {
    /// A batch of a session.
    Actions {
        key: SessionKey,
        batch: ActionsPayload,
        bytes: usize,
        /// The room in the inbox that the batch takes; given back after the commit.
        room: OwnedSemaphorePermit,
        /// Answered after the commit, where somebody waits.
        taken: Option<oneshot::Sender<()>>,
    },
    /// A wish to link.
    Link { request: LinkRequest, reply: oneshot::Sender<Result<Linked, LinkError>> },
    /// The outcome of a post.
    Outcome(Outcome),
    /// Seal what is open, post what is queued, and end.
    Drain,
    /// End at once: posts under way are cut off, and put on record as not crashed.
    Stop,
}

/// The outcome of a post.
pub(super) struct Outcome {
    pub(super) key: SessionKey,
    pub(super) plugin: PluginName,
    pub(super) result: Result<Posted, PostError>,
}
