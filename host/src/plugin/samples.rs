//! What a plugin that is tried out computes: the functions that are under way, each time that it is interrupted. A host
//! that runs keeps none.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use wasmtime::{AsContext, WasmBacktrace};

use super::backtrace;

/// Most samples that are kept: at one per millisecond, some minutes of computing.
const MOST: usize = 200_000;
/// Most functions of one sample, from the innermost.
const MOST_FUNCTIONS: usize = 128;

/// Samples of the calls of a plugin, all instances together. Cloning shares them.
#[derive(Clone, Debug)]
pub struct Samples(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    since: Instant,
    kept: Mutex<Vec<Sample>>,
}

/// What was under way at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// When, from the moment on at which the samples were begun.
    pub at: Duration,
    /// The names of the functions, the innermost first.
    pub functions: Vec<String>,
}

impl Samples {
    /// None so far; their time begins now.
    pub fn begin() -> Self {
        Self(Arc::new(Shared { since: Instant::now(), kept: Mutex::default() }))
    }

    /// Adds one of a guest that was interrupted.
    pub(super) fn add(&self, store: impl AsContext) {
        let at = self.0.since.elapsed();
        let backtrace = WasmBacktrace::force_capture(store);
        let functions = backtrace::names(&backtrace).take(MOST_FUNCTIONS).collect();
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < MOST {
            kept.push(Sample { at, functions });
        }
    }

    /// Those that there are so far, in order.
    pub fn so_far(&self) -> Vec<Sample> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
