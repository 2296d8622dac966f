//! What the engines of one process share: each works a partition, and people see them as one.

use std::sync::{Arc, Mutex, PoisonError};

use crate::engine::backlog;
use crate::engine::core::{Counters, Gate};
use crate::engine::feed::Publisher;
use crate::engine::latest::Latest;
use crate::engine::tap;

/// The gate before the platforms, and what is told of all engines together. Cloning shares it.
#[derive(Clone)]
pub struct Process {
    pub(super) gate: Gate,
    pub(super) counters: Arc<Counters>,
    pub(super) publisher: Publisher,
    pub(super) tap: Arc<tap::Teller>,
    pub(super) latest: Latest,
    pub(super) backlogs: Arc<Mutex<Vec<backlog::Asker>>>,
}

impl Process {
    /// A process whose engines go through this gate.
    pub fn new(gate: Gate) -> Self {
        Self {
            gate,
            counters: Arc::default(),
            publisher: Publisher::new(),
            tap: Arc::default(),
            latest: Latest::default(),
            backlogs: Arc::default(),
        }
    }

    /// One more engine, of which is asked what waits.
    pub(super) fn add(&self, engine: backlog::Asker) {
        let mut backlogs = self.backlogs.lock().unwrap_or_else(PoisonError::into_inner);
        backlogs.retain(|asker| !asker.has_ended());
        backlogs.push(engine);
    }
}
