//! `sidenote health`: whether a host lives, or is ready, as an exit code: for containers, whose image has nothing that
//! could ask instead.

use std::process::ExitCode;

use clap::Args;
use reqwest::StatusCode;
use serde_json::Value;
use sidenote_terminal::{exit, output};

use super::client::HostArgs;

/// What `health` takes.
#[derive(Debug, Args)]
pub(crate) struct HealthArgs {
    #[command(flatten)]
    host: HostArgs,
    /// Check whether streams, store and plugins are ready; by default only whether the process
    /// responds
    #[arg(long)]
    ready: bool,
    /// The host's response, as a JSON object on stdout
    #[arg(long)]
    json: bool,
}

/// Asks a host. No token is needed, and none is sent.
pub(super) async fn health(args: HealthArgs) -> anyhow::Result<ExitCode> {
    let client = args.host.client_without_token()?;
    let path = if args.ready { "/readyz" } else { "/healthz" };
    let told = client.get_any(path, &[StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE]).await?;
    if args.json {
        output::data(&told.to_string())?;
    }
    let status = told["status"].as_str().unwrap_or("no host of this version");
    output::say(&format!("{}: {status}", client.url()));
    let not_ready = parts(&told).into_iter().filter(|(_, part)| part["ready"] == false);
    for (name, part) in not_ready {
        let cause = part["cause"].as_str().unwrap_or("not ready");
        output::say(&format!("{}: {}", output::escaped(&name), output::escaped(cause)));
    }
    Ok(exit::done_if(matches!(status, "ok" | "degraded" | "ready")))
}

/// The store and the plugins, each with what it is called.
fn parts(told: &Value) -> Vec<(String, &Value)> {
    let plugins = told["plugins"].as_object().into_iter().flatten();
    let plugins = plugins.map(|(name, part)| (format!("plugin {name}"), part));
    std::iter::once(("store".to_owned(), &told["store"])).chain(plugins).collect()
}
