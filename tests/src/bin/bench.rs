//! The benchmarks, as one table: what each store lets through, the embedded one with `[context]` as well; how late
//! notes are at half of the notes that it lets through; and what a session costs.
//!
//! The host is a process of its own; its figures are its alone. The connector and the platform run in this
//! process and need a good part of the processor: what is measured is the machine with both.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use sidenote_tests::idle::{Idle, idle};
use sidenote_tests::throughput::{Load, NOTE_ACTIONS, Outcome, Place, Triggers, run};
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
    /// How long actions are sent, flat out and again at half of the notes that came through.
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
    let mut stores =
        vec![(StoreKind::Memory, false), (StoreKind::Embedded, false), (StoreKind::Embedded, true)];
    match &args.redis {
        Some(url) => stores.push((StoreKind::Redis { url: url.clone() }, false)),
        None => say("redis is left out: name a server with --redis redis://127.0.0.1:6379"),
    }
    say(&format!(
        "{} sessions, {} actions in an event, {} s each; {} cores",
        args.sessions,
        args.batch,
        args.seconds,
        cores()
    ));
    say(
        "notes/s with an action in each; actions/s with as many in a note as come together; half: how late notes are at half of the notes/s",
    );
    say(&row([
        "store",
        "notes/s",
        "actions/s",
        "half: p50",
        "half: p99",
        "memory",
        "commits/s",
        "host",
        "simulators",
    ]
    .map(str::to_owned)));
    let mut limits = Vec::new();
    for (store, context) in stores {
        let many = Load { context, ..load(args, store.clone())? };
        let single = Load { batch: 1, note_actions: 1, ..many.clone() };
        let notes = measured(&single, "notes").await?;
        let actions = measured(&many, "actions").await?;
        // Of the notes: they are what takes the time, and an event at that rate makes a note each.
        let half = (notes.notes_per_second() / 2.0) as u64;
        let half = measured(&Load { rate: half.max(1), ..single }, "half of the notes").await?;
        let name = format!("{}{}", store.name(), if context { "+context" } else { "" });
        limits.push(format!("{name} notes: {}", limit(&notes)));
        limits.push(format!("{name} actions: {}", limit(&actions)));
        say(&row(figures(name, &notes, &actions, &half)));
    }
    say("what limits it, flat out");
    for line in limits {
        say(&format!("  {line}"));
    }
    for line in triggers(args).await? {
        say(&line);
    }
    if args.idle_sessions > 0 {
        let cost =
            idle(args.idle_sessions, StoreKind::Embedded, taker()?, args.plugins.clone()).await?;
        say(&idle_report(&cost));
    }
    Ok(())
}

/// What triggers cost: actions with them as a part of those without, on the embedded store with `[context]`.
async fn triggers(args: &Args) -> Result<Vec<String>> {
    let without = Load { context: true, ..load(args, StoreKind::Embedded)? };
    let mut lines = vec!["triggers, none of which hits".to_owned()];
    let plain = measured(&without, "without triggers").await?.actions_per_second();
    lines.push(format!("  {:<24}{plain:>10.0} actions/s", "without"));
    let kinds = [("three built-in ones", Triggers::BuiltIn), ("one wasm trigger", Triggers::Wasm)];
    for (name, triggers) in kinds {
        let with = measured(&Load { triggers, ..without.clone() }, name).await?;
        let actions = with.actions_per_second();
        let part = actions / plain.max(f64::MIN_POSITIVE);
        lines.push(format!("  {name:<24}{actions:>10.0} actions/s, {part:.2} of without"));
    }
    Ok(lines)
}

async fn measured(load: &Load, what: &str) -> Result<Outcome> {
    let outcome = run(load).await?;
    outcome.check().with_context(|| format!("{}, {what}", load.store.name()))?;
    Ok(outcome)
}

fn load(args: &Args, store: StoreKind) -> Result<Load> {
    Ok(Load {
        components: args.plugins.clone(),
        store,
        host: Place::Taker(taker()?),
        sessions: args.sessions,
        rate: 0,
        time: Duration::from_secs(args.seconds),
        batch: args.batch,
        note_actions: NOTE_ACTIONS,
        concurrency: 8,
        platform_takes: Duration::ZERO,
        context: false,
        triggers: Triggers::None,
    })
}

/// The program beside this one.
fn taker() -> Result<PathBuf> {
    let own = std::env::current_exe().context("a program knows its own file")?;
    let taker = own.with_file_name(format!("taker{}", std::env::consts::EXE_SUFFIX));
    taker.exists().then_some(taker).context("bench: `taker` isn't built; run `cargo xtask bench`")
}

fn figures(store: String, notes: &Outcome, actions: &Outcome, half: &Outcome) -> [String; 9] {
    let millis = |late: Duration| format!("{:.1} ms", late.as_secs_f64() * 1e3);
    let memory = [notes, actions, half].map(|outcome| outcome.peak_memory);
    [
        store,
        format!("{:.0}", notes.notes_per_second()),
        format!("{:.0}", actions.actions_per_second()),
        millis(half.late[0]),
        millis(half.late[1]),
        vitals::mebibytes(memory.into_iter().max().flatten()),
        format!("{:.0}", commits(notes)),
        format!("{:.2} cores", used(notes, notes.host_cpu)),
        format!("{:.2} cores", used(notes, notes.own_cpu)),
    ]
}

fn used(outcome: &Outcome, cpu: Option<Duration>) -> f64 {
    outcome.per_second(cpu.unwrap_or_default().as_secs_f64())
}

fn commits(outcome: &Outcome) -> f64 {
    outcome.per_second(outcome.commits.unwrap_or_default() as f64)
}

/// What a run waited for: the processor where there was none left; else the store, by how often it commits.
fn limit(outcome: &Outcome) -> String {
    let (host, own) = (used(outcome, outcome.host_cpu), used(outcome, outcome.own_cpu));
    let machine = used(outcome, outcome.machine_cpu).max(host + own);
    let others = machine - host - own;
    let busy = machine / cores() as f64 * 100.0;
    let what = if busy > 85.0 { "the processor" } else { "waiting for commits and answers" };
    format!(
        "{what}: it is {busy:.0} % busy (host {host:.2}, simulators {own:.2}, other programs {others:.2} cores); \
         {:.0} commits/s, {:.0} actions each",
        commits(outcome),
        outcome.actions_per_second() / commits(outcome).max(f64::MIN_POSITIVE),
    )
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
    rest.iter().fold(format!("{first:<16}"), |line, cell| format!("{line}{cell:>12}"))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

#[expect(clippy::print_stdout, reason = "this is a command line")]
fn say(text: &str) {
    println!("{text}");
}
