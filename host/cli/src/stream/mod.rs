//! `sidenote stream`: what operators do with streams.

mod file;
mod mask;
mod record;
mod retry;

use std::process::ExitCode;

use clap::Subcommand;

use crate::authors::{ReplayArgs, replay};

/// What `stream` does.
#[derive(Debug, Subcommand)]
pub(crate) enum StreamCommand {
    /// Reconnect at once the streams that wait or were refused
    Retry(retry::RetryArgs),
    /// Record what a connector sends into a file, with people's data masked
    Record(record::RecordArgs),
    /// Serve a recording as a connector does, for a host to read
    #[command(hide = cfg!(not(feature = "demo")), disable_help_flag = cfg!(not(feature = "demo")))]
    Replay(ReplayArgs),
}

/// Runs the command.
pub(super) async fn stream(command: StreamCommand) -> anyhow::Result<ExitCode> {
    match command {
        StreamCommand::Retry(args) => retry::retry(args).await,
        StreamCommand::Record(args) => record::record(args).await,
        StreamCommand::Replay(args) => replay(args).await.map(|()| ExitCode::SUCCESS),
    }
}
