//! Feeds the engine of a partition from its inbox: each entry once and in order, with what is to be stored in the commit of
//! what it leads to.

use std::sync::Arc;
use std::time::Duration;

use sidenote_cluster::call::{Answer as Answered, Call, Entry as Added};
use sidenote_cluster::ids::Offset;
use sidenote_cluster::inbox::Inbox;
use sidenote_cluster::input::{Body, Input as Sent};
use sidenote_cluster::row::Tx;
use sidenote_cluster::rules::Rules;
use sidenote_cluster::seen::SeenEvents;
use sidenote_cluster::time::{Moment, Times};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use crate::engine::core::Answer;
use crate::engine::core::message::{ReplyTo, Request};
use crate::engine::handle::Handle;
use crate::engine::inbox::{Asked, Closed, Entry, Reply};
use crate::store::{Beside, Lost, PartitionStore, StoreError};

/// Reads a partition's inbox. Run it beside the engine, and end it before that.
pub struct Intake {
    store: Arc<PartitionStore>,
    handle: Handle,
    answers: mpsc::Sender<(ReplyTo, Answer)>,
    times: Times,
    inbox: Inbox,
    seen: SeenEvents,
    bell: Arc<Notify>,
    began: Instant,
}

/// Why an inbox isn't read any more.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// The engine has ended.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// The store failed for good, or the server has lost entries that were read: then the engine must end, too.
    #[error(transparent)]
    Store(StoreError),
    /// An entry was written by a later release. It isn't passed over: a host of that release must have the partition.
    #[error(
        "hosts: entry {} of the partition's inbox can't be read by this release; it waits until a host of a later one has the partition",
        .0.number()
    )]
    Unreadable(Offset),
}

impl Intake {
    /// That of the partition which `handle`'s engine works. Answers to those who wait for one go to `answers`, after the
    /// commit.
    ///
    /// # Errors
    /// What was seen before can't be read.
    pub async fn open(
        store: Arc<PartitionStore>,
        handle: Handle,
        answers: mpsc::Sender<(ReplyTo, Answer)>,
        times: Times,
    ) -> Result<Self, StoreError> {
        let seen = store.seen().await?;
        let (of, read) = (store.owner().partition, store.read().await);
        let inbox = Inbox::new(times, Rules::all(), of, read);
        let (bell, began) = (Arc::default(), Instant::now());
        Ok(Self { store, handle, answers, times, inbox, seen, bell, began })
    }

    /// Rung when something was added; without it, the inbox is read every half a lease.
    pub fn bell(&self) -> Arc<Notify> {
        self.bell.clone()
    }

    /// Reads until it can't any more.
    pub async fn run(mut self) -> IntakeError {
        loop {
            match self.turn().await {
                Ok(()) => {}
                Err(error) => return error,
            }
        }
    }

    async fn turn(&mut self) -> Result<(), IntakeError> {
        while let Some(entry) = self.inbox.first() {
            let sent = read(entry).ok_or(IntakeError::Unreadable(entry.offset))?;
            let (offset, bytes) = (entry.offset, entry.payload.bytes().len());
            self.inbox.pop();
            let entry = self.entry(sent, offset);
            self.handle.hand_over_entry(entry, bytes).await?;
        }
        let now = self.now();
        if let Some(read) = self.inbox.tick(now) {
            let answer = match self.store.call(&Call::Read(read.clone())).await {
                Ok(answer) => Answered::read(answer),
                // The engine says so, and waits for it.
                Err(StoreError::Away(_) | StoreError::Refused(_) | StoreError::Full(_)) => None,
                Err(error @ (StoreError::Lost(_) | StoreError::Fatal(_))) => {
                    return Err(IntakeError::Store(error));
                }
            };
            return match self.inbox.answered(self.now(), &read, answer) {
                true => Ok(()),
                false => Err(IntakeError::Store(StoreError::Lost(Lost::ByServer))),
            };
        }
        let due = self.inbox.due().unwrap_or(now);
        let wait = Duration::from_millis(due.millis().saturating_sub(now.millis()));
        tokio::select! {
            () = self.bell.notified() => self.inbox.rings(),
            () = tokio::time::sleep(wait) => {}
        }
        Ok(())
    }

    /// What an entry is to the engine. An event that was seen is nothing but read, and is accepted with that.
    fn entry(&mut self, (sent, request): (Sent, Request), offset: Offset) -> Entry {
        let mut tx = Tx::default();
        let at = offset.at();
        let new = sent.once.is_none_or(|once| self.seen.is_new(once, at, &mut tx));
        self.seen.forget(self.times, at, &mut tx);
        let beside = Beside { read: Some(offset), rows: tx.into_changes(), ..Beside::default() };
        let Request { command, deed, reply } = request;
        let reply = match reply {
            Some(to) => Reply::Sent(to, self.answers.clone()),
            None => Reply::Nobody,
        };
        if !new {
            return Entry { asked: None, known: Some(reply), beside };
        }
        let asked = Asked { command, reply, capacity: None, deed, once: None };
        Entry { asked: Some(asked), known: None, beside }
    }

    fn now(&self) -> Moment {
        Moment::from_millis(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX))
    }
}

/// What an entry says; `None` where this release can't read it.
fn read(entry: &Added) -> Option<(Sent, Request)> {
    let sent = Sent::decode(&entry.payload)?;
    let request = match &sent.body {
        Body::Work(body) => Request::decode(body.bytes()).ok()?,
        // Claims aren't among what an engine is told yet: nobody sends any.
        Body::Claims(_) => return None,
    };
    Some((sent, request))
}
