//! How many actions a host takes from the stream to the platform in a second.
//!
//! The connector and the platform are in this process; the host is as well, or with `--separate` in one
//! of its own, so that what it costs is known by itself.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Parser;
use sidenote_sim::Totals;
use sidenote_tests::throughput::{Load, NOTE_ACTIONS, Outcome, Place, Triggers, run};
use sidenote_tests::{StoreArgs, vitals};

/// Measures how many actions a host takes from the stream to the platform in a second.
#[derive(Debug, Clone, Parser)]
struct Args {
    /// The folder with `webhook.wasm`; the one of `cargo xtask guests` by default.
    #[arg(long, value_name = "DIR")]
    plugins: Option<PathBuf>,
    #[command(flatten)]
    store: StoreArgs,
    /// People who act at the same time, each in a session with a conversation of its own.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    sessions: u32,
    /// Actions per second; 0 for as many as the host takes.
    #[arg(long, default_value_t = 0)]
    rate: u64,
    /// How long actions are sent.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Actions in one event of the stream.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// Calls of the plugin at the same time.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    concurrency: u32,
    /// How long the platform takes over a note, in milliseconds.
    #[arg(long, default_value_t = 0)]
    platform_ms: u64,
    /// Run the host as a process of its own, `sidenote run`.
    #[arg(long)]
    separate: bool,
    /// Keep what people did lately, as with `[context]`.
    #[arg(long)]
    context: bool,
    /// Fail below so many actions per second.
    #[arg(long, default_value_t = 0)]
    at_least: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    sidenote::telemetry::init(false, tracing::Level::ERROR);
    match measure(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn measure(args: Args) -> Result<()> {
    let load = Load {
        components: args.plugins.clone(),
        store: args.store.kind(),
        host: if args.separate { Place::Process } else { Place::Here },
        sessions: args.sessions,
        rate: args.rate,
        time: Duration::from_secs(args.seconds),
        events: None,
        linked_after: false,
        batch: args.batch,
        note_actions: NOTE_ACTIONS,
        concurrency: args.concurrency,
        platform_takes: Duration::from_millis(args.platform_ms),
        context: args.context,
        triggers: Triggers::None,
    };
    let outcome = run(&load).await?;
    say(&report(&args, &outcome));
    outcome.check()?;
    let rate = outcome.actions_per_second();
    if rate < args.at_least as f64 {
        bail!("load: {rate:.0} actions/s are less than the {} asked for", args.at_least);
    }
    Ok(())
}

fn report(args: &Args, outcome: &Outcome) -> String {
    let Totals { notes, arrived, doubled, out_of_order, misplaced, unjudged, .. } = outcome.totals;
    let target =
        if args.rate == 0 { "flat out".to_owned() } else { format!("{}/s wanted", args.rate) };
    let cpu = outcome.host_cpu.map_or("unknown".to_owned(), |cpu| {
        format!("{:.2} cores", outcome.per_second(cpu.as_secs_f64()))
    });
    let [p50, p99, most] = outcome.late.map(|late| format!("{:.1} ms", late.as_secs_f64() * 1e3));
    format!(
        "\
store           {store}
sessions        {sessions} linked by webhook in {linked:.1} s
sent            {emitted} actions in {sent:.1} s ({target}), {batch} in an event
arrived         {arrived} actions in {notes} notes after {took:.1} s, {per_note:.1} in a note
through         {actions_rate:.0} actions/s, {notes_rate:.0} notes/s
lost            {lost}
out of order    {out_of_order}
doubled         {doubled} ({repeats} notes sent twice and recognised)
misplaced       {misplaced}
unjudged        {unjudged}
late            p50 {p50}, p99 {p99}, most {most} after a note was due
commits         {commits}
memory          {memory} at most, {whose}
processor       {cpu}, {whose}",
        store = args.store.kind().name(),
        sessions = args.sessions,
        linked = outcome.linked_in.as_secs_f64(),
        emitted = outcome.emitted,
        sent = outcome.sent_in.as_secs_f64(),
        batch = args.batch,
        took = outcome.arrived_in.as_secs_f64(),
        per_note = arrived as f64 / notes.max(1) as f64,
        actions_rate = outcome.actions_per_second(),
        notes_rate = outcome.notes_per_second(),
        lost = outcome.lost(),
        repeats = outcome.repeats,
        commits = outcome.commits.map_or("unknown".to_owned(), |commits| commits.to_string()),
        memory = vitals::mebibytes(outcome.peak_memory),
        whose = if args.separate { "the host alone" } else { "simulators included" },
    )
}

#[expect(clippy::print_stdout, reason = "this is a command line")]
fn say(text: &str) {
    println!("{text}");
}
