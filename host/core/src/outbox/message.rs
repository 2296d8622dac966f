//! What the person sees: an offer or a reply, on its way into the conversation. One that may have come isn't sent
//! again: the platform is asked for it.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::backoff::Backoff;
use crate::clock::Timestamp;
use crate::ids::{ConversationId, PluginName, SessionKey};
use crate::offers::content::Offer;
use crate::outbox::attempt::{Attempts, Because, Course, Status, Then};
use crate::outbox::note::{FailureKind, PostError, Posted};
use crate::replies::answer::Reply;
use crate::rules::Delivery;

/// The platform is asked for so long whether it has a message whose outcome isn't known.
pub const ASKED_FOR: Duration = Duration::from_secs(600);
/// An attempt that had less time than this isn't begun: it would end with nobody knowing.
const SHORTEST: Duration = Duration::from_millis(500);

/// A message. It never changes.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// The session that it belongs to.
    pub key: SessionKey,
    /// Its place among the messages of its session, from 1.
    pub seq: u64,
    /// The plugin that sends it.
    pub plugin: PluginName,
    /// Where it goes.
    pub conversation: ConversationId,
    /// What it is.
    pub content: Content,
    /// The same for every attempt; no two messages share it, and no note.
    pub idempotency_key: String,
    /// When it was made.
    pub made_at: Timestamp,
    /// From this moment on it isn't sent any more.
    pub expires_at: Timestamp,
    /// Notes of the session up to this one go first.
    pub after_note: u64,
}

/// What a message is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// An offer of help.
    Offer(Offer),
    /// The question whether to see a tour, as an offer with a yes and a no.
    Question(Offer),
    /// The answer to something that the person wrote.
    Reply(Reply),
    /// An offer that nobody answered is to be removed from the platform.
    Removal {
        /// The number of the offer.
        offer: u64,
        /// Its trigger.
        trigger: String,
        /// What the platform calls it.
        message_id: String,
    },
}

impl Content {
    /// Whether it does no harm twice, so that it is tried again where nobody knows its outcome.
    pub fn is_repeatable(&self) -> bool {
        match self {
            Self::Removal { .. } => true,
            Self::Offer(_) | Self::Question(_) | Self::Reply(_) => false,
        }
    }
}

/// A message and how far its attempts are: its row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// The message.
    pub message: Arc<Message>,
    /// What it waits for.
    pub state: State,
    /// Attempts begun.
    pub attempts: u32,
    /// When the first attempt was begun that ended without an outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_since: Option<Timestamp>,
    /// The attempts.
    #[serde(default, rename = "log", skip_serializing_if = "Attempts::is_empty")]
    pub tries: Attempts,
    /// It was made later than the clock shows, which was set back: nobody knows how old it is, so it is late.
    #[serde(skip)]
    ahead: bool,
}

/// What a message waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its turn.
    Due,
    /// A moment.
    Until(Timestamp),
    /// The outcome of a call.
    InFlight,
}

/// What a call for a message came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sending {
    /// The platform has it.
    Posted(Posted),
    /// The platform was asked, and doesn't have it.
    NotThere,
    /// The platform can't be asked.
    CantTell,
}

/// How a message ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The platform has it, since about this moment.
    Delivered(Posted, Timestamp),
    /// It wasn't sent in time, and isn't any more.
    Late,
    /// It certainly isn't there, and isn't sent any more.
    Failed(String),
    /// Nobody knows whether it is there.
    Unknown,
}

impl Message {
    /// The key of a session's `seq`-th message.
    pub fn idempotency_key(key: &SessionKey, seq: u64, made_at: Timestamp) -> String {
        let mut hash = Sha256::new();
        hash.update("message");
        for part in [key.product.as_str(), key.session.as_str()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.update(seq.to_be_bytes());
        hash.update(made_at.0.to_be_bytes());
        hex::encode(&hash.finalize()[..16])
    }
}

impl std::fmt::Debug for Message {
    /// The text is left out: it may tell of the person.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message")
            .field("key", &self.key)
            .field("seq", &self.seq)
            .field("plugin", &self.plugin)
            .finish_non_exhaustive()
    }
}

impl Job {
    /// A message that is to be sent.
    pub fn new(message: Arc<Message>) -> Self {
        let (state, tries) = (State::Due, Attempts::NONE);
        Self { message, state, attempts: 0, unknown_since: None, tries, ahead: false }
    }

