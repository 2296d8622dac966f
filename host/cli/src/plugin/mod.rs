//! `sidenote plugin`: how the plugins of the host are, what a component is, and what serves authors.

mod inspect;
mod list;

use std::process::ExitCode;

use clap::Subcommand;

use crate::authors;

/// What `plugin` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// Says what a component is, what it asks for, and whether this host would take it
    Inspect(inspect::InspectArgs),
    /// Lists the plugins of the running host, and how they are
    List(list::ListArgs),
    #[command(flatten)]
    Authors(authors::PluginCommand),
}

/// Runs a command.
pub(super) async fn plugin(command: PluginCommand) -> anyhow::Result<ExitCode> {
    match command {
        PluginCommand::Inspect(args) => inspect::inspect(&args).await,
        PluginCommand::List(args) => list::run(args).await.map(|()| ExitCode::SUCCESS),
        PluginCommand::Authors(command) => authors::plugin(command).await,
    }
}
