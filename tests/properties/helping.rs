//! Lives of sessions that are offered help and whose questions are answered: the real engine, its stores and its clock,
//! through crashes, failing stores, clocks that jump and platforms that answer as they like. How each session stands is
//! held against an independent [model]; what the platform was sent, against what was answered.

mod judge;
mod model;
mod steps;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use sidenote::clock::{Clock, Timestamp};
use sidenote::config::{Delivery, Product, Retention};
use sidenote::engine::Settings;
use sidenote::engine::erase::{Erasure, Subject};
use sidenote::engine::helping::commands::{HelpCommand, HelpError, OfferWish, Turn};
use sidenote::engine::link::{LinkCommand, LinkMode};
use sidenote::engine::{Closed, Handle};
use sidenote::ids::{ConversationId, SessionId, SessionKey};
use sidenote::offers::content::Offer;
use sidenote::offers::help::{Heard, Standing};
use sidenote::offers::refusal::Refusal;
use sidenote::outbox::note::FailureKind;
use sidenote::replies::answer::{HandOver, NotReplied, Replied, ReplyText, ReplyWish, Response};
use sidenote::rules::{Offers, Reply};
use sidenote::session::turn::Meaning;
use sidenote_tests::messages::Taking;
use sidenote_tests::world::{BEGIN, Platform, World, action, batch, product, wish};
use tokio::task::{JoinSet, yield_now};
use tokio::time::sleep;

use self::model::{Event, Model, Span, Times};
use self::steps::{Ask, Step};
pub(crate) use self::steps::{Case, case};
use crate::store::Faulty;

/// Each with its user. The first two are the same person's.
const SESSIONS: [(&str, &str); 3] = [("a", "ann"), ("b", "ann"), ("c", "bob")];
/// Triggers: name, time-out and cooldown of their offers in seconds, and the tour that an answer leads to.
const TRIGGERS: [(&str, u64, u64, Option<&str>); 3] =
    [("dwell", 10, 30, None), ("playbook", 4, 0, None), ("ping-pong", 25, 90, Some("flow"))];
const WRITER: &str = "bot";

const MIN_INTERVAL: Duration = Duration::from_secs(15);
const PER_PRODUCT_MINUTE: u32 = 3;
const QUIET_PERSON: Duration = Duration::from_secs(6);
const QUIET_AGENT: Duration = Duration::from_secs(40);
const EXPIRES: Duration = Duration::from_secs(10);
/// Typing is put on record once in so long.
const TYPING: Duration = Duration::from_secs(5);
/// Longer than any history.
const FOREVER: Duration = Duration::from_secs(1000 * 86_400);

struct Life {
    /// The host, while one lives.
    world: Option<World>,
    store: Arc<Faulty>,
    platform: Arc<Platform>,
    /// Each life's clock, and since when it goes, from the platform's begin.
    clocks: Vec<(Duration, Clock)>,
    /// How far the clock jumped ahead, in all.
    forward: Duration,
    /// How long the disk was full, in all.
    full: Duration,
    known: Vec<Known>,
    talks: HashMap<String, Talk>,
    /// When offers of the product were made, at the earliest.
    of_product: Vec<Duration>,
    erasures: Vec<Erased>,
    /// Notes for people that were promised: session, era, number.
    noted: Vec<(usize, usize, u64)>,
    /// While no answer may be sent to a conversation: from which call on, and until which.
    silenced: Vec<(String, usize, Option<usize>)>,
    /// Messages that people wrote.
    written: usize,
    /// When something was asked last.
    asked: Duration,
}

