//! The host: builds every stage from a configuration and runs them together.
//!
//! Start-up has an order: store, listener, engine, plugins, streams. The listener doesn't wait for plugins to be
//! compiled: health answers from the start, webhooks of a plugin that isn't there yet are answered 503, and
//! its notes wait. The streams wait until every plugin's file was read: which of them are sinks decides what is
//! stored of what comes in. Shutdown goes the other way: not ready, streams and listener stop, what arrived is
//! committed, what is queued is posted, until the deadline. What is left then is in the store.

mod api;
mod backup;
mod conditions;
mod dashboard;
mod ingest;
mod language;
mod listeners;
mod messengers;
mod metrics;
mod readers;
mod reload;
mod streams;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::{self, Config, Source};
use crate::context::InvalidSettings;
use crate::engine::core::rows::decode;
use crate::engine::ledger::{self, Waiting};
use crate::engine::{self, Engine, EngineError, Handle, Totals};
use crate::http::{AskedBy, Reload, ServeError};
use crate::llm::SetupError;
use crate::operator_events::{self, OperatorEvents};
use crate::outbox::lane::DeadLetter;
use crate::plugin::{Compiler, LoadError, Registry};
use crate::see::See;
use crate::store::{
    EmbeddedStore, Journal, JournalError, Key, MemoryStore, OpenError, RedisOpenError, RedisStore,
    Store, StoreError, Table,
};
use crate::stream::StreamError;
use crate::stream::push::WebhookVerifier;
use crate::summary::InvalidRules;
use crate::timer::TimersHeld;
use crate::traces::{Traces, TracesError};
pub use listeners::Sockets;
pub use messengers::{Mute, Mutes, mutes};

use api::ApiBackend;
use ingest::IngestService;
use listeners::bound;
use readers::{Readers, RunningReaders};
use reload::{Parts, Record, ReloadHandle, Reloader};
use streams::Streams;

/// How often the plugins folder and `plugins.d` are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How long the engine may take to put on record what was cut off.
const LAST_COMMIT: Duration = Duration::from_secs(2);

/// How long it may take to count what waits at the end.
const LAST_LOOK: Duration = Duration::from_secs(2);

/// A running host.
pub struct Host {
    addr: SocketAddr,
    dashboard_addr: Option<SocketAddr>,
    engine: Handle,
    store: Arc<dyn Store>,
    registry: Arc<Registry>,
    api: Arc<ApiBackend>,
    reloads: ReloadHandle,
    stop: CancellationToken,
    /// Streams, their feeders, readers, and who watches the folders: they end when `stop` is cancelled.
    ingest: JoinSet<Result<(), RunError>>,
    /// The listeners: they end some time after `stop` is cancelled, when their clients are served.
    server: JoinSet<Result<(), RunError>>,
    /// The engine: it ends when it has drained.
    core: JoinSet<Result<(), EngineError>>,
    /// Whoever sends spans: it is told to end when all others have.
    traces: Sending,
}

/// Has the configuration of a running host read again.
#[derive(Clone)]
pub struct HostReloader(ReloadHandle);

impl HostReloader {
    /// Swaps all that changed, or nothing, for the reason that is told.
    pub async fn reload(&self) -> Reload {
        self.0.ask(AskedBy::Signal).await
    }
}

