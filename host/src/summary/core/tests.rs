//! The core's decisions, one by one, and over random histories.

use proptest::prelude::*;

use super::*;
use crate::ids::{ProductId, SessionId};

fn rules(threshold: u64) -> Rules {
    Rules {
        threshold,
        parallel: 2,
        max_actions: 20,
        backoff: Backoff { initial: Duration::from_secs(4), max: Duration::from_secs(60) },
        max_attempts: 3,
        max_sessions: 100,
    }
}

fn key(session: &str) -> SessionKey {
    let product = ProductId::new("p").unwrap();
    SessionKey { product, session: SessionId::new(session).unwrap() }
}

fn at(seconds: u64) -> Timestamp {
    Timestamp(1_700_000_000_000_000) + Duration::from_secs(seconds)
}

struct World {
    core: Core,
    now: Timestamp,
}

impl World {
    fn new(rules: Rules) -> Self {
        Self { core: Core::new(rules).unwrap(), now: at(0) }
    }

    fn input(&mut self, input: Input) -> Vec<Effect> {
        self.core.on_input(input, self.now)
    }

    fn accepted(&mut self, session: &str, first: u64, last: u64) -> Vec<Effect> {
        self.input(Input::Accepted { key: key(session), first, last })
    }

    fn fail(&mut self, id: u64, of_service: bool) -> Vec<Effect> {
        let failure = Failure { of_service, retry_after: None, random: 1.0 };
        self.input(Input::Failed(AskId(id), failure))
    }

    /// Answers a question wholly and hands it over.
    fn succeed(&mut self, id: u64) -> Vec<Effect> {
        let through = self.core.asked(AskId(id)).unwrap().through;
        let effects = self.input(Input::Answered { id: AskId(id), through });
        assert_eq!(effects[0], Effect::HandOver(AskId(id)));
        self.input(Input::HandedOver(AskId(id)))
    }

    /// Lets time pass up to the next timer that makes something happen, for `seconds` at most.
    fn wait(&mut self, seconds: u64) -> Vec<Effect> {
        let end = self.now + Duration::from_secs(seconds);
        while let Some(next) = self.core.next_timer().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            let effects = self.core.on_timer(self.now);
            if !effects.is_empty() {
                return effects;
            }
        }
        self.now = end;
        Vec::new()
    }
}

fn ask(id: u64, session: &str, after: u64, through: u64) -> Effect {
    Effect::Ask(Ask { id: AskId(id), key: key(session), after, through })
}

#[test]
fn a_session_is_asked_for_when_enough_actions_wait_and_batch_by_batch() {
    let mut world = World::new(rules(3));
    assert_eq!(world.accepted("s", 1, 2), []);
    assert_eq!(world.accepted("s", 3, 6), [ask(1, "s", 0, 6)], "batches are not torn");
    assert_eq!(world.accepted("s", 7, 7), []);
    assert_eq!(world.accepted("s", 8, 9), [], "one question of a session at a time");
    assert_eq!(world.accepted("s", 10, 10), []);
    assert_eq!(world.succeed(1), [ask(2, "s", 6, 9)]);
    assert_eq!(world.succeed(2), []);
    assert_eq!(world.core.too_few(&key("s")), Some((9, 1)));
}

#[test]
fn sessions_are_asked_for_side_by_side_up_to_the_bound_and_then_in_turn() {
    let mut world = World::new(rules(1));
    assert_eq!(world.accepted("a", 1, 1), [ask(1, "a", 0, 1)]);
    assert_eq!(world.accepted("b", 1, 1), [ask(2, "b", 0, 1)]);
    assert_eq!(world.accepted("c", 1, 1), []);
    assert_eq!(world.accepted("d", 1, 1), []);
    assert_eq!(world.succeed(2), [ask(3, "c", 0, 1)]);
    assert_eq!(world.succeed(1), [ask(4, "d", 0, 1)]);
}

