//! Kills at random moments under load, judged from outside: nothing taken is lost, nothing out of order, and
//! only what was in flight at a kill is doubled.
//!
//! `SIDENOTE_KILLS=200` asks for more kills than the 20 of a run in continuous integration, and
//! `SIDENOTE_SEED` for the seed of an earlier run. With `--nocapture` a line says what was seen.

use std::path::PathBuf;
use std::time::Duration;

use sidenote_tests::trial::{Batch, End, Moment, Plan, Trial, judge};
use sidenote_tests::{RedisServer, StoreKind};
use tokio::time::Instant;

/// People who act at the same time, each in a session of their own.
const SESSIONS: usize = 24;

fn plan(store: StoreKind, seed: u64) -> Plan {
    let taker = PathBuf::from(env!("CARGO_BIN_EXE_taker"));
    Plan { store, taker, components: None, sessions: SESSIONS, seed }
}

pub(crate) fn from_environment(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is no number: {value}")))
}

pub(crate) fn seed() -> u64 {
    from_environment("SIDENOTE_SEED").unwrap_or_else(|| u64::from(rand::random::<u32>()))
}

/// Kills a host on this store again and again; what came of it, in a line.
async fn kills(store: StoreKind, seed: u64) -> String {
    let kills = from_environment("SIDENOTE_KILLS").unwrap_or(20);
    let name = store.name();
    let began = Instant::now();
    let mut trial = Trial::start(plan(store, seed)).await;
    for _ in 0..kills {
        trial.live_and_be_killed().await;
    }
    let verdict = trial.settle().await;
    verdict.assert_sound();
    assert!(
        verdict.kills as u64 == kills && verdict.taken > kills,
        "too little happened: {verdict}"
    );
    let seconds = began.elapsed().as_secs_f64();
    let starting = trial.kills_while_starting();
    trial.end().await;
    format!(
        "kills: {name}, {SESSIONS} sessions, seed {seed}: {verdict}; {starting} kills while starting; {seconds:.1} s"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_nothing_that_was_taken_on_the_embedded_store() {
    let seed = seed();
    println!("SIDENOTE_SEED={seed} repeats this run");
    println!("{}", kills(StoreKind::Embedded, seed).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_nothing_that_was_taken_on_a_redis_server() {
    let options = [("appendonly", "yes"), ("appendfsync", "always")];
    let Some(server) = RedisServer::start(&options).await else { return };
    let seed = seed();
    println!("SIDENOTE_SEED={seed} repeats this run");
    println!("{}", kills(StoreKind::Redis { url: server.config().url }, seed).await);
}

/// The judge is right to be content: it isn't where something is missing of what it is shown.
#[tokio::test(flavor = "multi_thread")]
async fn the_judge_finds_what_is_missing_doubled_or_out_of_order() {
    let mut trial = Trial::start(plan(StoreKind::Embedded, 1)).await;
    for _ in 0..2 {
        trial.live(Duration::from_millis(700), Moment::Any).await;
        trial.end_life(End::Kill).await;
    }
    let verdict = trial.settle().await;
    verdict.assert_sound();
    let seen = trial.evidence();
    trial.end().await;

    let mut more = seen.clone();
    let never_sent = Batch { first: 1_000_000, count: 3, taken: true, ..more.batches[0].clone() };
    more.batches.push(never_sent);
    assert_eq!(judge(&more).lost, 3);

    let mut less = seen.clone();
    let arrived = less.exchanges.iter().rposition(|exchange| exchange.taken.is_some());
    let key = less.exchanges[arrived.expect("something arrived")].key.clone();
    less.exchanges.retain(|exchange| exchange.key != key);
    let missing = judge(&less);
    assert!(missing.lost + missing.torn > 0 || missing.arrived < verdict.arrived, "{missing}");

    let mut renamed = seen.clone();
    for (n, exchange) in renamed.exchanges.iter().enumerate().filter(|(_, e)| e.taken.is_some()) {
        let mut again = exchange.clone();
        again.key = format!("another-{n}").into();
        again.seq += 1_000_000;
        more.exchanges.push(again);
    }
    assert!(judge(&more).twice > 0);

    let mut turned = seen;
    turned.exchanges.reverse();
    for (at, exchange) in turned.exchanges.iter_mut().enumerate() {
        exchange.taken = exchange.taken.map(|_| sidenote::clock::Timestamp(at as i64));
    }
    let turned = judge(&turned);
    assert!(turned.out_of_order > 0 && turned.went_back > 0, "{turned}");
    renamed.exchanges.clear();
    let nothing = judge(&renamed);
    assert_eq!(nothing.lost + nothing.dead, nothing.taken);
}
