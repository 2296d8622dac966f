//! The rule of exit codes and of questions, for all commands.
//!
//! | code | when |
//! |---|---|
//! | 0 | what was asked for is done; a preview is shown; nothing had to be done |
//! | 1 | it isn't done: it failed, it was declined, or what was looked at doesn't pass (`check`, `plugin inspect`, `plugin test`, `smoke-test`) |
//! | 2 | the command line or the configuration can't be used, or somebody would have to be asked and nobody can be |
//!
//! What can't be undone is asked about where stdin is a terminal; `--yes` answers before. No answer, and any
//! answer but `y` and `yes`, is a no.

use std::io::{self, BufRead, IsTerminal};
use std::process::ExitCode;

use anyhow::Context;

use crate::output;

/// It isn't done.
pub const NOT_DONE: ExitCode = ExitCode::FAILURE;

/// Exit code of a wrong command line (clap's own) and of a wrong configuration.
const USAGE: u8 = 2;

/// The command line, or the configuration, can't be used.
pub fn usage() -> ExitCode {
    ExitCode::from(USAGE)
}

/// Done, or not.
pub fn done_if(done: bool) -> ExitCode {
    if done { ExitCode::SUCCESS } else { NOT_DONE }
}

/// Says that nobody can be asked, where that is so. `what`: what can't be undone, for example "purging".
pub fn cannot_ask(what: &str) -> bool {
    let nobody = !io::stdin().is_terminal();
    if nobody {
        output::say(&format!(
            "error: {what} can't be undone, and without a terminal nobody can be asked; add --yes, or look first with --dry-run"
        ));
    }
    nobody
}

/// Asks a question on stderr and reads the answer. `refused`: what is said to a no.
pub fn is_wanted(question: &str, refused: &str) -> anyhow::Result<bool> {
    let wanted = ask(question, &mut io::stdin().lock())?;
    if !wanted {
        output::say(refused);
    }
    Ok(wanted)
}

fn ask(question: &str, answers: &mut impl BufRead) -> anyhow::Result<bool> {
    output::say(&format!("{question} [y/N]"));
    let mut answer = String::new();
    answers.read_line(&mut answer).context("the answer can't be read")?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_a_yes() {
        for (answer, yes) in [
            ("y\n", true),
            ("Yes\r\n", true),
            ("", false),
            ("\n", false),
            ("n\n", false),
            ("yo\n", false),
        ] {
            assert_eq!(ask("?", &mut answer.as_bytes()).unwrap(), yes, "{answer:?}");
        }
    }
}
