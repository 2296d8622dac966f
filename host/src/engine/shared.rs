//! Sessions that are shared with autoplay-sdk: taken over when they are seen for the first time, kept
//! up to date and alive afterwards. What is shared is a copy: the rows are the truth.
//!
//! Copies are brought up to date by a task of their own, in order: the engine's loop waits for none of them.

use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use lru::LruCache;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::clock::Timestamp;
use crate::engine::core::Counters;
use crate::engine::core::snapshot::{self, Imported};
use crate::ids::{ConversationId, SessionId, SessionKey};
use crate::session::state::Record;
use crate::store::{Snapshots, StoreError};

/// A session that is active has its copy renewed this often, far within the time that copies live.
const RENEWED: Duration = Duration::from_secs(600);
/// A shared copy that somebody else changes all the time is left after so many looks.
const LOOKS: usize = 8;
/// Commits whose sessions can wait for their copies.
const WAITING: usize = 64;
/// Sessions of which it is remembered what their copies say.
const REMEMBERED: NonZero<usize> = NonZero::new(100_000).expect("more than none");

/// The way to the copies.
pub(super) struct Shared {
    snapshots: Arc<dyn Snapshots>,
    counters: Arc<Counters>,
    jobs: mpsc::Sender<Job>,
    task: JoinSet<()>,
}

enum Job {
    /// Brings the copies of sessions up to date.
    Share { sessions: Vec<(SessionKey, Record)>, one_product: bool, now: Timestamp },
    /// Removes the copies of sessions that are to be erased.
    Remove {
        keys: Vec<SessionKey>,
        one_product: bool,
        now: Timestamp,
        reply: oneshot::Sender<Result<(), StoreError>>,
    },
}

impl Shared {
    pub(super) fn new(snapshots: Arc<dyn Snapshots>, counters: Arc<Counters>) -> Self {
        let (jobs, waiting) = mpsc::channel(WAITING);
        let mut task = JoinSet::new();
        let copies = Copies { snapshots: snapshots.clone(), known: LruCache::new(REMEMBERED) };
        task.spawn(copies.run(waiting, counters.clone()));
        Self { snapshots, counters, jobs, task }
    }

    /// Reads what is shared of sessions that have no record of ours.
    pub(super) async fn read(
        &self,
        fresh: &[SessionKey],
        one_product: bool,
        now: Timestamp,
    ) -> Result<Vec<(SessionKey, Imported)>, StoreError> {
        let ids: Vec<SessionId> = fresh.iter().map(|key| key.session.clone()).collect();
        let stored = match self.snapshots.read(&ids).await {
            Ok(stored) => stored,
            Err(error @ (StoreError::Away(_) | StoreError::Lost(_))) => return Err(error),
            // Whatever stands under autoplay-sdk's keys, it stops nothing of ours.
            Err(
                StoreError::Full(error) | StoreError::Refused(error) | StoreError::Fatal(error),
            ) => {
                tracing::warn!("shared session: copies can't be read: {error}");
                return Ok(Vec::new());
            }
        };
        let imported =
            fresh.iter().zip(stored).filter_map(|(key, stored)| {
                match snapshot::import(&stored?, now) {
                    Ok(imported) if imported.is_of(key, one_product) => {
                        Some((key.clone(), imported))
                    }
                    Ok(_) => None,
                    Err(error) => {
                        tracing::warn!("shared session: it isn't taken over: {error}");
                        None
                    }
                }
            });
        Ok(imported.collect())
    }

    /// Has the copies of these sessions brought up to date. What doesn't fit, or fails, is tried again when the
    /// session's record changes next.
    pub(super) fn share(
        &self,
        sessions: Vec<(SessionKey, Record)>,
        one_product: bool,
        now: Timestamp,
    ) {
        if sessions.is_empty() {
            return;
        }
        let count = sessions.len() as u64;
        if self.jobs.try_send(Job::Share { sessions, one_product, now }).is_err() {
            self.counters.snapshots_left.add(count);
        }
    }

    /// Removes the copies of sessions that are to be erased, behind all that was shared before: were they there
    /// afterwards, the sessions would be taken over from them again.
    ///
    /// # Errors
    /// They can't be reached.
    pub(super) async fn remove(
        &self,
        keys: Vec<SessionKey>,
        one_product: bool,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (reply, removed) = oneshot::channel();
        let job = Job::Remove { keys, one_product, now, reply };
        let ended = || StoreError::Fatal("the task that shares sessions has ended".to_owned());
        self.jobs.send(job).await.map_err(|_| ended())?;
        removed.await.map_err(|_| ended())?
    }

