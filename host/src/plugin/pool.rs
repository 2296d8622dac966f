//! The instances of one version of a plugin: the queue before them, the deadline, and what is done after
//! a crash.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout, timeout_at};

use super::admit::{Admitted, Live};
use super::counters::{Counters, PluginTotals, Slots};
use super::ground::Ground;
use super::instance;
use super::kv::KvOfCall;
use super::lines::Lines;
use super::shadow::watch::Watch;
use super::source;
use super::state::InstanceState;
pub(super) use super::stopped::Stopped;
use super::supervise::{Condition, Supervisor};
use super::trap::{self, Told};
use crate::config::{Isolation, PluginLimits, Sha256};
use crate::egress::{Alarm, Tape};
use crate::once::{Claims, Limits};
use crate::outbox::note::Crash;
use crate::traces::TraceContext;

/// How long webhooks are held back when they make a plugin trap again and again.
const STRANGERS_PAUSE: Duration = Duration::from_secs(1);

/// The instances of one version of a plugin.
pub(super) struct Pool {
    admitted: Admitted,
    ground: Arc<Ground>,
    isolation: Isolation,
    version: Sha256,
    /// The version, for people.
    short: String,
    /// What its manifest says, and the first digits of the version.
    told: Arc<str>,
    shared: Arc<Shared>,
    /// Instances between calls; `None` when another version has taken over.
    idle: Mutex<Option<Vec<Warm>>>,
    /// Watches the host's own calls.
    own: Mutex<Supervisor>,
    /// Watches webhooks. What strangers send holds none of the host's own calls back, and webhooks, genuine
    /// ones among them, for a moment only.
    strangers: Mutex<Supervisor>,
    /// Whether it was said that this version tells of something that this host doesn't know.
    unknown_told: AtomicBool,
}

/// What the versions of a plugin share: while one takes over from the other, the limits hold for both
/// together.
pub(super) struct Shared {
    /// One permit per post at the same time.
    posts: Semaphore,
    /// So many of them.
    concurrency: usize,
    /// One permit per webhook at the same time: they don't queue behind the posts of a slow platform.
    webhooks: Semaphore,
    /// The webhooks that were accepted.
    accepted: Claims,
    counters: Arc<Counters>,
    /// What it wrote lately.
    lines: Arc<Lines>,
}

/// What a call waits in, by who is behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Queue {
    /// The host's own calls, posts above all: as many at the same time as the limit `concurrency` says.
    Posts,
    /// Webhooks: a quarter as many beside them. Whoever sends one may be anyone.
    Webhooks,
}

/// What a call has beside what it is given.
pub(super) struct Around {
    /// Where in a trace it is.
    pub(super) place: Option<TraceContext>,
    /// What it may keep.
    pub(super) kv: KvOfCall,
    /// What watches it for a shadow.
    pub(super) watch: Option<Arc<Watch>>,
}

/// An instance, how often it was called, and since when it is there.
pub(super) struct Warm {
    pub(super) live: Live,
    /// For the deadline of each call.
    pub(super) alarm: Alarm,
    calls: u64,
    started: Instant,
}

impl Warm {
    fn new(live: Live) -> Self {
        Self { live, alarm: Alarm::default(), calls: 0, started: Instant::now() }
    }

    fn is_worn(&self, limits: &PluginLimits, now: Instant) -> bool {
        self.calls >= limits.calls_per_instance
            || now.duration_since(self.started) >= limits.instance_age
    }

    /// Whether more than half of its handles are held between calls: the runtimes of some languages never
    /// give all of them back, and would trap when none is left.
    fn hoards(&mut self, limits: &PluginLimits) -> bool {
        self.live.store.data_mut().handles_held() > limits.handles / 2
    }
}

impl Shared {
    /// With capacity for so many posts at the same time.
    pub(super) fn new(concurrency: usize) -> Self {
        Self::over(concurrency, Claims::new(Limits::DAY), Arc::default(), Arc::default())
    }

    /// With capacity for another number. While calls of the versions before end, there may be more than that.
    pub(super) fn with_capacity_for(&self, concurrency: usize) -> Self {
        let (accepted, counters) = (self.accepted.clone(), self.counters.clone());
        Self::over(concurrency, accepted, counters, self.lines.clone())
    }

    fn over(
        concurrency: usize,
        accepted: Claims,
        counters: Arc<Counters>,
        lines: Arc<Lines>,
    ) -> Self {
        let posts = concurrency.clamp(1, Semaphore::MAX_PERMITS);
        let webhooks = posts.div_ceil(4);
        Self {
            posts: Semaphore::new(posts),
            concurrency: posts,
            webhooks: Semaphore::new(webhooks),
            accepted,
            counters,
            lines,
        }
    }

    /// What it wrote lately.
    pub(super) fn lines(&self) -> &Arc<Lines> {
        &self.lines
    }

