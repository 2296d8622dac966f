//! Queue, attempts, retries, expiry and dead letters, written once for every kind of delivery.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::engine::call::{Call, Work};
use crate::engine::counters::{Count, Counters};
use crate::engine::gate::{Accounts, CallKind, EngineId};
use crate::engine::settings::Settings;
use crate::engine::tap::Next;
use crate::engine::timers::Timers;
use crate::engine::tx::Tx;
use crate::ids::{ConversationId, PluginName, SessionKey};
use crate::outbox::note::Note;
use crate::rows::Change;
use crate::rules::Delivery;

/// Open batches that are read back at once, for their turn comes next.
pub(super) const READ_AT_ONCE: usize = 32;

/// What waits of one session, of one kind. What its changes put on record is stored before a call is made.
pub(super) trait Waiting {
    /// What left the queue because it was delivered.
    type Done;
    /// What isn't tried any more.
    type Dead;
    /// What its calls count as.
    const CALL: CallKind;

    /// What is counted of this kind.
    fn counts(counters: &Counters) -> Counts<'_>;

    /// The plugins of what can be tried and doesn't wait for its turn yet. It does from here on.
    fn take_ready(&mut self, now: Timestamp) -> Vec<PluginName>;

    /// Whether what would be tried next is to be sealed first.
    fn is_unsealed(&self) -> bool {
        false
    }

    /// It is this plugin's turn with the session.
    fn turn(&mut self, plugin: &PluginName, now: Timestamp) -> Turn;

    /// Takes in what was found [not to be sealed yet](Turn::Unsealed).
    fn seal(&mut self, _: &SessionKey, _: FirstAttempt, _: &mut dyn Sealer, _: &mut Tx) {}

    /// The platform takes nothing for the conversation of what has its turn before `until`.
    fn hold(
        &mut self,
        key: &SessionKey,
        plugin: &PluginName,
        now: Timestamp,
        until: Timestamp,
    ) -> Option<Change>;

    /// Begins the attempt at what has its turn.
    fn start(&mut self, key: &SessionKey, plugin: &PluginName, now: Timestamp) -> Option<Started>;

    /// Takes out what was tried for too long.
    fn take_spent(&mut self, now: Timestamp, rules: &Delivery) -> Vec<Self::Dead>;

    /// Puts a dead letter on record.
    fn dead_letter(&mut self, key: &SessionKey, dead: Self::Dead, tx: &mut Tx);

    /// When something is to be done.
    fn next_timer(&self, rules: &Delivery) -> Option<Timestamp>;

    /// The host ends while calls are under way. The rows that say so.
    fn cut(&mut self, key: &SessionKey) -> Vec<Change>;

    /// Whether nothing waits.
    fn is_empty(&self) -> bool;
}

/// Whose turn it is.
pub(super) enum Turn {
    /// Nothing can be tried.
    Nothing,
    /// What can be tried goes by another plugin, for which it waits from here on.
    By(PluginName),
    /// Something can be tried; for this conversation, where it is for one.
    Now(Option<ConversationId>),
    /// Something can be tried that is to be sealed first.
    Unsealed,
}

/// Seals what waits of sessions when its turn has come.
pub(in crate::engine) trait Sealer {
    /// Whether what is to be sealed is in memory.
    fn is_loaded(&self, key: &SessionKey) -> bool;

    /// Has it read back before the next transaction.
    fn read_back(&mut self, key: &SessionKey);

    /// Seals a note of the session's open batch, if there is anything to be sealed.
    fn seal(&mut self, key: &SessionKey, first: FirstAttempt, tx: &mut Tx) -> Option<Arc<Note>>;
}

/// Whether the first attempt at a note begins with its sealing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum FirstAttempt {
    Begins,
    Waits,
}

/// An attempt that was begun.
pub(super) struct Started {
    /// The row that says so, where nothing else that is stored does.
    pub(super) row: Option<Change>,
    pub(super) work: Work,
    pub(super) attempt: u32,
    /// It may take so long at most, where that is less than any call may.
    pub(super) limit: Option<Duration>,
}

/// What an outcome did.
pub(super) enum Finished<W: Waiting> {
    /// It is delivered.
    Done(W::Done),
    /// It is tried again, at this moment where that is known.
    Retry(Option<Change>, Option<Timestamp>),
    /// It is a dead letter.
    Dead(W::Dead),
}

/// What a kind counts of what doesn't succeed.
pub(super) struct Counts<'a> {
    /// Attempts that are followed by another.
    pub(super) failed: &'a Count,
    /// Dead letters.
    pub(super) dead: &'a Count,
}

