//! From a file to a pool: the way that every version of every plugin goes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::Instant;
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};

use super::admit;
use super::artifact::{self, Key};
use super::blocking::{Ended, on_thread};
use super::cache::{Cache, CacheTotals};
use super::compiler::Compiler;
use super::component_info::{ComponentInfo, OwnImports};
use super::cpu_permits::CpuPermits;
use super::engine;
use super::error::{AdmitError, LoadError, cause};
use super::exports::{Interface, roles_of};
use super::ground::Ground;
use super::instance::State;
use super::manifest::{self, Effective, Manifest};
use super::place::Place;
use super::pool::{Pool, Shared};
use super::pulled::Kept;
use super::samples::Samples;
use super::signed;
use super::source::Source;
use super::stdout::Stdout;
use crate::config::{Cache as CacheConfig, Plugin as PluginConfig, Sha256, Supply};
use crate::egress::client::Bounds;
use crate::egress::{EgressClient, Network};
use crate::histogram::{Distribution, Histogram};
use crate::ids::PluginName;
use crate::outbox::sink_delivery::Roles;

const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Files that are held in memory at the same time, before their turn to be compiled. Those of Python have 18 MB.
const READ_AT_ONCE: usize = 4;
/// Components that are pulled at the same time: each is held in memory until it is whole.
const PULLED_AT_ONCE: usize = 4;

/// What loading needs.
pub(super) struct Loader {
    engine: Engine,
    linker: Linker<State>,
    network: Network,
    cache: Option<Arc<Cache>>,
    /// What was pulled from registries.
    kept: Option<Kept>,
    /// The components of shadows.
    shadows: Option<PathBuf>,
    /// Whose signatures are trusted, and what registries are asked with.
    supply: Arc<Supply>,
    /// The engine's version and settings.
    environment: Key,
    compiler: Compiler,
    /// One permit per compiler at work.
    compilers: Arc<Semaphore>,
    /// One permit per file that is looked at.
    readers: Semaphore,
    /// One permit per component that is pulled.
    pullers: Semaphore,
    permits: Arc<CpuPermits>,
    stdout: Stdout,
    /// Where what plugins compute is kept, while they are tried out.
    samples: Option<Samples>,
    /// How long compiling took, whether or not something came of it.
    compile_times: Histogram,
}

/// A component, ready to be linked.
#[derive(Clone)]
pub(super) struct Compiled {
    component: Component,
    version: Sha256,
    manifest: Option<Arc<Manifest>>,
}

impl Compiled {
    fn of(component: Component, source: &Source) -> Result<Self, AdmitError> {
        let manifest = Manifest::read(&source.bytes)?.map(Arc::new);
        Ok(Self { component, version: source.version, manifest })
    }

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
    pub(super) fn new(
        cache: Option<&CacheConfig>,
        compiler: Compiler,
        network: Network,
    ) -> Result<Self, LoadError> {
        let engine_error = |error: wasmtime::Error| LoadError::Engine(cause(&error));
        let permits = Arc::new(CpuPermits::new());
        let engine = engine::start(&permits).map_err(engine_error)?;
        let linker = admit::linker(&engine).map_err(engine_error)?;
        let kept = cache.map(|config| Kept::at(config.pulled()));
        let shadows = cache.map(CacheConfig::shadows);
        let cache = cache.and_then(|config| match Cache::open(config) {
            Ok(cache) => Some(Arc::new(cache)),
            Err(error) => {
                tracing::error!("{error}");
                None
            }
        });
        let environment = artifact::environment(&engine);
        let compilers = Arc::new(Semaphore::new(compiler.at_once()));
        let readers = Semaphore::new(READ_AT_ONCE);
        let pullers = Semaphore::new(PULLED_AT_ONCE);
        let stdout = Stdout::default();
        Ok(Self {
            engine,
            linker,
            network,
            cache,
            kept,
            shadows,
            supply: Arc::default(),
            environment,
            compiler,
            compilers,
            readers,
            pullers,
            permits,
            stdout,
            samples: None,
            compile_times: Histogram::default(),
        })
    }

    /// The same, which runs nothing but what these keys signed, and asks registries so.
    pub(super) fn supplied(self, supply: &Supply) -> Self {
        Self { supply: Arc::new(supply.clone()), ..self }
    }

    /// Whose signatures are trusted, and what registries are asked with.
    pub(super) fn supply(&self) -> &Supply {
        &self.supply
    }

    /// Where what is pulled is kept.
    pub(super) fn kept(&self) -> Option<&Kept> {
        self.kept.as_ref()
    }

    /// Where the components of shadows are kept.
    pub(super) fn shadows(&self) -> Option<&Path> {
        self.shadows.as_deref()
    }

    /// The same, which keeps samples of what plugins compute.
    pub(super) fn sampled(self, samples: Option<Samples>) -> Self {
        Self { samples, ..self }
    }

