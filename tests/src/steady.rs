//! Work at a steady rate that goes on for long: what grows though it shouldn't is found by its slope.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use sidenote::clock::Clock;
use sidenote_sim::{ConnectorOptions, Keep, Opening, PlatformOptions, TallyOptions};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::rig::{Rig, Setup};
use crate::store_kind::StoreKind;
use crate::telling::event;
use crate::vitals;

/// The work.
#[derive(Debug, Clone)]
pub struct Steady {
    /// The program `taker`.
    pub taker: PathBuf,
    /// Where the components are; those of `cargo xtask guests` by default.
    pub components: Option<PathBuf>,
    /// Where the host keeps its rows.
    pub store: StoreKind,
    /// People, each with an open conversation. Each acts in turn, and is idle for long in between.
    pub sessions: u64,
    /// Notes in a second, an action in each.
    pub rate: u64,
    /// How long, the time to warm up included.
    pub time: Duration,
    /// Until pools, caches and the first sessions' leaving have levelled off.
    pub warm_up: Duration,
    /// Between two looks.
    pub every: Duration,
}

/// A look at the host.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Since the work began.
    pub at: Duration,
    /// Resident memory, in bytes.
    pub resident: u64,
    /// The store's file, in bytes.
    pub stored: u64,
    /// Sessions in memory.
    pub in_memory: u64,
    /// Notes that have come.
    pub notes: u64,
}

/// By how much of itself something may grow in ten minutes.
const MOST: f64 = 0.01;
/// Webhooks at the same time.
const LINKS: usize = 64;
const PRODUCT: &str = "p";

/// Has the work done, and shows each look.
///
/// # Errors
/// Memory grew by more than a hundredth in ten minutes, as the line through all looks after the time to warm up says; or
/// notes stayed away.
///
/// # Panics
/// When something doesn't start or stop.
pub async fn steady(work: &Steady, show: impl Fn(&Look)) -> Result<f64> {
    let most = work.sessions as usize;
    let mut rig = Rig::start(Setup {
        store: work.store.clone(),
        taker: Some(work.taker.clone()),
        components: work.components.clone(),
        limits: "concurrency = 8".to_owned(),
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
    let rig = Arc::new(rig);
    open(&rig, work.sessions).await?;
    let (began, clock) = (Instant::now(), Clock::system());
    let (mut looks, mut sent) = (Vec::<Look>::new(), 0);
    while began.elapsed() < work.time {
        sleep_until(began + Duration::from_secs_f64(sent as f64 / work.rate as f64)).await;
        rig.emit_event(event(sent % work.sessions, sent / work.sessions, 1, clock.now())).await;
        sent += 1;
        let looked = looks.last().map_or(Duration::ZERO, |look| look.at);
        if began.elapsed() >= looked + work.every {
            let counters = feed.counters().await;
            let look = Look {
                at: began.elapsed(),
                resident: vitals::resident(rig.host_process())
                    .context("memory can't be read here")?,
                stored: rig.store_bytes(),
                in_memory: counters.get("sessions_in_memory").copied().unwrap_or_default(),
                notes: rig.platform.tally(|tally| tally.totals().notes),
            };
            show(&look);
            looks.push(look);
        }
    }
    // The last ones are on their way.
    sleep(Duration::from_secs(5)).await;
    let notes = rig.platform.tally(|tally| tally.totals().notes);
    ensure!(notes == sent, "{notes} notes came of {sent}");
    drop(feed);
    Arc::into_inner(rig).context("a task still holds the rig")?.stop().await;
    let warm: Vec<_> = looks.into_iter().filter(|look| look.at >= work.warm_up).collect();
    let growth = growth(&warm).context("there were too few looks after the time to warm up")?;
    if growth > MOST {
        bail!(
            "memory grows by {:.1} % in ten minutes, {:.0} % are allowed",
            growth * 1e2,
            MOST * 1e2
        );
    }
    Ok(growth)
}

/// By which part of their mean the looks grow in ten minutes: the slope of the line that fits them best.
fn growth(looks: &[Look]) -> Option<f64> {
    let count = looks.len() as f64;
    let mean = |of: fn(&Look) -> f64| looks.iter().map(of).sum::<f64>() / count;
    let (at, resident) = (|look: &Look| look.at.as_secs_f64(), |look: &Look| look.resident as f64);
    let (middle, level) = (mean(at), mean(resident));
    let spread: f64 = looks.iter().map(|look| (at(look) - middle).powi(2)).sum();
    let together: f64 =
        looks.iter().map(|look| (at(look) - middle) * (resident(look) - level)).sum();
    (looks.len() > 2).then(|| together / spread * 600.0 / level)
}

/// Opens a conversation for everybody.
pub(crate) async fn open(rig: &Arc<Rig>, sessions: u64) -> Result<()> {
    let mut links = JoinSet::new();
    for session in 0..sessions {
        if links.len() >= LINKS {
            opened(links.join_next().await)?;
        }
        let rig = rig.clone();
        let opening = Opening::session(PRODUCT, &format!("s{session}"));
        links.spawn(async move { rig.platform.open(opening).await });
    }
    while !links.is_empty() {
        opened(links.join_next().await)?;
    }
    Ok(())
}

type Opened = Result<Result<String, sidenote_sim::WebhookError>, tokio::task::JoinError>;

fn opened(joined: Option<Opened>) -> Result<()> {
    joined
        .context("there is one")?
        .context("a link's task failed")?
        .context("a webhook wasn't accepted")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Duration, Look, growth};

    fn looks(resident: impl Fn(u64) -> u64) -> Vec<Look> {
        let look = |minute| Look {
            at: Duration::from_secs(60 * minute),
            resident: resident(minute),
            stored: 0,
            in_memory: 0,
            notes: 0,
        };
        (0..30).map(look).collect()
    }

    #[test]
    fn a_slope_is_told_from_noise() {
        let noise = growth(&looks(|minute| 100_000_000 + minute % 3 * 1_000_000)).expect("a slope");
        assert!(noise.abs() < 0.002, "{noise}");
        let slope = growth(&looks(|minute| 100_000_000 + minute * 200_000)).expect("a slope");
        assert!((0.018..0.021).contains(&slope), "{slope}");
        assert_eq!(growth(&looks(|_| 1)[..2]), None);
    }
}
