//! The loop: gather, decide, commit, act.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;

use crate::clock::{Clock, Timestamp};
use crate::engine::counters::Counters;
use crate::engine::handle::{Handle, INBOX, INBOX_KIB};
use crate::engine::inbox::{Input, Outcome};
use crate::engine::link::{LinkError, Linked, Who};
use crate::engine::live::{Memory, progress_row};
use crate::engine::rows::{Person, put, session_group, session_key};
use crate::engine::settings::Settings;
use crate::ids::{PluginName, SessionKey};
use crate::outbox::note::{Call, Note, Post};
use crate::store::{Change, Store, StoreError, Table};

/// Inputs of one round at most.
const ROUND: usize = 2048;
/// How often idle sessions leave the memory.
const SWEEP: Duration = Duration::from_secs(30);
/// How soon the next page of stored sessions is looked at for what has expired.
const NEXT_PAGE: Duration = Duration::from_secs(1);
/// Pause before a commit that met a full disk is tried again.
const FULL_PAUSE: Duration = Duration::from_secs(1);
/// Sessions that are read at once at start.
const RECOVERY_PAGE: usize = 1000;

/// The single writer. [`Engine::run`] it on a task of its own.
pub struct Engine {
    pub(super) store: Arc<dyn Store>,
    post: Arc<dyn Post>,
    clock: Clock,
    pub(super) settings: Arc<Settings>,
    pub(super) counters: Arc<Counters>,
    inbox: mpsc::Receiver<Input>,
    pub(super) memory: Memory,
    ready: HashMap<PluginName, VecDeque<SessionKey>>,
    pub(super) busy: HashMap<PluginName, usize>,
    pub(super) posts: JoinSet<Outcome>,
    pub(super) draining: bool,
    pub(super) stopping: bool,
}

/// Why the engine ended. What was committed is safe; the process must start again.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The store failed for good.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A task panicked.
    #[error("engine: a post ended in a panic: {0}. This is a bug; restart the host")]
    Panic(tokio::task::JoinError),
}

/// What one round has gathered.
#[derive(Default)]
pub(super) struct Round {
    pub(super) changes: Vec<Change>,
    pub(super) records: HashSet<SessionKey>,
    /// In the order of what happened; may name a session twice.
    pub(super) touched: Vec<SessionKey>,
    pub(super) answers: Vec<Answer>,
    starts: Vec<(SessionKey, Arc<Note>, u32)>,
    pub(super) taken: u64,
}

/// What is told after the commit.
pub(super) enum Answer {
    Link(oneshot::Sender<Result<Linked, LinkError>>, Result<Linked, LinkError>),
    Taken(oneshot::Sender<()>),
    Room(tokio::sync::OwnedSemaphorePermit),
}

impl Engine {
    /// An engine and the handle on it.
    pub fn new(
        store: Arc<dyn Store>,
        post: Arc<dyn Post>,
        settings: Settings,
        clock: Clock,
    ) -> (Handle, Self) {
        let (sender, inbox) = mpsc::channel(INBOX);
        let settings = Arc::new(settings);
        let counters = Arc::new(Counters::default());
        let handle = Handle {
            inbox: sender,
            room: Arc::new(Semaphore::new(INBOX_KIB as usize)),
            counters: counters.clone(),
            settings: settings.clone(),
        };
        let engine = Self {
            store,
            post,
            clock,
            settings,
            counters,
            inbox,
            memory: Memory::default(),
            ready: HashMap::new(),
            busy: HashMap::new(),
            posts: JoinSet::new(),
            draining: false,
            stopping: false,
        };
        (handle, engine)
    }

    /// Takes up what the last run left, then runs until drained. Dropping the future is safe at any
    /// moment: a post that is cut off has an unknown outcome and is sent again after the next start.
    pub async fn run(mut self) -> Result<(), EngineError> {
        self.recover().await?;
        let (mut sweep, mut expired) = (self.clock.now() + SWEEP, None);
        let mut max_live = self.settings.max_live;
        loop {
            let inputs = self.gather(sweep).await?;
            self.round(inputs).await?;
            if self.stopping {
                return Ok(());
            }
            let now = self.clock.now();
            if now >= sweep {
                self.memory.evict(now - self.settings.idle, false);
                expired = self.expire(expired, now).await?;
                // The rows are looked at page by page; the next page has no reason to wait.
                sweep = now + if expired.is_some() { NEXT_PAGE } else { SWEEP };
            }
            if self.memory.sessions.len() > max_live {
                self.memory.evict(now, true);
                // Where most are busy, the next look is due when there are many more.
                max_live = self.settings.max_live.max(self.memory.sessions.len() / 4 * 5);
            }
            self.counters.sessions_in_memory.set(self.memory.sessions.len() as u64);
            if self.draining
                && self.posts.is_empty()
                && self.inbox.is_empty()
                && !self.memory.is_hungry()
            {
                return Ok(());
            }
        }
    }

