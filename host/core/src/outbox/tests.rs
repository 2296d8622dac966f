//! Lanes under random histories.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::attempt::{Attempts, Course};
use super::breaker::{self, Health, Turn};
use super::lane::{DeadLetter, Finished, IN_MEMORY, Lane, MAX_CRASHES, Progress, Queued, State};
use super::note::{
    Crash, Failure, FailureKind, LimitScope, Note, NoteKind, PostError, Posted, Sent,
};
use crate::backoff::Backoff;
use crate::clock::Timestamp;
use crate::ids::{ConversationId, ProductId, SessionId, SessionKey};
use crate::rules::{Breaker, DeadHead, Delivery};
use crate::session::packed::Packed;

fn note(seq: u64) -> Arc<Note> {
    let key =
        SessionKey { product: ProductId::new("p").unwrap(), session: SessionId::new("s").unwrap() };
    Arc::new(Note {
        idempotency_key: Note::idempotency_key(&key, seq, Timestamp(0)),
        key,
        seq,
        plugin: "bot".into(),
        conversation: ConversationId::new("c").unwrap(),
        user_id: None,
        email: None,
        kind: NoteKind::Actions,
        body: String::new(),
        actions: Packed::default(),
        through: 0,
        sealed_at: Timestamp(0),
        waits_since: None,
        begun: false,
        resent_of: None,
    })
}

fn failed(kind: FailureKind) -> PostError {
    PostError::Failed(Failure {
        kind,
        code: "x".into(),
        message: "y".into(),
        retry_after: None,
        scope: LimitScope::Account,
        sent: Sent::Unknown,
    })
}

#[derive(Debug, Clone)]
enum Step {
    Push,
    Wait(u32),
    Succeed,
    Fail(FailureKind),
    Crash,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let kinds = prop_oneof![
        Just(FailureKind::Transient),
        Just(FailureKind::RateLimited),
        Just(FailureKind::Auth),
        Just(FailureKind::NotFound),
        Just(FailureKind::Invalid),
        Just(FailureKind::Permanent),
    ];
    prop_oneof![
        3 => Just(Step::Push),
        3 => (0_u32..700).prop_map(Step::Wait),
        3 => Just(Step::Succeed),
        2 => kinds.prop_map(Step::Fail),
        1 => Just(Step::Crash),
        1 => Just(Step::Restart),
    ]
}

#[test]
fn a_note_in_flight_is_in_memory_whatever_was_requeued_meanwhile() {
    let (mut lane, now) = (Lane::default(), Timestamp(0));
    (1..=5).for_each(|seq| lane.push(note(seq)));
    for _ in 1..=3 {
        lane.start(now).unwrap();
        lane.finish(
            Ok(Posted { note_id: None, pause: None }),
            &Course::default(),
            now,
            &Delivery::default(),
        );
    }
    assert_eq!(lane.start(now).unwrap().note.seq, 4);
    assert!(lane.is_behind(5), "it isn't in memory");
    assert!(lane.requeue(&note(2), Attempts::NONE, now));
    assert!(!lane.is_behind(4), "its call is under way");
    assert!(!lane.purge(4));
}