/// What is known of one session from outside.
struct Known {
    model: Model,
    /// How often it was erased.
    era: usize,
    /// How many messages had been sent when its era began.
    base: usize,
    /// The decisions that were looked at: number, and what was decided.
    decided: HashSet<(u64, &'static str)>,
    /// Whether something of it was certainly accepted.
    is_known: bool,
    /// Its conversation, where it is linked.
    linked: Option<String>,
    /// When offers were made that may have come, at the earliest.
    made: Vec<(u64, Duration)>,
    /// The questions that an answer was promised to.
    answered: HashSet<String>,
}

/// What is certain of a conversation, if anything.
#[derive(Default, Clone)]
struct Talk {
    closed: Sure,
    agent: Sure,
    /// When who wrote, at the earliest.
    person_at: Option<Duration>,
    agent_at: Option<Duration>,
}

#[derive(Default, Clone, Copy, PartialEq)]
enum Sure {
    #[default]
    No,
    Maybe,
    Yes,
}

/// A session was erased when so many posts and messages had begun.
struct Erased {
    session: usize,
    posts: usize,
    messages: usize,
}

/// Something that may change how a session stands, within a span. `maybe`: or it wasn't.
struct Happened {
    session: usize,
    event: Event,
    within: Span,
    maybe: bool,
}

enum Answered {
    Offered(Result<Result<u64, Refusal>, Closed>),
    Heard(Result<Vec<(SessionKey, Heard)>, Closed>),
    Helped(Result<Standing, HelpError>),
}

pub(crate) async fn play(case: &Case) -> Result<(), String> {
    let store = Arc::new(Faulty::new(case.latency));
    let platform = Platform::with_redactions([], []);
    platform.redacts(true);
    platform.messages.finds(sidenote_tests::messages::Finding::Says);
    let mut life = Life {
        world: None,
        store,
        platform,
        clocks: Vec::new(),
        forward: Duration::ZERO,
        full: Duration::ZERO,
        known: SESSIONS.iter().map(|_| Known::of_era(0, 0)).collect(),
        talks: HashMap::new(),
        of_product: Vec::new(),
        erasures: Vec::new(),
        noted: Vec::new(),
        silenced: Vec::new(),
        written: 0,
        asked: Duration::ZERO,
    };
    life.start(BEGIN);
    for session in 0..SESSIONS.len() {
        life.link(session, true).await?;
    }
    for (n, step) in case.steps.iter().enumerate() {
        life.step(step).await.map_err(|error| format!("step {n}, {step:?}: {error}"))?;
    }
    life.finish().await
}

fn settings() -> Settings {
    let offers = Offers {
        expires: EXPIRES,
        min_interval: MIN_INTERVAL,
        per_product_minute: PER_PRODUCT_MINUTE,
        quiet_after_agent: QUIET_AGENT,
        quiet_after_person: QUIET_PERSON,
        keep_decisions: FOREVER,
        tear_down: true,
        ..Offers::default()
    };
    let of_p = Product::of(vec![WRITER.into()], Delivery::default())
        .with_offers(offers)
        .with_reply(Reply::default());
    let mut settings = Settings::of_products([(product("p"), of_p)]).with_concurrency(WRITER, 2);
    settings.jitter = || 1.0;
    settings.retention = Retention { sessions: FOREVER, dead_letters: FOREVER };
    settings
}

impl Known {
    fn of_era(era: usize, base: usize) -> Self {
        Self {
            model: Model::new(),
            era,
            base,
            decided: HashSet::new(),
            is_known: false,
            linked: None,
            made: Vec::new(),
            answered: HashSet::new(),
        }
    }
}

impl Life {
    fn start(&mut self, wall: f64) {
        let wall = Timestamp::from_secs_f64(wall);
        self.clocks.push((self.platform.start().elapsed(), Clock::starting_at(wall)));
        let (store, platform) = (self.store.clone(), self.platform.clone());
        self.world = Some(World::start_with(wall.as_secs_f64(), store, platform, settings()));
    }

    async fn step(&mut self, step: &Step) -> Result<(), String> {
        let mut happened = None;
        match step {
            Step::Ask(ask) => happened = self.ask(ask).await?,
            Step::Act { session, actions } if self.is_serving() => {
                self.act(*session, *actions).await?;
            }
            Step::Link { session, home } if self.is_serving() => self.link(*session, *home).await?,
            Step::Reply { session, hand_over } => self.reply(*session, *hand_over).await?,
            Step::Overtaken(session) => happened = self.overtaken(*session).await?,
            Step::Erase(session) if self.is_serving() => self.erase(*session).await?,
            Step::Act { .. } | Step::Link { .. } | Step::Erase(_) => {}
            Step::Wait(time) => sleep(*time).await,
            Step::Messages(answers) => self.platform.messages.then(answers.clone()),
            Step::Notes(answers) => self.platform.then(answers.clone()),
            Step::Finds(finding) => self.platform.messages.finds(*finding),
            Step::Full(time) => {
                self.store.fill_for(*time);
                self.full += *time + Duration::from_secs(1);
            }
            Step::Crash { on_the_way, turns, after, jump } => {
                return self.crash(on_the_way.as_ref(), *turns, *after, *jump).await;
            }
            Step::StoreFails { ask, stored, jump } => return self.fail(ask, *stored, *jump).await,
            Step::Drain { jump } => {
                self.drain().await?;
                self.observe(None).await?;
                return self.next_life(*jump).await;
            }
        }
        self.observe(happened).await
    }

