//! `sidenote demo`.

use std::path::PathBuf;

use clap::Args;

/// What `demo` takes.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// The folder of the .wasm files
    #[arg(long, value_name = "DIR")]
    plugins: Option<PathBuf>,
    /// How long it runs
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,
}

/// Shows notes arriving.
pub(crate) async fn demo(args: DemoArgs) -> anyhow::Result<()> {
    anyhow::bail!("this build has no stages for a demo ({args:?})")
}
