//! A record of every note that was sent, and how its exchange ended: what a judge outside the host goes by.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use sidenote::clock::Timestamp;

use super::note::Note;

/// One note that was sent to the platform, as the platform saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The note's idempotency key.
    pub key: Arc<str>,
    /// The product.
    pub product: Arc<str>,
    /// The session.
    pub session: Arc<str>,
    /// The conversation.
    pub conversation: Arc<str>,
    /// The note's place among those of its session.
    pub seq: u64,
    /// The attempt, from 1.
    pub attempt: u32,
    /// The note's text.
    pub text: Arc<str>,
    /// A hash of the whole note but for its attempt: the same for every attempt at a sealed note.
    pub content: u64,
    /// The trace context that came with it.
    pub trace: Option<Arc<str>>,
    /// When the request's head had arrived.
    pub began: Timestamp,
    /// When the platform took the note, if it did; also for one that it had accepted before.
    pub taken: Option<Timestamp>,
    /// Until when the platform asked the sender to wait, where it did.
    pub wait_until: Option<Timestamp>,
    /// How it ended, and when; `None` while it is under way.
    pub end: Option<(Timestamp, Ending)>,
}

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The platform answered with this status, to the last byte.
    Answered(u16),
    /// The connection went away before the answer was complete.
    Broken,
}

/// The record: bounded, oldest first.
#[derive(Debug, Default)]
pub(super) struct Exchanges {
    kept: VecDeque<Exchange>,
    /// The number of the first one kept.
    first: u64,
    most: usize,
}

/// Finds an exchange in the record again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Number(u64);

impl Exchanges {
    pub(super) fn new(most: usize) -> Self {
        Self { kept: VecDeque::new(), first: 0, most }
    }

    /// Whether anything is recorded.
    pub(super) fn recording(&self) -> bool {
        self.most > 0
    }

    /// Records the beginning of an exchange; whether an older one had to go for it.
    pub(super) fn begin(&mut self, note: &Note, began: Timestamp) -> (Number, bool) {
        let full = self.kept.len() >= self.most;
        if full {
            self.kept.pop_front();
            self.first += 1;
        }
        let number = Number(self.first + self.kept.len() as u64);
        self.kept.push_back(Exchange {
            key: note.idempotency_key.as_str().into(),
            product: note.product_id.as_str().into(),
            session: note.session_id.as_str().into(),
            conversation: note.conversation_id.as_str().into(),
            seq: note.seq,
            attempt: note.attempt,
            text: note.body.as_str().into(),
            content: content(note),
            trace: None,
            began,
            taken: None,
            wait_until: None,
            end: None,
        });
        (number, full)
    }

    /// The exchange, unless it had to go.
    pub(super) fn get_mut(&mut self, number: Number) -> Option<&mut Exchange> {
        let index = number.0.checked_sub(self.first)?;
        self.kept.get_mut(usize::try_from(index).ok()?)
    }

    pub(super) fn all(&self) -> Vec<Exchange> {
        self.kept.iter().cloned().collect()
    }

    /// Takes out the oldest ones, up to the first that is under way.
    pub(super) fn take_ended(&mut self) -> Vec<Exchange> {
        let ended = self.kept.iter().take_while(|exchange| exchange.end.is_some()).count();
        self.first += ended as u64;
        self.kept.drain(..ended).collect()
    }
}

/// Everything that a sealed note must keep through all attempts.
fn content(note: &Note) -> u64 {
    let sealed = Note { attempt: 0, ..note.clone() };
    let json = serde_json::to_vec(&sealed).expect("a plain struct serialises");
    let mut hasher = DefaultHasher::new();
    json.hash(&mut hasher);
    hasher.finish()
}
