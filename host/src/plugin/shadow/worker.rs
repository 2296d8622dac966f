//! Compares: gives the new version what live calls were given, one after the other, on a thread of the lowest priority. Its
//! requests are answered from the recording, and what it writes is thrown away.
//!
//! Where something differs, the version that runs is called with the same, too: what differs even then is by chance, such
//! as a random number in a body, and says nothing of the new version.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Dispatch;

use super::difference::{Both, Difference, Ending, NewRequest, compare};
use super::input::{no_export, of_crash};
use super::meter::{Meter, metered};
use super::reads::Remembered;
use super::sums::{Compared, Cost};
use super::watch::{Comparison, Recording, as_it_stands};
use crate::clock::Clock;
use crate::config::Isolation;
use crate::egress::{Alarm, Played, Player, Tape};
use crate::kv::Writes;
use crate::plugin::admit::Live;
use crate::plugin::ground::Ground;
use crate::plugin::instance;
use crate::plugin::kv::{KvOfCall, TimersOfCall};
use crate::plugin::pool::Pool;
use crate::plugin::trap::{self, Told};
use crate::store::Store;
use crate::timer::TimersHeld;

/// Whoever serves comes first.
const NICE: i32 = 19;
/// So many calls that end in a trap one after the other make a shadow pause.
const TRAPS: u32 = 3;
/// How long it pauses at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// So often it is found out of a difference whether it is by chance, and then once in a few calls.
const ENOUGH: u32 = 8;
const AGAIN: u32 = 16;
/// Differences of which that is remembered.
const MOST_KNOWN: usize = 1000;

/// The versions that are held against each other.
pub(in crate::plugin) struct Versions {
    /// The new one.
    pub(in crate::plugin) new: Arc<Pool>,
    /// The one that runs.
    pub(in crate::plugin) live: Arc<Pool>,
    /// What both keep.
    pub(in crate::plugin) store: Option<Weak<dyn Store>>,
}

/// A version, ready to be given what was recorded.
struct Stage {
    pool: Arc<Pool>,
    ground: Arc<Ground>,
    /// An instance between two calls, and how often it was called.
    warm: Option<(Live, u64)>,
    /// Whether it is used again.
    is_kept: bool,
}

