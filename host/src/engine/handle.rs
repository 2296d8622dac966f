//! The way into the engine for the other stages.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

use crate::access::Actor;
use crate::engine::backlog::Askers;
use crate::engine::core::audit::{Act, Deed, Subject, SubjectKind};
use crate::engine::core::keys::KeyTable;
use crate::engine::core::link::{LinkCommand, LinkError, Linked, Who};
use crate::engine::core::{Backlog, Command, Counters, Decision, Gate, NoteRef, Settings};
use crate::engine::feed::{Feed, Listeners};
use crate::engine::inbox::{self, Asked, Change, Closed, Entry, Input, Reply, Summary, Swap};
use crate::engine::latest::{Attempted, Latest};
use crate::engine::progress::Turns;
use crate::engine::state::StoreState;
use crate::engine::tap::{Follower, Tap, TooMany};
use crate::ids::{ProductId, SessionId, SessionKey, shown};
use crate::outbox::account::AccountState;
use crate::post::Post;
use crate::session::payload::{ActionsPayload, Payload, SummaryPayload};
use crate::session::state::Covers;
use crate::session::text::printable;
use crate::store::Store;

/// Inputs that can wait.
pub(super) const INBOX: usize = 1024;
/// Orders that can wait.
pub(super) const CONTROL: usize = 16;
/// Bytes of actions that can wait, in KiB.
pub(super) const INBOX_KIB: u32 = 64 * 1024;
/// How long a link waits for its commit before it is said to be unavailable.
const LINK_PATIENCE: Duration = Duration::from_secs(10);

/// A cheap handle on the engine.
#[derive(Clone)]
pub struct Handle {
    pub(super) inbox: mpsc::Sender<Input>,
    /// What is heard also while nothing is accepted.
    pub(super) control: mpsc::Sender<Input>,
    pub(super) gate: Gate,
    pub(super) capacity: Arc<Semaphore>,
    pub(super) counters: Arc<Counters>,
    pub(super) settings: watch::Receiver<Arc<Settings>>,
    /// Only read: what changes goes through the engine.
    pub(super) store: Arc<dyn Store>,
    /// Only asked what plugins can do.
    pub(super) post: Arc<dyn Post>,
    /// Whether something of what was erased may be left in the store's files.
    pub(super) scrub_due: watch::Receiver<bool>,
    pub(super) store_state: watch::Receiver<StoreState>,
    pub(super) listeners: Listeners,
    pub(super) tap: Tap,
    pub(super) latest: Latest,
    pub(super) turns: Turns,
    pub(super) backlog: Askers,
    pub(super) keys: watch::Receiver<Option<Arc<KeyTable>>>,
    /// On whose account; `None`: the host's own.
    pub(super) by: Option<Actor>,
}

/// How much waits to be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InboxLevel {
    /// Events, links and the like.
    pub inputs: u64,
    /// The size of what came in and isn't committed, in whole KiB per event.
    pub bytes: u64,
}

/// Why settings aren't in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unchanged {
    /// The engine has ended.
    #[error("the engine has ended")]
    Closed,
    /// It waits for the store.
    #[error("the store keeps the engine busy; try again when it answers")]
    Busy,
}

impl Handle {
    /// The attempts that ended last, the latest first.
    pub fn latest_attempts(&self) -> Vec<Attempted> {
        self.latest.attempts()
    }

    /// Hands over an event of the stream. `bytes` is its size on the wire. Waits while the inbox is
    /// full: that is what pauses the stream. What can't be used is counted, never an error.
    pub async fn accept(&self, payload: Payload, bytes: usize) -> Result<(), Closed> {
        match payload {
            Payload::Actions(batch) => self.submit(batch, bytes, None, None).await.map(drop),
            Payload::Summary(told) => {
                let SummaryPayload {
                    product_id,
                    session_id,
                    summary: text,
                    replaces,
                    forwarded_at,
                } = told;
                let Some(key) = self.key(&product_id, session_id.as_deref()) else {
                    self.counters.summaries_ignored.add(1);
                    return Ok(());
                };
                let covers = Covers::Next(replaces);
                let command = summary(key, text, covers, forwarded_at);
                self.submit_summary(command, bytes, None, None).await
            }
        }
    }

