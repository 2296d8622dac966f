//! The embedded store on a disk that loses its power at any moment, more than once: what was
//! acknowledged is there, and of what was under way all or nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sidenote::store::{EmbeddedStore, Store, StoreError};
use tokio::runtime::Runtime;

use crate::disk::{Fault, Kind, SimulatedDisk};
use crate::history::{Known, RowMap, random_changes, read_all, short_history};
use crate::survivor::Survivor;

/// Seeds that are run when nothing else is asked for.
const SEEDS: u64 = 300;

/// Ways in which a power loss at one sync can end that the short history is tried with.
const VARIANTS: u64 = 6;

/// Random histories. `SIDENOTE_DISK_SEEDS` is how many, `SIDENOTE_DISK_SEED` the only one to run.
#[test]
fn random_histories_lose_nothing_acknowledged() {
    let runtime = runtime();
    let mut tally = Tally::default();
    for seed in seeds() {
        let ran = run(&runtime, seed, 0);
        let ran = ran.unwrap_or_else(|wrong| {
            panic!("seed {seed}: {wrong}\nSIDENOTE_DISK_SEED={seed} repeats it")
        });
        tally.add(&ran);
    }
    println!("random histories: {tally:?}");
    let repeats = std::env::var_os("SIDENOTE_DISK_SEED").is_some();
    assert!(repeats || tally.tests_something(), "{tally:?}");
}

/// The same check, with a disk that answers some syncs without doing them, must fail.
#[test]
fn a_disk_that_lies_about_syncs_is_found_out() {
    let runtime = runtime();
    let wrong = |lies| (0..SEEDS).find_map(|seed| Some((seed, run(&runtime, seed, lies).err()?)));
    for lies in [100, 20, 3] {
        let (seed, wrong) = wrong(lies).expect("lies were not found out");
        println!("{lies} of 100 syncs lied: found out at seed {seed}: {wrong}");
    }
}

#[test]
fn a_seed_repeats_its_history() {
    let runtime = runtime();
    for seed in [3, 4] {
        assert_eq!(run(&runtime, seed, 0).unwrap(), run(&runtime, seed, 0).unwrap());
    }
}

/// Every sync of a short history, and every sync of the repair after it.
#[test]
fn a_power_loss_at_any_sync_of_a_short_history_loses_nothing_acknowledged() {
    let runtime = runtime();
    let mut tally = Tally::default();
    let mut at = 1;
    while runtime.block_on(lose_power_at(at, &mut tally)) {
        at += 1;
    }
    let syncs = at - 1;
    println!("each of {syncs} syncs of a short history: {tally:?}");
    // Two for each commit, and what it takes to make the file and to close it.
    assert!(syncs > 2 * short_history().len() as u64, "{syncs}");
    assert!(tally.tests_something(), "{tally:?}");
}

/// `false` if the history has no such sync.
async fn lose_power_at(at: u64, tally: &mut Tally) -> bool {
    for variant in 0..VARIANTS {
        let disk = SimulatedDisk::holding(Vec::new(), variant);
        disk.plan(Kind::Sync, at, Fault::PowerLoss);
        let mut known = Known::default();
        if let Ok(store) = EmbeddedStore::open_on(disk.clone()) {
            for changes in short_history() {
                if store.commit(changes.clone().into()).await.is_err() {
                    known.cut_off(&changes);
                    break;
                }
                tally.commits += 1;
                known.acknowledged(&changes);
            }
        }
        if !disk.is_down() {
            return false;
        }
        let mut rng = StdRng::seed_from_u64(at * VARIANTS + variant);
        let left = disk.survivor(&mut rng);
        tally.crash(&left, false);
        let found = reopened(&left.image).await;
        let settled = known.settle(&found);
        settled.unwrap_or_else(|wrong| panic!("sync {at}, variant {variant}: {wrong}"));
        let mut again = 1;
        while let Some(twice) = lose_power_in_repair_at(again, &left.image, &mut rng) {
            tally.crash(&twice, true);
            let same = reopened(&twice.image).await == found;
            assert!(same, "sync {at}, variant {variant}, then sync {again} of the repair");
            again += 1;
        }
    }
    true
}

/// What is left of a file that was opened, repaired and closed when the power is lost at one of the
/// syncs of that; `None` if there are no so many.
fn lose_power_in_repair_at(at: u64, image: &[u8], rng: &mut StdRng) -> Option<Survivor> {
    let disk = SimulatedDisk::holding(image.to_vec(), 0);
    disk.plan(Kind::Sync, at, Fault::PowerLoss);
    drop(EmbeddedStore::open_on(disk.clone()));
    disk.is_down().then(|| disk.survivor(rng))
}

async fn reopened(image: &[u8]) -> RowMap {
    let store = EmbeddedStore::open_on(SimulatedDisk::holding(image.to_vec(), 0)).unwrap();
    read_all(&store).await.unwrap()
}

