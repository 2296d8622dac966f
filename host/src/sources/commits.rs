//! One commit for all that a request or a page brings, with what its source remembers from there on.

use std::collections::BTreeSet;
use std::sync::Arc;

use sidenote_sources::Batch;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

use super::seen::UnderWay;
use super::service::SourceService;
use super::source::{Ready, Source};
use super::told::{NotNow, Turn};
use crate::engine::Closed;
use crate::engine::core::{PollMark, SourceRows};
use crate::engine::erase::Erasure;
use crate::ids::ProductId;
use crate::kv::Writes;
use crate::plugin::PollSubject;

/// So many events are turned into lines beside other work; more of them on a thread of their own.
const FEW: usize = 200;

/// Where a source goes on that was asked.
pub(super) enum GoesOn {
    /// With everybody.
    All(PollMark),
    /// With one person.
    Of(PollSubject, String),
}

/// What couldn't be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotAccepted {
    /// The same events are being accepted.
    UnderWay,
    /// The store takes nothing, or takes too long.
    Store,
}

impl From<UnderWay> for NotAccepted {
    fn from(UnderWay: UnderWay) -> Self {
        Self::UnderWay
    }
}

impl From<NotNow> for NotAccepted {
    fn from(not_now: NotNow) -> Self {
        match not_now {
            NotNow::UnderWay => Self::UnderWay,
            NotNow::Store(_) => Self::Store,
        }
    }
}

impl SourceService {
    /// Stores what events mean, where a source goes on, and what its plugin wrote under keys, in one commit. Waits for it until `deadline`; it goes on
    /// beyond that.
    pub(super) async fn accept(
        &self,
        source: &Arc<Source>,
        batches: Vec<Batch>,
        (usual, allowed): (&ProductId, BTreeSet<ProductId>),
        (goes_on, written): (Option<GoesOn>, Writes),
        deadline: Instant,
    ) -> Result<(), NotAccepted> {
        let now = self.clock().now();
        let turn = timeout_at(deadline, source.told.turn(self.engine(), &source.name));
        let turn = turn.await.map_err(|_| NotAccepted::Store)??;
        let events: usize = batches.iter().map(|batch| batch.events.len()).sum();
        let (service, of, usual) = (self.clone(), source.clone(), usual.clone());
        let words = move || {
            let mut turn: Turn = turn;
            let remembered = &mut *turn;
            let told = (&remembered.seen, &mut remembered.memory);
            let ready = of.ready(told, batches, (&usual, &allowed), service.counts(), now);
            (turn, ready)
        };
        let (mut turn, ready) = match events <= FEW {
            true => words(),
            false => spawn_blocking(words).await.map_err(|_| NotAccepted::Store)?,
        };
        let Ready { batches, claim } = ready?;
        let (commit, mut remembered) = claim.commit(&source.name, now);
        let mark = match goes_on {
            Some(GoesOn::All(mark)) => Some((source.name.clone(), mark)),
            Some(GoesOn::Of(PollSubject { product, user }, cursor)) => {
                turn.memory.set_cursor(product.as_str(), &user, cursor, now);
                None
            }
            None => None,
        };
        remembered.extend(turn.memory.changes(&source.name));
        let written = Some((source.name.clone(), written)).filter(|(_, it)| !it.is_empty());
        let beside = SourceRows { mark, remembered, erases: false, written };
        let (told, committed) = oneshot::channel();
        let engine = self.engine().clone();
        self.under_way().spawn(async move {
            let handed_over = engine.hand_over_page(batches, beside).await;
            drop(turn);
            let accepted = match handed_over {
                Ok(committed) => committed.await,
                Err(closed) => Err(closed),
            };
            if accepted.is_ok() {
                commit.keep();
            }
            if told.send(accepted.is_ok()).is_err() {
                tracing::debug!("source: who sent something didn't wait for its commit");
            }
        });
        match timeout_at(deadline, committed).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false) | Err(_)) | Err(_) => Err(NotAccepted::Store),
        }
    }

    /// Forgets somebody who is erased, in memory and in the rows: what comes of them later is told without what was known.
    ///
    /// # Errors
    /// It isn't stored; it can be asked for again.
    pub(crate) async fn forget(&self, erasure: &Erasure) -> Result<(), Closed> {
        let whom = erasure.subject.whom();
        for source in self.sources().values() {
            // What isn't in memory is in the store alone, where it is erased by whoever erases the rest.
            let Some(mut turn) = source.told.turn_if_loaded().await else { continue };
            if !turn.memory.forget(erasure.product.as_str(), &whom) {
                continue;
            }
            let remembered = turn.memory.changes(&source.name);
            let commit = turn.seen.commit();
            let beside = SourceRows { remembered, erases: true, ..SourceRows::default() };
            let committed = self.engine().hand_over_page(Vec::new(), beside).await?;
            drop(turn);
            committed.await?;
            commit.keep();
        }
        Ok(())
    }
}
