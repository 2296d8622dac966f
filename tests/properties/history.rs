//! Plays a case and writes down what the host answered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use sidenote::config::{self, Delivery};
use sidenote::engine::{Decision, LaneKind};
use sidenote::ids::{PluginName, SessionId, SessionKey};
use sidenote_tests::world::{BEGIN, Platform, World, product, settings_with};
use tokio::time::Instant;

use crate::steps::{Ask, CONVERSATIONS, Case, SESSIONS, SINKS, Step, WRITER, Word};
use crate::store::Faulty;
use crate::verdict;

pub(crate) const WINDOW: Duration = Duration::from_secs(60);
pub(crate) const MAX_WAITING: usize = 12;
pub(crate) const MAX_NOTE: usize = 5;
/// Most actions in a note in which they gathered while the platform took nothing.
pub(crate) const MAX_GATHERED: usize = 12;
pub(crate) const MAX_ATTEMPTS: usize = 4;
/// The longest pause between attempts that nobody asked for.
pub(crate) const RETRY_MAX: Duration = Duration::from_secs(8);
/// Longer than any history.
const FOREVER: Duration = Duration::from_secs(1000 * 86_400);

pub(crate) struct History {
    /// The host, while one lives.
    pub(crate) world: Option<World>,
    pub(crate) store: Arc<Faulty>,
    pub(crate) platform: Arc<Platform>,
    /// Every action that was handed over; it says its index here.
    pub(crate) told: Vec<Told>,
    /// Every summary that was handed over; it says its index here.
    pub(crate) summaries: Vec<Summary>,
    pub(crate) sessions: Vec<Session>,
    /// The sessions that were ever linked to each conversation, as far as they weren't erased.
    pub(crate) ever: Vec<BTreeSet<usize>>,
    /// What was decided about which notes.
    pub(crate) orders: Vec<Order>,
    /// What was erased.
    pub(crate) erasures: Vec<Erasure>,
    /// The lives that ended otherwise than in order.
    pub(crate) ends: Vec<End>,
    /// What the lives that are over counted as dropped.
    pub(crate) dropped: u64,
    /// How often the host was started again.
    pub(crate) lives: u32,
    /// How long the disk was full, in all.
    pub(crate) full: Duration,
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
    /// How often its session was erased before.
    pub(crate) era: usize,
    /// Which hand-over it was part of.
    pub(crate) batch: usize,
    /// Whether its turn has come: what is handed over together is accepted in order.
    pub(crate) placed: bool,
    /// Whether it is known to be accepted: the host said so, or died before it could and had it stored.
    pub(crate) accepted: bool,
    /// Its place among the accepted actions of its session since the last erasure, from 1.
    pub(crate) ordinal: u64,
    /// Between which moments it was accepted.
    pub(crate) when: (Moment, Moment),
    /// The conversation that it belongs to; `None` while its session isn't linked.
    pub(crate) belongs: Option<usize>,
    /// Where it may be too: its session was moved on a surer word while it may have waited for a note.
    pub(crate) or: Option<usize>,
    /// When it waited for the link: between which moments that was made.
    pub(crate) linked: Option<(Moment, Moment)>,
}

/// A summary that was handed over.
#[derive(Debug, Clone)]
pub(crate) struct Summary {
    pub(crate) session: usize,
    pub(crate) era: usize,
    /// How many actions were handed over before it, over all sessions.
    pub(crate) behind: usize,
    /// The ordinal of the last action that it covers.
    pub(crate) through: u64,
    /// The conversation that it is for; `None` where there is none.
    pub(crate) conversation: Option<usize>,
    /// Whether it was refused, so that nobody hears of it.
    pub(crate) stale: bool,
}

/// What was told of a session since it was erased.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    /// How often it was erased.
    pub(crate) era: usize,
    /// Whether the host knows its user.
    pub(crate) known: bool,
    /// Whether anything of it was accepted.
    pub(crate) touched: bool,
    pub(crate) linked: Option<usize>,
    /// What the link rests on.
    pub(crate) basis: Word,
    /// Between which moments it was active last; `None` where the host died before it said.
    pub(crate) active: Option<(Duration, Duration)>,
    /// How many actions of it were accepted.
    pub(crate) accepted: u64,
    /// The ordinal of the last one that a summary covers.
    pub(crate) covered: u64,
}

impl Session {
    pub(crate) fn of_era(era: usize) -> Self {
        Self {
            era,
            known: false,
            touched: false,
            linked: None,
            basis: Word::Claimed,
            active: None,
            accepted: 0,
            covered: 0,
        }
    }
}

