//! The benchmarks: the same work by a host and by a program that does it by hand; what each store lets through, the
//! embedded one with `[context]` as well; how late notes are at half of the notes that it lets through; what triggers cost;
//! what a session costs; and what is accepted through a source's plugin.
//!
//! The host is a process of its own; its figures are its alone. The connector and the platform run in this
//! process and need a good part of the processor: what is measured is the machine with both.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use sidenote_tests::comparison::{Figures, Of, Programs, ROWS, Row, Worker};
use sidenote_tests::growth::{Crowd, growth};
use sidenote_tests::idle::{Idle, idle};
use sidenote_tests::telling::{Telling, ToldFigures, through_source, through_stream};
use sidenote_tests::throughput::{CROWD_OFFERS, Load, NOTE_ACTIONS, Outcome, Place, Triggers, run};
use sidenote_tests::{StoreKind, vitals};

/// Measures a host beside the same job done by hand, every store, and what triggers and idle sessions cost.
#[derive(Debug, Clone, Parser)]
struct Args {
    /// Only these parts; all of them by default.
    #[arg(long, value_enum)]
    part: Vec<Part>,
    /// Only these rows of the comparison.
    #[arg(long, value_name = "NAME")]
    row: Vec<String>,
    /// How often each row of the comparison and of the sources is run, one worker after the other each time; the middle
    /// counts.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Writes the figures of the comparison here, in JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes the figures of the sources here, in JSON.
    #[arg(long, value_name = "FILE")]
    sources_json: Option<PathBuf>,
    /// Figures that an earlier run wrote, to compare with.
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
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
    /// Sessions that are known in the first line of `--part growth`; in each further one they are ten times as many.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1000..))]
    first_sessions: u64,
    /// Sessions that are known in the last line of `--part growth`.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1000..))]
    known_sessions: u64,
    /// Notes that wait there while the host starts.
    #[arg(long, default_value_t = 100_000)]
    waiting: u64,
    /// Sessions that go idle; 0 leaves that part out.
    #[arg(long, default_value_t = 100_000)]
    idle_sessions: u32,
}

/// A part of the benchmarks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// A host and its peer, row by row.
    Comparison,
    /// What each store lets through.
    Stores,
    /// What triggers cost.
    Triggers,
    /// What notes wait while everybody wants an offer at once.
    Crowd,
    /// What idle sessions cost.
    Idle,
    /// What is accepted through a source's plugin, beside the stream.
    Sources,
    /// What a host needs as the sessions that it knows become more. Not among those that run by default.
    Growth,
}

impl Args {
    fn wants(&self, part: Part) -> bool {
        (self.part.is_empty() && part != Part::Growth) || self.part.contains(&part)
    }
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
    if args.wants(Part::Comparison) {
        compare(args).await?;
    }
    if args.wants(Part::Stores) {
        stores(args).await?;
    }
    if args.wants(Part::Triggers) {
        for line in triggers(args).await? {
            say(&line);
        }
    }
    if args.wants(Part::Crowd) {
        for line in crowd(args).await? {
            say(&line);
        }
    }
    if args.wants(Part::Idle) && args.idle_sessions > 0 {
        let (taker, plugins) = (program("taker")?, args.plugins.clone());
        let cost = idle(args.idle_sessions, StoreKind::Embedded, taker, plugins).await?;
        say(&idle_report(&cost));
    }
    if args.wants(Part::Sources) {
        sources(args).await?;
    }
    if args.wants(Part::Growth) {
        grow(args).await?;
    }
    Ok(())
}

/// From a thousand sessions to as many as are asked for, ten times as many each time.
async fn grow(args: &Args) -> Result<()> {
    say(
        "sessions that the host knows; embedded store; the last line with notes that wait for the platform while it starts",
    );
    let names = [
        "",
        "few: µs/action",
        "all: µs/action",
        "idle MiB",
        "in memory",
        "file MiB",
        "stopped",
        "killed",
    ];
    say(&grown_row(names.map(str::to_owned)));
    let mut sessions = args.first_sessions;
    while sessions <= args.known_sessions {
        let crowd = Crowd {
            taker: program("taker")?,
            components: args.plugins.clone(),
            sessions,
            waiting: if sessions == args.known_sessions { args.waiting.min(sessions) } else { 0 },
        };
        let needs = growth(&crowd).await?;
        let mebibytes = |bytes: u64| format!("{:.0}", bytes as f64 / f64::from(1 << 20));
        let ready = |nth: usize| {
            needs.ready.map_or(String::new(), |it| format!("{:.2} s", it[nth].as_secs_f64()))
        };
        say(&grown_row([
            sessions.to_string(),
            format!("{:.1}", needs.micros_of_a_few),
            format!("{:.1}", needs.micros_of_all),
            mebibytes(needs.resident),
            needs.left_in_memory.to_string(),
            mebibytes(needs.stored),
            ready(0),
            ready(1),
        ]));
        sessions *= 10;
    }
    Ok(())
}

