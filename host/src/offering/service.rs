//! The stage: follows what is committed and evaluates the triggers of each session's product.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};

use super::decide::{Parts, Wanted};
use super::sessions::Sessions;
use crate::clock::{Clock, Timestamp};
use crate::engine::feed::{Committed, Next, What};
use crate::engine::helping::{AsOf, Helped};
use crate::engine::history::History;
use crate::engine::{Closed, Handle};
use crate::ids::{PluginName, SessionKey};
use crate::llm::Caller;
use crate::plugin::{Registry, TriggerContext};
use crate::prompts::Prompts;
use crate::store::StoreError;
use crate::triggers::context::Context;
use crate::triggers::judge::Question;
use crate::triggers::{Answers, Outcome, Triggers};

/// Sessions that are evaluated by tasks of their own at once: those that ask plugins or a judge.
const TOGETHER: usize = 256;
/// A session in which things are done all the time is evaluated so often.
const PAUSE: Duration = Duration::from_millis(300);
/// How often sessions are forgotten.
const SWEEP: Duration = Duration::from_secs(30);
/// Sessions that are watched at most; beyond that they are read again when something happens.
const MAX_SESSIONS: usize = 65_536;

/// The stage: [`Offering::run`] runs it.
pub struct Offering {
    parts: Parts,
    clock: Clock,
    sessions: Sessions,
    tasks: JoinSet<Ended>,
    /// Sessions whose plugins are to be asked when a task has ended, each once.
    waiting: VecDeque<SessionKey>,
    swept: Timestamp,
}

/// How a task ended.
enum Ended {
    Read(SessionKey, Result<(Option<Helped>, History), StoreError>),
    Answered(SessionKey, Answers),
    Decided(SessionKey, Result<(), Closed>),
}

impl Offering {
    /// Offers help in the sessions of this engine. `judge` is asked about hits that wait for one.
    pub fn new(
        engine: Handle,
        registry: Arc<Registry>,
        judge: Option<(Caller, Arc<Prompts>)>,
        clock: Clock,
    ) -> Self {
        let parts = Parts { engine, registry, judge };
        let (sessions, tasks, waiting) = Default::default();
        Self { parts, clock, sessions, tasks, waiting, swept: clock.now() }
    }

    /// Runs until the engine ends. Safe to be dropped at any moment: what was decided is with the engine.
    ///
    /// # Errors
    /// A task panicked: a bug.
    pub async fn run(mut self) -> Result<(), JoinError> {
        let mut feed = self.parts.engine.feed();
        loop {
            let at = self.sessions.next_look().unwrap_or(self.clock.now() + SWEEP);
            let due = tokio::time::sleep_until(self.clock.instant(at));
            tokio::select! {
                next = feed.next() => match next {
                    Ok(Next::Committed(committed)) => self.hear(&committed),
                    Ok(Next::Behind) => {
                        tracing::warn!("offers: they fell behind what is committed; sessions are read again when something happens");
                        self.sessions.clear();
                    }
                    Err(Closed) => return Ok(()),
                },
                Some(ended) = self.tasks.join_next() => {
                    self.end(ended?);
                    self.ask_waiting();
                }
                () = due => {
                    for key in self.sessions.take_due(self.clock.now()) {
                        self.evaluate(&key, &Answers::default());
                    }
                }
            }
            self.sweep();
        }
    }

    fn hear(&mut self, committed: &Committed) {
        let (key, now) = (&committed.key, self.clock.now());
        if self.triggers(key).is_none() {
            return;
        }
        match &committed.what {
            What::Batch(kept) => {
                self.sessions.on_batch(key, kept.clone(), now);
                // What follows at once is looked at together.
                if !self.sessions.wait(key, now, PAUSE) {
                    self.evaluate(key, &Answers::default());
                }
            }
            What::Summary(summary) => self.sessions.on_summary(key, &summary.text),
            What::Linked(target) => {
                self.sessions.watch(key, now).target = target.clone();
                self.evaluate(key, &Answers::default());
            }
            What::Help(standing) => {
                self.sessions.watch(key, now).standing = Some(standing.clone());
            }
            What::Gone => self.sessions.on_gone(key),
            What::Person { .. } | What::Offer(_) | What::Asked(_) | What::Launch(_) => {}
        }
    }

    /// The triggers of a session's product, where there are any.
    fn triggers(&self, key: &SessionKey) -> Option<Arc<Triggers>> {
        let settings = self.parts.engine.settings();
        let product = settings.product(&key.product)?;
        let offers = product.offers.is_some() && !product.triggers.is_empty();
        offers.then(|| product.triggers.clone())
    }

