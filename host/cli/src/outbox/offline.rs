//! The store with no host running: read as it is, changed by an engine that posts nothing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Seek;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use sidenote::access::Actor;
use sidenote::clock::Clock;
use sidenote::config::{Config, Store as StoreConfig};
use sidenote::engine::erase::kept::{self, KeptCursor, KeptFilter, KeptList};
use sidenote::engine::erase::{EraseError, Erased, Erasure};
use sidenote::engine::ledger::{
    self, By, Decided, Delivery, Filter, LedgerError, Listing, Order, Repeat, Timeline,
    TimelineWant, Want,
};
use sidenote::engine::people::{
    self, Act, AuditCursor, AuditPage, KeyChange, KeyRow, KeyTable, Outcome,
};
use sidenote::engine::{self, Engine, EngineError, Handle};
use sidenote::host::{open_journal, open_store};
use sidenote::http::BackupFailure;
use sidenote::ids::{PluginName, SessionKey};
use sidenote::outbox::delivery_id::DeliveryId;
use sidenote::outbox::note::{Call, Note, PostError, Posted};
use sidenote::post::Post;
use sidenote::store::Store;
use tokio::sync::OnceCell;
use tokio::task::JoinSet;

/// How long the store is waited for: longer than that of a host that has died is held.
const HOLD: Duration = Duration::from_secs(15);

/// How long one order may take, which has a bound of its own.
const PATIENCE: Duration = Duration::from_secs(90);

/// An open store whose configuration isn't known yet.
pub(crate) struct Opened(Arc<dyn Store>);

/// An open store.
pub(crate) struct Offline {
    store: Arc<dyn Store>,
    config: Config,
    clock: Clock,
    /// Set once this process alone may write.
    held: OnceCell<()>,
}

impl Opened {
    /// What the store is of. The secrets in it may be none but the store's.
    pub(super) fn with(self, config: Config) -> Offline {
        Offline { store: self.0, config, clock: Clock::system(), held: OnceCell::new() }
    }
}

impl Offline {
    /// Opens a store. A file that isn't there isn't made.
    pub(super) async fn open(store: StoreConfig) -> anyhow::Result<Opened> {
        match &store {
            StoreConfig::Memory => {
                bail!("the store is kept in memory, by a running host alone; leave --offline out")
            }
            StoreConfig::Embedded { path, .. } if !path.exists() => bail!(
                "the store {} isn't there: no host has run with this configuration; check --config and `store.path`",
                path.display()
            ),
            StoreConfig::Embedded { .. } | StoreConfig::Redis(_) => {}
        }
        Ok(Opened(open_store(store, None).await?))
    }

    /// What it is, for people.
    pub(super) fn name(&self) -> String {
        match &self.config.store {
            StoreConfig::Memory => "memory".to_owned(),
            StoreConfig::Embedded { path, .. } => path.display().to_string(),
            StoreConfig::Redis(redis) => format!("{}, namespace {}", redis.url, redis.namespace),
        }
    }

    /// Lists notes.
    pub(super) async fn list(&self, filter: &Filter, want: &Want) -> anyhow::Result<Listing> {
        Ok(ledger::list(&*self.store, filter, want, self.clock.now()).await?)
    }

    /// Carries out an order, or says what it would mean.
    pub(super) async fn decide(&self, order: &Order, dry_run: bool) -> anyhow::Result<Decided> {
        if dry_run {
            return Ok(ledger::preview(&*self.store, order, self.clock).await?);
        }
        self.held.get_or_try_init(|| self.hold()).await?;
        let (handle, engine) = self.engine();
        let handle = handle.on_behalf_of(Actor::Offline);
        let mut running = JoinSet::new();
        running.spawn(engine.run());
        let carried_out = ledger::carry_out(&*self.store, &handle, order, self.clock, By::Cli);
        let decided = tokio::time::timeout(PATIENCE, carried_out).await;
        let decided = decided.context("the store takes no changes; try again later")?;
        handle.stop().await;
        match decided {
            Ok(decided) => ended(&mut running).await.map(|()| decided),
            Err(LedgerError::Store(error)) => Err(error.into()),
            Err(LedgerError::Closed(closed)) => ended(&mut running).await.and(Err(closed.into())),
        }
    }
}

impl Offline {
    /// What a delivery is.
    pub(super) async fn delivery(&self, id: &DeliveryId, text: bool) -> anyhow::Result<Delivery> {
        let found = ledger::delivery(&*self.store, id, text, self.clock.now()).await?;
        found.context(
            "no such delivery is on record: a delivered note is while it is among the latest 1024 of its session; what a sink or a person was sent isn't once it is delivered; what was redacted or erased is gone",
        )
    }

    /// What is known of a session.
    pub(super) async fn timeline(
        &self,
        key: &SessionKey,
        want: &TimelineWant,
    ) -> anyhow::Result<Timeline> {
        let found = ledger::timeline(&*self.store, key, want, self.clock.now()).await?;
        found
            .context("nothing is known of such a session; check the product's and the session's id")
    }

    /// Has a note sent once more by the next host that runs, or says what that would be.
    pub(super) async fn resend(
        &self,
        id: &DeliveryId,
        dry_run: bool,
        text: bool,
    ) -> anyhow::Result<Repeat> {
        let (store, now) = (&*self.store, self.clock.now());
        if dry_run {
            let settings = engine::settings(&self.config);
            return Ok(ledger::preview_resend(store, &settings, id, text, now).await?);
        }
        self.held.get_or_try_init(|| self.hold()).await?;
        let (handle, engine) = self.engine();
        let mut running = JoinSet::new();
        running.spawn(engine.run());
        let resent = ledger::resend(store, &handle, id, (text, By::Cli), now).await;
        handle.stop().await;
        ended(&mut running).await?;
        Ok(resent?)
    }

