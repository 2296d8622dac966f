//! `sidenote plugin shadow`, `plugin promote` and `plugin drop`: a new version of a plugin is tried on live calls without
//! sending anything, and then runs or goes.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sidenote::config::Config;
use sidenote::plugin::{
    CostReport, ExportReport, Quantiles, SeenTrap, ShadowReport, ShadowState, read, sha256,
    signature_file,
};
use sidenote_terminal::output::{self, escaped};

use crate::client::{Client, HostArgs};
use crate::placed::Placed;
use crate::when::utc;

/// How often the host is asked whether the new version is compiled.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// What `plugin shadow` takes.
#[derive(Debug, Args)]
pub(crate) struct ShadowArgs {
    /// The plugin's name, as in [plugins.NAME] of the configuration
    name: String,
    /// The new version: a component on this machine, with its signature beside it where keys are trusted; without it, the
    /// report is shown
    file: Option<PathBuf>,
    #[command(flatten)]
    host: HostArgs,
    /// The report as a JSON object on stdout
    #[arg(long)]
    json: bool,
}

/// What `plugin promote` takes.
#[derive(Debug, Args)]
pub(crate) struct PromoteArgs {
    /// The plugin's name, as in [plugins.NAME] of the configuration
    name: String,
    #[command(flatten)]
    host: HostArgs,
    /// The response as a JSON object on stdout
    #[arg(long)]
    json: bool,
}

/// What `plugin drop` takes.
#[derive(Debug, Args)]
pub(crate) struct DropArgs {
    /// The plugin's name, as in [plugins.NAME] of the configuration
    name: String,
    #[command(flatten)]
    host: HostArgs,
    /// The response as a JSON object on stdout
    #[arg(long)]
    json: bool,
}

#[derive(Serialize, Deserialize)]
struct Promoted {
    plugin: String,
    before: String,
    version: String,
}

#[derive(Serialize, Deserialize)]
struct Dropped {
    plugin: String,
    dropped: bool,
}

/// Starts a shadow, or shows how it is.
pub(super) async fn shadow(args: ShadowArgs) -> anyhow::Result<()> {
    let client = args.host.client()?;
    let path = path(&client, &args.name, "shadow");
    let Some(file) = &args.file else {
        let report: ShadowReport = client.get(&path, &[]).await?;
        return show(&report, args.json);
    };
    let report = start(&args, file, &client, &path).await?;
    if args.json {
        output::data(&serde_json::to_string(&report)?)?;
    }
    let name = escaped(&args.name);
    match report.state {
        ShadowState::Comparing => output::say(&format!(
            "version {} is given every live call of {name} from now on; nothing of it leaves. `sidenote plugin shadow {name}` shows what it does differently",
            report.version
        )),
        ShadowState::Waiting | ShadowState::Compiling => output::say(&format!(
            "version {} is kept, and waits: {}",
            report.version,
            report.word.as_deref().map_or_else(|| "it is being compiled".to_owned(), escaped)
        )),
        ShadowState::Ended => bail!(
            "the new version can't be used, and {name} runs as before: {}",
            report.word.as_deref().map_or_else(String::new, escaped)
        ),
    }
    Ok(())
}

/// Puts the component where the host finds it, has the host keep it, and takes it away again.
async fn start(
    args: &ShadowArgs,
    file: &Path,
    client: &Client,
    path: &str,
) -> anyhow::Result<ShadowReport> {
    let config = Config::load(&args.host.config)?;
    let component = read(file).with_context(|| file.display().to_string())?;
    let digest = sha256(&component).to_string();
    // What begins with a point is no plugin.
    let name = format!(".shadow-{}-{}.wasm", &digest[..12], std::process::id());
    let target = config.plugins_folder.join(&name);
    let mut placed = Placed::default();
    let asked = async {
        let signature = signature_file(file);
        if signature.exists() {
            let bytes =
                std::fs::read(&signature).with_context(|| signature.display().to_string())?;
            placed.file(&signature_file(&target), &bytes, 0o644)?;
        }
        placed.file(&target, &component, 0o644)?;
        client.post::<ShadowReport>(path, &json!({"file": name})).await
    };
    let asked = asked.await;
    placed.undo();
    let mut report = asked?;
    while report.state == ShadowState::Compiling {
        tokio::time::sleep(LOOK_EVERY).await;
        report = client.get(path, &[]).await?;
    }
    Ok(report)
}

