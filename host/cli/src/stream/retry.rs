//! `sidenote stream retry`: has a running host ask its connectors at once.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use serde_json::{Map, Value, json};
use sidenote_terminal::output::{self, escaped};

use crate::client::HostArgs;

/// What `stream retry` takes.
#[derive(Debug, Args)]
pub(crate) struct RetryArgs {
    /// The stream's name, as in [streams.NAME] of the configuration; default: all
    name: Option<String>,
    #[command(flatten)]
    host: HostArgs,
    /// The response as a JSON object on stdout
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) async fn retry(args: RetryArgs) -> anyhow::Result<ExitCode> {
    let RetryArgs { name, host, json } = args;
    let client = host.client()?;
    output::say(&format!("asking the host at {}", client.url()));
    let mut url = client.url().clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.clear().push("streams").extend(&name).push("retry");
    }
    let answer: Map<String, Value> = client.post(url.path(), &json!({})).await?;
    if json {
        output::data(&Value::from(answer.clone()).to_string())?;
    }
    let streams = answer.get("streams").and_then(Value::as_object);
    say(streams.context("the host doesn't say how its streams stand")?);
    Ok(ExitCode::SUCCESS)
}

fn say(streams: &Map<String, Value>) {
    if streams.is_empty() {
        output::say("the host reads no streams");
    }
    for (name, stream) in streams {
        let (state, cause) = (stream["state"].as_str(), stream["cause"].as_str());
        let line = match (state, cause) {
            (Some("connected" | "connecting"), _) => {
                format!("{name}: {}; nothing to be done", state.unwrap_or_default())
            }
            (_, Some(cause)) => format!("{name}: asked at once; before: {}", escaped(cause)),
            (_, None) => format!("{name}: asked at once"),
        };
        output::say(&line);
    }
}