    /// Hands over a summary that covers all actions of a session up to the `covers`th, counted from 1 in
    /// the order in which they were accepted ([`Record::left`](crate::session::state::Record)). Where the
    /// session is linked it is posted behind what was sealed before, and takes the place of the notes that
    /// it covers once it is on record as sent. Returns after the commit.
    ///
    /// # Errors
    /// The engine has ended.
    pub async fn summarize(
        &self,
        key: SessionKey,
        text: String,
        covers: u64,
    ) -> Result<Summary, Closed> {
        if self.settings().product(&key.product).is_none() || text.trim().is_empty() {
            self.counters.summaries_ignored.add(1);
            return Ok(Summary::Unusable);
        }
        let (reply, answer) = oneshot::channel();
        let bytes = text.len();
        let covers = Covers::Through(covers);
        self.submit_summary(summary(key, text, covers, 0.0), bytes, Some(reply), None).await?;
        answer.await.map_err(|_| Closed)
    }

    /// As [`Handle::accept`], but returns only after the commit: what was usable is *accepted* then.
    pub async fn accept_committed(
        &self,
        batch: ActionsPayload,
        bytes: usize,
    ) -> Result<(), Closed> {
        self.accept_through(Payload::Actions(batch), bytes, None).await.map(drop)
    }

    /// As [`Handle::accept`], but returns only after the commit, of a summary too. `false`: nothing of it
    /// can be used, and that is counted. `once`: what it is known again by where it may come through several hosts; the
    /// owner of its partition accepts it once, while it remembers it. Where there is one host, whoever calls this
    /// knows what comes again.
    ///
    /// # Errors
    /// The engine has ended, or nobody has answered in time.
    pub async fn accept_through(
        &self,
        payload: Payload,
        bytes: usize,
        once: Option<u64>,
    ) -> Result<bool, Closed> {
        let told = match payload {
            Payload::Actions(batch) => {
                let (accepted, committed) = oneshot::channel();
                return match self.submit(batch, bytes, Some(accepted), once).await? {
                    Submitted::Queued => committed.await.map(|()| true).map_err(|_| Closed),
                    Submitted::Unusable => Ok(false),
                };
            }
            Payload::Summary(told) => told,
        };
        let SummaryPayload { product_id, session_id, summary: text, replaces, forwarded_at } = told;
        let key = self.key(&product_id, session_id.as_deref());
        let Some(key) = key.filter(|_| !text.trim().is_empty()) else {
            self.counters.summaries_ignored.add(1);
            return Ok(false);
        };
        let (reply, committed) = oneshot::channel();
        let command = summary(key, text, Covers::Next(replaces), forwarded_at);
        self.submit_summary(command, bytes, Some(reply), once).await?;
        match committed.await {
            Ok(Summary::Accepted(_) | Summary::Journalled | Summary::Known) => Ok(true),
            Ok(Summary::Unusable) => Ok(false),
            Ok(Summary::Unanswered) | Err(_) => Err(Closed),
        }
    }

    /// Links a session to a conversation; returns after the commit.
    pub async fn link(&self, command: LinkCommand) -> Result<Linked, LinkError> {
        let command = command.believed(&self.settings(), &self.counters)?;
        let deed = self.linking(&command);
        let (reply, answer) = oneshot::channel();
        // Nothing is accepted at the moment, and whoever asks can ask again: they are told at once.
        if self.store_state() != StoreState::Serving {
            return Err(LinkError::Unavailable);
        }
        let submit = async {
            let (command, reply) = (Command::Link(command), Reply::Link(reply));
            let asked = Asked { command, reply, capacity: None, deed, once: None };
            self.inbox.send(asked.into()).await.map_err(|_| LinkError::Closed)?;
            answer.await.map_err(|_| LinkError::Closed)?
        };
        tokio::time::timeout(LINK_PATIENCE, submit).await.map_err(|_| LinkError::Unavailable)?
    }

    /// What is put on record of a link.
    fn linking(&self, command: &LinkCommand) -> Option<Deed> {
        let (product, session) = match &command.who {
            Who::Session(key) => (Some(&key.product), Some(&key.session)),
            Who::SessionOf(products, session) => {
                (products.first().filter(|_| products.len() == 1), Some(session))
            }
            Who::Person { .. } => (None, None),
        };
        let of = product.map_or("", ProductId::as_str);
        let subject = Subject::of(of, SubjectKind::Session, session.map_or("", SessionId::as_str));
        self.deed(Act::Link { plugin: command.plugin.clone(), subject }, product)
    }

    /// Has a person's decision carried out. Returns how many of the notes it was carried out for, after
    /// the commit: a note that was sent meanwhile isn't among them.
    ///
    /// # Errors
    /// The engine has ended.
    pub async fn decide(&self, decision: Decision, notes: Vec<NoteRef>) -> Result<usize, Closed> {
        self.decide_as(decision, notes, None).await
    }

