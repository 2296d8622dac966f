//! What waits to be delivered, asked for by people and told by the loop between two rounds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{Notify, watch};

use crate::engine::core::{Backlog, Core, LaneKind};
use crate::ids::PluginName;

/// How long the loop is waited for. It may be waiting for the store, and nothing changes meanwhile.
const PATIENCE: Duration = Duration::from_secs(1);

/// The loop's end.
pub(super) struct Teller {
    told: watch::Sender<Vec<Backlog>>,
    wanted: Arc<Notify>,
}

/// The end of those who ask.
#[derive(Clone)]
pub(super) struct Asker {
    seen: watch::Receiver<Vec<Backlog>>,
    wanted: Arc<Notify>,
}

/// Both ends. However many ask, the loop is asked once.
pub(super) fn channel() -> (Teller, Asker) {
    let (told, seen) = watch::channel(Vec::new());
    let wanted = Arc::new(Notify::new());
    (Teller { told, wanted: wanted.clone() }, Asker { seen, wanted })
}

impl Teller {
    /// Waits until somebody asks.
    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Tells everybody.
    pub(super) fn tell(&self, core: &Core) {
        self.told.send_replace(core.backlog());
    }
}

/// Those who ask several engines.
#[derive(Clone)]
pub(super) enum Askers {
    /// One.
    One(Asker),
    /// All of a process.
    All(Arc<Mutex<Vec<Asker>>>),
}

impl Askers {
    /// What waits in all of them, added up.
    pub(super) async fn ask(&self) -> Vec<Backlog> {
        let askers = match self {
            Self::One(asker) => return asker.ask().await,
            Self::All(askers) => askers.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        };
        let running = askers.iter().filter(|asker| !asker.has_ended());
        let told = join_all(running.map(Asker::ask)).await;
        let mut sum: BTreeMap<(bool, PluginName), Backlog> = BTreeMap::new();
        for of_engine in told.into_iter().flatten() {
            let place = (of_engine.kind == LaneKind::Sink, of_engine.plugin.clone());
            match sum.get_mut(&place) {
                Some(all) => {
                    all.waiting += of_engine.waiting;
                    all.oldest = all.oldest.into_iter().chain(of_engine.oldest).min();
                }
                None => drop(sum.insert(place, of_engine)),
            }
        }
        sum.into_values().collect()
    }
}

impl Asker {
    /// Whether the engine has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.seen.has_changed().is_err()
    }

    /// What waits, or what did when the loop told it last.
    pub(super) async fn ask(&self) -> Vec<Backlog> {
        let mut seen = self.seen.clone();
        seen.mark_unchanged();
        self.wanted.notify_one();
        tokio::time::timeout(PATIENCE, seen.changed()).await.ok();
        seen.borrow().clone()
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;

    use super::*;
    use crate::clock::Timestamp;

    fn waits(kind: LaneKind, waiting: u64, oldest: i64) -> Backlog {
        let oldest = Some(Timestamp(oldest));
        Backlog { plugin: "bot".into(), kind, waiting, oldest }
    }

    /// An engine that has this.
    fn engine(backlog: Vec<Backlog>) -> (Asker, JoinSet<()>) {
        let (teller, asker) = channel();
        let mut task = JoinSet::new();
        task.spawn(async move {
            loop {
                teller.wanted().await;
                teller.told.send_replace(backlog.clone());
            }
        });
        (asker, task)
    }

    #[tokio::test]
    async fn what_waits_in_several_engines_is_added_up_and_one_that_ended_is_left_out() {
        let (one, _one) = engine(vec![waits(LaneKind::Sink, 1, 5), waits(LaneKind::Note, 2, 9)]);
        let (other, _other) = engine(vec![waits(LaneKind::Note, 3, 7)]);
        let (gone, mut task) = engine(vec![waits(LaneKind::Note, 100, 1)]);
        task.shutdown().await;
        let all = Askers::All(Arc::new(Mutex::new(vec![one, other, gone])));
        assert_eq!(all.ask().await, [waits(LaneKind::Note, 5, 7), waits(LaneKind::Sink, 1, 5)]);
    }
}
