//! `sidenote top`: how a running host does, each second anew.

mod reading;
mod scrape;
mod screen;
mod shown;

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use reqwest::StatusCode;
use rustix::termios::tcgetwinsize;
use sidenote::clock::Clock;
use sidenote_terminal::output;
use tokio::signal::unix::{SignalKind, signal};

use self::reading::{Reading, Said};
use self::scrape::Scrape;
use self::screen::Screen;
use super::client::{Client, HostArgs};

/// How often it is drawn anew, and of how long a time what is told per second is.
const EVERY: Duration = Duration::from_secs(1);

/// How often it is looked for a key.
const KEYS: Duration = Duration::from_millis(50);

/// What `top` takes.
#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    #[command(flatten)]
    host: HostArgs,
    /// Print one table, of the next second, and exit
    #[arg(long)]
    once: bool,
    /// The same as one JSON object on stdout
    #[arg(long)]
    json: bool,
}

/// Shows how the host does until `q` or Ctrl-C; or once.
pub(super) async fn top(args: TopArgs) -> anyhow::Result<ExitCode> {
    let (client, clock) = (args.host.client()?, Clock::system());
    let before = ask(&client, clock).await?;
    if args.once || args.json {
        tokio::time::sleep(EVERY).await;
        let reading = Reading::of(&before, &ask(&client, clock).await?);
        output::data(&match args.json {
            true => serde_json::to_string(&reading)?,
            false => shown::lines(&reading, client.url().as_str(), None).join("\n"),
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    if !io::stdout().is_terminal() {
        bail!("stdout is no terminal; use --once for a table, or --json for an object");
    }
    watch(&client, clock, before).await?;
    Ok(ExitCode::SUCCESS)
}

async fn watch(client: &Client, clock: Clock, mut before: Said) -> anyhow::Result<()> {
    let mut ends = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()]
        .map(signal)
        .into_iter()
        .collect::<io::Result<Vec<_>>>()
        .context("can't listen for signals")?;
    let [interrupt, terminate, hangup] = &mut ends[..] else { unreachable!("three are asked for") };
    let screen = Screen::open().context("the terminal can't be used")?;
    let mut lines = vec![format!("{}  asking...", client.url())];
    loop {
        let (width, height) = size();
        screen.draw(&lines, height)?;
        let next = async {
            tokio::time::sleep(EVERY).await;
            ask(client, clock).await
        };
        let quit = async {
            while !screen.is_quit() {
                tokio::time::sleep(KEYS).await;
            }
        };
        tokio::select! {
            said = next => match said {
                Ok(now) => {
                    let reading = Reading::of(&before, &now);
                    lines = shown::lines(&reading, client.url().as_str(), Some(width));
                    before = now;
                }
                // What was shown last stays, and it is asked again.
                Err(error) => {
                    let said = output::escaped(&format!("{error:#}"));
                    lines[0] = format!("{}  no answer: {said}", client.url());
                }
            },
            () = quit => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            _ = hangup.recv() => return Ok(()),
        }
    }
}

async fn ask(client: &Client, clock: Clock) -> anyhow::Result<Said> {
    let (ready, plugins, metrics) = tokio::join!(
        client.get_any("/readyz", &[StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE]),
        client.get("/plugins", &[]),
        client.text("/metrics"),
    );
    let at = clock.now().as_secs_f64();
    Ok(Said { at, scrape: Scrape::read(&metrics?)?, ready: ready?, plugins: plugins? })
}

/// Columns and lines of the terminal.
fn size() -> (u16, usize) {
    const USUAL: (u16, usize) = (120, 40);
    let asked = tcgetwinsize(io::stdout()).ok().filter(|size| size.ws_col > 0 && size.ws_row > 0);
    asked.map_or(USUAL, |size| (size.ws_col, usize::from(size.ws_row)))
}
