//! `sidenote plugin list`: how the plugins of a running host are.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;

use super::super::output;
use crate::clock::Clock;
use crate::config::{Config, Server};
use crate::http::{PluginReport, PluginsReport};
use crate::plugin::Health;

const PATIENCE: Duration = Duration::from_secs(10);

/// What `plugin list` takes.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// The configuration of the host that runs: its address and its token
    #[arg(long, value_name = "FILE", env = "SIDENOTE_CONFIG", default_value = "sidenote.toml")]
    config: PathBuf,
    /// One JSON object on stdout
    #[arg(long)]
    json: bool,
}

/// Asks the running host and prints what it says.
pub(crate) async fn run(args: ListArgs) -> anyhow::Result<()> {
    let config = Config::load(&args.config)?;
    let report = ask(&config.server).await?;
    if args.json {
        return output::data(&serde_json::to_string(&report)?);
    }
    output::data(table(&report, Clock::system().now().as_secs_f64()).trim_end())
}

async fn ask(server: &Server) -> anyhow::Result<PluginsReport> {
    let url = format!("http://{}/plugins", reachable(server.listen));
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(PATIENCE)
        .build()
        .context("the HTTP client can't be set up")?;
    let mut request = client.get(&url);
    if let Some(token) = &server.token {
        request = request.bearer_auth(token.expose());
    }
    let sent = request.send().await;
    let answer = sent.with_context(|| {
        format!("{url}: no host answers; is `sidenote run` running with this configuration?")
    })?;
    let status = answer.status();
    if status == reqwest::StatusCode::UNAUTHORIZED {
        bail!(
            "{url}: the host refuses the token; `token` in [server] must be the one that it was started with"
        );
    }
    if !status.is_success() {
        bail!("{url}: the host answers {status}; is another program listening there?");
    }
    answer.json().await.with_context(|| {
        format!("{url}: the answer can't be read; is the host of another version of sidenote?")
    })
}

/// Where a host is reached that listens everywhere.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let here = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        IpAddr::V4(_) | IpAddr::V6(_) => listen.ip(),
    };
    SocketAddr::new(here, listen.port())
}

const HEAD: [&str; 9] =
    ["NAME", "FILE", "VERSION", "STATE", "INTERFACES", "CALLS", "FAILURES", "TRAPS", "SWAPS"];

fn table(report: &PluginsReport, now: f64) -> String {
    let rows: Vec<_> = report.plugins.iter().map(|plugin| row(plugin, now)).collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([HEAD[column].len()]).max().unwrap_or_default()
    };
    let widths: Vec<_> = (0..HEAD.len()).map(width).collect();
    let mut text = line(&HEAD.map(str::to_owned), &widths);
    for (row, plugin) in rows.iter().zip(&report.plugins) {
        text.push_str(&line(row, &widths));
        let state = &plugin.state;
        for (what, why) in [("failed", &state.failed), ("file refused", &state.refused)] {
            if let Some(why) = why {
                writeln!(text, "  {what}: {why}").expect("text can always be added to a string");
            }
        }
    }
    text
}

fn row(plugin: &PluginReport, now: f64) -> [String; 9] {
    let state = &plugin.state;
    let health = match (state.health, state.held_back_until) {
        (Health::Loaded, _) => "loaded".to_owned(),
        (Health::Failed, _) => "failed".to_owned(),
        (Health::Unhealthy, _) => "unhealthy".to_owned(),
        (Health::HeldBack, until) => {
            format!("held back, {:.0} s left", (until.unwrap_or(now) - now).max(0.0).ceil())
        }
    };
    let posts = plugin.breaker.as_deref().filter(|breaker| *breaker != "closed");
    let posts = posts.map(|breaker| format!(", posts {breaker}")).unwrap_or_default();
    [
        state.name.to_string(),
        state.file.clone(),
        state.version.clone().unwrap_or_else(|| "-".to_owned()),
        health + &posts,
        if state.interfaces.is_empty() { "-".to_owned() } else { state.interfaces.join(",") },
        state.calls.to_string(),
        state.failures.to_string(),
        state.traps.to_string(),
        state.swaps.to_string(),
    ]
}

fn line(cells: &[String; 9], widths: &[usize]) -> String {
    let padded: Vec<_> =
        cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
    format!("{}\n", padded.join("  ").trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::{CacheTotals, PluginState, ReloadTotals};

    #[test]
    fn the_table_tells_what_runs_and_why_something_does_not() {
        let plugin = |name: &str, health, version: Option<&str>| PluginState {
            name: name.into(),
            file: format!("{name}.wasm"),
            version: version.map(str::to_owned),
            interfaces: version.map(|_| "writer".into()).into_iter().collect(),
            health,
            held_back_until: None,
            failed: None,
            refused: None,
            calls: 10,
            failures: 0,
            traps: 5,
            repeats: 0,
            swaps: 0,
        };
        let mut fine = plugin("fine", Health::Loaded, Some("0123456789ab"));
        fine.refused = Some("compile: no".to_owned());
        let mut held = plugin("held", Health::HeldBack, Some("ba9876543210"));
        held.held_back_until = Some(103.5);
        let mut gone = plugin("gone", Health::Failed, None);
        gone.failed = Some("read: there is no such file".to_owned());
        let report =
            |state, breaker: &str| PluginReport { state, breaker: Some(breaker.to_owned()) };
        let report = PluginsReport {
            plugins: vec![report(fine, "closed"), report(gone, "closed"), report(held, "open")],
            reloads: ReloadTotals::default(),
            cache: CacheTotals::default(),
        };
        insta::assert_snapshot!(table(&report, 100.0), @"
        NAME  FILE       VERSION       STATE                            INTERFACES  CALLS  FAILURES  TRAPS  SWAPS
        fine  fine.wasm  0123456789ab  loaded                           writer      10     0         5      0
          file refused: compile: no
        gone  gone.wasm  -             failed                           -           10     0         5      0
          failed: read: there is no such file
        held  held.wasm  ba9876543210  held back, 4 s left, posts open  writer      10     0         5      0
        ");
    }

    #[test]
    fn a_host_that_listens_everywhere_is_asked_on_this_machine() {
        let cases =
            [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "[::1]:1"), ("10.0.0.1:1", "10.0.0.1:1")];
        for (listen, wanted) in cases {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), wanted);
        }
    }
}