    /// What is counted.
    pub(super) fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// What was counted so far.
    pub(super) fn totals(&self) -> PluginTotals {
        let slots = |all: usize, free: &Semaphore| Slots {
            all,
            busy: all.saturating_sub(free.available_permits()),
        };
        self.counters.totals([
            slots(self.concurrency, &self.posts),
            slots(self.concurrency.div_ceil(4), &self.webhooks),
        ])
    }
}

impl Pool {
    /// A pool with one instance in it, the one that was tried at admission.
    pub(super) fn new(
        admitted: Admitted,
        ground: Arc<Ground>,
        isolation: Isolation,
        (version, told): (Sha256, Option<&str>),
        shared: Arc<Shared>,
        tried: Live,
    ) -> Self {
        Self {
            admitted,
            ground,
            isolation,
            version,
            short: source::short(version),
            told: source::told(version, told),
            shared,
            idle: Mutex::new(Some(vec![Warm::new(tried)])),
            own: Mutex::new(Supervisor::new()),
            strangers: Mutex::new(Supervisor::with_pause(STRANGERS_PAUSE)),
            unknown_told: AtomicBool::new(false),
        }
    }

    /// Which version this is.
    pub(super) fn version(&self) -> Sha256 {
        self.version
    }

    /// Which version this is, for the log of attempts.
    pub(super) fn told(&self) -> Arc<str> {
        self.told.clone()
    }

    /// Whether the plugin answers such calls, or they are held back.
    pub(super) fn condition(&self, queue: Queue) -> Condition {
        let supervisor = self.supervisor(queue);
        // Most are, and the clock needn't be asked.
        if supervisor.is_sound() { Condition::Sound } else { supervisor.condition(Instant::now()) }
    }

    /// The span of one call: whatever is logged in it tells which version it was.
    /// Where it is traced, they also tell where.
    pub(super) fn span(&self, place: Option<&TraceContext>) -> tracing::Span {
        let (plugin, version) = (&self.ground.name, &self.short);
        match place.filter(|place| place.is_kept()) {
            None => tracing::info_span!("call", %plugin, version),
            Some(place) => {
                let (trace_id, span_id) = place.ids();
                tracing::info_span!("call", %plugin, version, trace_id, span_id)
            }
        }
    }

    /// The plugin's name.
    pub(super) fn name(&self) -> &str {
        &self.ground.name
    }

    /// This version, in short.
    pub(super) fn short_version(&self) -> &str {
        &self.short
    }

    /// Another version has taken over: idle instances go at once, the others with their calls.
    pub(super) fn retire(&self) {
        let idle = self.idle().take();
        drop(idle);
    }

    /// The idle instances; the last one is called next.
    pub(super) fn instances(&self) -> Vec<InstanceState> {
        let state = |warm: &mut Warm| {
            let data = warm.live.store.data_mut();
            let (memory_bytes, handles) = (data.memory.bytes(), data.handles_held());
            InstanceState { calls: warm.calls, memory_bytes, handles }
        };
        self.idle().iter_mut().flatten().map(state).collect()
    }

    /// Drops the idle instances that are too old.
    pub(super) fn sweep(&self, now: Instant) {
        let limits = &self.ground.limits;
        let worn: Vec<_> = match self.idle().as_mut() {
            Some(idle) => idle.extract_if(.., |warm| warm.is_worn(limits, now)).collect(),
            None => Vec::new(),
        };
        drop(worn);
    }

    /// What its instances share.
    pub(super) fn ground(&self) -> &Arc<Ground> {
        &self.ground
    }

    /// How long its instances live.
    pub(super) fn isolation(&self) -> Isolation {
        self.isolation
    }

    /// What is exported.
    pub(super) fn admitted(&self) -> &Admitted {
        &self.admitted
    }

    /// What was counted.
    pub(super) fn counters(&self) -> &Counters {
        self.shared.counters()
    }

    /// Whether this version tells for the first time of something that this host doesn't know.
    pub(super) fn is_first_unknown_word(&self) -> bool {
        !self.unknown_told.swap(true, Relaxed)
    }