/// Why the host didn't start. Nothing is left running.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store can't be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The Redis server can't be used as a store.
    #[error(transparent)]
    Redis(#[from] RedisOpenError),
    /// The store can't be held: another host keeps it, or it can't be used.
    #[error(transparent)]
    Hold(StoreError),
    /// The journal can't be opened.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The plugin runtime can't be set up.
    #[error(transparent)]
    Plugins(#[from] LoadError),
    /// The address can't be listened on.
    #[error("{table}: {addr} can't be listened on: {cause}. Choose another `{table}.listen` {see}", see = See::AddressInUse)]
    Listen {
        /// The table that names it.
        table: &'static str,
        /// The address.
        addr: SocketAddr,
        /// The system's words.
        cause: std::io::Error,
    },
    /// A supervisor's socket isn't where the table says.
    #[error(
        "{table}: the socket that the supervisor passed is open at {open}, and `{table}.listen` says {addr}. Make them equal: who may call is judged by the configuration"
    )]
    OtherSocket {
        /// The table that names it.
        table: &'static str,
        /// The address of the table.
        addr: SocketAddr,
        /// The socket's.
        open: SocketAddr,
    },
    /// A supervisor's socket is for a table that isn't there.
    #[error(
        "dashboard: the supervisor passed a socket for it, and there is no [dashboard]. Add the table, or remove the socket's unit"
    )]
    NoDashboard,
    /// A stream's settings can't be used.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// `[context]` can't be used.
    #[error(transparent)]
    Context(#[from] InvalidSettings),
    /// The language model can't be asked.
    #[error(transparent)]
    Llm(#[from] SetupError),
    /// Nobody can be told of what a person must see to.
    #[error(transparent)]
    OperatorEvents(#[from] operator_events::SetupError),
    /// Nothing can be traced.
    #[error(transparent)]
    Traces(#[from] TracesError),
    /// A product offers help, or answers, and none of its plugins can.
    #[error(transparent)]
    Mute(#[from] Mutes),
    /// The rules of summaries can't be used.
    #[error(transparent)]
    Summary(#[from] InvalidRules),
    /// A step on a thread of its own ended in a panic.
    #[error("host: start-up ended in a panic: {0}. This is a bug")]
    Panic(#[from] JoinError),
}

/// Why a running host must end. What was committed is safe.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The engine ended.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The listener ended.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// A task panicked.
    #[error("host: a task ended in a panic: {0}. This is a bug; restart the host")]
    Panic(#[from] JoinError),
}

impl Host {
    /// Builds and starts everything. Plugins are compiled in this process: `sidenote run` has
    /// [`Host::start_from`] do better. The configuration can't be read again.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::start_by(Compiler::in_process(), config).await
    }

    /// As [`Host::start`], with another compiler. The host listens when this returns; plugins are compiled
    /// from then on, see [`Host::loaded`].
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start_by(compiler: Compiler, config: Config) -> Result<Self, StartError> {
        Self::start_with(compiler, config, None, Sockets::default()).await
    }

    /// As [`Host::start_by`], with a configuration that was read from `source`: it is read from there again
    /// when somebody asks for it ([`Host::reloader`], `POST /reload`), and when a file of `plugins.d` changes.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start_from(
        compiler: Compiler,
        source: Source,
        config: Config,
    ) -> Result<Self, StartError> {
        Self::start_on(Sockets::default(), compiler, source, config).await
    }

    /// As [`Host::start_from`], on sockets that are open already.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start_on(
        sockets: Sockets,
        compiler: Compiler,
        source: Source,
        config: Config,
    ) -> Result<Self, StartError> {
        Self::start_with(compiler, config, Some(source), sockets).await
    }

    async fn start_with(
        compiler: Compiler,
        config: Config,
        source: Option<Source>,
        sockets: Sockets,
    ) -> Result<Self, StartError> {
        if sockets.dashboard.is_some() && config.dashboard.is_none() {
            return Err(StartError::NoDashboard);
        }
        config.warn();
        let config = check_messengers(config).await?;
        let clock = Clock::system();
        let journal = open_journal(&config.store).await?;
        let store = open_store(config.store.clone(), journal.as_ref()).await?;
        store.hold().await.map_err(StartError::Hold)?;
        let compiler = compiler.within(config.compile.clone());
        let registry = Registry::open_of(compiler, &config, &config.plugins)?;
        registry.finish_promotions();
        let (traces, sending) = traced(&config, clock)?;
        let timers = TimersHeld::default();
        let registry = registry.with_traces(traces.clone()).with_store(store.clone());
        let registry = Arc::new(registry.with_timers(timers.clone()));
        let settings = engine::settings(&config);
        let (engine, service) = Engine::new(store.clone(), registry.clone(), settings, clock);
        let mut service = service.with_traces(traces).with_timers(timers);
        if let Some(journal) = journal.clone() {
            service = service.with_journal(journal);
        }
        let listen = config.server.listen;
        let (listener, addr) = bound("server", listen, sockets.server).await?;
        let dashboard = match &config.dashboard {
            None => None,
            Some(dashboard) => {
                let bound = bound("dashboard", dashboard.listen, sockets.dashboard).await?;
                Some((bound, dashboard.clone()))
            }
        };
        let dashboard_addr = dashboard.as_ref().map(|((_, addr), _)| *addr);

        let stop = CancellationToken::new();
        let mut streams = Streams::new(engine.clone(), registry.clone(), clock, stop.clone());
        let clients = streams.prepare(&config.streams)?;
        let readers = Readers::of(&config, &engine, clock)?;
        let record = Record::new(clock);
        let (reloads, requests) = ReloadHandle::new(record.clone());
        let api = ApiBackend::new(
            IngestService::new(engine.clone(), verifier(&config), clock),
            (store.clone(), journal.clone()),
            registry.clone(),
            reloads.clone(),
            clock,
        );
        let api = Arc::new(api);
        api.change_products(&config);

        // Where somebody is led to who is told of something.
        let pages = dashboard.as_ref().map(|((_, addr), dashboard)| {
            dashboard.public_url.clone().unwrap_or_else(|| format!("http://{addr}"))
        });
        let events = OperatorEvents::new(&config.operator_events, pages, clock)?;
        api.show_event_counts(events.counts());
        let (mut ingest, mut server, mut core) = (JoinSet::new(), JoinSet::new(), JoinSet::new());
        let mut running =
            RunningReaders::new(engine.clone(), registry.clone(), clock, stop.clone());
        api.show_readers(running.start(readers));
        core.spawn(service.run());
        let (routes, rules) = (api.clone(), config.server.clone());
        let serving = crate::http::serve(listener, routes, rules, stop.clone());
        server.spawn(async move { Ok(serving.await?) });
        if let Some(((listener, _), dashboard)) = dashboard {
            let (source, rules, stop) = (api.clone(), config.server.clone(), stop.clone());
            server.spawn(async move {
                Ok(crate::dashboard::serve(listener, source, &dashboard, &rules, stop).await?)
            });
        }
        let (watched, stopped) = (registry.clone(), stop.clone());
        ingest.spawn(async move {
            watched.watch(LOOK_EVERY, stopped).await;
            Ok(())
        });
        let (looked_at, stopped) = (api.clone(), stop.clone());
        ingest.spawn(async move {
            events.run(looked_at, stopped).await;
            Ok(())
        });
        let (sources, stopped) = (api.sources().clone(), stop.clone());
        ingest.spawn(async move {
            sources.run_polls(stopped).await;
            Ok(())
        });
        let (keys, stopped) = (api.own_keys().clone(), stop.clone());
        ingest.spawn(async move {
            keys.keep_uses(stopped).await;
            Ok(())
        });
        streams.swap([], clients).await;
        api.show_streams(streams.statuses());
        if let Some(source) = source.clone() {
            let folder = config.plugins_folder.clone();
            let (reloads, stopped) = (reloads.clone(), stop.clone());
            ingest.spawn(async move {
                reload::watch(source, folder, reloads, LOOK_EVERY, stopped).await;
                Ok(())
            });
        }
        let parts = Parts {
            engine: engine.clone(),
            registry: registry.clone(),
            api: api.clone(),
            streams,
            readers: running,
        };
        let reloader = Reloader::new(source, config, parts, requests, record, clock);
        ingest.spawn(reloader.run(stop.clone()));
        let (shadowed, stopped) = (registry.clone(), stop.clone());
        ingest.spawn(async move {
            shadowed.run_shadows(stopped).await;
            Ok(())
        });
        let (loading, stopped) = (registry.clone(), stop.clone());
        ingest.spawn(async move {
            if stopped.run_until_cancelled(loading.loaded()).await.is_some() {
                tracing::info!(%addr, "sidenote is running");
            }
            Ok(())
        });
        Ok(Self {
            addr,
            dashboard_addr,
            engine,
            store,
            registry,
            api,
            reloads,
            stop,
            ingest,
            server,
            core,
            traces: sending,
        })
    }

    /// Waits until every plugin runs or can't be used.
    pub async fn loaded(&self) {
        self.registry.loaded().await;
    }

    /// A way to have the configuration read again.
    pub fn reloader(&self) -> HostReloader {
        HostReloader(self.reloads.clone())
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where the dashboard listens, where it is on.
    pub fn dashboard_addr(&self) -> Option<SocketAddr> {
        self.dashboard_addr
    }

    /// The way into the engine.
    pub fn engine(&self) -> &Handle {
        &self.engine
    }

    /// The running totals.
    pub fn counters(&self) -> Totals {
        self.engine.counters().totals()
    }

    /// The dead letters, up to `limit` of them.
    pub async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, StoreError> {
        let mut letters = Vec::new();
        let mut after: Option<Key> = None;
        while letters.len() < limit {
            let rows = self
                .store
                .scan(Table::Dead, after.take(), (limit - letters.len()).min(256))
                .await?;
            let Some((last, _)) = rows.last() else { break };
            after = Some(last.clone());
            letters.extend(rows.iter().filter_map(|(_, value)| decode(value).ok()));
        }
        Ok(letters)
    }

    /// Waits until something ends that must not end while the host runs.
    pub async fn failed(&mut self) -> RunError {
        loop {
            let ended = tokio::select! {
                Some(ended) = self.core.join_next() => flat(ended),
                Some(ended) = self.ingest.join_next() => flat(ended),
                Some(ended) = self.server.join_next() => flat(ended),
                else => std::future::pending().await,
            };
            if let Err(error) = ended {
                return error;
            }
        }
    }

    /// Stops in order, within `deadline` and a moment. What could not be posted by then is in the store,
    /// and is posted after the next start.
    pub async fn shutdown(mut self, deadline: Duration) -> Result<(), RunError> {
        let stopped = self.stop_in_order(deadline).await;
        self.say_what_waits().await;
        let (mut sending, end) = self.traces;
        end.cancel();
        let sent = join(&mut sending).await;
        self.store.release().await;
        stopped.and(sent)
    }

    /// Says how much is left to the next start.
    async fn say_what_waits(&self) {
        let waiting = tokio::time::timeout(LAST_LOOK, ledger::waiting(&*self.store)).await;
        let Ok(Ok(Waiting { notes, for_sinks, timers, more })) = waiting else {
            tracing::info!(
                "host: stopped; what waits is in the store and is sent after the next start"
            );
            return;
        };
        if notes.is_empty() && for_sinks.is_empty() && timers.is_empty() {
            tracing::info!("host: stopped; no note waits");
            return;
        }
        let plugins: BTreeSet<_> =
            notes.keys().chain(for_sinks.keys()).chain(timers.keys()).collect();
        for plugin in plugins {
            tracing::info!(
                %plugin,
                notes = notes.get(plugin).copied().unwrap_or_default(),
                for_sink = for_sinks.get(plugin).copied().unwrap_or_default(),
                due_timers = timers.get(plugin).copied().unwrap_or_default(),
                more,
                "host: stopped; so many notes wait in the store, and are sent after the next start"
            );
        }
    }

    async fn stop_in_order(&mut self, deadline: Duration) -> Result<(), RunError> {
        self.api.close();
        self.stop.cancel();
        let stopping = async {
            // A client of the listener that takes its time holds up nothing else.
            let core = async {
                let read = join(&mut self.ingest).await;
                self.engine.drain().await;
                join(&mut self.core).await.and(read)
            };
            let (core, server) = tokio::join!(core, join(&mut self.server));
            core.and(server)
        };
        if let Ok(stopped) = tokio::time::timeout(deadline, stopping).await {
            return stopped;
        }
        tracing::warn!(
            "host: the deadline passed before everything was posted; the rest waits in the store"
        );
        self.engine.stop().await;
        let last = tokio::time::timeout(LAST_COMMIT, join(&mut self.core)).await;
        last.unwrap_or_else(|_| {
            tracing::warn!("host: the store didn't take the last commit in time");
            Ok(())
        })
    }
}

/// Waits for every task; the first error counts.
async fn join<E: Into<RunError> + 'static>(
    tasks: &mut JoinSet<Result<(), E>>,
) -> Result<(), RunError> {
    let mut first = Ok(());
    while let Some(ended) = tasks.join_next().await {
        first = first.and(flat(ended));
    }
    first
}

fn flat<E: Into<RunError>>(ended: Result<Result<(), E>, JoinError>) -> Result<(), RunError> {
    ended?.map_err(Into::into)
}

/// Opens the store of a configuration.
///
/// # Errors
/// It can't be opened, or another host has it.
pub async fn open_store(
    store: config::Store,
    journal: Option<&Journal>,
) -> Result<Arc<dyn Store>, StartError> {
    match store {
        config::Store::Memory => {
            tracing::warn!("store: memory: everything is lost when the process ends");
            Ok(Arc::new(MemoryStore::new()))
        }
        config::Store::Embedded { path, reserve } => {
            let open = move || EmbeddedStore::open_with_reserve(&path, reserve as u64);
            Ok(Arc::new(tokio::task::spawn_blocking(open).await??))
        }
        config::Store::Redis(redis) => {
            let store = RedisStore::open(&redis).await?;
            // One process at a time has the journal open: its name is a host's.
            Ok(Arc::new(match journal {
                Some(journal) => store.held_by(journal.id()),
                None => store,
            }))
        }
    }
}

/// Whoever sends spans, and how he is told to end.
type Sending = (JoinSet<Result<(), RunError>>, CancellationToken);

/// Where spans go, and who sends them.
fn traced(config: &Config, clock: Clock) -> Result<(Traces, Sending), StartError> {
    let (mut sending, end) = (JoinSet::new(), CancellationToken::new());
    let Some(config) = &config.traces else { return Ok((Traces::off(), (sending, end))) };
    let (traces, exporter) = Traces::of(config, clock)?;
    let stopped = end.clone();
    sending.spawn(async move {
        exporter.run(stopped).await;
        Ok(())
    });
    Ok((traces, (sending, end)))
}

/// Refuses a configuration by which people would be told what no plugin can tell them. Off the async threads: a disk
/// may take its time.
async fn check_messengers(config: Config) -> Result<Config, StartError> {
    let (config, mutes) = tokio::task::spawn_blocking(move || {
        let mutes = messengers::mutes(&config);
        (config, mutes)
    })
    .await?;
    if mutes.is_empty() { Ok(config) } else { Err(Mutes(mutes).into()) }
}

/// The journal of a store that can be away.
///
/// # Errors
/// It can't be opened.
pub async fn open_journal(store: &config::Store) -> Result<Option<Journal>, StartError> {
    match store {
        config::Store::Memory | config::Store::Embedded { .. } => Ok(None),
        config::Store::Redis(redis) => {
            let (path, max_bytes) = (redis.journal.clone(), redis.journal_max_bytes);
            let open = move || Journal::open(&path, max_bytes);
            Ok(Some(tokio::task::spawn_blocking(open).await??))
        }
    }
}

/// Checks pushed events. Says which products accept them.
fn verifier(config: &Config) -> WebhookVerifier {
    let verifier = WebhookVerifier::new(config.ingest.clone());
    for product in config.products.keys() {
        if verifier.accepts(product) {
            tracing::info!(%product, "push: signed events are accepted");
        } else {
            tracing::info!(%product, "push: no `ingest_secret` is set, so pushed events are refused");
        }
    }
    verifier
}

/// Whether the host accepts anything.
#[derive(Debug, Default)]
struct Closed(AtomicBool);

impl Closed {
    fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
