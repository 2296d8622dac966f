//! Lanes under random histories.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::lane::{Finished, IN_MEMORY, Lane, MAX_CRASHES, Progress, Queued, State};
use super::note::{
    Crash, Failure, FailureKind, LimitScope, Note, NoteKind, PostError, Posted, Sent,
};
use super::retry::Backoff;
use crate::clock::Timestamp;
use crate::config::Delivery;
use crate::ids::{ConversationId, ProductId, SessionId, SessionKey};

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
        actions: Vec::new(),
        sealed_at: Timestamp(0),
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
                let head = lane.start().unwrap();
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
            match lane.finish(outcome, false, now, &rules, random).unwrap() {
                Finished::Sent(_) | Finished::Dead(_) => {
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

    #[test]
    fn a_pause_stays_within_its_bounds(attempt in 1_u32..100, floor in 0_u64..1000, random in 0.0..=1.0) {
        let backoff = Backoff { initial: Duration::from_secs(1), max: Duration::from_secs(600) };
        prop_assert!(backoff.pause(attempt, None, random) <= backoff.max);
        let floor = Duration::from_secs(floor);
        let pause = backoff.pause(attempt, Some(floor), random);
        prop_assert!(pause >= floor && pause <= floor + floor.mul_f64(0.11));
    }
}

#[test]
fn a_note_in_flight_at_a_crash_is_due_again_and_the_crash_counts() {
    let mut lane = Lane::default();
    lane.push(note(1));
    let row = lane.start().unwrap().clone();
    let lane = Lane::load([row]);
    let head = lane.head().unwrap();
    assert_eq!((head.progress.state, head.progress.crashes), (State::Due, 1));
}

#[test]
fn a_row_that_cannot_be_read_hides_none_behind_it() {
    let row = |seq| Queued { note: note(seq), progress: Progress::FRESH };
    let mut lane = Lane::load((1..=4).chain(9..=12).map(row));
    let now = Timestamp(0);
    for _ in 0..IN_MEMORY {
        lane.start();
        lane.finish(
            Ok(Posted { note_id: None, pause: None }),
            false,
            now,
            &Delivery::default(),
            0.0,
        );
    }
    assert_eq!(lane.wants_after(), Some(4));
    lane.refill((5..=8).map(|seq| (seq, None)));
    assert_eq!(lane.wants_after(), Some(8), "the page was unreadable; the next one is wanted");
    lane.refill((9..=12).map(|seq| (seq, Some(row(seq)))));
    assert_eq!((lane.head().unwrap().note.seq, lane.len()), (9, 4));
}