    /// The same at a start of the host, whose clock may have been set back since. Of an attempt that was under way
    /// nobody knows the outcome.
    #[must_use]
    pub fn taken_up(mut self, now: Timestamp) -> Self {
        match self.state {
            State::InFlight => self.cut(now),
            // A pause may lie far ahead where the clock was set back; what the platform's limits say is known apart.
            State::Due | State::Until(_) => self.state = State::Due,
        }
        self.unknown_since = self.unknown_since.map(|since| since.min(now));
        self.ahead = now < self.message.made_at;
        self
    }

    /// The attempt under way is cut off: nobody knows its outcome.
    pub fn cut(&mut self, now: Timestamp) {
        if !self.message.content.is_repeatable() {
            self.unknown_since.get_or_insert(now);
        }
        self.state = State::Due;
        self.tries.cut();
    }

    /// Whether an attempt may be begun.
    pub fn is_ready(&self, now: Timestamp) -> bool {
        match self.state {
            State::Due => true,
            State::Until(at) => at <= now,
            State::InFlight => false,
        }
    }

    /// Begins an attempt: sends it, or asks for it where an earlier one ended without an outcome. The row must be
    /// stored before the call is made.
    pub fn start(&mut self, now: Timestamp) {
        self.state = State::InFlight;
        self.attempts += 1;
        self.tries.begin(now);
    }

    /// How long an attempt that sends may take at most: it ends before the message is late.
    pub fn limit(&self, now: Timestamp) -> Option<Duration> {
        match self.unknown_since {
            Some(_) => None,
            None => Some(self.message.expires_at.since(now)),
        }
    }

    /// How it ends for want of time, where it does.
    pub fn spent(&self, now: Timestamp) -> Option<Ended> {
        match (self.state, self.unknown_since) {
            (State::InFlight, _) => None,
            (State::Due | State::Until(_), Some(since)) => {
                (since + ASKED_FOR <= now).then_some(Ended::Unknown)
            }
            (State::Due | State::Until(_), None) => (self.late_at() <= now).then_some(Ended::Late),
        }
    }

    /// When something is to be done; `queued`: it waits for its turn already.
    pub fn next_timer(&self, queued: bool) -> Option<Timestamp> {
        let end = match self.unknown_since {
            Some(since) => since + ASKED_FOR,
            None => self.late_at(),
        };
        match self.state {
            State::InFlight => None,
            State::Due => Some(end),
            State::Until(at) if !queued => Some(at.min(end)),
            State::Until(_) => Some(end),
        }
    }

    fn late_at(&self) -> Timestamp {
        if self.ahead {
            return Timestamp::default();
        }
        (self.message.expires_at - SHORTEST).max(self.message.made_at)
    }

    /// Ends an attempt. `None`: it is tried again, or asked for. The row must be stored.
    pub fn finish(
        &mut self,
        outcome: Result<Sending, PostError>,
        course: &Course,
        began: Timestamp,
        now: Timestamp,
        rules: &Delivery,
    ) -> Option<Ended> {
        let asked = self.unknown_since;
        let error = match outcome {
            Ok(Sending::Posted(posted)) => {
                self.tries.succeed(course);
                return Some(Ended::Delivered(posted, asked.unwrap_or(now)));
            }
            // That it isn't found is no proof: what platforms search lags, and plugins can't always ask.
            Ok(Sending::NotThere | Sending::CantTell) => {
                self.tries.end_as(course, Status::Asked);
                return Some(Ended::Unknown);
            }
            Err(error) => error,
        };
        if asked.is_none() {
            let repeatable = self.message.content.is_repeatable();
            if error.is_unknown() && !repeatable {
                self.unknown_since = Some(began);
            } else if !(error.is_unknown() || may_be_tried_again(&error)) {
                self.tries.fail(course, &error, Then::End(Because::Refused));
                return Some(Ended::Failed(error.reason()));
            }
        }
        let backoff = Backoff { initial: rules.retry_initial, max: rules.retry_max };
        let at = now + backoff.pause(self.attempts, error.retry_after(), course.random);
        self.tries.fail(course, &error, Then::Again(at));
        self.state = State::Until(at);
        None
    }
}

