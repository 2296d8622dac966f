//! When which session is summarized. Inputs and `now` in, effects out.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use crate::backoff::Backoff;
use crate::clock::Timestamp;
use crate::ids::SessionKey;

/// After so many failures in a row that every question would meet, one session at a time tries.
const SERVICE_FAILURES: u32 = 3;
/// Where the questions of so many sessions are refused and none is answered, it isn't the questions: the settings
/// or the account are wrong, which uses up nobody's attempts.
const REFUSED_SESSIONS: usize = 3;
/// A session of which nothing was heard for so long and of which nothing is to be done is forgotten; what
/// waits of it is in the store.
const QUIET: Duration = Duration::from_secs(300);
/// How long a look into the store that failed is waited with.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// Ends of batches that are told apart; what is more counts as one batch.
const MAX_ENDS: usize = 1024;

/// What decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// A session is summarized when so many of its actions wait; at least 1.
    pub threshold: u64,
    /// Questions at the same time; at least 1.
    pub parallel: usize,
    /// Most actions in one question; at least the threshold.
    pub max_actions: u64,
    /// Pauses after failures.
    pub backoff: Backoff,
    /// After so many refusals in a row a session waits for more actions.
    pub max_attempts: u32,
    /// Sessions in memory; those of which something is to be done go first.
    pub max_sessions: usize,
}

/// Rules that nothing can be done with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("summary: {rule} must be {wanted}")]
pub struct InvalidRules {
    /// Which.
    pub rule: &'static str,
    /// What it must be.
    pub wanted: &'static str,
}

/// A question's number; none is given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AskId(pub u64);

/// What happened. Actions are told by their ordinals: those of a session count from 1 as they are accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A batch was committed.
    Accepted {
        /// The session.
        key: SessionKey,
        /// Ordinal of its first action.
        first: u64,
        /// Ordinal of its last action.
        last: u64,
    },
    /// A summary was accepted, from wherever.
    Covered {
        /// The session.
        key: SessionKey,
        /// The ordinal up to which it covers.
        through: u64,
    },
    /// Everything of a session was erased: nothing of it may be told any more.
    Erased(SessionKey),
    /// What the store has of a session.
    Found(SessionKey, Found),
    /// The store could not be read.
    NotFound(SessionKey),
    /// The model answered; the question held the actions up to `through`.
    Answered {
        /// The question.
        id: AskId,
        /// The ordinal of the last action that was in it.
        through: u64,
    },
    /// Nothing is left in the store of what was to be asked: it expired.
    Nothing(AskId),
    /// There is no answer.
    Failed(AskId, Failure),
    /// The summary is committed.
    HandedOver(AskId),
}

/// What the store has of a session.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// The ordinal up to which its latest summary covers.
    pub covered: u64,
    /// The ordinals of the last actions of its batches, ascending.
    pub ends: Vec<u64>,
}

/// How a question failed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Failure {
    /// Whether every other question would fail too.
    pub of_service: bool,
    /// How long the provider asks to wait.
    pub retry_after: Option<Duration>,
    /// Chance, from 0 to 1, for the pause.
    pub random: f64,
}

impl Eq for Failure {}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Read from the store what waits of a session: [`Input::Found`] or [`Input::NotFound`].
    Look(SessionKey),
    /// Ask the model: [`Input::Answered`], [`Input::Nothing`] or [`Input::Failed`].
    Ask(Ask),
    /// Hand the answer to this question over: [`Input::HandedOver`] or [`Input::Failed`].
    HandOver(AskId),
    /// The answer to this question is of no use any more.
    Discard(AskId),
    /// Read from the store which sessions wait: there was no capacity for some, and there is again.
    Survey,
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Its number.
    pub id: AskId,
    /// The session.
    pub key: SessionKey,
    /// The actions behind this ordinal …
    pub after: u64,
    /// … up to this one.
    pub through: u64,
}

/// All sessions.
#[derive(Debug)]
pub struct Core {
    rules: Rules,
    sessions: HashMap<SessionKey, Session>,
    /// Sessions that are due, in the order in which they became it.
    ready: VecDeque<SessionKey>,
    timers: BTreeSet<(Timestamp, SessionKey)>,
    /// Questions under way, answered and not handed over yet included.
    asked: HashMap<AskId, Ask>,
    last_id: u64,
    service: Service,
    next_sweep: Timestamp,
    /// Whether there was no capacity for sessions since the last survey.
    missed: bool,
    turned_away: u64,
}

