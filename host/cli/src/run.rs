//! `sidenote run`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use sidenote::config::Source;
use sidenote::host::Host;
use sidenote::plugin::Compiler;
use tokio::signal::unix::{SignalKind, signal};

use super::supervisor;

/// How long a shutdown may take. What isn't posted by then waits in the store.
const DEADLINE: Duration = Duration::from_secs(10);

/// What `run` takes.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The configuration
    #[arg(long, value_name = "FILE", env = "SIDENOTE_CONFIG", default_value = "sidenote.toml")]
    config: PathBuf,
}

/// Runs the host until SIGTERM or SIGINT, then stops it in order. SIGHUP has the configuration read again, and
/// never ends anything.
pub(crate) async fn run(args: RunArgs) -> anyhow::Result<()> {
    // Before anything that takes its time: from here on it is heard, and it counts once the host runs.
    let mut hangup = signal(SignalKind::hangup()).context("SIGHUP can't be listened for")?;
    let source = Source::of(args.config);
    let config = source.load()?;
    let compiler = Compiler::of_this_program().context("the program's own file can't be told")?;
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM can't be listened for")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT can't be listened for")?;
    let sockets = supervisor::sockets()?;
    // A host may wait here for another one to give its store up.
    let mut host = tokio::select! {
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
        host = Host::start_on(sockets, compiler, source, config) => host?,
        never = supervisor::starts() => match never {},
    };
    supervisor::ready();
    let reloader = host.reloader();
    let reloading = async {
        // The result is in the log.
        while hangup.recv().await.is_some() {
            supervisor::reloading();
            reloader.reload().await;
            supervisor::ready();
        }
        std::future::pending().await
    };
    let engine = host.engine().clone();
    let failure = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        failure = host.failed() => Some(failure),
        () = reloading => None,
        never = supervisor::watch(&engine) => match never {},
    };
    supervisor::stopping();
    if let Some(failure) = failure {
        // What was committed is safe; the supervisor starts the process again.
        return Err(failure.into());
    }
    tracing::info!("stopping: posting what is queued, {DEADLINE:?} at most");
    host.shutdown(DEADLINE).await?;
    Ok(())
}
