//! The loop: gather, decide, commit, act. Everything that waits is here and in the files that this one calls.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use crate::clock::{Clock, Timestamp};
use crate::engine::backlog::Askers;
use crate::engine::core::keys::KeyTable;
use crate::engine::core::{
    Answer, Command, Core, Counters, Gate, Missing, PageOf, Plugins, Recovery, Settings, Spent, Tx,
    View,
};
use crate::engine::feed::Publisher;
use crate::engine::handle::{CONTROL, Handle, INBOX, INBOX_KIB};
use crate::engine::inbox::{self, Asked, Change, Input};
use crate::engine::latest::Latest;
use crate::engine::process::Process;
use crate::engine::progress::Turns;
use crate::engine::shared::Shared;
use crate::engine::state::{State, StoreState};
use crate::engine::traced::Traced;
use crate::engine::{backlog, calls, tap, traced};
use crate::ids::PluginName;
use crate::outbox::sink_delivery::Roles;
use crate::post::Post;
use crate::store::{self, Beside, Journal, JournalError, PartitionStore, Store, StoreError};
use crate::timer::TimersHeld;
use crate::traces::Traces;

/// Inputs of one round at most.
const ROUND: usize = 1024;

/// A commit costs much the same for one change as for many: where rounds follow one another, they begin so far apart,
/// unless something can be done at once that waits already.
const GROUP: Duration = Duration::from_millis(4);

/// So many rounds may begin at once all the same, so that nothing waits on a host that has little to do.
const AT_ONCE: u32 = 8;

/// So many inputs are a round of their own.
const FULL: usize = 512;

/// Pause before a commit that met a full disk is tried again, and between looks for space.
pub(super) const FULL_PAUSE: Duration = Duration::from_secs(1);

/// The driver of one core, which is the single writer of its partition. [`Engine::run`] it on a task of its own.
pub struct Engine {
    pub(super) core: Core,
    pub(super) store: Arc<dyn Store>,
    /// The same, where it is one of a partition.
    pub(super) partition: Option<Arc<PartitionStore>>,
    post: Arc<dyn Post>,
    pub(super) clock: Clock,
    pub(super) in_force: watch::Sender<Arc<Settings>>,
    pub(super) counters: Arc<Counters>,
    pub(super) inbox: mpsc::Receiver<Input>,
    pub(super) control: mpsc::Receiver<Input>,
    /// What came while the store was away and is to be dealt with when it is back, in order.
    pub(super) put_off: Vec<Input>,
    pub(super) journal: Option<Journal>,
    shared: Option<Shared>,
    /// How far the journal was replayed, as far as is known.
    pub(super) played: Option<u64>,
    /// How the store serves, as everybody sees it.
    pub(super) state: State,
    scrub_due: watch::Sender<bool>,
    /// The keys of the API as they were committed last; `None` before they were read.
    keys: watch::Sender<Option<Arc<KeyTable>>>,
    publisher: Publisher,
    tap: Arc<tap::Teller>,
    backlog: backlog::Teller,
    traces: Traces,
    latest: Latest,
    pub(super) turns: Turns,
    /// Calls under way; each ends with what came of it.
    pub(super) calls: JoinSet<Input>,
    /// Told when a slot that this engine waits for is free.
    slot: Arc<Notify>,
    draining: bool,
    pub(super) stopping: bool,
    /// Settings came into force: what waits may be due by them.
    settings_changed: bool,
    /// When the next round would begin if none ever began sooner than it has to.
    paced: Timestamp,
    /// Nothing is accepted: the disk is full, and what space is kept is for what is under way. At this moment
    /// it is looked whether there is space again.
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

impl Engine {
    /// An engine with a gate of its own, and the handle on it.
    pub fn new(
        store: Arc<dyn Store>,
        post: Arc<dyn Post>,
        settings: Settings,
        clock: Clock,
    ) -> (Handle, Self) {
        let settings = Arc::new(settings);
        Self::through(Gate::new(settings.clone()), store, post, settings, clock)
    }

    /// An engine that shares the process's gate with others, and the handle on it.
    pub fn through(
        gate: Gate,
        store: Arc<dyn Store>,
        post: Arc<dyn Post>,
        settings: Arc<Settings>,
        clock: Clock,
    ) -> (Handle, Self) {
        Self::among(&Process::new(gate), store, post, settings, clock)
    }

