//! Runs the core: follows the engine, reads what is asked for, calls the model, hands over.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};

use super::core::{Ask, AskId, Core, Effect, Failure, Found, Input, InvalidRules, Rules};
use super::listing::Actions;
use crate::backoff::Backoff;
use crate::clock::Clock;
use crate::config;
use crate::engine::feed::{Committed, Next, What};
use crate::engine::history::History;
use crate::engine::{Closed, Handle};
use crate::ids::SessionKey;
use crate::llm::{Caller, LlmError, Prompt, Scope};
use crate::prompts::Prompts;
use crate::store::StoreError;

/// Sessions in memory.
const MAX_SESSIONS: usize = 65_536;
/// Sessions whose history is read at once.
const TOGETHER: usize = 64;
/// Pause before a store that can't be read is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// The stage: [`Summarizer::run`] runs it.
pub struct Summarizer {
    engine: Handle,
    caller: Caller,
    prompts: Arc<Prompts>,
    max_prompt_bytes: usize,
    clock: Clock,
    jitter: fn() -> f64,
    core: Core,
    /// Answers that aren't handed over yet.
    answers: HashMap<AskId, String>,
    tasks: JoinSet<Ended>,
    effects: VecDeque<Effect>,
}

/// How a task ended.
enum Ended {
    Answered { id: AskId, through: u64, text: String },
    Nothing(AskId),
    Unanswered(AskId, LlmError),
    Unread(AskId, StoreError),
    HandedOver(AskId),
    EngineClosed,
}

impl Rules {
    /// As configured in `[summary]`.
    pub fn of(config: &config::Summary) -> Self {
        Self {
            threshold: config.threshold as u64,
            parallel: config.parallel,
            max_actions: config.max_prompt_actions as u64,
            backoff: Backoff { initial: config.retry_initial, max: config.retry_max },
            max_attempts: config.max_attempts,
            max_sessions: MAX_SESSIONS,
        }
    }
}

impl Summarizer {
    /// A summarizer of what this engine takes. The engine must keep a history.
    ///
    /// # Errors
    /// Rules that nothing can be done with; a validated configuration has none.
    pub fn new(
        engine: Handle,
        caller: Caller,
        prompts: Arc<Prompts>,
        config: &config::Summary,
        clock: Clock,
    ) -> Result<Self, InvalidRules> {
        Ok(Self {
            engine,
            caller,
            prompts,
            max_prompt_bytes: config.max_prompt_bytes,
            clock,
            jitter: rand::random,
            core: Core::new(Rules::of(config))?,
            answers: HashMap::new(),
            tasks: JoinSet::new(),
            effects: VecDeque::new(),
        })
    }

    /// Takes chance from here, from 0 to 1: for tests.
    #[must_use]
    pub fn with_jitter(mut self, jitter: fn() -> f64) -> Self {
        self.jitter = jitter;
        self
    }

