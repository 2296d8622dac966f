//! Logging set-up. Data goes to stdout, everything said about it to stderr.

use tracing_subscriber::EnvFilter;

/// Sends log lines to stderr, filtered by `SIDENOTE_LOG` (default `info`), as text or, with `json`,
/// one JSON object per line.
pub fn init(json: bool) {
    let filter = EnvFilter::try_from_env("SIDENOTE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let installed = if json {
        builder.json().try_init()
    } else {
        builder.try_init()
    };
    if installed.is_err() {
        tracing::debug!("a log subscriber is already installed; keeping it");
    }
}
