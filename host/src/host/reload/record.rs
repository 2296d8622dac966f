//! The results of reloads, for whoever asks, and one log line for each.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::config::{Changes, Plan};
use crate::http::{AskedBy, Reload, ReloadOutcome, Reloads};

/// The record. Cheap to clone.
#[derive(Clone)]
pub(in crate::host) struct Record {
    reloads: Arc<Mutex<Reloads>>,
    clock: Clock,
}

impl Record {
    /// With nothing on it.
    pub(in crate::host) fn new(clock: Clock) -> Self {
        Self { reloads: Arc::default(), clock }
    }

    /// As it stands.
    pub(super) fn get(&self) -> Reloads {
        self.reloads().clone()
    }

    /// Whether the last one was refused.
    pub(super) fn was_refused(&self) -> bool {
        let last = self.reloads().last.clone();
        last.is_some_and(|last| matches!(last.outcome, ReloadOutcome::Refused(_)))
    }

    /// One begins.
    pub(super) fn begun(&self) {
        self.reloads().under_way = true;
    }

    /// One has ended.
    pub(super) fn ended(&self, by: AskedBy, took: Duration, outcome: ReloadOutcome) -> Reload {
        let (at, seconds) = (self.clock.now().as_secs_f64(), took.as_secs_f64());
        let reload = Reload { at, seconds, by, outcome };
        let mut reloads = self.reloads();
        reloads.under_way = false;
        match &reload.outcome {
            ReloadOutcome::Applied { .. } => reloads.totals.applied += 1,
            // The host looked by itself, and what was refused before may be what was meant.
            ReloadOutcome::Unchanged if by == AskedBy::Folder => {
                let undone =
                    reloads.last.take_if(|last| matches!(last.outcome, ReloadOutcome::Refused(_)));
                if undone.is_none() {
                    return reload;
                }
                reloads.totals.unchanged += 1;
            }
            ReloadOutcome::Unchanged => reloads.totals.unchanged += 1,
            ReloadOutcome::Refused(_) => reloads.totals.refused += 1,
        }
        reloads.last = Some(reload.clone());
        drop(reloads);
        log(&reload);
        reload
    }

    fn reloads(&self) -> MutexGuard<'_, Reloads> {
        self.reloads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn log(reload: &Reload) {
    let Reload { seconds, by, outcome, .. } = reload;
    match outcome {
        ReloadOutcome::Unchanged => {
            tracing::info!(?by, "reload: the configuration is the one that is in force");
        }
        ReloadOutcome::Applied { changes } => {
            let Plan { plugins, products, streams, tables } = &**changes;
            tracing::info!(
                ?by,
                seconds,
                plugins = told(plugins),
                products = told(products),
                streams = told(streams),
                tables = tables.join(", "),
                "reload: the configuration is swapped"
            );
        }
        ReloadOutcome::Refused(refusal) => {
            // On one line: whoever reads the log line by line has all of it.
            let why = refusal.to_string().replace('\n', " | ");
            tracing::error!(
                ?by,
                why,
                "reload: refused, and nothing is swapped; {}",
                refusal.code.next()
            );
        }
    }
}

/// `+new ~changed -gone`.
fn told(changes: &Changes) -> String {
    let marked = |mark: char, names: &[String]| -> Vec<String> {
        names.iter().map(|name| format!("{mark}{name}")).collect()
    };
    let Changes { added, changed, removed } = changes;
    [marked('+', added), marked('~', changed), marked('-', removed)].concat().join(" ")
}
