//! Who reads what is kept: the context, who offers help, and what needs a language model. They are swapped as one.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::language::Language;
use super::{RunError, StartError, flat};
use crate::clock::Clock;
use crate::config::Config;
use crate::context::{self, Recent};
use crate::engine::Handle;
use crate::llm::{Caller, Replies};
use crate::offering::Offering;
use crate::plugin::Registry;
use crate::prompts::Prompts;
use crate::replying::Replying;
use crate::summary::Summarizer;

/// How long others go on being asked while the next ones read what is stored.
const READS_WITHIN: Duration = Duration::from_secs(5);

/// Readers that don't run yet.
pub(super) struct Readers {
    recent: Option<Recent>,
    language: Language,
}

/// What the routes ask.
#[derive(Clone, Default)]
pub(super) struct Asked {
    pub(super) recent: Option<Recent>,
    pub(super) replies: Option<Replies>,
}

/// The readers that run.
pub(super) struct RunningReaders {
    engine: Handle,
    registry: Arc<Registry>,
    clock: Clock,
    /// Of all of them.
    stop: CancellationToken,
    /// Of those that run at the moment.
    current: CancellationToken,
    tasks: JoinSet<Result<(), RunError>>,
}

impl Readers {
    /// Builds them. Nothing is read and nobody is asked.
    ///
    /// # Errors
    /// Settings that can't be used.
    pub(super) fn of(config: &Config, engine: &Handle, clock: Clock) -> Result<Self, StartError> {
        let recent = config.context.as_ref();
        let recent = recent.map(|context| Recent::of(context, config.names.clone(), clock));
        Ok(Self { recent: recent.transpose()?, language: Language::of(config, engine, clock)? })
    }
}

impl RunningReaders {
    /// None yet. They end when `stop` is cancelled.
    pub(super) fn new(
        engine: Handle,
        registry: Arc<Registry>,
        clock: Clock,
        stop: CancellationToken,
    ) -> Self {
        let current = stop.child_token();
        Self { engine, registry, clock, stop, current, tasks: JoinSet::new() }
    }

    /// Starts readers beside those that run.
    pub(super) fn start(&mut self, readers: Readers) -> Asked {
        let Readers { recent, language: Language { replies, summarizer, judge } } = readers;
        self.current = self.stop.child_token();
        if let Some(recent) = recent.clone() {
            self.follow(recent);
            // It rests on what is kept.
            self.offer_help(judge);
        }
        if let (Some(recent), Some(replies)) = (recent.clone(), replies.clone()) {
            self.answer(replies, recent);
        }
        if let Some(summarizer) = summarizer {
            self.sum_up(summarizer);
        }
        Asked { recent, replies }
    }

    /// Starts readers, has `show` called with what is to be asked, and ends those that ran. A context is shown when
    /// it has read what is stored, or when that takes long.
    pub(super) async fn swap(&mut self, readers: Readers, show: impl FnOnce(Asked)) {
        let before = self.current.clone();
        let asked = self.start(readers);
        if let Some(recent) = &asked.recent
            && tokio::time::timeout(READS_WITHIN, recent.caught_up(0)).await.is_err()
        {
            tracing::warn!("context: what is stored is still being read; until then it isn't told");
        }
        show(asked);
        before.cancel();
    }

    /// Waits until something of them failed that must not: a panic.
    pub(super) async fn failed(&mut self) -> RunError {
        loop {
            match self.tasks.join_next().await.map(flat) {
                Some(Err(error)) => return error,
                Some(Ok(())) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// Waits until all have ended. `stop` must be cancelled.
    pub(super) async fn join(mut self) -> Result<(), RunError> {
        super::join(&mut self.tasks).await
    }

    fn follow(&mut self, recent: Recent) {
        let (engine, stop) = (self.engine.clone(), self.current.clone());
        self.tasks.spawn(async move {
            stop.run_until_cancelled(context::follow(engine, recent)).await;
            Ok(())
        });
    }

    fn offer_help(&mut self, judge: Option<(Caller, Arc<Prompts>)>) {
        let (engine, registry) = (self.engine.clone(), self.registry.clone());
        let (offering, stop) =
            (Offering::new(engine, registry, judge, self.clock), self.current.clone());
        self.tasks.spawn(async move {
            stop.run_until_cancelled(offering.run()).await.unwrap_or(Ok(()))?;
            Ok(())
        });
    }

    fn answer(&mut self, replies: Replies, recent: Recent) {
        let replying = Replying::new(self.engine.clone(), replies, recent, self.clock);
        let stop = self.current.clone();
        self.tasks.spawn(async move {
            // What is being asked at a stop is asked again after the next start.
            stop.run_until_cancelled(replying.run()).await.unwrap_or(Ok(()))?;
            Ok(())
        });
    }

    fn sum_up(&mut self, summarizer: Summarizer) {
        let stop = self.current.clone();
        self.tasks.spawn(async move {
            // What is being asked at a stop is asked again after the next start.
            stop.run_until_cancelled(summarizer.run()).await.unwrap_or(Ok(()))?;
            Ok(())
        });
    }
}