/// How often each difference of an export was one of the new version, and by chance, as far as that was found out.
#[derive(Default)]
struct Known {
    seen: BTreeMap<(&'static str, Difference), [u32; 2]>,
    calls: u32,
}

/// What a version did.
struct Done {
    requests: Vec<Played>,
    is_whole: bool,
    ending: Ending,
    written: Writes,
    cost: Cost,
    reads_beyond: u64,
    trap: Option<(&'static str, Vec<String>)>,
}

/// Compares what comes, until nothing does any more or it is told to stop.
///
/// # Errors
/// There is no thread for it.
pub(in crate::plugin) fn start(
    comparison: Arc<Comparison>,
    recordings: mpsc::Receiver<Recording>,
    versions: Versions,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("plugin-shadow".to_owned()).spawn(move || {
        // Only this thread's. It works without, at the expense of others.
        rustix::process::nice(NICE).ok();
        // What a shadow logs would stand beside what the live call logged, and may tell what people did.
        let _quiet = tracing::dispatcher::set_default(&Dispatch::none());
        let worked = stop.run_until_cancelled(work(comparison, recordings, versions));
        runtime.block_on(worked);
    })?;
    Ok(())
}

async fn work(
    comparison: Arc<Comparison>,
    mut recordings: mpsc::Receiver<Recording>,
    versions: Versions,
) {
    let Versions { new, live, store } = versions;
    let mut live = Stage {
        ground: Arc::new(live.ground().shadowed()),
        is_kept: live.isolation() != Isolation::Call,
        pool: live,
        warm: None,
    };
    let is_kept = new.isolation() != Isolation::Call;
    let mut known = Known::default();
    let mut new = Stage { ground: new.ground().clone(), pool: new, warm: None, is_kept };
    let mut traps = 0;
    while let Some(recording) = recordings.recv().await {
        let done = new.play(&recording, store.as_ref()).await;
        let has_trapped = done.trap.is_some();
        let compared = held_against(recording, done, &mut live, &mut known, store.as_ref()).await;
        comparison.add(compared);
        traps = if has_trapped { traps + 1 } else { 0 };
        if traps >= TRAPS {
            let times = 1_u32 << (traps - TRAPS).min(10);
            comparison.pause(true);
            tokio::time::sleep((FIRST_PAUSE * times).min(LONGEST_PAUSE)).await;
            comparison.pause(false);
        }
    }
}

async fn held_against(
    recording: Recording,
    done: Done,
    live: &mut Stage,
    known: &mut Known,
    store: Option<&Weak<dyn Store>>,
) -> Compared {
    let private = recording.input.private();
    let mut differences = compare(&both(&recording, &done, &private));
    let export = recording.input.export();
    let before = differences.len();
    if known.is_settled(export, differences.keys()) {
        differences.retain(|difference, _| !known.is_of_chance(export, difference));
    } else {
        let again = live.play(&recording, store).await;
        let of_chance = compare(&both(&recording, &again, &private));
        differences.retain(|difference, _| {
            let is_of_chance = of_chance.contains_key(difference);
            known.add(export, difference, is_of_chance);
            !is_of_chance
        });
    }
    let by_chance = before - differences.len();
    Compared {
        export,
        example: recording.input.example(),
        differences,
        by_chance,
        refused: done.requests.iter().filter(|played| played.counterpart.is_none()).count(),
        reads_beyond: done.reads_beyond,
        costs: [recording.cost, done.cost],
        trap: done.trap,
    }
}

fn both<'a>(recording: &'a Recording, done: &'a Done, private: &'a [String]) -> Both<'a> {
    let new = done.requests.iter().map(|played| NewRequest {
        request: &played.request,
        counterpart: played.counterpart,
        is_granted: played.is_granted,
    });
    Both {
        old: recording.exchanges.iter().map(|exchange| &exchange.request).collect(),
        new: new.collect(),
        is_whole: done.is_whole,
        endings: [&recording.ending, &done.ending],
        writes: [&recording.written, &done.written],
        private,
    }
}

impl Known {
    /// Whether it is known of all of these whether they are by chance, so that nobody needs to be called for it. What was
    /// both at times is never settled, and one call in a few is made all the same.
    fn is_settled<'a>(
        &mut self,
        export: &'static str,
        mut differences: impl Iterator<Item = &'a Difference>,
    ) -> bool {
        self.calls += 1;
        let is_known = |difference: &Difference| {
            let seen = self.seen.get(&(export, difference.clone()));
            seen.is_some_and(|[real, chance]| {
                real + chance >= ENOUGH && (*real == 0 || *chance == 0)
            })
        };
        let mut differences = differences.by_ref().peekable();
        differences.peek().is_none()
            || (!self.calls.is_multiple_of(AGAIN) && differences.all(is_known))
    }

    fn is_of_chance(&self, export: &'static str, difference: &Difference) -> bool {
        let seen = self.seen.get(&(export, difference.clone()));
        seen.is_some_and(|[_, chance]| *chance > 0)
    }

    fn add(&mut self, export: &'static str, difference: &Difference, is_of_chance: bool) {
        let key = (export, difference.clone());
        if self.seen.len() < MOST_KNOWN || self.seen.contains_key(&key) {
            self.seen.entry(key).or_default()[usize::from(is_of_chance)] += 1;
        }
    }
}

