//! The state of one instance, and its limits.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use wasmtime::{Engine, Store, UpdateDeadline};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::cpu_permits;
use super::engine::TICK;
use super::ground::Ground;
use super::guest_log::GuestLog;
use super::handles::Handles;
use super::kv::KvOfCall;
use super::memory::MemoryBound;
use super::outbound::{Capacity, Outbound};
use super::shadow::meter::thread_time;
use super::shadow::moment::Moment;
use super::verified::Verified;
use crate::egress::{Alarm, Tape};
use crate::traces::TraceContext;

const MAX_RANDOM_BYTES: u64 = 1 << 20;

/// The state behind one store.
pub(super) struct State {
    pub(super) ground: Arc<Ground>,
    pub(super) log: GuestLog,
    pub(super) outbound: Outbound,
    pub(super) cpu: Cpu,
    pub(super) memory: MemoryBound,
    /// What the call under way keeps under keys.
    pub(super) kv: KvOfCall,
    /// What the call under way had verified.
    pub(super) verified: Verified,
    /// For the requests of our own `http`, of which there is one at a time.
    pub(super) alarm: Alarm,
    /// The clock that the guest sees.
    pub(super) moment: Moment,
    wasi: WasiCtx,
    wasi_http: WasiHttpCtx,
    handles: Handles,
}

/// How long the call under way has computed.
pub(super) struct Cpu {
    ticks: u32,
    budget: u32,
    /// The next tick passed while the guest waited for the host.
    forgiven: bool,
    /// What its thread had computed when the call began, where that counts in the place of ticks.
    since: Option<Duration>,
}

impl Cpu {
    fn with(budget: Duration) -> Self {
        let ticks = budget.as_nanos().div_ceil(TICK.as_nanos());
        Self {
            ticks: 0,
            budget: u32::try_from(ticks).unwrap_or(u32::MAX),
            forgiven: false,
            since: None,
        }
    }

    /// Called after a wait in the host, which took this long.
    pub(super) fn waited(&mut self, took: Duration) {
        self.forgiven |= took >= TICK;
    }

    fn tick(&mut self) -> Result<(), CpuUsedUp> {
        if !std::mem::take(&mut self.forgiven) {
            self.ticks += 1;
        }
        if let Some(since) = self.since {
            let computed = thread_time().saturating_sub(since);
            return if computed > TICK * self.budget { Err(CpuUsedUp) } else { Ok(()) };
        }
        if self.ticks > self.budget { Err(CpuUsedUp) } else { Ok(()) }
    }
}

/// The guest computed for longer than `cpu_time`.
#[derive(Debug, thiserror::Error)]
#[error("the plugin computed for longer than cpu_time")]
pub(super) struct CpuUsedUp;

/// A store with nothing in it but limits.
pub(super) fn store(engine: &Engine, ground: &Arc<Ground>) -> Store<State> {
    let limits = &ground.limits;
    let log = GuestLog::new(ground.name.clone(), limits.max_log_bytes, ground.lines.clone());
    let mut wasi_http = WasiHttpCtx::new();
    wasi_http.set_field_size_limit(limits.max_header_bytes);
    // No files, no environment, no arguments; sockets are linked, as Python imports them, and shut.
    let mut wasi = WasiCtx::builder();
    wasi.allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .max_random_size(MAX_RANDOM_BYTES)
        .stderr(log.stderr());
    match &ground.stdout {
        Some(stdout) => wasi.stdout(stdout.of(&ground.name)),
        None => wasi.stdout(log.stdout()),
    };
    let moment = Moment::default();
    wasi.wall_clock(moment.clone());
    let wasi = wasi.build();
    let state = State {
        ground: ground.clone(),
        outbound: Outbound {
            ground: ground.clone(),
            log: log.clone(),
            deadline: Instant::now(),
            place: None,
            tape: Tape::None,
            capacity: Capacity::new(limits.max_response_bytes),
        },
        log,
        cpu: Cpu::with(limits.cpu_time),
        memory: MemoryBound::new(limits),
        kv: KvOfCall::none(),
        verified: Verified::default(),
        alarm: Alarm::default(),
        moment,
        wasi,
        wasi_http,
        handles: Handles::new(limits),
    };
    let guest = ground.permits.guest();
    let mut store = Store::new(engine, state);
    store.limiter(|state| &mut state.memory);
    store.set_hostcall_fuel(limits.max_handover_bytes);
    store.epoch_deadline_callback(move |mut context| {
        if let Some(samples) = context.data().ground.samples.clone() {
            samples.add(&context);
        }
        let state = context.data_mut();
        state.cpu.tick()?;
        state.ground.permits.interrupted();
        // Yielding is what lets the deadline's timer stop a loop. It must be tokio's own: that looks at
        // timers and sockets before the guest goes on. A task that only wakes itself goes on at once, and
        // those are looked at every 61 permits, which is half a second of other people's time.
        if state.cpu.ticks <= cpu_permits::QUICK {
            return Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())));
        }
        let permits = state.ground.permits.clone();
        Ok(UpdateDeadline::YieldCustom(1, Box::pin(async move { permits.take(guest).await })))
    });
    store
}

/// Readies a store for one call.
pub(super) fn begin_call(
    store: &mut Store<State>,
    deadline: Instant,
    place: Option<TraceContext>,
    kv: KvOfCall,
    tape: Tape,
) {
    store.set_epoch_deadline(1);
    let state = store.data_mut();
    // A shadow may wait for its turn at a processor for long: what it computes itself counts.
    let since = state.ground.is_shadow.then(thread_time);
    state.cpu = Cpu { ticks: 0, forgiven: false, since, ..state.cpu };
    state.verified = Verified::default();
    state.kv = kv;
    state.outbound.deadline = deadline;
    state.outbound.place = place;
    match tape {
        // Its clock was set before.
        Tape::Play(_) => {}
        Tape::Record(_) => state.moment.begin(true),
        Tape::None => state.moment.begin(false),
    }
    state.outbound.tape = tape;
    state.log.begin();
}

impl State {
    /// Handles that the guest holds.
    pub(super) fn handles_held(&mut self) -> usize {
        self.handles.held()
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: self.handles.table() }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.wasi_http,
            table: self.handles.table(),
            hooks: &mut self.outbound,
        }
    }
}