/// One random history, of several lives of the store between which the power is lost.
fn run(runtime: &Runtime, seed: u64, lies: u32) -> Result<Tally, String> {
    // redb answers some damage with a panic; that is a finding like any other.
    let ran = catch_unwind(AssertUnwindSafe(|| runtime.block_on(history(seed, lies))));
    ran.unwrap_or_else(|panic| {
        let constant = panic.downcast_ref::<&str>().map(|words| (*words).to_owned());
        let words = constant.or_else(|| panic.downcast_ref::<String>().cloned());
        Err(format!("a panic: {}", words.unwrap_or_default()))
    })
}

async fn history(seed: u64, lies: u32) -> Result<Tally, String> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut tally = Tally { seeds: 1, ..Tally::default() };
    let mut known = Known::default();
    let mut image = Vec::new();
    for _ in 0..rng.random_range(2..7) {
        let disk = SimulatedDisk::holding(image, rng.random());
        disk.lie(lies);
        if rng.random_bool(0.3) {
            let room = disk.used() + rng.random_range(100_000..1_000_000);
            disk.limit(room, 64 << 10);
        }
        // Early often, so that the making and the repair of the file are hit.
        let within = [12, 60, 400][rng.random_range(0..3)];
        disk.plan(Kind::Change, rng.random_range(1..=within), Fault::PowerLoss);
        match EmbeddedStore::open_on(disk.clone()) {
            Ok(store) => {
                live(&store, &disk, &mut rng, &mut known, &mut tally).await?;
                drop(store);
                // The power may be lost while it was closed, or right after, or not at all.
                if !disk.is_down() && rng.random_bool(0.5) {
                    disk.lose_power();
                }
            }
            Err(_) if disk.is_down() => tally.crashes_in_open += 1,
            Err(error) => return Err(format!("it didn't open: {error}")),
        }
        if disk.is_down() {
            let left = disk.survivor(&mut rng);
            tally.crash(&left, false);
            image = left.image;
        } else {
            tally.closed += 1;
            image = disk.after_a_restart();
        }
    }
    let store = EmbeddedStore::open_on(SimulatedDisk::holding(image, 0))
        .map_err(|error| format!("it didn't open in the end: {error}"))?;
    let found = read_all(&store).await.map_err(|error| error.to_string())?;
    known.settle(&found)?;
    Ok(tally)
}

/// One life: what is found is checked, then commits follow until the power is lost, or it is enough.
async fn live(
    store: &EmbeddedStore,
    disk: &SimulatedDisk,
    rng: &mut StdRng,
    known: &mut Known,
    tally: &mut Tally,
) -> Result<(), String> {
    known.settle(&read_all(store).await.map_err(|error| error.to_string())?)?;
    for _ in 0..rng.random_range(1..40) {
        let changes = random_changes(rng, &known.rows);
        match store.commit(changes.clone().into()).await {
            Ok(()) => {
                tally.commits += 1;
                known.acknowledged(&changes);
            }
            Err(StoreError::Full(_)) if disk.is_limited() => {
                tally.full += 1;
                match read_all(store).await {
                    Ok(found) if found == known.rows => {}
                    Ok(_) => return Err("a commit that found no room was stored".to_owned()),
                    // Lost while the file was opened again.
                    Err(_) if disk.is_down() => return Ok(()),
                    Err(error) => return Err(error.to_string()),
                }
                disk.grow(rng.random_range(0..1_000_000));
                store.has_room().await;
            }
            Err(StoreError::Fatal(_)) if disk.is_down() => {
                known.cut_off(&changes);
                return Ok(());
            }
            Err(error) => return Err(format!("a commit failed: {error}")),
        }
    }
    Ok(())
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

fn seeds() -> std::ops::Range<u64> {
    let number = |name| {
        let text = std::env::var(name).ok()?;
        Some(text.parse::<u64>().unwrap_or_else(|_| panic!("{name} is a number, not {text}")))
    };
    if let Some(seed) = number("SIDENOTE_DISK_SEED") {
        return seed..seed + 1;
    }
    0..number("SIDENOTE_DISK_SEEDS").unwrap_or(SEEDS)
}

/// What was tried.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    seeds: u64,
    commits: u64,
    crashes: u64,
    /// Of those, while the file was made, or opened and repaired.
    crashes_in_open: u64,
    /// Lives that ended without a crash.
    closed: u64,
    /// Commits that found no room.
    full: u64,
    /// Unsynced writes at the crashes.
    kept: u64,
    dropped: u64,
    torn: u64,
    overtook: u64,
}

impl Tally {
    fn crash(&mut self, left: &Survivor, in_open: bool) {
        self.crashes += 1;
        self.crashes_in_open += u64::from(in_open);
        self.kept += left.kept;
        self.dropped += left.dropped;
        self.torn += left.torn;
        self.overtook += left.overtook;
    }

    fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.commits += other.commits;
        self.crashes += other.crashes;
        self.crashes_in_open += other.crashes_in_open;
        self.closed += other.closed;
        self.full += other.full;
        self.kept += other.kept;
        self.dropped += other.dropped;
        self.torn += other.torn;
        self.overtook += other.overtook;
    }

    fn tests_something(&self) -> bool {
        [self.commits, self.crashes_in_open, self.kept, self.dropped, self.torn, self.overtook]
            .iter()
            .all(|count| *count > 0)
    }
}
