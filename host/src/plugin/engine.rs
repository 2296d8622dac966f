//! The engine: its settings, and the tick that lets it stop a loop.

use std::time::Duration;

use wasmtime::{Config, Engine, WasmBacktraceDetails, WasmFeatures};

/// How often a running guest is interrupted; the grain of `cpu_time`, and how long one that computes keeps a
/// thread from everybody else. The thread that ticks costs an idle host about two thousandths of a core.
pub(super) const TICK: Duration = Duration::from_millis(5);

/// An engine whose epoch advances every [`TICK`] until the engine is dropped.
pub(super) fn start() -> wasmtime::Result<Engine> {
    let engine = Engine::new(&settings())?;
    let weak = engine.weak();
    // A thread of its own: a guest that loops may hold up every thread that runs tasks, and with them
    // the runtime's timers.
    std::thread::Builder::new().name("plugin-tick".to_owned()).spawn(move || {
        while let Some(engine) = weak.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(TICK);
        }
    })?;
    Ok(engine)
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