    /// Ends when what was shared is done.
    pub(super) async fn close(self) {
        let Self { jobs, mut task, .. } = self;
        drop(jobs);
        while let Some(ended) = task.join_next().await {
            if let Err(error) = ended {
                tracing::error!("shared session: the task that shares them panicked: {error}");
            }
        }
    }
}

/// What the copies say, as far as this host put it there.
struct Copies {
    snapshots: Arc<dyn Snapshots>,
    known: LruCache<SessionKey, (Option<ConversationId>, Timestamp)>,
}

impl Copies {
    async fn run(mut self, mut jobs: mpsc::Receiver<Job>, counters: Arc<Counters>) {
        while let Some(job) = jobs.recv().await {
            match job {
                Job::Share { sessions, one_product, now } => {
                    let left = self.share(sessions, one_product, now).await;
                    counters.snapshots_left.add(left as u64);
                }
                Job::Remove { keys, one_product, now, reply } => {
                    let removed = self.remove(&keys, one_product, now).await;
                    drop(reply.send(removed));
                }
            }
        }
    }

    /// Returns how many were left as they are.
    async fn share(
        &mut self,
        mut sessions: Vec<(SessionKey, Record)>,
        one_product: bool,
        now: Timestamp,
    ) -> usize {
        sessions.retain(|(key, record)| {
            self.known.get(key).is_none_or(|(known, at)| {
                known.as_ref() != conversation(record) || now.since(*at) >= RENEWED
            })
        });
        if sessions.is_empty() {
            return 0;
        }
        let ids: Vec<SessionId> = sessions.iter().map(|(key, _)| key.session.clone()).collect();
        let Ok(stored) = self.snapshots.read(&ids).await else { return sessions.len() };
        let swaps = sessions.iter().zip(stored).map(|((key, record), stored)| {
            swap(&*self.snapshots, key, record, stored, one_product, now)
        });
        let swapped = join_all(swaps).await;
        let mut left = 0;
        for ((key, record), swapped) in sessions.into_iter().zip(swapped) {
            if swapped {
                self.known.put(key, (conversation(&record).cloned(), now));
            } else {
                left += 1;
            }
        }
        left
    }

    async fn remove(
        &mut self,
        keys: &[SessionKey],
        one_product: bool,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        for key in keys {
            self.known.pop(key);
            self.remove_copy(key, one_product, now).await?;
        }
        Ok(())
    }

    async fn remove_copy(
        &self,
        key: &SessionKey,
        one_product: bool,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        for _ in 0..LOOKS {
            let read = self.snapshots.read(std::slice::from_ref(&key.session)).await?;
            let Some(stored) = read.into_iter().flatten().next() else { return Ok(()) };
            match snapshot::import(&stored, now) {
                Ok(imported) if imported.is_of(key, one_product) => {}
                Ok(_) => return Ok(()),
                Err(error) => {
                    tracing::warn!("erase: a shared session is left: {error}");
                    return Ok(());
                }
            }
            if self.snapshots.remove(&key.session, &stored).await? {
                return Ok(());
            }
        }
        tracing::warn!("erase: a shared session is left: somebody else changes it all the time");
        Ok(())
    }
}

fn conversation(record: &Record) -> Option<&ConversationId> {
    record.link.as_ref().map(|link| &link.conversation)
}

/// Puts a session's state over its copy. `false`: it can't be read, is another product's, or somebody else
/// changed it meanwhile.
async fn swap(
    snapshots: &dyn Snapshots,
    key: &SessionKey,
    record: &Record,
    stored: Option<Vec<u8>>,
    one_product: bool,
    now: Timestamp,
) -> bool {
    let base = stored.as_deref();
    let nameless = base.is_some_and(|base| {
        snapshot::import(base, now).is_ok_and(|imported| imported.product.is_none())
    });
    if nameless && !one_product {
        return false;
    }
    match snapshot::export(record, base, key, now) {
        Ok(new) => snapshots.swap(&key.session, base, &new).await.unwrap_or(false),
        Err(error) => {
            tracing::warn!("shared session: its copy is left as it is: {error}");
            false
        }
    }
}
