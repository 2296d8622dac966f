//! What happens, as it is told to operators who watch a host live. Only made while somebody watches.

use serde::Serialize;

use super::call::{Call, Ended, Outcome, Work};
use super::event::What;
use super::order::LaneKind;
use crate::clock::Timestamp;
use crate::ids::SessionKey;
use crate::outbox::message::Sending;
use crate::outbox::note::{FailureKind, Note, NoteKind, PostError, Redaction};
use crate::session::payload::ActionsPayload;

/// Titles of an event that are told.
const MOST_TITLES: usize = 16;
/// Longest title that is told, in bytes.
const MAX_TITLE: usize = 120;

/// Something that happened in a session, as it was committed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Happened {
    /// When it was decided, in seconds since the Unix epoch.
    pub at: f64,
    /// The session's product.
    pub product: String,
    /// The session.
    pub session: String,
    /// What.
    #[serde(flatten)]
    pub what: Happening,
}

/// What happened.
#[derive(Clone, PartialEq, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Happening {
    /// An event was accepted.
    Accepted {
        /// How many actions are in it.
        actions: usize,
        /// Their titles, the first of them; what people did, so only for whoever may know.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        titles: Vec<String>,
    },
    /// A summary was accepted.
    Summarized,
    /// A note was sealed: its key and its body are fixed.
    Sealed {
        /// Its number in the session.
        seq: u64,
        /// `actions`, `summary` or `for_people`.
        kind: &'static str,
        /// How many actions are in it.
        actions: usize,
        /// The plugin that posts it.
        plugin: String,
        /// Where it goes.
        conversation: String,
    },
    /// An attempt began: its call is on record and is made.
    Begun {
        /// What is attempted.
        #[serde(flatten)]
        job: Job,
        /// 1 for the first.
        attempt: u32,
    },
    /// An attempt ended.
    Ended {
        /// What was attempted.
        #[serde(flatten)]
        job: Job,
        /// `ok`, or the kind of the failure: `transient`, `rate_limited`, `auth`, `not_found`, `invalid`, `permanent`,
        /// `crashed`, `unavailable`, `not_there`, `unsupported`.
        outcome: &'static str,
        /// The platform's or the host's code of a failure, for example `429` or `timeout`.
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<String>,
        /// How long the call took.
        seconds: f64,
        /// What happens next.
        next: Next,
        /// When it is tried again, where that is what happens next, in seconds since the Unix epoch.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_at: Option<f64>,
    },
    /// What couldn't be delivered isn't tried any more.
    Dead {
        /// What it is.
        #[serde(flatten)]
        job: Job,
        /// After how many attempts.
        attempts: u32,
    },
    /// The session's notes go to a conversation from here on.
    Linked {
        /// The plugin that posts there.
        plugin: String,
        /// The conversation.
        conversation: String,
    },
    /// The session's notes go nowhere from here on.
    Unlinked,
    /// Something was decided of an offer of help.
    Offer {
        /// Of which trigger.
        trigger: String,
        /// A word of `sidenote offers list`.
        decided: &'static str,
    },
}

/// What is attempted by a plugin.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Job {
    /// `note`, `sink`, `message` or `redaction`.
    pub job: &'static str,
    /// Its number among its kind in the session.
    pub seq: u64,
    /// By which plugin.
    pub plugin: String,
}

/// What happens behind an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Next {
    /// Nothing: it is done.
    Done,
    /// It is tried again.
    Retry,
    /// It is a dead letter: a person must see to it.
    Dead,
    /// Nothing: nobody waits for it any more.
    Dropped,
}

/// A group of what happens, which can be followed by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Events that are accepted.
    Events,
    /// Notes that are sealed.
    Notes,
    /// Attempts that begin and end, and dead letters.
    Attempts,
    /// Sessions that are linked.
    Links,
    /// Offers of help.
    Offers,
}

impl Group {
    /// Every group.
    pub const ALL: [Self; 5] =
        [Self::Events, Self::Notes, Self::Attempts, Self::Links, Self::Offers];

    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Notes => "notes",
            Self::Attempts => "attempts",
            Self::Links => "links",
            Self::Offers => "offers",
        }
    }

    /// The group of this word.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|group| group.name() == name)
    }
}

impl std::fmt::Debug for Happening {
    /// What people did is left out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.group().name())
    }
}

impl Happening {
    /// The group that it belongs to.
    pub fn group(&self) -> Group {
        match self {
            Self::Accepted { .. } | Self::Summarized => Group::Events,
            Self::Sealed { .. } => Group::Notes,
            Self::Begun { .. } | Self::Ended { .. } | Self::Dead { .. } => Group::Attempts,
            Self::Linked { .. } | Self::Unlinked => Group::Links,
            Self::Offer { .. } => Group::Offers,
        }
    }

    /// The plugin that it is about, where it is about one.
    pub fn plugin(&self) -> Option<&str> {
        match self {
            Self::Sealed { plugin, .. } | Self::Linked { plugin, .. } => Some(plugin),
            Self::Begun { job, .. } | Self::Ended { job, .. } | Self::Dead { job, .. } => {
                Some(&job.plugin)
            }
            Self::Accepted { .. } | Self::Summarized | Self::Unlinked | Self::Offer { .. } => None,
        }
    }