    fn handle(&self) -> Handle {
        self.world.as_ref().expect("a host lives, save between two lives").handle.clone()
    }

    fn clock(&self) -> Clock {
        self.clocks.last().expect("the first life has begun").1
    }

    /// How much time the host's clock has shown to pass; that it was set back takes nothing of it away.
    fn elapsed(&self) -> Duration {
        self.platform.start().elapsed() + self.forward
    }

    /// Whether the store takes what it is asked to. The host sees that there is room again a moment later.
    fn is_serving(&self) -> bool {
        let seen = self.handle().counters().store_full.get() == 0;
        seen && self.store.full_for().is_zero()
    }

    async fn act(&mut self, session: usize, actions: usize) -> Result<(), String> {
        let (name, user) = SESSIONS[session];
        let mut batch = batch(name, (0..actions).map(|_| action("it")));
        batch.user_id = Some(user.to_owned());
        let accepted = self.handle().accept_committed(batch, 100).await;
        self.known[session].is_known = true;
        accepted.map_err(|error| error.to_string())
    }

    async fn link(&mut self, session: usize, home: bool) -> Result<(), String> {
        self.act(session, 1).await?;
        let name = SESSIONS[session].0;
        let to = if home { name.to_owned() } else { format!("{name}, elsewhere") };
        let command = LinkCommand { ..wish(name, &to, LinkMode::Move) };
        self.handle().link(command).await.map_err(|error| error.to_string())?;
        self.known[session].linked = Some(to);
        Ok(())
    }

    async fn erase(&mut self, session: usize) -> Result<(), String> {
        let subject = Subject::Session(key(session).session);
        let order = Erasure { product: product("p"), subject, keep_notes: false };
        self.handle().erase(&order).await.map_err(|error| error.to_string())?;
        let (posts, messages) = (self.platform.posts().len(), self.platform.messages.count());
        self.erasures.push(Erased { session, posts, messages });
        if let Some(conversation) = self.known[session].linked.take() {
            self.speaks(&conversation, messages);
            self.talks.entry(conversation).or_default().agent = Sure::Maybe;
        }
        let era = self.known[session].era + 1;
        self.known[session] = Known::of_era(era, messages);
        // It takes time: what is made after it isn't of the very moment of what was made before.
        sleep(Duration::from_millis(1)).await;
        let left = judge::rows_of(&self.store, session).await;
        if left.is_empty() { Ok(()) } else { Err(format!("rows are left: {left:?}")) }
    }

    /// Asks the host, and waits until it is known what became of that.
    async fn ask(&mut self, ask: &Ask) -> Result<Option<Happened>, String> {
        let (began, elapsed) = (self.clock().now(), self.elapsed());
        let Some(asking) = self.asking(ask) else { return Ok(None) };
        let answered = asking.await;
        if answered.is_unheard() {
            // It may be done as soon as the store takes something again.
            sleep(self.store.full_for() + Duration::from_secs(2)).await;
        }
        self.answered(ask, answered, began, elapsed)
    }

