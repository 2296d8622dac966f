//! What the core is told, and what it answers.

use serde::{Deserialize, Serialize};

use super::audit::{Deed, Outcome};
use super::call::Ended;
use super::erase::{EraseOrder, Erased};
use super::helping::{HelpCommand, HelpError, OfferWish, Turn};
use super::keys::{KeyChange, KeyError, KeyRow};
use super::link::{LinkCommand, LinkError, Linked};
use super::order::{Decision, NoteRef};
use super::resend::{ResendError, ResendOrder, Resent};
use super::snapshot::Imported;
use super::switch::{PluginSwitch, SwitchError, Switched};
use crate::access::KeyId;
use crate::clock::Timestamp;
use crate::ids::{PluginName, SessionKey};
use crate::kv::Writes;
use crate::offers::help::{Heard, Standing};
use crate::offers::refusal::Refusal;
use crate::replies::answer::{NotReplied, Replied, ReplyWish};
use crate::rows::Change;
use crate::session::payload::ActionsPayload;
use crate::session::state::{Covers, Summarized};

/// Something that happened, or that somebody wants. Those that are skipped are never sent to another partition: see
/// [`Command::place`].
#[derive(Serialize, Deserialize)]
pub enum Command {
    /// A batch of a session.
    Actions {
        /// Whose.
        key: SessionKey,
        /// What was done.
        batch: ActionsPayload,
        /// Its size on the wire.
        bytes: usize,
        /// When it was accepted, where that was before: it comes out of the journal.
        accepted_at: Option<Timestamp>,
    },
    /// What a source brought at once, of any number of sessions.
    Page(SourcePage),
    /// A summary of a session.
    Summary {
        /// Of which.
        key: SessionKey,
        /// The text.
        text: String,
        /// Which actions it covers.
        covers: Covers,
        /// When its source sent it, in seconds since the Unix epoch by its clock; 0 where that is unknown.
        forwarded_at: f64,
        /// As for actions.
        accepted_at: Option<Timestamp>,
    },
    /// A session that is seen for the first time is taken over from autoplay-sdk.
    #[serde(skip)]
    Adopt(SessionKey, Imported),
    /// A session is to be linked.
    Link(LinkCommand),
    /// A person decides about deliveries.
    Decide(Decision, Vec<NoteRef>),
    /// Sessions are to be erased.
    Erase(EraseOrder),
    /// A trigger wants help to be offered.
    Offer(OfferWish),
    /// It was found what is to become of what somebody wrote.
    Reply(ReplyWish),
    /// Something happened in a conversation.
    Turn(Turn),
    /// How a session is helped is to be changed.
    Help(HelpCommand),
    /// A note that was delivered is to be sent once more.
    Resend(ResendOrder),
    /// The keys of the API are to be changed.
    Key(KeyChange),
    /// A plugin isn't to be called any more, or again.
    Switch(PluginSwitch),
    /// When keys were used last.
    KeysUsed(Vec<(KeyId, Timestamp)>),
    /// What a plugin keeps is to be removed, but for what it keeps of sessions.
    ClearKv(PluginName),
    /// The timers that a plugin set of these sessions, and that aren't due, are to be removed.
    RemoveTimers(PluginName, Vec<SessionKey>),
    /// Somebody did something that no other command carries out.
    Audit(Deed, Outcome),
    /// The store's files were written anew, or why not.
    #[serde(skip)]
    Scrubbed(Result<(), String>),
    /// A call ended.
    #[serde(skip)]
    Ended(Ended),
    /// Seal what is open, send what is queued, and begin nothing new.
    #[serde(skip)]
    Drain,
    /// End at once: calls under way are cut off, and put on record as not crashed.
    #[serde(skip)]
    Stop,
}

/// What a source brought: all of it is stored in one transaction, with what it knows from there on.
#[derive(Serialize, Deserialize)]
pub struct SourcePage {
    /// Batches in the order in which they were done, each with its size in bytes.
    pub batches: Vec<(SessionKey, ActionsPayload, usize)>,
    /// What is stored beside them.
    pub beside: SourceRows,
}

