//! The two ways out: data to stdout, words to stderr.

use std::io::{self, ErrorKind, Write};

use anyhow::Context;

/// Writes data and a line break to stdout. A reader that went away early, such as `head`, is no error.
pub(super) fn data(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("stdout can't be written to"),
    }
}

/// Writes words and a line break to stderr. Where that fails nobody is listening.
pub(super) fn say(text: &str) {
    writeln!(io::stderr().lock(), "{text}").unwrap_or_default();
}
