//! Random lives of sessions that are offered help, judged from outside: by an [independent model](Model) of how each
//! must stand, by what the platform was sent, and by the limits.

mod judge;
mod steps;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use sidenote_core::clock::Timestamp;
use sidenote_core::engine::helping::{HelpChange, HelpCommand, HelpError, OfferWish, Turn};
use sidenote_core::engine::link::{LinkCommand, LinkMode};
use sidenote_core::engine::{Answer, Call, Command, Ended, Outcome, Settings, Work};
use sidenote_core::offers::content::Offer;
use sidenote_core::offers::help::Help;
use sidenote_core::offers::refusal::Refusal;
use sidenote_core::outbox::attempt::Course;
use sidenote_core::outbox::message::{Content, Job, Message, Sending};
use sidenote_core::outbox::note::{Crash, FailureKind, Posted};
use sidenote_core::rows::Table;
use sidenote_core::rules::{Delivery, Offers, Product};
use sidenote_core::session::turn::Meaning;

use self::steps::{How, Restart, Step, step};
use crate::standing::{Model, Times};
use crate::words::{
    CHAT, Said, acts, acts_of, conversation, crashed, ended, erase, fails, key, link, product, took,
};
use crate::world::{SECOND, World};

/// Each with its user and its conversation. The first two are the same person's.
const SESSIONS: [(&str, &str); 3] = [("a", "ann"), ("b", "ann"), ("c", "bob")];
/// Triggers: name, time-out and cooldown of their offers in seconds, and the tour that an answer leads to.
const TRIGGERS: [(&str, u64, u64, Option<&str>); 3] =
    [("dwell", 10, 30, None), ("playbook", 4, 0, None), ("ping-pong", 25, 90, Some("flow"))];

const MIN_INTERVAL: Duration = Duration::from_secs(15);
const PER_SESSION_HOUR: u32 = 6;
const PER_USER_DAY: u32 = 9;
const PER_PRODUCT_MINUTE: u32 = 2;
const QUIET_PERSON: Duration = Duration::from_secs(6);
const QUIET_AGENT: Duration = Duration::from_secs(40);
const EXPIRES: Duration = Duration::from_secs(10);
/// Typing is put on record once in so long.
const TYPING: Duration = Duration::from_secs(5);

/// What is known of one session from outside.
struct Known {
    model: Model,
    /// The version that its row had.
    version: u64,
    /// Its conversation, where it is linked.
    conversation: Option<String>,
    /// When offers were made that may have come, by [`Life::elapsed`], and whose they were.
    made: Vec<(String, Duration)>,
}

/// A conversation: when who wrote, by [`Life::elapsed`].
#[derive(Default)]
struct Talk {
    closed: bool,
    person: Option<Duration>,
    agent: Option<Duration>,
}

/// What the platform was sent under a key.
#[derive(Default)]
struct Sent {
    /// Whether it is certain that no attempt so far reached a person.
    refused: bool,
    attempts: u32,
}

struct Life {
    world: World,
    known: BTreeMap<&'static str, Known>,
    talks: HashMap<String, Talk>,
    /// Messages that the platform has, by key.
    platform: HashSet<String>,
    sent: HashMap<String, Sent>,
    /// When each offer was made that isn't over, by [`Life::elapsed`].
    on_the_way: HashMap<String, (Arc<Message>, Duration)>,
    /// Those that were on their way when the clock was set back: the host can't know how old they are.
    of_no_age: HashSet<String>,
    /// Calls that were looked at.
    seen: HashSet<(String, u32)>,
    /// Offers of each person, and of the product, that count, by [`Life::elapsed`].
    of_persons: HashMap<&'static str, Vec<Duration>>,
    of_product: Vec<Duration>,
    /// How much time the host's clock has shown to pass; that it was set back takes nothing of it away.
    elapsed: Duration,
}

fn times(offer: &Offer) -> Times {
    let of =
        TRIGGERS.iter().find(|(name, ..)| *name == offer.trigger()).expect("it is one of them");
    Times { timeout: Duration::from_secs(of.1), cooldown: Duration::from_secs(of.2) }
}

fn said(how: How) -> Said {
    match how {
        How::Takes | How::Overlooked | How::CantTell => took(),
        How::Refuses => fails(FailureKind::Permanent),
        How::Fails => fails(FailureKind::Transient),
        How::Late { .. } => crashed(Crash::Timeout),
    }
}