/// What a person decided about what waits, or is dead, of a session.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) session: usize,
    pub(crate) era: usize,
    pub(crate) lane: LaneKind,
    pub(crate) decision: Decision,
    /// What was named, by number.
    pub(crate) named: BTreeMap<u64, Named>,
    /// For how many it was carried out.
    pub(crate) done: usize,
    /// How many calls of this kind had begun when that was answered.
    pub(crate) calls: usize,
    /// When that was answered, from the begin of the platform.
    pub(crate) answered: Duration,
}

/// A note or a sink delivery that an order names.
#[derive(Debug, Clone)]
pub(crate) struct Named {
    pub(crate) plugin: PluginName,
    /// What it tells, a line each.
    pub(crate) lines: Vec<String>,
}

impl Order {
    /// Whether this number was named.
    pub(crate) fn names(&self, decision: Decision, seq: u64) -> bool {
        self.decision == decision && self.named.contains_key(&seq)
    }
}

/// A session that was erased.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Erasure {
    pub(crate) session: usize,
    pub(crate) era: usize,
    pub(crate) keep_notes: bool,
    /// When that was asked for, from the begin of the platform.
    pub(crate) asked: Duration,
    /// How many posts and hand-overs had begun when it was answered.
    pub(crate) posts: usize,
    pub(crate) handed: usize,
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
    let platform = Platform::with_redactions([], []);
    platform.sinks.add(&SINKS);
    let mut history = History {
        world: Some(start(BEGIN, &store, &platform, case.concurrency)),
        store,
        platform,
        told: Vec::new(),
        summaries: Vec::new(),
        sessions: vec![Session::of_era(0); SESSIONS.len()],
        ever: vec![BTreeSet::new(); CONVERSATIONS.len()],
        orders: Vec::new(),
        erasures: Vec::new(),
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
        retry_max: RETRY_MAX,
        ..Delivery::default()
    };
    let plugins: Vec<_> = [WRITER].into_iter().chain(SINKS).collect();
    let mut settings = settings_with(&rules, &plugins)
        .with_concurrency(WRITER, concurrency)
        .with_history(config::History::default());
    settings.retention = config::Retention { sessions: FOREVER, dead_letters: FOREVER };
    World::start_with(wall, store.clone(), platform.clone(), settings)
}

impl History {
    async fn run(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::One(Ask::Link(link)) => self.link(*link).await,
            Step::One(ask) => self.together(std::slice::from_ref(ask)).await,
            Step::Together(asks) => self.together(asks).await,
            Step::LinkPerson { product, user, conversation } => {
                self.link_person(product, user, *conversation).await
            }
            Step::Order { session, lane, decision } => self.order(*session, *lane, *decision).await,
            Step::Erase { whom, keep_notes } => self.erase(*whom, *keep_notes).await,
            Step::Wait(time) => self.wait(*time).await,
            Step::Answers(answers) => {
                self.platform.then(answers.clone());
                Ok(())
            }
            Step::RedactionAnswers(answers) => {
                self.platform.then_redacts(answers.clone());
                Ok(())
            }
            Step::SinkAnswers(sink, answers) => {
                self.platform.sinks.script(sink, answers.clone());
                Ok(())
            }
            Step::NamesNotes(able) => {
                self.platform.names_notes(*able);
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
                self.next_life(*jump).await;
                Ok(())
            }
            Step::StoreFails { stored, jump } => {
                self.fail(*stored).await?;
                self.next_life(*jump).await;
                Ok(())
            }
            Step::Drain { jump } => {
                self.drain().await?;
                self.next_life(*jump).await;
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

    /// Whether a session was erased since.
    pub(crate) fn is_erased(&self, session: usize, era: usize) -> bool {
        self.sessions[session].era > era
    }
}

pub(crate) fn key(session: usize) -> SessionKey {
    let (id, session, _) = SESSIONS[session];
    SessionKey { product: product(id), session: SessionId::new(session).expect("not empty") }
}

/// Which session has this key.
pub(crate) fn session_of(wanted: &SessionKey) -> Result<usize, String> {
    let session = (0..SESSIONS.len()).find(|n| key(*n) == *wanted);
    session.ok_or_else(|| format!("something of {wanted:?}, whom nobody told of"))
}

/// What an action is described by; no other text of a row has it in it.
pub(crate) fn action_line(n: usize) -> String {
    format!("a{n}z")
}

/// What a summary says.
pub(crate) fn summary_line(n: usize) -> String {
    format!("s{n}z")
}

/// The action of a line.
pub(crate) fn action_in(line: &str) -> Option<usize> {
    line.strip_prefix('a')?.strip_suffix('z')?.parse().ok()
}

/// The summary of a line.
pub(crate) fn summary_in(line: &str) -> Option<usize> {
    line.strip_prefix('s')?.strip_suffix('z')?.parse().ok()
}
