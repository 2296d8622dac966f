//! How many actions a host takes from the stream to the platform in a second.
//!
//! The connector and the platform are in this process; the host is as well, or with `--separate` in one
//! of its own, so that what it costs is known by itself. Every action is known by its marker: the platform says
//! what is lost, doubled or out of order, and how late notes came.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;
use sidenote::clock::{Clock, Timestamp};
use sidenote::sim::{
    ConnectorOptions, Event, Keep, Marker, Opening, PlatformOptions, TallyOptions, Totals,
};
use sidenote_tests::{Rig, Setup};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

/// Measures how many actions a host takes from the stream to the platform in a second.
#[derive(Debug, Clone, Parser)]
struct Args {
    /// The folder with `webhook.wasm`; the one of `cargo xtask guests` by default.
    #[arg(long, value_name = "DIR")]
    plugins: Option<PathBuf>,
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
    /// Fail below so many actions per second.
    #[arg(long, default_value_t = 0)]
    at_least: u64,
}

/// The run is over when nothing arrived for this long.
const STANDSTILL: Duration = Duration::from_secs(20);
/// The product that everybody uses.
const PRODUCT: &str = "p";
/// Links made at the same time.
const LINKS: usize = 16;
/// The host's defaults, against which lateness is measured.
const MAX_NOTE_ACTIONS: usize = 100;

