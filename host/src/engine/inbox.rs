//! What can happen to the engine, and who waits for an answer.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::engine::core::audit::Deed;
use crate::engine::core::erase::Erased;
use crate::engine::core::helping::HelpError;
use crate::engine::core::keys::{KeyError, KeyRow};
use crate::engine::core::link::{LinkError, Linked};
use crate::engine::core::message::ReplyTo;
use crate::engine::core::resend::{ResendError, Resent};
use crate::engine::core::switch::{SwitchError, Switched};
use crate::engine::core::{Answer, Command, Settings};
use crate::ids::SessionKey;
use crate::offers::help::{Heard, Standing};
use crate::offers::refusal::Refusal;
use crate::replies::answer::{NotReplied, Replied};
use crate::session::state::Summarized;
use crate::store::Beside;

/// The engine has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the engine has ended")]
pub struct Closed;

/// The outcome of a summary that was handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Summary {
    /// The engine took it.
    Accepted(Summarized),
    /// The store is away: it is in the journal, and accepted when the store is back.
    Journalled,
    /// It has no text, or its product isn't configured. Nothing of it is kept.
    Unusable,
    /// It was accepted before.
    Known,
    /// The owner of its partition hasn't answered in time: it may be accepted still.
    Unanswered,
}

/// An input of the loop.
pub(super) enum Input {
    /// A command for the core.
    Command(Box<Asked>),
    /// An entry of the partition's inbox.
    Entry(Box<Entry>),
    /// Other settings, in force from the next round on.
    Settings(Change),
}

/// What was read of a partition's inbox. That it was read is stored with what it leads to.
pub(super) struct Entry {
    /// What is to be done; `None`: it was done before.
    pub(super) asked: Option<Asked>,
    /// Who is told that it was done before.
    pub(super) known: Option<Reply>,
    /// What is stored with it.
    pub(super) beside: Beside,
}

impl Input {
    /// The command in it.
    pub(super) fn command(&self) -> Option<&Command> {
        match self {
            Self::Command(asked) => Some(&asked.command),
            Self::Entry(entry) => entry.asked.as_ref().map(|asked| &asked.command),
            Self::Settings(_) => None,
        }
    }
}

/// A command, and who waits for it.
pub(super) struct Asked {
    pub(super) command: Command,
    pub(super) reply: Reply,
    /// What it takes of the inbox's capacity; given back after the commit.
    pub(super) capacity: Option<OwnedSemaphorePermit>,
    /// What a person does by it, to be put on record with what comes of it.
    pub(super) deed: Option<Deed>,
    /// What the owner of its partition knows it again by, where it may come again through another host.
    pub(super) once: Option<u64>,
}

impl From<Asked> for Input {
    fn from(asked: Asked) -> Self {
        Self::Command(Box::new(asked))
    }
}

impl From<Command> for Input {
    /// A command that nobody waits for.
    fn from(command: Command) -> Self {
        Asked { command, reply: Reply::Nobody, capacity: None, deed: None, once: None }.into()
    }
}

/// Who is told what came of a command, after the commit. Who isn't told finds that the answer is dropped.
pub(super) enum Reply {
    Nobody,
    Accepted(oneshot::Sender<()>),
    Summary(oneshot::Sender<Summary>),
    Link(oneshot::Sender<Result<Linked, LinkError>>),
    Decided(oneshot::Sender<usize>),
    Resent(oneshot::Sender<Result<Resent, ResendError>>),
    Erased(oneshot::Sender<Erased>),
    Offered(oneshot::Sender<Result<u64, Refusal>>),
    Replied(oneshot::Sender<Result<Replied, NotReplied>>),
    Heard(oneshot::Sender<Vec<(SessionKey, Heard)>>),
    Helped(oneshot::Sender<Result<Standing, HelpError>>),
    Keyed(oneshot::Sender<Result<KeyRow, KeyError>>),
    Switched(oneshot::Sender<Result<Switched, SwitchError>>),
    Cleared(oneshot::Sender<u64>),
    /// Only that it is committed.
    Done(oneshot::Sender<()>),
    /// Somebody who asked by a message, of whichever host.
    Sent(ReplyTo, mpsc::Sender<(ReplyTo, Answer)>),
}