    /// Waits until there is capacity for one more file in memory.
    pub(super) async fn capacity(&self) -> SemaphorePermit<'_> {
        self.readers.acquire().await.expect("the semaphore is never closed")
    }

    /// Waits for a turn to pull: a slow registry holds up no file.
    pub(super) async fn pull_turn(&self) -> SemaphorePermit<'_> {
        self.pullers.acquire().await.expect("the semaphore is never closed")
    }

    /// Waits for a turn to compile. Every turn ends by its limits.
    pub(super) async fn turn(&self) -> OwnedSemaphorePermit {
        self.compilers.clone().acquire_owned().await.expect("the semaphore is never closed")
    }

    /// Reads a file, and what its exports say that it does. Nobody gets one that isn't signed where that is wanted.
    pub(super) async fn read(&self, place: &Place) -> Result<(Source, Option<Roles>), AdmitError> {
        let (place, supply) = (place.clone(), self.supply.clone());
        let read = move || {
            let source = admissible(&place, &supply)?;
            let component_info = ComponentInfo::of(&source.bytes).ok();
            let roles = component_info.map(|component_info| roles_of(&component_info.interfaces()));
            Ok((source, roles))
        };
        self.reading(read).await
    }

    /// What was compiled before, where it is in the cache.
    pub(super) async fn cached(&self, source: &Source) -> Result<Option<Compiled>, AdmitError> {
        let Some(cache) = self.cache.clone() else { return Ok(None) };
        let (engine, key) = (self.engine.clone(), self.key(source));
        let component = self.reading(move || Ok(cache.load(&engine, &key))).await?;
        component.map(|component| Compiled::of(component, source)).transpose()
    }

    /// Compiles what was read, and keeps the artifact in the cache.
    pub(super) async fn compile(
        &self,
        source: Source,
        turn: OwnedSemaphorePermit,
    ) -> Result<Compiled, AdmitError> {
        let key = self.key(&source);
        let Source { bytes, version } = source;
        // Before it is compiled nothing that its manifest says matters; after it the bytes are gone.
        let manifest = Manifest::read(&bytes);
        let began = Instant::now();
        let sealed = self.compiler.compile(&self.engine, key, bytes, turn).await;
        self.compile_times.observe(began.elapsed());
        let sealed = sealed?;
        let (engine, cache) = (self.engine.clone(), self.cache.clone());
        let open = move || {
            let component = artifact::open(&engine, &key, &sealed)
                .map_err(|unsound| AdmitError::Foreign(unsound.to_string()))?;
            if let Some(cache) = cache {
                cache.store(&key, &sealed);
            }
            Ok(component)
        };
        let component = self.reading(open).await?;
        Ok(Compiled { component, version, manifest: manifest?.map(Arc::new) })
    }

    fn key(&self, source: &Source) -> Key {
        artifact::key(&self.environment, source.version)
    }

    /// Does work that waits for the disk.
    async fn reading<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, AdmitError> + Send + 'static,
    ) -> Result<T, AdmitError> {
        match on_thread("plugin-read", READ_TIMEOUT, work).await? {
            Ended::Done(done) => done,
            Ended::Panicked => Err(AdmitError::Read("reading it failed".to_owned())),
            Ended::TooLate => Err(AdmitError::Read(format!("not read within {READ_TIMEOUT:?}"))),
        }
    }

    /// Admits a component under a name, with what is configured for it.
    pub(super) async fn pool(
        &self,
        compiled: &Compiled,
        name: &PluginName,
        config: &PluginConfig,
        shared: Arc<Shared>,
        is_shadow: bool,
    ) -> Result<Pool, AdmitError> {
        let limits = &config.limits;
        let Effective { grants, secret_store, mismatches } =
            manifest::effective(name, config, compiled.manifest.as_deref())?;
        self.network.reaches(grants.hosts())?;
        let ty = compiled.component.component_type();
        let imports = ty.imports(compiled.component.engine());
        let imports = OwnImports::among(imports.map(|(name, _)| name));
        let imports = manifest::imports_not_granted(name, config, imports);
        for mismatch in mismatches.iter().chain(&imports) {
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
        let unmet = mismatches.into_iter().chain(imports).collect();
        let ground = Ground {
            name: name.clone(),
            config: config.config.clone(),
            limits: limits.clone(),
            egress: EgressClient::new(self.network.clone(), grants, secret_store, bounds),
            kv: config.allow_kv,
            timer: config.allow_timer,
            wakes: ty
                .exports(compiled.component.engine())
                .any(|(name, _)| name == Interface::OnTimer.full()),
            stdout: config.allow_stdout.then(|| self.stdout.clone()),
            permits: self.permits.clone(),
            counters: shared.counters().clone(),
            samples: self.samples.clone(),
            lines: shared.lines().clone(),
            unmet,
            is_shadow,
        };
        let ground = Arc::new(if is_shadow { ground.shadowed() } else { ground });
        let manifest = compiled.manifest.as_deref();
        let version = (compiled.version, manifest.map(|manifest| &*manifest.version));
        let (admitted, tried) = admit::admit(&self.linker, &compiled.component, &ground).await?;
        Ok(Pool::new(admitted, ground, config.isolation, version, shared, tried))
    }

    /// How long compiling took.
    pub(super) fn compile_times(&self) -> Distribution {
        self.compile_times.distribution()
    }

    /// What the cache did.
    pub(super) fn cache_totals(&self) -> CacheTotals {
        self.cache.as_ref().map(|cache| cache.totals()).unwrap_or_default()
    }
}

/// Reads a component that is what its place says, and signed where that is wanted. Waits for the disk.
pub(super) fn admissible(place: &Place, supply: &Supply) -> Result<Source, AdmitError> {
    let source = Source::read(&place.path)?;
    if place.sha256.is_some_and(|wanted| wanted != source.version) {
        return Err(AdmitError::Changing);
    }
    signed::check(&supply.trusted_keys, &place.path, &place.signed, &source.bytes)?;
    Ok(source)
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