    pub(super) async fn decide_as(
        &self,
        decision: Decision,
        notes: Vec<NoteRef>,
        deed: Option<Deed>,
    ) -> Result<usize, Closed> {
        let (reply, answer) = oneshot::channel();
        self.order(Command::Decide(decision, notes), deed, Reply::Decided(reply)).await?;
        answer.await.map_err(|_| Closed)
    }

    /// How the plugins stand with their platforms.
    pub fn accounts(&self) -> Vec<AccountState> {
        self.gate.states()
    }

    /// What waits for each plugin. Where the engine waits for its store, what waited when it was asked last.
    pub async fn backlog(&self) -> Vec<Backlog> {
        self.backlog.ask().await
    }

    /// How much waits to be accepted.
    pub fn inbox_level(&self) -> InboxLevel {
        let free = u32::try_from(self.capacity.available_permits()).unwrap_or(INBOX_KIB);
        InboxLevel {
            inputs: INBOX.saturating_sub(self.inbox.capacity()) as u64,
            bytes: u64::from(INBOX_KIB.saturating_sub(free)) * 1024,
        }
    }

    /// Asks the engine to seal what is open, post what is queued, and end. Returns when it is asked.
    pub async fn drain(&self) {
        if self.order(Command::Drain, None, Reply::Nobody).await.is_err() {
            tracing::debug!("the engine has ended before it was drained");
        }
    }

    /// Asks the engine to end without waiting for posts under way: they are sent again after the next
    /// start. For when a drain takes too long.
    pub async fn stop(&self) {
        if self.order(Command::Stop, None, Reply::Nobody).await.is_err() {
            tracing::debug!("the engine has ended before it was stopped");
        }
    }

    /// How the store serves the engine.
    pub fn store_state(&self) -> StoreState {
        *self.store_state.borrow()
    }

    /// Gives an order, which is heard also while nothing is accepted.
    pub(super) async fn order(
        &self,
        command: Command,
        deed: Option<Deed>,
        reply: Reply,
    ) -> Result<(), Closed> {
        let order = Asked { command, reply, capacity: None, deed, once: None };
        self.control.send(order.into()).await.map_err(|_| Closed)
    }

    /// Whether the engine has ended.
    pub fn has_ended(&self) -> bool {
        self.inbox.is_closed()
    }

    /// The running totals.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The engine's part of the configuration, as it is in force.
    pub fn settings(&self) -> Arc<Settings> {
        self.settings.borrow().clone()
    }

    /// Puts other settings in force between two rounds, and does `swap` in the same moment: what was handed over
    /// before goes by the settings before. What was accepted of a product that isn't configured any more goes on by
    /// the settings of `[delivery]`. `swap` must not wait for anything.
    ///
    /// # Errors
    /// The engine has ended, or the store kept it busy for all of `patience`. Nothing is changed then.
    pub async fn change_settings(
        &self,
        settings: Settings,
        swap: impl FnOnce() + Send + 'static,
        patience: Duration,
    ) -> Result<(), Unchanged> {
        let (reply, mut answer) = oneshot::channel();
        let swap: Swap = Arc::new(Mutex::new(Some(Box::new(swap))));
        let change = Change { settings: Arc::new(settings), swap: swap.clone(), reply };
        let asked = async {
            let sent = self.control.send(Input::Settings(change)).await;
            sent.map_err(|_| Unchanged::Closed)?;
            (&mut answer).await.map_err(|_| Unchanged::Closed)
        };
        match tokio::time::timeout(patience, asked).await {
            Ok(answered) => answered,
            Err(_) if inbox::take(&swap).is_some() => Err(Unchanged::Busy),
            // The engine was first.
            Err(_) => answer.await.map_err(|_| Unchanged::Closed),
        }
    }

    async fn submit(
        &self,
        batch: ActionsPayload,
        bytes: usize,
        accepted: Option<oneshot::Sender<()>>,
        once: Option<u64>,
    ) -> Result<Submitted, Closed> {
        let Some(key) = self.named(&batch) else { return Ok(Submitted::Unusable) };
        let batch = batch.printable();
        let command = Command::Actions { key, batch, bytes, accepted_at: None };
        let reply = accepted.map_or(Reply::Nobody, Reply::Accepted);
        self.hand_over(command, reply, bytes, once).await?;
        Ok(Submitted::Queued)
    }