    /// Evaluates a session, with what plugins answered.
    fn evaluate(&mut self, key: &SessionKey, answers: &Answers) {
        let now = self.clock.now();
        let Some(triggers) = self.triggers(key) else { return };
        let Some(watched) = self.sessions.get_mut(key) else { return };
        if watched.busy {
            watched.again = true;
            return;
        }
        if !watched.known {
            watched.busy = true;
            self.read(key.clone());
            return;
        }
        if !watched.is_open(now) {
            return;
        }
        watched.evaluated_at = Some(now);
        let Ok(context) = watched.context(key, now) else { return };
        let counters = self.parts.engine.counters();
        counters.triggers_evaluated.add(1);
        let (mut hits, mut ask) = (Vec::new(), Vec::<PluginName>::new());
        for (trigger, outcome) in triggers.evaluate(&context, answers) {
            match outcome {
                Outcome::Hit(hit) => hits.push(hit),
                Outcome::No => {}
                Outcome::Ask(plugin) if !ask.contains(&plugin) => ask.push(plugin),
                Outcome::Ask(_) => {}
                Outcome::Failed(why) => {
                    if let Some(total) = counters.triggers_failed.add_told(1) {
                        tracing::warn!(
                            trigger = trigger.id,
                            total,
                            "offers: a trigger failed, the others are evaluated: {why}; this is said again when the \
                             total has doubled"
                        );
                    }
                }
            }
        }
        let look_at = triggers.next_look(&context);
        let asked = (!ask.is_empty()).then(|| (ask, asked_about(&context, now)));
        let question = Question::about(hits.iter().cloned(), &context);
        let target = watched.target.clone();
        let version = watched.standing.as_ref().map_or(0, |standing| standing.version);
        if let Some((plugins, about)) = asked {
            let (parts, key) = (self.parts.clone(), key.clone());
            if self.tasks.len() < TOGETHER {
                watched.busy = true;
                self.tasks.spawn(async move {
                    Ended::Answered(key, parts.ask_plugins(plugins, about).await)
                });
            } else if !std::mem::replace(&mut watched.again, true) {
                self.waiting.push_back(key);
            }
        } else if let (false, Some(target)) = (hits.is_empty(), target) {
            watched.busy = true;
            let as_of = AsOf { version, target };
            let wanted = Wanted { key: key.clone(), hits, question, as_of };
            let (parts, key) = (self.parts.clone(), key.clone());
            self.tasks.spawn(async move { Ended::Decided(key, parts.decide(wanted).await) });
        }
        self.sessions.look_at(key, look_at);
    }

    /// Reads how a session stands, and what was before it was watched.
    fn read(&mut self, key: SessionKey) {
        let (engine, now) = (self.parts.engine.clone(), self.clock.now());
        self.tasks.spawn(async move {
            let read = async {
                let helped = engine.helped(&key, now).await?;
                Ok((helped, engine.history(&key).await?))
            };
            let read = read.await;
            Ended::Read(key, read)
        });
    }

    fn end(&mut self, ended: Ended) {
        let now = self.clock.now();
        let (key, answers) = match ended {
            Ended::Read(key, Ok((helped, history))) => {
                let summary = history.summary.map(|summary| summary.text);
                self.sessions.on_read(&key, history.batches, summary, now);
                let watched = self.sessions.watch(&key, now);
                (watched.busy, watched.known) = (false, true);
                if let Some(helped) = helped {
                    // What was told meanwhile is newer.
                    watched.standing.get_or_insert(helped.standing);
                    watched.target = watched.target.take().or(helped.target);
                }
                (key, Answers::default())
            }
            Ended::Read(key, Err(error)) => {
                tracing::warn!("offers: how a session stands can't be read: {error}");
                if let Some(watched) = self.sessions.get_mut(&key) {
                    watched.busy = false;
                }
                return;
            }
            Ended::Answered(key, answers) => {
                if let Some(watched) = self.sessions.get_mut(&key) {
                    watched.busy = false;
                }
                (key, answers)
            }
            Ended::Decided(key, decided) => {
                if let Err(Closed) = decided {
                    tracing::debug!(
                        "offers: the engine takes nothing at the moment; nothing is offered"
                    );
                }
                let Some(watched) = self.sessions.get_mut(&key) else { return };
                watched.busy = false;
                if !std::mem::take(&mut watched.again) {
                    return;
                }
                (key, Answers::default())
            }
        };
        if let Some(watched) = self.sessions.get_mut(&key) {
            watched.again = false;
        }
        self.evaluate(&key, &answers);
    }

    /// Evaluates a session whose plugins couldn't be asked while so many others were.
    fn ask_waiting(&mut self) {
        while self.tasks.len() < TOGETHER
            && let Some(key) = self.waiting.pop_front()
        {
            if let Some(watched) = self.sessions.get_mut(&key).filter(|it| !it.busy) {
                watched.again = false;
                self.evaluate(&key, &Answers::default());
            }
        }
    }

    fn sweep(&mut self) {
        let now = self.clock.now();
        if self.sessions.len() > MAX_SESSIONS {
            self.sessions.clear();
        } else if now.since(self.swept) >= SWEEP {
            self.swept = now;
            self.sessions.sweep(now);
        }
    }
}

/// What a plugin is asked about.
pub(super) fn asked_about(context: &Context<'_>, now: Timestamp) -> TriggerContext {
    TriggerContext {
        key: context.scope.key.clone(),
        user_id: context.user_id.map(str::to_owned),
        email: context.email.map(str::to_owned),
        conversation: context.scope.conversation.cloned(),
        actions: context.actions.iter().map(|seen| seen.action.clone()).collect(),
        summary: context.scope.summary.map(str::to_owned),
        now,
    }
}
