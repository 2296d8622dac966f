//! `sidenote run`.

use std::path::PathBuf;

use clap::Args;

use crate::config::Config;

/// What `run` takes.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The configuration
    #[arg(
        long,
        value_name = "FILE",
        env = "SIDENOTE_CONFIG",
        default_value = "sidenote.toml"
    )]
    config: PathBuf,
}

/// Runs the host until it is told to stop.
pub(crate) async fn run(args: RunArgs) -> anyhow::Result<()> {
    let config = Config::load(&args.config)?;
    anyhow::bail!(
        "{} streams are configured, and this build has no stages to run them",
        config.streams.len()
    )
}