    /// The webhooks that were accepted.
    pub(super) fn accepted(&self) -> &Claims {
        &self.shared.accepted
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
        around: Around,
    ) -> Result<Lease<'_>, Stopped> {
        self.counters().calls.fetch_add(1, Relaxed);
        let began = Instant::now();
        let deadline = began + whole;
        let waited = whole / 2;
        if !self.supervisor(queue).admit(began) {
            // Another call is finding out whether the plugin has recovered.
            return Err(Stopped::Busy { waited: Duration::ZERO });
        }
        let by = By { queue, began };
        let permits = match queue {
            Queue::Posts => &self.shared.posts,
            Queue::Webhooks => &self.shared.webhooks,
        };
        let (permit, now) = match permits.try_acquire() {
            Ok(permit) => (permit, began),
            Err(_) => match timeout(waited, permits.acquire()).await {
                Ok(permit) => (permit.expect("the semaphore is never closed"), Instant::now()),
                Err(_) => return Err(Stopped::Busy { waited }),
            },
        };
        let mut warm = match self.take_idle(now) {
            Some(warm) => warm,
            None => self.start(by, deadline).await?,
        };
        warm.calls += 1;
        let Around { place, kv, watch } = around;
        let tape = watch.map_or(Tape::None, |watch| Tape::Record(watch.recorder.clone()));
        instance::begin_call(&mut warm.live.store, deadline, place, kv, tape);
        Ok(Lease { pool: self, warm, by, deadline, _permit: permit })
    }

    async fn start(&self, by: By, deadline: Instant) -> Result<Warm, Stopped> {
        self.counters().starts.fetch_add(1, Relaxed);
        let mut store = self.admitted.store(&self.ground);
        instance::begin_call(&mut store, deadline, None, KvOfCall::none(), Tape::None);
        let failed = |message| {
            self.trapped(by);
            Stopped::Start { message }
        };
        match timeout_at(deadline, self.admitted.instantiate(store)).await {
            Ok(Ok(live)) => Ok(Warm::new(live)),
            Ok(Err((error, store))) => Err(failed(trap::told(&error, store.data()).message)),
            Err(_) => Err(failed("the instance didn't start within the call's time".to_owned())),
        }
    }
}

/// Who is behind a call, and since when.
#[derive(Clone, Copy)]
struct By {
    queue: Queue,
    began: Instant,
}

/// An instance for one call. Dropped without [`Lease::settle`] (a cancelled call), the instance goes
/// with it: what a half-run guest holds can't be trusted.
pub(super) struct Lease<'a> {
    pool: &'a Pool,
    pub(super) warm: Warm,
    by: By,
    pub(super) deadline: Instant,
    _permit: SemaphorePermit<'a>,
}

impl Lease<'_> {
    /// Ends the call: the instance goes back where the guest returned, and is dropped where it didn't.
    pub(super) fn settle<R>(mut self, outcome: Option<wasmtime::Result<R>>) -> Result<R, Stopped> {
        let state = self.warm.live.store.data_mut();
        let stopped = match outcome {
            Some(Ok(answer)) => {
                state.log.end();
                self.pool.supervisor(self.by.queue).answered();
                self.pool.put_back(self.warm, self.by.began);
                return Ok(answer);
            }
            Some(Err(error)) => trap::told(&error, state),
            None => Told::too_late(state),
        };
        state.log.end();
        let Told { crash, message, functions } = stopped;
        let backtrace = functions.join(" ← ");
        self.pool.counters().trapped(crash, &self.pool.short, functions);
        match crash {
            // A platform that hangs can cause it.
            Crash::Timeout => {
                self.pool.counters().traps.fetch_add(1, Relaxed);
            }
            Crash::Trap | Crash::Cpu | Crash::Memory => self.pool.trapped(self.by),
        }
        tracing::warn!(plugin = %self.pool.ground.name, version = self.pool.short, code = crash.code(), said = message, backtrace, "a plugin was stopped; its instance is dropped");
        Err(Stopped::Crashed { crash, message })
    }
}

impl Pool {
    /// An instance that isn't worn.
    fn take_idle(&self, now: Instant) -> Option<Warm> {
        loop {
            let warm = self.idle().as_mut()?.pop()?;
            if !warm.is_worn(&self.ground.limits, now) {
                return Some(warm);
            }
        }
    }

    /// `now` may be the call's beginning: one that got too old meanwhile is found when it is used.
    fn put_back(&self, mut warm: Warm, now: Instant) {
        let limits = &self.ground.limits;
        let worn = warm.is_worn(limits, now) || warm.hoards(limits);
        if self.isolation == Isolation::Call || worn {
            return;
        }
        // Outside of the lock: what isn't kept is dropped.
        let _over = match self.idle().as_mut() {
            Some(idle) if idle.len() < limits.warm_instances => {
                idle.push(warm);
                None
            }
            Some(_) | None => Some(warm),
        };
    }

    /// Counts a trap; where it was one too many, such calls are held back.
    fn trapped(&self, by: By) {
        self.counters().traps.fetch_add(1, Relaxed);
        let pause = self.supervisor(by.queue).trapped(by.began, Instant::now());
        let (Some(pause), plugin, version) = (pause, &self.ground.name, &self.short) else {
            return;
        };
        match by.queue {
            Queue::Posts => {
                tracing::error!(%plugin, version, ?pause, "the plugin traps again and again; its calls are held back for a while");
            }
            Queue::Webhooks => {
                tracing::error!(%plugin, version, ?pause, "webhooks make the plugin trap again and again; they are held back for a while, its notes go on");
            }
        }
    }

    fn idle(&self) -> MutexGuard<'_, Option<Vec<Warm>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn supervisor(&self, queue: Queue) -> MutexGuard<'_, Supervisor> {
        let supervisor = match queue {
            Queue::Posts => &self.own,
            Queue::Webhooks => &self.strangers,
        };
        supervisor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
