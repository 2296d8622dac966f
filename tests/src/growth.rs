//! What a host needs as the sessions that it knows become more: processor time of an action, memory, the store's file,
//! and how soon it is ready again with notes that wait.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sidenote::clock::Clock;
use sidenote_sim::{ConnectorOptions, Fault, Keep, PlatformOptions, Scope, TallyOptions};
use tokio::time::{Instant, sleep};

use crate::process::Feed;
use crate::rig::{Rig, Setup};
use crate::steady::open;
use crate::store_kind::StoreKind;
use crate::telling::event;
use crate::vitals;

/// How many sessions a host is to know, and what it does then.
#[derive(Debug, Clone)]
pub struct Crowd {
    /// The program `taker`.
    pub taker: PathBuf,
    /// Where the components are; those of `cargo xtask guests` by default.
    pub components: Option<PathBuf>,
    /// Sessions that it knows.
    pub sessions: u64,
    /// Of them so many have opened a conversation, and a note of each waits while the host starts; 0 leaves that part out.
    pub waiting: u64,
}

/// What it needs.
#[derive(Debug, Clone, Copy)]
pub struct Needs {
    /// Processor time of an action of a thousand of the sessions, in microseconds.
    pub micros_of_a_few: f64,
    /// Processor time of an action when every session acts in turn, in microseconds.
    pub micros_of_all: f64,
    /// Resident memory when all are idle and have left memory, in bytes.
    pub resident: u64,
    /// Sessions that were in memory still.
    pub left_in_memory: u64,
    /// The store's file, in bytes.
    pub stored: u64,
    /// From the start of the process until it says that it is ready: after a stop in order, and after a kill.
    pub ready: Option<[Duration; 2]>,
}

/// Actions of the measured work.
const ACTIONS: u64 = 200_000;
/// Actions in an event.
const BATCH: u64 = 5;
/// Those of whom only these act.
const FEW: u64 = 1000;
/// Nothing happens for so long: the run is over.
const STANDSTILL: Duration = Duration::from_secs(60);
/// Idle sessions leave memory within the host's time for that, and this.
const PATIENCE: Duration = Duration::from_secs(180);

/// Has a host know so many sessions, and measures what it needs.
///
/// # Errors
/// Something wasn't accepted, or can't be read.
///
/// # Panics
/// When something doesn't start or stop.
pub async fn growth(crowd: &Crowd) -> Result<Needs> {
    let most = crowd.sessions as usize;
    let mut rig = Rig::start(Setup {
        store: StoreKind::Embedded,
        taker: Some(crowd.taker.clone()),
        components: crowd.components.clone(),
        limits: "concurrency = 8".to_owned(),
        // The platform is away for as long as it takes to start twice, and asked again soon behind that.
        bot: "breaker = { pause_initial = \"1s\", pause_max = \"5s\" }".to_owned(),
        connector: ConnectorOptions { queued_events: 16, ..ConnectorOptions::default() },
        platform: PlatformOptions {
            keep: Keep::Tally,
            max_conversations: most,
            keys_per_conversation: 1,
            tally: TallyOptions { max_sessions: most, ..TallyOptions::default() },
            ..PlatformOptions::default()
        },
        ..Setup::default()
    })
    .await;
    let mut feed = rig.feed();
    act(&rig, &mut feed, 0..crowd.sessions, crowd.sessions, 1).await?;
    let events = ACTIONS / BATCH;
    let (few, all) = (FEW.min(crowd.sessions), crowd.sessions);
    let micros_of_a_few = measured(&rig, &mut feed, 0..events, few).await?;
    let micros_of_all = measured(&rig, &mut feed, events..2 * events, all).await?;
    let left_in_memory = idle(&mut feed).await;
    let resident = vitals::resident(rig.host_process()).context("memory can't be read here")?;
    let mut needs = Needs {
        micros_of_a_few,
        micros_of_all,
        resident,
        left_in_memory,
        stored: rig.store_bytes(),
        ready: None,
    };
    if crowd.waiting > 0 {
        let rig = Arc::new(rig);
        // A note of each waits.
        rig.platform.fail(Scope::Any, Fault::status(503), u32::MAX);
        open(&rig, crowd.waiting).await?;
        // What they did before is older by now than what a note begins with.
        act(&rig, &mut feed, 0..crowd.waiting, crowd.waiting, 1).await?;
        let mut rig = Arc::into_inner(rig).context("a task still holds the rig")?;
        drop(feed);
        rig.stop_host().await;
        let after_a_stop = ready(&mut rig).await?;
        rig.kill_host().await;
        let after_a_kill = ready(&mut rig).await?;
        needs.ready = Some([after_a_stop, after_a_kill]);
        all_arrive(&rig, crowd.waiting).await?;
        rig.kill_host().await;
    } else {
        drop(feed);
        rig.stop().await;
    }
    Ok(needs)
}

