//! `sidenote demo`: notes arrive beside conversations, with no account anywhere.
//!
//! Both simulators and the host run in this process, on sockets of their own; the host is the one
//! that `sidenote run` starts.

mod replaying;
mod screen;
mod stage;
mod story;

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;

use screen::Screen;
use stage::Stage;
use story::PRODUCT;

use crate::recording::{Speed, products};

/// What the demo is told on the command line.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// The folder with `webhook.wasm`.
    #[arg(long, value_name = "DIR", default_value = "target/plugins")]
    plugins: PathBuf,

    /// How long the demo runs. The last notes may need a few seconds more.
    #[arg(long, value_name = "N", default_value_t = 25, value_parser = clap::value_parser!(u64).range(2..=3600))]
    seconds: u64,

    /// Play this recording of `sidenote stream record` instead of the built-in story: everybody in
    /// it asks for help
    #[arg(long, value_name = "FILE", conflicts_with = "seconds")]
    replay: Option<PathBuf>,
}

/// Runs the demo until its story has been told, or until Ctrl-C, or until nobody reads it any more.
///
/// # Errors
/// It can't be played, or what arrived is not what was done.
pub async fn demo(args: DemoArgs) -> Result<()> {
    as_long_as_read(perform(args).await)
}

/// Plays a recording.
///
/// # Errors
/// It can't be read or played, or what arrived is not what was done.
pub(crate) async fn play(plugins: &Path, recording: &Path, speed: Speed) -> Result<()> {
    as_long_as_read(perform_recorded(plugins, recording, speed).await)
}

/// That nobody reads the demo any more is no error.
fn as_long_as_read(told: Result<()>) -> Result<()> {
    let unread = |error: &anyhow::Error| {
        let error = error.downcast_ref::<io::Error>();
        error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    if told.as_ref().is_err_and(unread) { Ok(()) } else { told }
}

async fn perform(args: DemoArgs) -> Result<()> {
    if let Some(recording) = &args.replay {
        return perform_recorded(&args.plugins, recording, Speed::Recorded).await;
    }
    let mut screen = Screen::new(std::io::stdout().lock(), colours());
    let mut stage = Stage::set(&args.plugins, &[PRODUCT.to_owned()]).await?;
    let (connector, platform, host) = stage.urls();
    screen.opening(&connector, &platform, &host)?;
    let told = stage.tell(&mut screen, Duration::from_secs(args.seconds)).await;
    close(stage, screen, told).await
}

async fn perform_recorded(plugins: &Path, recording: &Path, speed: Speed) -> Result<()> {
    let products = products(recording)?;
    if products.is_empty() {
        bail!("demo: {} has no event of a product", recording.display());
    }
    let mut screen = Screen::new(std::io::stdout().lock(), colours());
    let mut stage = Stage::set(plugins, &products).await?;
    let (connector, platform, host) = stage.urls();
    screen.opening(&connector, &platform, &host)?;
    let told = stage.replay(&mut screen, recording, speed).await;
    close(stage, screen, told).await
}

async fn close<W: io::Write>(
    stage: Stage,
    mut screen: Screen<W>,
    told: Result<screen::Summary>,
) -> Result<()> {
    let stopped = stage.strike().await;
    let summary = told?;
    screen.closing(&summary)?;
    if !summary.interrupted && !summary.faithful {
        bail!(
            "demo: what arrived is not what was done; the log on stderr says more with SIDENOTE_LOG=debug"
        );
    }
    stopped
}

/// Colours only where a person looks at a terminal that takes them; see <https://no-color.org>.
fn colours() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    std::io::stdout().is_terminal()
        && !set("NO_COLOR")
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}
