//! `sidenote plugin`: how the plugins of the host are, what a component is, and what serves authors.

mod add;
mod inspect;
mod kv;
mod list;
mod logs;
mod pull;
mod remove;
mod shadow;
mod switch;
mod timers;
mod verify;

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;
use sidenote::config::{Reference, SCHEME};

use crate::authors;

/// What `plugin` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// Show a component's exports and requests, and whether this host accepts it
    Inspect(inspect::InspectArgs),
    /// List the plugins of the running host, and their states
    List(list::ListArgs),
    /// Show the latest log lines of a plugin; they may contain what people did
    Logs(logs::LogsArgs),
    /// Show what a plugin keeps under keys, or remove it
    Kv(kv::KvArgs),
    /// Show the timers that a plugin set, or remove them
    Timers(timers::TimersArgs),
    /// Add a component, a file or one in a registry: its table, its secrets; all of it or nothing
    Add(add::AddArgs),
    /// Remove what `plugin add` created
    Remove(remove::RemoveArgs),
    /// Disable a plugin: its deliveries wait until it is enabled
    Disable(switch::DisableArgs),
    /// Enable a plugin that was disabled, by a person or after days without a success
    Enable(switch::EnableArgs),
    /// Give a new version of a plugin every live call without sending anything, or show what it does differently
    Shadow(shadow::ShadowArgs),
    /// Run the new version that a shadow was started with
    Promote(shadow::PromoteArgs),
    /// End a plugin's shadow; the plugin runs as before
    Drop(shadow::DropArgs),
    /// Pull a component from a registry into a file
    Pull(pull::PullArgs),
    /// Verify the signature of a component, in a file or in a registry
    Verify(verify::VerifyArgs),
    #[command(flatten)]
    Authors(authors::PluginCommand),
}

/// Runs a command.
pub(super) async fn plugin(command: PluginCommand) -> anyhow::Result<ExitCode> {
    match command {
        PluginCommand::Inspect(args) => inspect::inspect(&args).await,
        PluginCommand::List(args) => list::run(args).await.map(|()| ExitCode::SUCCESS),
        PluginCommand::Logs(args) => logs::logs(args).await.map(|()| ExitCode::SUCCESS),
        PluginCommand::Kv(args) => kv::kv(args).await.map(|()| ExitCode::SUCCESS),
        PluginCommand::Timers(args) => timers::timers(args).await.map(|()| ExitCode::SUCCESS),
        PluginCommand::Add(args) => add::add(args).await,
        PluginCommand::Remove(args) => remove::remove(args).await,
        PluginCommand::Disable(args) => switch::disable(args).await.map(|()| ExitCode::SUCCESS),
        PluginCommand::Enable(args) => switch::enable(args).await.map(|()| ExitCode::SUCCESS),
        PluginCommand::Shadow(args) => shadow::shadow(args).await.map(|()| ExitCode::SUCCESS),
        PluginCommand::Promote(args) => shadow::promote(args).await.map(|()| ExitCode::SUCCESS),
        PluginCommand::Drop(args) => shadow::drop_it(args).await.map(|()| ExitCode::SUCCESS),
        PluginCommand::Pull(args) => pull::pull(&args).await.map(|()| ExitCode::SUCCESS),
        PluginCommand::Verify(args) => verify::verify(&args).await.map(|()| ExitCode::SUCCESS),
        PluginCommand::Authors(command) => authors::plugin(command).await,
    }
}

/// Whether a component is named by its file. A name that could be both is a file's where there is such a file.
fn is_file(subject: &str) -> bool {
    !subject.starts_with(SCHEME)
        && (Path::new(subject).exists() || Reference::parse(subject).is_err())
}
