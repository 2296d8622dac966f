//! `sidenote plugin list`: how the plugins of a running host are.

use std::fmt::Write as _;

use clap::Args;
use sidenote::clock::Clock;
use sidenote::http::{DisabledPlugin, PluginReport, PluginsReport};
use sidenote::outbox::trouble::LastError;
use sidenote::plugin::{Health, LastTrap};
use sidenote_terminal::output;

use crate::client::HostArgs;
use crate::table;

/// What `plugin list` takes.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    host: HostArgs,
    /// One JSON object on stdout
    #[arg(long)]
    json: bool,
}

/// Asks the running host and prints what it says.
pub(crate) async fn run(args: ListArgs) -> anyhow::Result<()> {
    let report: PluginsReport = args.host.client()?.get("/plugins", &[]).await?;
    if args.json {
        return output::data(&serde_json::to_string(&report)?);
    }
    output::data(shown(&report, Clock::system().now().as_secs_f64()).trim_end())
}

const HEAD: [&str; 10] = [
    "NAME",
    "FILE",
    "VERSION",
    "STATE",
    "INTERFACES",
    "CALLS",
    "PER CALL",
    "FAILURES",
    "TRAPS",
    "SWAPS",
];

/// Said of a plugin that webhooks make trap.
const TRAPPING_WEBHOOKS: &str =
    "they make it trap again and again and are held back for a second each time; its notes go on";

fn shown(report: &PluginsReport, now: f64) -> String {
    let rows = report.plugins.iter().map(|plugin| row(plugin, now));
    let drawn = table::drawn(Some(HEAD), rows, &[], None);
    let mut lines = table::lines(&drawn);
    let mut text: String = lines.by_ref().take(1).map(|head| head + "\n").collect();
    for (line, plugin) in lines.zip(&report.plugins) {
        writeln!(text, "{line}").expect("text can always be added to a string");
        let state = &plugin.state;
        let webhooks = state.webhooks_trap.then(|| TRAPPING_WEBHOOKS.to_owned());
        for (what, why) in [
            ("failed", &state.failed),
            ("file refused", &state.refused),
            ("webhooks", &webhooks),
            ("next step", &state.next_step),
        ] {
            if let Some(why) = why {
                writeln!(text, "  {what}: {why}").expect("text can always be added to a string");
            }
        }
        if let Some(trap) = &state.last_trap {
            writeln!(text, "  {}", last_trap(trap, now))
                .expect("text can always be added to a string");
        }
        if let Some(DisabledPlugin { since, reason }) = &plugin.disabled {
            let ago = output::short((now - since).max(0.0));
            let why = reason.as_ref().map(|why| format!(": {}", output::escaped(why)));
            let why = why.unwrap_or_default();
            writeln!(text, "  disabled by an operator {ago} ago{why}")
                .expect("text can always be added to a string");
        }
        if let Some(error) = &plugin.last_error {
            writeln!(text, "  {}", last_error(error, now))
                .expect("text can always be added to a string");
        }
    }
    text
}

/// The last call that was stopped or ended in a trap.
fn last_trap(trap: &LastTrap, now: f64) -> String {
    let LastTrap { at, code, version, backtrace } = trap;
    let within: Vec<_> = backtrace.iter().take(6).map(|name| output::escaped(name)).collect();
    let within = match &*within {
        [] => String::new(),
        within => format!(", in {}", within.join(" ← ")),
    };
    format!(
        "last trap {} ago: {code}, version {version}{within}",
        output::short((now - at).max(0.0))
    )
}

/// The last failure, and whether it lasts.
fn last_error(error: &LastError, now: f64) -> String {
    let LastError { at, kind, code, message, since, failures } = error;
    let (code, message) = (output::escaped(code), output::escaped(message));
    let ago = output::short(now - at);
    let lasts = match since {
        Some(since) => {
            let calls = if *failures == 1 {
                "1 call failed".to_owned()
            } else {
                format!("{failures} calls failed")
            };
            format!("; {calls} since {} ago", output::short(now - since))
        }
        None => "; calls have succeeded since, or it was about one note".to_owned(),
    };
    format!("last error {ago} ago: {}, {code}: {message}{lasts}", kind.name())
}

