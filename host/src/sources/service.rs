//! The way of a request into the engine, and of a page that was asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;

use super::counts::{Counts, Left, Outcome};
use super::keys::Holder;
use super::source::Source;
use super::subjects::Subjects;
use crate::clock::Clock;
use crate::config::{Config, PluginSource};
use crate::engine::{Handle, StoreState};
use crate::ids::PluginName;
use crate::kv::CallKv;
use crate::plugin::{
    EventsReceived, Registry, SourceAnswer, SourceError, SourceRejection, SourceRequest,
};
use crate::telemetry::Refusals;

/// Requests that are dealt with at the same time, of all sources.
const TOGETHER: usize = 256;
/// How long a request may take in all. Clients wait ten seconds, or for ever with all that comes behind it.
const PATIENCE: Duration = Duration::from_secs(9);
/// When a client shall send again what could not be accepted.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// A request to a source. Nothing of it was checked but that its body is within the bound.
#[derive(Debug, Clone)]
pub struct Request {
    /// The source.
    pub source: PluginName,
    /// What the plugin is handed.
    pub request: SourceRequest,
    /// Its body's size on the wire.
    pub bytes: usize,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The plugin's answer: what it brought is committed.
    Answer(SourceAnswer),
    /// Nothing of it is accepted.
    Refused(Refusal),
}

/// Why nothing of a request is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// No source has this name: 404.
    NoSource,
    /// The plugin has nothing at this path: 404.
    NotFound,
    /// Another method is wanted: 405.
    Method,
    /// No key, or one that isn't known: 401.
    Unauthorized,
    /// The body can't be read; the plugin's words: 400.
    Malformed(String),
    /// Not at the moment: 503.
    Unavailable {
        /// When to send it again at the earliest.
        retry_after: Duration,
    },
}

/// Accepts what is sent to sources.
#[derive(Clone)]
pub(crate) struct SourceService(Arc<Shared>);

struct Shared {
    engine: Handle,
    registry: Arc<Registry>,
    clock: Clock,
    /// Swapped when the configuration changes.
    sources: RwLock<Arc<BTreeMap<PluginName, Arc<Source>>>>,
    /// What is being committed: that goes on when nobody waits for it.
    under_way: TaskTracker,
    permits: Arc<Semaphore>,
    refusals: Arc<Refusals>,
    counts: Counts,
    subjects: Subjects,
}

impl SourceService {
    pub(crate) fn new(
        engine: Handle,
        registry: Arc<Registry>,
        refusals: Arc<Refusals>,
        clock: Clock,
    ) -> Self {
        Self(Arc::new(Shared {
            engine,
            registry,
            clock,
            sources: RwLock::default(),
            under_way: TaskTracker::new(),
            permits: Arc::new(Semaphore::new(TOGETHER)),
            refusals,
            counts: Counts::default(),
            subjects: Subjects::default(),
        }))
    }

    /// Goes by this configuration from here on. What a source remembers stays.
    pub(crate) fn change(&self, config: &Config) {
        let before = self.sources();
        let mut sources = BTreeMap::new();
        for (name, plugin) in &config.plugins {
            let Some(rules) = plugin.source.clone() else { continue };
            let known = before.get(name).map(|it| &**it);
            match Source::new(name.clone(), rules, &config.names, known) {
                Ok(source) => drop(sources.insert(name.clone(), Arc::new(source))),
                Err(error) => tracing::error!(source = %name, "{error}; nothing is accepted there"),
            }
        }
        let mut current = self.0.sources.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(sources);
    }

    /// What a source accepts, as it is configured; `None` where there is none of this name.
    pub(crate) fn rules(&self, name: &str) -> Option<PluginSource> {
        self.sources().get(name).map(|source| source.rules.clone())
    }

    pub(crate) fn totals(&self) -> super::counts::Totals {
        self.0.counts.totals()
    }