    /// Reads the sessions that have work to do: queued notes, or an open batch.
    async fn recover(&mut self) -> Result<(), EngineError> {
        for table in [Table::Outbox, Table::Open] {
            let mut after = None;
            loop {
                let rows = self.store.scan(table, after.take(), RECOVERY_PAGE).await?;
                let Some((last, _)) = rows.last() else { break };
                after = Some(last.clone());
                let keys: HashSet<_> =
                    rows.iter().filter_map(|(key, _)| session_key(&key.group)).collect();
                let now = self.clock.now();
                let mut round = Round {
                    changes: self.memory.load_sessions(&*self.store, &keys, now).await?,
                    ..Round::default()
                };
                for key in keys {
                    let Some(live) = self.memory.sessions.get_mut(&key) else {
                        continue;
                    };
                    if let Some(dead) = live.lane.take_poisoned(now) {
                        self.bury(&mut round, &key, &dead);
                    }
                    round.touched.push(key);
                }
                self.finish(round, now).await?;
                self.memory.evict(now, true);
            }
        }
        Ok(())
    }

    /// Waits for something to happen and takes all that has.
    async fn gather(&mut self, sweep: Timestamp) -> Result<Vec<Input>, EngineError> {
        let mut timer = self.memory.next_timer().map_or(sweep, |at| at.min(sweep));
        if self.memory.is_hungry() {
            timer = self.clock.now();
        }
        let mut inputs = Vec::new();
        tokio::select! {
            input = self.inbox.recv(), if !(self.draining && self.inbox.is_closed()) => inputs.push(input.unwrap_or(Input::Drain)),
            Some(outcome) = self.posts.join_next() => {
                inputs.push(Input::Outcome(outcome.map_err(EngineError::Panic)?));
            }
            () = tokio::time::sleep_until(self.clock.instant(timer)) => {}
        }
        while let Some(outcome) = self.posts.try_join_next() {
            inputs.push(Input::Outcome(outcome.map_err(EngineError::Panic)?));
        }
        while inputs.len() < ROUND
            && let Ok(input) = self.inbox.try_recv()
        {
            inputs.push(input);
        }
        Ok(inputs)
    }

    async fn round(&mut self, inputs: Vec<Input>) -> Result<(), EngineError> {
        let now = self.clock.now();
        let mut round = self.load(&inputs, now).await?;
        for input in inputs {
            self.apply(&mut round, input, now);
        }
        for key in self.memory.due(now) {
            let Some(live) = self.memory.sessions.get_mut(&key) else {
                continue;
            };
            let effects = live.session.on_timer(now, self.settings.rules(&key.product));
            self.run_effects(&mut round, &key, effects, now);
        }
        self.finish(round, now).await
    }

    /// Brings into memory what the inputs are about.
    async fn load(&mut self, inputs: &[Input], now: Timestamp) -> Result<Round, EngineError> {
        let (mut keys, mut owners, mut persons) = (HashSet::new(), HashSet::new(), HashSet::new());
        for input in inputs {
            match input {
                Input::Actions { key, .. } => drop(keys.insert(key.clone())),
                Input::Link { request, .. } => {
                    owners.insert((request.plugin.clone(), request.conversation.clone()));
                    match &request.who {
                        Who::Session(key) => drop(keys.insert(key.clone())),
                        Who::SessionOf(products, session) => {
                            keys.extend(products.iter().map(|product| SessionKey {
                                product: product.clone(),
                                session: session.clone(),
                            }))
                        }
                        Who::Person { products, user_id, email } => {
                            for person in Person::of(user_id.as_deref(), email.as_deref()) {
                                persons
                                    .extend(products.iter().map(|id| (id.clone(), person.clone())));
                            }
                        }
                    }
                }
                Input::Decide { notes, .. } => {
                    keys.extend(notes.iter().map(|note| note.key.clone()))
                }
                Input::Outcome(_) | Input::Drain | Input::Stop => {}
            }
        }
        let touched = self.memory.refill_lanes(&*self.store).await?;
        keys.extend(self.memory.load_persons(&*self.store, persons).await?);
        self.memory.load_owners(&*self.store, owners).await?;
        let changes = self.memory.load_sessions(&*self.store, &keys, now).await?;
        Ok(Round { changes, touched, ..Round::default() })
    }

