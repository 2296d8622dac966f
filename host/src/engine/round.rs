//! The loop: gather, decide, commit, act.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::clock::{Clock, Timestamp};
use crate::config::Delivery;
use crate::engine::accounts::{AccountStatus, Accounts};
use crate::engine::counters::Counters;
use crate::engine::deliveries::Outcome;
use crate::engine::erase::{Erased, Scrub, SessionRows};
use crate::engine::feed::{Publisher, What};
use crate::engine::handle::Summary;
use crate::engine::handle::{CONTROL, Handle, INBOX, INBOX_KIB};
use crate::engine::history::HistoryIndexes;
use crate::engine::inbox::{Input, Redacted};
use crate::engine::link::{LinkError, Linked, Who};
use crate::engine::live::{Live, Memory};
use crate::engine::redact::Redactions;
use crate::engine::retention::Sweep;
use crate::engine::rows::{Person, put, read, session_group};
use crate::engine::settings::{self, Settings};
use crate::engine::sinks::PluginRoles;
use crate::engine::snapshot::Imported;
use crate::ids::{PluginName, ProductId, SessionKey};
use crate::outbox::note::{Note, NoteKind, Redaction, SentNote};
use crate::outbox::sink_delivery::SinkDelivery;
use crate::post::Post;
use crate::store::{Change, Journal, JournalError, Key, Snapshots, Store, StoreError, Table};

/// Inputs of one round at most.
const ROUND: usize = 2048;

/// The single writer. [`Engine::run`] it on a task of its own.
pub struct Engine {
    pub(super) store: Arc<dyn Store>,
    pub(super) post: Arc<dyn Post>,
    pub(super) clock: Clock,
    /// Swapped between rounds only: a round goes by one of them.
    pub(super) settings: Arc<Settings>,
    pub(super) in_force: watch::Sender<Arc<Settings>>,
    pub(super) counters: Arc<Counters>,
    pub(super) inbox: mpsc::Receiver<Input>,
    pub(super) control: mpsc::Receiver<Input>,
    /// What came while the store was away and is to be dealt with when it is back, in order.
    pub(super) put_off: Vec<Input>,
    pub(super) journal: Option<Journal>,
    pub(super) snapshots: Option<Arc<dyn Snapshots>>,
    /// How far the journal was played back, as far as is known.
    pub(super) played: Option<u64>,
    pub(super) memory: Memory,
    pub(super) accounts: Accounts,
    pub(super) redactions: Redactions,
    pub(super) scrub: Scrub,
    pub(super) history_indexes: HistoryIndexes,
    publisher: Publisher,
    /// Calls under way; each ends with what came of it.
    pub(super) posts: JoinSet<Input>,
    pub(super) draining: bool,
    pub(super) stopping: bool,
    /// Settings came into force: what waits may be due by them.
    pub(super) settings_changed: bool,
    /// Nothing is accepted: the disk is full, and what room is kept is for what is under way. At this moment
    /// it is looked whether there is room again.
    pub(super) paused: Option<Timestamp>,
}

/// Why the engine ended. What was committed is safe; the process must start again.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The store failed for good.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The journal failed for good.
    #[error(transparent)]
    Journal(#[from] JournalError),
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
    /// Calls to be begun after the commit.
    pub(super) starts: Vec<Start>,
    pub(super) accepted: u64,
    /// Plugins whose account must be stored.
    pub(super) accounts: HashSet<PluginName>,
    /// The rows of what a person decides about, as they were read.
    pub(super) named: HashMap<Key, Vec<u8>>,
    /// The sent notes of sessions in which some may be replaced.
    pub(super) sent: HashMap<SessionKey, Vec<(u64, SentNote)>>,
    /// What is stored of the sessions that are to be erased.
    pub(super) erased: HashMap<SessionKey, SessionRows>,
    /// What those who follow are told after the commit.
    pub(super) told: Vec<(SessionKey, What)>,
    /// What the products' plugins do, as far as it was asked.
    pub(super) plugin_roles: HashMap<ProductId, Arc<PluginRoles>>,
    /// Sessions that are taken over from autoplay-sdk.
    pub(super) adopted: Vec<(SessionKey, Imported)>,
    /// Settings for the rounds after it.
    pub(super) settings: Vec<settings::Change>,
}

/// A call to be begun after the commit; it ends with what came of it.
pub(super) type Start = BoxFuture<'static, Input>;

impl Round {
    /// A row that was read for this round, with the changes of the round so far on top.
    pub(super) fn row(&self, key: &Key) -> Option<&[u8]> {
        match self.changes.iter().rev().find(|change| change.key() == key) {
            Some(Change::Put(_, value)) => Some(value),
            Some(Change::Delete(_)) => None,
            None => self.named.get(key).map(Vec::as_slice),
        }
    }
}

