//! The commands.

mod demo;

use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
enum Cli {
    Demo(demo::DemoArgs),
}

/// Runs the command line.
pub fn main() -> ExitCode {
    let Cli::Demo(args) = Cli::parse();
    let runtime = tokio::runtime::Runtime::new().expect("the system gives threads");
    match runtime.block_on(demo::run(args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