fn settings() -> Settings {
    let rules = Offers {
        expires: EXPIRES,
        min_interval: MIN_INTERVAL,
        per_session_hour: PER_SESSION_HOUR,
        per_user_day: PER_USER_DAY,
        per_product_minute: PER_PRODUCT_MINUTE,
        quiet_after_agent: QUIET_AGENT,
        quiet_after_person: QUIET_PERSON,
        tear_down: true,
        ..Offers::default()
    };
    let of_p = Product::of(vec![CHAT.into()], Delivery::default()).with_offers(rules);
    Settings::of_products([(product("p"), of_p)]).with_concurrency(CHAT, 2)
}

impl Life {
    fn new() -> Self {
        let known = |(session, _): (&'static str, _)| {
            let (model, made) = (Model::new(), Vec::new());
            (session, Known { model, version: 0, conversation: None, made })
        };
        let mut life = Self {
            world: World::new(settings()),
            known: SESSIONS.map(known).into(),
            talks: HashMap::new(),
            platform: HashSet::new(),
            sent: HashMap::new(),
            on_the_way: HashMap::new(),
            of_no_age: HashSet::new(),
            seen: HashSet::new(),
            of_persons: HashMap::new(),
            of_product: Vec::new(),
            elapsed: Duration::ZERO,
        };
        for place in 0..SESSIONS.len() {
            life.link(place, true);
        }
        life.world.answer_all(took);
        life
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Offer { session, trigger } => self.offer(SESSIONS[*session].0, *trigger),
            Step::Turn { session, meaning, text } => {
                self.turn(SESSIONS[*session].0, *meaning, text)
            }
            Step::Change { session, change } => self.change(SESSIONS[*session].0, change),
            Step::Act { session } => {
                self.world.tell(acts(SESSIONS[*session].0, &["it"]));
            }
            Step::Move { session, back } => self.link(*session, *back),
            Step::Erase { session } => self.erase(SESSIONS[*session].0),
            Step::Pass { millis } => self.pass(Duration::from_millis(*millis)),
            Step::Answer { which, how } => self.answer(*which, *how),
            Step::Restart { how, clock_s } => self.restart(*how, *clock_s),
        }
    }

    /// What is done at each moment is judged at that moment: no more than a second passes unseen.
    fn pass(&mut self, time: Duration) {
        let end = self.world.now + time;
        while self.world.now < end {
            let some = end.since(self.world.now).min(SECOND);
            self.world.pass(some);
            self.elapsed += some;
            self.judge();
        }
    }

    fn link(&mut self, place: usize, back: bool) {
        let (session, user) = SESSIONS[place];
        let to = if back { session.to_owned() } else { format!("{session}, elsewhere") };
        self.world.tell(acts_of(session, (Some(user), None), &["it"]));
        let answer = self
            .world
            .tell(Command::Link(LinkCommand { mode: LinkMode::Move, ..link(session, &to) }));
        assert!(matches!(answer, Answer::Linked(Ok(_))), "{answer:?}");
        self.known_mut(session).conversation = Some(to);
    }

    fn known_mut(&mut self, session: &str) -> &mut Known {
        self.known.get_mut(session).expect("it is one of them")
    }

    fn offer(&mut self, session: &'static str, trigger: usize) {
        let (name, timeout, cooldown, tour) = TRIGGERS[trigger];
        let options = [(if tour.is_some() { "Show me" } else { "Yes" }, tour), ("No", None)];
        let offer = Offer::new(name, "Need help?", options)
            .and_then(|offer| offer.with_times(timeout as f64, cooldown as f64))
            .expect("it says something");
        let wish = OfferWish { key: key(session), offer, as_of: None, ask_only: false };
        let Answer::Offered(answer) = self.world.tell(Command::Offer(wish)) else { panic!() };
        let now = self.world.now;
        let known = &self.known[session];
        let standing = known.model.at(now);
        match answer {
            Ok(seq) => {
                assert!(known.model.is_free(now), "{session} stands so: {standing:?}");
                let job: Job = self.world.row(Table::Message, session, seq);
                self.check_limits(session);
                self.count(session, &job.message);
            }
            Err(Refusal::State { .. }) => assert!(!known.model.is_thinking(now), "{standing:?}"),
            Err(Refusal::CoolingDown { until }) => {
                assert_eq!(standing, ("thinking", Some(until), true));
            }
            Err(Refusal::NotLinked) => assert_eq!(known.conversation, None),
            Err(Refusal::Ended) => assert!(self.talk(session).is_some_and(|talk| talk.closed)),
            Err(Refusal::Pending) => {
                let offers = self.jobs(session).into_iter();
                let offers = offers.filter(|job| matches!(job.message.content, Content::Offer(_)));
                assert_eq!(offers.count(), 1, "one is on its way");
            }
            Err(
                Refusal::TriggerCoolingDown { .. }
                | Refusal::TooSoon { .. }
                | Refusal::SessionHour { .. }
                | Refusal::UserDay { .. }
                | Refusal::ProductMinute { .. }
                | Refusal::AgentWrote { .. }
                | Refusal::PersonActive { .. }
                | Refusal::Breaker,
            ) => assert!(known.model.is_free(now), "the state is asked first: {standing:?}"),
            Err(refusal @ (Refusal::Off | Refusal::NoMessenger | Refusal::MovedOn)) => {
                panic!("nothing is so that it says {refusal:?}")
            }
        }
    }

    fn talk(&self, session: &str) -> Option<&Talk> {
        self.known[session].conversation.as_ref().and_then(|of| self.talks.get(of))
    }

    fn jobs(&self, session: &str) -> Vec<Job> {
        let numbers = self.world.numbers(Table::Message, session).into_iter();
        numbers.map(|seq| self.world.row(Table::Message, session, seq)).collect()
    }

    /// An offer was made: nothing may have been in its way.
    fn check_limits(&self, session: &str) {
        let within = |made: &[Duration], width: Duration| {
            made.iter().filter(|at| self.elapsed - **at < width).count() as u32
        };
        let (known, user) = (&self.known[session], user_of(session));
        let made: Vec<_> = known.made.iter().map(|(_, at)| *at).collect();
        assert!(known.conversation.is_some(), "it is linked");
        assert_eq!(within(&made, MIN_INTERVAL), 0, "too soon after the last one");
        assert!(within(&made, Duration::from_secs(3600)) < PER_SESSION_HOUR, "{made:?}");
        let of_person = self.of_persons.get(user).map_or(&[][..], Vec::as_slice);
        assert!(within(of_person, Duration::from_secs(86_400)) < PER_USER_DAY);
        assert!(within(&self.of_product, Duration::from_secs(60)) < PER_PRODUCT_MINUTE);
        let Some(talk) = self.talk(session) else { return };
        assert!(!talk.closed, "its conversation is closed");
        let quiet = |at: Option<Duration>, time: Duration| {
            at.is_none_or(|at| self.elapsed - at + TYPING >= time)
        };
        assert!(quiet(talk.person, QUIET_PERSON), "the person wrote");
        assert!(quiet(talk.agent, QUIET_AGENT), "an agent wrote");
    }

    fn count(&mut self, session: &str, message: &Arc<Message>) {
        let (elapsed, key) = (self.elapsed, message.idempotency_key.clone());
        let known = self.on_the_way.insert(key.clone(), (message.clone(), elapsed));
        assert!(known.is_none(), "a key is one message's");
        self.of_persons.entry(user_of(session)).or_default().push(elapsed);
        self.of_product.push(elapsed);
        self.known_mut(session).made.push((key, elapsed));
    }

    fn turn(&mut self, session: &'static str, meaning: Meaning, text: &str) {
        let Some(to) = self.known[session].conversation.clone() else { return };
        let wrote = [Meaning::PersonWrote, Meaning::AgentWrote].contains(&meaning);
        self.world.tell(Command::Turn(Turn {
            plugin: CHAT.into(),
            conversation: conversation(&to),
            message_id: None,
            meaning,
            option_id: None,
            text: wrote.then(|| text.to_owned()),
        }));
        let (now, elapsed) = (self.world.now, self.elapsed);
        let talk = self.talks.entry(to).or_default();
        match meaning {
            Meaning::PersonWrote => (talk.person, talk.closed) = (Some(elapsed), false),
            Meaning::PersonTypes => talk.person = Some(elapsed),
            Meaning::AgentWrote | Meaning::AgentTypes => talk.agent = Some(elapsed),
            Meaning::Closed => talk.closed = true,
            Meaning::Reopened => talk.closed = false,
            Meaning::PersonReacted | Meaning::Nothing => {}
        }
        let model = &mut self.known_mut(session).model;
        match meaning {
            Meaning::PersonWrote => {
                if !model.ask(now) {
                    model.act(now);
                }
            }
            Meaning::PersonTypes | Meaning::PersonReacted => model.act(now),
            Meaning::AgentWrote
            | Meaning::AgentTypes
            | Meaning::Closed
            | Meaning::Reopened
            | Meaning::Nothing => {}
        }
    }

    fn change(&mut self, session: &'static str, change: &HelpChange) {
        let command = HelpCommand { key: key(session), expect: None, change: change.clone() };
        let Answer::Helped(answer) = self.world.tell(Command::Help(command)) else { panic!() };
        if answer == Err(HelpError::NotFound) {
            return assert_eq!(self.known[session].conversation, None);
        }
        let now = self.world.now;
        let model = &mut self.known_mut(session).model;
        let helped = !model.is_thinking(now);
        let done = match change {
            HelpChange::Interaction(_) => {
                model.act(now);
                true
            }
            HelpChange::ToProactive => model.offer(now),
            HelpChange::ToReactive => model.ask(now),
            HelpChange::StartTour(_) => {
                model.act(now);
                helped
            }
            HelpChange::StopTour => helped,
            HelpChange::StartCooldown(period) => {
                model.cool(period.map(Duration::from_secs_f64), now);
                true
            }
            HelpChange::ClearCooldown => {
                model.warm(now);
                true
            }
        };
        assert_eq!(answer.is_ok(), done, "{answer:?}");
    }

    fn erase(&mut self, session: &'static str) {
        self.world.tell(erase(&[session], false));
        let known = self.known_mut(session);
        (known.model, known.version) = (Model::new(), 0);
        known.conversation = None;
        known.made.clear();
        assert_eq!(self.world.numbers(Table::Help, session), [0_u64; 0]);
        assert_eq!(self.world.numbers(Table::Message, session), [0_u64; 0]);
    }

    /// A call reaches the platform, which carries it out.
    fn reach(&mut self, call: &Call) {
        let Work::Message { message, unknown: false } = &call.work else { return };
        if message.content.is_repeatable() {
            return;
        }
        let new = self.platform.insert(message.idempotency_key.clone());
        assert!(new, "the person has it already: {message:?}");
    }

    fn answer(&mut self, which: usize, how: How) {
        if self.world.calls.is_empty() {
            return;
        }
        let call = self.world.calls.remove(which % self.world.calls.len());
        if matches!(how, How::Late { arrived: true }) {
            self.reach(&call);
        }
        match call.work.clone() {
            Work::Message { message, unknown: true } => self.say_whether(&call, &message, how),
            Work::Message { message, unknown: false } => self.end_sending(&call, &message, how),
            Work::Note { .. } | Work::Sink(_) | Work::Timer(_) | Work::Redaction { .. } => {
                self.world.tell(ended(&call, said(how)));
            }
        }
    }

    /// The platform was sent a message.
    fn end_sending(&mut self, call: &Call, message: &Message, how: How) {
        let takes = matches!(how, How::Takes | How::Overlooked | How::CantTell);
        if takes {
            self.reach(call);
        }
        self.world.tell(ended(call, said(how)));
        let sent = self.sent.entry(message.idempotency_key.clone()).or_default();
        sent.refused = matches!(how, How::Fails | How::Refuses);
        match how {
            How::Takes | How::Overlooked | How::CantTell => {
                self.over(message, Some(self.world.now))
            }
            How::Refuses => self.never_came(message),
            How::Fails | How::Late { .. } => {}
        }
    }

    /// The platform was asked for a message.
    fn say_whether(&mut self, call: &Call, message: &Arc<Message>, how: How) {
        let there = self.platform.contains(&message.idempotency_key);
        let sending = match how {
            How::Takes if there => {
                Sending::Posted(Posted { note_id: Some("id".to_owned()), pause: None })
            }
            How::Takes | How::Overlooked => Sending::NotThere,
            How::CantTell => Sending::CantTell,
            How::Refuses | How::Fails | How::Late { .. } => {
                self.world.tell(ended(call, said(how)));
                return;
            }
        };
        let at = matches!(sending, Sending::Posted(_)).then(|| self.unknown_since(message));
        let outcome = Outcome::Message { message: message.clone(), result: Ok(sending) };
        self.world.tell(Command::Ended(Ended::of(outcome, Course::of(call.probe, 0.5))));
        self.over(message, at);
    }

    /// Since when nobody knows whether a message came: as it is on record, and no later than now.
    fn unknown_since(&self, message: &Message) -> Timestamp {
        let jobs = self.jobs(message.key.session.as_str()).into_iter();
        let mut ours = jobs.filter(|job| job.message.idempotency_key == message.idempotency_key);
        let since = ours.next().and_then(|job| job.unknown_since).unwrap_or(self.world.now);
        assert!(since <= self.world.now, "nothing has happened in the future: {since:?}");
        since
    }

    /// A message is over: it came at this moment, or nobody knows.
    fn over(&mut self, message: &Message, at: Option<Timestamp>) {
        let Content::Offer(offer) = &message.content else { return };
        self.on_the_way.remove(&message.idempotency_key);
        let (now, known) = (self.world.now, self.known_mut(message.key.session.as_str()));
        // Of a session that was erased meanwhile it means nothing.
        if !known.made.iter().any(|(key, _)| *key == message.idempotency_key) {
            return;
        }
        match at {
            Some(at) => known.model.take(times(offer), at, now),
            None => known.model.lose(times(offer), now),
        }
    }

    /// A message certainly didn't come: it doesn't count for its session.
    fn never_came(&mut self, message: &Message) {
        self.on_the_way.remove(&message.idempotency_key);
        let session = message.key.session.as_str();
        self.known_mut(session).made.retain(|(key, _)| *key != message.idempotency_key);
    }

    fn restart(&mut self, how: Restart, clock_s: i64) {
        match how {
            Restart::Killed { arrived } => {
                for call in self.world.calls.clone() {
                    if arrived {
                        self.reach(&call);
                    }
                }
            }
            Restart::Stopped => drop(self.world.tell(Command::Stop)),
        }
        let jump = Duration::from_secs(clock_s.unsigned_abs());
        if clock_s >= 0 {
            self.world.now = self.world.now + jump;
            self.elapsed += jump;
        } else {
            self.world.now = self.world.now - jump;
            self.of_no_age.extend(self.on_the_way.keys().cloned());
        }
        for (session, _) in SESSIONS {
            let Some(saved) = self.saved_at(session) else { continue };
            let set_back = saved.since(self.world.now);
            self.known_mut(session).model.set_back(set_back);
        }
        self.seen.clear();
        self.world.restart();
    }

    /// When the row of a session says that it was stored.
    fn saved_at(&self, session: &str) -> Option<Timestamp> {
        let stored = self.stored(session)?;
        let saved = serde_json::to_value(stored).expect("it is plain data")["saved_at"].as_i64();
        saved.map(Timestamp)
    }

    fn stored(&self, session: &str) -> Option<Help> {
        let there = self.world.has(Table::Help, &key(session), 0);
        there.then(|| self.world.row(Table::Help, session, 0))
    }

    /// In the end the platform is well: nothing is left on its way, and everybody is left alone.
    fn finish(&mut self) {
        for _ in 0..40 {
            while !self.world.calls.is_empty() {
                self.answer(0, How::Takes);
                self.world.run();
                self.judge();
            }
            self.pass(SECOND * 10);
        }
        assert_eq!((self.world.count(Table::Message), self.on_the_way.len()), (0, 0));
        for (session, _) in SESSIONS {
            assert!(self.known[session].model.is_thinking(self.world.now), "{session}");
        }
    }
}

fn user_of(session: &str) -> &'static str {
    SESSIONS.iter().find(|(of, _)| *of == session).expect("it is one of them").1
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 40,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn sessions_stand_as_an_independent_model_says_and_nobody_is_offered_anything_twice(
        steps in prop::collection::vec(step(), 1..80)
    ) {
        let mut life = Life::new();
        for step in &steps {
            life.step(step);
            life.world.run();
            life.judge();
        }
        life.finish();
    }
}
