//! What a build without the feature `authors` says where an author's command is asked for. It has the names that
//! `sidenote_authors` and `sidenote_sim` have, so that nobody else needs to know which of them are there.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use sidenote_terminal::Unusable;

/// The authors' half of `sidenote plugin`, by name alone. The help doesn't list them.
#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    #[command(hide = true, disable_help_flag = true)]
    Call(DemoArgs),
    #[command(hide = true, disable_help_flag = true)]
    New(DemoArgs),
    #[command(hide = true, disable_help_flag = true)]
    Pack(DemoArgs),
    #[command(hide = true, disable_help_flag = true)]
    Push(DemoArgs),
    #[command(hide = true, disable_help_flag = true)]
    Test(DemoArgs),
    #[command(hide = true, disable_help_flag = true)]
    Watch(DemoArgs),
    #[command(hide = true, disable_help_flag = true)]
    Wit(DemoArgs),
}

/// Whatever stands behind the command's name.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct DemoArgs {
    #[arg(hide = true, allow_hyphen_values = true, trailing_var_arg = true)]
    ignored: Vec<OsString>,
}

/// Says that it is left out.
pub(crate) async fn plugin(command: PluginCommand) -> anyhow::Result<ExitCode> {
    Err(left_out(match command {
        PluginCommand::Call(_) => "plugin call",
        PluginCommand::New(_) => "plugin new",
        PluginCommand::Pack(_) => "plugin pack",
        PluginCommand::Push(_) => "plugin push",
        PluginCommand::Test(_) => "plugin test",
        PluginCommand::Watch(_) => "plugin watch",
        PluginCommand::Wit(_) => "plugin wit",
    }))
}

/// Says that it is left out.
#[cfg(not(feature = "demo"))]
pub(crate) async fn demo(_: DemoArgs) -> anyhow::Result<()> {
    Err(left_out("demo"))
}

/// Says that it is left out.
#[cfg(not(feature = "demo"))]
pub(crate) async fn replay(_: DemoArgs) -> anyhow::Result<()> {
    Err(left_out("stream replay"))
}

fn left_out(command: &str) -> anyhow::Error {
    let message = format!(
        "`sidenote {command}` isn't in this build, which leaves out what serves authors of plugins: demo, \
         stream replay, and plugin call, new, pack, test, watch and wit; use a build with the feature `authors`, as `cargo build --release \
         --package sidenote-cli` makes it"
    );
    Unusable(message).into()
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(subcommand)]
        command: PluginCommand,
    }

    #[tokio::test]
    async fn an_authors_command_says_what_was_left_out_and_how_to_get_it() {
        for (line, name) in [
            (&["sidenote", "new"][..], "plugin new"),
            (&["sidenote", "new", "bot", "--lang", "rust"], "plugin new"),
            (&["sidenote", "test", "--help"], "plugin test"),
            (&["sidenote", "call", "bot.wasm", "post-note", "--json"], "plugin call"),
            (&["sidenote", "pack", "in.wasm", "-o", "out.wasm"], "plugin pack"),
            (&["sidenote", "watch", "-h"], "plugin watch"),
            (&["sidenote", "wit", "--out", "wit"], "plugin wit"),
        ] {
            let command = Line::try_parse_from(line).unwrap().command;
            let error = plugin(command).await.unwrap_err();
            assert!(sidenote_terminal::failure::is_usage(&error));
            let message = error.to_string();
            for part in [name, "isn't in this build", "feature `authors`"] {
                assert!(message.contains(part), "{line:?}: {message}");
            }
        }
    }

    #[test]
    fn the_help_lists_none_of_them() {
        let help = Line::command().render_long_help().to_string();
        for name in ["call", "new", "pack", "test", "watch", "wit"] {
            assert!(!help.contains(&format!("  {name}")), "{help}");
        }
    }

    /// A command that authors get must be known here too.
    #[cfg(feature = "authors")]
    #[test]
    fn every_authors_command_is_known() {
        let names = |command: clap::Command| {
            let names = command.get_subcommands().map(|it| it.get_name().to_owned());
            names.collect::<std::collections::BTreeSet<_>>()
        };
        let full = sidenote_authors::PluginCommand::augment_subcommands(clap::Command::new("all"));
        assert_eq!(names(Line::command()), names(full));
    }
}
