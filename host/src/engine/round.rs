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
use crate::engine::link::{LinkError, LinkRequest, Linked, Who};
use crate::engine::live::{Memory, progress_row};
use crate::engine::rows::{conversation_group, delete, put, session_group, session_key};
use crate::engine::settings::Settings;
use crate::ids::{PluginName, SessionKey};
use crate::outbox::lane::{DeadLetter, Finished};
use crate::outbox::note::{Call, Note, NoteKind, Post};
use crate::session::link::LinkEvent;
use crate::session::note::format_note;
use crate::session::state::{Effect, Sealed};
use crate::store::{Change, Store, StoreError, Table};

/// Inputs of one round at most.
const ROUND: usize = 2048;
/// How often idle sessions leave the memory.
const SWEEP: Duration = Duration::from_secs(30);
/// Pause before a commit that met a full disk is tried again.
const FULL_PAUSE: Duration = Duration::from_secs(1);
/// Sessions that are read at once at start.
const RECOVERY_PAGE: usize = 1000;

/// The single writer. [`Engine::run`] it on a task of its own.
pub struct Engine {
    store: Arc<dyn Store>,
    post: Arc<dyn Post>,
    clock: Clock,
    settings: Arc<Settings>,
    counters: Arc<Counters>,
    inbox: mpsc::Receiver<Input>,
    memory: Memory,
    ready: HashMap<PluginName, VecDeque<SessionKey>>,
    busy: HashMap<PluginName, usize>,
    posts: JoinSet<Outcome>,
    draining: bool,
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
struct Round {
    changes: Vec<Change>,
    records: HashSet<SessionKey>,
    touched: HashSet<SessionKey>,
    answers: Vec<Answer>,
    starts: Vec<(SessionKey, Arc<Note>, u32)>,
    taken: u64,
}

/// What is told after the commit.
enum Answer {
    Link(
        oneshot::Sender<Result<Linked, LinkError>>,
        Result<Linked, LinkError>,
    ),
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
        };
        (handle, engine)
    }

    /// Takes up what the last run left, then runs until drained. Dropping the future is safe at any
    /// moment: a post that is cut off has an unknown outcome and is sent again after the next start.
    pub async fn run(mut self) -> Result<(), EngineError> {
        self.recover().await?;
        let mut swept = self.clock.now();
        loop {
            let inputs = self.gather(swept + SWEEP).await?;
            self.round(inputs).await?;
            let now = self.clock.now();
            if now >= swept + SWEEP || self.memory.sessions.len() > self.settings.max_live {
                self.memory.evict(now - self.settings.idle);
                swept = now;
            }
            if self.draining && self.posts.is_empty() && self.inbox.is_empty() {
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
                let keys: HashSet<_> = rows
                    .iter()
                    .filter_map(|(key, _)| session_key(&key.group))
                    .collect();
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
                        self.bury(&mut round, &key, dead);
                    }
                    round.touched.insert(key);
                }
                self.finish(round, now).await?;
                self.memory.evict(now);
            }
        }
        Ok(())
    }

    /// Waits for something to happen and takes all that has.
    async fn gather(&mut self, sweep: Timestamp) -> Result<Vec<Input>, EngineError> {
        let timer = self.memory.next_timer().map_or(sweep, |at| at.min(sweep));
        let mut inputs = Vec::new();
        tokio::select! {
            input = self.inbox.recv() => inputs.push(input.unwrap_or(Input::Drain)),
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
        let (mut keys, mut owners) = (HashSet::new(), HashSet::new());
        for input in &inputs {
            match input {
                Input::Actions { key, .. } => drop(keys.insert(key.clone())),
                Input::Link { request, .. } => {
                    keys.extend(candidates(request));
                    owners.insert((request.plugin.clone(), request.conversation.clone()));
                }
                Input::Outcome(_) | Input::Drain => {}
            }
        }
        let mut round = Round {
            changes: self.memory.load_sessions(&*self.store, &keys, now).await?,
            ..Round::default()
        };
        self.memory.load_owners(&*self.store, owners).await?;
        for input in inputs {
            self.apply(&mut round, input, now);
        }
        for key in self.memory.due(now) {
            let Some(live) = self.memory.sessions.get_mut(&key) else {
                continue;
            };
            let Some(rules) = self.settings.delivery(&key.product) else {
                continue;
            };
            let effects = live.session.on_timer(now, rules);
            self.run_effects(&mut round, &key, effects, now);
        }
        self.finish(round, now).await
    }

    fn apply(&mut self, round: &mut Round, input: Input, now: Timestamp) {
        match input {
            Input::Actions {
                key,
                batch,
                bytes,
                room,
                taken,
            } => {
                round.answers.push(Answer::Room(room));
                round.answers.extend(taken.map(Answer::Taken));
                let Some(rules) = self.settings.delivery(&key.product) else {
                    return;
                };
                let Some(live) = self.memory.sessions.get_mut(&key) else {
                    return;
                };
                round.taken += batch.actions.len() as u64;
                let effects = live.session.on_actions(batch, bytes, now, rules);
                self.run_effects(round, &key, effects, now);
            }
            Input::Link { request, reply } => {
                let result = self.link(round, request, now);
                round.answers.push(Answer::Link(reply, result));
            }
            Input::Outcome(outcome) => self.end_post(round, outcome, now),
            Input::Drain => {
                self.draining = true;
                let keys: Vec<_> = self.memory.sessions.keys().cloned().collect();
                for key in keys {
                    let Some(rules) = self.settings.delivery(&key.product) else {
                        continue;
                    };
                    let Some(live) = self.memory.sessions.get_mut(&key) else {
                        continue;
                    };
                    let effects = live.session.flush(rules);
                    self.run_effects(round, &key, effects, now);
                }
            }
        }
    }

    fn link(
        &mut self,
        round: &mut Round,
        request: LinkRequest,
        now: Timestamp,
    ) -> Result<Linked, LinkError> {
        let key = self.resolve(&request)?;
        let rules = self
            .settings
            .delivery(&key.product)
            .ok_or(LinkError::NotFound("its product isn't configured"))?;
        let live = self
            .memory
            .sessions
            .get_mut(&key)
            .ok_or(LinkError::Unavailable)?;
        let target = (request.plugin.clone(), request.conversation.clone());
        let owners = self.memory.owners.entry(target).or_default();
        let linked = live.session.on_link(
            &request.plugin,
            &request.conversation,
            owners,
            request.mode,
            now,
            rules,
        );
        let (event, effects) = linked.map_err(|foreign| {
            self.counters.links_refused.add(1);
            tracing::warn!(plugin = %request.plugin, "link: refused: {foreign}");
            LinkError::Foreign
        })?;
        match event {
            LinkEvent::Kept => {}
            LinkEvent::New | LinkEvent::ReplyExisting | LinkEvent::Moved => {
                if event == LinkEvent::Moved {
                    tracing::info!(plugin = %request.plugin, "link: a session was moved to another conversation");
                }
                if owners.add(&key, live.session.record().user_id.as_deref()) {
                    let group = conversation_group(&request.plugin, &request.conversation);
                    round
                        .changes
                        .push(put(Table::Conversation, group, 0, owners));
                    self.counters.links_made.add(1);
                }
            }
        }
        let link = live.session.record().link.as_ref();
        let conversation = link.map_or(request.conversation, |link| link.conversation.clone());
        self.run_effects(round, &key, effects, now);
        Ok(Linked {
            key,
            conversation,
            event,
        })
    }

    /// The session that a wish means.
    fn resolve(&self, request: &LinkRequest) -> Result<SessionKey, LinkError> {
        match &request.who {
            Who::Session(key) => Ok(key.clone()),
            Who::SessionOf(..) => {
                let mut candidates = candidates(request);
                if candidates.len() > 1 {
                    candidates.retain(|key| {
                        self.memory
                            .sessions
                            .get(key)
                            .is_some_and(|live| live.session.is_known())
                    });
                }
                match candidates.len() {
                    0 => Err(LinkError::NotFound(
                        "no configured product of this plugin knows the session",
                    )),
                    1 => Ok(candidates.remove(0)),
                    _ => Err(LinkError::Ambiguous),
                }
            }
            Who::Person { .. } => Err(LinkError::NotFound("no session of this person is known")),
        }
    }

    fn run_effects(
        &mut self,
        round: &mut Round,
        key: &SessionKey,
        effects: Vec<Effect>,
        now: Timestamp,
    ) {
        round.touched.insert(key.clone());
        for effect in effects {
            match effect {
                Effect::Save => drop(round.records.insert(key.clone())),
                Effect::Keep(row, entry) => {
                    round
                        .changes
                        .push(put(Table::Open, session_group(key), row, &entry));
                }
                Effect::Forget(rows) => {
                    let group = session_group(key);
                    round.changes.extend(
                        rows.into_iter()
                            .map(|row| delete(Table::Open, group.clone(), row)),
                    );
                }
                Effect::Dropped(actions) => self.counters.dropped_window.add(actions as u64),
                Effect::Seal(sealed) => self.seal(round, key, sealed, now),
            }
        }
        if let Some(live) = self.memory.sessions.get_mut(key) {
            live.touched = now;
        }
    }

    fn seal(&mut self, round: &mut Round, key: &SessionKey, sealed: Sealed, now: Timestamp) {
        let Some(live) = self.memory.sessions.get_mut(key) else {
            return;
        };
        let record = live.session.record();
        let note = Arc::new(Note {
            key: key.clone(),
            seq: sealed.seq,
            plugin: sealed.link.plugin,
            conversation: sealed.link.conversation,
            user_id: record.user_id.clone(),
            email: record.email.clone(),
            kind: NoteKind::Actions,
            body: format_note(
                Some(key.session.as_str()),
                &sealed.actions,
                sealed.bin_seconds,
                now,
            ),
            actions: sealed.actions,
            idempotency_key: Note::idempotency_key(key, sealed.seq, now),
            sealed_at: now,
        });
        round
            .changes
            .push(put(Table::Outbox, session_group(key), note.seq, &*note));
        live.lane.push(note);
        self.counters.notes_sealed.add(1);
    }

    fn end_post(&mut self, round: &mut Round, outcome: Outcome, now: Timestamp) {
        let Outcome {
            key,
            plugin,
            result,
        } = outcome;
        if let Some(busy) = self.busy.get_mut(&plugin) {
            *busy = busy.saturating_sub(1);
        }
        let Some(rules) = self.settings.delivery(&key.product) else {
            return;
        };
        let Some(live) = self.memory.sessions.get_mut(&key) else {
            return;
        };
        let Some(seq) = live.lane.head().map(|head| head.note.seq) else {
            return;
        };
        round.touched.insert(key.clone());
        match live.lane.finish(result, now, rules, rand::random()) {
            None => {}
            Some(Finished::Sent(_)) => {
                self.counters.notes_posted.add(1);
                let group = session_group(&key);
                round
                    .changes
                    .push(delete(Table::Outbox, group.clone(), seq));
                round.changes.push(delete(Table::Attempt, group, seq));
            }
            Some(Finished::Retry { .. }) => {
                self.counters.attempts_failed.add(1);
                round
                    .changes
                    .extend(live.lane.head().map(|head| progress_row(&key, head)));
            }
            Some(Finished::Dead(dead)) => self.bury(round, &key, dead),
        }
    }

    fn bury(&mut self, round: &mut Round, key: &SessionKey, dead: DeadLetter) {
        self.counters.notes_dead.add(1);
        tracing::error!(
            plugin = %dead.note.plugin,
            attempts = dead.attempts,
            reason = %dead.reason,
            "outbox: a note is given up and kept as a dead letter"
        );
        let (group, seq) = (session_group(key), dead.note.seq);
        round
            .changes
            .push(delete(Table::Outbox, group.clone(), seq));
        round
            .changes
            .push(delete(Table::Attempt, group.clone(), seq));
        round.changes.push(put(Table::Dead, group, seq, &dead));
    }

    /// Begins what can be begun, commits, and then tells and acts.
    async fn finish(&mut self, mut round: Round, now: Timestamp) -> Result<(), EngineError> {
        let touched: Vec<_> = round.touched.drain().collect();
        for key in &touched {
            let Some(live) = self.memory.sessions.get_mut(key) else {
                continue;
            };
            if !live.queued
                && live.lane.is_ready(now)
                && let Some(head) = live.lane.head()
            {
                live.queued = true;
                self.ready
                    .entry(head.note.plugin.clone())
                    .or_default()
                    .push_back(key.clone());
            }
        }
        self.fill_slots(&mut round, now);
        for key in &touched {
            if let Some(rules) = self.settings.delivery(&key.product) {
                self.memory.set_timer(key, rules);
            }
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
                    round
                        .starts
                        .push((key, head.note.clone(), head.progress.attempts));
                }
            }
        }
    }

    async fn commit(&self, changes: Vec<Change>) -> Result<(), EngineError> {
        if changes.is_empty() {
            return Ok(());
        }
        self.counters.commits.add(1);
        loop {
            match self.store.commit(changes.clone()).await {
                Ok(()) => return Ok(()),
                Err(error @ StoreError::Full(_)) => {
                    tracing::error!("{error}");
                    tokio::time::sleep(FULL_PAUSE).await;
                }
                Err(error @ StoreError::Fatal(_)) => return Err(error.into()),
            }
        }
    }

    fn start_post(&mut self, key: SessionKey, note: Arc<Note>, attempt: u32) {
        let timeout = self
            .settings
            .delivery(&key.product)
            .map_or(Duration::from_secs(10), |rules| rules.call_timeout);
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
            Outcome {
                key,
                plugin,
                result,
            }
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

/// The sessions that a wish may mean.
fn candidates(request: &LinkRequest) -> Vec<SessionKey> {
    match &request.who {
        Who::Session(key) => vec![key.clone()],
        Who::SessionOf(products, session) => products
            .iter()
            .map(|product| SessionKey {
                product: product.clone(),
                session: session.clone(),
            })
            .collect(),
        Who::Person { .. } => Vec::new(),
    }
}