impl Stage {
    /// Gives it what was recorded.
    async fn play(&mut self, recording: &Recording, store: Option<&Weak<dyn Store>>) -> Done {
        let mut done = Done {
            requests: Vec::new(),
            is_whole: true,
            ending: no_export(),
            written: Writes::default(),
            cost: Cost::default(),
            reads_beyond: 0,
            trap: None,
        };
        if !self.pool.admitted().exports(recording.input.interface()) {
            return done;
        }
        let deadline = Instant::now() + recording.left;
        let (mut live, calls) = match self.instance(deadline).await {
            Ok(warm) => warm,
            Err(told) => {
                done.stopped(told);
                return done;
            }
        };
        let player = Player::of(recording.exchanges.clone());
        let beyond = Arc::new(AtomicU64::new(0));
        let kv = self.kv(recording, store, beyond.clone());
        live.store.data().moment.again(recording.readings.clone(), recording.at);
        instance::begin_call(&mut live.store, deadline, None, kv, Tape::Play(player.clone()));
        let meter = Meter::default();
        let made = recording.input.make(&mut live, recording.left, recording.at);
        let outcome = Alarm::default().until(deadline, metered(Some(&meter), made)).await;
        let state = live.store.data_mut();
        state.log.end();
        done.cost = Cost { computed: meter.computed(), memory_bytes: state.memory.bytes() };
        done.reads_beyond = beyond.load(Relaxed);
        (done.requests, done.is_whole) = player.take();
        match outcome {
            Some(Ok(ending)) => {
                done.ending = ending;
                // As of the live call: where it isn't stored with the outcome, nobody looks.
                done.written = state.kv.take_written();
                let is_worn = calls + 1 >= self.ground.limits.calls_per_instance
                    || state.handles_held() > self.ground.limits.handles / 2;
                if self.is_kept && !is_worn {
                    self.warm = Some((live, calls + 1));
                }
            }
            Some(Err(error)) => done.stopped(trap::told(&error, state)),
            None => done.stopped(Told::too_late(state)),
        }
        done
    }

    /// An instance between two calls, or a fresh one.
    async fn instance(&mut self, deadline: Instant) -> Result<(Live, u64), Told> {
        if let Some(warm) = self.warm.take() {
            return Ok(warm);
        }
        let mut store = self.pool.admitted().store(&self.ground);
        instance::begin_call(&mut store, deadline, None, KvOfCall::none(), Tape::None);
        match tokio::time::timeout_at(deadline, self.pool.admitted().instantiate(store)).await {
            Ok(Ok(live)) => Ok((live, 0)),
            Ok(Err((error, store))) => Err(trap::told(&error, store.data())),
            Err(_) => Err(Told {
                crash: crate::outbox::note::Crash::Timeout,
                message: String::new(),
                functions: Vec::new(),
            }),
        }
    }

    /// What the call may read: as the live call did. What it writes goes nowhere.
    fn kv(
        &self,
        recording: &Recording,
        store: Option<&Weak<dyn Store>>,
        beyond: Arc<AtomicU64>,
    ) -> KvOfCall {
        let Some(store) = store.cloned() else { return KvOfCall::none() };
        let timers = TimersOfCall {
            clock: Clock::starting_at(recording.at),
            held: TimersHeld::holding(&self.ground.name, recording.timers),
            stored: None,
        };
        let store = Remembered { store, reads: recording.reads.clone(), beyond };
        KvOfCall::of(Arc::new(store), &as_it_stands(&recording.kv), timers)
    }
}

impl Done {
    fn stopped(&mut self, told: Told) {
        self.ending = of_crash(told.crash);
        self.trap = Some((told.crash.code(), told.functions));
    }
}

#[cfg(test)]
mod tests {
    use super::super::difference::What;
    use super::*;

    #[test]
    fn what_is_known_of_a_difference_needs_no_further_call_and_what_varies_does() {
        let mut known = Known::default();
        let of =
            |what| Difference { what, request: None, at: None, change: None, from: None, to: None };
        let (real, chance, varies) = (of(What::Header), of(What::Body), of(What::Answer));
        for n in 0..2 * ENOUGH {
            known.add("post-note", &real, false);
            known.add("post-note", &chance, true);
            known.add("post-note", &varies, n % 2 == 0);
        }
        let mut settled = |found: &[&Difference]| {
            (0..AGAIN - 1).filter(|_| known.is_settled("post-note", found.iter().copied())).count()
        };
        assert_eq!(settled(&[]), 15);
        assert!(settled(&[&real, &chance]) >= 14);
        assert_eq!(settled(&[&real, &varies]), 0);
        assert!(
            known.is_of_chance("post-note", &chance) && !known.is_of_chance("post-note", &real)
        );
        assert!(!known.is_settled("wake", std::iter::once(&real)), "another export");
    }
}
