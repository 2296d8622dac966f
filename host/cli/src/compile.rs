//! `sidenote compile-component`: what a host starts to have a component compiled. It is no command for people.

use std::process::ExitCode;

use clap::Args;
use sidenote::plugin::compiler::{Job, serve};

/// What `compile-component` takes; the component comes in on stdin.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct CompileArgs {
    /// Most memory, in bytes
    #[arg(long, value_name = "BYTES")]
    memory: u64,
}

/// Compiles what comes in.
pub(super) fn compile(args: CompileArgs) -> ExitCode {
    serve(Job { memory_bytes: args.memory })
}