/// Has the new version run.
pub(super) async fn promote(args: PromoteArgs) -> anyhow::Result<()> {
    let client = args.host.client()?;
    let path = path(&client, &args.name, "promote");
    let promoted: Promoted = client.post(&path, &json!({})).await?;
    if args.json {
        output::data(&serde_json::to_string(&promoted)?)?;
    }
    output::say(&format!(
        "{} runs version {} in the place of {}; calls under way end on that",
        escaped(&args.name),
        promoted.version,
        promoted.before
    ));
    Ok(())
}

/// Ends a shadow.
pub(super) async fn drop_it(args: DropArgs) -> anyhow::Result<()> {
    let client = args.host.client()?;
    let dropped: Dropped = client.delete(&path(&client, &args.name, "shadow")).await?;
    if args.json {
        output::data(&serde_json::to_string(&dropped)?)?;
    }
    let name = escaped(&args.name);
    output::say(&format!("the shadow of {name} is dropped; {name} runs as before"));
    Ok(())
}

fn path(client: &Client, name: &str, what: &str) -> String {
    let mut url = client.url().clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.clear().extend(["plugins", name, what]);
    }
    url.path().to_owned()
}

fn show(report: &ShadowReport, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        return output::data(&serde_json::to_string(report)?);
    }
    output::data(shown(report).trim_end())
}

fn shown(report: &ShadowReport) -> String {
    let mut text = String::new();
    let mut line = |words: String| writeln!(text, "{words}").expect("a string takes text");
    let state = match report.state {
        ShadowState::Compiling => "compiling",
        ShadowState::Waiting => "waiting",
        ShadowState::Comparing => "comparing",
        ShadowState::Ended => "ended",
    };
    let live = report.live_version.as_deref().map(|it| format!(" beside {it}"));
    line(format!(
        "{} {}: {state}{}",
        escaped(&report.plugin),
        report.version,
        live.unwrap_or_default()
    ));
    if let Some(word) = &report.word {
        line(format!("  {}", escaped(word)));
    }
    if !report.missing_exports.is_empty() {
        line(format!("  it lacks what the plugin exports: {}", report.missing_exports.join(", ")));
    }
    let Some(since) = report.since else { return text };
    let totals = &report.totals;
    line(format!(
        "  {} calls compared since {}: {} the same, {} different, {} different by chance",
        totals.compared,
        utc(since),
        totals.same,
        totals.different,
        totals.by_chance
    ));
    let left_out: Vec<_> = totals
        .not_compared
        .iter()
        .map(|(reason, calls)| format!("{calls} {}", reason.replace('_', " ")))
        .collect();
    if !left_out.is_empty() {
        line(format!("  not compared: {}", left_out.join(", ")));
    }
    if totals.refused_requests > 0 {
        line(format!("  requests refused, none of them sent: {}", totals.refused_requests));
    }
    if totals.reads_beyond > 0 {
        line(format!(
            "  values read that the version that runs doesn't read, as they are now: {}",
            totals.reads_beyond
        ));
    }
    for export in &report.exports {
        of_export(export, &mut line);
    }
    text
}