    /// An engine among others of a process, and the handle on it alone.
    pub fn among(
        process: &Process,
        store: Arc<dyn Store>,
        post: Arc<dyn Post>,
        settings: Arc<Settings>,
        clock: Clock,
    ) -> (Handle, Self) {
        let (sender, inbox) = mpsc::channel(INBOX);
        let (orders, control) = mpsc::channel(CONTROL);
        let (force, in_force) = watch::channel(settings.clone());
        let Process { gate, counters, publisher, tap, latest, .. } = process.clone();
        let (scrub, scrub_due) = watch::channel(false);
        let (keys, told_keys) = watch::channel(None);
        let (state, store_state) = State::new(counters.clone());
        let turns = Turns::default();
        let (teller, asker) = backlog::channel();
        process.add(asker.clone());
        let slot = Arc::new(Notify::new());
        let wake = slot.clone();
        let engine = gate.admit(move || wake.notify_one());
        let handle = Handle {
            inbox: sender,
            control: orders,
            gate: gate.clone(),
            capacity: Arc::new(Semaphore::new(INBOX_KIB as usize)),
            counters: counters.clone(),
            settings: in_force,
            store: store.clone(),
            post: post.clone(),
            scrub_due,
            store_state,
            listeners: publisher.listeners(),
            tap: tap.tap(),
            latest: latest.clone(),
            turns: turns.clone(),
            backlog: Askers::One(asker),
            keys: told_keys,
            by: None,
        };
        let plugins = Arc::new(Asking(post.clone()));
        let shared = store.snapshots().map(|snapshots| Shared::new(snapshots, counters.clone()));
        let engine = Self {
            core: Core::new(settings, counters.clone(), plugins, (gate, engine), clock.now()),
            store,
            partition: None,
            post,
            clock,
            in_force: force,
            counters,
            inbox,
            control,
            put_off: Vec::new(),
            journal: None,
            shared,
            played: None,
            state,
            scrub_due: scrub,
            keys,
            publisher,
            tap,
            latest,
            turns,
            backlog: teller,
            traces: Traces::off(),
            calls: JoinSet::new(),
            slot,
            draining: false,
            stopping: false,
            settings_changed: false,
            paced: Timestamp::default(),
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

    /// Works a partition: stores through this, which is its store, and with each commit how far the inbox was read.
    #[must_use]
    pub fn of_partition(mut self, store: Arc<PartitionStore>) -> Self {
        self.store = store.clone();
        self.partition = Some(store);
        self
    }

    /// Counts the plugins' timers here, for whoever makes their calls.
    #[must_use]
    pub fn with_timers(mut self, timers: TimersHeld) -> Self {
        self.core.tell_timers(timers);
        self
    }

    /// Records spans of its deliveries.
    #[must_use]
    pub fn with_traces(mut self, traces: Traces) -> Self {
        self.traces = traces;
        self
    }

    /// Takes up what the last run left, then runs until drained. Dropping the future is safe at any
    /// moment: a post that is cut off has an unknown outcome and is sent again after the next start.
    pub async fn run(mut self) -> Result<(), EngineError> {
        let ended = self.run_until_ended().await;
        if let Some(shared) = self.shared.take() {
            shared.close().await;
        }
        match ended {
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
        self.recover().await?;
        loop {
            self.turns.took_one();
            if self.has_journalled() {
                self.play_back().await?;
            } else {
                let inputs = self.gather().await?;
                self.round(inputs, Vec::new()).await?;
            }
            if self.stopping {
                return Ok(());
            }
            let now = self.clock.now();
            let swept = self.expire(now).await?;
            self.core.evict(swept, now);
            if self.draining
                && self.calls.is_empty()
                && self.inbox.is_empty()
                && self.put_off.is_empty()
                && !self.has_journalled()
                && !self.core.is_hungry()
            {
                return Ok(());
            }
        }
    }

    /// Takes up what the last run left.
    async fn recover(&mut self) -> Result<(), EngineError> {
        while let Err(error) = self.find_place_in_journal().await {
            self.wait_for_store(error).await?;
        }
        let mut recovery = Recovery::default();
        loop {
            self.turns.took_one();
            let now = self.clock.now();
            let mut tx = self.begin(now);
            match self.read(&mut tx, |core, tx| core.recover(&mut recovery, tx)).await {
                Ok(true) => {
                    self.end(tx, Vec::new(), &Beside::default()).await?;
                    self.core.evict_waiting(now);
                }
                Ok(false) => break,
                Err(error) => self.wait_for_store(error).await?,
            }
        }
        self.state.set(StoreState::Serving);
        Ok(())
    }

    /// Waits for something to happen and takes all that has.
    async fn gather(&mut self) -> Result<Vec<Input>, EngineError> {
        let now = self.clock.now();
        self.look_for_room(now).await;
        let mut timer = self.core.next_timer(now);
        timer = self.paused.map_or(timer, |paused| paused.min(timer));
        let (mut inputs, mut orders) = (std::mem::take(&mut self.put_off), Vec::new());
        if std::mem::take(&mut self.settings_changed) || !inputs.is_empty() {
            timer = now;
        }
        let closed = self.draining && self.inbox.is_closed();
        tokio::select! {
            Some(order) = self.control.recv() => orders.push(order),
            input = self.inbox.recv(), if self.paused.is_none() && !closed => {
                inputs.push(input.unwrap_or_else(|| Command::Drain.into()));
            }
            Some(outcome) = self.calls.join_next() => {
                inputs.push(outcome.map_err(EngineError::Panic)?);
            }
            () = self.slot.notified() => {}
            () = self.backlog.wanted() => self.backlog.tell(&self.core),
            () = self.turns.wanted() => {}
            () = tokio::time::sleep_until(self.clock.instant(timer)) => {}
        }
        // An order comes behind all that was there before it.
        let most = if orders.is_empty() { ROUND } else { INBOX };
        self.take_waiting(&mut inputs, most)?;
        while orders.is_empty() && self.can_wait(&inputs) {
            let pace = self.clock.instant(self.pace());
            tokio::select! {
                Some(order) = self.control.recv() => orders.push(order),
                Some(input) = self.inbox.recv(), if self.paused.is_none() => inputs.push(input),
                Some(outcome) = self.calls.join_next() => {
                    inputs.push(outcome.map_err(EngineError::Panic)?);
                }
                () = tokio::time::sleep_until(pace) => break,
            }
            self.take_waiting(&mut inputs, ROUND)?;
        }
        inputs.extend(orders);
        Ok(inputs)
    }

    /// Takes what waits already, up to so many inputs.
    fn take_waiting(&mut self, inputs: &mut Vec<Input>, most: usize) -> Result<(), EngineError> {
        self.take_outcomes(inputs)?;
        while inputs.len() < most
            && self.paused.is_none()
            && let Ok(input) = self.inbox.try_recv()
        {
            inputs.push(input);
        }
        Ok(())
    }

    /// When the next round begins where nothing is pressing.
    fn pace(&self) -> Timestamp {
        self.paced - GROUP * AT_ONCE
    }

    /// Whether the round can take in what comes in the next milliseconds.
    fn can_wait(&self, inputs: &[Input]) -> bool {
        let now = self.clock.now();
        let frees = |command: &Command| matches!(command, Command::Ended(_));
        now < self.pace()
            && inputs.len() < FULL
            && !(self.draining || self.inbox.is_closed())
            && !self.core.is_hungry()
            && !(commands(inputs).any(frees) && self.core.wants_slot(now))
    }

    /// Takes what came of the calls that have ended.
    pub(super) fn take_outcomes(&mut self, inputs: &mut Vec<Input>) -> Result<(), EngineError> {
        while let Some(outcome) = self.calls.try_join_next() {
            inputs.push(outcome.map_err(EngineError::Panic)?);
        }
        Ok(())
    }

    /// An empty transaction, which puts down what happens where anybody follows that.
    fn begin(&self, now: Timestamp) -> Tx {
        let mut tx = Tx::new(now);
        if self.tap.is_followed() {
            tx.watch();
        }
        tx
    }

    /// One round: what the inputs and the due timers ask for, with these changes of the driver's own, in one
    /// transaction.
    pub(super) async fn round(
        &mut self,
        inputs: Vec<Input>,
        own: Vec<store::Change>,
    ) -> Result<(), EngineError> {
        let mut tx = self.begin(self.clock.now());
        let (now, longest) = (tx.now(), GROUP * (AT_ONCE + 1));
        self.paced = (self.paced.max(now) + GROUP).min(now + longest);
        let adopted = loop {
            match self.load(&inputs, &mut tx).await {
                Ok(adopted) => break adopted,
                Err(error) => self.wait_for_store(error).await?,
            }
        };
        self.state.set(StoreState::Serving);
        own.into_iter().for_each(|change| tx.push(change));
        for command in adopted {
            self.core.handle(command, &mut tx);
        }
        let (mut told, mut changes, mut read) = (Vec::new(), Vec::new(), Beside::default());
        for input in inputs {
            let asked = match input {
                Input::Command(asked) => Some(*asked),
                Input::Entry(entry) => {
                    read.add(entry.beside);
                    told.extend(entry.known.map(|reply| (reply, Answer::Accepted, None)));
                    entry.asked
                }
                Input::Settings(change) => {
                    changes.push(change);
                    None
                }
            };
            if let Some(Asked { command, reply, capacity, deed, once: _ }) = asked {
                self.note_end(&command);
                let answer = self.core.handle(command, &mut tx);
                if let Some(deed) = deed {
                    self.core.audit(deed, &answer, &mut tx);
                }
                told.push((reply, answer, capacity));
            }
        }
        self.core.run_due(&mut tx);
        self.end(tx, told, &read).await?;
        changes.into_iter().for_each(|change| self.change_settings(change));
        Ok(())
    }

    /// The loop is to end, one way or the other.
    fn note_end(&mut self, command: &Command) {
        match command {
            Command::Drain => self.draining = true,
            Command::Stop => {
                self.stopping = true;
                self.calls.abort_all();
            }
            Command::Actions { .. }
            | Command::Page(_)
            | Command::Summary { .. }
            | Command::Adopt(..)
            | Command::Link(_)
            | Command::Decide(..)
            | Command::Erase(_)
            | Command::Offer(_)
            | Command::Reply(_)
            | Command::Turn(_)
            | Command::Resend(_)
            | Command::Help(_)
            | Command::Key(_)
            | Command::Switch(_)
            | Command::KeysUsed(_)
            | Command::ClearKv(_)
            | Command::RemoveTimers(..)
            | Command::Audit(..)
            | Command::Scrubbed(_)
            | Command::Ended(_) => {}
        }
    }

    /// Brings into memory what the inputs are about. Returns commands that come before them.
    async fn load(&mut self, inputs: &[Input], tx: &mut Tx) -> Result<Vec<Command>, StoreError> {
        self.unshare_erased(inputs, tx.now()).await?;
        let fresh = self.read(tx, |core, tx| core.prepare(commands(inputs), tx)).await?;
        let Some(shared) = self.shared.as_ref().filter(|_| !fresh.is_empty()) else {
            return Ok(Vec::new());
        };
        let one_product = self.core.settings().has_one_product();
        let read = shared.read(&fresh, one_product, tx.now()).await;
        let imported = match read {
            Ok(imported) => imported,
            Err(error) => {
                // What can't be read now is asked for again with their rows.
                self.core.unload(&fresh);
                return Err(error);
            }
        };
        let adopted: Vec<_> =
            imported.into_iter().map(|(key, imported)| Command::Adopt(key, imported)).collect();
        if !adopted.is_empty() {
            let all = || adopted.iter().chain(commands(inputs));
            self.read(tx, |core, tx| core.prepare(all(), tx)).await?;
        }
        Ok(adopted)
    }

    /// Removes the shared copies of sessions that are to be erased.
    async fn unshare_erased(&self, inputs: &[Input], now: Timestamp) -> Result<(), StoreError> {
        let Some(shared) = &self.shared else { return Ok(()) };
        let erased = commands(inputs).filter_map(|command| match command {
            Command::Erase(order) => Some(order.keys.clone()),
            Command::Actions { .. }
            | Command::Page(_)
            | Command::Summary { .. }
            | Command::Adopt(..)
            | Command::Link(_)
            | Command::Decide(..)
            | Command::Offer(_)
            | Command::Reply(_)
            | Command::Turn(_)
            | Command::Resend(_)
            | Command::Help(_)
            | Command::Key(_)
            | Command::Switch(_)
            | Command::KeysUsed(_)
            | Command::ClearKv(_)
            | Command::RemoveTimers(..)
            | Command::Audit(..)
            | Command::Scrubbed(_)
            | Command::Ended(_)
            | Command::Drain
            | Command::Stop => None,
        });
        let keys: Vec<_> = erased.flatten().collect();
        if keys.is_empty() {
            return Ok(());
        }
        shared.remove(keys, self.core.settings().has_one_product(), now).await
    }

    /// Asks the core until no row is missing any more.
    async fn read<T>(
        &mut self,
        tx: &mut Tx,
        mut ask: impl FnMut(&mut Core, &mut Tx) -> Result<T, Missing>,
    ) -> Result<T, StoreError> {
        loop {
            match ask(&mut self.core, tx) {
                Ok(answer) => return Ok(answer),
                Err(missing) => fetch(&*self.store, missing, &mut tx.view).await?,
            }
        }
    }

    /// Removes what has expired, where that is due. It can wait while the store is away. `true`: it was due.
    async fn expire(&mut self, now: Timestamp) -> Result<bool, EngineError> {
        let mut tx = self.begin(now);
        match self.read(&mut tx, Core::expire).await {
            Ok(true) => self.end(tx, Vec::new(), &Beside::default()).await.map(|()| true),
            Ok(false) => Ok(false),
            Err(StoreError::Away(_) | StoreError::Refused(_)) => {
                self.core.put_off_expiry(now);
                Ok(true)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Ends a transaction: commits it with what was read of the inbox, and then tells and acts.
    async fn end(&mut self, tx: Tx, told: Vec<Told>, read: &Beside) -> Result<(), EngineError> {
        let now = tx.now();
        let Spent { changes, events, calls, undelivered, happened, accepted, records, keys } =
            self.core.finish(tx);
        self.commit(changes, read).await?;
        if keys.is_some() {
            self.keys.send_replace(keys);
        }
        self.counters.actions_accepted.add(accepted);
        events.into_iter().for_each(|event| self.publisher.tell(event));
        self.tap.tell(happened);
        for (reply, answer, capacity) in told {
            reply.tell(answer);
            drop(capacity);
        }
        undelivered.iter().for_each(|work| traced::undelivered(&self.traces, work, now));
        let jitter = self.core.settings().jitter;
        for call in calls {
            let traced = Traced::begin(&self.traces, &call, self.clock);
            let call = calls::make(self.post.clone(), call, jitter, self.clock, traced);
            let (latest, clock) = (self.latest.clone(), self.clock);
            self.calls.spawn(async move {
                let ended = call.await;
                latest.record(&ended.outcome, clock.now());
                Command::Ended(ended).into()
            });
        }
        self.scrub(now);
        if let Some(shared) = &self.shared {
            let record = |key: &_| Some((Clone::clone(key), self.core.record(key)?.clone()));
            let one_product = self.core.settings().has_one_product();
            shared.share(records.iter().filter_map(record).collect(), one_product, now);
        }
        Ok(())
    }

    /// Has the store's files written anew, where that is due; what was erased is committed by then.
    fn scrub(&mut self, now: Timestamp) {
        if self.core.begin_scrub(now) {
            let (store, journal) = (self.store.clone(), self.journal.clone());
            self.calls.spawn(async move {
                let mut scrubbed = store.scrub().await.map_err(|error| error.to_string());
                if let (Ok(()), Some(journal)) = (&scrubbed, journal) {
                    scrubbed = journal.scrub().await.map_err(|error| error.to_string());
                }
                Command::Scrubbed(scrubbed).into()
            });
        }
        let due = self.core.is_scrub_due();
        self.scrub_due.send_if_modified(|told| std::mem::replace(told, due) != due);
    }

    /// Puts settings in force. Between rounds only.
    fn change_settings(&mut self, change: Change) {
        let Change { settings, swap, reply } = change;
        let Some(swap) = inbox::take(&swap) else { return };
        swap();
        self.core.change_settings(settings.clone(), self.clock.now());
        self.in_force.send_replace(settings);
        self.settings_changed = true;
        if reply.send(()).is_err() {
            tracing::debug!("whoever asked for other settings didn't wait for them");
        }
    }
}

/// An answer, who is told it, and what is given back with it.
type Told = (inbox::Reply, Answer, Option<tokio::sync::OwnedSemaphorePermit>);

fn commands(inputs: &[Input]) -> impl Iterator<Item = &Command> {
    inputs.iter().filter_map(Input::command)
}

/// Reads what a view lacks.
async fn fetch(store: &dyn Store, missing: Missing, view: &mut View) -> Result<(), StoreError> {
    for (table, groups) in missing.groups {
        let rows = store.load(table, &groups).await?;
        groups.into_iter().zip(rows).for_each(|(group, rows)| view.put(table, group, rows));
    }
    for of in missing.pages {
        let PageOf { table, after, limit } = of.clone();
        let page = store.scan(table, after, limit).await?;
        view.put_page(of, page);
    }
    Ok(())
}

/// What the core asks of plugins.
struct Asking(Arc<dyn Post>);

impl Plugins for Asking {
    fn redacts(&self, plugin: &PluginName) -> Option<bool> {
        self.0.redacts(plugin)
    }

    fn is_coming(&self, plugin: &PluginName) -> bool {
        self.0.is_coming(plugin)
    }

    fn offers(&self, plugin: &PluginName) -> Option<bool> {
        self.0.offers(plugin)
    }

    fn roles(&self, plugin: &PluginName) -> Option<Roles> {
        self.0.roles(plugin)
    }
}