/// What is told after the commit.
pub(super) enum Answer {
    Link(oneshot::Sender<Result<Linked, LinkError>>, Result<Linked, LinkError>),
    Accepted(oneshot::Sender<()>),
    Summary(oneshot::Sender<Summary>, Summary),
    Erased(oneshot::Sender<Erased>, Erased),
    Decided(oneshot::Sender<usize>, usize),
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
        let (orders, control) = mpsc::channel(CONTROL);
        let settings = Arc::new(settings);
        let (force, in_force) = watch::channel(settings.clone());
        let account_status = AccountStatus::default();
        let snapshots = store.snapshots();
        let counters = Arc::new(Counters::default());
        let (scrub, scrub_due) = Scrub::new();
        let publisher = Publisher::new();
        let handle = Handle {
            inbox: sender,
            control: orders,
            accounts: account_status.clone(),
            room: Arc::new(Semaphore::new(INBOX_KIB as usize)),
            counters: counters.clone(),
            settings: in_force,
            store: store.clone(),
            post: post.clone(),
            scrub_due,
            listeners: publisher.listeners(),
        };
        let engine = Self {
            accounts: Accounts::new(settings.clone(), account_status),
            store,
            post,
            clock,
            settings,
            in_force: force,
            counters,
            inbox,
            control,
            put_off: Vec::new(),
            journal: None,
            snapshots,
            played: None,
            memory: Memory::default(),
            redactions: Redactions::default(),
            scrub,
            history_indexes: HistoryIndexes::default(),
            publisher,
            posts: JoinSet::new(),
            draining: false,
            stopping: false,
            settings_changed: false,
            paused: None,
        };
        (handle, engine)
    }

    /// Takes actions into this journal while the store can't be reached.
    #[must_use]
    pub fn with_journal(mut self, journal: Journal) -> Self {
        self.journal = Some(journal);
        self
    }

    /// Takes up what the last run left, then runs until drained. Dropping the future is safe at any
    /// moment: a post that is cut off has an unknown outcome and is sent again after the next start.
    pub async fn run(mut self) -> Result<(), EngineError> {
        match self.run_until_ended().await {
            // The store is away, and somebody wants the host to end: what was accepted is in the journal.
            Err(EngineError::Store(StoreError::Away(_) | StoreError::Refused(_)))
                if self.stopping =>
            {
                Ok(())
            }
            ended => ended,
        }
    }

    async fn run_until_ended(&mut self) -> Result<(), EngineError> {
        while let Err(error) = self.recover().await {
            match error {
                EngineError::Store(error) => self.wait_for_store(error).await?,
                error @ (EngineError::Journal(_) | EngineError::Panic(_)) => return Err(error),
            }
        }
        self.is_back();
        let mut sweep = Sweep::new(self.clock.now());
        let mut max_live = self.settings.max_live;
        loop {
            if self.has_journalled() {
                self.play_back().await?;
            } else {
                let inputs = self.gather(sweep.at).await?;
                self.round(inputs, Vec::new()).await?;
            }
            if self.stopping {
                return Ok(());
            }
            let now = self.clock.now();
            if now >= sweep.at {
                self.memory.evict(now - self.settings.idle, false);
                self.history_indexes.retain(|key| self.memory.sessions.contains_key(key));
                self.accounts.sweep(now);
                self.expire(&mut sweep, now).await?;
            }
            if self.memory.sessions.len() > max_live {
                self.memory.evict(now, true);
                self.history_indexes.retain(|key| self.memory.sessions.contains_key(key));
                // Where most are busy, the next look is due when there are many more.
                max_live = self.settings.max_live.max(self.memory.sessions.len() / 4 * 5);
            }
            self.counters.sessions_in_memory.set(self.memory.sessions.len() as u64);
            if self.draining
                && self.posts.is_empty()
                && self.inbox.is_empty()
                && self.put_off.is_empty()
                && !self.has_journalled()
                && !self.memory.is_hungry()
            {
                return Ok(());
            }
        }
    }

    /// Waits for something to happen and takes all that has.
    async fn gather(&mut self, sweep: Timestamp) -> Result<Vec<Input>, EngineError> {
        let now = self.clock.now();
        self.look_for_room(now).await;
        let timers = [
            self.memory.next_timer(),
            self.redactions.next_timer(),
            self.scrub.next_timer(),
            self.accounts.next_timer(now),
            self.paused,
        ];
        let mut timer = timers.into_iter().flatten().fold(sweep, Timestamp::min);
        let changed = std::mem::take(&mut self.settings_changed);
        if changed || self.memory.is_hungry() || self.redactions.is_hungry() {
            timer = now;
        }
        let (mut inputs, mut orders) = (std::mem::take(&mut self.put_off), Vec::new());
        if !inputs.is_empty() {
            timer = now;
        }
        let closed = self.draining && self.inbox.is_closed();
        tokio::select! {
            Some(order) = self.control.recv() => orders.push(order),
            input = self.inbox.recv(), if self.paused.is_none() && !closed => {
                inputs.push(input.unwrap_or(Input::Drain));
            }
            Some(outcome) = self.posts.join_next() => {
                inputs.push(outcome.map_err(EngineError::Panic)?);
            }
            () = tokio::time::sleep_until(self.clock.instant(timer)) => {}
        }
        while let Some(outcome) = self.posts.try_join_next() {
            inputs.push(outcome.map_err(EngineError::Panic)?);
        }
        // An order comes behind all that was there before it.
        let most = if orders.is_empty() { ROUND } else { INBOX };
        while inputs.len() < most
            && self.paused.is_none()
            && let Ok(input) = self.inbox.try_recv()
        {
            inputs.push(input);
        }
        inputs.extend(orders);
        Ok(inputs)
    }

    /// One round: what the inputs and the due timers ask for, with these changes, in one transaction.
    pub(super) async fn round(
        &mut self,
        inputs: Vec<Input>,
        changes: Vec<Change>,
    ) -> Result<(), EngineError> {
        let now = self.clock.now();
        let mut round = loop {
            match self.load(&inputs, now).await {
                Ok(round) => break round,
                Err(error) => self.wait_for_store(error).await?,
            }
        };
        self.is_back();
        round.changes.extend(changes);
        for (key, imported) in std::mem::take(&mut round.adopted) {
            self.adopt(&mut round, &key, imported, now);
        }
        for input in inputs {
            self.apply(&mut round, input, now);
        }
        for key in self.memory.due(now) {
            let Some(live) = self.memory.sessions.get_mut(&key) else {
                continue;
            };
            let rules = self.settings.rules(&key.product);
            let gather = gathers(live, &self.accounts, rules, now);
            let effects = live.session.on_timer(now, rules, gather);
            let notes = live.notes.take_expired(now, rules);
            let sink_deliveries = live.sinks.take_expired(now, rules);
            self.run_effects(&mut round, &key, effects, now);
            notes.iter().for_each(|dead| self.dead_letter(&mut round, dead));
            sink_deliveries.iter().for_each(|dead| self.dead_letter(&mut round, dead));
        }
        self.give_up_spent(&mut round, now);
        let changes = std::mem::take(&mut round.settings);
        self.finish(round, now).await?;
        for change in changes {
            self.change_settings(change);
        }
        Ok(())
    }

    /// Brings into memory what the inputs are about.
    async fn load(&mut self, inputs: &[Input], now: Timestamp) -> Result<Round, StoreError> {
        let (mut keys, mut owners, mut persons) = (HashSet::new(), HashSet::new(), HashSet::new());
        let (mut decided, mut sent) = (HashSet::new(), HashSet::new());
        let mut erased = HashSet::new();
        for input in inputs {
            match input {
                Input::Actions { key, .. } | Input::Summary { key, .. } => {
                    keys.insert(key.clone());
                }
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
                            let sought = Person::sought(user_id.as_deref(), email.as_deref());
                            for (person, _) in sought {
                                persons
                                    .extend(products.iter().map(|id| (id.clone(), person.clone())));
                            }
                        }
                    }
                }
                Input::Decide { notes, .. } => {
                    decided.extend(notes.iter().cloned());
                }
                Input::Erase(order) => erased.extend(order.keys.iter().cloned()),
                Input::Outcome(outcome) => sent.extend(self.may_replace(outcome)),
                // What can't be redacted is remembered again, where its session still is.
                Input::Redacted(Redacted { key, result: Ok(Redaction::Unsupported), .. }) => {
                    keys.insert(key.clone());
                }
                Input::Redacted(_)
                | Input::Written(_)
                | Input::Scrubbed(_)
                | Input::Settings(_)
                | Input::Drain
                | Input::Stop => {}
            }
        }
        keys.extend(self.memory.load_persons(&*self.store, persons).await?);
        let names = self.settings.names().clone();
        self.memory.load_owners(&*self.store, owners.clone(), &names).await?;
        // A wish that rests on more may have them leave.
        keys.extend(owners.iter().flat_map(|target| self.memory.unverified_owners(target)));
        keys.extend(decided.iter().map(|named| named.key.clone()));
        self.memory.refill_lanes(&*self.store).await?;
        keys.extend(erased.iter().cloned());
        let erased = self.load_erased(erased, now).await?;
        self.load_shelves(inputs).await?;
        self.redactions.refill(&*self.store, now).await?;
        let named = self.load_named(decided).await?;
        let sent = self.load_sent(sent).await?;
        // Before they are in memory: what can't be read now is asked for again with them.
        let missing = keys.iter().filter(|key| !self.memory.sessions.contains_key(*key));
        let adopted = self.read_shared(missing.cloned().collect(), now).await?;
        let target = |(key, imported): &(SessionKey, Imported)| {
            Some((self.writer_of(&key.product)?, imported.conversation.clone()?))
        };
        let owners = adopted.iter().filter_map(target).collect();
        self.memory.load_owners(&*self.store, owners, &names).await?;
        let loaded = self.memory.load_sessions(&*self.store, &keys, &names, now);
        let (fresh, changes) = loaded.await?;
        let adopted = adopted.into_iter().filter(|(key, _)| fresh.contains(key)).collect();
        // Only when nothing can fail any more: a lane that was refilled must be looked at.
        let touched = self.memory.take_hungry();
        Ok(Round { changes, touched, named, sent, erased, adopted, ..Round::default() })
    }

    /// The session in which the note that was sent may replace others, or be replaced itself.
    fn may_replace(&self, outcome: &Outcome) -> Option<SessionKey> {
        let Outcome { item: note, result, .. } = outcome;
        let live = self.memory.sessions.get(&note.key)?;
        let covered = note.through > 0 && note.through <= live.session.record().covered;
        let may = result.is_ok() && (note.kind == NoteKind::Summary || covered);
        may.then(|| note.key.clone())
    }

    async fn load_sent(
        &self,
        keys: HashSet<SessionKey>,
    ) -> Result<HashMap<SessionKey, Vec<(u64, SentNote)>>, StoreError> {
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let keys: Vec<_> = keys.into_iter().collect();
        let groups: Vec<_> = keys.iter().map(session_group).collect();
        let rows = self.store.load(Table::Sent, &groups).await?.into_iter();
        let notes = rows.map(|rows| {
            let notes = rows.into_iter().filter_map(|(n, v)| Some((n, read(Table::Sent, n, &v)?)));
            notes.collect()
        });
        Ok(keys.into_iter().zip(notes).collect())
    }

    /// Begins what can be begun, commits, and then tells and acts.
    pub(super) async fn finish(
        &mut self,
        mut round: Round,
        now: Timestamp,
    ) -> Result<(), EngineError> {
        let mut touched = std::mem::take(&mut round.touched);
        for key in &touched {
            self.queue_ready::<Note>(key, now);
            self.queue_ready::<SinkDelivery>(key, now);
        }
        self.accounts.look_who_comes(&*self.post);
        if !self.stopping {
            touched.extend(self.fill_slots::<Note>(&mut round, now));
            touched.extend(self.fill_slots::<SinkDelivery>(&mut round, now));
        }
        self.begin_redactions(&mut round, now);
        for key in &touched {
            self.memory.note_hunger(key);
            if let Some(live) = self.memory.sessions.get(key) {
                let rules = self.settings.rules(&key.product);
                let gather = gathers(live, &self.accounts, rules, now);
                self.memory.set_timer(key, rules, gather);
            }
        }
        let accounts = std::mem::take(&mut round.accounts);
        round.changes.extend(self.accounts.rows(&accounts));
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
        self.counters.actions_accepted.add(round.accepted);
        for told in round.told {
            self.publisher.tell(told);
        }
        for answer in round.answers {
            answer.tell();
        }
        for start in round.starts {
            self.posts.spawn(start);
        }
        self.begin_scrub(now);
        self.share(&round.records, now).await;
        Ok(())
    }
}

/// Whether what a session does had better gather: notes wait that can't be sent.
pub(super) fn gathers(live: &Live, accounts: &Accounts, rules: &Delivery, now: Timestamp) -> bool {
    live.notes.iter().any(|lane| {
        lane.head().is_some_and(|head| {
            lane.is_congested(now, rules) || !accounts.allows(&head.note.plugin, now)
        })
    })
}

impl Answer {
    pub(super) fn tell(self) {
        // Whoever asked may have gone; the commit stands all the same.
        match self {
            Self::Link(reply, result) => drop(reply.send(result)),
            Self::Accepted(reply) => drop(reply.send(())),
            Self::Summary(reply, summary) => drop(reply.send(summary)),
            Self::Erased(reply, erased) => drop(reply.send(erased)),
            Self::Decided(reply, notes) => drop(reply.send(notes)),
            Self::Room(room) => drop(room),
        }
    }
}
