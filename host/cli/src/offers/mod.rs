//! `sidenote offers`: what was decided of offers of help, and what would be.

mod list;
mod rehearse;

use std::process::ExitCode;

use clap::Subcommand;

/// What `offers` does.
#[derive(Debug, Subcommand)]
pub(crate) enum OffersCommand {
    /// List the latest decisions about offers, made and refused, with the reasons
    List(list::ListArgs),
    /// Print what would have been offered for recorded events, when, and why not; send nothing
    Try(rehearse::TryArgs),
}

/// Runs the command.
pub(super) async fn offers(command: OffersCommand) -> anyhow::Result<ExitCode> {
    match command {
        OffersCommand::List(args) => list::list(args).await,
        OffersCommand::Try(args) => rehearse::rehearse(args).await,
    }
}
