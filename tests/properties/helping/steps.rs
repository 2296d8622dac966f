//! What can happen to sessions that are offered help and whose questions are answered.

use std::time::Duration;

use proptest::prelude::*;
use sidenote::engine::helping::HelpChange;
use sidenote::outbox::note::FailureKind;
use sidenote::session::fsm::Interaction;
use sidenote::session::turn::Meaning;
use sidenote_tests::messages::{Finding, MessageAnswer, Taking};
use sidenote_tests::world::{Answer, failed, ok_after};

use super::{SESSIONS, TRIGGERS};

#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// How long the store takes for everything that it is asked.
    pub(super) latency: Duration,
    pub(super) steps: Vec<Step>,
}

#[derive(Debug, Clone)]
pub(super) enum Step {
    Ask(Ask),
    Act {
        session: usize,
        actions: usize,
    },
    /// The session is linked to its conversation, or to another one.
    Link {
        session: usize,
        home: bool,
    },
    /// What the person wrote first and nobody answered is answered, or left to people.
    Reply {
        session: usize,
        hand_over: bool,
    },
    /// What the person writes is answered, and an agent writes while the platform refuses the answer for the moment.
    Overtaken(usize),
    Erase(usize),
    Wait(Duration),
    /// What the platform answers next to messages.
    Messages(Vec<MessageAnswer>),
    /// And to notes.
    Notes(Vec<Answer>),
    /// And to whoever asks it for a message.
    Finds(Finding),
    /// The disk is full for so long.
    Full(Duration),
    /// The process is killed while this is on its way, after so many turns of the other tasks and so long.
    Crash {
        on_the_way: Option<Ask>,
        turns: u8,
        after: Duration,
        jump: f64,
    },
    /// The store fails for good at the commit of this, which is stored or not.
    StoreFails {
        ask: Ask,
        stored: bool,
        jump: f64,
    },
    /// An orderly shutdown, and the next start.
    Drain {
        jump: f64,
    },
}

/// What is asked of the host and may change how a session stands.
#[derive(Debug, Clone)]
pub(super) enum Ask {
    Offer { session: usize, trigger: usize },
    Turn { session: usize, meaning: Meaning, text: &'static str },
    Change { session: usize, change: HelpChange },
}

pub(crate) fn case() -> impl Strategy<Value = Case> {
    let latency = prop_oneof![Just(0), Just(0), 1..20_u64].prop_map(Duration::from_millis);
    (latency, prop::collection::vec(step(), 1..70))
        .prop_map(|(latency, steps)| Case { latency, steps })
}

fn step() -> impl Strategy<Value = Step> {
    let session = || 0..SESSIONS.len();
    let messages = prop::collection::vec(message_answer(), 1..6);
    let notes = prop::sample::select(vec![
        ok_after(0.0),
        ok_after(2.0),
        failed(FailureKind::Transient, None),
        failed(FailureKind::Permanent, None),
    ]);
    let millis = prop_oneof![
        3 => prop::sample::select(vec![1, 150, 500, 2100, 9500, 10_000, 30_000, 61_000]),
        1 => 1..300_000_u64,
    ];
    let finding = prop::sample::select(vec![
        Finding::Says,
        Finding::Says,
        Finding::Says,
        Finding::Overlooks,
        Finding::CantTell,
    ]);
    prop_oneof![
        20 => ask().prop_map(Step::Ask),
        2 => (session(), 1..8_usize)
            .prop_map(|(session, actions)| Step::Act { session, actions }),
        2 => (session(), prop::bool::weighted(0.7))
            .prop_map(|(session, home)| Step::Link { session, home }),
        4 => (session(), prop::bool::weighted(0.3))
            .prop_map(|(session, hand_over)| Step::Reply { session, hand_over }),
        2 => session().prop_map(Step::Overtaken),
        1 => session().prop_map(Step::Erase),
        10 => millis.prop_map(|ms| Step::Wait(Duration::from_millis(ms))),
        6 => messages.prop_map(Step::Messages),
        1 => prop::collection::vec(notes, 1..4).prop_map(Step::Notes),
        1 => finding.prop_map(Step::Finds),
        4 => trouble(),
    ]
}

fn ask() -> impl Strategy<Value = Ask> {
    let session = || 0..SESSIONS.len();
    let text = prop::sample::select(vec!["Yes", " NO ", "Show me", "How do I pay?"]);
    prop_oneof![
        10 => (session(), 0..TRIGGERS.len())
            .prop_map(|(session, trigger)| Ask::Offer { session, trigger }),
        6 => (session(), meaning(), text)
            .prop_map(|(session, meaning, text)| Ask::Turn { session, meaning, text }),
        3 => (session(), change()).prop_map(|(session, change)| Ask::Change { session, change }),
    ]
}

fn meaning() -> impl Strategy<Value = Meaning> {
    prop_oneof![
        5 => Just(Meaning::PersonWrote),
        1 => Just(Meaning::PersonTypes),
        1 => Just(Meaning::PersonReacted),
        1 => Just(Meaning::AgentWrote),
        1 => Just(Meaning::AgentTypes),
        2 => Just(Meaning::Closed),
        1 => Just(Meaning::Reopened),
    ]
}

fn change() -> impl Strategy<Value = HelpChange> {
    prop_oneof![
        1 => Just(HelpChange::Interaction(Interaction::TourStep)),
        1 => Just(HelpChange::ToProactive),
        1 => Just(HelpChange::ToReactive),
        1 => Just(HelpChange::StartTour(Some("flow".to_owned()))),
        1 => Just(HelpChange::StopTour),
        1 => (1..200_u32).prop_map(|period| HelpChange::StartCooldown(Some(f64::from(period)))),
        1 => Just(HelpChange::StartCooldown(None)),
        2 => Just(HelpChange::ClearCooldown),
    ]
}

fn message_answer() -> impl Strategy<Value = MessageAnswer> {
    let taking = prop_oneof![
        8 => Just(Taking::Takes),
        3 => prop::sample::select(vec![
            Taking::Refuses(FailureKind::Transient),
            Taking::Refuses(FailureKind::Transient),
            Taking::Refuses(FailureKind::RateLimited),
            Taking::Refuses(FailureKind::Permanent),
        ]),
        3 => any::<bool>().prop_map(|arrived| Taking::Lost { arrived }),
    ];
    let latency = prop::sample::select(vec![0, 0, 10, 300, 1000, 5000, 60_000]);
    (latency, taking).prop_map(|(ms, taking)| (Duration::from_millis(ms), taking))
}

/// What happens to the host.
fn trouble() -> impl Strategy<Value = Step> {
    let crash = (prop::option::of(ask()), 0..6_u8, 0..30_u64, jump());
    prop_oneof![
        1 => (100..20_000_u64).prop_map(|ms| Step::Full(Duration::from_millis(ms))),
        4 => crash.prop_map(|(on_the_way, turns, ms, jump)| {
            let after = Duration::from_millis(ms);
            Step::Crash { on_the_way, turns, after, jump }
        }),
        1 => (ask(), any::<bool>(), jump())
            .prop_map(|(ask, stored, jump)| Step::StoreFails { ask, stored, jump }),
        1 => jump().prop_map(|jump| Step::Drain { jump }),
    ]
}

/// How far the wall clock jumps between two lives of the host, in seconds.
fn jump() -> impl Strategy<Value = f64> {
    prop::sample::select(vec![
        0.0,
        0.0,
        0.0,
        0.001,
        9.0,
        70.0,
        4000.0,
        100_000.0,
        -0.500_013,
        -10.000_007,
        -900.000_003,
    ])
}
