use proptest::prelude::*;
use serde_json::json;

use super::*;

fn at(secs: f64) -> Timestamp {
    Timestamp::from_secs_f64(1_700_000_000.0 + secs)
}

fn registry() -> TourRegistry {
    let tours = json!([
        {"id": "a", "user_tour_id": "flow_a", "interaction_timeout_s": 30.0, "cooldown_period_s": 120.0},
        {"id": "b", "user_tour_id": "flow_b", "interaction_timeout_s": 0.0, "cooldown_period_s": 0.0},
    ]);
    TourRegistry::from_value(&json!({"tours": tours})).unwrap().registry
}

#[test]
fn a_tour_reset_the_timer_but_is_no_interaction() {
    let mut fsm = Fsm::new(Limits::default(), at(0.0));
    assert_eq!(fsm.to_proactive(at(0.0)), Ok(true));
    fsm.start_guidance(None, at(15.0)).unwrap();
    fsm.tick(None, at(30.0));
    assert_eq!(
        (fsm.state(), fsm.idle_s(at(30.0)), fsm.proactive().idle_s),
        (State::Proactive, 15.0, 30.0)
    );
}

#[test]
fn help_ends_one_microsecond_after_the_time_out() {
    let mut fsm = Fsm::new(Limits::default(), at(0.0));
    fsm.to_reactive(at(0.0)).unwrap();
    let end = fsm.poll_timeout(None).unwrap();
    assert_eq!(end, Timestamp(at(20.0).0 + 1));
    fsm.tick(None, at(20.0));
    assert_eq!(fsm.state(), State::Reactive);
    fsm.tick(None, end);
    assert_eq!(
        (fsm.state(), fsm.can_deliver_proactive()),
        (State::Thinking, Err(NotDeliverable::CoolingDown))
    );
    assert_eq!(fsm.poll_timeout(None), Some(end + std::time::Duration::from_secs(60)));
}

#[test]
fn odd_limits_neither_panic_nor_hold_a_session_for_ever() {
    for limit in [f64::NAN, f64::NEG_INFINITY, -1.0, 0.0, 1e300] {
        let limits = Limits { interaction_timeout_s: limit, cooldown_period_s: limit };
        let mut fsm = Fsm::new(limits, at(0.0));
        fsm.to_reactive(at(0.0)).unwrap();
        fsm.tick(None, at(1.0));
        let is_helping = fsm.state() == State::Reactive;
        assert_eq!(is_helping, limit == 1e300, "{limit}");
    }
}

