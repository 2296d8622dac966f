//! What people are sent by the platform of a test: it answers as scripted, then takes everything, and remembers.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use sidenote::outbox::message::Message;
use sidenote::outbox::note::{
    Call, Crash, Failure, FailureKind, Found, LimitScope, PostError, Posted, Sent,
};
use tokio::time::Instant;

/// What sending a message comes to, after how long.
pub type MessageAnswer = (Duration, Taking);

/// What becomes of a message that is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taking {
    /// The person has it from the begin of the call on.
    Takes,
    /// It is refused, and certainly doesn't reach the person.
    Refuses(FailureKind),
    /// The call is never answered, whether or not the person has the message.
    Lost {
        /// Whether they have it.
        arrived: bool,
    },
}

/// What it answers when it is asked for a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Finding {
    /// As for notes.
    #[default]
    AsNotes,
    /// Whether it is there.
    Says,
    /// That it isn't there, though it may be.
    Overlooks,
    /// It can't be asked.
    CantTell,
}

/// A message as the platform sees it.
#[derive(Debug, Clone)]
pub struct SeenMessage {
    /// When the call began, from the platform's start.
    pub at: Duration,
    /// When the call ended; `None` while it is under way, and where it was cut off.
    pub end: Option<Duration>,
    /// What became of it.
    pub taking: Taking,
    /// The message.
    pub message: Message,
}

impl SeenMessage {
    /// Whether the person has it.
    pub fn arrived(&self) -> bool {
        matches!(self.taking, Taking::Takes | Taking::Lost { arrived: true })
    }

    /// Whether whoever sent it was told that the person doesn't have it.
    pub fn is_refused(&self) -> bool {
        self.end.is_some() && matches!(self.taking, Taking::Refuses(_))
    }
}

/// All of them.
pub struct Messages {
    start: Instant,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    script: VecDeque<MessageAnswer>,
    seen: Vec<SeenMessage>,
    finding: Finding,
}

impl Default for Messages {
    fn default() -> Self {
        Self { start: Instant::now(), known: Mutex::default() }
    }
}

impl Messages {
    /// Adds to the script.
    pub fn then(&self, answers: impl IntoIterator<Item = MessageAnswer>) {
        self.lock().script.extend(answers);
    }

    /// From here on it answers so when it is asked for a message.
    pub fn finds(&self, finding: Finding) {
        self.lock().finding = finding;
    }

    /// Forgets what is left of the script: everything further is accepted, and what is asked for is found where it is.
    pub fn recover(&self) {
        let mut known = self.lock();
        known.script.clear();
        known.finding = Finding::Says;
    }

    /// What was sent, in the order in which the calls began.
    pub fn seen(&self) -> Vec<SeenMessage> {
        self.lock().seen.clone()
    }

    /// How many calls began.
    pub fn count(&self) -> usize {
        self.lock().seen.len()
    }

    pub(crate) async fn send(&self, call: &Call, message: &Message) -> Result<Posted, PostError> {
        let (after, taking, n) = {
            let mut known = self.lock();
            let (after, taking) =
                known.script.pop_front().unwrap_or((Duration::ZERO, Taking::Takes));
            let arrived = matches!(taking, Taking::Takes | Taking::Lost { arrived: true });
            let taking = if after > call.timeout { Taking::Lost { arrived } } else { taking };
            let (at, message) = (self.start.elapsed(), message.clone());
            known.seen.push(SeenMessage { at, end: None, taking, message });
            (after, taking, known.seen.len() - 1)
        };
        let is_lost = matches!(taking, Taking::Lost { .. });
        tokio::time::sleep(if is_lost { call.timeout } else { after }).await;
        self.lock().seen[n].end = Some(self.start.elapsed());
        match taking {
            Taking::Lost { .. } => {
                let message = "no answer".to_owned();
                Err(PostError::Crashed { crash: Crash::Timeout, message })
            }
            Taking::Takes => Ok(Posted { note_id: Some(format!("m{}", n + 1)), pause: None }),
            Taking::Refuses(kind) => Err(PostError::Failed(Failure {
                kind,
                code: "no".to_owned(),
                message: "no".to_owned(),
                retry_after: None,
                scope: LimitScope::Conversation,
                sent: Sent::Sent,
            })),
        }
    }

    /// What is answered to whoever asks for a message of this key; `None`: as for notes.
    pub(crate) fn find(&self, key: &str) -> Option<Found> {
        let known = self.lock();
        let there = |seen: &SeenMessage| seen.message.idempotency_key == key && seen.arrived();
        match known.finding {
            Finding::AsNotes => None,
            Finding::CantTell => Some(Found::Unsupported),
            Finding::Overlooks => Some(Found::No),
            Finding::Says => Some(match known.seen.iter().position(there) {
                Some(n) => Found::Yes(Some(format!("m{}", n + 1))),
                None => Found::No,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().expect("nothing panics while it holds this lock")
    }
}