/// What a source knows behind what it brought.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct SourceRows {
    /// The source that was asked for everything, and where it goes on; `None` where it wasn't.
    pub mark: Option<(PluginName, PollMark)>,
    /// The rows of what it remembers.
    pub remembered: Vec<Change>,
    /// Whether they leave out somebody who is erased.
    pub erases: bool,
    /// What the plugin wrote under its keys when it said all that.
    pub written: Option<(PluginName, Writes)>,
}

impl SourceRows {
    /// Whether there is nothing to store.
    pub fn is_empty(&self) -> bool {
        let wrote = self.written.as_ref().is_some_and(|(_, writes)| !writes.is_empty());
        self.mark.is_none() && self.remembered.is_empty() && !wrote
    }
}

/// Where a source that is asked goes on: its row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollMark {
    /// What the plugin said; `None`: from the beginning.
    pub cursor: Option<String>,
    /// When that was.
    pub at: Timestamp,
}

/// What is answered after the commit.
#[derive(Debug, Serialize, Deserialize)]
pub enum Answer {
    /// Nothing: nobody asked, or what was asked for can't be done any more.
    None,
    /// The actions are accepted.
    Accepted,
    /// The outcome of a summary.
    Summarized(Summarized),
    /// The outcome of a link.
    Linked(Result<Linked, LinkError>),
    /// For how many deliveries a decision was carried out.
    Decided(usize),
    /// What was erased.
    Erased(Erased),
    /// The number of the offer that is on its way, or why there is none.
    Offered(Result<u64, Refusal>),
    /// What is under way for a question, or why nothing is.
    Replied(Result<Replied, NotReplied>),
    /// What a turn was to the sessions of its conversation.
    Heard(Vec<(SessionKey, Heard)>),
    /// The note that waits because another is to be sent once more, or why there is none.
    Resent(Result<Resent, ResendError>),
    /// How the session stands after a change, or why nothing changed.
    Helped(Result<Standing, HelpError>),
    /// The key that was made or revoked, or why none was.
    Keyed(Result<KeyRow, KeyError>),
    /// How many values of a plugin's were removed, or timers.
    Cleared(u64),
    /// How a plugin stands now, or why nothing was switched.
    Switched(Result<Switched, SwitchError>),
}

impl Answer {
    /// What came of what it answers, for the audit log.
    pub(super) fn outcome(&self) -> Outcome {
        let done = |affected| Outcome::Done { affected };
        match self {
            Self::Decided(notes) => done(Some(*notes as u64)),
            Self::Erased(erased) => done(Some(erased.sessions)),
            Self::Cleared(values) => done(Some(*values)),
            Self::Linked(Ok(_)) | Self::Helped(Ok(_)) | Self::Keyed(Ok(_)) => done(None),
            Self::Switched(Ok(_)) => done(None),
            Self::Switched(Err(error)) => Outcome::refused(error.code()),
            Self::Linked(Err(error)) => Outcome::refused(match error {
                LinkError::NotFound(_) => "not_found",
                LinkError::Ambiguous => "ambiguous",
                LinkError::Nobody(_) => "nobody",
                LinkError::Claimed => "claimed",
                LinkError::Foreign => "foreign",
                LinkError::Unavailable | LinkError::Closed => "unavailable",
            }),
            Self::Resent(Ok(_)) => done(Some(1)),
            Self::Resent(Err(error)) => Outcome::refused(error.code()),
            Self::Helped(Err(_)) => Outcome::refused("state"),
            Self::Keyed(Err(error)) => Outcome::refused(error.code()),
            Self::None
            | Self::Accepted
            | Self::Summarized(_)
            | Self::Offered(_)
            | Self::Replied(_)
            | Self::Heard(_) => done(None),
        }
    }
}
