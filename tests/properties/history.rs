//! Plays a case and writes down what the host answered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use sidenote::config::Delivery;
use sidenote::engine::link::{LinkError, Linked};
use sidenote::engine::{Closed, Decision, NoteRef};
use sidenote::ids::{SessionId, SessionKey};
use sidenote::outbox::note::PostError;
use sidenote::session::payload::ActionsPayload;
use sidenote_tests::world::{BEGIN, Platform, World, action, batch, product, settings};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::links::request;
use crate::steps::{Act, Ask, CONVERSATIONS, Case, SESSIONS, Step};
use crate::store::Faulty;
use crate::{rows, verdict};

pub(crate) const WINDOW: Duration = Duration::from_secs(60);
pub(crate) const MAX_WAITING: usize = 12;
pub(crate) const MAX_NOTE: usize = 5;
/// Most actions in a note in which they gathered while the platform took nothing.
pub(crate) const MAX_GATHERED: usize = 12;
pub(crate) const MAX_ATTEMPTS: usize = 4;

pub(crate) struct History {
    /// The host, while one lives.
    pub(crate) world: Option<World>,
    pub(crate) store: Arc<Faulty>,
    pub(crate) platform: Arc<Platform>,
    /// Every action that was handed over; it says its index here.
    pub(crate) told: Vec<Told>,
    pub(crate) sessions: Vec<Session>,
    /// The sessions that were ever linked to each conversation.
    pub(crate) ever: Vec<BTreeSet<usize>>,
    /// What was decided about which notes.
    pub(crate) orders: Vec<Order>,
    /// The lives that ended otherwise than in order.
    pub(crate) ends: Vec<End>,
    /// What the lives that are over counted as dropped.
    pub(crate) dropped: u64,
    /// How often the host was started again.
    pub(crate) lives: u32,
    /// How long the disk was full, in all.
    full: Duration,
    pub(crate) begin: Instant,
    pub(crate) now: Moment,
    /// When the step began.
    pub(crate) begun: Moment,
    pub(crate) batches: usize,
    pub(crate) concurrency: usize,
}

/// An action that was handed over.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) session: usize,
    /// Which hand-over it was part of.
    pub(crate) batch: usize,
    /// Whether its turn has come: what is handed over together is taken in order.
    pub(crate) placed: bool,
    /// Whether the host said that it is taken; if not, it died before it could say.
    pub(crate) taken: bool,
    /// Between which moments it was taken.
    pub(crate) when: (Moment, Moment),
    /// The conversation that it belongs to; `None` while its session isn't linked.
    pub(crate) belongs: Option<usize>,
    /// When it waited for the link: between which moments that was made.
    pub(crate) linked: Option<(Moment, Moment)>,
}

/// What was told of a session.
#[derive(Debug, Clone, Default)]
pub(crate) struct Session {
    /// Whether the host knows its user.
    pub(crate) known: bool,
    pub(crate) linked: Option<usize>,
    /// Between which moments it was active last; `None` where the host died before it said.
    pub(crate) active: Option<(Duration, Duration)>,
}

/// What a person decided about notes of a session.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) session: usize,
    pub(crate) decision: Decision,
    /// The numbers of the notes that were named, and the actions that they tell.
    pub(crate) named: BTreeMap<u64, Vec<usize>>,
    /// For how many it was carried out.
    pub(crate) done: usize,
    /// When that was answered, from the begin of the platform.
    pub(crate) answered: Duration,
}

impl Order {
    /// Whether a note of this number was named.
    pub(crate) fn names(&self, decision: Decision, seq: u64) -> bool {
        self.decision == decision && self.named.contains_key(&seq)
    }
}

/// A moment, and the sums of the jumps of the host's clock until then.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Moment {
    pub(crate) at: Duration,
    pub(crate) forward: Duration,
    pub(crate) back: Duration,
}

/// The end of a life that was killed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    pub(crate) at: Duration,
    /// What was answered after this may not have been stored.
    pub(crate) behind_since: Duration,
}