    /// Runs until the engine ends. Safe to be dropped at any moment: what was asked and not handed over is
    /// asked again after the next start.
    ///
    /// # Errors
    /// A task panicked: a bug.
    pub async fn run(mut self) -> Result<(), JoinError> {
        let mut feed = self.engine.feed();
        self.survey().await;
        loop {
            self.act().await;
            let timer = self.core.next_timer().map(|at| self.clock.instant(at));
            let due = async {
                match timer {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                next = feed.next() => match next {
                    Ok(Next::Committed(committed)) => self.hear(&committed),
                    Ok(Next::Behind) => {
                        tracing::warn!("summary: it fell behind what is committed; it reads the store again");
                        self.survey().await;
                    }
                    Err(Closed) => return Ok(()),
                },
                Some(ended) = self.tasks.join_next() => {
                    let ended = ended?;
                    if matches!(ended, Ended::EngineClosed) {
                        return Ok(());
                    }
                    self.end(ended);
                }
                () = due => {
                    let effects = self.core.on_timer(self.clock.now());
                    self.effects.extend(effects);
                }
            }
        }
    }

    fn input(&mut self, input: Input) {
        let effects = self.core.on_input(input, self.clock.now());
        self.effects.extend(effects);
    }

    fn hear(&mut self, committed: &Committed) {
        let key = committed.key.clone();
        match &committed.what {
            What::Batch(kept) => {
                self.input(Input::Accepted { key, first: kept.first, last: kept.last() });
            }
            What::Summary(summary) => {
                self.input(Input::Covered { key, through: summary.covers });
            }
            What::Gone => self.input(Input::Erased(key)),
            What::Person { .. }
            | What::Linked(_)
            | What::Help(_)
            | What::Offer(_)
            | What::Asked(_)
            | What::Launch(_) => {}
        }
    }

    fn end(&mut self, ended: Ended) {
        let counters = self.engine.counters();
        match ended {
            Ended::Answered { id, through, text } => {
                self.answers.insert(id, text);
                self.input(Input::Answered { id, through });
            }
            Ended::Nothing(id) => self.input(Input::Nothing(id)),
            Ended::Unanswered(id, error) => {
                counters.summaries_failed.add(1);
                let of_service = error.scope() == Scope::Service;
                self.fail(id, of_service, error.retry_after());
            }
            Ended::Unread(id, error) => {
                tracing::warn!("summary: what is to be summarized can't be read: {error}");
                self.fail(id, false, None);
            }
            Ended::HandedOver(id) => {
                counters.summaries_made.add(1);
                self.input(Input::HandedOver(id));
            }
            Ended::EngineClosed => {}
        }
    }

    fn fail(&mut self, id: AskId, of_service: bool, retry_after: Option<Duration>) {
        let failure = Failure { of_service, retry_after, random: (self.jitter)() };
        self.input(Input::Failed(id, failure));
    }

    /// Does what the core wants, until it wants nothing more at the moment.
    async fn act(&mut self) {
        while let Some(effect) = self.effects.pop_front() {
            match effect {
                Effect::Look(key) => self.look(key).await,
                Effect::Survey => self.survey().await,
                Effect::Ask(ask) => {
                    let (engine, caller) = (self.engine.clone(), self.caller.clone());
                    let (prompts, most) = (self.prompts.clone(), self.max_prompt_bytes);
                    self.tasks
                        .spawn(async move { asked(&engine, &caller, &prompts, most, ask).await });
                }
                Effect::HandOver(id) => {
                    let Some((ask, text)) = self.core.asked(id).zip(self.answers.remove(&id))
                    else {
                        continue;
                    };
                    let (engine, key, through) =
                        (self.engine.clone(), ask.key.clone(), ask.through);
                    self.tasks.spawn(async move {
                        match engine.summarize(key, text, through).await {
                            Ok(_) => Ended::HandedOver(id),
                            Err(Closed) => Ended::EngineClosed,
                        }
                    });
                }
                Effect::Discard(id) => {
                    self.answers.remove(&id);
                    self.engine.counters().summaries_discarded.add(1);
                    tracing::info!(
                        "summary: an answer is of no use any more: its session was erased or is summarized already"
                    );
                }
            }
        }
    }

    async fn look(&mut self, key: SessionKey) {
        match self.engine.history(&key).await {
            Ok(history) => self.input(Input::Found(key, found(&history))),
            Err(error) => {
                tracing::warn!("summary: what is kept of a session can't be read: {error}");
                self.input(Input::NotFound(key));
            }
        }
    }

    /// Reads which sessions wait.
    async fn survey(&mut self) {
        while let Err(error) = self.try_survey().await {
            tracing::warn!("summary: what is stored can't be read: {error}");
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn try_survey(&mut self) -> Result<(), StoreError> {
        let sessions = self.engine.latest_sessions(MAX_SESSIONS).await?;
        let keys: Vec<_> = sessions.into_iter().map(|(key, _)| key).collect();
        for keys in keys.chunks(TOGETHER) {
            let histories = self.engine.histories(keys).await?;
            for (key, history) in keys.iter().zip(&histories) {
                let found = found(history);
                if found.ends.last().is_some_and(|last| *last > found.covered) {
                    self.input(Input::Found(key.clone(), found));
                }
            }
        }
        Ok(())
    }
}

/// What the core wants to know of a history. Actions that were too many or too old to be kept can't be told
/// of: they count as covered.
fn found(history: &History) -> Found {
    let gone = history.batches.first().map_or(0, |batch| batch.first.saturating_sub(1));
    let ends = history.batches.iter().map(crate::engine::history::KeptBatch::last).collect();
    Found { covered: history.covered().max(gone), ends }
}

async fn asked(
    engine: &Handle,
    caller: &Caller,
    prompts: &Prompts,
    most: usize,
    ask: Ask,
) -> Ended {
    let id = ask.id;
    let (prompt, through) = match question(engine, prompts, most, &ask).await {
        Ok(Some(question)) => question,
        Ok(None) => return Ended::Nothing(id),
        Err(error) => return Ended::Unread(id, error),
    };
    match caller.ask(&prompt).await {
        Ok(answer) => Ended::Answered { id, through, text: answer.text },
        Err(error) => Ended::Unanswered(id, error),
    }
}

/// The question, and the ordinal of the last action in it; `None` where nothing is left to be asked.
async fn question(
    engine: &Handle,
    prompts: &Prompts,
    most: usize,
    ask: &Ask,
) -> Result<Option<(Prompt, u64)>, StoreError> {
    let history = engine.history(&ask.key).await?;
    let after = ask.after.max(history.covered());
    let first = history.uncovered().next().map_or(0, |(n, _)| n);
    let gone = first.saturating_sub(history.covered() + 1);
    let mut actions = Actions::new(most).behind(gone);
    let wanted = history.uncovered().filter(|(n, _)| *n > after && *n <= ask.through);
    for (n, action) in wanted {
        if !actions.add(n, action) {
            break;
        }
    }
    let earlier = history.summary.as_ref().map(|summary| &*summary.text);
    let listed = actions.finish();
    Ok(listed.map(|listed| (prompts.summarize(&listed.text, earlier), listed.through)))
}
