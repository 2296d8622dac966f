//! Logging set-up. Data goes to stdout, everything said about it to stderr.

use std::io::{self, IsTerminal};

use tracing::Level;
use tracing_subscriber::EnvFilter;

/// Sends log lines to stderr, filtered by `SIDENOTE_LOG` or, without it, from `level` on, as text or,
/// with `json`, one JSON object per line.
pub fn init(json: bool, level: Level) {
    let wanted = std::env::var("SIDENOTE_LOG").unwrap_or_default();
    let default = || EnvFilter::new(level.as_str());
    let parsed = if wanted.is_empty() { Ok(default()) } else { EnvFilter::try_new(&wanted) };
    let (filter, refused) = match parsed {
        Ok(filter) => (filter, None),
        Err(error) => (default(), Some(error)),
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    let installed = if json { builder.json().try_init() } else { builder.try_init() };
    if installed.is_err() {
        tracing::debug!("a log subscriber is already installed; keeping it");
    }
    if let Some(error) = refused {
        tracing::warn!(%error, "SIDENOTE_LOG can't be used; logging at the default. Write, for example, `debug` or `sidenote::stream=debug,info`");
    }
}
