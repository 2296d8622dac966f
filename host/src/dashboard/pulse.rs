//! What the first page shows, gathered once for all who look at it at the same time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::source::{Source, Standing};
use crate::clock::Timestamp;
use crate::engine::latest::Attempted;
use crate::engine::ledger::Failures;

/// Nothing is gathered again sooner.
const LEAST: Duration = Duration::from_millis(900);
/// Of the time, at most every so many-th part is spent gathering: what fails is read from the store's rows.
const SHARE: u32 = 10;

/// The first page's values.
pub(super) struct Gathered {
    pub(super) standing: Standing,
    /// `None` where the store can't be read.
    pub(super) failures: Option<Failures>,
    pub(super) attempts: Vec<Attempted>,
}

/// The latest of them.
#[derive(Default)]
pub(super) struct Pulse(Mutex<Option<Kept>>);

struct Kept {
    /// From when on it is gathered anew.
    until: Timestamp,
    gathered: Arc<Gathered>,
}

impl Pulse {
    /// How things stand, at most a moment ago.
    pub(super) async fn latest(&self, source: &dyn Source) -> Arc<Gathered> {
        let mut kept = self.0.lock().await;
        let began = source.now();
        if let Some(kept) = kept.as_ref().filter(|kept| began < kept.until) {
            return kept.gathered.clone();
        }
        let standing = source.standing().await;
        let failures = source.failures().await.inspect_err(|error| {
            tracing::debug!("dashboard: what fails can't be read: {error}");
        });
        let attempts = source.latest_attempts();
        let gathered = Arc::new(Gathered { standing, failures: failures.ok(), attempts });
        let ended = source.now();
        let until = ended + LEAST.max(ended.since(began) * SHARE);
        *kept = Some(Kept { until, gathered: gathered.clone() });
        gathered
    }
}