fn grown_row(cells: [String; 8]) -> String {
    let [first, rest @ ..] = cells;
    rest.iter().fold(format!("{first:<10}"), |line, cell| format!("{line}{cell:>16}"))
}

/// The same actions through the plugin `events` and through the stream, flat out, on the embedded store.
async fn sources(args: &Args) -> Result<()> {
    let telling = Telling {
        taker: program("taker")?,
        components: args.plugins.clone(),
        store: StoreKind::Embedded,
        sessions: u64::from(args.sessions),
        batch: u64::from(args.batch),
        body: 500,
        senders: 4,
        time: Duration::from_secs(args.seconds),
    };
    say(&format!(
        "events through the plugin `events`, {} in a body, beside the stream, {} in an event; {} sessions that nobody has opened, {} s each; {} cores",
        telling.body,
        telling.batch,
        telling.sessions,
        args.seconds,
        cores()
    ));
    let names = ["", "events/s", "µs/event", "host", "simulators", "commits/s", "MiB"];
    say(&told_row(names.map(str::to_owned)));
    let (mut by_source, mut by_stream) = (Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        by_source.push(through_source(&telling).await?);
        by_stream.push(through_stream(&telling).await?);
    }
    let figures: BTreeMap<&str, ToldFigures> =
        [("source", middle(by_source)?), ("stream", middle(by_stream)?)].into();
    for (name, told) in &figures {
        say(&told_row([
            (*name).to_owned(),
            format!("{:.0}", told.events_per_second),
            format!("{:.1}", told.micros_per_event),
            format!("{:.2} cores", told.host_cores),
            format!("{:.2} cores", told.own_cores),
            format!("{:.0}", told.commits_per_second),
            format!("{:.0}", told.peak),
        ]));
    }
    let (source, stream) = (figures["source"], figures["stream"]);
    say(&format!(
        "an event of the source takes {:.2} times the processor time of one of the stream, and {:.2} times as many are accepted",
        source.micros_per_event / stream.micros_per_event,
        source.events_per_second / stream.events_per_second,
    ));
    if let Some(file) = &args.sources_json {
        std::fs::write(file, serde_json::to_vec_pretty(&figures)?)?;
    }
    Ok(())
}

/// The run in the middle, by what was accepted in a second.
fn middle(mut runs: Vec<ToldFigures>) -> Result<ToldFigures> {
    runs.sort_by(|one, other| one.events_per_second.total_cmp(&other.events_per_second));
    runs.get(runs.len() / 2).copied().context("it is run once at least")
}

fn told_row(cells: [String; 7]) -> String {
    let [first, rest @ ..] = cells;
    rest.iter().fold(format!("{first:<10}"), |line, cell| format!("{line}{cell:>13}"))
}

/// The figures of each worker, by row.
type Compared = BTreeMap<String, BTreeMap<String, Figures>>;

async fn compare(args: &Args) -> Result<()> {
    program("peer")?;
    let folder = program("taker")?.parent().map(Path::to_owned).unwrap_or_default();
    let programs = Programs::in_folder(&folder, args.plugins.clone());
    let mut workers = vec![Worker::Peer, Worker::Host(StoreKind::Embedded)];
    match &args.redis {
        Some(url) => workers.push(Worker::Host(StoreKind::Redis { url: url.clone() })),
        None => say("redis is left out: name a server with --redis redis://127.0.0.1:6379"),
    }
    let before: Option<Compared> = match &args.against {
        Some(file) => Some(serde_json::from_slice(&std::fs::read(file)?)?),
        None => None,
    };
    say(&comparison_row(
        [
            "",
            "worker",
            "actions/s",
            "notes/s",
            "notes",
            "µs/note",
            "p50",
            "p99",
            "pause",
            "MiB",
            "commits",
            "ratio",
            "before",
        ]
        .map(str::to_owned),
    ));
    let mut compared = Compared::new();
    let wanted = |row: &&Row| args.row.is_empty() || args.row.iter().any(|name| name == row.name);
    for row in ROWS.iter().filter(wanted) {
        let mut runs = vec![Vec::new(); workers.len()];
        for _ in 0..args.rounds {
            for (worker, runs) in workers.iter().zip(&mut runs) {
                runs.push(row.run(worker, &programs).await?);
            }
        }
        let of_row = compared.entry(row.name.to_owned()).or_default();
        let peer = Figures::middle(&runs[0]).context("a row is run once at least")?;
        for (worker, runs) in workers.iter().zip(&runs) {
            let middle = Figures::middle(runs).context("a row is run once at least")?;
            let before = before.as_ref().and_then(|it| it.get(row.name)?.get(worker.name()));
            say(&comparison_row(cells(row, worker, &middle, &peer, before)));
            of_row.insert(worker.name().to_owned(), middle);
        }
    }
    say(
        "ratio: of what the row compares, to the work by hand; before: the same to the earlier run",
    );
    if let Some(file) = &args.json {
        std::fs::write(file, serde_json::to_vec_pretty(&compared)?)?;
    }
    Ok(())
}

