//! Reads, plans, prepares and swaps; runs what is swapped.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Record, Request, refused};
use crate::clock::Clock;
use crate::config::{Config, Plan, Source};
use crate::engine::people::{Act, Outcome};
use crate::engine::{self, Handle, Unchanged};
use crate::host::api::{ApiBackend, record};
use crate::host::readers::{Readers, RunningReaders};
use crate::host::streams::Streams;
use crate::host::{Mute, RunError, mutes};
use crate::http::{RefusalCode, Reload, ReloadOutcome, ReloadProblem};
use crate::plugin::Registry;

/// How long the files may take to be read.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the engine may be busy with its store.
const PATIENCE: Duration = Duration::from_secs(10);

/// The parts of the host that a reload reaches.
pub(in crate::host) struct Parts {
    pub(in crate::host) engine: Handle,
    pub(in crate::host) registry: Arc<Registry>,
    pub(in crate::host) api: Arc<ApiBackend>,
    pub(in crate::host) streams: Streams,
    pub(in crate::host) readers: RunningReaders,
}

/// The stage: [`Reloader::run`] runs it, and the streams and readers with it.
pub(in crate::host) struct Reloader {
    /// `None`: there is no file to be read again.
    source: Option<Source>,
    /// What is in force.
    config: Config,
    parts: Parts,
    requests: mpsc::Receiver<Request>,
    record: Record,
    clock: Clock,
}

/// Why nothing is swapped.
struct Refusal(RefusalCode, Vec<ReloadProblem>);

impl Refusal {
    fn of(code: RefusalCode, section: impl Into<String>, message: impl ToString) -> Self {
        Self(code, vec![ReloadProblem::of(section, message)])
    }
}

impl Reloader {
    /// A reloader of what runs by `config`.
    pub(in crate::host) fn new(
        source: Option<Source>,
        config: Config,
        parts: Parts,
        requests: mpsc::Receiver<Request>,
        record: Record,
        clock: Clock,
    ) -> Self {
        Self { source, config, parts, requests, record, clock }
    }

    /// Runs until `stop` is cancelled, and then until everything that the streams have read is handed over.
    ///
    /// # Errors
    /// A task panicked.
    pub(in crate::host) async fn run(mut self, stop: CancellationToken) -> Result<(), RunError> {
        loop {
            let request = tokio::select! {
                () = stop.cancelled() => break,
                error = self.parts.streams.failed() => return Err(error),
                error = self.parts.readers.failed() => return Err(error),
                Some(request) = self.requests.recv() => request,
            };
            let Request { by, person, reply } = request;
            let began = Instant::now();
            self.record.begun();
            // What is being prepared ends with the host; nothing of it is in force.
            let Some(outcome) = stop.run_until_cancelled(self.reload()).await else { break };
            let reload = self.record.ended(by, began.elapsed(), outcome);
            if let Some(person) = person {
                record(&self.parts.engine, &person, Act::Reload, on_record(&reload)).await;
            }
            if reply.send(reload).is_err() {
                tracing::debug!("whoever asked for a reload didn't wait for it");
            }
        }
        let Parts { streams, readers, .. } = self.parts;
        streams.join().await?;
        readers.join().await
    }

    async fn reload(&mut self) -> ReloadOutcome {
        match self.try_reload().await {
            Ok(changes) if changes.is_empty() => ReloadOutcome::Unchanged,
            Ok(changes) => ReloadOutcome::Applied { changes: Box::new(changes) },
            Err(Refusal(code, problems)) => refused(code, problems),
        }
    }

    async fn try_reload(&mut self) -> Result<Plan, Refusal> {
        let next = self.load().await?;
        let plan = self.config.plan(&next).map_err(|error| {
            let fixed = |key: &String| {
                ReloadProblem::of("", format!("{key} can't be changed while the host runs"))
            };
            Refusal(RefusalCode::NeedsRestart, error.keys.iter().map(fixed).collect())
        })?;
        if plan.is_empty() {
            return Ok(plan);
        }
        let part = |error: &dyn std::fmt::Display| Refusal::of(RefusalCode::Part, "", error);
        let starts: Vec<_> = plan.streams.to_load().map(str::to_owned).collect();
        let streams = next.streams.iter().filter(|(name, _)| starts.contains(name));
        let streams = self.parts.streams.prepare(streams).map_err(|error| part(&error))?;
        let readers = if plan.touches(&["context", "llm", "summary", "prompts", "identity"]) {
            let readers = Readers::of(&next, &self.parts.engine, self.clock);
            Some(readers.map_err(|error| part(&error))?)
        } else {
            None
        };
        let registry = self.parts.registry.clone();
        let prepared = registry.prepare(&plan.plugins, &next.plugins).await;
        let (plugins, files) = prepared.map_err(|failures| {
            let problem = |(name, error)| ReloadProblem::of(format!("plugins.{name}"), error);
            Refusal(RefusalCode::Plugin, failures.into_iter().map(problem).collect())
        })?;

        // From here on nothing fails.
        let swap = move || plugins.put_in_force();
        let settings = engine::settings(&next);
        let changed = self.parts.engine.change_settings(settings, swap, PATIENCE).await;
        changed.map_err(|error| match error {
            Unchanged::Busy => Refusal::of(RefusalCode::Busy, "", error),
            Unchanged::Closed => Refusal::of(RefusalCode::Closing, "", error),
        })?;
        registry.look_again(&files);
        let api = self.parts.api.clone();
        api.change_products(&next);
        self.parts.streams.swap(plan.streams.to_end(), streams).await;
        api.show_streams(self.parts.streams.statuses());
        if let Some(readers) = readers {
            self.parts.readers.swap(readers, |asked| api.show_readers(asked)).await;
        }
        next.warn();
        self.config = next;
        Ok(plan)
    }

    /// Reads everything again, off the async threads: a disk may take its time.
    async fn load(&self) -> Result<Config, Refusal> {
        let Some(source) = self.source.clone() else {
            let message = "the host was started with no file that could be read again";
            return Err(Refusal::of(RefusalCode::NoFile, "", message));
        };
        let load = move || source.load().map(|config| (mutes(&config), config));
        let loading = tokio::task::spawn_blocking(load);
        let unread = |message: String| Refusal::of(RefusalCode::Configuration, "", message);
        match tokio::time::timeout(READ_TIMEOUT, loading).await {
            Ok(Ok(Ok((mutes, config)))) if mutes.is_empty() => Ok(config),
            Ok(Ok(Ok((mutes, _)))) => {
                let problem = |mute: &Mute| ReloadProblem::of(mute.section(), mute);
                Err(Refusal(RefusalCode::Configuration, mutes.iter().map(problem).collect()))
            }
            Ok(Ok(Err(errors))) => {
                let problems = errors.problems().iter().map(ReloadProblem::from);
                Err(Refusal(RefusalCode::Configuration, problems.collect()))
            }
            Ok(Err(error)) => {
                Err(unread(format!("reading the configuration ended in a panic: {error}")))
            }
            Err(_) => Err(unread(format!("the configuration isn't read within {READ_TIMEOUT:?}"))),
        }
    }
}

/// What is put on record of a reload.
fn on_record(reload: &Reload) -> Outcome {
    match &reload.outcome {
        ReloadOutcome::Applied { .. } | ReloadOutcome::Unchanged => {
            Outcome::Done { affected: None }
        }
        ReloadOutcome::Refused(_) => Outcome::refused("configuration"),
    }
}
