//! The log: its set-up, and what keeps it short. Data goes to stdout, everything said about it to stderr.

mod lines;
mod refusals;

use std::io::{self, IsTerminal};

use tracing::Level;
use tracing_subscriber::EnvFilter;

use lines::Lines;
pub use refusals::Refusals;
pub(crate) use refusals::WINDOW as REFUSALS_WINDOW;

/// The target of what a command says, where that is a log line: no filter leaves it out.
pub const SAID: &str = "sidenote::said";

/// Sends log lines to stderr, filtered by `SIDENOTE_LOG` or, without it, from `level` on, as text or,
/// with `json`, one JSON object per line. Where nobody reads stderr any more they are lost, and nothing else.
pub fn init(json: bool, level: Level) {
    let wanted = without_payloads(&std::env::var("SIDENOTE_LOG").unwrap_or_default());
    let default = || EnvFilter::new(level.as_str());
    let parsed = if wanted.is_empty() { Ok(default()) } else { EnvFilter::try_new(&wanted) };
    let quiet = "rmcp=error".parse().expect("a directive");
    let said = format!("{SAID}=info").parse().expect("a directive");
    let (filter, refused) = match parsed {
        Ok(filter) => (filter, None),
        Err(error) => (default(), Some(error)),
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter.add_directive(quiet).add_directive(said))
        .with_ansi(io::stderr().is_terminal())
        // It would say so on stderr, and panic where that is gone.
        .log_internal_errors(false)
        .with_writer(move || Lines::new(io::stderr(), json));
    let installed = if json { builder.json().try_init() } else { builder.try_init() };
    if installed.is_err() {
        tracing::debug!("a log subscriber is already installed; keeping it");
    }
    if let Some(error) = refused {
        tracing::warn!(%error, "SIDENOTE_LOG can't be used; logging at the default. Write, for example, `debug` or `sidenote::stream=debug,info`");
    }
}

/// What is wanted but for the log of the protocol for agents, which shows what people did and asked.
fn without_payloads(wanted: &str) -> String {
    let shown = |directive: &&str| !directive.trim_start().starts_with("rmcp");
    wanted.split(',').filter(shown).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shows_payloads_cannot_be_asked_for() {
        let wanted = "debug, rmcp=trace,sidenote=info,rmcp::service=debug";
        assert_eq!(without_payloads(wanted), "debug,sidenote=info");
        assert_eq!(without_payloads("rmcp"), "");
    }
}
