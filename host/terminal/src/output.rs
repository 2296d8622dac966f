//! The two ways out: data to stdout, words to stderr. With `--log-json` words are log lines too, so that every
//! line of stderr is an object.

use std::io::{self, ErrorKind, Write};
use std::panic::PanicHookInfo;
use std::sync::OnceLock;

use anyhow::Context;
use sidenote::telemetry::SAID;
use sidenote::visible::steers;

use crate::failure::Failure;

/// Whether words are said as log lines; decided once, by the command line.
static AS_LOG: OnceLock<()> = OnceLock::new();

/// From here on words are log lines, and a panic's are too. The log must be set up for JSON.
pub fn say_as_log() {
    if AS_LOG.set(()).is_ok() {
        std::panic::set_hook(Box::new(tell_panic));
    }
}

/// Writes data and a line break to stdout. A reader that went away early, such as `head`, is no error.
pub fn data(text: &str) -> anyhow::Result<()> {
    data_read(text).map(drop)
}

/// As [`data`], for a command that goes on for as long as it is read: whether somebody still reads.
///
/// # Errors
/// It can't be written, for another reason than that the reader went away.
pub fn data_read(text: &str) -> anyhow::Result<Reader> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Ok(()) => Ok(Reader::There),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(error).context("stdout can't be written to"),
    }
}

/// Whether somebody reads what is written to stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// It was written.
    There,
    /// Nobody reads any more.
    Gone,
}

/// Writes words and a line break to stderr. Where that fails nobody is listening.
pub fn say(text: &str) {
    if AS_LOG.get().is_some() {
        tracing::info!(target: SAID, "{text}");
    } else {
        writeln!(io::stderr().lock(), "{text}").unwrap_or_default();
    }
}

/// Says why a command failed.
pub fn fail(failure: &Failure) {
    if AS_LOG.get().is_some() {
        let Failure { stage, subject, cause, next, message } = failure;
        let next = next.as_deref();
        tracing::error!(target: SAID, stage, subject, cause, next, "{message}");
    } else {
        writeln!(io::stderr().lock(), "error: {}", failure.message).unwrap_or_default();
    }
}

/// A time in its largest whole unit.
pub fn short(seconds: f64) -> String {
    let seconds = seconds.max(0.0) as u64;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        86_400.. => format!("{}d", seconds / 86_400),
    }
}

/// Text whose control characters, and others that a terminal or a reader could be misled by, are spelled.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '"' | '\'' => escaped.push(c),
            c if steers(c) && !c.is_control() => escaped.extend(c.escape_unicode()),
            c => escaped.extend(c.escape_debug()),
        }
    }
    escaped
}

fn tell_panic(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("without a message");
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    tracing::error!(
        target: SAID,
        stage = "panic",
        subject = thread.name().unwrap_or("unnamed thread"),
        cause = message,
        place,
        next = "this is a bug: report it with this line",
        "a thread panicked: {message}"
    );
}
