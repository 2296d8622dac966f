//! From a file to a pool: the way that every version of every plugin goes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};

use super::admit::{self, AdmitError};
use super::cache::{Cache, CacheTotals};
use super::engine;
use super::instance::{Ground, State};
use super::manifest::{self, Effective, Manifest};
use super::pool::{Pool, Shared};
use super::registry::LoadError;
use super::source::Source;
use super::stdout::Stdout;
use super::turns::Turns;
use crate::config::{Cache as CacheConfig, Plugin as PluginConfig, Sha256};
use crate::egress::door::Bounds;
use crate::egress::{Door, Network};
use crate::ids::PluginName;

const COMPILE_TIMEOUT: Duration = Duration::from_secs(120);
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// What loading needs.
pub(super) struct Loader {
    engine: Engine,
    linker: Linker<State>,
    network: Network,
    cache: Option<Arc<Cache>>,
    /// One file is compiled at a time. A compile that was given up goes on, for a thread can't be
    /// stopped; as it keeps its permit, there is never more than one of them.
    compiler: Arc<Semaphore>,
    turns: Arc<Turns>,
    stdout: Stdout,
}

/// A component, ready to be linked.
#[derive(Clone)]
pub(super) struct Compiled {
    component: Component,
    version: Sha256,
    manifest: Option<Arc<Manifest>>,
}

impl Compiled {
    /// Checks an operator's settings against the manifest: what posts nothing but failures isn't run.
    pub(super) fn check_settings(&self, config: &PluginConfig) -> Result<(), AdmitError> {
        match &self.manifest {
            Some(manifest) => Ok(manifest.validate(&config.config)?),
            None => Ok(()),
        }
    }
}

impl Loader {
    /// A loader. Without a usable cache it compiles every time.
    pub(super) fn new(cache: Option<&CacheConfig>) -> Result<Self, LoadError> {
        Self::with_network(cache, Network::new()?)
    }

    /// The same over another way to the network.
    pub(super) fn with_network(
        cache: Option<&CacheConfig>,
        network: Network,
    ) -> Result<Self, LoadError> {
        let engine_error = |error: wasmtime::Error| LoadError::Engine(admit::cause(&error));
        let turns = Arc::new(Turns::new());
        let engine = engine::start(&turns).map_err(engine_error)?;
        let linker = admit::linker(&engine).map_err(engine_error)?;
        let cache = cache.and_then(|config| match Cache::open(config, &engine) {
            Ok(cache) => Some(Arc::new(cache)),
            Err(error) => {
                tracing::error!("{error}");
                None
            }
        });
        let compiler = Arc::new(Semaphore::new(1));
        let stdout = Stdout::default();
        Ok(Self { engine, linker, network, cache, compiler, turns, stdout })
    }

    /// Reads a file.
    pub(super) async fn read(&self, path: &Path) -> Result<Source, AdmitError> {
        let path = path.to_owned();
        match on_thread("plugin-read", READ_TIMEOUT, move || Source::read(&path)).await? {
            Ended::Done(source) => source,
            Ended::Panicked => Err(AdmitError::Read("reading it failed".to_owned())),
            Ended::TooLate => Err(AdmitError::Read(format!("not read within {READ_TIMEOUT:?}"))),
        }
    }

    /// Compiles what was read, or takes it from the cache. One at a time, off the async threads, and
    /// where a panic of the compiler is contained.
    pub(super) async fn compile(&self, source: Source) -> Result<Compiled, AdmitError> {
        let waiting = timeout(COMPILE_TIMEOUT, self.compiler.clone().acquire_owned());
        let permit = waiting.await.map_err(|_| AdmitError::CompilerBusy(COMPILE_TIMEOUT))?;
        let permit = permit.expect("the semaphore is never closed");
        let (engine, cache) = (self.engine.clone(), self.cache.clone());
        let version = source.version;
        let work = move || compile(&engine, cache.as_deref(), &source, permit);
        let (component, manifest) = match on_thread("plugin-compile", COMPILE_TIMEOUT, work).await?
        {
            Ended::Done(compiled) => compiled?,
            Ended::Panicked => return Err(AdmitError::CompilerPanicked),
            Ended::TooLate => return Err(AdmitError::CompileTimeout(COMPILE_TIMEOUT)),
        };
        Ok(Compiled { component, version, manifest: manifest.map(Arc::new) })
    }