/// What is done to a session, `after` seconds after the step before.
#[derive(Debug, Clone)]
enum Step {
    Tick(bool),
    ToProactive,
    ToReactive,
    Record(Interaction),
    StartGuidance(Option<&'static str>),
    StopGuidance,
    StartCooldown(Option<f64>),
    ClearCooldown,
    SetCooldownPeriod(f64),
}

fn any_step() -> impl Strategy<Value = (f64, Step)> {
    let step = prop_oneof![
        4 => any::<bool>().prop_map(Step::Tick),
        2 => Just(Step::ToProactive),
        2 => Just(Step::ToReactive),
        2 => prop::sample::select(vec![
            Interaction::Message, Interaction::OptionClick, Interaction::Reaction, Interaction::TourStep, Interaction::Other,
        ]).prop_map(Step::Record),
        2 => prop::sample::select(vec![None, Some("flow_a"), Some("flow_b"), Some("unknown")]).prop_map(Step::StartGuidance),
        1 => Just(Step::StopGuidance),
        1 => prop::sample::select(vec![None, Some(0.0), Some(5.0), Some(120.0)]).prop_map(Step::StartCooldown),
        1 => Just(Step::ClearCooldown),
        1 => prop::sample::select(vec![-1.0, 0.0, 10.0, 60.0]).prop_map(Step::SetCooldownPeriod),
    ];
    let after =
        prop::sample::select(vec![0.0, 0.5, 4.0, 5.0, 10.0, 20.0, 20.5, 30.0, 60.0, 120.0, -50.0]);
    (after, step)
}

/// The same machine told as a story: every question is answered by looking back over what happened.
#[derive(Default)]
struct Story {
    now: f64,
    events: Vec<(f64, Event)>,
    session_cooldown: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Event {
    Help(State),
    Left,
    Touched,
    Tour(Option<&'static str>),
    TourOver,
    Quiet(Option<f64>),
    QuietOver,
}

impl Story {
    fn last<T>(&self, what: impl Fn(f64, Event) -> Option<T>) -> Option<T> {
        self.events.iter().rev().find_map(|(at, event)| what(*at, *event))
    }

    fn state(&self) -> State {
        self.last(|_, event| match event {
            Event::Help(state) => Some(state),
            Event::Left => Some(State::Thinking),
            Event::Touched
            | Event::Tour(_)
            | Event::TourOver
            | Event::Quiet(_)
            | Event::QuietOver => None,
        })
        .unwrap_or(State::Thinking)
    }

    fn is_helping(&self) -> bool {
        self.state() != State::Thinking
    }

    fn idle(&self) -> f64 {
        let resets = |event| matches!(event, Event::Help(_) | Event::Touched | Event::Tour(_));
        self.now - self.last(|at, event| resets(event).then_some(at)).unwrap_or(0.0)
    }

    fn tour(&self) -> Option<Option<&'static str>> {
        self.last(|_, event| match event {
            Event::Tour(id) => Some(Some(id)),
            Event::TourOver | Event::Left => Some(None),
            Event::Help(_) | Event::Touched | Event::Quiet(_) | Event::QuietOver => None,
        })
        .flatten()
    }

    /// Start and period of the time without offers.
    fn quiet(&self) -> Option<(f64, f64)> {
        self.last(|at, event| match event {
            Event::Quiet(period) => Some(Some((at, period.unwrap_or(self.session_cooldown)))),
            Event::QuietOver => Some(None),
            Event::Help(_) | Event::Touched | Event::Tour(_) | Event::TourOver | Event::Left => {
                None
            }
        })
        .flatten()
    }

    fn limits(&self, with_registry: bool) -> (f64, f64) {
        match self.tour().flatten().filter(|_| with_registry) {
            Some("flow_a") => (30.0, 120.0),
            Some("flow_b") => (0.0, 0.0),
            _ => (20.0, self.session_cooldown),
        }
    }

    fn push(&mut self, event: Event) {
        self.events.push((self.now, event));
    }

    fn tick(&mut self, with_registry: bool) {
        if self.is_helping() {
            let (timeout, cooldown) = self.limits(with_registry);
            if self.idle() > timeout {
                self.push(Event::Left);
                self.push(Event::Quiet(Some(cooldown)));
            }
        } else if self.quiet().is_some_and(|(since, period)| self.now - since >= period) {
            self.push(Event::QuietOver);
        }
    }

    /// Whether the step is allowed, and for an offer whether it is made.
    fn take(&mut self, step: &Step) -> Result<bool, ()> {
        match *step {
            Step::Tick(with_registry) => self.tick(with_registry),
            Step::ToProactive | Step::ToReactive | Step::StartGuidance(_) | Step::StopGuidance
                if self.is_helping()
                    != matches!(step, Step::StartGuidance(_) | Step::StopGuidance) =>
            {
                return Err(());
            }
            Step::ToProactive => {
                self.tick(false);
                if self.quiet().is_some() {
                    return Ok(false);
                }
                self.push(Event::Help(State::Proactive));
            }
            Step::ToReactive => {
                self.push(Event::QuietOver);
                self.push(Event::Help(State::Reactive));
            }
            Step::Record(_) => self.push(Event::Touched),
            Step::StartGuidance(id) => self.push(Event::Tour(id)),
            Step::StopGuidance => self.push(Event::TourOver),
            Step::StartCooldown(period) => self.push(Event::Quiet(period)),
            Step::ClearCooldown => self.push(Event::QuietOver),
            Step::SetCooldownPeriod(period) => self.session_cooldown = period,
        }
        Ok(true)
    }
}

fn apply(
    fsm: &mut Fsm,
    step: &Step,
    registry: &TourRegistry,
    now: Timestamp,
) -> Result<bool, FsmError> {
    match step {
        Step::Tick(with_registry) => fsm.tick(with_registry.then_some(registry), now),
        Step::ToProactive => return fsm.to_proactive(now),
        Step::ToReactive => fsm.to_reactive(now)?,
        Step::Record(interaction) => fsm.record(*interaction, now),
        Step::StartGuidance(id) => fsm.start_guidance(id.map(str::to_owned), now)?,
        Step::StopGuidance => fsm.stop_guidance()?,
        Step::StartCooldown(period) => fsm.start_cooldown(*period, now),
        Step::ClearCooldown => fsm.clear_cooldown(),
        Step::SetCooldownPeriod(cooldown_period_s) => {
            fsm.set_limits(Limits { cooldown_period_s: *cooldown_period_s, ..fsm.limits() });
        }
    }
    Ok(true)
}

proptest! {
    #[test]
    fn the_machine_does_what_looking_back_over_its_story_says(steps in prop::collection::vec(any_step(), 1..60)) {
        let registry = registry();
        let mut fsm = Fsm::new(Limits::default(), at(0.0));
        let mut story = Story { session_cooldown: 60.0, ..Story::default() };
        for (after, step) in &steps {
            story.now += after;
            let before = fsm.clone();
            let done = apply(&mut fsm, step, &registry, at(story.now));
            prop_assert_eq!(done.ok(), story.take(step).ok(), "{:?}", step);
            if done.is_err() {
                prop_assert_eq!(&fsm, &before, "a refused step changes nothing");
            }
            prop_assert_eq!(fsm.state(), story.state(), "{:?}", step);
            prop_assert_eq!(fsm.idle_s(at(story.now)), story.idle());
            prop_assert_eq!(fsm.guidance().map(|guidance| guidance.tour_id.as_deref()), story.tour());
            let quiet = fsm.cooldown().map(|cooldown| {
                (cooldown.started_at, cooldown.period_s.unwrap_or(fsm.limits().cooldown_period_s))
            });
            prop_assert_eq!(quiet, story.quiet().map(|(since, period)| (at(since), period)));
            prop_assert_eq!(fsm.can_deliver_proactive().is_ok(), !story.is_helping() && story.quiet().is_none());
        }
    }

    #[test]
    fn a_tick_changes_state_or_cooldown_exactly_when_it_was_announced(
        steps in prop::collection::vec(any_step(), 1..30),
        with_registry in any::<bool>(),
    ) {
        let registry = registry();
        let in_use = with_registry.then_some(&registry);
        let mut fsm = Fsm::new(Limits::default(), at(0.0));
        let mut now = 0.0;
        for (after, step) in &steps {
            now += after;
            // A refused step changes nothing; the property is about what holds afterwards.
            apply(&mut fsm, step, &registry, at(now)).ok();
        }
        let seen = |fsm: &Fsm| (fsm.state(), fsm.cooldown());
        match fsm.poll_timeout(in_use) {
            Some(due) => {
                let mut early = fsm.clone();
                early.tick(in_use, Timestamp(due.0 - 1));
                prop_assert_eq!(seen(&early), seen(&fsm));
                let mut timely = fsm.clone();
                timely.tick(in_use, due);
                prop_assert_ne!(seen(&timely), seen(&fsm));
            }
            None => {
                let mut late = fsm.clone();
                late.tick(in_use, at(now + 1e9));
                prop_assert_eq!(seen(&late), seen(&fsm));
            }
        }
    }
}
