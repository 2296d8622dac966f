//! The engine: its settings, and the tick that lets it stop a loop.

use std::sync::Arc;
use std::time::Duration;

use super::cpu_permits::CpuPermits;
use super::features;
use wasmtime::{Config, Engine, WasmBacktraceDetails};

/// How often a guest that computes is interrupted; the grain of `cpu_time`, and how long one that computes
/// keeps a thread from everybody else.
pub(super) const TICK: Duration = Duration::from_millis(1);
/// The same for the first interruption after a time in which no guest needed one. The thread that ticks
/// then costs about two thousandths of a core.
const IDLE_TICK: Duration = Duration::from_millis(5);

/// After so many ticks that interrupted nobody they come less often.
const PATIENCE: u32 = 20;

/// An engine whose epoch advances every [`TICK`], or every [`IDLE_TICK`] where `cpu_permits` saw no guest compute,
/// until the engine is dropped.
pub(super) fn start(permits: &Arc<CpuPermits>) -> wasmtime::Result<Engine> {
    let engine = Engine::new(&settings())?;
    let (weak, permits) = (engine.weak(), permits.clone());
    // A thread of its own: a guest that loops may hold up every thread that runs tasks, and with them
    // the runtime's timers.
    std::thread::Builder::new().name("plugin-tick".to_owned()).spawn(move || {
        let mut calm = 0_u32;
        while let Some(engine) = weak.upgrade() {
            engine.increment_epoch();
            drop(engine);
            calm = if permits.is_computing() { 0 } else { calm.saturating_add(1) };
            std::thread::sleep(if calm < PATIENCE { TICK } else { IDLE_TICK });
        }
    })?;
    Ok(engine)
}

/// An engine that only compiles: what it makes fits those of [`start`], and nothing runs in it.
pub(super) fn compiling() -> wasmtime::Result<Engine> {
    Engine::new(&settings())
}

fn settings() -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true);
    // Otherwise a variable of the environment decides.
    config.wasm_backtrace_details(WasmBacktraceDetails::Disable);
    // Halves the cost of a call; plugins are called one at a time each.
    config.concurrency_support(false);
    config.wasm_features(features::accepted(), true);
    config.wasm_features(features::refused(), false);
    // What a component computes is the same on every machine.
    config.relaxed_simd_deterministic(true);
    config
}