#[tokio::main]
async fn main() -> ExitCode {
    sidenote::telemetry::init(false, tracing::Level::ERROR);
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<()> {
    let rig = Arc::new(Rig::start(setup(&args)).await);
    let names: Vec<String> = (0..args.sessions).map(|i| format!("s{i}")).collect();
    let linking = Instant::now();
    link(&rig, &names).await?;
    let linked_in = linking.elapsed();

    let process = rig.host_process();
    let cpu_before = cpu_time(process);
    let began = Instant::now();
    let emitted = emit(&rig, &args, &names).await;
    let sent_in = began.elapsed();
    let arrived_in = arrive(&rig, emitted, began).await;
    let cpu = cpu_time(process).zip(cpu_before).map(|(after, before)| after.saturating_sub(before));

    let outcome = Outcome {
        emitted,
        linked_in,
        sent_in,
        arrived_in,
        cpu,
        totals: rig.platform.tally(|tally| tally.totals()),
        late: rig.platform.tally(|tally| {
            let late = tally.lateness();
            [50.0, 99.0, 100.0].map(|percent| late.percentile(percent))
        }),
        repeats: rig.platform.stats().repeats,
        commits: process.is_none().then(|| rig.host().counters().commits),
        peak_memory: peak_memory(process),
    };
    say(&outcome.report(&args));
    let rig = Arc::into_inner(rig).context("load: a task still holds the rig")?;
    rig.stop().await;
    outcome.judge(&args)
}

fn setup(args: &Args) -> Setup {
    let tally = TallyOptions {
        max_note_actions: MAX_NOTE_ACTIONS,
        max_sessions: args.sessions as usize,
        ..TallyOptions::default()
    };
    let platform = PlatformOptions {
        keep: Keep::Tally,
        max_conversations: args.sessions as usize,
        keys_per_conversation: 8,
        answers_after: Duration::from_millis(args.platform_ms),
        tally,
        ..PlatformOptions::default()
    };
    Setup {
        process: args.separate,
        components: args.plugins.clone(),
        limits: format!("concurrency = {}", args.concurrency),
        delivery: format!("max_note_actions = {MAX_NOTE_ACTIONS}"),
        platform,
        // A short queue: actions that wait for the host are sent late, not counted as late.
        connector: ConnectorOptions { queued_events: 16, ..ConnectorOptions::default() },
        ..Setup::default()
    }
}

/// Opens a conversation for everybody, by webhook.
async fn link(rig: &Arc<Rig>, names: &[String]) -> Result<()> {
    let mut links = JoinSet::new();
    for name in names {
        if links.len() >= LINKS {
            finished(links.join_next().await)?;
        }
        let (platform, opening) = (rig.platform.clone(), Opening::session(PRODUCT, name));
        links.spawn(async move { platform.open(opening).await });
    }
    while !links.is_empty() {
        finished(links.join_next().await)?;
    }
    Ok(())
}

type Opened = Result<String, sidenote::sim::WebhookError>;

fn finished(joined: Option<Result<Opened, tokio::task::JoinError>>) -> Result<()> {
    if let Some(opened) = joined {
        opened.context("load: a webhook task failed")?.context("load: a webhook wasn't taken")?;
    }
    Ok(())
}

/// Sends actions, one batch of everybody after the other, until the time is up; how many.
async fn emit(rig: &Rig, args: &Args, names: &[String]) -> u64 {
    let clock = Clock::system();
    let began = Instant::now();
    let length = Duration::from_secs(args.seconds);
    let (mut emitted, batch) = (0, u64::from(args.batch));
    for round in 0.. {
        for name in names {
            if began.elapsed() >= length {
                return emitted;
            }
            if args.rate > 0 {
                sleep_until(began + Duration::from_secs_f64(emitted as f64 / args.rate as f64))
                    .await;
            }
            rig.emit_event(event(name, round * batch, batch, clock.now())).await;
            emitted += batch;
        }
    }
    emitted
}

/// A batch as the connector would send it. Written by hand: a serialiser would be a good part of the load.
fn event(session: &str, first: u64, count: u64, now: Timestamp) -> Event {
    let mut json = String::with_capacity(200 + count as usize * 320);
    let at = now.as_secs_f64();
    let mut write = |text: std::fmt::Arguments<'_>| {
        json.write_fmt(text).expect("writing to a String can't fail");
    };
    write(format_args!(
        r#"{{"type":"actions","product_id":"{PRODUCT}","session_id":"{session}","user_id":"u-{session}","email":"{session}@example.com","actions":["#
    ));
    for index in 0..count {
        let marker = Marker { session, n: first + index, emitted: Some(now) };
        let comma = if index == 0 { "" } else { "," };
        write(format_args!(
            r#"{comma}{{"title":"Clicked a button","description":"{marker} clicked on Save in the editor","canonical_url":"https://app.example.com/documents/:id/edit","index":{index},"type":"click","timestamp_start":{at:.3},"timestamp_end":{at:.3},"raw_url":"https://app.example.com/documents/4711/edit"}}"#
        ));
    }
    write(format_args!(r#"],"count":{count},"forwarded_at":{at:.3}}}"#));
    Event::data(json)
}

/// Waits until everything has arrived, or nothing comes any more; how long after `began` the last came.
async fn arrive(rig: &Rig, emitted: u64, began: Instant) -> Duration {
    let mut arrived = rig.platform.tally(|tally| tally.totals().arrived);
    let mut last = Instant::now();
    while rig.platform.tally(|tally| tally.totals().distinct()) < emitted {
        if last.elapsed() > STANDSTILL {
            break;
        }
        sleep(Duration::from_millis(5)).await;
        let before =
            std::mem::replace(&mut arrived, rig.platform.tally(|tally| tally.totals().arrived));
        if arrived != before {
            last = Instant::now();
        }
    }
    last.duration_since(began)
}

/// What a run came to.
struct Outcome {
    emitted: u64,
    linked_in: Duration,
    sent_in: Duration,
    arrived_in: Duration,
    cpu: Option<Duration>,
    totals: Totals,
    late: [Duration; 3],
    repeats: u64,
    commits: Option<u64>,
    peak_memory: Option<u64>,
}

impl Outcome {
    fn lost(&self) -> u64 {
        self.emitted.saturating_sub(self.totals.distinct())
    }

    fn per_second(&self, count: u64) -> f64 {
        count as f64 / self.arrived_in.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    fn report(&self, args: &Args) -> String {
        let Totals { notes, arrived, doubled, out_of_order, misplaced, unjudged, .. } = self.totals;
        let target =
            if args.rate == 0 { "flat out".to_owned() } else { format!("{}/s wanted", args.rate) };
        let memory =
            self.peak_memory.map_or("unknown".to_owned(), |kib| format!("{} MiB", kib / 1024));
        let cpu = self.cpu.map_or("unknown".to_owned(), |cpu| {
            format!("{:.2} cores", cpu.as_secs_f64() / self.arrived_in.as_secs_f64())
        });
        let [p50, p99, most] = self.late.map(|late| format!("{:.1} ms", late.as_secs_f64() * 1e3));
        format!(
            "\
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
            sessions = args.sessions,
            linked = self.linked_in.as_secs_f64(),
            emitted = self.emitted,
            sent = self.sent_in.as_secs_f64(),
            batch = args.batch,
            took = self.arrived_in.as_secs_f64(),
            per_note = arrived as f64 / notes.max(1) as f64,
            actions_rate = self.per_second(self.totals.distinct()),
            notes_rate = self.per_second(notes),
            lost = self.lost(),
            repeats = self.repeats,
            commits = self.commits.map_or("unknown".to_owned(), |commits| commits.to_string()),
            whose = if args.separate { "the host alone" } else { "simulators included" },
        )
    }

    fn judge(&self, args: &Args) -> Result<()> {
        let Totals { out_of_order, misplaced, unjudged, .. } = self.totals;
        let lost = self.lost();
        if lost + out_of_order + misplaced + unjudged > 0 {
            bail!(
                "load: {lost} lost, {out_of_order} out of order, {misplaced} misplaced, {unjudged} unjudged"
            );
        }
        let rate = self.per_second(self.totals.distinct());
        if rate < args.at_least as f64 {
            bail!("load: {rate:.0} actions/s are less than the {} asked for", args.at_least);
        }
        Ok(())
    }
}

/// A file of this process or another below `/proc`; there on Linux.
fn proc_file(process: Option<u32>, name: &str) -> Option<String> {
    let process = process.map_or("self".to_owned(), |id| id.to_string());
    std::fs::read_to_string(format!("/proc/{process}/{name}")).ok()
}

/// The process's largest resident size, in KiB.
fn peak_memory(process: Option<u32>) -> Option<u64> {
    let status = proc_file(process, "status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// The process's processor time, to a hundredth of a second.
fn cpu_time(process: Option<u32>) -> Option<Duration> {
    let stat = proc_file(process, "stat")?;
    // The name in brackets may hold spaces; user and system time are the 14th and 15th field.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ').skip(11);
    let ticks: u64 = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10))
}

#[expect(clippy::print_stdout, reason = "this is a command line")]
fn say(text: &str) {
    println!("{text}");
}
