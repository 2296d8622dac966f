//! Queues under random histories.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::ids::ConversationId;
use crate::outbox::note::{Crash, Failure, LimitScope, NoteKind, Sent};

fn note(seq: u64) -> SentNote {
    SentNote {
        plugin: "bot".into(),
        conversation: ConversationId::new("c").unwrap(),
        idempotency_key: format!("key-{seq}"),
        note_id: Some(format!("n-{seq}")),
        at: Timestamp(0),
        kind: NoteKind::Actions,
        through: seq,
        stays: false,
        made: None,
        actions: 0,
        resent_of: None,
        tries: Attempts::NONE,
    }
}

fn failed(kind: FailureKind, retry_after: Option<Duration>) -> PostError {
    PostError::Failed(Failure {
        kind,
        code: "x".into(),
        message: "y".into(),
        retry_after,
        scope: LimitScope::Account,
        sent: Sent::Unknown,
    })
}

#[derive(Debug, Clone)]
enum Step {
    Add,
    Wait(u32),
    Answer(Redaction),
    Fail(FailureKind, Option<u16>),
    Crash,
    Away,
    /// A probe's outcome, which never counts.
    Probe(FailureKind),
    Stop,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let kind = || {
        prop_oneof![
            Just(FailureKind::Transient),
            Just(FailureKind::RateLimited),
            Just(FailureKind::Auth),
            Just(FailureKind::NotFound),
            Just(FailureKind::Invalid),
            Just(FailureKind::Permanent),
        ]
    };
    let answer = prop_oneof![
        Just(Redaction::Removed),
        Just(Redaction::Overwritten),
        Just(Redaction::Unsupported)
    ];
    prop_oneof![
        3 => Just(Step::Add),
        4 => (0_u32..100_000).prop_map(Step::Wait),
        2 => answer.prop_map(Step::Answer),
        4 => (kind(), proptest::option::of(0_u16..2000)).prop_map(|(k, after)| Step::Fail(k, after)),
        1 => Just(Step::Crash),
        1 => Just(Step::Away),
        1 => kind().prop_map(Step::Probe),
        1 => Just(Step::Stop),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    /// Every job ends exactly once: answered, or given up; never two are under way, none before a moment
    /// that the platform asked for, and none more often than it may.
    #[test]
    fn every_job_ends_once_within_its_bounds(steps in prop::collection::vec(step(), 1..120)) {
        let rules = Delivery { max_attempts: 4, ..Delivery::default() };
        let (mut queue, mut now, mut added) = (Queue::default(), Timestamp(0), 0);
        let (mut ended, mut asked_for) = (BTreeSet::new(), Timestamp(i64::MIN));
        let (mut waits_for, mut counted) = (0, std::collections::BTreeMap::<u64, u32>::new());
        for step in steps {
            for (seq, job) in queue.take_spent(now, &rules) {
                prop_assert_eq!(job.state, State::GivenUp);
                prop_assert!(ended.insert(seq), "given up twice");
            }
            let under_way = queue.jobs().find(|(_, job)| job.state == State::InFlight).map(|it| it.0);
            match (&step, under_way) {
                (Step::Add, _) => {
                    added += 1;
                    queue.insert(added, Job::new(note(added), Why::Replaced, now));
                }
                (Step::Wait(seconds), _) => now = now + Duration::from_secs(u64::from(*seconds)),
                (Step::Stop, Some(_)) => {
                    let cut = queue.cut().map(|(seq, job)| (seq, job.attempts));
                    let (seq, attempts) = cut.expect("one is under way");
                    *counted.get_mut(&seq).unwrap() -= 1;
                    prop_assert_eq!(attempts, counted[&seq]);
                }
                (Step::Restart, _) => {
                    let rows: Vec<_> = queue.jobs().map(|(seq, job)| (seq, job.clone())).collect();
                    queue = Queue::default();
                    for (seq, job) in rows {
                        let row = serde_json::to_vec(&job).unwrap();
                        let read: Job = serde_json::from_slice(&row).unwrap();
                        prop_assert_eq!(&read, &job);
                        queue.insert(seq, read.taken_up(now));
                    }
                }
                (Step::Stop, None) => {}
                (step, Some(seq)) => {
                    let (outcome, free) = match step {
                        Step::Answer(answer) => (Ok(*answer), false),
                        Step::Fail(kind, after) => {
                            let after = after.map(|s| Duration::from_secs(u64::from(s)));
                            if let Some(after) = after { asked_for = now + after; waits_for = seq; }
                            (Err(failed(*kind, after)), false)
                        }
                        Step::Probe(kind) => (Err(failed(*kind, None)), true),
                        Step::Crash => {
                            (Err(PostError::Crashed { crash: Crash::Trap, message: "t".into() }), false)
                        }
                        Step::Add | Step::Wait(_) | Step::Away | Step::Stop | Step::Restart => (Err(PostError::Unavailable { message: "a".into() }), false),
                    };
                    let free = free || matches!(
                        step,
                        Step::Away | Step::Fail(FailureKind::RateLimited | FailureKind::Auth, _)
                    );
                    match queue.finish(seq, outcome.clone(), &Course::of(matches!(step, Step::Probe(_)), 1.0), now, &rules) {
                        Some(Finished::Ended(..)) => {
                            let gone = matches!(
                                &outcome,
                                Err(PostError::Failed(failure)) if failure.kind == FailureKind::NotFound
                            );
                            prop_assert!(outcome.is_ok() || gone);
                            prop_assert!(ended.insert(seq), "ended twice");
                        }
                        Some(Finished::GivenUp(job)) => {
                            prop_assert_eq!(job.state, State::GivenUp);
                            prop_assert!(ended.insert(seq), "ended twice");
                        }
                        Some(Finished::Retry) => {
                            if free { *counted.get_mut(&seq).unwrap() -= 1; }
                            let job = queue.get(seq).unwrap();
                            prop_assert_eq!(job.attempts, counted[&seq]);
                            prop_assert!(job.attempts < rules.max_attempts || free);
                        }
                        None => prop_assert!(false, "it was under way"),
                    }
                }
                (_, None) => {
                    if let Some(seq) = queue.ready(now).map(|it| it.0) {
                        prop_assert!(seq != waits_for || now >= asked_for, "before the platform's moment");
                        *counted.entry(seq).or_default() += 1;
                        let job = queue.start(seq, Timestamp(0)).unwrap();
                        prop_assert!(job.attempts <= rules.max_attempts);
                        prop_assert_eq!(queue.ready(now), None, "one at a time");
                    }
                }
            }
        }
        // Whatever is left ends when the platform recovers, without being touched but by its timers.
        for _ in 0..1000 {
            for (seq, _) in queue.take_spent(now, &rules) {
                prop_assert!(ended.insert(seq));
            }
            let under_way = queue.jobs().find(|(_, job)| job.state == State::InFlight);
            if let Some(seq) = under_way.map(|it| it.0) {
                queue.finish(seq, Ok(Redaction::Removed), &Course::of(false, 1.0), now, &rules);
                prop_assert!(ended.insert(seq));
            } else if let Some(seq) = queue.ready(now).map(|it| it.0) {
                queue.start(seq, Timestamp(0));
            } else if let Some(at) = queue.next_timer(false) {
                now = now.max(at);
            } else {
                break;
            }
        }
        prop_assert!(queue.is_empty());
        prop_assert_eq!(ended.len() as u64, added);
    }
}

#[test]
fn a_post_under_way_is_waited_for() {
    let mut queue = Queue::default();
    let unnamed = SentNote { note_id: None, ..note(1) };
    queue.insert(1, Job::of_post(unnamed, Why::Erased, false, Timestamp(0)));
    assert_eq!(queue.ready(Timestamp(0)), None);
    assert_eq!(queue.next_timer(false), None);
    let job = queue.posted(1, Some("n".to_owned())).unwrap();
    assert_eq!((job.state, job.note.note_id.as_deref()), (State::Due, Some("n")));
    assert!(queue.ready(Timestamp(0)).is_some());
}

#[test]
fn a_clock_that_was_set_back_makes_no_wait_longer() {
    let mut queue = Queue::default();
    let late = Timestamp::from_secs_f64(1e9);
    queue.insert(1, Job::new(note(1), Why::Replaced, late));
    queue.start(1, Timestamp(0));
    let limited = failed(FailureKind::RateLimited, Some(Duration::from_secs(60)));
    queue.finish(1, Err(limited), &Course::default(), late, &Delivery::default());
    let early = Timestamp::from_secs_f64(1e6);
    let job = queue.remove(1).unwrap().taken_up(early);
    assert_eq!(job.state, State::Until(early + Duration::from_secs(60)));
    assert!(job.since <= early);
}

#[test]
fn a_summary_replaces_what_it_covers_beside_its_conversation_and_older_summaries() {
    let of = |kind, through| SentNote { kind, through, ..note(0) };
    let summary = of(NoteKind::Summary, 5);
    for (seq, sent, replaced) in [
        (3, of(NoteKind::Actions, 5), true),
        (3, of(NoteKind::Actions, 6), false),
        (3, of(NoteKind::Actions, 0), false),
        (9, of(NoteKind::Actions, 4), true),
        (3, of(NoteKind::Summary, 2), true),
        (9, of(NoteKind::Summary, 2), false),
        (7, of(NoteKind::Summary, 5), false),
        (3, SentNote { plugin: "other".into(), ..of(NoteKind::Actions, 1) }, false),
    ] {
        assert_eq!(sent.is_replaced_by(seq, &summary, 7), replaced, "{seq} {sent:?}");
    }
    assert!(!summary.is_replaced_by(3, &of(NoteKind::Actions, 9), 7));
}

#[test]
fn what_waits_behind_one_that_is_under_way_sets_no_timer() {
    let (rules, at) = (Delivery::default(), Timestamp(0));
    let mut queue = Queue::default();
    queue.insert(1, Job::new(note(1), Why::Erased, at));
    queue.insert(2, Job::new(note(2), Why::Erased, at));
    queue.start(1, Timestamp(0)).unwrap();
    queue
        .finish(1, Err(failed(FailureKind::Transient, None)), &Course::of(false, 1.0), at, &rules)
        .unwrap();
    let again = queue.next_timer(false).unwrap();
    queue.start(2, Timestamp(0)).unwrap();
    assert_eq!(queue.next_timer(false), Some(at + MAX_AGE), "nothing can be tried before its end");
    queue.finish(2, Ok(Redaction::Removed), &Course::of(false, 1.0), again, &rules).unwrap();
    assert_eq!(queue.next_timer(false), Some(again));
}