fn cells(
    row: &Row,
    worker: &Worker,
    figures: &Figures,
    peer: &Figures,
    before: Option<&Figures>,
) -> [String; 13] {
    let compared = match row.of {
        Of::Actions => "actions/s",
        Of::Notes => "notes/s",
        Of::Cost => "µs/note",
    };
    [
        row.name.to_owned(),
        worker.name().to_owned(),
        format!("{:.0}", figures.actions_per_second),
        format!("{:.0}", figures.notes_per_second),
        figures.notes.to_string(),
        format!("{:.0}", figures.micros_per_note),
        format!("{:.0} ms", figures.late_median),
        format!("{:.0} ms", figures.late_p99),
        format!("{:.0} ms", figures.longest_pause),
        format!("{:.0}", figures.peak),
        figures.commits_per_note.map_or(String::new(), |commits| format!("{commits:.2}")),
        format!("{:.2} {compared}", row.ratio(figures, peer)),
        before.map_or(String::new(), |before| format!("{:.2}", row.ratio(figures, before))),
    ]
}

fn comparison_row(cells: [String; 13]) -> String {
    let [first, rest @ ..] = cells;
    rest.iter().fold(format!("{first:<14}"), |line, cell| format!("{line}{cell:>11}"))
}

async fn stores(args: &Args) -> Result<()> {
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
        let (evaluated, _) = with.triggers.unwrap_or_default();
        anyhow::ensure!(evaluated > 0, "{name}: no trigger was evaluated");
        let actions = with.actions_per_second();
        let part = actions / plain.max(f64::MIN_POSITIVE);
        lines.push(format!(
            "  {name:<24}{actions:>10.0} actions/s, {part:.2} of without; {evaluated} evaluations"
        ));
    }
    Ok(lines)
}

/// What it does to notes that everybody wants an offer at once: how late they are beside those without.
async fn crowd(args: &Args) -> Result<Vec<String>> {
    let once = Load {
        context: true,
        sessions: 10_000,
        rate: 2000,
        events: Some(1),
        batch: 1,
        time: Duration::from_secs(60),
        ..load(args, StoreKind::Embedded)?
    };
    let mut lines = vec!["10,000 sessions that all want an offer, 2,000 notes/s".to_owned()];
    let plain = measured(&once, "a crowd without triggers").await?.late[1].as_secs_f64() * 1e3;
    let hit = measured(&Load { triggers: Triggers::Crowd, ..once }, "a crowd").await?;
    let late = hit.late[1].as_secs_f64() * 1e3;
    // What a note waits for before it is due is part of how late people see it.
    let debounce = 150.0;
    lines.push(format!(
        "  notes' p99 {:.0} ms after the last action without, {:.0} ms with: {:.2}; {} offers, at most {CROWD_OFFERS}, {} refused",
        plain + debounce,
        late + debounce,
        (late + debounce) / (plain + debounce),
        hit.offers,
        hit.triggers.map_or(0, |(_, refused)| refused),
    ));
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
        host: Place::Taker(program("taker")?),
        sessions: args.sessions,
        rate: 0,
        time: Duration::from_secs(args.seconds),
        events: None,
        linked_after: false,
        batch: args.batch,
        note_actions: NOTE_ACTIONS,
        concurrency: 8,
        platform_takes: Duration::ZERO,
        context: false,
        triggers: Triggers::None,
    })
}

/// A program beside this one.
fn program(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("a program knows its own file")?;
    let program = own.with_file_name(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    let built = program.exists().then_some(program);
    built.with_context(|| format!("bench: `{name}` isn't built; run `cargo xtask bench`"))
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