#[test]
fn a_question_holds_no_more_than_it_may_and_the_rest_comes_next() {
    let mut world = World::new(Rules { max_actions: 4, ..rules(2) });
    assert_eq!(world.accepted("s", 1, 10), [ask(1, "s", 0, 4)]);
    // The text had room for three of them only.
    world.input(Input::Answered { id: AskId(1), through: 3 });
    assert_eq!(world.input(Input::HandedOver(AskId(1))), [ask(2, "s", 3, 7)]);
    assert_eq!(world.succeed(2), [ask(3, "s", 7, 10)]);
    assert_eq!(world.succeed(3), []);
}

#[test]
fn a_failure_is_tried_again_by_timer_with_longer_and_longer_pauses() {
    let mut world = World::new(rules(2));
    world.accepted("s", 1, 2);
    for (n, pause) in [(1, 4), (2, 8), (3, 16), (4, 32), (5, 60), (6, 60)] {
        assert_eq!(world.fail(n, true), []);
        assert_eq!(world.wait(pause - 1), [], "the {n}th pause");
        assert_eq!(world.wait(1), [ask(n + 1, "s", 0, 2)], "the {n}th pause");
    }
}

#[test]
fn who_goes_on_acting_hurries_the_first_try_again_and_no_other() {
    let mut world = World::new(rules(1));
    world.accepted("s", 1, 1);
    world.fail(1, true);
    assert_eq!(world.accepted("s", 2, 2), [ask(2, "s", 0, 2)], "all that waits at once");
    world.fail(2, true);
    for n in 3..50 {
        assert_eq!(world.accepted("s", n, n), []);
    }
    assert_eq!(world.wait(8), [ask(3, "s", 0, 20)], "the question is bounded all the same");
}

#[test]
fn a_wait_that_the_provider_asks_for_holds_for_all_sessions() {
    let mut world = World::new(rules(1));
    world.accepted("a", 1, 1);
    let retry_after = Some(Duration::from_secs(30));
    let failure = Failure { of_service: true, retry_after, random: 0.0 };
    world.input(Input::Failed(AskId(1), failure));
    assert_eq!(world.accepted("a", 2, 2), []);
    assert_eq!(world.accepted("b", 1, 1), []);
    assert_eq!(world.wait(29), []);
    let effects = world.wait(1);
    assert_eq!(effects.len(), 2, "{effects:?}");
}

#[test]
fn a_model_that_is_away_is_asked_by_one_session_at_a_time() {
    let mut world = World::new(rules(1));
    for session in ["a", "b", "c", "d", "e"] {
        world.accepted(session, 1, 1);
    }
    // Both seats fail, their sessions' successors too.
    for id in 1..=4 {
        world.fail(id, true);
    }
    let mut tried = 0;
    for _ in 0..20 {
        for effect in world.wait(600) {
            let Effect::Ask(ask) = effect else { panic!("{effect:?}") };
            tried += 1;
            assert_eq!(world.core.asked.len(), 1, "one at a time");
            world.fail(ask.id.0, true);
        }
    }
    assert!(tried >= 10, "it goes on being tried: {tried}");
    let Some(Effect::Ask(first)) = world.wait(600).pop() else { panic!("a question") };
    assert!(!world.succeed(first.id.0).is_empty(), "with the first answer the others go on");
}

#[test]
fn a_question_that_is_refused_again_and_again_waits_for_more_actions() {
    let mut world = World::new(rules(1));
    world.accepted("s", 1, 1);
    for id in 1..=2 {
        world.fail(id, false);
        assert_eq!(world.wait(60).len(), 1);
    }
    world.fail(3, false);
    assert_eq!(world.wait(200), []);
    assert_eq!(world.accepted("s", 2, 2), [ask(4, "s", 0, 2)]);
    assert_eq!(world.accepted("other", 1, 1), [ask(5, "other", 0, 1)], "nobody else was held up");
}

#[test]
fn an_erased_session_is_not_told_of_and_begins_anew() {
    let mut world = World::new(rules(2));
    world.accepted("s", 1, 2);
    world.input(Input::Erased(key("s")));
    assert_eq!(world.accepted("s", 1, 1), []);
    let late = world.input(Input::Answered { id: AskId(1), through: 2 });
    assert_eq!(late, [Effect::Discard(AskId(1))]);
    assert_eq!(world.core.too_few(&key("s")), Some((0, 1)));
    assert_eq!(world.accepted("s", 2, 2), [ask(2, "s", 0, 2)]);
}

