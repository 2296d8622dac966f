//! The rows about the breaker, and about the names that it and the limits are kept under.

use std::sync::Arc;
use std::time::Duration;

use sidenote::clock::Timestamp;
use sidenote::outbox::breaker::{Breaker, Health, State, Turn};
use sidenote::rules;
use sidenote::store::{Change, EmbeddedStore, Group, Key, MemoryStore, Store, Table};

const NOW: Timestamp = Timestamp(1_700_000_000_000_000);
const SECOND: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_secs(120);

fn rules() -> rules::Breaker {
    let default = rules::Breaker::default();
    rules::Breaker { failures: 5, pause_initial: PAUSE, pause_max: PAUSE, ..default }
}

fn fail(breaker: &mut Breaker, probe: bool, now: Timestamp) -> Option<Turn> {
    breaker.end(Health::Down, probe, now, &rules(), 1.0)
}

fn opened() -> Breaker {
    let mut breaker = Breaker::new(NOW);
    let turns: Vec<_> = (0..5).map(|_| fail(&mut breaker, false, NOW)).collect();
    assert_eq!(turns, [None, None, None, None, Some(Turn::Opened)]);
    breaker
}

#[tokio::test]
async fn d75_names_that_are_alike_when_glued_together_are_kept_apart_in_every_store() {
    let folder = tempfile::tempdir().unwrap();
    let embedded = EmbeddedStore::open(&folder.path().join("rows")).unwrap();
    let stores: [Arc<dyn Store>; 2] = [Arc::new(MemoryStore::new()), Arc::new(embedded)];
    let groups =
        [("intercom", "a:b"), ("intercom:a", "b"), ("intercom:a:b", ""), ("", "intercom:a:b")]
            .map(|(surface, product)| Group(surface.into(), product.into()));
    for store in stores {
        for table in [Table::Account, Table::Session, Table::Person, Table::Conversation] {
            let changes = groups.iter().enumerate().map(|(n, group)| {
                let key = Key { table, group: group.clone(), number: 0 };
                Change::Put(key, format!("row {n}").into_bytes())
            });
            store.commit(changes.collect()).await.unwrap();
            let read = store.load(table, &groups).await.unwrap();
            for (n, rows) in read.iter().enumerate() {
                assert_eq!(*rows, [(0, format!("row {n}").into_bytes())], "{table:?}");
            }
        }
    }
}

#[test]
fn d96_after_the_pause_one_trial_decides() {
    let mut breaker = opened();
    assert!(!breaker.allows(NOW + PAUSE - SECOND));
    for outcome in [Health::Down, Health::Up] {
        let State::Open(until) = breaker.state() else { panic!("{breaker:?}") };
        assert!(breaker.allows(until));
        let probe = breaker.begin();
        assert!(probe && !breaker.allows(until + PAUSE * 9), "no other call beside the trial");
        let turn = breaker.end(outcome, probe, until, &rules(), 1.0);
        match outcome {
            Health::Down => {
                assert_eq!(turn, Some(Turn::StillOpen), "one failure is enough");
                assert!(!breaker.allows(until + PAUSE - SECOND));
            }
            Health::Up | Health::Unknown => assert_eq!(turn, Some(Turn::Closed)),
        }
    }
    assert!(breaker.allows(NOW));
    assert_eq!(breaker.failures(), 0);
}

#[test]
fn d96_what_was_begun_before_it_opened_neither_lengthens_the_pause_nor_ends_it() {
    let mut breaker = opened();
    let open = breaker.state();
    for n in 1..20 {
        assert_eq!(fail(&mut breaker, false, NOW + SECOND * n), None);
    }
    assert_eq!(breaker.end(Health::Up, false, NOW + SECOND * 20, &rules(), 1.0), None);
    assert_eq!(breaker.state(), open);
    let probe = breaker.allows(NOW + PAUSE) && breaker.begin();
    let closed = breaker.end(Health::Up, probe, NOW + PAUSE, &rules(), 1.0);
    assert_eq!(closed, Some(Turn::Closed));
    // Nothing of it counts for the next row.
    for _ in 0..4 {
        assert_eq!(fail(&mut breaker, false, NOW + PAUSE), None);
    }
    assert_eq!(fail(&mut breaker, false, NOW + PAUSE), Some(Turn::Opened));
}

#[test]
fn d96_failures_of_different_days_are_no_row() {
    const DAY: u64 = 24 * 3600;
    let mut breaker = Breaker::new(NOW);
    for day in 1..20 {
        let now = NOW + Duration::from_secs(day * DAY);
        assert_eq!(fail(&mut breaker, false, now), None);
        assert_eq!(breaker.failures(), 1);
    }
    // Across a restart too.
    let stored = serde_json::to_string(&breaker).unwrap();
    let now = NOW + Duration::from_secs(20 * DAY);
    let mut breaker: Breaker = serde_json::from_str(&stored).unwrap();
    breaker = breaker.taken_up(now, &rules());
    assert_eq!(fail(&mut breaker, false, now), None);
    assert_eq!(breaker.failures(), 1);
}