pub(crate) async fn play(case: &Case) -> Result<(), String> {
    let store = Arc::new(Faulty::new(case.latency));
    let platform = Platform::new([]);
    let mut history = History {
        world: Some(start(BEGIN, &store, &platform, case.concurrency)),
        store,
        platform,
        told: Vec::new(),
        sessions: vec![Session::default(); SESSIONS.len()],
        ever: vec![BTreeSet::new(); CONVERSATIONS.len()],
        orders: Vec::new(),
        ends: Vec::new(),
        dropped: 0,
        full: Duration::ZERO,
        lives: 0,
        // A moment to look back from: what the store may be behind with can be before the first commit.
        begin: Instant::now(),
        now: Moment::default(),
        begun: Moment::default(),
        batches: 0,
        concurrency: case.concurrency,
    };
    for (n, step) in case.steps.iter().enumerate() {
        history.begun = history.moment();
        history.run(step).await.map_err(|error| format!("step {n}, {step:?}: {error}"))?;
    }
    history.settle().await?;
    verdict::judge(&history).await
}

pub(crate) fn start(
    wall: f64,
    store: &Arc<Faulty>,
    platform: &Arc<Platform>,
    concurrency: usize,
) -> World {
    let rules = Delivery {
        pre_link_window: WINDOW,
        pre_link_max_actions: MAX_WAITING,
        max_note_actions: MAX_NOTE,
        max_gathered_actions: MAX_GATHERED,
        max_attempts: MAX_ATTEMPTS as u32,
        retry_max: Duration::from_secs(8),
        ..Delivery::default()
    };
    let mut settings = settings(&rules).with_concurrency("bot", concurrency);
    settings.retention.sessions = Duration::from_secs(1000 * 86_400);
    World::start_with(wall, store.clone(), platform.clone(), settings)
}

