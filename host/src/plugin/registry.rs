//! The plugins by name: what the rest of the host calls.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use serde::Serialize;
use wasmtime::component::{Component, Linker};

use super::admit::{self, AdmitError};
use super::engine;
use super::folder;
use super::instance::{Ground, State};
use super::pool::Pool;
use crate::clock::Clock;
use crate::config::Plugin as PluginConfig;
use crate::egress::{Door, Grants, Network, NetworkError, Vault};
use crate::ids::PluginName;

/// Every plugin, by the name that it is configured under.
pub struct Registry {
    plugins: BTreeMap<PluginName, Slot>,
    clock: Clock,
}

struct Slot {
    file: String,
    plugin: Result<Pool, AdmitError>,
}

/// Why a plugin can't be called.
pub(super) enum NoPool {
    /// No plugin has this name.
    Unknown,
    /// It couldn't be loaded, for this reason.
    Failed(String),
}

/// How a plugin is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PluginState {
    /// Its name.
    pub name: PluginName,
    /// Its file in the plugins folder.
    pub file: String,
    /// Why it doesn't run, with the stage and the next step; `None` where it does.
    pub failed: Option<String>,
    /// The interfaces that it exports: `writer`, `webhook`.
    pub interfaces: Vec<&'static str>,
    /// Calls since the start.
    pub calls: u64,
    /// Calls that the plugin answered with a failure or a rejection.
    pub failures: u64,
    /// Calls that ended in a trap or at a limit.
    pub traps: u64,
}

/// Why there are no plugins at all. A plugin that can't be used is no such error: see
/// [`PluginState::failed`].
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The engine doesn't start.
    #[error(
        "plugins: the WebAssembly engine doesn't start: {0}; is this machine's processor supported?"
    )]
    Engine(String),
    /// The folder can't be read.
    #[error(
        "plugins: the folder {folder} can't be read: {cause}; check `plugins_folder` and its permissions"
    )]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why not.
        cause: std::io::Error,
    },
    /// There is no network.
    #[error(transparent)]
    Network(#[from] NetworkError),
}

impl Registry {
    /// Loads what is configured, and every other `.wasm` file of the folder under its stem, without
    /// settings, secrets or grants. A file that can't be used stops nothing else.
    ///
    /// # Errors
    /// Only where nothing at all can be loaded.
    pub async fn load(
        from: &Path,
        plugins: &BTreeMap<PluginName, PluginConfig>,
    ) -> Result<Self, LoadError> {
        let engine_error = |error: wasmtime::Error| LoadError::Engine(admit::cause(&error));
        let engine = engine::start().map_err(engine_error)?;
        let linker = admit::linker(&engine).map_err(engine_error)?;
        let network = Network::new()?;
        let wanted = folder::wanted(plugins, folder::files(from)?);

        let mut compiled: BTreeMap<String, Component> = BTreeMap::new();
        let mut slots = BTreeMap::new();
        for (name, config) in wanted {
            let component = match (compiled.get(&config.file), folder::path(from, &config.file)) {
                (Some(component), _) => Ok(component.clone()),
                (None, Ok(path)) => admit::compile(&engine, &path).await,
                (None, Err(error)) => Err(error),
            };
            if let Ok(component) = &component {
                compiled.insert(config.file.clone(), component.clone());
            }
            let file = config.file.clone();
            let plugin = match component {
                Ok(component) => pool(&linker, &component, &network, name.clone(), config).await,
                Err(error) => Err(error),
            };
            match &plugin {
                Ok(pool) => {
                    tracing::info!(plugin = %name, file, interfaces = ?pool.admitted().interfaces(), "plugin loaded")
                }
                Err(error) => {
                    tracing::error!(plugin = %name, file, %error, "plugin can't be used; the others go on")
                }
            }
            slots.insert(name, Slot { file, plugin });
        }
        Ok(Self { plugins: slots, clock: Clock::system() })
    }

    /// The plugin's instances.
    pub(super) fn pool(&self, plugin: &str) -> Result<&Pool, NoPool> {
        match self.plugins.get(plugin).map(|slot| &slot.plugin) {
            None => Err(NoPool::Unknown),
            Some(Err(error)) => Err(NoPool::Failed(error.to_string())),
            Some(Ok(pool)) => Ok(pool),
        }
    }

    /// The wall clock, for deadlines.
    pub(super) fn clock(&self) -> Clock {
        self.clock
    }

    /// Whether a plugin can post notes, as far as is known: one that couldn't be loaded may.
    pub fn writes(&self, plugin: &str) -> bool {
        self.plugins.get(plugin).is_some_and(|slot| match &slot.plugin {
            Ok(pool) => pool.admitted().interfaces().contains(&"writer"),
            Err(_) => true,
        })
    }

    /// How every plugin is, by name.
    pub fn states(&self) -> Vec<PluginState> {
        self.plugins.iter().map(|(name, slot)| slot.state(name)).collect()
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("plugins", &self.states()).finish_non_exhaustive()
    }
}

impl Slot {
    fn state(&self, name: &PluginName) -> PluginState {
        let (failed, interfaces, counters) = match &self.plugin {
            Ok(pool) => (None, pool.admitted().interfaces(), Some(pool.counters())),
            Err(error) => (Some(error.to_string()), Vec::new(), None),
        };
        let read = |counter: Option<&std::sync::atomic::AtomicU64>| {
            counter.map_or(0, |counter| counter.load(Relaxed))
        };
        PluginState {
            name: name.clone(),
            file: self.file.clone(),
            failed,
            interfaces,
            calls: read(counters.map(|counters| &counters.calls)),
            failures: read(counters.map(|counters| &counters.failures)),
            traps: read(counters.map(|counters| &counters.traps)),
        }
    }
}

async fn pool(
    linker: &Linker<State>,
    component: &Component,
    network: &Network,
    name: PluginName,
    config: PluginConfig,
) -> Result<Pool, AdmitError> {
    let grants = Grants::new(name.clone(), &config.hosts, config.allow_private)?;
    let vault = Vault::new(name.clone(), &config.secrets)?;
    let door = Door::new(network.clone(), grants, vault, config.limits.max_response_bytes);
    let ground = Arc::new(Ground { name, config: config.config, limits: config.limits, door });
    let (admitted, tried) = admit::admit(linker, component, &ground).await?;
    Ok(Pool::new(admitted, ground, tried))
}
