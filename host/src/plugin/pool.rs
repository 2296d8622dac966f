//! Warm instances, the queue before them, the deadline, and what is done after a crash.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, error::Elapsed, timeout, timeout_at};

use super::admit::{Admitted, Live, cause};
use super::instance::{self, CpuUsedUp, Ground, State};
use crate::outbox::note::Crash;

/// The instances of one plugin.
pub(super) struct Pool {
    admitted: Admitted,
    ground: Arc<Ground>,
    /// One permit per post at the same time.
    posts: Semaphore,
    /// One permit per webhook at the same time: they don't queue behind the posts of a slow platform.
    webhooks: Semaphore,
    /// Instances between calls; never more than there are permits.
    idle: Mutex<Vec<Warm>>,
    counters: Counters,
}

/// What a call waits in.
#[derive(Debug, Clone, Copy)]
pub(super) enum Queue {
    /// Posts: as many at the same time as the limit `concurrency` says.
    Posts,
    /// Webhooks: a quarter as many beside them.
    Webhooks,
}

/// What was counted since the start.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) calls: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) traps: AtomicU64,
}

/// An instance, and how often it was called.
pub(super) struct Warm {
    pub(super) live: Live,
    calls: u64,
}

/// Why a call has no answer of the guest.
#[derive(Debug)]
pub(super) enum Stopped {
    /// All instances were busy: the guest never saw the call.
    Busy {
        /// How long was waited.
        waited: Duration,
    },
    /// No instance came up: the guest never saw the call.
    Start {
        /// Why not.
        message: String,
    },
    /// The guest trapped or was stopped.
    Crashed {
        /// How.
        crash: Crash,
        /// What happened.
        message: String,
    },
}

impl Pool {
    /// A pool with one instance in it, the one that was tried at admission.
    pub(super) fn new(admitted: Admitted, ground: Arc<Ground>, tried: Live) -> Self {
        let posts = ground.limits.concurrency.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            admitted,
            ground,
            posts: Semaphore::new(posts),
            webhooks: Semaphore::new(posts.div_ceil(4)),
            idle: Mutex::new(vec![Warm { live: tried, calls: 0 }]),
            counters: Counters::default(),
        }
    }

    /// What is exported.
    pub(super) fn admitted(&self) -> &Admitted {
        &self.admitted
    }

    /// What was counted.
    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How long a call may take at most.
    pub(super) fn call_timeout(&self) -> Duration {
        self.ground.limits.call_timeout
    }

    /// Waits for an instance for at most half of `whole`, so that a call that gets one has at least
    /// the other half for itself, and all of it together ends within `whole`.
    pub(super) async fn lease(
        &self,
        queue: Queue,
        whole: Duration,
        traceparent: Option<HeaderValue>,
    ) -> Result<Lease<'_>, Stopped> {
        self.counters.calls.fetch_add(1, Relaxed);
        let deadline = Instant::now() + whole;
        let waited = whole / 2;
        let permits = match queue {
            Queue::Posts => &self.posts,
            Queue::Webhooks => &self.webhooks,
        };
        let permit = match timeout(waited, permits.acquire()).await {
            Ok(permit) => permit.expect("the semaphore is never closed"),
            Err(_) => return Err(Stopped::Busy { waited }),
        };
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut warm = match idle {
            Some(warm) => warm,
            None => self.start(deadline).await?,
        };
        warm.calls += 1;
        instance::begin_call(&mut warm.live.store, deadline, traceparent);
        Ok(Lease { pool: self, warm, deadline, _permit: permit })
    }

    async fn start(&self, deadline: Instant) -> Result<Warm, Stopped> {
        let mut store = self.admitted.store(&self.ground);
        instance::begin_call(&mut store, deadline, None);
        let failed = |message| {
            self.counters.traps.fetch_add(1, Relaxed);
            Stopped::Start { message }
        };
        match timeout_at(deadline, self.admitted.instantiate(store)).await {
            Ok(Ok(live)) => Ok(Warm { live, calls: 0 }),
            Ok(Err((error, store))) => Err(failed(crash(&error, store.data()).1)),
            Err(_) => Err(failed("the instance didn't start within the call's time".to_owned())),
        }
    }
}

/// An instance for one call. Dropped without [`Lease::settle`] (a cancelled call), the instance goes
/// with it: what a half-run guest holds can't be trusted.
pub(super) struct Lease<'a> {
    pool: &'a Pool,
    pub(super) warm: Warm,
    pub(super) deadline: Instant,
    _permit: SemaphorePermit<'a>,
}

impl Lease<'_> {
    /// Ends the call: the instance goes back where the guest returned, and is dropped where it didn't.
    pub(super) fn settle<R>(
        mut self,
        outcome: Result<wasmtime::Result<R>, Elapsed>,
    ) -> Result<R, Stopped> {
        let state = self.warm.live.store.data_mut();
        let stopped = match outcome {
            Ok(Ok(answer)) => {
                state.log.end();
                self.pool.put_back(self.warm);
                return Ok(answer);
            }
            Ok(Err(error)) => crash(&error, state),
            Err(_) => {
                (Crash::Timeout, "the plugin didn't answer in time and was stopped".to_owned())
            }
        };
        state.log.end();
        self.pool.counters.traps.fetch_add(1, Relaxed);
        let (crash, message) = stopped;
        tracing::warn!(plugin = %self.pool.ground.name, code = crash.code(), message, "a plugin was stopped; its instance is dropped");
        Err(Stopped::Crashed { crash, message })
    }
}

impl Pool {
    fn put_back(&self, warm: Warm) {
        if warm.calls < self.ground.limits.calls_per_instance {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(warm);
        }
    }
}

/// What a trap is told as: code and text, with the end of the guest's standard error.
fn crash(error: &wasmtime::Error, state: &State) -> (Crash, String) {
    if error.downcast_ref::<CpuUsedUp>().is_some() {
        return (
            Crash::Cpu,
            format!(
                "the plugin computed for longer than cpu_time ({:?})",
                state.ground.limits.cpu_time
            ),
        );
    }
    let said = state.log.stderr_tail().map(|tail| format!("; it said: {tail}")).unwrap_or_default();
    if state.memory.refused() {
        let limit = state.ground.limits.memory_bytes;
        return (
            Crash::Memory,
            format!("the plugin wanted more than memory_bytes ({limit}){said}"),
        );
    }
    // The root alone: the rest is a backtrace of the guest.
    let root = super::clean::clean(&error.root_cause().to_string(), 300);
    let text = if root.is_empty() { cause(error) } else { root };
    (Crash::Trap, format!("{text}{said}"))
}