    /// Begins what can be begun, commits, and then tells and acts.
    pub(super) async fn finish(
        &mut self,
        mut round: Round,
        now: Timestamp,
    ) -> Result<(), EngineError> {
        let touched = std::mem::take(&mut round.touched);
        for key in &touched {
            let Some(live) = self.memory.sessions.get_mut(key) else {
                continue;
            };
            if !live.queued
                && live.lane.is_ready(now)
                && let Some(head) = live.lane.head()
            {
                live.queued = true;
                self.ready.entry(head.note.plugin.clone()).or_default().push_back(key.clone());
            }
        }
        if !self.stopping {
            self.fill_slots(&mut round, now);
        }
        for key in &touched {
            self.memory.note_hunger(key);
            self.memory.set_timer(key, self.settings.rules(&key.product));
        }
        for key in &round.records {
            if let Some(live) = self.memory.sessions.get(key) {
                round.changes.push(put(
                    Table::Session,
                    session_group(key),
                    0,
                    live.session.record(),
                ));
            }
        }
        self.commit(round.changes).await?;
        self.counters.actions_taken.add(round.taken);
        for answer in round.answers {
            answer.tell();
        }
        for (key, note, attempt) in round.starts {
            self.start_post(key, note, attempt);
        }
        Ok(())
    }

    fn fill_slots(&mut self, round: &mut Round, now: Timestamp) {
        for (plugin, ready) in &mut self.ready {
            let slots = self.settings.slots(plugin);
            let busy = self.busy.entry(plugin.clone()).or_default();
            while *busy < slots
                && let Some(key) = ready.pop_front()
            {
                let Some(live) = self.memory.sessions.get_mut(&key) else {
                    continue;
                };
                live.queued = false;
                if !live.lane.is_ready(now) {
                    continue;
                }
                if let Some(head) = live.lane.start() {
                    *busy += 1;
                    round.changes.push(progress_row(&key, head));
                    round.starts.push((key, head.note.clone(), head.progress.attempts));
                }
            }
        }
    }

    async fn commit(&self, changes: Vec<Change>) -> Result<(), EngineError> {
        if changes.is_empty() {
            return Ok(());
        }
        self.counters.commits.add(1);
        let changes: Arc<[Change]> = changes.into();
        loop {
            match self.store.commit(changes.clone()).await {
                Ok(()) => {
                    self.counters.store_full.set(0);
                    return Ok(());
                }
                Err(error @ (StoreError::Full(_) | StoreError::Away(_))) => {
                    self.counters.store_full.set(1);
                    tracing::error!("{error}");
                    tokio::time::sleep(FULL_PAUSE).await;
                }
                Err(error @ StoreError::Fatal(_)) => return Err(error.into()),
            }
        }
    }

    fn start_post(&mut self, key: SessionKey, note: Arc<Note>, attempt: u32) {
        let timeout = self.settings.rules(&key.product).call_timeout;
        let call = Call {
            idempotency_key: note.idempotency_key.clone(),
            attempt,
            timeout,
            traceparent: format!(
                "00-{:032x}-{:016x}-01",
                rand::random::<u128>(),
                rand::random::<u64>()
            ),
        };
        let post = self.post.clone();
        let plugin = note.plugin.clone();
        self.posts.spawn(async move {
            let result = post.post_note(call, &note).await;
            Outcome { key, plugin, result }
        });
    }
}

impl Answer {
    fn tell(self) {
        // Whoever asked may have gone; the commit stands all the same.
        match self {
            Self::Link(reply, result) => drop(reply.send(result)),
            Self::Taken(reply) => drop(reply.send(())),
            Self::Room(room) => drop(room),
        }
    }
}