    /// Erases somebody, or counts what that would be. What was erased is gone from the files too.
    pub(crate) async fn erase(&self, erasure: &Erasure, dry_run: bool) -> anyhow::Result<Erased> {
        if !dry_run {
            self.held.get_or_try_init(|| self.hold()).await?;
        }
        let (handle, engine) = self.engine();
        if dry_run {
            return Ok(handle.preview_erase(erasure).await?);
        }
        let handle = handle.on_behalf_of(Actor::Offline);
        // What a host accepted while the store was away comes first, so that it is erased too.
        let engine = match open_journal(&self.config.store).await? {
            Some(journal) => engine.with_journal(journal),
            None => engine,
        };
        let mut running = JoinSet::new();
        running.spawn(engine.run());
        let erasing = async {
            let erased = handle.erase(erasure).await?;
            handle.scrubbed().await;
            Ok::<_, EraseError>(erased)
        };
        let erased = tokio::time::timeout(PATIENCE, erasing).await;
        let erased = erased.context("the store takes too long; try again later")?;
        handle.stop().await;
        match erased {
            Ok(erased) => ended(&mut running).await.map(|()| erased),
            Err(EraseError::Store(error)) => Err(error.into()),
            Err(error @ EraseError::Nobody(_)) => ended(&mut running).await.and(Err(error.into())),
            Err(EraseError::Closed(closed)) => ended(&mut running).await.and(Err(closed.into())),
        }
    }

    /// Makes a key or revokes one.
    pub(crate) async fn change_keys(&self, change: KeyChange) -> anyhow::Result<KeyRow> {
        self.held.get_or_try_init(|| self.hold()).await?;
        let (handle, engine) = self.engine();
        let handle = handle.on_behalf_of(Actor::Offline);
        let mut running = JoinSet::new();
        running.spawn(engine.run());
        let changed = handle.change_keys(change).await;
        handle.stop().await;
        ended(&mut running).await?;
        Ok(changed?)
    }

    /// Copies the store, and puts that on record.
    pub(crate) async fn backup(&self) -> anyhow::Result<File> {
        self.held.get_or_try_init(|| self.hold()).await?;
        let copied = self.store.backup().await;
        let outcome = match &copied {
            Ok(_) => Outcome::Done { affected: None },
            Err(error) => Outcome::refused(BackupFailure::Store(error.clone()).code()),
        };
        let (handle, engine) = self.engine();
        let handle = handle.on_behalf_of(Actor::Offline);
        let mut running = JoinSet::new();
        running.spawn(engine.run());
        let recorded = handle.put_on_record(Act::Backup, outcome).await;
        handle.stop().await;
        ended(&mut running).await?;
        let mut file = copied?;
        recorded?;
        file.rewind().context("the copy can't be read")?;
        Ok(file)
    }

    /// The keys of the API.
    pub(crate) async fn keys(&self) -> anyhow::Result<KeyTable> {
        Ok(people::stored_keys(&*self.store).await?)
    }

    /// What people changed, the newest first.
    pub(crate) async fn audited(
        &self,
        limit: usize,
        after: Option<AuditCursor>,
    ) -> anyhow::Result<AuditPage> {
        Ok(people::audited(&*self.store, limit, after).await?)
    }

    /// Lists what stays at the platforms though it was to go.
    pub(crate) async fn kept(
        &self,
        filter: &KeptFilter,
        limit: usize,
        after: Option<KeptCursor>,
    ) -> anyhow::Result<KeptList> {
        Ok(kept::list(&*self.store, filter, limit, after).await?)
    }

    /// An engine that posts nothing.
    fn engine(&self) -> (Handle, Engine) {
        let settings = engine::settings(&self.config).without_posting();
        let post = Arc::new(NothingPosted::of(&self.config));
        Engine::new(self.store.clone(), post, settings, self.clock)
    }

    /// Waits until no host writes.
    async fn hold(&self) -> anyhow::Result<()> {
        let held = tokio::time::timeout(HOLD, self.store.hold()).await;
        let held = held.context(
            "a host writes to the store, and it doesn't run here; name it with --host URL, or stop it",
        )?;
        Ok(held?)
    }

    /// Lets hosts write again, where they were kept from it.
    pub(crate) async fn let_go(&self) {
        if self.held.initialized() {
            self.store.release().await;
        }
    }
}

/// Waits for the engine's end.
async fn ended(engine: &mut JoinSet<Result<(), EngineError>>) -> anyhow::Result<()> {
    let ended = engine.join_next().await.ok_or_else(|| anyhow!("the engine never ran"))?;
    Ok(ended.context("the engine ended in a panic; this is a bug")??)
}

/// The way to the plugins of an engine that doesn't post. What they could do is read from their files.
struct NothingPosted {
    redacts: BTreeMap<PluginName, bool>,
}

impl NothingPosted {
    fn of(config: &Config) -> Self {
        let redacts = config.plugins.iter().filter_map(|(name, plugin)| {
            let file = config.plugin_path(plugin);
            Some((name.clone(), sidenote::plugin::exports_redactor(&file)?))
        });
        Self { redacts: redacts.collect() }
    }
}

#[async_trait::async_trait]
impl Post for NothingPosted {
    async fn post_note(&self, _: Call, _: &Note) -> Result<Posted, PostError> {
        Err(PostError::Unavailable { message: "no host runs".to_owned() })
    }

    fn redacts(&self, plugin: &PluginName) -> Option<bool> {
        self.redacts.get(plugin).copied()
    }
}
