//! `sidenote plugin`: components as files, before they are used, and how those of the host are.

mod core_module;
mod inspect;
mod list;
mod new;
mod pack;

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;

use crate::plugin::AdmitError;

/// What `plugin` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// Says what a component is, what it asks for, and whether this host would take it
    Inspect(inspect::InspectArgs),
    /// Lists the plugins of the running host, and how they are
    List(list::ListArgs),
    /// Begins a plugin in a language of your choice
    New(new::NewArgs),
    /// Puts a manifest into a component
    Pack(pack::PackArgs),
}

/// Runs a command.
pub(super) async fn plugin(command: PluginCommand) -> anyhow::Result<ExitCode> {
    match command {
        PluginCommand::Inspect(args) => inspect::inspect(&args).await,
        PluginCommand::List(args) => list::run(args).await.map(|()| ExitCode::SUCCESS),
        PluginCommand::New(args) => new::new(&args).map(|()| ExitCode::SUCCESS),
        PluginCommand::Pack(args) => pack::pack(&args).map(|()| ExitCode::SUCCESS),
    }
}

/// An error about a file that was named on the command line, where no plugins folder is meant.
fn about(file: &Path, error: AdmitError) -> anyhow::Error {
    if matches!(error, AdmitError::Missing) {
        anyhow::anyhow!("{}: there is no such file; check the path", file.display())
    } else {
        anyhow::anyhow!("{}: {error}", file.display())
    }
}