#[derive(Debug, Default)]
struct Session {
    /// Whether it was read what waits of it.
    known: bool,
    covered: u64,
    /// The ordinals of the last actions of batches behind `covered`.
    ends: VecDeque<u64>,
    asking: Option<AskId>,
    queued: bool,
    /// Failures in a row.
    failures: u32,
    /// Failures in a row that were this question's own.
    refusals: u32,
    /// Whether it waits for more actions.
    for_more: bool,
    until: Option<Timestamp>,
    heard: Timestamp,
}

/// How the model stands.
#[derive(Debug, Default)]
struct Service {
    failures: u32,
    until: Option<Timestamp>,
    /// Sessions whose questions were refused since anything was answered, up to [`REFUSED_SESSIONS`].
    refused: BTreeSet<SessionKey>,
}

impl Core {
    /// With nothing in it.
    ///
    /// # Errors
    /// Rules that nothing can be done with.
    pub fn new(rules: Rules) -> Result<Self, InvalidRules> {
        let invalid = |rule, wanted| Err(InvalidRules { rule, wanted });
        if rules.threshold < 1 {
            return invalid("threshold", "1 at least");
        }
        if rules.max_actions < rules.threshold {
            return invalid("max_actions", "the threshold at least");
        }
        if rules.parallel < 1 {
            return invalid("parallel", "1 at least");
        }
        Ok(Self {
            rules,
            sessions: HashMap::new(),
            ready: VecDeque::new(),
            timers: BTreeSet::new(),
            asked: HashMap::new(),
            last_id: 0,
            service: Service::default(),
            next_sweep: Timestamp::default(),
            missed: false,
            turned_away: 0,
        })
    }

    /// Takes what happened.
    pub fn on_input(&mut self, input: Input, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        match input {
            Input::Accepted { key, first, last } => {
                self.accepted(&key, (first, last), now, &mut effects)
            }
            Input::Covered { key, through } => {
                if let Some(session) = self.sessions.get_mut(&key) {
                    session.cover(through);
                    let stale = |ask: &&Ask| ask.key == key && ask.through <= through;
                    let asking = session.asking.and_then(|id| self.asked.get(&id)).filter(stale);
                    if asking.is_some() {
                        session.asking = None;
                    }
                    self.look_at(&key, now);
                }
            }
            Input::Erased(key) => self.forget(&key),
            Input::Found(key, found) => self.found(&key, found, now),
            Input::NotFound(key) => {
                if let Some(session) = self.sessions.get_mut(&key) {
                    session.until = Some(now + LOOK_AGAIN);
                    self.timers.insert((now + LOOK_AGAIN, key));
                }
            }
            Input::Answered { id, through } => {
                self.service = Service::default();
                let Some(ask) = self.asked.get_mut(&id) else { return effects };
                ask.through = through.clamp(ask.after, ask.through);
                let session = self.sessions.get(&ask.key);
                if session.is_some_and(|session| session.asking == Some(id)) {
                    effects.push(Effect::HandOver(id));
                } else {
                    self.asked.remove(&id);
                    effects.push(Effect::Discard(id));
                }
            }
            Input::Nothing(id) | Input::HandedOver(id) => self.done(id, now),
            Input::Failed(id, failure) => self.failed(id, failure, now),
        }
        self.begin(now, &mut effects);
        effects
    }

    /// Does what is due.
    pub fn on_timer(&mut self, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        while self.timers.first().is_some_and(|(at, _)| *at <= now) {
            let Some((at, key)) = self.timers.pop_first() else { break };
            let Some(session) = self.sessions.get_mut(&key) else { continue };
            // A timer that was set for an earlier pause means nothing.
            if session.until != Some(at) {
                continue;
            }
            session.until = None;
            if session.known {
                self.look_at(&key, now);
            } else {
                effects.push(Effect::Look(key));
            }
        }
        if now >= self.next_sweep {
            self.sweep(now, QUIET);
        }
        if self.missed && self.sessions.len() <= self.rules.max_sessions / 2 {
            self.missed = false;
            effects.push(Effect::Survey);
        }
        self.begin(now, &mut effects);
        effects
    }

