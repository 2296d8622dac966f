//! The configuration is read again while the host runs: all that changed is prepared first, and then swapped, or
//! nothing is.
//!
//! ```text
//! SIGHUP, POST /reload ─┐
//! plugins.d (watch) ────┴▶ service ─ load, plan, prepare ─▶ swap: engine and plugins between two rounds,
//!                                                           then pushed products, streams, readers
//! ```
//!
//! - Whatever is wrong leaves everything as it is, and is told: in the log, in the answer, in `GET /reload`.
//! - One reload at a time, in the order in which they are asked for.
//! - A stop of the host ends one that is being prepared.

mod record;
mod service;
mod watch;

pub(super) use record::Record;
pub(super) use service::{Parts, Reloader};
pub(super) use watch::watch;

use tokio::sync::{mpsc, oneshot};

use crate::access::Actor;
use crate::http::{
    AskedBy, RefusalCode, Reload, ReloadOutcome, ReloadProblem, ReloadRefusal, Reloads,
};

/// Reloads that wait.
const WAITING: usize = 16;

/// A request for a reload.
pub(super) struct Request {
    by: AskedBy,
    /// On whose account, where somebody asked over the API.
    person: Option<Actor>,
    reply: oneshot::Sender<Reload>,
}

/// Has the configuration read again. Cheap to clone.
#[derive(Clone)]
pub(super) struct ReloadHandle {
    requests: mpsc::Sender<Request>,
    record: Record,
}

impl ReloadHandle {
    /// A handle, and where its requests come out.
    pub(super) fn new(record: Record) -> (Self, mpsc::Receiver<Request>) {
        let (sender, requests) = mpsc::channel(WAITING);
        (Self { requests: sender, record }, requests)
    }

    /// Has it read again, and returns the result. It goes on when nobody waits for it.
    pub(super) async fn ask(&self, by: AskedBy) -> Reload {
        self.ask_as(by, None).await
    }

    /// The same, on somebody's account: it is put on record.
    pub(super) async fn ask_for(&self, person: Actor) -> Reload {
        self.ask_as(AskedBy::Api, Some(person)).await
    }

    async fn ask_as(&self, by: AskedBy, person: Option<Actor>) -> Reload {
        let (reply, answer) = oneshot::channel();
        let asked = self.requests.send(Request { by, person, reply }).await;
        let answered = match asked {
            Ok(()) => answer.await.ok(),
            Err(_) => None,
        };
        answered.unwrap_or_else(|| {
            let problem = ReloadProblem::of("", "the host is shutting down");
            self.record.ended(
                by,
                std::time::Duration::ZERO,
                refused(RefusalCode::Closing, [problem]),
            )
        })
    }

    /// Their results so far.
    pub(super) fn record(&self) -> Reloads {
        self.record.get()
    }
}

fn refused(code: RefusalCode, problems: impl IntoIterator<Item = ReloadProblem>) -> ReloadOutcome {
    ReloadOutcome::Refused(ReloadRefusal { code, problems: problems.into_iter().collect() })
}
