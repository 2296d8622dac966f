//! `sidenote stream retry`: has a running host ask its connectors at once.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use reqwest::Url;
use serde_json::{Map, Value};

use super::outbox::args::host_address;
use super::outbox::host_api::HostApi;
use super::outbox::table::escaped;
use super::outbox::way::own_address;
use super::output;
use crate::config::Config;

/// What `stream` does.
#[derive(Debug, Subcommand)]
pub(crate) enum StreamCommand {
    /// Has streams that wait, or were refused, connect at once
    Retry(RetryArgs),
}

/// What `stream retry` takes.
#[derive(Debug, Args)]
pub(crate) struct RetryArgs {
    /// The stream, as [streams.NAME] of the configuration calls it; by default all
    name: Option<String>,
    /// The configuration
    #[arg(long, value_name = "FILE", env = "SIDENOTE_CONFIG", default_value = "sidenote.toml")]
    config: PathBuf,
    /// Asks the host at this address, with `server.token` of the configuration; by default the one at
    /// `server.listen`
    #[arg(long, value_name = "URL", value_parser = host_address)]
    host: Option<Url>,
    /// The answer as a JSON object on stdout
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) async fn stream(command: StreamCommand) -> anyhow::Result<ExitCode> {
    let StreamCommand::Retry(RetryArgs { name, config, host, json }) = command;
    let config = Config::load(&config)?;
    let url = host.map_or_else(|| own_address(config.server.listen), Ok)?;
    let api = HostApi::new(url, config.server.token)?;
    output::say(&format!("asking the host at {}", api.url()));
    let answer = api.retry_streams(name.as_deref()).await?;
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