#[test]
fn another_summary_that_covers_a_question_makes_its_answer_useless() {
    let mut world = World::new(rules(2));
    world.accepted("s", 1, 2);
    world.accepted("s", 3, 4);
    assert_eq!(world.input(Input::Covered { key: key("s"), through: 3 }), []);
    let late = world.input(Input::Answered { id: AskId(1), through: 2 });
    assert_eq!(late, [Effect::Discard(AskId(1))]);
    assert_eq!(world.accepted("s", 5, 5), [ask(2, "s", 3, 5)]);
    // Its own summary is told of too, before it is known to be handed over.
    world.input(Input::Answered { id: AskId(2), through: 5 });
    assert_eq!(world.input(Input::Covered { key: key("s"), through: 5 }), []);
    assert_eq!(world.input(Input::HandedOver(AskId(2))), []);
    assert_eq!(world.core.too_few(&key("s")), None);
}

#[test]
fn what_waited_before_is_looked_up_and_counts() {
    let mut world = World::new(rules(3));
    assert_eq!(world.accepted("s", 9, 9), [Effect::Look(key("s"))]);
    assert_eq!(world.accepted("s", 10, 10), []);
    assert_eq!(world.input(Input::NotFound(key("s"))), []);
    assert_eq!(world.wait(5), [Effect::Look(key("s"))]);
    let found = Found { covered: 7, ends: vec![8, 9] };
    assert_eq!(world.input(Input::Found(key("s"), found)), [ask(1, "s", 7, 10)]);
}

#[test]
fn sessions_of_which_nothing_is_to_be_done_are_forgotten_and_others_are_not() {
    let mut world = World::new(rules(2));
    world.accepted("few", 1, 1);
    world.accepted("failing", 1, 2);
    world.fail(1, true);
    let mut asked = world.wait(4);
    for _ in 0..30 {
        let Some(Effect::Ask(ask)) = asked.pop() else { panic!("it is tried again") };
        world.fail(ask.id.0, true);
        asked = world.wait(60);
    }
    let left: Vec<_> = world.core.sessions().cloned().collect();
    assert_eq!(left, [key("failing")]);
    assert_eq!(world.accepted("few", 2, 2), [Effect::Look(key("few"))]);
}

#[test]
fn sessions_are_bounded_and_those_that_found_no_room_are_looked_for_later() {
    let mut world = World::new(Rules { max_sessions: 4, parallel: 4, ..rules(1) });
    for session in ["a", "b", "c", "d"] {
        assert_eq!(world.accepted(session, 1, 1).len(), 1);
    }
    assert_eq!(world.accepted("e", 1, 1), []);
    assert_eq!((world.core.turned_away(), world.core.sessions().count()), (1, 4));
    for id in 1..=4 {
        world.succeed(id);
    }
    assert_eq!(world.wait(600), [Effect::Survey]);
    assert_eq!(world.wait(600), []);
}

#[test]
fn rules_that_make_no_sense_are_refused() {
    assert!(Core::new(rules(0)).is_err());
    assert!(Core::new(Rules { max_actions: 1, ..rules(2) }).is_err());
    assert!(Core::new(Rules { parallel: 0, ..rules(2) }).is_err());
}

/// What can happen to one of three sessions.
#[derive(Debug, Clone)]
enum Step {
    Act(usize, u64),
    Answer,
    /// The text had room for so many actions less.
    AnswerShort(u64),
    Fail(bool),
    Erase(usize),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..3_usize, 1..5_u64).prop_map(|(session, actions)| Step::Act(session, actions)),
        3 => Just(Step::Answer),
        1 => (0..4_u64).prop_map(Step::AnswerShort),
        2 => any::<bool>().prop_map(Step::Fail),
        1 => (0..3_usize).prop_map(Step::Erase),
        2 => (1..100_u64).prop_map(Step::Wait),
    ]
}