    /// When [`Core::on_timer`] has something to do.
    pub fn next_timer(&self) -> Option<Timestamp> {
        let timer = self.timers.first().map(|(at, _)| *at);
        let service = self.service.until.filter(|_| !self.ready.is_empty());
        let sweep = (!self.sessions.is_empty() || self.missed).then_some(self.next_sweep);
        [timer, service, sweep].into_iter().flatten().min()
    }

    /// The actions of a session that are too few for a summary: those behind this ordinal, and how many they
    /// are. `None` where there are none.
    pub fn too_few(&self, key: &SessionKey) -> Option<(u64, u64)> {
        let session = self.sessions.get(key)?;
        let mut covered = session.covered;
        if let Some(ask) = session.asking.and_then(|id| self.asked.get(&id)) {
            covered = covered.max(ask.through);
        }
        let last = session.last();
        while let Some(through) = session.due(covered, false, &self.rules) {
            covered = through;
        }
        (last > covered).then_some((covered, last - covered))
    }

    /// The sessions in memory.
    pub fn sessions(&self) -> impl Iterator<Item = &SessionKey> {
        self.sessions.keys()
    }

    /// How often there was no capacity for a session in memory. What waits of it is in the store.
    pub fn turned_away(&self) -> u64 {
        self.turned_away
    }

    /// The question of this number, while it is under way.
    pub fn asked(&self, id: AskId) -> Option<&Ask> {
        self.asked.get(&id)
    }

    fn accepted(
        &mut self,
        key: &SessionKey,
        (first, last): (u64, u64),
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        if !self.sessions.contains_key(key) {
            if !self.has_capacity(now) {
                return;
            }
            // Before its first action there is nothing to be read.
            let known = first <= 1;
            if !known {
                effects.push(Effect::Look(key.clone()));
            }
            self.sessions.insert(key.clone(), Session { known, ..Session::default() });
        }
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.heard = now;
        session.add(last);
        session.for_more = false;
        // A first failure is mostly one that passes: who goes on acting has it tried again at once.
        if session.known
            && session.failures == 1
            && session.refusals <= 1
            && !self.service.is_closed(now)
        {
            session.until = None;
        }
        self.look_at(key, now);
    }

    fn found(&mut self, key: &SessionKey, found: Found, now: Timestamp) {
        if !self.sessions.contains_key(key) {
            if !self.has_capacity(now) {
                return;
            }
            self.sessions.insert(key.clone(), Session::default());
        }
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.known = true;
        session.heard = now;
        session.until = None;
        let heard = std::mem::take(&mut session.ends);
        let mut ends: Vec<_> = found.ends.into_iter().chain(heard).collect();
        ends.sort_unstable();
        for end in ends {
            session.add(end);
        }
        session.cover(found.covered);
        self.look_at(key, now);
    }

    fn done(&mut self, id: AskId, now: Timestamp) {
        let Some(ask) = self.asked.remove(&id) else { return };
        let Some(session) = self.sessions.get_mut(&ask.key) else { return };
        session.cover(ask.through);
        if session.asking == Some(id) {
            session.asking = None;
            (session.failures, session.refusals) = (0, 0);
        }
        self.look_at(&ask.key, now);
    }

    fn failed(&mut self, id: AskId, failure: Failure, now: Timestamp) {
        let Failure { of_service, retry_after, random } = failure;
        if !of_service && self.service.refused.len() < REFUSED_SESSIONS {
            self.service.refused.extend(self.asked.get(&id).map(|ask| ask.key.clone()));
        }
        let of_service = of_service || self.service.refused.len() >= REFUSED_SESSIONS;
        if of_service {
            self.service.failures += 1;
            let over = self.service.failures.saturating_sub(SERVICE_FAILURES - 1);
            if over > 0 || retry_after.is_some() {
                let pause = self.rules.backoff.pause(over.max(1), retry_after, random);
                self.service.until = Some(now + pause);
            }
        } else {
            (self.service.failures, self.service.until) = (0, None);
        }
        let Some(ask) = self.asked.remove(&id) else { return };
        let Some(session) = self.sessions.get_mut(&ask.key) else { return };
        if session.asking != Some(id) {
            return self.look_at(&ask.key, now);
        }
        session.asking = None;
        session.failures += 1;
        session.refusals = if of_service { 0 } else { session.refusals + 1 };
        session.for_more = session.refusals >= self.rules.max_attempts;
        let until = now + self.rules.backoff.pause(session.failures, retry_after, random);
        session.until = Some(until);
        self.timers.insert((until, ask.key.clone()));
        self.look_at(&ask.key, now);
    }