/// What calls are begun by.
pub(super) struct Pass<'a> {
    pub(super) accounts: &'a mut Accounts,
    pub(super) engine: EngineId,
    pub(super) settings: &'a Settings,
    /// Plugins that are being made ready: nothing is begun with them until they are.
    pub(super) coming: &'a HashSet<PluginName>,
    /// Plugins for which notes wait: those go first.
    pub(super) notes_wait: HashSet<PluginName>,
    pub(super) sealer: &'a mut dyn Sealer,
}

/// All that waits of one kind.
pub(super) struct Pipeline<W> {
    of: HashMap<SessionKey, W>,
    timers: Timers,
    /// Sessions with something to be tried, in the order in which they came.
    ready: HashMap<PluginName, VecDeque<SessionKey>>,
}

impl<W> Default for Pipeline<W> {
    fn default() -> Self {
        Self { of: HashMap::new(), timers: Timers::default(), ready: HashMap::new() }
    }
}

impl<W: Waiting> Pipeline<W> {
    /// What waits of a session.
    pub(super) fn get(&self, key: &SessionKey) -> Option<&W> {
        self.of.get(key)
    }

    /// What waits of a session.
    pub(super) fn get_mut(&mut self, key: &SessionKey) -> Option<&mut W> {
        self.of.get_mut(key)
    }

