//! Partitions on a real Redis Cluster: three masters and three replicas.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use sidenote::store::{
    Change, Lost, PartitionStore, RedisOpenError, RedisStore, Store, StoreError, Table,
};
use sidenote_cluster::ids::{Partition, Resource};
use sidenote_cluster::partition::Partitions;
use sidenote_tests::partition::{member, partition, shared};
use sidenote_tests::{DEADLINE, RedisCluster, eventually};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::rows::slot;
use super::{group, key, put};
use crate::contract::contract;

/// What was acknowledged in the last so many milliseconds before a master is lost may be lost with it: its replica
/// hadn't received it. `docs/src/developers/hosts.md` names the bound.
const LOSS: Duration = Duration::from_secs(1);

/// Slots that are moved.
const MOVED: u16 = 120;

fn slot_of(of: Partition) -> u16 {
    slot(&Resource::Partition(of).tag())
}

/// Partitions whose slots are among these.
fn partitions_in(first: u16, last: u16) -> Vec<Partition> {
    let all = Partitions::new(1000).unwrap().all();
    all.filter(|it| (first..=last).contains(&slot_of(*it))).take(4).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_on_a_cluster_keep_the_contract() {
    let Some(cluster) = RedisCluster::start().await else { return };
    let refused = RedisStore::open(&cluster.config()).await.err();
    assert!(matches!(refused, Some(RedisOpenError::Cluster { .. })), "{refused:?}");
    let shared = shared(&cluster.config()).await;
    shared.lay_out(Partitions::default()).await.unwrap();
    // One on each master.
    let mut masters = BTreeMap::new();
    for of in Partitions::default().all() {
        masters.entry(cluster.master_of(slot_of(of)).port).or_insert(of);
        if masters.len() == 3 {
            break;
        }
    }
    let mut running = JoinSet::new();
    for of in masters.into_values() {
        let store = partition(&shared, of, &member("a")).await;
        running.spawn(contract(Arc::new(store)));
    }
    assert_eq!(running.len(), 3);
    for ended in running.join_all().await {
        let () = ended;
    }
}

/// What one writer was told: each number with when it was acknowledged, and why it ended.
struct Told {
    of: Partition,
    store: PartitionStore,
    acknowledged: Vec<(u64, Instant)>,
    lost: Option<Lost>,
    /// The longest time between two acknowledgements.
    stall: Duration,
}

/// Commits one row after the other, as an engine would: what isn't acknowledged is tried again.
async fn write(
    of: Partition,
    store: PartitionStore,
    ends: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
) -> Told {
    let mut told = Told { of, store, acknowledged: Vec::new(), lost: None, stall: Duration::ZERO };
    let mut last = Instant::now();
    for number in 0.. {
        if ends.load(Ordering::Relaxed) {
            break;
        }
        // Rows of many groups and tables, so that a slot that is being moved is on two nodes for a while.
        let name = format!("s{}", number % 50);
        let changes: Arc<[Change]> = Arc::new([
            put(Table::Open, ("p", "all"), number, "x"),
            put(Table::Outbox, ("p", &name), number, "x"),
            Change::Delete(key(Table::Attempt, ("p", &name), number)),
        ]);
        loop {
            match told.store.commit(changes.clone()).await {
                Ok(()) => break,
                Err(StoreError::Away(_)) => sleep(Duration::from_millis(100)).await,
                Err(StoreError::Lost(lost)) => {
                    told.lost = Some(lost);
                    return told;
                }
                Err(
                    error @ (StoreError::Full(_) | StoreError::Refused(_) | StoreError::Fatal(_)),
                ) => {
                    panic!("{of}: {error}")
                }
            }
        }
        let now = Instant::now();
        told.stall = told.stall.max(now - last);
        last = now;
        told.acknowledged.push((number, now));
        count.fetch_add(1, Ordering::Relaxed);
        sleep(Duration::from_millis(5)).await;
    }
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_commit_is_lost_over_a_resharding_and_none_before_the_bound_over_a_failover()
 {
    let Some(mut cluster) = RedisCluster::start().await else { return };
    let shared = shared(&cluster.config()).await;
    let a = member("a");
    let first = cluster.master_of(0);
    let last = cluster.master_of(16_383);
    let moved = partitions_in(0, MOVED - 1);
    let middle = partitions_in(8_000, 8_500);
    let others = partitions_in(16_000, 16_383);
    assert!(!moved.is_empty() && !middle.is_empty() && !others.is_empty());
    let (ends, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut writers = JoinSet::new();
    for of in moved.iter().chain(&middle).chain(&others).copied() {
        let store = partition(&shared, of, &a).await;
        // So that moving a slot takes a while.
        for at in 0..4 {
            let before = (at * 500..(at + 1) * 500)
                .map(|n| put(Table::Sent, ("p", &format!("before {n}")), 1, "x"));
            store.commit(before.collect()).await.unwrap();
        }
        writers.spawn(write(of, store, ends.clone(), count.clone()));
    }
    let grows = async |by: u64| {
        let from = count.load(Ordering::Relaxed);
        eventually(|| match count.load(Ordering::Relaxed) {
            now if now < from + by => Err(format!("{} of {by} commits", now - from)),
            _ => Ok(()),
        })
        .await;
    };
    grows(300).await;
    // While slots go from the first master to the last one.
    let from = count.load(Ordering::Relaxed);
    cluster.reshard(&first, &last, MOVED).unwrap();
    let during = count.load(Ordering::Relaxed) - from;
    cluster.until("the slots are moved", |nodes| {
        nodes.iter().any(|node| node.port == last.port && node.has(0))
    });
    grows(300).await;
    // The last one dies, with what was moved to it; its replica is a little behind.
    cluster.cut_off_replicas(&last);
    sleep(LOSS * 2 / 5).await;
    let killed = Instant::now();
    cluster.kill(last.port);
    cluster.until("a replica has taken over", |nodes| {
        nodes.iter().any(|node| node.is_master && node.port != last.port && node.has(0))
    });
    let deadline = Instant::now() + DEADLINE;
    grows(600).await;
    assert!(Instant::now() < deadline);
    ends.store(true, Ordering::Relaxed);
    let all: Vec<Told> = writers.join_all().await;

    let mut lost_late = 0;
    for told in &all {
        let of = told.of;
        let mut loaded = loop {
            match told.store.load(Table::Open, &[group("p", "all")]).await {
                Ok(loaded) => break loaded,
                Err(StoreError::Away(_)) => sleep(Duration::from_millis(50)).await,
                Err(error) => panic!("{error}"),
            }
        };
        let stored: Vec<u64> = loaded.remove(0).into_iter().map(|row| row.0).collect();
        let missing: Vec<_> =
            told.acknowledged.iter().filter(|(number, _)| !stored.contains(number)).collect();
        let was_killed = moved.contains(&of) || others.contains(&of);
        let may_go = |at: &Instant| was_killed && *at + LOSS > killed && *at <= killed + LOSS;
        assert!(
            missing.iter().all(|(_, at)| may_go(at)),
            "{of} lost {missing:?}, killed {killed:?}"
        );
        // A loss is never passed over in silence, and there is no other reason to end.
        assert_eq!(!missing.is_empty(), told.lost.is_some(), "{of}: {:?}", told.lost);
        assert!(told.lost.is_none_or(|lost| lost == Lost::ByServer), "{of}: {:?}", told.lost);
        lost_late += missing.len();
        assert!(told.acknowledged.len() > 30, "{of}: {} commits", told.acknowledged.len());
        if !was_killed {
            assert!(told.lost.is_none());
        }
    }
    let stall = all.iter().map(|told| told.stall).max().unwrap_or_default();
    println!(
        "{} commits, {during} during the resharding, {lost_late} lost within the bound, longest stall {stall:?}",
        count.load(Ordering::Relaxed)
    );
    assert!(lost_late > 0, "so that the check above can fail");
    assert!(during > 20, "commits go on while slots are moved: {during}");
}
