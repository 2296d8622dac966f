//! Logging set-up. Data goes to stdout, everything said about it to stderr.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

/// Sends log lines to stderr, filtered by `SIDENOTE_LOG` (default `info`), as text or, with `json`,
/// one JSON object per line.
pub fn init(json: bool) {
    let wanted = std::env::var("SIDENOTE_LOG").unwrap_or_default();
    let parsed =
        if wanted.is_empty() { Ok(EnvFilter::new("info")) } else { EnvFilter::try_new(&wanted) };
    let (filter, refused) = match parsed {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new("info"), Some(error)),
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
        tracing::warn!(%error, "SIDENOTE_LOG can't be used; logging at `info`. Write, for example, `debug` or `sidenote::stream=debug,info`");
    }
}