/// Events of these sessions in turn, until all of them are accepted.
async fn act(
    rig: &Rig,
    feed: &mut Feed,
    events: std::ops::Range<u64>,
    sessions: u64,
    batch: u64,
) -> Result<()> {
    let clock = Clock::system();
    let wanted = accepted(feed).await + (events.end - events.start) * batch;
    for nth in events {
        // Each is asked for once before one is asked for again, far from those before it in the store.
        let session = nth.wrapping_mul(STRIDE) % sessions;
        rig.emit_event(event(session, nth * batch, batch, clock.now())).await;
    }
    let (mut before, mut last) = (0, Instant::now());
    loop {
        let now = accepted(feed).await;
        if now >= wanted {
            return Ok(());
        }
        if now > before {
            (before, last) = (now, Instant::now());
        }
        ensure!(last.elapsed() < STANDSTILL, "{now} actions were accepted of {wanted}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// A prime that divides none of the numbers of sessions.
const STRIDE: u64 = 7919;

async fn accepted(feed: &mut Feed) -> u64 {
    feed.counters().await["actions_accepted"]
}

/// The processor time of an action, in microseconds.
async fn measured(
    rig: &Rig,
    feed: &mut Feed,
    events: std::ops::Range<u64>,
    sessions: u64,
) -> Result<f64> {
    let used = || vitals::cpu_time(rig.host_process()).context("processor times can't be read");
    let (before, actions) = (used()?, (events.end - events.start) * BATCH);
    act(rig, feed, events, sessions, BATCH).await?;
    Ok((used()? - before).as_secs_f64() * 1e6 / actions as f64)
}

/// Waits until all sessions have left memory; how many haven't in time.
async fn idle(feed: &mut Feed) -> u64 {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = feed.counters().await.get("sessions_in_memory").copied().unwrap_or_default();
        if left == 0 || Instant::now() > deadline {
            return left;
        }
        sleep(Duration::from_secs(1)).await;
    }
}

/// Starts the host, until it says that it is ready.
async fn ready(rig: &mut Rig) -> Result<Duration> {
    // Whatever is asked: a client isn't made without.
    rustls::crypto::ring::default_provider().install_default().ok();
    let client = reqwest::Client::builder().no_proxy().build()?;
    let began = Instant::now();
    rig.start_host().await;
    let url = rig.url("/readyz");
    loop {
        let answer = client.get(&url).send().await.context("the host doesn't answer")?;
        if answer.status().is_success() {
            break;
        }
        ensure!(began.elapsed() < STANDSTILL, "not ready: {}", answer.text().await?);
        sleep(Duration::from_millis(10)).await;
    }
    Ok(began.elapsed())
}

/// The platform takes notes again: what waited comes.
async fn all_arrive(rig: &Rig, waiting: u64) -> Result<()> {
    rig.platform.heal();
    let (mut before, mut last) = (0, Instant::now());
    loop {
        let now = rig.platform.tally(|tally| tally.totals().notes);
        if now >= waiting {
            return Ok(());
        }
        if now > before {
            (before, last) = (now, Instant::now());
        }
        ensure!(last.elapsed() < PATIENCE, "{now} notes came of {waiting} that waited");
        sleep(Duration::from_millis(50)).await;
    }
}
