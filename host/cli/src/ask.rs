//! What people type, and how it is written as TOML.

use std::io::{self, BufRead, Read};

use anyhow::Context;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

/// Longest line that is read, in bytes.
const LONGEST: u64 = 64 << 10;

/// A text as TOML writes it.
pub(crate) fn quoted(text: &str) -> String {
    // JSON lets this one stand as it is, and TOML doesn't.
    serde_json::to_string(text).unwrap_or_default().replace('\u{7f}', "\\u007F")
}

/// The next line of stdin.
pub(crate) fn line() -> anyhow::Result<String> {
    let mut text = String::new();
    let read = io::stdin().lock().take(LONGEST).read_line(&mut text);
    read.context("stdin can't be read")?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// A line that isn't shown while it is typed.
pub(crate) fn unseen() -> anyhow::Result<String> {
    let stdin = io::stdin();
    let before = tcgetattr(&stdin).context("the terminal can't be asked")?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&stdin, OptionalActions::Flush, &silent)
        .context("the terminal shows what is typed")?;
    let said = line();
    tcsetattr(&stdin, OptionalActions::Now, &before)
        .context("the terminal isn't as it was; run `stty echo`")?;
    said
}