    /// What is asked; `None`: there is nothing to ask.
    fn asking(
        &mut self,
        ask: &Ask,
    ) -> Option<impl Future<Output = Answered> + Send + 'static + use<>> {
        let handle = self.handle();
        self.asked = self.elapsed();
        if let Ask::Turn { session, meaning, .. } = ask {
            self.known[*session].linked.as_ref()?;
            self.written += usize::from(*meaning == Meaning::PersonWrote);
        }
        let (ask, written) = (ask.clone(), self.written);
        let linked = match &ask {
            Ask::Turn { session, .. } => self.known[*session].linked.clone(),
            Ask::Offer { .. } | Ask::Change { .. } => None,
        };
        if let (Ask::Turn { meaning: Meaning::Closed, .. }, Some(conversation)) = (&ask, &linked) {
            // From the moment on at which that is heard nobody is left alone any more.
            let calls = self.platform.messages.count();
            self.speaks(conversation, calls);
        }
        Some(async move {
            match ask {
                Ask::Offer { session, trigger } => {
                    let wish = OfferWish {
                        key: key(session),
                        offer: offer(trigger),
                        as_of: None,
                        ask_only: false,
                    };
                    Answered::Offered(handle.offer(wish).await)
                }
                Ask::Turn { meaning, text, .. } => {
                    let wrote = [Meaning::PersonWrote, Meaning::AgentWrote].contains(&meaning);
                    let conversation = linked.and_then(|it| ConversationId::new(it).ok());
                    let turn = Turn {
                        plugin: WRITER.into(),
                        conversation: conversation.expect("it was looked for"),
                        meaning,
                        option_id: None,
                        text: wrote.then(|| text.to_owned()),
                        message_id: wrote.then(|| format!("w{written}")),
                    };
                    Answered::Heard(handle.turn(turn).await)
                }
                Ask::Change { session, change } => {
                    let command = HelpCommand { key: key(session), expect: None, change };
                    Answered::Helped(handle.change_help(command).await)
                }
            }
        })
    }

    /// Writes down what was answered, and compares it with what is certain.
    fn answered(
        &mut self,
        ask: &Ask,
        answered: Answered,
        began: Timestamp,
        elapsed: Duration,
    ) -> Result<Option<Happened>, String> {
        let within = Span(began, self.clock().now());
        let happened = |session: &usize, event, maybe| {
            Ok(Some(Happened { session: *session, event, within, maybe }))
        };
        match (ask, answered) {
            // It is on record, and judged by that.
            (Ask::Offer { .. }, Answered::Offered(Ok(Ok(_)))) => Ok(None),
            (Ask::Offer { session, .. }, Answered::Offered(Ok(Err(refusal)))) => {
                self.may_be_refused(*session, refusal)?;
                happened(session, Event::Refused(refusal), false)
            }
            // Whether it was made is on record.
            (Ask::Offer { .. }, Answered::Offered(Err(Closed))) => Ok(None),
            (Ask::Turn { session, meaning, .. }, Answered::Heard(heard)) => {
                let heard = heard.ok().map(|heard| {
                    let mut heard = heard.into_iter();
                    heard.find(|(of, _)| *of == key(*session)).map(|(_, heard)| heard)
                });
                let maybe = heard.is_none();
                self.talk(*session, *meaning, maybe, elapsed);
                happened(session, Event::Turn(*meaning, heard), maybe)
            }
            (Ask::Change { session, change }, Answered::Helped(answer)) => {
                let made = match answer {
                    Ok(_) => Some(true),
                    Err(HelpError::State(_) | HelpError::CoolingDown) => Some(false),
                    Err(HelpError::Unavailable) => None,
                    Err(HelpError::NotFound) if !self.known[*session].is_known => return Ok(None),
                    Err(error @ (HelpError::NotFound | HelpError::Version(_))) => {
                        return Err(error.to_string());
                    }
                };
                happened(session, Event::Change(change.clone(), made), made.is_none())
            }
            (ask, _) => Err(format!("the answer isn't that to {ask:?}")),
        }
    }

    fn talk(&mut self, session: usize, meaning: Meaning, maybe: bool, elapsed: Duration) {
        let Some(conversation) = self.known[session].linked.clone() else { return };
        let talk = self.talks.entry(conversation.clone()).or_default();
        let mut after = talk.clone();
        match meaning {
            Meaning::PersonWrote => (after.person_at, after.closed) = (Some(elapsed), Sure::No),
            Meaning::PersonTypes => after.person_at = Some(elapsed),
            Meaning::AgentWrote => (after.agent_at, after.agent) = (Some(elapsed), Sure::Yes),
            Meaning::AgentTypes => after.agent_at = Some(elapsed),
            Meaning::Closed => (after.closed, after.agent) = (Sure::Yes, Sure::No),
            Meaning::Reopened => after.closed = Sure::No,
            Meaning::PersonReacted | Meaning::Nothing => {}
        }
        if maybe {
            after.closed = after.closed.or(talk.closed);
            after.agent = after.agent.or(talk.agent);
            (after.person_at, after.agent_at) = (talk.person_at, talk.agent_at);
        }
        *talk = after;
        if meaning == Meaning::AgentWrote && !maybe {
            let calls = self.platform.messages.count();
            self.silenced.push((conversation, calls, None));
        }
    }