fn of_export(export: &ExportReport, line: &mut impl FnMut(String)) {
    line(format!("{}: {} calls, {} different", export.export, export.calls, export.different));
    for seen in &export.differences {
        let values = seen.values.as_ref();
        let values = values.map(|[old, new]| format!(", {} → {}", escaped(old), escaped(new)));
        let example = seen.example.as_deref().map(|key| format!(", for example {}", escaped(key)));
        line(format!(
            "  {:>6}  {}{}{}",
            seen.calls,
            escaped(&seen.difference.to_string()),
            values.unwrap_or_default(),
            example.unwrap_or_default()
        ));
    }
    if export.left_out > 0 {
        line(format!("  {:>6}  further differences", export.left_out));
    }
    for SeenTrap { code, backtrace, calls, .. } in &export.traps {
        let within: Vec<_> = backtrace.iter().take(6).map(|name| escaped(name)).collect();
        let within = match &*within {
            [] => String::new(),
            within => format!(", in {}", within.join(" ← ")),
        };
        line(format!("  {calls:>6}  {code}{within}"));
    }
    let CostReport { computed_ms, memory_bytes, .. } = &export.cost;
    let ms = |of: &Quantiles| format!("{:.2}/{:.2} ms", of.p50, of.p99);
    let mib = |of: &Quantiles| format!("{:.1} MiB", of.p99 / f64::from(1 << 20));
    line(format!(
        "  cost, half/99 % of calls: computing {} → {}, memory {} → {}",
        ms(&computed_ms.live),
        ms(&computed_ms.shadow),
        mib(&memory_bytes.live),
        mib(&memory_bytes.shadow)
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_names_each_difference_once_and_says_what_was_left_out() {
        let report: ShadowReport = serde_json::from_value(json!({
            "plugin": "desk", "state": "comparing", "word": "the plugin was reloaded",
            "live_version": "0123456789ab", "version": "ba9876543210",
            "started_at": 0.0, "since": 0.0, "missing_exports": ["finder"],
            "totals": {
                "compared": 12, "same": 2, "different": 9, "by_chance": 1,
                "not_compared": {"queue_full": 3}, "refused_requests": 4, "reads_beyond": 1, "traps": 1,
            },
            "exports": [{
                "export": "post-note", "calls": 12, "different": 9, "left_out": 2,
                "differences": [
                    {
                        "what": "header", "request": "POST https://api.example.com/notes", "at": "x-new",
                        "change": "added", "from": null, "to": null,
                        "calls": 9, "example": "0a1b", "values": null,
                    },
                    {
                        "what": "outcome", "request": null, "at": null, "change": null,
                        "from": "rate-limited", "to": "transient",
                        "calls": 2, "example": "0a1c", "values": null,
                    },
                    {
                        "what": "answer", "request": null, "at": "retry_after_ms", "change": "changed",
                        "from": null, "to": null,
                        "calls": 2, "example": null, "values": ["2000", "none"],
                    },
                ],
                "traps": [{"code": "trap", "backtrace": ["inner", "outer"], "calls": 1, "example": null}],
                "cost": {
                    "calls": 12,
                    "computed_ms": {
                        "live": {"p50": 0.25, "p99": 1.0}, "shadow": {"p50": 0.5, "p99": 2.0},
                    },
                    "memory_bytes": {
                        "live": {"p50": 1048576.0, "p99": 1048576.0},
                        "shadow": {"p50": 1048576.0, "p99": 2097152.0},
                    },
                },
            }],
        }))
        .unwrap();
        insta::assert_snapshot!(shown(&report), @r"
        desk ba9876543210: comparing beside 0123456789ab
          the plugin was reloaded
          it lacks what the plugin exports: finder
          12 calls compared since 1970-01-01T00:00:00.000Z: 2 the same, 9 different, 1 different by chance
          not compared: 3 queue full
          requests refused, none of them sent: 4
          values read that the version that runs doesn't read, as they are now: 1
        post-note: 12 calls, 9 different
               9  POST https://api.example.com/notes: header `x-new` added, for example 0a1b
               2  outcome rate-limited → transient, for example 0a1c
               2  answer: `retry_after_ms` changed, 2000 → none
               2  further differences
               1  trap, in inner ← outer
          cost, half/99 % of calls: computing 0.25/1.00 ms → 0.50/2.00 ms, memory 1.0 MiB → 2.0 MiB
        ");
    }
}