    /// Puts a session in the queue where it is due.
    fn look_at(&mut self, key: &SessionKey, now: Timestamp) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let waits = session.until.is_some_and(|until| until > now);
        let free = session.known && !session.queued && session.asking.is_none();
        if free
            && !waits
            && !session.for_more
            && session.due(session.covered, session.failures > 0, &self.rules).is_some()
        {
            session.queued = true;
            self.ready.push_back(key.clone());
        }
    }

    /// Begins questions, as many as there may be.
    fn begin(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        if self.service.is_closed(now) {
            return;
        }
        // A pause that is over is no timer any more.
        self.service.until = None;
        while self.asked.len() < self.most() {
            let Some(key) = self.ready.pop_front() else { break };
            let Some(session) = self.sessions.get_mut(&key) else { continue };
            session.queued = false;
            let due = session.due(session.covered, session.failures > 0, &self.rules);
            let Some(through) = due.filter(|_| session.asking.is_none()) else { continue };
            self.last_id += 1;
            let ask = Ask { id: AskId(self.last_id), key, after: session.covered, through };
            session.asking = Some(ask.id);
            session.until = None;
            self.asked.insert(ask.id, ask.clone());
            effects.push(Effect::Ask(ask));
        }
    }

    /// How many questions there may be at a time: one, while it is being tried whether the model is back.
    fn most(&self) -> usize {
        if self.service.failures >= SERVICE_FAILURES { 1 } else { self.rules.parallel }
    }

    fn forget(&mut self, key: &SessionKey) {
        // An answer that is under way finds nobody who asked.
        if self.sessions.remove(key).is_some_and(|session| session.queued) {
            self.ready.retain(|queued| queued != key);
        }
    }

    fn has_capacity(&mut self, now: Timestamp) -> bool {
        if self.sessions.len() >= self.rules.max_sessions {
            self.sweep(now, Duration::ZERO);
        }
        let has_capacity = self.sessions.len() < self.rules.max_sessions;
        if !has_capacity {
            self.missed = true;
            self.turned_away += 1;
        }
        has_capacity
    }

    /// Forgets the sessions of which nothing is to be done and nothing was heard for so long.
    fn sweep(&mut self, now: Timestamp, quiet: Duration) {
        self.next_sweep = now + QUIET / 5;
        self.sessions.retain(|_, session| {
            let busy = session.queued || session.asking.is_some() || session.until.is_some();
            busy || !session.known || now.since(session.heard) < quiet
        });
    }
}

impl Service {
    fn is_closed(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until > now)
    }
}

impl Session {
    fn last(&self) -> u64 {
        self.ends.back().copied().unwrap_or(0).max(self.covered)
    }

    fn add(&mut self, end: u64) {
        if end <= self.last() {
            return;
        }
        if self.ends.len() >= MAX_ENDS {
            self.ends.pop_back();
        }
        self.ends.push_back(end);
    }

    fn cover(&mut self, through: u64) {
        self.covered = self.covered.max(through);
        while self.ends.front().is_some_and(|end| *end <= self.covered) {
            self.ends.pop_front();
        }
    }

    /// The ordinal up to which a question goes: the first batches that are enough, and after a failure all
    /// that there are, so that there are fewer questions; never more than a question may hold.
    fn due(&self, covered: u64, all: bool, rules: &Rules) -> Option<u64> {
        let mut ends = self.ends.iter().copied();
        let enough = ends.find(|end| end.saturating_sub(covered) >= rules.threshold)?;
        let wanted = if all { self.last() } else { enough };
        Some(wanted.min(covered + rules.max_actions))
    }
}

#[cfg(test)]
mod tests;
