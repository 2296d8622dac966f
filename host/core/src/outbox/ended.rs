//! What ended and has no other row: something that a sink accepted, a timer, a message, a redaction. It is kept for a while, so that
//! people see where it went and every attempt at it. Neither text nor person is in it.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::ids::{ConversationId, PluginName};
use crate::outbox::attempt::Attempts;
use crate::outbox::due_timer::DueTimer;
use crate::outbox::message::{self, Content};
use crate::outbox::note::{NoteKind, Redaction};
use crate::outbox::redaction;
use crate::outbox::sink_delivery::SinkDelivery;

/// So many of each kind are kept of a session, the latest.
pub const MAX_ENDED: u64 = 256;

/// What ended; a row of the store.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedDelivery {
    /// When it ended.
    pub at: Timestamp,
    /// What it was, and how it ended.
    pub what: What,
}

/// What it was, and how it ended.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A sink accepted it.
    Sink(EndedSink),
    /// A plugin was called for its timer.
    Timer(EndedTimer),
    /// It came to the person, or doesn't any more.
    Message(Box<EndedMessage>),
    /// A note that a summary replaced was redacted, or stays.
    Redaction(Box<EndedRedaction>),
}

/// What a sink accepted.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedSink {
    /// As [`SinkDelivery::seq`].
    pub seq: u64,
    /// The sink.
    pub plugin: PluginName,
    /// What it was made of.
    pub kind: NoteKind,
    /// How many actions it held.
    pub actions: u32,
    /// When it was made.
    pub made: Timestamp,
    /// Its key.
    pub idempotency_key: String,
    /// The attempts.
    #[serde(rename = "log")]
    pub tries: Attempts,
}

/// A timer that its plugin was called for. What the plugin said of it isn't kept.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedTimer {
    /// As [`DueTimer::seq`].
    pub seq: u64,
    /// The plugin.
    pub plugin: PluginName,
    /// When it was found to be due.
    pub made: Timestamp,
    /// Its key.
    pub idempotency_key: String,
    /// The attempts.
    #[serde(rename = "log")]
    pub tries: Attempts,
}

/// A message that is sent no more.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedMessage {
    /// As [`message::Message::seq`].
    pub seq: u64,
    /// The plugin that was to send it.
    pub plugin: PluginName,
    /// Where it went.
    pub conversation: ConversationId,
    /// What it was.
    pub kind: MessageKind,
    /// How it ended.
    pub how: MessageEnd,
    /// When it was made.
    pub made: Timestamp,
    /// When it would have been late.
    pub expires: Timestamp,
    /// Its key.
    pub idempotency_key: String,
    /// What the platform calls it, where it says.
    pub note_id: Option<String>,
    /// Why it failed, as `code: message`.
    pub failure: Option<String>,
    /// The attempts.
    #[serde(rename = "log")]
    pub tries: Attempts,
}

/// What a message was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageKind {
    /// An offer of help.
    Offer,
    /// The question whether to see a tour.
    Question,
    /// An answer to the person.
    Reply,
    /// That an offer is removed.
    Removal,
}

/// How a message ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageEnd {
    /// The platform has it.
    Delivered,
    /// It wasn't sent in time.
    Late,
    /// It certainly isn't there.
    Failed,
    /// Nobody knows whether it is there.
    Unknown,
    /// It wasn't wanted any more.
    Cancelled,
}

/// A redaction that was done, or can't be.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedRedaction {
    /// The number of its note.
    pub seq: u64,
    /// The note, with the attempts at it, and those to redact it.
    pub job: redaction::Job,
    /// What the platform answered.
    pub redaction: Redaction,
}

impl EndedDelivery {
    /// Something that a sink accepted.
    pub fn sink(delivery: &SinkDelivery, tries: Attempts, at: Timestamp) -> Self {
        let what = What::Sink(EndedSink {
            seq: delivery.seq,
            plugin: delivery.plugin.clone(),
            kind: delivery.kind(),
            actions: u32::try_from(delivery.actions()).unwrap_or(u32::MAX),
            made: delivery.sealed_at,
            idempotency_key: delivery.idempotency_key.clone(),
            tries,
        });
        Self { at, what }
    }