    pub(super) fn accepted(batch: &ActionsPayload) -> Self {
        let titles = batch.actions.iter().take(MOST_TITLES).map(|action| {
            let title = &*action.title;
            title[..title.floor_char_boundary(MAX_TITLE)].to_owned()
        });
        Self::Accepted { actions: batch.actions.len(), titles: titles.collect() }
    }

    pub(super) fn sealed(note: &Note) -> Self {
        Self::Sealed {
            seq: note.seq,
            kind: match note.kind {
                NoteKind::Actions => "actions",
                NoteKind::Summary => "summary",
                NoteKind::ForPeople => "for_people",
            },
            actions: note.actions.len(),
            plugin: note.plugin.to_string(),
            conversation: note.conversation.as_str().to_owned(),
        }
    }

    pub(super) fn begun(call: &Call) -> (&SessionKey, Self) {
        let (key, job) = match &call.work {
            Work::Note { note, .. } => (&note.key, Job::new("note", note.seq, &note.plugin)),
            Work::Sink(it) => (&it.key, Job::new("sink", it.seq, &it.plugin)),
            Work::Timer(it) => (&it.key, Job::new("timer", it.seq, &it.plugin)),
            Work::Message { message, .. } => {
                (&message.key, Job::new("message", message.seq, &message.plugin))
            }
            Work::Redaction { key, seq, note, .. } => {
                (key, Job::new("redaction", *seq, &note.plugin))
            }
        };
        (key, Self::Begun { job, attempt: call.attempt })
    }

    /// An attempt that ended; what happens next isn't known yet.
    pub(super) fn ended(ended: &Ended) -> (SessionKey, Self) {
        let (key, job, (outcome, code)) = match &ended.outcome {
            Outcome::Note { note, result, .. } => {
                let job = Job::new("note", note.seq, &note.plugin);
                (&note.key, job, outcome(result.as_ref().map(|_| "ok")))
            }
            Outcome::Sink { delivery: it, result } => {
                let job = Job::new("sink", it.seq, &it.plugin);
                (&it.key, job, outcome(result.as_ref().map(|()| "ok")))
            }
            Outcome::Timer { timer: it, result } => {
                let job = Job::new("timer", it.seq, &it.plugin);
                (&it.key, job, outcome(result.as_ref().map(|()| "ok")))
            }
            Outcome::Message { message, result } => {
                let said = result.as_ref().map(|sending| match sending {
                    Sending::Posted(_) => "ok",
                    Sending::NotThere => "not_there",
                    Sending::CantTell => "unsupported",
                });
                let job = Job::new("message", message.seq, &message.plugin);
                (&message.key, job, outcome(said))
            }
            Outcome::Redaction { key, seq, note, result } => {
                let said = result.as_ref().map(|redaction| match redaction {
                    Redaction::Removed | Redaction::Overwritten => "ok",
                    Redaction::Unsupported => "unsupported",
                });
                (key, Job::new("redaction", *seq, &note.plugin), outcome(said))
            }
        };
        let seconds = ended.course.took.as_secs_f64();
        let next = Next::Dropped;
        (key.clone(), Self::Ended { job, outcome, code, seconds, next, retry_at: None })
    }

    /// With what happens next, where something does.
    pub(super) fn then(mut self, then: Option<(Next, Option<Timestamp>)>) -> Self {
        if let (Self::Ended { next, retry_at, .. }, Some((then, at))) = (&mut self, then) {
            (*next, *retry_at) = (then, at.map(Timestamp::as_secs_f64));
        }
        self
    }

    /// What is told here of what followers of the feed are told.
    pub(super) fn of(what: &What) -> Option<Self> {
        match what {
            What::Offer(decision) => Some(Self::Offer {
                trigger: decision.trigger.clone(),
                decided: decision.what.word(),
            }),
            What::Batch(_)
            | What::Summary(_)
            | What::Person { .. }
            | What::Linked(_)
            | What::Help(_)
            | What::Asked(_)
            | What::Launch(_)
            | What::Gone => None,
        }
    }
}

impl Job {
    pub(super) fn new(job: &'static str, seq: u64, plugin: &crate::ids::PluginName) -> Self {
        Self { job, seq, plugin: plugin.to_string() }
    }

    pub(super) fn in_lane(lane: LaneKind, seq: u64, plugin: &crate::ids::PluginName) -> Self {
        let job = match lane {
            LaneKind::Note => "note",
            LaneKind::Sink => "sink",
            LaneKind::Timer => "timer",
        };
        Self::new(job, seq, plugin)
    }
}

/// How an attempt ended, in a word, and the code of its failure. What was said about it is left out.
fn outcome(result: Result<&'static str, &PostError>) -> (&'static str, Option<String>) {
    match result {
        Ok(word) => (word, None),
        Err(PostError::Failed(failure)) => {
            let kind = match failure.kind {
                FailureKind::Transient => "transient",
                FailureKind::RateLimited => "rate_limited",
                FailureKind::Auth => "auth",
                FailureKind::NotFound => "not_found",
                FailureKind::Invalid => "invalid",
                FailureKind::Permanent => "permanent",
            };
            let code = &*failure.code;
            (kind, Some(code[..code.floor_char_boundary(MAX_TITLE)].to_owned()))
        }
        Err(PostError::Crashed { crash, .. }) => ("crashed", Some(crash.code().to_owned())),
        Err(PostError::Unavailable { .. }) => ("unavailable", None),
    }
}
