//! `sidenote plugin`: components as files, before they are used, and how those of the host are.

mod bench;
mod call;
mod core_module;
mod exchange;
mod inspect;
mod list;
mod new;
mod pack;
mod suite;
mod watch;

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;

use crate::plugin::AdmitError;

pub(super) use bench::Unusable;

/// What `plugin` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// Makes one call of a component, with the grants of its configuration
    Call(call::CallArgs),
    /// Says what a component is, what it asks for, and whether this host would take it
    Inspect(inspect::InspectArgs),
    /// Lists the plugins of the running host, and how they are
    List(list::ListArgs),
    /// Begins a plugin in a language of your choice
    New(new::NewArgs),
    /// Puts a manifest into a component
    Pack(pack::PackArgs),
    /// Runs a component against a mock platform and checks what it does
    Test(suite::TestArgs),
    /// Builds a component again whenever its sources change, and shows what it sends
    Watch(watch::WatchArgs),
}

/// Runs a command.
pub(super) async fn plugin(command: PluginCommand) -> anyhow::Result<ExitCode> {
    match command {
        PluginCommand::Call(args) => call::call(&args).await,
        PluginCommand::Inspect(args) => inspect::inspect(&args).await,
        PluginCommand::List(args) => list::run(args).await.map(|()| ExitCode::SUCCESS),
        PluginCommand::New(args) => new::new(&args).map(|()| ExitCode::SUCCESS),
        PluginCommand::Pack(args) => pack::pack(&args).map(|()| ExitCode::SUCCESS),
        PluginCommand::Test(args) => suite::test(&args).await,
        PluginCommand::Watch(args) => watch::watch(args).await,
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