fn row(plugin: &PluginReport, now: f64) -> [String; 10] {
    let state = &plugin.state;
    let health = match (state.health, state.held_back_until) {
        (Health::Loaded | Health::Compiling | Health::Unhealthy | Health::HeldBack, _)
            if plugin.disabled.is_some() =>
        {
            "disabled".to_owned()
        }
        (Health::Loaded, _) => "loaded".to_owned(),
        (Health::Compiling, _) => "compiling".to_owned(),
        (Health::NotConfigured, _) => "not configured".to_owned(),
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
        state.mean_call_ms.map_or_else(|| "-".to_owned(), |mean| format!("{mean:.1} ms")),
        state.failures.to_string(),
        state.traps.to_string(),
        state.swaps.to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use sidenote::outbox::trouble::FaultKind;
    use sidenote::plugin::{CacheTotals, PluginState, ReloadTotals};

    #[test]
    fn the_table_tells_what_runs_and_why_something_does_not() {
        let plugin = |name: &str, health, version: Option<&str>| PluginState {
            name: name.into(),
            file: format!("{name}.wasm"),
            version: version.map(str::to_owned),
            interfaces: version.map(|_| "writer".into()).into_iter().collect(),
            health,
            held_back_until: None,
            webhooks_trap: false,
            failed: None,
            refused: None,
            next_step: None,
            calls: 10,
            failures: 0,
            traps: 5,
            repeats: 0,
            swaps: 0,
            mean_call_ms: Some(12.5),
            last_trap: None,
        };
        let mut fine = plugin("fine", Health::Loaded, Some("0123456789ab"));
        fine.refused = Some("compile: no".to_owned());
        fine.webhooks_trap = true;
        let mut held = plugin("held", Health::HeldBack, Some("ba9876543210"));
        held.held_back_until = Some(103.5);
        let mut gone = plugin("gone", Health::Failed, None);
        gone.failed = Some("read: there is no such file".to_owned());
        let mut stray = plugin("stray", Health::NotConfigured, None);
        stray.next_step = Some("to use it, add [plugins.stray]".to_owned());
        let report = |state, breaker: &str, last_error| PluginReport {
            state,
            breaker: Some(breaker.to_owned()),
            last_error,
            disabled: None,
        };
        let refused = LastError {
            at: 95.0,
            kind: FaultKind::Auth,
            code: "401".to_owned(),
            message: "token\nrevoked".to_owned(),
            since: Some(-3500.0),
            failures: 12,
        };
        let over = LastError {
            kind: FaultKind::Transient,
            code: "503".to_owned(),
            since: None,
            ..refused.clone()
        };
        let report = PluginsReport {
            plugins: vec![
                report(fine, "closed", Some(refused)),
                PluginReport {
                    disabled: Some(DisabledPlugin { since: 40.0, reason: Some("moving".into()) }),
                    ..report(plugin("off", Health::Loaded, Some("1123456789ab")), "closed", None)
                },
                report(gone, "closed", None),
                report(held, "open", Some(over)),
                report(plugin("late", Health::Compiling, None), "closed", None),
                report(stray, "closed", None),
            ],
            reloads: ReloadTotals::default(),
            cache: CacheTotals::default(),
        };
        insta::assert_snapshot!(shown(&report, 100.0), @r"
        NAME   FILE        VERSION       STATE                            INTERFACES  CALLS  PER CALL  FAILURES  TRAPS  SWAPS
        fine   fine.wasm   0123456789ab  loaded                           writer      10     12.5 ms   0         5      0
          file refused: compile: no
          webhooks: they make it trap again and again and are held back for a second each time; its notes go on
          last error 5s ago: auth, 401: token\nrevoked; 12 calls failed since 1h ago
        off    off.wasm    1123456789ab  disabled                         writer      10     12.5 ms   0         5      0
          disabled by an operator 1m ago: moving
        gone   gone.wasm   -             failed                           -           10     12.5 ms   0         5      0
          failed: read: there is no such file
        held   held.wasm   ba9876543210  held back, 4 s left, posts open  writer      10     12.5 ms   0         5      0
          last error 5s ago: transient, 503: token\nrevoked; calls have succeeded since, or it was about one note
        late   late.wasm   -             compiling                        -           10     12.5 ms   0         5      0
        stray  stray.wasm  -             not configured                   -           10     12.5 ms   0         5      0
          next step: to use it, add [plugins.stray]
        ");
    }
}
