//! The engine: its settings, and the tick that lets it stop a loop.

use std::sync::Arc;
use std::time::Duration;

use super::cpu_permits::CpuPermits;
use wasmtime::{Config, Engine, WasmBacktraceDetails, WasmFeatures};

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
    // Multi-memory stays on: compiling a composed component panics without it.
    let unneeded = WasmFeatures::THREADS
        | WasmFeatures::SHARED_EVERYTHING_THREADS
        | WasmFeatures::TAIL_CALL
        | WasmFeatures::EXCEPTIONS
        | WasmFeatures::LEGACY_EXCEPTIONS
        | WasmFeatures::MEMORY64
        | WasmFeatures::FUNCTION_REFERENCES
        | WasmFeatures::GC
        | WasmFeatures::CUSTOM_PAGE_SIZES
        | WasmFeatures::STACK_SWITCHING
        | WasmFeatures::WIDE_ARITHMETIC
        | WasmFeatures::MEMORY_CONTROL
        | WasmFeatures::RELAXED_SIMD
        | WasmFeatures::CM_VALUES
        | WasmFeatures::CM_NESTED_NAMES
        | WasmFeatures::CM_ASYNC
        | WasmFeatures::CM_ASYNC_STACKFUL
        | WasmFeatures::CM_MORE_ASYNC_BUILTINS
        | WasmFeatures::CM_THREADING
        | WasmFeatures::CM_ERROR_CONTEXT
        | WasmFeatures::CM_FIXED_LENGTH_LISTS
        | WasmFeatures::CM_GC;
    config.wasm_features(unneeded, false);
    config
}