    /// What waits of every session.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&SessionKey, &W)> {
        self.of.iter()
    }

    /// What waits of a session, made where there is nothing.
    pub(super) fn open(&mut self, key: &SessionKey) -> &mut W
    where
        W: Default,
    {
        if !self.of.contains_key(key) {
            self.of.insert(key.clone(), W::default());
        }
        self.of.get_mut(key).expect("it was put there if it was missing")
    }

    /// Takes up what was read of a session.
    pub(super) fn put(&mut self, key: &SessionKey, waiting: W) {
        if !waiting.is_empty() {
            self.of.insert(key.clone(), waiting);
        }
    }

    /// Forgets what waits of a session.
    pub(super) fn remove(&mut self, key: &SessionKey) -> Option<W> {
        self.timers.set(key, None);
        self.of.remove(key)
    }

    /// Whether something is to be done for a session at some moment.
    pub(super) fn has_timer(&self, key: &SessionKey) -> bool {
        self.timers.has(key)
    }

    /// The next moment at which something is due.
    pub(super) fn next_timer(&self) -> Option<Timestamp> {
        self.timers.next()
    }

    /// Takes the sessions for which something is due.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Vec<SessionKey> {
        self.timers.take_due(now)
    }

    /// The plugins for which something waits for its turn.
    pub(super) fn wanted(&self) -> impl Iterator<Item = &PluginName> {
        self.ready.iter().filter(|(_, ready)| !ready.is_empty()).map(|(plugin, _)| plugin)
    }

    /// Has what can be tried of a session wait for its turn.
    pub(super) fn enqueue(&mut self, key: &SessionKey, now: Timestamp) {
        let Some(waiting) = self.of.get_mut(key) else { return };
        for plugin in waiting.take_ready(now) {
            self.ready.entry(plugin).or_default().push_back(key.clone());
        }
    }

    /// Begins what can be begun. Returns the sessions whose turn it was.
    pub(super) fn begin(&mut self, pass: &mut Pass<'_>, tx: &mut Tx) -> Vec<SessionKey> {
        let mut turns = Vec::new();
        loop {
            let wanted: Vec<_> = self.wanted().cloned().collect();
            let before = turns.len();
            for plugin in wanted {
                while let Some(key) = self.next(pass, &plugin, tx.now) {
                    self.take_turn(pass, &plugin, &key, tx);
                    pass.accounts.wake_next(pass.engine, &plugin);
                    turns.push(key);
                }
            }
            // What goes by another plugin than it waited for may have come behind its queue was looked at.
            if turns.len() == before {
                return turns;
            }
        }
    }

    /// The next session whose turn it is with the plugin, where a call may be begun.
    fn next(
        &mut self,
        pass: &mut Pass<'_>,
        plugin: &PluginName,
        now: Timestamp,
    ) -> Option<SessionKey> {
        let ready = self.ready.get_mut(plugin).filter(|ready| !ready.is_empty())?;
        let notes_wait = pass.notes_wait.contains(plugin);
        let turn = !pass.coming.contains(plugin)
            && pass.accounts.has_turn(pass.engine, W::CALL, plugin, notes_wait, now);
        if !turn {
            return None;
        }
        let waits = |key: &SessionKey, sealer: &dyn Sealer| {
            self.of.get(key).is_some_and(W::is_unsealed) && !sealer.is_loaded(key)
        };
        if waits(ready.front()?, pass.sealer) {
            // It keeps its place. Those behind it are read with it.
            for key in ready.iter().take(READ_AT_ONCE) {
                if waits(key, pass.sealer) {
                    pass.sealer.read_back(key);
                }
            }
            pass.accounts.wake_next(pass.engine, plugin);
            return None;
        }
        ready.pop_front()
    }

    /// The sessions that wait for their turn with a plugin.
    pub(super) fn waiting_for(&mut self, plugin: &PluginName) -> Vec<SessionKey> {
        self.ready.get(plugin).into_iter().flatten().cloned().collect()
    }

    fn take_turn(
        &mut self,
        pass: &mut Pass<'_>,
        plugin: &PluginName,
        key: &SessionKey,
        tx: &mut Tx,
    ) {
        let now = tx.now;
        let Some(waiting) = self.of.get_mut(key) else { return };
        let mut turn = waiting.turn(plugin, now);
        if let Turn::Unsealed = turn {
            waiting.seal(key, FirstAttempt::Begins, pass.sealer, tx);
            turn = waiting.turn(plugin, now);
        }
        match turn {
            Turn::Nothing | Turn::Unsealed => {}
            Turn::By(other) => self.ready.entry(other).or_default().push_back(key.clone()),
            Turn::Now(conversation) => {
                let limit = conversation.and_then(|id| pass.accounts.limit_of(plugin, &id, now));
                if let Some(until) = limit {
                    tx.extend(waiting.hold(key, plugin, now, until));
                } else if let Some(started) = waiting.start(key, plugin, now) {
                    let Started { row, work, attempt, limit } = started;
                    tx.extend(row);
                    let probe = pass.accounts.begin(plugin, W::CALL, now);
                    if probe {
                        tx.accounts.insert(plugin.clone());
                    }
                    let timeout = pass.settings.rules(&key.product).call_timeout;
                    let timeout = limit.map_or(timeout, |limit| limit.min(timeout));
                    tx.call(Call { work, attempt, timeout, probe });
                }
            }
        }
        self.enqueue(key, now);
    }

    /// Takes what came of a call. Returns what was delivered.
    pub(super) fn end(
        &mut self,
        key: &SessionKey,
        finish: impl FnOnce(&mut W) -> Option<Finished<W>>,
        tx: &mut Tx,
        counters: &Counters,
    ) -> Option<W::Done> {
        let waiting = self.of.get_mut(key)?;
        let finished = finish(waiting)?;
        tx.touched.push(key.clone());
        match finished {
            Finished::Done(done) => {
                tx.next = Some((Next::Done, None));
                return Some(done);
            }
            Finished::Retry(row, at) => {
                tx.next = Some((Next::Retry, at));
                W::counts(counters).failed.add(1);
                tx.extend(row);
            }
            Finished::Dead(dead) => {
                tx.next = Some((Next::Dead, None));
                self.dead_letter(key, dead, tx, counters);
            }
        }
        None
    }

    /// Dead-letters what was tried for too long.
    pub(super) fn expire(
        &mut self,
        key: &SessionKey,
        rules: &Delivery,
        tx: &mut Tx,
        counters: &Counters,
    ) {
        let Some(waiting) = self.of.get_mut(key) else { return };
        for dead in waiting.take_spent(tx.now, rules) {
            self.dead_letter(key, dead, tx, counters);
        }
        tx.touched.push(key.clone());
    }

    pub(super) fn dead_letter(
        &mut self,
        key: &SessionKey,
        dead: W::Dead,
        tx: &mut Tx,
        counters: &Counters,
    ) {
        W::counts(counters).dead.add(1);
        if let Some(waiting) = self.of.get_mut(key) {
            waiting.dead_letter(key, dead, tx);
        }
        tx.touched.push(key.clone());
    }

    /// Sets a session's timer; forgets the session where nothing waits.
    pub(super) fn settle(&mut self, key: &SessionKey, rules: &Delivery) {
        let Some(waiting) = self.of.get(key) else { return };
        if waiting.is_empty() {
            self.remove(key);
        } else {
            self.timers.set(key, waiting.next_timer(rules));
        }
    }

    /// The host ends: the rows of the calls that are cut off.
    pub(super) fn cut(&mut self) -> Vec<Change> {
        self.of.iter_mut().flat_map(|(key, waiting)| waiting.cut(key)).collect()
    }
}
