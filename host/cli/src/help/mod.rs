//! The command line as a tree, with an example for each command; what is made of it: parsing, completions, pages.

mod examples;
#[cfg(test)]
mod page;
#[cfg(test)]
mod tests;

use clap::{Command, CommandFactory, FromArgMatches};

use self::examples::EXAMPLES;
use crate::Cli;

/// The whole tree.
pub(crate) fn tree() -> Command {
    with_examples(Cli::command(), "")
}

/// Reads the command line.
pub(crate) fn parse() -> Result<Cli, clap::Error> {
    let mut matches = tree().try_get_matches()?;
    Cli::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut tree()))
}

fn with_examples(command: Command, path: &str) -> Command {
    let command = command.mut_subcommands(|sub| {
        let path = format!("{path} {}", sub.get_name());
        with_examples(sub, path.trim_start())
    });
    match example(path) {
        Some(example) => command.after_help(format!("Example: {example}")),
        None => command,
    }
}

/// The example of a command that is named by its words: `outbox list`.
fn example(path: &str) -> Option<&'static str> {
    EXAMPLES.iter().find(|(name, _)| *name == path).map(|(_, example)| *example)
}