    /// Answers may be sent to a conversation again.
    fn speaks(&mut self, conversation: &str, calls: usize) {
        for (of, _, until) in &mut self.silenced {
            if of == conversation && until.is_none() {
                *until = Some(calls);
            }
        }
    }

    async fn reply(&mut self, session: usize, hand_over: bool) -> Result<(), String> {
        let waiting = self.handle().questions(&key(session)).await;
        let waiting = waiting.map_err(|error| error.to_string())?;
        let Some(question) = waiting.questions.first().cloned() else { return Ok(()) };
        let text = ReplyText::new(&format!("to {}", question.id)).expect("it isn't blank");
        let what = match hand_over {
            true => Response::HandOver { why: HandOver::Unsure, draft: Some(text) },
            false => Response::Text(text),
        };
        let wish = ReplyWish { key: key(session), message_id: question.id.clone(), what };
        let Ok(answered) = self.handle().reply(wish).await else {
            sleep(self.store.full_for() + Duration::from_secs(2)).await;
            return Ok(());
        };
        let talk = self.talks.get(question.target.1.as_str()).cloned().unwrap_or_default();
        let known = &mut self.known[session];
        match answered {
            Ok(_) if talk.agent == Sure::Yes => Err("answered, though an agent wrote".to_owned()),
            Ok(_) if talk.closed == Sure::Yes => Err("answered, though it is closed".to_owned()),
            Ok(Replied::Sending(_)) if hand_over => Err("sent, and it was for people".to_owned()),
            Ok(Replied::Sending(_)) => match known.answered.insert(question.id) {
                true => Ok(()),
                false => Err("the question is answered a second time".to_owned()),
            },
            Ok(Replied::Noted(seq)) => {
                self.noted.push((session, known.era, seq));
                Ok(())
            }
            Err(NotReplied::AgentWrote) if talk.agent == Sure::No => {
                Err("not answered for an agent's sake, and none wrote".to_owned())
            }
            Err(NotReplied::Closed) if talk.closed == Sure::No => {
                Err("not answered, for it is closed, and it isn't".to_owned())
            }
            Err(NotReplied::Off | NotReplied::NoMessenger) => Err(format!("{answered:?}")),
            Err(_) => Ok(()),
        }
    }

    async fn overtaken(&mut self, session: usize) -> Result<Option<Happened>, String> {
        let turn = |meaning| Ask::Turn { session, meaning, text: "How do I pay?" };
        let wrote = self.ask(&turn(Meaning::PersonWrote)).await?;
        self.observe(wrote).await?;
        let refused = (Duration::from_secs(1), Taking::Refuses(FailureKind::Transient));
        self.platform.messages.then([refused]);
        self.reply(session, false).await?;
        self.ask(&turn(Meaning::AgentWrote)).await
    }

    /// The process is killed while something is on its way.
    async fn crash(
        &mut self,
        on_the_way: Option<&Ask>,
        turns: u8,
        after: Duration,
        jump: f64,
    ) -> Result<(), String> {
        let (began, elapsed) = (self.clock().now(), self.elapsed());
        let mut answers = JoinSet::new();
        if let Some(asking) = on_the_way.and_then(|ask| self.asking(ask)) {
            answers.spawn(asking);
        }
        for _ in 0..turns {
            yield_now().await;
        }
        if !after.is_zero() {
            sleep(after).await;
        }
        self.kill().await;
        let answered = answers.join_all().await.pop();
        let happened = match (on_the_way, answered) {
            (Some(ask), Some(answered)) => self.answered(ask, answered, began, elapsed)?,
            _ => None,
        };
        self.observe(happened).await?;
        self.next_life(jump).await
    }

