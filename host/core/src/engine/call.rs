//! Calls, and what comes of them.

use std::sync::Arc;
use std::time::Duration;

use crate::ids::{PluginName, SessionKey};
use crate::kv::Writes;
use crate::outbox::attempt::Course;
use crate::outbox::due_timer::DueTimer;
use crate::outbox::message::{Message, Sending};
use crate::outbox::note::{Note, PostError, Posted, Redaction, SentNote};
use crate::outbox::sink_delivery::SinkDelivery;

/// A call that is to be made once its attempt is on record.
#[derive(Clone)]
pub struct Call {
    /// What is done.
    pub work: Work,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// How long it may take.
    pub timeout: Duration,
    /// Whether it is made to learn whether the platform answers again.
    pub probe: bool,
}

/// What a call does.
#[derive(Clone)]
pub enum Work {
    /// Posts a note.
    Note {
        /// The note.
        note: Arc<Note>,
        /// Whether an earlier attempt ended without an outcome: the platform is asked first.
        unknown: bool,
    },
    /// Hands something to its sink.
    Sink(Arc<SinkDelivery>),
    /// Calls a plugin for its timer.
    Timer(Arc<DueTimer>),
    /// Sends a message that the person sees.
    Message {
        /// The message.
        message: Arc<Message>,
        /// Whether an earlier attempt ended without an outcome: the platform is only asked for it.
        unknown: bool,
    },
    /// Redacts a note; finds out first what the platform calls it where that isn't known.
    Redaction {
        /// The note's session.
        key: SessionKey,
        /// The note's number.
        seq: u64,
        /// The note.
        note: Box<SentNote>,
        /// The same for every attempt, and another one than the note's.
        idempotency_key: String,
    },
}

/// What came of a call.
pub struct Ended {
    /// Of which.
    pub outcome: Outcome,
    /// How the call went.
    pub course: Course,
    /// What the plugin wrote under its keys, and its timers; it is stored with the outcome.
    pub written: Writes,
}

/// The outcome of a call, by what it did.
pub enum Outcome {
    /// Of a post.
    Note {
        /// The note.
        note: Arc<Note>,
        /// What the plugin answered.
        result: Result<Posted, PostError>,
    },
    /// Of a sink.
    Sink {
        /// What it was handed.
        delivery: Arc<SinkDelivery>,
        /// What the plugin answered.
        result: Result<(), PostError>,
    },
    /// Of a timer.
    Timer {
        /// The timer.
        timer: Arc<DueTimer>,
        /// What the plugin answered.
        result: Result<(), PostError>,
    },
    /// Of a message.
    Message {
        /// The message.
        message: Arc<Message>,
        /// What the plugin answered.
        result: Result<Sending, PostError>,
    },
    /// Of a redaction.
    Redaction {
        /// The note's session.
        key: SessionKey,
        /// The note's number.
        seq: u64,
        /// The note.
        note: Box<SentNote>,
        /// What the plugin answered.
        result: Result<Redaction, PostError>,
    },
}

impl Work {
    /// The session that it is about.
    pub fn session(&self) -> &SessionKey {
        match self {
            Self::Note { note, .. } => &note.key,
            Self::Sink(delivery) => &delivery.key,
            Self::Timer(timer) => &timer.key,
            Self::Message { message, .. } => &message.key,
            Self::Redaction { key, .. } => key,
        }
    }

    /// The plugin by which it is done.
    pub fn plugin(&self) -> &PluginName {
        match self {
            Self::Note { note, .. } => &note.plugin,
            Self::Sink(delivery) => &delivery.plugin,
            Self::Timer(timer) => &timer.plugin,
            Self::Message { message, .. } => &message.plugin,
            Self::Redaction { note, .. } => &note.plugin,
        }
    }
}

impl Ended {
    /// Of a call that wrote nothing.
    pub fn of(outcome: Outcome, course: Course) -> Self {
        Self { outcome, course, written: Writes::default() }
    }
}

impl Outcome {
    /// The session that it is about.
    pub fn session(&self) -> &SessionKey {
        match self {
            Self::Note { note, .. } => &note.key,
            Self::Sink { delivery, .. } => &delivery.key,
            Self::Timer { timer, .. } => &timer.key,
            Self::Message { message, .. } => &message.key,
            Self::Redaction { key, .. } => key,
        }
    }

    /// The plugin by which it was done.
    pub fn plugin(&self) -> &PluginName {
        match self {
            Self::Note { note, .. } => &note.plugin,
            Self::Sink { delivery, .. } => &delivery.plugin,
            Self::Timer { timer, .. } => &timer.plugin,
            Self::Message { message, .. } => &message.plugin,
            Self::Redaction { note, .. } => &note.plugin,
        }
    }
}
