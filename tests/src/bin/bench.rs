//! The benchmarks, as one table: what each store lets through, how late notes are at half of that, and what
//! a session costs.
//!
//! The host is a process of its own; its figures are its alone. The connector and the platform run in this
//! process and need a good part of the processor: what is measured is the machine with both.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use sidenote_tests::idle::{Idle, idle};
use sidenote_tests::throughput::{Load, Outcome, Place, run};
use sidenote_tests::{StoreKind, vitals};

/// Measures every store, and what idle sessions cost.
#[derive(Debug, Clone, Parser)]
struct Args {
    /// The folder with `webhook.wasm`; the one of `cargo xtask guests` by default.
    #[arg(long, value_name = "DIR")]
    plugins: Option<PathBuf>,
    /// A Redis server that runs already; its store is measured as well then.
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
    /// How long actions are sent, flat out and again at half of that.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// People who act at the same time.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    sessions: u32,
    /// Actions in one event of the stream.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// Sessions that go idle; 0 leaves that part out.
    #[arg(long, default_value_t = 100_000)]
    idle_sessions: u32,
}

#[tokio::main]
async fn main() -> ExitCode {
    sidenote::telemetry::init(false, tracing::Level::ERROR);
    match bench(&Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn bench(args: &Args) -> Result<()> {
    let mut stores = vec![StoreKind::Memory, StoreKind::Embedded];
    match &args.redis {
        Some(url) => stores.push(StoreKind::Redis { url: url.clone() }),
        None => say("redis is left out: name a server with --redis redis://127.0.0.1:6379"),
    }
    say(&format!(
        "{} sessions, {} actions in an event, {} s each; {} cores",
        args.sessions,
        args.batch,
        args.seconds,
        cores()
    ));
    say(&row([
        "store",
        "notes/s",
        "actions/s",
        "half: p50",
        "half: p99",
        "memory",
        "commits/s",
        "host",
        "others",
    ]
    .map(str::to_owned)));
    let mut limits = Vec::new();
    for store in stores {
        let flat_out = run(&load(args, store.clone(), 0)?).await?;
        flat_out.check().with_context(|| format!("{}, flat out", store.name()))?;
        let half = (flat_out.actions_per_second() / 2.0) as u64;
        let at_half = run(&load(args, store.clone(), half.max(1))?).await?;
        at_half.check().with_context(|| format!("{}, at half of it", store.name()))?;
        say(&row(figures(&store, &flat_out, &at_half)));
        limits.push(format!("{}: {}", store.name(), limit(&flat_out)));
    }
    say("what limits it, flat out");
    for line in limits {
        say(&format!("  {line}"));
    }
    if args.idle_sessions > 0 {
        let cost =
            idle(args.idle_sessions, StoreKind::Embedded, taker()?, args.plugins.clone()).await?;
        say(&idle_report(&cost));
    }
    Ok(())
}

fn load(args: &Args, store: StoreKind, rate: u64) -> Result<Load> {
    Ok(Load {
        components: args.plugins.clone(),
        store,
        host: Place::Taker(taker()?),
        sessions: args.sessions,
        rate,
        time: Duration::from_secs(args.seconds),
        batch: args.batch,
        concurrency: 8,
        platform_takes: Duration::ZERO,
    })
}

/// The program beside this one.
fn taker() -> Result<PathBuf> {
    let own = std::env::current_exe().context("a program knows its own file")?;
    let taker = own.with_file_name(format!("taker{}", std::env::consts::EXE_SUFFIX));
    taker.exists().then_some(taker).context("bench: `taker` isn't built; run `cargo xtask bench`")
}

fn figures(store: &StoreKind, flat_out: &Outcome, at_half: &Outcome) -> [String; 9] {
    let millis = |late: Duration| format!("{:.1} ms", late.as_secs_f64() * 1e3);
    [
        store.name().to_owned(),
        format!("{:.0}", flat_out.notes_per_second()),
        format!("{:.0}", flat_out.actions_per_second()),
        millis(at_half.late[0]),
        millis(at_half.late[1]),
        vitals::mebibytes(flat_out.peak_memory.max(at_half.peak_memory)),
        format!("{:.0}", flat_out.per_second(flat_out.commits.unwrap_or_default() as f64)),
        format!("{:.2} cores", used(flat_out, flat_out.host_cpu)),
        format!("{:.2} cores", used(flat_out, flat_out.own_cpu)),
    ]
}

fn used(outcome: &Outcome, cpu: Option<Duration>) -> f64 {
    outcome.per_second(cpu.unwrap_or_default().as_secs_f64())
}

/// What a run waited for: the processor where there was none left; else the store, by how often it commits.
fn limit(outcome: &Outcome) -> String {
    let (host, others) = (used(outcome, outcome.host_cpu), used(outcome, outcome.own_cpu));
    let busy = (host + others) / cores() as f64;
    let commits = outcome.per_second(outcome.commits.unwrap_or_default() as f64).max(1.0);
    let pace = format!(
        "{commits:.0} commits/s of {:.0} actions and {:.1} ms each",
        outcome.actions_per_second() / commits,
        1e3 / commits
    );
    if busy > 0.85 {
        return format!(
            "the processor ({:.0} %: the host {host:.2} cores, simulators {others:.2}); {pace}",
            busy * 100.0
        );
    }
    format!("waiting, the processor is {:.0} % busy; {pace}", busy * 100.0)
}

fn idle_report(cost: &Idle) -> String {
    let bytes = |bytes: Option<u64>| bytes.map_or("unknown".to_owned(), |n| format!("{n} bytes"));
    format!(
        "\
idle sessions   {sessions}, each with a link and a note posted, embedded store
in memory       {in_memory} each, with {most} in memory
evicted         {evicted} each, with {left} in memory
stored          {stored} bytes each in the file",
        sessions = cost.sessions,
        in_memory = bytes(cost.bytes_in_memory),
        most = cost.most_in_memory,
        evicted = bytes(cost.bytes_evicted),
        left = cost.left_in_memory,
        stored = cost.bytes_stored,
    )
}

fn row(cells: [String; 9]) -> String {
    let [first, rest @ ..] = cells;
    rest.iter().fold(format!("{first:<10}"), |line, cell| format!("{line}{cell:>12}"))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

#[expect(clippy::print_stdout, reason = "this is a command line")]
fn say(text: &str) {
    println!("{text}");
}
