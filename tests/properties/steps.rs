//! What can happen, and how often.

use std::time::Duration;

use proptest::prelude::*;
use sidenote::engine::link::LinkMode;
use sidenote::engine::{Decision, LaneKind};
use sidenote_tests::sinks::SinkAnswer;
use sidenote_tests::world::{Answer, RedactionAnswer};

use crate::answers;

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

/// The plugin that posts notes, and those that take what comes in.
pub(crate) const WRITER: &str = "bot";
pub(crate) const SINKS: [&str; 2] = ["lake", "pond"];

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
    /// What a person decides about all notes of a session, or all that its sinks are to have, that wait or are dead
    /// letters at this moment.
    Order {
        session: usize,
        lane: LaneKind,
        decision: Decision,
    },
    /// Somebody is erased.
    Erase {
        whom: Whom,
        keep_notes: bool,
    },
    Wait(Duration),
    /// What the platform answers next.
    Answers(Vec<Answer>),
    /// What it answers next when it is to redact a note.
    RedactionAnswers(Vec<RedactionAnswer>),
    /// What a sink answers next.
    SinkAnswers(&'static str, Vec<SinkAnswer>),
    /// From here on the platform says what it calls the notes that it takes, or doesn't.
    NamesNotes(bool),
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
    Link(Link),
    /// A summary of a session.
    Summarize {
        session: usize,
        covers: Cover,
    },
}

#[derive(Debug, Clone)]
pub(crate) struct Act {
    pub(crate) session: usize,
    pub(crate) actions: usize,
    /// Whether the batch says who it is.
    pub(crate) says_who: bool,
}

/// A link of this very session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Link {
    pub(crate) session: usize,
    pub(crate) conversation: usize,
    pub(crate) mode: LinkMode,
    pub(crate) word: Word,
}

/// Whose word a link is, the surer the later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Word {
    /// The platform's, which vouches for nothing.
    Claimed,
    /// The platform's, which vouches for the session.
    Verified,
    Operator,
}

/// What a summary is said to cover.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cover {
    /// So many of those that no summary covered; from the stream.
    Next(u64),
    /// All but so many of the latest; the host's own.
    AllBut(u64),
    /// More than there were: what it tells of was erased.
    TooMany,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Whom {
    Session(usize),
    Person { product: &'static str, user: &'static str },
}

pub(crate) fn case() -> impl Strategy<Value = Case> {
    let latency = prop_oneof![Just(0), Just(0), 1..20_u64].prop_map(Duration::from_millis);
    (latency, 1..4_usize, prop::collection::vec(step(), 1..60))
        .prop_map(|(latency, concurrency, steps)| Case { latency, concurrency, steps })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![18 => usual(), 9 => decided(), 9 => answered(), 6 => trouble()]
}

/// What people do, and time.
fn usual() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => ask().prop_map(Step::One),
        4 => prop::collection::vec(ask(), 2..8).prop_map(Step::Together),
        8 => prop::sample::select(vec![1, 50, 150, 151, 500, 2100, 5000, 30_000, 61_000, 300_000])
            .prop_map(|ms| Step::Wait(Duration::from_millis(ms))),
    ]
}

/// What operators decide.
fn decided() -> impl Strategy<Value = Step> {
    let decision = || prop::sample::select(vec![Decision::Retry, Decision::Retry, Decision::Purge]);
    let lane = prop::sample::select(vec![LaneKind::Note, LaneKind::Sink]);
    prop_oneof![
        2 => (person(), 0..CONVERSATIONS.len()).prop_map(|((product, user), conversation)| {
            Step::LinkPerson { product, user, conversation }
        }),
        4 => (0..SESSIONS.len(), lane, decision()).prop_map(|(session, lane, decision)| {
            Step::Order { session, lane, decision }
        }),
        3 => (whom(), prop::bool::weighted(0.2)).prop_map(|(whom, keep_notes)| {
            Step::Erase { whom, keep_notes }
        }),
    ]
}

/// What platforms answer.
fn answered() -> impl Strategy<Value = Step> {
    let redactions = prop::collection::vec(answers::of_redaction(), 1..5);
    let of_sink = prop::collection::vec(answers::of_sink(), 1..5);
    prop_oneof![
        5 => prop::collection::vec(answers::of_post(), 1..6).prop_map(Step::Answers),
        2 => redactions.prop_map(Step::RedactionAnswers),
        2 => (prop::sample::select(SINKS.to_vec()), of_sink)
            .prop_map(|(sink, answers)| Step::SinkAnswers(sink, answers)),
        1 => any::<bool>().prop_map(Step::NamesNotes),
    ]
}

/// What happens to the host.
fn trouble() -> impl Strategy<Value = Step> {
    let crash = (prop::collection::vec(act(), 0..4), 0..6_u8, 0..30_u64, jump());
    prop_oneof![
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
    let covers = prop_oneof![
        2 => (1..8_u64).prop_map(Cover::Next),
        4 => (0..6_u64).prop_map(Cover::AllBut),
        1 => Just(Cover::TooMany),
    ];
    prop_oneof![
        6 => act().prop_map(Ask::Act),
        2 => link().prop_map(Ask::Link),
        1 => (0..SESSIONS.len(), covers)
            .prop_map(|(session, covers)| Ask::Summarize { session, covers }),
    ]
}

fn link() -> impl Strategy<Value = Link> {
    use LinkMode::{Auto, Move, Reply};
    use Word::{Claimed, Operator, Verified};
    // Only an operator moves a session as he likes.
    let said = vec![
        (Auto, Operator),
        (Auto, Operator),
        (Reply, Operator),
        (Move, Operator),
        (Auto, Verified),
        (Reply, Verified),
        (Auto, Claimed),
        (Reply, Claimed),
    ];
    (0..SESSIONS.len(), 0..CONVERSATIONS.len(), prop::sample::select(said)).prop_map(
        |(session, conversation, (mode, word))| Link { session, conversation, mode, word },
    )
}

fn person() -> impl Strategy<Value = (&'static str, &'static str)> {
    (prop::sample::select(vec!["p", "q"]), prop::sample::select(vec!["ann", "bob"]))
}

fn whom() -> impl Strategy<Value = Whom> {
    prop_oneof![
        2 => (0..SESSIONS.len()).prop_map(Whom::Session),
        1 => person().prop_map(|(product, user)| Whom::Person { product, user }),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    (0..SESSIONS.len(), 1..8_usize, any::<bool>()).prop_map(|(session, actions, says_who)| Act {
        session,
        actions,
        says_who,
    })
}

/// How far the wall clock jumps between two lives of the host, in seconds; back to no moment that was there already.
fn jump() -> impl Strategy<Value = f64> {
    let back = [-0.500_013, -10.000_007, -20_000.000_003];
    let ahead = [0.0, 0.0, 0.0, 0.001, 1.0, 70.0, 10_000.0];
    prop::sample::select([&ahead[..], &back[..]].concat())
}