impl Reply {
    /// Tells it. Whoever asked may have gone; the commit stands all the same.
    pub(super) fn tell(self, answer: Answer) {
        match (self, answer) {
            (Self::Accepted(reply), Answer::Accepted) => drop(reply.send(())),
            (Self::Summary(reply), Answer::Summarized(summarized)) => {
                reply.send(Summary::Accepted(summarized)).ok();
            }
            (Self::Summary(reply), Answer::Accepted) => {
                reply.send(Summary::Known).ok();
            }
            (Self::Link(reply), Answer::Linked(linked)) => drop(reply.send(linked)),
            (Self::Decided(reply), Answer::Decided(count)) => drop(reply.send(count)),
            (Self::Resent(reply), Answer::Resent(resent)) => drop(reply.send(resent)),
            (Self::Erased(reply), Answer::Erased(erased)) => drop(reply.send(erased)),
            (Self::Offered(reply), Answer::Offered(offered)) => drop(reply.send(offered)),
            (Self::Replied(reply), Answer::Replied(replied)) => drop(reply.send(replied)),
            (Self::Heard(reply), Answer::Heard(heard)) => drop(reply.send(heard)),
            (Self::Helped(reply), Answer::Helped(helped)) => drop(reply.send(helped)),
            (Self::Keyed(reply), Answer::Keyed(keyed)) => drop(reply.send(keyed)),
            (Self::Switched(reply), Answer::Switched(done)) => drop(reply.send(done)),
            (Self::Cleared(reply), Answer::Cleared(values)) => drop(reply.send(values)),
            (Self::Done(reply), _) => drop(reply.send(())),
            // Where there is no capacity, whoever waits isn't told, and asks again.
            (Self::Sent(to, answers), answer) => drop(answers.try_send((to, answer))),
            (
                Self::Nobody
                | Self::Accepted(_)
                | Self::Summary(_)
                | Self::Link(_)
                | Self::Decided(_)
                | Self::Resent(_)
                | Self::Erased(_)
                | Self::Offered(_)
                | Self::Replied(_)
                | Self::Heard(_)
                | Self::Helped(_)
                | Self::Keyed(_)
                | Self::Switched(_)
                | Self::Cleared(_),
                _,
            ) => {}
        }
    }
}

impl Reply {
    /// Nobody has answered in time. Most find that the answer is dropped, and ask again.
    pub(super) fn unanswered(self) {
        match self {
            Self::Link(reply) => drop(reply.send(Err(LinkError::Unavailable))),
            Self::Summary(reply) => {
                reply.send(Summary::Unanswered).ok();
            }
            Self::Nobody
            | Self::Accepted(_)
            | Self::Decided(_)
            | Self::Resent(_)
            | Self::Erased(_)
            | Self::Offered(_)
            | Self::Replied(_)
            | Self::Heard(_)
            | Self::Helped(_)
            | Self::Keyed(_)
            | Self::Switched(_)
            | Self::Cleared(_)
            | Self::Sent(..)
            | Self::Done(_) => {}
        }
    }

    /// What was handed over is in the journal, and so accepted.
    pub(super) fn journalled(self) {
        match self {
            Self::Accepted(reply) => drop(reply.send(())),
            Self::Summary(reply) => {
                reply.send(Summary::Journalled).ok();
            }
            Self::Nobody
            | Self::Link(_)
            | Self::Decided(_)
            | Self::Resent(_)
            | Self::Erased(_)
            | Self::Offered(_)
            | Self::Replied(_)
            | Self::Heard(_)
            | Self::Helped(_)
            | Self::Keyed(_)
            | Self::Switched(_)
            | Self::Cleared(_)
            | Self::Sent(..)
            | Self::Done(_) => {}
        }
    }
}

/// Other settings are to be in force.
pub(super) struct Change {
    pub(super) settings: Arc<Settings>,
    pub(super) swap: Swap,
    pub(super) reply: oneshot::Sender<()>,
}

/// What is done in the moment in which settings come into force. Whoever takes it out has decided: the engine
/// that they do, or the one who asked that it took too long.
pub(super) type Swap = Arc<Mutex<Option<Box<dyn FnOnce() + Send>>>>;

/// Takes a swap, where nobody did.
pub(super) fn take(swap: &Swap) -> Option<Box<dyn FnOnce() + Send>> {
    swap.lock().unwrap_or_else(PoisonError::into_inner).take()
}
