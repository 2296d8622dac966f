//! What sessions cost that were busy and are idle: in memory, and after they left it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sidenote_sim::{Keep, PlatformOptions, TallyOptions};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::acting::Person;
use crate::process::Feed;
use crate::rig::{Rig, Setup};
use crate::store_kind::StoreKind;
use crate::vitals;

/// The first ones, which have the host fill its pools and caches: the memory before the others is counted
/// with them.
const WARM: u32 = 1000;
/// Links made at the same time.
const LINKS: usize = 32;
/// Sessions between two looks at the host.
const STEP: u32 = 2000;
/// Actions of every session.
const ACTIONS: u64 = 3;
/// Idle sessions leave the memory within the host's time for that, and this.
const PATIENCE: Duration = Duration::from_secs(180);

/// What the sessions cost.
#[derive(Debug, Clone)]
pub struct Idle {
    /// Sessions, the first ones included.
    pub sessions: u64,
    /// Bytes of resident memory for each session in memory, at the moment at which most were.
    pub bytes_in_memory: Option<u64>,
    /// How many were in memory then.
    pub most_in_memory: u64,
    /// Bytes of resident memory for each session after they had left it.
    pub bytes_evicted: Option<u64>,
    /// How many were in memory then.
    pub left_in_memory: u64,
    /// Bytes of the store's file for each session, where it has one.
    pub bytes_stored: u64,
}

/// What the host said, and what it held then.
#[derive(Debug, Clone, Copy)]
struct Look {
    in_memory: u64,
    resident: u64,
}

/// Gives so many sessions a link and some actions, and lets them go idle.
///
/// # Errors
/// When a link isn't made, or the host's memory can't be read.
///
/// # Panics
/// When something doesn't start or stop, or nothing arrives.
pub async fn idle(
    sessions: u32,
    store: StoreKind,
    taker: PathBuf,
    components: Option<PathBuf>,
) -> Result<Idle> {
    if sessions <= WARM {
        bail!("idle: {sessions} sessions are too few, {WARM} are there to warm up alone");
    }
    let most = sessions as usize;
    let platform = PlatformOptions {
        keep: Keep::Tally,
        max_conversations: most,
        keys_per_conversation: 1,
        tally: TallyOptions { max_sessions: most, ..TallyOptions::default() },
        ..PlatformOptions::default()
    };
    let setup = Setup {
        store,
        taker: Some(taker),
        components,
        limits: "concurrency = 8".to_owned(),
        platform,
        ..Setup::default()
    };
    let mut rig = Rig::start(setup).await;
    let mut feed = rig.feed();
    let rig = Arc::new(rig);
    busy(&rig, 0..WARM).await?;
    let base = look(&rig, &mut feed).await?;
    let stored = rig.store_bytes();
    let mut fullest = base;
    let mut from = WARM;
    while from < sessions {
        let to = sessions.min(from + STEP);
        busy(&rig, from..to).await?;
        from = to;
        let seen = look(&rig, &mut feed).await?;
        if seen.in_memory >= fullest.in_memory {
            fullest = seen;
        }
    }
    let deadline = Instant::now() + PATIENCE;
    let mut last = look(&rig, &mut feed).await?;
    while last.in_memory > 0 && Instant::now() < deadline {
        sleep(Duration::from_secs(1)).await;
        last = look(&rig, &mut feed).await?;
    }
    let further = u64::from(sessions - WARM);
    let idle = Idle {
        sessions: u64::from(sessions),
        bytes_in_memory: each(fullest.resident, base.resident, fullest.in_memory - base.in_memory),
        most_in_memory: fullest.in_memory,
        bytes_evicted: each(last.resident, base.resident, further),
        left_in_memory: last.in_memory,
        bytes_stored: rig.store_bytes().saturating_sub(stored) / further,
    };
    drop(feed);
    Arc::into_inner(rig).context("idle: a task still holds the rig")?.stop().await;
    Ok(idle)
}

fn each(after: u64, before: u64, sessions: u64) -> Option<u64> {
    after.saturating_sub(before).checked_div(sessions)
}

/// Links these sessions and has them act; returns when all of it has arrived.
async fn busy(rig: &Arc<Rig>, sessions: std::ops::Range<u32>) -> Result<()> {
    let before = rig.platform.tally(|tally| tally.totals().distinct());
    let wanted = before + u64::from(sessions.end - sessions.start) * ACTIONS;
    let mut links = JoinSet::new();
    for i in sessions {
        if links.len() >= LINKS {
            acted(links.join_next().await)?;
        }
        let rig = rig.clone();
        links.spawn(async move {
            let person = Person::new("p", format!("s{i}"));
            rig.platform.open(person.opening()).await.context("idle: a webhook wasn't taken")?;
            rig.emit(&person.batch(0..ACTIONS)).await;
            Ok(())
        });
    }
    while !links.is_empty() {
        acted(links.join_next().await)?;
    }
    let mut last = (0, Instant::now());
    loop {
        let arrived = rig.platform.tally(|tally| tally.totals().distinct());
        if arrived >= wanted {
            return Ok(());
        }
        if arrived > last.0 {
            last = (arrived, Instant::now());
        }
        if last.1.elapsed() > PATIENCE {
            bail!("idle: {arrived} of {wanted} actions arrived, and no more come");
        }
        sleep(Duration::from_millis(5)).await;
    }
}

fn acted(joined: Option<Result<Result<()>, tokio::task::JoinError>>) -> Result<()> {
    match joined {
        Some(acted) => acted.context("idle: a task failed")?,
        None => Ok(()),
    }
}

async fn look(rig: &Rig, feed: &mut Feed) -> Result<Look> {
    let counters = feed.counters().await;
    let resident = vitals::resident(rig.host_process());
    Ok(Look {
        in_memory: counters.get("sessions_in_memory").copied().unwrap_or_default(),
        resident: resident.context("idle: the host's memory can't be read: this needs Linux")?,
    })
}