#[test]
fn a_failing_configuration_uses_up_no_sessions_attempts() {
    let mut world = World::new(rules(2));
    let asks = |effects: Vec<Effect>| {
        let ask = |effect| if let Effect::Ask(ask) = effect { Some(ask.id.0) } else { None };
        effects.into_iter().filter_map(ask).collect::<Vec<_>>()
    };
    let mut open: Vec<u64> = Vec::new();
    for session in ["a", "b", "c"] {
        open.extend(asks(world.accepted(session, 1, 2)));
    }
    let mut refused = 0;
    while refused < 40 {
        let Some(id) = open.pop() else {
            let next = asks(world.wait(3600));
            assert!(!next.is_empty(), "nobody is asked for any more after {refused} refusals");
            open.extend(next);
            continue;
        };
        refused += 1;
        open.extend(asks(world.fail(id, false)));
    }
    // The setting is corrected, and everybody is summed up.
    let mut done = 0;
    while done < 3 {
        let Some(id) = open.pop() else {
            let next = asks(world.wait(3600));
            assert!(!next.is_empty(), "{done} of three are summed up");
            open.extend(next);
            continue;
        };
        done += 1;
        let through = world.core.asked(AskId(id)).unwrap().through;
        open.extend(asks(world.input(Input::Answered { id: AskId(id), through })));
        open.extend(asks(world.input(Input::HandedOver(AskId(id)))));
    }
}

proptest! {
    #[test]
    fn every_action_is_told_of_once_and_in_order_whatever_fails(
        threshold in 1..5_u64,
        steps in prop::collection::vec(step(), 0..80),
    ) {
        let rules = Rules { max_actions: 6, max_attempts: u32::MAX, ..rules(threshold) };
        let mut world = World::new(rules.clone());
        let names = ["a", "b", "c"];
        let (mut taken, mut told) = ([0_u64; 3], [0_u64; 3]);
        let mut open: VecDeque<Ask> = VecDeque::new();
        let of = |key: &SessionKey| names.iter().position(|name| *name == key.session.as_str());
        for step in steps.into_iter().chain((0..200).flat_map(|_| [Step::Wait(600), Step::Answer])) {
            let effects = match step {
                Step::Act(n, actions) => {
                    let first = taken[n] + 1;
                    taken[n] += actions;
                    world.accepted(names[n], first, taken[n])
                }
                Step::Wait(seconds) => world.wait(seconds),
                Step::Erase(n) => {
                    (taken[n], told[n]) = (0, 0);
                    world.input(Input::Erased(key(names[n])))
                }
                Step::Fail(of_service) => match open.pop_front() {
                    Some(ask) => world.fail(ask.id.0, of_service),
                    None => continue,
                },
                Step::Answer | Step::AnswerShort(_) => {
                    let Some(ask) = open.pop_front() else { continue };
                    let less = if let Step::AnswerShort(less) = step { less } else { 0 };
                    let through = ask.through.saturating_sub(less).max(ask.after + 1);
                    let mut effects = world.input(Input::Answered { id: ask.id, through });
                    if effects.first() == Some(&Effect::HandOver(ask.id)) {
                        let n = of(&ask.key).expect("one of the three");
                        prop_assert_eq!(ask.after, told[n], "nothing is left out, nothing told twice");
                        prop_assert!(through <= taken[n]);
                        told[n] = through;
                        effects.remove(0);
                        effects.extend(world.input(Input::HandedOver(ask.id)));
                    }
                    effects
                }
            };
            for effect in effects {
                match effect {
                    Effect::Ask(ask) => {
                        prop_assert!(ask.through - ask.after <= rules.max_actions);
                        prop_assert!(ask.through > ask.after);
                        open.push_back(ask);
                    }
                    Effect::Look(asked) => {
                        let n = of(&asked).expect("one of the three");
                        let found = Found { covered: told[n], ends: vec![taken[n]] };
                        for effect in world.input(Input::Found(asked, found)) {
                            let Effect::Ask(ask) = effect else { continue };
                            open.push_back(ask);
                        }
                    }
                    Effect::Discard(_) => {}
                    Effect::HandOver(_) | Effect::Survey => prop_assert!(false, "unexpected"),
                }
            }
            prop_assert!(open.len() <= rules.parallel);
        }
        for n in 0..3 {
            prop_assert!(taken[n] - told[n] < threshold, "{} of {} told of", told[n], taken[n]);
        }
    }
}