    /// The session of a batch, where it can be used; counted and told of where not.
    pub(super) fn named(&self, batch: &ActionsPayload) -> Option<SessionKey> {
        let Some(session) = batch.session_id.as_deref().and_then(|id| self.session(id)) else {
            count_drop(&self.counters.dropped_no_session, batch, "it has no usable session id");
            return None;
        };
        let product = ProductId::new(batch.product_id.as_str()).ok();
        let settings = self.settings();
        let Some(product) = product.filter(|id| settings.product(id).is_some()) else {
            count_drop(
                &self.counters.dropped_unknown_product,
                batch,
                "its product isn't configured",
            );
            return None;
        };
        Some(SessionKey { product, session })
    }

    async fn submit_summary(
        &self,
        summary: Option<Command>,
        bytes: usize,
        reply: Option<oneshot::Sender<Summary>>,
        once: Option<u64>,
    ) -> Result<(), Closed> {
        // A text that says nothing must not take the place of anything.
        let Some(command) = summary else {
            self.counters.summaries_ignored.add(1);
            return Ok(());
        };
        self.hand_over(command, reply.map_or(Reply::Nobody, Reply::Summary), bytes, once).await
    }

    /// Puts a command of so many bytes into the inbox, as soon as it has the capacity.
    pub(super) async fn hand_over(
        &self,
        command: Command,
        reply: Reply,
        bytes: usize,
        once: Option<u64>,
    ) -> Result<(), Closed> {
        let capacity = self.capacity_for(bytes).await?;
        let asked = Asked { command, reply, capacity: Some(capacity), deed: None, once };
        self.inbox.send(asked.into()).await.map_err(|_| Closed)
    }

    /// Puts what was read of a partition's inbox into the engine's, as soon as that has the capacity.
    pub(super) async fn hand_over_entry(
        &self,
        mut entry: Entry,
        bytes: usize,
    ) -> Result<(), Closed> {
        if let Some(asked) = &mut entry.asked {
            asked.capacity = Some(self.capacity_for(bytes).await?);
        }
        self.inbox.send(Input::Entry(Box::new(entry))).await.map_err(|_| Closed)
    }

    /// Waits until so many bytes may come in.
    async fn capacity_for(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Closed> {
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX).clamp(1, INBOX_KIB);
        self.capacity.clone().acquire_many_owned(kib).await.map_err(|_| Closed)
    }

    /// Whether a session's id can be used: two people whose programs know of none are not one session.
    pub fn names_session(&self, id: &str) -> bool {
        self.settings().names().names_somebody(id)
    }

    fn session(&self, id: &str) -> Option<SessionId> {
        if !self.names_session(id) {
            self.counters.nobody_ids.add(1);
            return None;
        }
        SessionId::new(id).ok()
    }

    /// The session of a configured product.
    fn key(&self, product: &str, session: Option<&str>) -> Option<SessionKey> {
        let session = self.session(session?)?;
        let settings = self.settings();
        let product = ProductId::new(product).ok().filter(|id| settings.product(id).is_some())?;
        Some(SessionKey { product, session })
    }

    /// Follows what is committed from here on. Only where a history is kept is anything told.
    pub fn feed(&self) -> Feed {
        self.listeners.feed()
    }

    /// Follows what happens from here on, for an operator who watches.
    ///
    /// # Errors
    /// As many follow as may.
    pub fn tap(&self) -> Result<Follower, TooMany> {
        self.tap.follow()
    }

    /// How much was told so far. What a call of this handle was answered before is told to a follower by the
    /// time that its [`Feed::position`] has come this far.
    pub fn feed_position(&self) -> u64 {
        self.listeners.position()
    }
}

enum Submitted {
    Queued,
    Unusable,
}

/// A summary as a command; `None` where it says nothing.
fn summary(key: SessionKey, text: String, covers: Covers, forwarded_at: f64) -> Option<Command> {
    if text.trim().is_empty() {
        return None;
    }
    let text = printable(&text).into_owned();
    Some(Command::Summary { key, text, covers, forwarded_at, accepted_at: None })
}

/// Counts a drop and says so, with the ids of its event.
fn count_drop(count: &crate::engine::core::Count, batch: &ActionsPayload, why: &str) {
    if let Some(total) = count.add_told(batch.actions.len() as u64) {
        tracing::warn!(
            product = shown(&batch.product_id),
            session = batch.session_id.as_deref().map(shown),
            total,
            "stream: actions of an event are dropped: {why}; this is said again when the total has doubled"
        );
    }
}
