//! The authors' half of `sidenote plugin`: components as files, before they are used. A host runs without it.
//!
//! | module | owns |
//! |---|---|
//! | `new` | a plugin is begun: the templates, compiled in |
//! | `pack`, `core_module` | a manifest is put into a component, and a core module becomes one |
//! | `bench` | a component is loaded by itself, with settings and grants for trying it out |
//! | `call` | one call |
//! | `suite` | the contract suite of `plugin test` |
//! | `watch` | built, called and shown again at each change |
//! | `profile` | what a component computes, as a file for profilers |
//! | `wit` | the interface, for bindings generators |
//! | `push` | a component goes into a registry, signed where that is wanted |
//! | `exchange` | what a component said to the mock, for people |

mod bench;
mod call;
mod core_module;
mod exchange;
mod new;
mod pack;
mod profile;
mod push;
mod suite;
mod watch;
mod wit;

use std::process::ExitCode;

use clap::Subcommand;

/// What `plugin` can do for authors.
#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// Make one call of a component, with the grants of its configuration
    Call(call::CallArgs),
    /// Start a plugin in a language of your choice
    New(new::NewArgs),
    /// Put a manifest into a component
    Pack(pack::PackArgs),
    /// Push a component into a registry, signed where that is wanted
    Push(push::PushArgs),
    /// Run a component against a mock platform and check what it does
    Test(suite::TestArgs),
    /// Rebuild a component whenever its sources change, and show what it sends
    Watch(watch::WatchArgs),
    /// Print the interface in WIT, for the bindings generators of any language
    Wit(wit::WitArgs),
}

/// Runs a command.
///
/// # Errors
/// It can't be carried out; [`sidenote_terminal::failure`] tells the parts of that.
pub async fn plugin(command: PluginCommand) -> anyhow::Result<ExitCode> {
    match command {
        PluginCommand::Call(args) => call::call(&args).await,
        PluginCommand::New(args) => new::new(&args).map(|()| ExitCode::SUCCESS),
        PluginCommand::Pack(args) => pack::pack(&args).map(|()| ExitCode::SUCCESS),
        PluginCommand::Push(args) => push::push(&args).await.map(|()| ExitCode::SUCCESS),
        PluginCommand::Test(args) => suite::test(&args).await,
        PluginCommand::Watch(args) => watch::watch(args).await,
        PluginCommand::Wit(args) => wit::wit(&args).map(|()| ExitCode::SUCCESS),
    }
}