    /// Admits a component under a name, with what is configured for it.
    pub(super) async fn pool(
        &self,
        compiled: &Compiled,
        name: &PluginName,
        config: &PluginConfig,
        shared: Arc<Shared>,
    ) -> Result<Pool, AdmitError> {
        let limits = &config.limits;
        let Effective { grants, vault, mismatches } =
            manifest::effective(name, config, compiled.manifest.as_deref())?;
        for mismatch in &mismatches {
            if mismatch.is_harmless() {
                tracing::info!(plugin = %name, "{mismatch}");
            } else {
                tracing::warn!(plugin = %name, "{mismatch}");
            }
        }
        let bounds = Bounds {
            request: limits.max_request_bytes,
            headers: limits.max_header_bytes,
            response: limits.max_response_bytes,
        };
        let ground = Arc::new(Ground {
            name: name.clone(),
            config: config.config.clone(),
            limits: limits.clone(),
            door: Door::new(self.network.clone(), grants, vault, bounds),
            stdout: config.allow_stdout.then(|| self.stdout.clone()),
            turns: self.turns.clone(),
        });
        let (admitted, tried) = admit::admit(&self.linker, &compiled.component, &ground).await?;
        Ok(Pool::new(admitted, ground, config.isolation, compiled.version, shared, tried))
    }

    /// What the cache did.
    pub(super) fn cache_totals(&self) -> CacheTotals {
        self.cache.as_ref().map(|cache| cache.totals()).unwrap_or_default()
    }
}

/// Refuses a file that isn't the pinned one.
pub(super) fn check_pin(source: &Source, config: &PluginConfig) -> Result<(), AdmitError> {
    match config.sha256 {
        Some(wanted) if wanted != source.version => {
            Err(AdmitError::Pinned { found: source.version, wanted })
        }
        Some(_) | None => Ok(()),
    }
}

fn compile(
    engine: &Engine,
    cache: Option<&Cache>,
    source: &Source,
    _permit: OwnedSemaphorePermit,
) -> Result<(Component, Option<Manifest>), AdmitError> {
    let component = component(engine, cache, source)?;
    Ok((component, Manifest::read(&source.bytes)?))
}

fn component(
    engine: &Engine,
    cache: Option<&Cache>,
    source: &Source,
) -> Result<Component, AdmitError> {
    if let Some(component) = cache.and_then(|cache| cache.load(engine, source.version)) {
        return Ok(component);
    }
    let component = Component::from_binary(engine, &source.bytes)
        .map_err(|error| AdmitError::Compile(admit::cause(&error)))?;
    if let Some(cache) = cache {
        cache.store(source.version, &component);
    }
    Ok(component)
}

/// How work on a thread ended.
pub(super) enum Ended<T> {
    Done(T),
    Panicked,
    /// It goes on, and nobody waits for it.
    TooLate,
}

/// Does work that blocks. On a thread of its own rather than the runtime's: what doesn't end would hold
/// up the runtime's shutdown.
pub(super) async fn on_thread<T: Send + 'static>(
    name: &str,
    patience: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<Ended<T>, AdmitError> {
    let (sender, receiver) = oneshot::channel();
    let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        if sender.send(work()).is_err() {
            tracing::debug!("work of a plugin's loading ended after it was given up");
        }
    });
    spawned.map_err(|error| AdmitError::Read(error.to_string()))?;
    Ok(match timeout(patience, receiver).await {
        Ok(Ok(done)) => Ended::Done(done),
        Ok(Err(_)) => Ended::Panicked,
        Err(_) => Ended::TooLate,
    })
}
