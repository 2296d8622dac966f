//! What can happen to sessions that are offered help.

use proptest::prelude::*;
use sidenote_core::engine::helping::HelpChange;
use sidenote_core::session::fsm::Interaction;
use sidenote_core::session::turn::Meaning;

use super::{SESSIONS, TRIGGERS};

#[derive(Debug, Clone)]
pub(super) enum Step {
    Offer { session: usize, trigger: usize },
    Turn { session: usize, meaning: Meaning, text: &'static str },
    Change { session: usize, change: HelpChange },
    Act { session: usize },
    Move { session: usize, back: bool },
    Erase { session: usize },
    Pass { millis: u64 },
    Answer { which: usize, how: How },
    Restart { how: Restart, clock_s: i64 },
}

#[derive(Debug, Clone, Copy)]
pub(super) enum How {
    Takes,
    /// For good.
    Refuses,
    /// For the moment.
    Fails,
    /// Nobody hears of it.
    Late {
        arrived: bool,
    },
    /// It is asked for and isn't found, though it may be there.
    Overlooked,
    /// The plugin can't ask.
    CantTell,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Restart {
    /// Calls under way reached the platform, or didn't.
    Killed {
        arrived: bool,
    },
    Stopped,
}

fn meaning() -> impl Strategy<Value = Meaning> {
    prop_oneof![
        4 => Just(Meaning::PersonWrote),
        1 => Just(Meaning::PersonTypes),
        1 => Just(Meaning::PersonReacted),
        1 => Just(Meaning::AgentWrote),
        1 => Just(Meaning::AgentTypes),
        1 => Just(Meaning::Closed),
        1 => Just(Meaning::Reopened),
    ]
}

fn change() -> impl Strategy<Value = HelpChange> {
    prop_oneof![
        Just(HelpChange::Interaction(Interaction::TourStep)),
        Just(HelpChange::ToProactive),
        Just(HelpChange::ToReactive),
        Just(HelpChange::StartTour(Some("flow".to_owned()))),
        Just(HelpChange::StopTour),
        (1..200_u32).prop_map(|period| HelpChange::StartCooldown(Some(f64::from(period)))),
        Just(HelpChange::StartCooldown(None)),
        Just(HelpChange::ClearCooldown),
    ]
}

fn how() -> impl Strategy<Value = How> {
    prop_oneof![
        8 => Just(How::Takes),
        1 => Just(How::Refuses),
        2 => Just(How::Fails),
        3 => any::<bool>().prop_map(|arrived| How::Late { arrived }),
        1 => Just(How::Overlooked),
        1 => Just(How::CantTell),
    ]
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let session = || 0..SESSIONS.len();
    let text = prop::sample::select(vec!["Yes", " NO ", "Show me", "How do I pay?"]);
    let restart = prop_oneof![
        any::<bool>().prop_map(|arrived| Restart::Killed { arrived }),
        Just(Restart::Stopped)
    ];
    let clock = prop_oneof![3 => Just(0), 1 => 1..900_i64, 1 => -900..0_i64];
    prop_oneof![
        10 => (session(), 0..TRIGGERS.len())
            .prop_map(|(session, trigger)| Step::Offer { session, trigger }),
        5 => (session(), meaning(), text)
            .prop_map(|(session, meaning, text)| Step::Turn { session, meaning, text }),
        2 => (session(), change()).prop_map(|(session, change)| Step::Change { session, change }),
        1 => session().prop_map(|session| Step::Act { session }),
        1 => (session(), any::<bool>()).prop_map(|(session, back)| Step::Move { session, back }),
        1 => session().prop_map(|session| Step::Erase { session }),
        4 => (1..6000_u64).prop_map(|millis| Step::Pass { millis }),
        3 => (6..200_u64).prop_map(|seconds| Step::Pass { millis: seconds * 1000 }),
        10 => (any::<usize>(), how()).prop_map(|(which, how)| Step::Answer { which, how }),
        3 => (restart, clock).prop_map(|(how, clock_s)| Step::Restart { how, clock_s }),
    ]
}