proptest! {
    /// Every note leaves exactly once, sent or dead, and in the order in which it came; the lane keeps no
    /// more in memory than it may.
    #[test]
    fn notes_leave_once_and_in_order(
        steps in proptest::collection::vec(step(), 1..200),
        random in 0.0..=1.0,
    ) {
        let rules = Delivery { max_attempts: 4, ..Delivery::default() };
        let (mut lane, mut now, mut pushed) = (Lane::default(), Timestamp(0), 0);
        let (mut store, mut left) = (BTreeMap::<u64, Queued>::new(), Vec::new());
        let mut in_flight = false;
        for step in steps {
            if let Some(last) = lane.wants_after() {
                lane.refill(store.range(last + 1..).map(|(n, queued)| (*n, Some(queued.clone()))));
            }
            prop_assert_eq!(lane.len(), store.len());
            if !in_flight && lane.is_ready(now) {
                let head = lane.start(now).unwrap();
                // An attempt that the host crashed in is made again, beyond the maximum too.
                prop_assert!(head.progress.attempts <= rules.max_attempts + head.progress.crashes);
                store.insert(head.note.seq, head.clone());
                in_flight = true;
            }
            prop_assert!(!(in_flight && lane.is_ready(now)), "one in flight");
            let outcome = match step {
                Step::Push => {
                    pushed += 1;
                    store.insert(pushed, Queued { note: note(pushed), progress: Progress::FRESH });
                    lane.push(note(pushed));
                    continue;
                }
                Step::Wait(seconds) => {
                    now = now + Duration::from_secs(seconds.into());
                    continue;
                }
                Step::Restart => {
                    lane = Lane::load(store.values().cloned());
                    in_flight = false;
                    if let Some(dead) = lane.take_poisoned(now, &rules) {
                        store.remove(&dead.note.seq);
                        left.push(dead.note.seq);
                    }
                    continue;
                }
                Step::Succeed => Ok(Posted { note_id: None, pause: None }),
                Step::Fail(kind) => Err(failed(kind)),
                Step::Crash => {
                    Err(PostError::Crashed { crash: Crash::Trap, message: String::new() })
                }
            };
            if !in_flight {
                continue;
            }
            in_flight = false;
            let seq = lane.head().unwrap().note.seq;
            match lane.finish(outcome, &Course::of(false, random), now, &rules).unwrap() {
                Finished::Sent(..) | Finished::Dead(_) => {
                    store.remove(&seq);
                    left.push(seq);
                }
                Finished::Retry { at } => {
                    prop_assert!(at >= now);
                    let head = lane.head().unwrap();
                    prop_assert_eq!(head.note.seq, seq, "the head stays the head");
                    prop_assert!(head.progress.crashes < MAX_CRASHES);
                    store.insert(seq, head.clone());
                }
            }
        }
        left.extend(store.keys());
        prop_assert_eq!(left, (1..=pushed).collect::<Vec<_>>());
    }

    /// Whatever a person decides meanwhile, the lane and the store agree on what waits, one note is in flight
    /// at most, and nothing is posted twice or lost.
    #[test]
    fn a_lane_and_its_rows_agree_whatever_a_person_decides(
        steps in proptest::collection::vec((0_u8..7, 0_u64..24), 1..120),
        hold in any::<bool>(),
    ) {
        let dead_head = if hold { DeadHead::Hold } else { DeadHead::Free };
        let rules = Delivery { dead_head, ..Delivery::default() };
        let (mut lane, now, mut pushed) = (Lane::default(), Timestamp(0), 0);
        let mut rows = BTreeMap::<u64, Queued>::new();
        let mut dead = BTreeMap::<u64, DeadLetter>::new();
        let (mut sent, mut purged) = (Vec::new(), Vec::new());
        for (step, seq) in steps {
            if let Some(last) = lane.wants_after() {
                lane.refill(rows.range(last + 1..).map(|(n, queued)| (*n, Some(queued.clone()))));
            }
            prop_assert_eq!(lane.len(), rows.len());
            let in_flight =
                lane.head().is_some_and(|head| head.progress.state == State::InFlight);
            match step {
                0 | 1 => {
                    pushed += 1;
                    rows.insert(pushed, Queued { note: note(pushed), progress: Progress::FRESH });
                    lane.push(note(pushed));
                }
                2 if lane.is_ready(now) => {
                    let head = lane.start(now).unwrap().clone();
                    rows.insert(head.note.seq, head);
                }
                3 if in_flight => {
                    let seq = lane.head().unwrap().note.seq;
                    let posted = Posted { note_id: None, pause: None };
                    lane.finish(Ok(posted), &Course::default(), now, &rules);
                    rows.remove(&seq);
                    sent.push(seq);
                }
                4 if in_flight => {
                    let refused = Err(failed(FailureKind::Permanent));
                    let Some(Finished::Dead(letter)) =
                        lane.finish(refused, &Course::default(), now, &rules)
                    else {
                        return Err(TestCaseError::fail("a refusal is final"));
                    };
                    let seq = letter.note.seq;
                    match hold {
                        true => drop(rows.insert(seq, lane.head().unwrap().clone())),
                        false => drop(rows.remove(&seq)),
                    }
                    dead.insert(seq, letter);
                }
                5 => {
                    if let Some(letter) = dead.get(&seq)
                        && lane.requeue(&letter.note, letter.tries.clone(), now)
                    {
                        let progress = Progress::requeued(now, letter.tries.clone());
                        rows.insert(seq, Queued { note: letter.note.clone(), progress });
                        dead.remove(&seq);
                    }
                }
                6 => {
                    let waits = rows.contains_key(&seq);
                    let gone = match waits {
                        true if lane.is_behind(seq) => {
                            lane.purged_behind();
                            true
                        }
                        true => lane.purge(seq),
                        false => dead.contains_key(&seq),
                    };
                    if gone {
                        rows.remove(&seq);
                        dead.remove(&seq);
                        purged.push(seq);
                    }
                }
                _ => {}
            }
        }
        let mut all: Vec<_> = sent.iter().chain(&purged).copied().collect();
        all.extend(rows.keys().chain(dead.keys()));
        all.sort_unstable();
        // A dead head that holds its lane has both rows.
        all.dedup_by(|a, b| a == b && rows.contains_key(a) && dead.contains_key(a));
        prop_assert_eq!(all, (1..=pushed).collect::<Vec<_>>());
    }

    /// While it is open nothing passes but one probe at a time, after a pause within its bounds; a probe that
    /// succeeds closes it.
    #[test]
    fn a_breaker_lets_one_probe_at_a_time_through(
        steps in proptest::collection::vec((0_u8..3, 0_u64..90), 1..200),
        random in 0.0..=1.0,
    ) {
        let rules = Breaker { failures: 3, ..Breaker::default() };
        let mut now = Timestamp(0);
        let mut breaker = breaker::Breaker::new(now);
        let mut under_way = std::collections::VecDeque::new();
        for (step, seconds) in steps {
            match step {
                0 if breaker.allows(now) => {
                    let was_open = matches!(breaker.state(), breaker::State::Open(_));
                    let probe = breaker.begin();
                    prop_assert_eq!(probe, was_open);
                    prop_assert!(!probe || !breaker.allows(now), "one at a time");
                    under_way.push_back(probe);
                }
                1 => now = now + Duration::from_secs(seconds),
                _ => {
                    let Some(probe) = under_way.pop_front() else { continue };
                    let before = breaker.state();
                    let health = match seconds % 3 {
                        0 => Health::Up,
                        1 => Health::Down,
                        _ => Health::Unknown,
                    };
                    let turn = breaker.end(health, probe, now, &rules, random);
                    match (probe, health) {
                        (true, Health::Up) => prop_assert_eq!(turn, Some(Turn::Closed)),
                        (true, Health::Down | Health::Unknown) => {
                            let breaker::State::Open(until) = breaker.state() else {
                                return Err(TestCaseError::fail("a failed probe leaves it open"));
                            };
                            prop_assert!(until > now && until <= now + rules.pause_max);
                        }
                        (false, _) if before != breaker::State::Closed => {
                            prop_assert_eq!(breaker.state(), before, "only the probe decides");
                        }
                        (false, Health::Up | Health::Unknown) => prop_assert_eq!(turn, None),
                        (false, Health::Down) => {
                            prop_assert_eq!(turn.is_some(), breaker.state() != before);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_pause_stays_within_its_bounds(attempt in 1_u32..100, floor in 0_u64..1000, random in 0.0..=1.0) {
        let backoff = Backoff { initial: Duration::from_secs(1), max: Duration::from_secs(600) };
        let own = backoff.pause(attempt, None, random);
        prop_assert!(own <= backoff.max);
        let asked = Duration::from_secs(floor);
        let pause = backoff.pause(attempt, Some(asked), random);
        prop_assert!(pause >= asked.max(own) && pause <= own.max(asked + asked.mul_f64(0.11)));
    }
}

#[test]
fn a_note_in_flight_at_a_crash_is_due_again_and_the_crash_counts() {
    let mut lane = Lane::default();
    lane.push(note(1));
    let row = lane.start(Timestamp(0)).unwrap().clone();
    let lane = Lane::load([row]);
    let head = lane.head().unwrap();
    assert_eq!((head.progress.state, head.progress.crashes), (State::Due, 1));
}

#[test]
fn a_note_in_flight_at_a_crash_is_due_again_behind_those_that_were_requeued_meanwhile() {
    let mut before = Lane::default();
    before.push(note(5));
    let in_flight = before.start(Timestamp(0)).unwrap().clone();
    let requeued = (1..=4).map(|seq| Queued { note: note(seq), progress: Progress::FRESH });
    let mut lane = Lane::load(requeued.chain([in_flight.clone()]));
    while lane.wants_after().is_none() {
        lane.start(Timestamp(0));
        let posted = Ok(Posted { note_id: None, pause: None });
        lane.finish(posted, &Course::default(), Timestamp(0), &Delivery::default());
    }
    lane.refill([(5, Some(in_flight))]);
    let Progress { state, crashes, unknown, .. } = lane.head().unwrap().progress;
    assert_eq!((state, crashes, unknown), (State::Due, 1, true));
}

#[test]
fn a_row_that_cannot_be_read_hides_none_behind_it() {
    let row = |seq| Queued { note: note(seq), progress: Progress::FRESH };
    let mut lane = Lane::load((1..=4).chain(9..=12).map(row));
    let now = Timestamp(0);
    for _ in 0..IN_MEMORY {
        lane.start(now);
        lane.finish(
            Ok(Posted { note_id: None, pause: None }),
            &Course::default(),
            now,
            &Delivery::default(),
        );
    }
    assert_eq!(lane.wants_after(), Some(4));
    lane.refill((5..=8).map(|seq| (seq, None)));
    assert_eq!(lane.wants_after(), Some(8), "the page was unreadable; the next one is wanted");
    lane.refill((9..=12).map(|seq| (seq, Some(row(seq)))));
    assert_eq!((lane.head().unwrap().note.seq, lane.len()), (9, 4));
}