    pub(super) fn sources(&self) -> Arc<BTreeMap<PluginName, Arc<Source>>> {
        self.0.sources.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn engine(&self) -> &Handle {
        &self.0.engine
    }

    pub(super) fn registry(&self) -> &Arc<Registry> {
        &self.0.registry
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.0.counts
    }

    pub(super) fn refusals(&self) -> &Refusals {
        &self.0.refusals
    }

    pub(super) fn subjects(&self) -> &Subjects {
        &self.0.subjects
    }

    pub(super) fn clock(&self) -> Clock {
        self.0.clock
    }

    /// What is being done beside requests.
    pub(super) fn under_way(&self) -> &TaskTracker {
        &self.0.under_way
    }

    /// Whether a request is refused whatever it holds: told before its body is read.
    pub(crate) fn refuses(&self, name: &str) -> Option<Refusal> {
        let refusal = self.ready(name).err()?;
        Some(self.refused(name, refusal))
    }

    fn ready(&self, name: &str) -> Result<Arc<Source>, Refusal> {
        let source = self.sources().get(name).cloned().ok_or(Refusal::NoSource)?;
        match self.0.registry.receives_events(name) {
            Ok(()) => {}
            Err(SourceError::NoSource) => return Err(Refusal::NoSource),
            Err(_) => return Err(unavailable()),
        }
        // A person may have it not called; and who takes part in what comes in is known when all files were read.
        let serves = self.is_serving() && self.0.engine.may_ask(name);
        if serves { Ok(source) } else { Err(unavailable()) }
    }

    pub(super) fn is_serving(&self) -> bool {
        self.0.engine.store_state() == StoreState::Serving && self.0.registry.is_surveyed()
    }

    /// Accepts what a request brings. Returns after the commit, or when that takes too long.
    pub(crate) async fn receive(&self, request: Request) -> Reply {
        let name = request.source.clone();
        let deadline = Instant::now() + PATIENCE;
        let received = timeout_at(deadline, self.try_receive(request, deadline)).await;
        match received.unwrap_or_else(|_| Err(unavailable())) {
            Ok(answer) => Reply::Answer(answer),
            Err(refusal) => Reply::Refused(self.refused(&name, refusal)),
        }
    }

    async fn try_receive(
        &self,
        request: Request,
        deadline: Instant,
    ) -> Result<SourceAnswer, Refusal> {
        let Request { source: name, request, bytes } = request;
        let source = self.ready(&name)?;
        let permit = self.0.permits.clone().try_acquire_owned().map_err(|_| unavailable())?;
        let now = request.received_at;
        let holder = source.keys.holder_in(&request.query, &request.headers);
        if let Some(holder) = &holder {
            self.take(&source, holder, bytes)?;
        }
        let is_counted = holder.is_some();
        let kv = CallKv::stored(None);
        let received = self.0.registry.receive_events(&name, &request, &kv).await;
        let EventsReceived { key, keyless, batches, ignored, answer } =
            received.map_err(|error| self.failed(&name, error))?;
        let of_body = || source.keys.holder(&key.as_ref()?.0);
        let Some(holder) = holder.or_else(of_body) else {
            if keyless {
                self.0.counts.request(Outcome::Keyless);
                return Ok(answer);
            }
            return Err(Refusal::Unauthorized);
        };
        if !is_counted {
            self.take(&source, &holder, bytes)?;
        }
        let left_out = ignored.iter().map(|(_, count)| u64::from(*count)).sum();
        self.0.counts.leave_out(Left::Plugin, left_out);
        let products = BTreeSet::from([holder.product.clone()]);
        let beside = (None, kv.written());
        let accepted = self.accept(&source, batches, (&holder.product, products), beside, deadline);
        let accepted = accepted.await;
        tracing::debug!(source = %name, key = holder.name, late = ?now, "source: a request was dealt with");
        drop(permit);
        accepted.map_err(|_| unavailable())?;
        self.0.counts.request(Outcome::Accepted);
        Ok(answer)
    }

    fn take(&self, source: &Source, holder: &Holder, bytes: usize) -> Result<(), Refusal> {
        let taken = source.take(&holder.name, bytes, self.0.clock.now());
        taken.map_err(|retry_after| {
            self.0.refusals.say("source", &source.name, "rate", || {
                tracing::warn!(source = %source.name, key = holder.name, "source: a key sends more than it may; raise `max_requests` or `max_bytes` if it is right");
            });
            Refusal::Unavailable { retry_after }
        })
    }

    /// What a plugin's failure is to the sender. Nothing that it says is told but its words for a body that it can't read.
    fn failed(&self, name: &str, error: SourceError) -> Refusal {
        match error {
            SourceError::NoSource => Refusal::NoSource,
            SourceError::Unavailable => unavailable(),
            SourceError::Rejected { kind, message } => {
                let refusal = match kind {
                    SourceRejection::NotFound => Refusal::NotFound,
                    SourceRejection::Method => Refusal::Method,
                    SourceRejection::Unauthorized => Refusal::Unauthorized,
                    SourceRejection::Malformed => Refusal::Malformed(message.clone()),
                    SourceRejection::Unavailable => unavailable(),
                };
                let why = word(&refusal);
                // What it says is the sender's to read: it may name what the sender wrote.
                self.0.refusals.say("source", name, why, || {
                    tracing::warn!(source = name, why, "source: refused by the plugin");
                });
                refusal
            }
            SourceError::Crashed { code, message } => {
                self.0.refusals.say("source", name, &code, || {
                    tracing::warn!(
                        source = name,
                        code,
                        said = message,
                        "source: the plugin failed"
                    );
                });
                unavailable()
            }
        }
    }

    /// Counts a refusal, and tells of it where nobody did.
    fn refused(&self, name: &str, refusal: Refusal) -> Refusal {
        self.0.counts.request(match refusal {
            Refusal::NoSource | Refusal::Unauthorized => Outcome::Refused,
            Refusal::NotFound | Refusal::Method | Refusal::Malformed(_) => Outcome::Unusable,
            Refusal::Unavailable { .. } => Outcome::Unavailable,
        });
        if refusal == Refusal::Unauthorized {
            self.0.refusals.say("source", name, "key", || {
                tracing::warn!(
                    source = name,
                    "source: a request has no key, or one that isn't known"
                );
            });
        }
        refusal
    }
}

fn unavailable() -> Refusal {
    Refusal::Unavailable { retry_after: RETRY_AFTER }
}

fn word(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::NoSource => "no_source",
        Refusal::NotFound => "not_found",
        Refusal::Method => "method",
        Refusal::Unauthorized => "unauthorized",
        Refusal::Malformed(_) => "malformed",
        Refusal::Unavailable { .. } => "unavailable",
    }
}
