//! The attempts that ended last, for people who look: a bounded list in memory, which nothing is decided by.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::Timestamp;
use crate::engine::core::Outcome;
use crate::ids::{PluginName, SessionKey};
use crate::outbox::note::{FailureKind, NoteKind, PostError};
use crate::outbox::sink_delivery::SinkDelivery;

/// So many are remembered.
const MOST: usize = 64;

/// An attempt that has ended. Nothing of what people did is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempted {
    /// Its place among all attempts since the start, from 1.
    pub number: u64,
    /// When it ended.
    pub at: Timestamp,
    /// The session.
    pub key: SessionKey,
    /// The plugin that was called.
    pub plugin: PluginName,
    /// What it was of: `note`, `summary`, `for people`, `sink`, `message` or `redaction`.
    pub of: &'static str,
    /// `None` where it succeeded; else why not, in a word such as `transient` or `trap`.
    pub failure: Option<&'static str>,
}

/// The latest attempts. Cloning shares them.
#[derive(Clone, Default)]
pub(super) struct Latest(Arc<Mutex<Ring>>);

#[derive(Default)]
struct Ring {
    number: u64,
    /// The oldest first.
    attempts: VecDeque<Attempted>,
}

impl Latest {
    /// An attempt has ended.
    pub(super) fn record(&self, outcome: &Outcome, at: Timestamp) {
        let (key, plugin, of, error) = match outcome {
            Outcome::Note { note, result, .. } => {
                (&note.key, &note.plugin, kind(note.kind), result.as_ref().err())
            }
            Outcome::Sink { delivery, result } => {
                let SinkDelivery { key, plugin, .. } = &**delivery;
                (key, plugin, "sink", result.as_ref().err())
            }
            Outcome::Timer { timer, result } => {
                (&timer.key, &timer.plugin, "timer", result.as_ref().err())
            }
            Outcome::Message { message, result } => {
                (&message.key, &message.plugin, "message", result.as_ref().err())
            }
            Outcome::Redaction { key, note, result, .. } => {
                (key, &note.plugin, "redaction", result.as_ref().err())
            }
        };
        let mut ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ring.number += 1;
        let number = ring.number;
        if ring.attempts.len() >= MOST {
            ring.attempts.pop_front();
        }
        let (key, plugin, failure) = (key.clone(), plugin.clone(), error.map(word));
        ring.attempts.push_back(Attempted { number, at, key, plugin, of, failure });
    }

    /// All that are remembered, the latest first.
    pub(super) fn attempts(&self) -> Vec<Attempted> {
        let ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ring.attempts.iter().rev().cloned().collect()
    }
}

fn kind(kind: NoteKind) -> &'static str {
    match kind {
        NoteKind::Actions => "note",
        NoteKind::Summary => "summary",
        NoteKind::ForPeople => "for people",
    }
}

/// A failure in a word.
pub(super) fn word(error: &PostError) -> &'static str {
    match error {
        PostError::Crashed { crash, .. } => crash.code(),
        PostError::Unavailable { .. } => "unavailable",
        PostError::Failed(failure) => match failure.kind {
            FailureKind::Transient => "transient",
            FailureKind::RateLimited => "rate_limited",
            FailureKind::Auth => "auth",
            FailureKind::NotFound => "not_found",
            FailureKind::Invalid => "invalid",
            FailureKind::Permanent => "permanent",
        },
    }
}
