//! A long trial: steady load with faults, restarts and kills, a line a minute. It fails where a promise
//! doesn't hold, and where memory or the store's file grows.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;
use sidenote_tests::steady::{Steady, steady};
use sidenote_tests::trial::{End, Moment, Plan, Trial, Verdict};
use sidenote_tests::{StoreArgs, vitals};
use tokio::time::Instant;

/// Kills and restarts a host under load for a while, and watches what it needs.
#[derive(Debug, Clone, Parser)]
struct Args {
    /// The folder with `webhook.wasm`; the one of `cargo xtask guests` by default.
    #[arg(long, value_name = "DIR")]
    plugins: Option<PathBuf>,
    #[command(flatten)]
    store: StoreArgs,
    /// How long.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
    /// People who act at the same time.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(8..))]
    sessions: u32,
    /// No faults, but work at a steady rate, of so many notes a second: memory must stay flat.
    #[arg(long, value_name = "RATE")]
    steady: Option<u64>,
    /// The seed of an earlier run.
    #[arg(long)]
    seed: Option<u64>,
}

const MINUTE: Duration = Duration::from_secs(60);
/// Of every so many lives, one ends in good order.
const IN_ORDER: u64 = 4;
/// Minutes until sessions leave memory as fast as others come into it, pools and caches are filled.
const WARM_UP: u32 = 6;
/// How long the host lives undisturbed before it is weighed.
const WEIGHED_AFTER: Duration = Duration::from_secs(5);
/// What was needed in the first minute may grow by half, and by this.
const ROOM: u64 = 32 << 20;

#[tokio::main]
async fn main() -> ExitCode {
    sidenote::telemetry::init(false, tracing::Level::ERROR);
    match soak(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("soak: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn soak(args: Args) -> Result<()> {
    let own = std::env::current_exe().context("a program knows its own file")?;
    let taker = own.with_file_name(format!("taker{}", std::env::consts::EXE_SUFFIX));
    if !taker.exists() {
        bail!("`taker` isn't built; run `cargo xtask soak`");
    }
    if let Some(rate) = args.steady {
        return flat(args, taker, rate).await;
    }
    let seed = args.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    say(&format!("soak: {}, {} minutes, --seed {seed}", args.store.kind().name(), args.minutes));
    let plan = Plan {
        store: args.store.kind(),
        taker,
        components: args.plugins,
        sessions: args.sessions as usize,
        seed,
    };
    let mut trial = Trial::start(plan).await;
    let mut first = None;
    for minute in 1..=args.minutes {
        let (verdict, weight) = one_minute(&mut trial).await;
        say(&format!("minute {minute}: {verdict}; {weight}"));
        check(&verdict)?;
        weight.check(first.get_or_insert(weight))?;
    }
    trial.end().await;
    Ok(())
}

/// Work at a steady rate: the host's memory is weighed, and must stay flat.
async fn flat(args: Args, taker: PathBuf, rate: u64) -> Result<()> {
    let work = Steady {
        taker,
        components: args.plugins,
        store: args.store.kind(),
        sessions: u64::from(args.sessions),
        rate,
        time: MINUTE * args.minutes as u32,
        warm_up: MINUTE * WARM_UP.min(args.minutes as u32 / 3),
        every: Duration::from_secs(10),
    };
    say(&format!(
        "soak: {}, {} minutes, {rate} notes/s of {} sessions in turn",
        work.store.name(),
        args.minutes,
        work.sessions
    ));
    let growth = steady(&work, |look| {
        say(&format!(
            "{:>5} s: host {}, store {}, {} sessions in memory, {} notes",
            look.at.as_secs(),
            vitals::mebibytes(Some(look.resident)),
            vitals::mebibytes(Some(look.stored)),
            look.in_memory,
            look.notes
        ));
    })
    .await?;
    say(&format!(
        "memory: {:+.2} % in ten minutes, by the line through all looks after {} s",
        growth * 1e2,
        work.warm_up.as_secs()
    ));
    Ok(())
}

/// Lives, kills and restarts; then the host is weighed, and what happened is judged and forgotten.
async fn one_minute(trial: &mut Trial) -> (Verdict, Weight) {
    let began = Instant::now();
    let mut lives = 0;
    while began.elapsed() < MINUTE - WEIGHED_AFTER {
        lives += 1;
        if lives % IN_ORDER == 0 {
            trial.live(Duration::from_secs(1), Moment::Any).await;
            trial.end_life(End::Stop).await;
        } else {
            trial.live_and_be_killed().await;
        }
    }
    trial.live(WEIGHED_AFTER, Moment::Any).await;
    let host = vitals::resident(trial.rig().host_process());
    let verdict = trial.settle().await;
    let weight = Weight { host, store: trial.rig().store_bytes(), own: vitals::resident(None) };
    trial.forget();
    (verdict, weight)
}

fn check(verdict: &Verdict) -> Result<()> {
    let found: Vec<_> = verdict.faults().into_iter().filter(|(_, count)| *count > 0).collect();
    if !found.is_empty() {
        bail!("a promise didn't hold: {found:?}");
    }
    Ok(())
}

/// What is needed at the end of a minute, in bytes.
#[derive(Debug, Clone, Copy)]
struct Weight {
    host: Option<u64>,
    store: u64,
    own: Option<u64>,
}

impl Weight {
    fn check(&self, first: &Self) -> Result<()> {
        let grows = |now: u64, first: u64| now > first + first / 2 + ROOM;
        if self.host.zip(first.host).is_some_and(|(now, first)| grows(now, first)) {
            bail!("the host's memory grows: {self}, and {first} in the first minute");
        }
        if grows(self.store, first.store) {
            bail!("the store's file grows: {self}, and {first} in the first minute");
        }
        Ok(())
    }
}

impl std::fmt::Display for Weight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [host, store, own] = [self.host, Some(self.store), self.own].map(vitals::mebibytes);
        write!(f, "host {host}, store {store}, simulators {own}")
    }
}

#[expect(clippy::print_stdout, reason = "this is a command line")]
fn say(text: &str) {
    println!("{text}");
}