impl History {
    async fn run(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::One(ask) => self.together(std::slice::from_ref(ask)).await,
            Step::Together(asks) => self.together(asks).await,
            Step::LinkPerson { product, user, conversation } => {
                self.link_person(product, user, *conversation).await
            }
            Step::Order { session, decision } => self.order(*session, *decision).await,
            Step::Wait(time) => self.wait(*time).await,
            Step::Answers(answers) => {
                self.platform.then(answers.clone());
                Ok(())
            }
            Step::Full(time) => {
                self.store.fill_for(*time);
                // A commit that meets it is tried again after a second.
                self.full += *time + Duration::from_secs(1);
                Ok(())
            }
            Step::Crash { on_the_way, turns, after, jump } => {
                self.crash(on_the_way, *turns, *after).await;
                self.next_life(*jump);
                Ok(())
            }
            Step::StoreFails { stored, jump } => {
                self.fail(*stored).await?;
                self.next_life(*jump);
                Ok(())
            }
            Step::Drain { jump } => {
                self.drain().await?;
                self.next_life(*jump);
                Ok(())
            }
        }
    }

    pub(crate) fn world(&self) -> &World {
        self.world.as_ref().expect("a host lives, save between two lives")
    }

    pub(crate) fn moment(&self) -> Moment {
        Moment { at: self.begin.elapsed(), ..self.now }
    }

    /// A batch of the next actions.
    pub(crate) fn batch(&mut self, act: &Act) -> ActionsPayload {
        let (product, session, user) = SESSIONS[act.session];
        self.batches += 1;
        let first = self.told.len();
        let told = Told {
            session: act.session,
            batch: self.batches,
            placed: false,
            taken: false,
            when: (self.moment(), self.moment()),
            belongs: None,
            linked: None,
        };
        self.told.extend(std::iter::repeat_n(told, act.actions));
        ActionsPayload {
            product_id: product.to_owned(),
            user_id: user.filter(|_| act.says_who).map(str::to_owned),
            ..batch(session, (first..self.told.len()).map(|n| action(&n.to_string())))
        }
    }

    /// Writes down the answer to a batch.
    pub(crate) fn tell(&mut self, act: &Act, batch: usize, taken: Result<(), Closed>) {
        let now = self.moment();
        let session = &mut self.sessions[act.session];
        for told in self.told.iter_mut().filter(|told| told.batch == batch) {
            told.placed = true;
            told.when.1 = now;
            told.taken = taken.is_ok();
            told.belongs = session.linked;
        }
        session.active = taken.is_ok().then_some((self.begun.at, now.at));
        session.known |= taken.is_ok() && act.says_who && SESSIONS[act.session].2.is_some();
    }

    /// All are on their way before any is answered.
    async fn together(&mut self, asks: &[Ask]) -> Result<(), String> {
        if let [Ask::Link { session, conversation, mode }] = asks {
            return self.link(*session, *conversation, *mode).await;
        }
        // While the disk is full, a link may be answered before it is made; for as long as the host hasn't
        // seen that there is room again, none is taken.
        let takes = self.world().handle.counters().store_full.get() == 0;
        let links = takes && self.store.full_for().is_zero();
        let mut answers = JoinSet::new();
        for (n, ask) in asks.iter().enumerate() {
            let handle = self.world().handle.clone();
            match ask {
                Ask::Act(act) => {
                    let (payload, batch) = (self.batch(act), self.batches);
                    answers.spawn(async move {
                        (n, Answered::Act(batch, handle.accept_committed(payload, 100).await))
                    });
                }
                Ask::Link { session, conversation, mode } if links => {
                    let request = request(*session, *conversation, *mode);
                    answers.spawn(async move { (n, Answered::Link(handle.link(request).await)) });
                }
                Ask::Link { .. } => {}
            }
        }
        let mut answers = answers.join_all().await;
        answers.sort_by_key(|(n, _)| *n);
        for (n, answered) in answers {
            match (&asks[n], answered) {
                (Ask::Act(act), Answered::Act(batch, taken)) => {
                    self.tell(act, batch, taken);
                    taken.map_err(|error| error.to_string())?;
                }
                (Ask::Link { session, conversation, mode }, Answered::Link(linked)) => {
                    self.linked(*session, *conversation, *mode, linked, false)?;
                }
                (ask, _) => return Err(format!("the answer isn't that to {ask:?}")),
            }
        }
        Ok(())
    }

    async fn order(&mut self, session: usize, decision: Decision) -> Result<(), String> {
        let named = rows::notes(&self.store, session).await;
        if named.is_empty() {
            return Ok(());
        }
        let notes = named.keys().map(|seq| NoteRef::note(key(session), *seq)).collect();
        let done = self.world().handle.decide(decision, notes).await;
        let done = done.map_err(|error| error.to_string())?;
        if done > named.len() {
            return Err(format!("{done} of {} notes", named.len()));
        }
        let answered = self.platform.start().elapsed();
        self.orders.push(Order { session, decision, named, done, answered });
        Ok(())
    }

    async fn wait(&mut self, time: Duration) -> Result<(), String> {
        let full = self.store.full_for();
        sleep(time).await;
        let may_wait = Delivery::default().max_wait + self.store.two_rounds();
        // A commit that met a full disk is tried again after a second.
        let behind = if full.is_zero() { full } else { full + Duration::from_secs(2) };
        if time < may_wait + behind {
            return Ok(());
        }
        for (n, session) in self.sessions.iter().enumerate() {
            let open = rows::open(&self.store, n).await;
            if session.linked.is_some() && !open.is_empty() && !self.may_gather(n) {
                return Err(format!(
                    "session {n}: {open:?} wait for a note for longer than {may_wait:?}"
                ));
            }
        }
        Ok(())
    }

    /// Whether a pause that the platform asked for, for the session or a conversation that notes of it go to,
    /// may still last: actions may gather until it is over. A host whose clock was set back waits anew.
    fn may_gather(&self, session: usize) -> bool {
        let of_session = self.told.iter().filter(|told| told.session == session);
        let linked = self.sessions[session].linked;
        let goes_to: BTreeSet<_> =
            of_session.filter_map(|told| told.belongs).chain(linked).collect();
        let now = self.platform.start().elapsed();
        self.platform.posts().iter().any(|seen| {
            let of_session = seen.note.key == key(session);
            let beside =
                goes_to.iter().any(|n| seen.note.conversation.as_str() == CONVERSATIONS[*n]);
            let (Err(PostError::Failed(failure)), Some(end)) = (&seen.answer, seen.end) else {
                return false;
            };
            let Some(pause) = failure.retry_after.filter(|_| of_session || beside) else {
                return false;
            };
            // A host whose disk is full learns of the answer when it is not.
            let learned = end + self.full;
            now <= learned + pause.mul_f64(1.1) * (1 + self.lives)
        })
    }

    /// All troubles end, and there is time for everything that was put off.
    async fn settle(&mut self) -> Result<(), String> {
        self.platform.recover();
        sleep(self.store.full_for() + Duration::from_secs(600)).await;
        self.drain().await
    }
}

enum Answered {
    Act(usize, Result<(), Closed>),
    Link(Result<Linked, LinkError>),
}

pub(crate) fn key(session: usize) -> SessionKey {
    let (id, session, _) = SESSIONS[session];
    SessionKey { product: product(id), session: SessionId::new(session).expect("not empty") }
}
