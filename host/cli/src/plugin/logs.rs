//! `sidenote plugin logs`: the latest lines that a plugin wrote.

use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use sidenote::plugin::Line;
use sidenote_terminal::output;

use crate::client::{Client, HostArgs};
use crate::when;

/// How often a host is asked whether there is more.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What `plugin logs` takes.
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// The plugin's name, as in [plugins.NAME] of the configuration
    name: String,
    #[command(flatten)]
    host: HostArgs,
    /// Maximum number of lines; the host keeps the latest 200 of each plugin, since its start
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=200))]
    lines: u64,
    /// Continue with new lines, until Ctrl-C
    #[arg(long)]
    follow: bool,
    /// One JSON object per line on stdout
    #[arg(long)]
    json: bool,
}

#[derive(Deserialize)]
struct Page {
    lines: Vec<Line>,
    next: u64,
}

/// Shows them.
pub(super) async fn logs(args: LogsArgs) -> anyhow::Result<()> {
    let client = args.host.client()?;
    let mut page = ask(&client, &args.name, 0, args.lines).await?;
    if page.lines.is_empty() {
        output::say("it has written nothing since the host started");
    }
    loop {
        for line in &page.lines {
            output::data(&shown(line, args.json)?)?;
        }
        if !args.follow {
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
        page = ask(&client, &args.name, page.next, 200).await?;
    }
}

async fn ask(client: &Client, name: &str, after: u64, limit: u64) -> anyhow::Result<Page> {
    let mut url = client.url().clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.clear().extend(["plugins", name, "logs"]);
    }
    let query = [("after", after.to_string()), ("limit", limit.to_string())];
    client.get(url.path(), &query).await
}

fn shown(line: &Line, as_json: bool) -> anyhow::Result<String> {
    if as_json {
        return Ok(serde_json::to_string(line)?);
    }
    let (level, text) = (output::escaped(&line.level), output::escaped(&line.text));
    Ok(format!("{} {level:<5} {text}", when::utc(line.at)))
}