    /// A timer that its plugin was called for.
    pub fn timer(timer: &DueTimer, tries: Attempts, at: Timestamp) -> Self {
        let what = What::Timer(EndedTimer {
            seq: timer.seq,
            plugin: timer.plugin.clone(),
            made: timer.sealed_at,
            idempotency_key: timer.idempotency_key.clone(),
            tries,
        });
        Self { at, what }
    }

    /// A message. `ended`: how; `None` where it wasn't wanted any more.
    pub fn message(job: &message::Job, ended: Option<&message::Ended>, at: Timestamp) -> Self {
        let (how, note_id, failure) = match ended {
            Some(message::Ended::Delivered(posted, _)) => {
                (MessageEnd::Delivered, posted.note_id.clone(), None)
            }
            Some(message::Ended::Late) => (MessageEnd::Late, None, None),
            Some(message::Ended::Failed(reason)) => {
                (MessageEnd::Failed, None, Some(reason.clone()))
            }
            Some(message::Ended::Unknown) => (MessageEnd::Unknown, None, None),
            None => (MessageEnd::Cancelled, None, None),
        };
        let message = &*job.message;
        let what = What::Message(Box::new(EndedMessage {
            seq: message.seq,
            plugin: message.plugin.clone(),
            conversation: message.conversation.clone(),
            kind: MessageKind::of(&message.content),
            how,
            made: message.made_at,
            expires: message.expires_at,
            idempotency_key: message.idempotency_key.clone(),
            note_id,
            failure,
            tries: job.tries.clone(),
        }));
        Self { at, what }
    }

    /// A redaction.
    pub fn redaction(seq: u64, job: redaction::Job, redaction: Redaction, at: Timestamp) -> Self {
        Self { at, what: What::Redaction(Box::new(EndedRedaction { seq, job, redaction })) }
    }

    /// Its row's number among those of its session.
    pub fn number(&self) -> u64 {
        match &self.what {
            What::Sink(sink) => number(EndedKind::Sink, sink.seq),
            What::Timer(timer) => number(EndedKind::Timer, timer.seq),
            What::Message(message) => number(EndedKind::Message, message.seq),
            What::Redaction(redaction) => number(EndedKind::Redaction, redaction.seq),
        }
    }
}

impl MessageKind {
    /// Of what is sent.
    pub fn of(content: &Content) -> Self {
        match content {
            Content::Offer(_) => Self::Offer,
            Content::Question(_) => Self::Question,
            Content::Reply(_) => Self::Reply,
            Content::Removal { .. } => Self::Removal,
        }
    }

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Offer => "offer",
            Self::Question => "question",
            Self::Reply => "reply",
            Self::Removal => "removal",
        }
    }
}

/// The kinds, each numbered on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedKind {
    /// [`What::Sink`].
    Sink,
    /// [`What::Timer`].
    Timer,
    /// [`What::Message`].
    Message,
    /// [`What::Redaction`].
    Redaction,
}

/// The number of the row of what has this number in its session.
pub fn number(kind: EndedKind, seq: u64) -> u64 {
    let code = match kind {
        EndedKind::Timer => 0,
        EndedKind::Sink => 1,
        EndedKind::Message => 2,
        EndedKind::Redaction => 3,
    };
    seq.saturating_mul(4).saturating_add(code)
}

/// The number of the row that leaves when one with this number comes.
pub fn outlived_by(number: u64) -> Option<u64> {
    number.checked_sub(MAX_ENDED * 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_numbered_on_its_own() {
        let kinds = [EndedKind::Timer, EndedKind::Sink, EndedKind::Message, EndedKind::Redaction];
        let mut numbers: Vec<_> =
            (1..=3).flat_map(|seq| kinds.map(|kind| number(kind, seq))).collect();
        numbers.dedup();
        assert_eq!(numbers, [4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
        assert_eq!(outlived_by(number(EndedKind::Message, MAX_ENDED)), Some(2));
        assert_eq!(
            outlived_by(number(EndedKind::Sink, MAX_ENDED + 7)),
            Some(number(EndedKind::Sink, 7))
        );
        assert_eq!(outlived_by(number(EndedKind::Redaction, MAX_ENDED - 1)), None);
    }
}