    /// The store fails for good at a commit; the host ends.
    async fn fail(&mut self, ask: &Ask, stored: bool, jump: f64) -> Result<(), String> {
        self.store.fail(stored);
        let (began, elapsed) = (self.clock().now(), self.elapsed());
        let answered = match self.asking(ask) {
            Some(asking) => Some(asking.await),
            None => None,
        };
        // What changes nothing isn't stored: this is.
        let accepted = self.handle().accept_committed(batch("a", [action("it")]), 100).await;
        if accepted.is_ok() {
            return Err("accepted, though the store has failed".to_owned());
        }
        let world = self.world.as_mut().ok_or("no host lives")?;
        if world.ended().await.is_ok() {
            return Err("the host ended well, though the store has failed".to_owned());
        }
        self.store.recover();
        self.kill().await;
        let happened = match answered {
            Some(answered) => self.answered(ask, answered, began, elapsed)?,
            None => None,
        };
        self.observe(happened).await?;
        self.next_life(jump).await
    }

    async fn drain(&mut self) -> Result<(), String> {
        let mut world = self.world.take().ok_or("no host lives")?;
        world.handle.drain().await;
        world.ended().await.map_err(|error| format!("the host didn't drain: {error}"))
    }

    async fn kill(&mut self) {
        if let Some(world) = self.world.take() {
            world.crash().await;
        }
    }

    /// Starts the next host, whose clock jumped by so many seconds meanwhile.
    async fn next_life(&mut self, jump: f64) -> Result<(), String> {
        sleep(Duration::from_millis(1)).await;
        let mut saved = Vec::new();
        for session in 0..SESSIONS.len() {
            saved.push(judge::saved_at(&self.store, session).await);
        }
        if jump > 0.0 {
            self.forward += Duration::from_secs_f64(jump);
        }
        self.start(self.clock().now().as_secs_f64() + jump);
        let began = self.clock().now();
        if jump < 0.0 {
            // Until it has read how they stand.
            let full = self.store.full_for();
            let again = if full.is_zero() { full } else { full + Duration::from_secs(2) };
            sleep(again + 10 * self.store.two_rounds()).await;
        }
        let ended = self.clock().now();
        for (known, saved) in self.known.iter_mut().zip(saved) {
            if let Some(saved) = saved.filter(|saved| *saved > began) {
                known.model = known.model.set_back((saved.since(ended), saved.since(began)));
            }
        }
        self.observe(None).await
    }

    /// In the end the platform is well: nothing is left on its way, and everybody is left alone.
    async fn finish(&mut self) -> Result<(), String> {
        self.platform.recover();
        self.platform.messages.recover();
        sleep(self.store.full_for() + Duration::from_secs(700)).await;
        self.observe(None).await?;
        sleep(Duration::from_secs(300)).await;
        self.observe(None).await?;
        let now = self.clock().now();
        if let Some(n) = self.known.iter().position(|known| !known.model.is_thinking(now)) {
            return Err(format!("session {n} is helped in the end"));
        }
        self.drain().await?;
        self.observe(None).await?;
        self.judge_messages().await
    }
}

impl Answered {
    fn is_unheard(&self) -> bool {
        matches!(
            self,
            Self::Offered(Err(_)) | Self::Heard(Err(_)) | Self::Helped(Err(HelpError::Unavailable))
        )
    }
}

impl Sure {
    fn or(self, other: Self) -> Self {
        if self == other { self } else { Self::Maybe }
    }
}

fn key(session: usize) -> SessionKey {
    let session = SessionId::new(SESSIONS[session].0).expect("not empty");
    SessionKey { product: product("p"), session }
}

fn offer(trigger: usize) -> Offer {
    let (name, timeout, cooldown, tour) = TRIGGERS[trigger];
    let options = [(if tour.is_some() { "Show me" } else { "Yes" }, tour), ("No", None)];
    Offer::new(name, "Need help?", options)
        .and_then(|offer| offer.with_times(timeout as f64, cooldown as f64))
        .expect("it says something")
}

fn times(trigger: &str) -> Result<Times, String> {
    let of = TRIGGERS.iter().find(|(name, ..)| *name == trigger);
    let (_, timeout, cooldown, _) = of.ok_or("a trigger that nobody has")?;
    let (timeout, cooldown) = (Duration::from_secs(*timeout), Duration::from_secs(*cooldown));
    Ok(Times { timeout, cooldown })
}