/// Whether the platform may accept a moment later what it certainly didn't accept.
fn may_be_tried_again(error: &PostError) -> bool {
    match error {
        PostError::Unavailable { .. } | PostError::Crashed { .. } => true,
        PostError::Failed(failure) => match failure.kind {
            FailureKind::Transient | FailureKind::RateLimited => true,
            FailureKind::Auth
            | FailureKind::NotFound
            | FailureKind::Invalid
            | FailureKind::Permanent => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ProductId, SessionId};
    use crate::outbox::note::{Crash, Failure, LimitScope, Sent};

    const T: Timestamp = Timestamp(1_700_000_000_000_000);
    const S: Duration = Duration::from_secs(1);

    fn job() -> Job {
        let key = SessionKey {
            product: ProductId::new("p").unwrap(),
            session: SessionId::new("s").unwrap(),
        };
        Job::new(Arc::new(Message {
            idempotency_key: Message::idempotency_key(&key, 1, T),
            key,
            seq: 1,
            plugin: "chat".into(),
            conversation: ConversationId::new("c").unwrap(),
            content: Content::Offer(Offer::new("t", "Need help?", []).unwrap()),
            made_at: T,
            expires_at: T + S * 10,
            after_note: 0,
        }))
    }

    fn failure(kind: FailureKind, sent: Sent) -> PostError {
        let (code, message) = ("c".to_owned(), "m".to_owned());
        PostError::Failed(Failure {
            kind,
            code,
            message,
            retry_after: None,
            scope: LimitScope::Account,
            sent,
        })
    }

    fn end(job: &mut Job, outcome: Result<Sending, PostError>, now: Timestamp) -> Option<Ended> {
        job.start(now);
        job.finish(outcome, &Course::of(false, 0.5), now, now, &Delivery::default())
    }

    #[test]
    fn what_the_platform_refuses_for_now_is_tried_again_until_it_is_late() {
        let mut job = job();
        let refused = failure(FailureKind::Transient, Sent::Sent);
        assert_eq!(end(&mut job, Err(refused.clone()), T), None);
        assert!(!job.is_ready(T) && job.is_ready(T + S));
        assert_eq!(job.spent(T + S * 9), None);
        assert_eq!(job.spent(T + S * 10), Some(Ended::Late));
        assert_eq!(job.limit(T + S * 4), Some(S * 6), "it ends before it is late");
        assert!(job.next_timer(true) < Some(T + S * 10));
    }

    #[test]
    fn what_may_have_come_is_asked_for_and_never_sent_again() {
        let unknown = [
            failure(FailureKind::Transient, Sent::Unknown),
            failure(FailureKind::Permanent, Sent::Unknown),
            PostError::Crashed { crash: Crash::Trap, message: String::new() },
        ];
        for error in unknown {
            let mut lost = job();
            assert_eq!(end(&mut lost, Err(error), T + S), None);
            assert_eq!(lost.unknown_since, Some(T + S));
            assert_eq!(lost.spent(T + S * 60), None, "asking is never late");
            assert_eq!(lost.spent(T + S * 601), Some(Ended::Unknown));
            let again = failure(FailureKind::Permanent, Sent::Sent);
            assert_eq!(
                end(&mut lost, Err(again), T + S * 2),
                None,
                "the question failed, not the message"
            );
            let mut found = lost.clone();
            let posted = Posted { note_id: Some("1".to_owned()), pause: None };
            assert_eq!(
                end(&mut found, Ok(Sending::Posted(posted.clone())), T + S * 60),
                Some(Ended::Delivered(posted, T + S))
            );
            let not_there = end(&mut lost.clone(), Ok(Sending::NotThere), T + S * 60);
            assert_eq!(not_there, Some(Ended::Unknown), "that is no proof");
            assert_eq!(end(&mut lost, Ok(Sending::CantTell), T + S * 60), Some(Ended::Unknown));
        }
        let mut cut = job();
        cut.start(T);
        let cut = cut.taken_up(T + S * 3);
        assert_eq!((cut.state, cut.unknown_since), (State::Due, Some(T + S * 3)));
    }

    #[test]
    fn what_will_never_come_ends_at_once() {
        for kind in
            [FailureKind::Auth, FailureKind::NotFound, FailureKind::Invalid, FailureKind::Permanent]
        {
            let ended = end(&mut job(), Err(failure(kind, Sent::Sent)), T);
            assert!(matches!(ended, Some(Ended::Failed(reason)) if reason == "c: m"), "{kind:?}");
        }
    }
}
