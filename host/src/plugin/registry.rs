//! The plugins by name: what the rest of the host calls.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use http::HeaderValue;
use serde::Serialize;
use tokio::time::timeout_at;
use wasmtime::component::{Component, Linker};

use super::admit::{self, AdmitError};
use super::convert;
use super::engine;
use super::folder;
use super::instance::{Ground, State};
use super::pool::{Pool, Queue, Stopped};
use super::webhook::{ReceiveError, WebhookEvent, WebhookRequest};
use crate::clock::Clock;
use crate::config::Plugin as PluginConfig;
use crate::egress::{Door, Grants, Network, NetworkError, Vault};
use crate::ids::PluginName;
use crate::outbox::note::{Call, Failure, FailureKind, Note, Post, PostError, Posted, Sent};

/// What a plugin that was too busy asks for.
const BUSY_PAUSE: Duration = Duration::from_millis(250);

/// Every plugin, by the name that it is configured under.
pub struct Registry {
    plugins: BTreeMap<PluginName, Slot>,
    clock: Clock,
}

struct Slot {
    file: String,
    plugin: Result<Pool, AdmitError>,
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

    /// Has a plugin verify a webhook and say what it means. Ends within the plugin's `call_timeout`.
    ///
    /// # Errors
    /// [`ReceiveError`]; nothing may be done on account of such a request.
    pub async fn receive(
        &self,
        plugin: &str,
        request: WebhookRequest,
    ) -> Result<Vec<WebhookEvent>, ReceiveError> {
        let pool = match self.plugins.get(plugin).map(|slot| &slot.plugin) {
            None => return Err(ReceiveError::NoSuchPlugin),
            Some(Err(_)) => return Err(ReceiveError::Unavailable),
            Some(Ok(pool)) => pool,
        };
        let crashed =
            |code: &str, message| ReceiveError::Crashed { code: code.to_owned(), message };
        let stopped = |stopped| match stopped {
            Stopped::Busy { .. } | Stopped::Start { .. } => ReceiveError::Unavailable,
            Stopped::Crashed { code, message } => crashed(code, message),
        };
        if !pool.admitted().reads_webhooks() {
            return Err(ReceiveError::NoWebhook);
        }
        let mut lease =
            pool.lease(Queue::Webhooks, pool.call_timeout(), None).await.map_err(stopped)?;
        let request = convert::request(request);
        let deadline = lease.deadline;
        let live = &mut lease.warm.live;
        let Some(webhook) = &live.webhook else {
            return Err(ReceiveError::NoWebhook);
        };
        let outcome = timeout_at(deadline, webhook.call_receive(&mut live.store, &request)).await;
        let answer = match lease.settle(outcome).map_err(stopped)? {
            Ok(events) => convert::events(events),
            Err(rejection) => Err(convert::rejection(rejection)),
        };
        if answer.is_err() {
            pool.counters().failures.fetch_add(1, Relaxed);
        }
        answer
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

#[async_trait::async_trait]
impl Post for Registry {
    async fn post_note(&self, call: Call, note: &Note) -> Result<Posted, PostError> {
        let unavailable = |message: String| PostError::Unavailable { message };
        let pool = match self.plugins.get(&note.plugin) {
            None => return Err(unavailable(format!("there is no plugin `{}`", note.plugin))),
            Some(Slot { plugin: Err(error), .. }) => return Err(unavailable(error.to_string())),
            Some(Slot { plugin: Ok(pool), .. }) => pool,
        };
        if !pool.admitted().writes() {
            return Err(unavailable(format!(
                "the plugin `{}` doesn't export `writer`",
                note.plugin
            )));
        }
        let stopped = |stopped| match stopped {
            Stopped::Busy { waited } => PostError::Failed(busy(waited)),
            Stopped::Start { message } => PostError::Failed(no_start(message)),
            Stopped::Crashed { code, message } => {
                PostError::Crashed { code: code.to_owned(), message }
            }
        };
        let whole = call.timeout.min(pool.call_timeout());
        let traceparent =
            HeaderValue::from_str(&call.traceparent).ok().filter(|value| !value.is_empty());
        let mut lease = pool.lease(Queue::Posts, whole, traceparent).await.map_err(stopped)?;
        let deadline = lease.deadline;
        let left = deadline.saturating_duration_since(tokio::time::Instant::now());
        let call = convert::call(Call { timeout: left, ..call }, self.clock.now());
        let live = &mut lease.warm.live;
        let Some(writer) = &live.writer else {
            return Err(unavailable(format!(
                "the plugin `{}` doesn't export `writer`",
                note.plugin
            )));
        };
        let outcome = timeout_at(
            deadline,
            writer.call_post_note(&mut live.store, &call, &convert::note(note)),
        )
        .await;
        match lease.settle(outcome).map_err(stopped)? {
            Ok(posted) => {
                let (posted, odd) = convert::posted(posted);
                if let Some(reason) = odd {
                    tracing::warn!(plugin = %note.plugin, reason, "a note id was left out");
                }
                Ok(posted)
            }
            Err(failure) => {
                pool.counters().failures.fetch_add(1, Relaxed);
                Err(PostError::Failed(convert::failure(failure)))
            }
        }
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

/// The note never reached a guest: it is as good as before, and the instance may start next time.
fn no_start(message: String) -> Failure {
    Failure {
        kind: FailureKind::Transient,
        code: "start".to_owned(),
        message,
        retry_after: None,
        sent: Sent::NotSent,
    }
}

fn busy(waited: Duration) -> Failure {
    Failure {
        // It burns no attempt: the note is as good as before, there are only too many at a time.
        kind: FailureKind::RateLimited,
        code: "busy".to_owned(),
        message: format!(
            "no instance of the plugin was free within {waited:?}; raise its concurrency if this lasts"
        ),
        retry_after: Some(BUSY_PAUSE),
        sent: Sent::NotSent,
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
