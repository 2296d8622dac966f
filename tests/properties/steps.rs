//! What can happen, and how often.

use std::time::Duration;

use proptest::prelude::*;
use sidenote::engine::Decision;
use sidenote::engine::link::LinkMode;
use sidenote::outbox::note::{Crash, Failure, FailureKind, LimitScope, PostError, Posted, Sent};
use sidenote_tests::world::Answer;

/// Product, session and, where the session's batches may say so, its user. The names are such that glued
/// together they would be the same.
pub(crate) const SESSIONS: [(&str, &str, Option<&str>); 5] = [
    ("p", "a", Some("ann")),
    ("p", "b", Some("ann")),
    ("q", "a", Some("bob")),
    ("p", "a\x1fq", Some("bob")),
    ("q", "c", None),
];

pub(crate) const CONVERSATIONS: [&str; 4] = ["c0", "c1", "c2", "c3"];

#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// How long the store takes for everything that it is asked.
    pub(crate) latency: Duration,
    /// Posts at the same time.
    pub(crate) concurrency: usize,
    pub(crate) steps: Vec<Step>,
}

#[derive(Debug, Clone)]
pub(crate) enum Step {
    One(Ask),
    /// All are on their way before any is answered.
    Together(Vec<Ask>),
    /// A link by the person, to a conversation.
    LinkPerson {
        product: &'static str,
        user: &'static str,
        conversation: usize,
    },
    /// What a person decides about all notes of a session that wait or are dead letters at this moment.
    Order {
        session: usize,
        decision: Decision,
    },
    Wait(Duration),
    /// What the platform answers next.
    Answers(Vec<Answer>),
    /// The disk is full for so long.
    Full(Duration),
    /// The process is killed while these are on their way, after so many turns of the other tasks and so
    /// long.
    Crash {
        on_the_way: Vec<Act>,
        turns: u8,
        after: Duration,
        jump: f64,
    },
    /// The store fails for good at the next commit, which is stored or not.
    StoreFails {
        stored: bool,
        jump: f64,
    },
    /// An orderly shutdown, and the next start.
    Drain {
        jump: f64,
    },
}

#[derive(Debug, Clone)]
pub(crate) enum Ask {
    Act(Act),
    Link { session: usize, conversation: usize, mode: LinkMode },
}

#[derive(Debug, Clone)]
pub(crate) struct Act {
    pub(crate) session: usize,
    pub(crate) actions: usize,
    /// Whether the batch says who it is.
    pub(crate) says_who: bool,
}

pub(crate) fn case() -> impl Strategy<Value = Case> {
    let latency = prop_oneof![Just(0), Just(0), 1..20_u64].prop_map(Duration::from_millis);
    (latency, 1..4_usize, prop::collection::vec(step(), 1..60))
        .prop_map(|(latency, concurrency, steps)| Case { latency, concurrency, steps })
}

fn step() -> impl Strategy<Value = Step> {
    let person = (prop::sample::select(vec!["p", "q"]), prop::sample::select(vec!["ann", "bob"]));
    let crash = (prop::collection::vec(act(), 0..4), 0..6_u8, 0..30_u64, jump());
    prop_oneof![
        12 => ask().prop_map(Step::One),
        4 => prop::collection::vec(ask(), 2..8).prop_map(Step::Together),
        2 => (person, 0..CONVERSATIONS.len()).prop_map(|((product, user), conversation)| {
            Step::LinkPerson { product, user, conversation }
        }),
        3 => (0..SESSIONS.len(), decision()).prop_map(|(session, decision)| {
            Step::Order { session, decision }
        }),
        8 => prop::sample::select(vec![1, 50, 150, 151, 500, 2100, 5000, 30_000, 61_000, 300_000])
            .prop_map(|ms| Step::Wait(Duration::from_millis(ms))),
        5 => prop::collection::vec(answer(), 1..6).prop_map(Step::Answers),
        1 => (100..30_000_u64).prop_map(|ms| Step::Full(Duration::from_millis(ms))),
        3 => crash.prop_map(|(on_the_way, turns, ms, jump)| {
            let after = Duration::from_millis(ms);
            Step::Crash { on_the_way, turns, after, jump }
        }),
        1 => (any::<bool>(), jump()).prop_map(|(stored, jump)| Step::StoreFails { stored, jump }),
        1 => jump().prop_map(|jump| Step::Drain { jump }),
    ]
}

fn ask() -> impl Strategy<Value = Ask> {
    let modes = vec![LinkMode::Auto, LinkMode::Auto, LinkMode::Reply, LinkMode::Move];
    let link = (0..SESSIONS.len(), 0..CONVERSATIONS.len(), prop::sample::select(modes));
    prop_oneof![
        3 => act().prop_map(Ask::Act),
        1 => link.prop_map(|(session, conversation, mode)| Ask::Link { session, conversation, mode }),
    ]
}

fn decision() -> impl Strategy<Value = Decision> {
    prop::sample::select(vec![Decision::Retry, Decision::Retry, Decision::Purge])
}

fn act() -> impl Strategy<Value = Act> {
    (0..SESSIONS.len(), 1..8_usize, any::<bool>()).prop_map(|(session, actions, says_who)| Act {
        session,
        actions,
        says_who,
    })
}

/// How far the wall clock jumps between two lives of the host, in seconds.
fn jump() -> impl Strategy<Value = f64> {
    prop::sample::select(vec![0.0, 0.0, 0.0, 0.001, 1.0, 70.0, 10_000.0, -0.5, -10.0, -20_000.0])
}

fn answer() -> impl Strategy<Value = Answer> {
    let latency = prop::sample::select(vec![0, 0, 10, 300, 1000, 5000]);
    (latency, outcome()).prop_map(|(ms, outcome)| (Duration::from_millis(ms), outcome))
}

fn outcome() -> impl Strategy<Value = Result<Posted, PostError>> {
    let failed = |kind, retry_after: Option<u64>| {
        Err(PostError::Failed(Failure {
            kind,
            code: "x".to_owned(),
            message: "no".to_owned(),
            retry_after: retry_after.map(Duration::from_secs),
            scope: LimitScope::Conversation,
            sent: Sent::Unknown,
        }))
    };
    let message = "no".to_owned();
    prop::sample::select(vec![
        Ok(Posted { note_id: None, pause: None }),
        Ok(Posted { note_id: Some("n".to_owned()), pause: None }),
        failed(FailureKind::Transient, None),
        failed(FailureKind::Transient, None),
        failed(FailureKind::Transient, Some(20)),
        failed(FailureKind::RateLimited, Some(30)),
        failed(FailureKind::RateLimited, None),
        failed(FailureKind::Auth, None),
        failed(FailureKind::NotFound, None),
        failed(FailureKind::Invalid, None),
        failed(FailureKind::Permanent, None),
        Err(PostError::Crashed { crash: Crash::Trap, message: message.clone() }),
        Err(PostError::Unavailable { message }),
    ])
}
