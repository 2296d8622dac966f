//! What is behind the HTTP routes: webhooks through their plugin, links into the engine, readiness.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt};

use crate::access::Actor;
use crate::clock::{Clock, Timestamp};
use crate::config::{Config, PluginSource};
use crate::context::Recent;
use crate::engine::erase::kept::{self, KeptCursor, KeptFilter, KeptList};
use crate::engine::erase::{EraseError, Erased, Erasure, Subject};
use crate::engine::feed::{Next, What};
use crate::engine::helping::commands::{HelpCommand, HelpError, Turn};
use crate::engine::helping::{Decisions, Helped};
use crate::engine::kv::{self, KvListing, KvWant};
use crate::engine::ledger::{
    self, Account, By, Decided, Delivery, Filter, LedgerError, Listing, Order, Repeat,
    ResendFailure, Timeline, TimelineWant, Want,
};
use crate::engine::link::{Identity, LinkCommand, LinkError, LinkMode, Linked, Who, Word};
use crate::engine::people::{
    Act, AuditCursor, AuditPage, Outcome, PluginSwitch, SwitchError, Switched, audited,
};
use crate::engine::tap::{Follower, TooMany};
use crate::engine::timers::{self, TimerListing, TimersWant};
use crate::engine::{self, Handle, StoreState};
use crate::host::Closed;
use crate::host::backup::Backups;
use crate::host::ingest::IngestService;
use crate::host::readers::Asked;
use crate::host::reload::ReloadHandle;
use crate::http::{
    Backend, Backup, BackupFailure, DisabledPlugin, LinkRequest, NoProduct, Part, PluginReport,
    PluginsReport, PushAnswer, PushRequest, Readiness, Reload, Reloads, StreamReadiness,
    StreamState, WebhookAnswer,
};
use crate::ids::{ConversationId, PluginName, ProductId, SessionId, SessionKey};
use crate::keys::{KeyChange, KeyError, KeyRow, Keys};
use crate::llm::Replies;
use crate::metrics::Scrape;
use crate::offers::help::Standing;
use crate::offers::launch::LaunchEvent;
use crate::operator_events::EventCounts;
use crate::outbox::delivery_id::DeliveryId;
use crate::outbox::trouble::{FaultKind, LastError};
use crate::plugin::{
    self, Health, Promoted, ReceiveError, Registry, ShadowError, ShadowReport, WebhookEvent,
    WebhookRequest, WebhookTurn,
};
use crate::see::See;
use crate::session::turn::Meaning;
use crate::sources::{Refusal, Reply, Request as Sent, SourceService};
use crate::store::{Journal, Store, StoreError};
use crate::stream::{Interruption, State, Status};
use crate::telemetry::Refusals;

/// When a platform shall send a webhook again that could not be accepted.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// When a platform shall send a webhook again whose plugin a person has disabled.
const RETRY_DISABLED_AFTER: Duration = Duration::from_secs(60);

/// Said of a plugin that a person has disabled, where anyone can read it.
pub(super) const BY_OPERATOR: &str = "it was disabled by an operator";

/// The backend of the routes.
pub(super) struct ApiBackend {
    engine: Handle,
    ingest: IngestService,
    sources: SourceService,
    /// Read only: what changes goes through the engine.
    store: Arc<dyn Store>,
    journal: Option<Journal>,
    registry: Arc<Registry>,
    /// Swapped when the configuration is read again.
    shown: RwLock<Arc<Shown>>,
    reloads: ReloadHandle,
    /// The plugins of which it was said that nothing vouches for their people.
    claims_told: Mutex<BTreeSet<String>>,
    clock: Clock,
    closed: Closed,
    keys: Keys,
    backups: Backups,
}

/// What is shown and asked of what is configured.
#[derive(Clone, Default)]
pub(super) struct Shown {
    /// The configured plugins: a stray file in the folder is nothing that readiness waits for.
    pub(super) plugins: BTreeSet<PluginName>,
    pub(super) streams: Vec<Status>,
    pub(super) readers: Asked,
    pub(super) events: Option<EventCounts>,
}

impl ApiBackend {
    pub(super) fn new(
        ingest: IngestService,
        store: (Arc<dyn Store>, Option<Journal>),
        registry: Arc<Registry>,
        reloads: ReloadHandle,
        clock: Clock,
    ) -> Self {
        let (engine, closed) = (ingest.engine().clone(), Closed::default());
        let refusals = ingest.refusals().clone();
        let sources = SourceService::new(engine.clone(), registry.clone(), refusals, clock);
        let (store, journal) = store;
        let shown = RwLock::default();
        let claims_told = Mutex::default();
        let keys = Keys::new(engine.clone(), clock);
        let backups = Backups::of(store.clone());
        Self {
            engine,
            ingest,
            sources,
            store,
            journal,
            registry,
            shown,
            reloads,
            claims_told,
            clock,
            closed,
            keys,
            backups,
        }
    }

    /// Accepts pushed events of the products of this configuration from here on, and what its sources bring, and shows its
    /// plugins.
    pub(super) fn change_products(&self, config: &Config) {
        self.ingest.change_secrets(config.ingest.clone());
        self.sources.change(config);
        self.show(|shown| shown.plugins = config.plugins.keys().cloned().collect());
    }

    /// Shows these streams from here on.
    pub(super) fn show_streams(&self, streams: Vec<Status>) {
        self.show(|shown| shown.streams = streams);
    }

    /// Has these readers asked from here on.
    pub(super) fn show_readers(&self, readers: Asked) {
        self.show(|shown| shown.readers = readers);
    }

    /// Shows what is told of these.
    pub(super) fn show_event_counts(&self, counts: EventCounts) {
        self.show(|shown| shown.events = Some(counts));
    }

    fn show(&self, change: impl FnOnce(&mut Shown)) {
        let mut shown = self.shown.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut shown));
    }

    pub(super) fn shown(&self) -> Arc<Shown> {
        self.shown.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn engine(&self) -> &Handle {
        &self.engine
    }

    pub(super) fn store(&self) -> &dyn Store {
        &*self.store
    }

    pub(super) fn journal(&self) -> Option<&Journal> {
        self.journal.as_ref()
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// What is accepted of sources, and when they are asked.
    pub(super) fn sources(&self) -> &SourceService {
        &self.sources
    }

    pub(super) fn own_keys(&self) -> &Keys {
        &self.keys
    }

    pub(super) fn clock(&self) -> Clock {
        self.clock
    }

    /// The host isn't ready from here on: it is shutting down.
    pub(super) fn close(&self) {
        self.closed.set();
    }

    /// Acts on a turn by what it means: the one place where that is decided. Only what the person writes links.
    async fn turn(&self, plugin: &str, turn: WebhookTurn, mode: LinkMode) -> Result<(), LinkError> {
        let told = self.told(plugin, &turn);
        match turn.meaning() {
            Meaning::PersonWrote => self.link_turn(plugin, turn, mode).await?,
            Meaning::PersonTypes
            | Meaning::PersonReacted
            | Meaning::AgentWrote
            | Meaning::AgentTypes
            | Meaning::Closed
            | Meaning::Reopened
            | Meaning::Nothing => {}
        }
        match told {
            Some(told) => {
                self.engine.turn(told).await.map(drop).map_err(|_| LinkError::Unavailable)
            }
            None => Ok(()),
        }
    }

    /// What is told of a turn to those who offer help or answer; `None` where nobody does, or it is of no interest.
    fn told(&self, plugin: &str, turn: &WebhookTurn) -> Option<Turn> {
        let settings = self.engine.settings();
        let mut products = settings.products_of(plugin).into_iter();
        let helps = products.any(|product| {
            settings.offers(&product).is_some() || settings.replies(&product).is_some()
        });
        let meaning = turn.meaning();
        if !helps || meaning == Meaning::Nothing {
            return None;
        }
        Some(Turn {
            plugin: plugin.into(),
            conversation: ConversationId::new(turn.conversation_id.as_str()).ok()?,
            meaning,
            option_id: turn.option_id.clone(),
            text: turn.text.clone(),
            message_id: turn.message_id.clone(),
        })
    }

    /// Links the session that a turn in a conversation tells of. `Ok` also where it tells of none.
    async fn link_turn(
        &self,
        plugin: &str,
        turn: WebhookTurn,
        mode: LinkMode,
    ) -> Result<(), LinkError> {
        let conversation = ConversationId::new(turn.conversation_id.as_str());
        let turn = self.somebodys(turn);
        let (Ok(conversation), Some(who)) = (conversation, self.who(plugin, &turn)) else {
            self.engine.counters().webhooks_unresolved.add(1);
            tracing::debug!(plugin, "webhook: the event names no conversation, session or person");
            return Ok(());
        };
        let told = Identity::new(turn.external_user_id, turn.email);
        let word = Word::Platform(turn.vouched);
        let request = LinkCommand { plugin: plugin.into(), conversation, who, mode, told, word };
        if mode == LinkMode::Auto {
            self.ask_sources(&request);
        }
        match self.engine.link(request).await {
            Ok(_) => Ok(()),
            Err(LinkError::Claimed) => {
                self.engine.counters().webhooks_claimed.add(1);
                self.say_claimed(plugin);
                Ok(())
            }
            // Sending it again wouldn't help the platform; the operator sees the counter.
            Err(
                error @ (LinkError::NotFound(_)
                | LinkError::Ambiguous
                | LinkError::Nobody(_)
                | LinkError::Foreign),
            ) => {
                self.engine.counters().webhooks_unresolved.add(1);
                tracing::info!(plugin, "webhook: no link made: {error}");
                Ok(())
            }
            Err(error @ (LinkError::Unavailable | LinkError::Closed)) => Err(error),
        }
    }

    /// Has the sources asked that are asked when somebody opens a conversation.
    fn ask_sources(&self, link: &LinkCommand) {
        if let Who::Person { products, user_id: Some(user), .. } = &link.who {
            self.sources.opened(products, user, link);
        }
    }

    /// The turn without what names nobody, as if the platform hadn't said it.
    fn somebodys(&self, mut turn: WebhookTurn) -> WebhookTurn {
        let settings = self.engine.settings();
        let names = settings.names();
        let person = names.clean(&mut turn.external_user_id, &mut turn.email);
        let session = names.clean_id(&mut turn.session_id);
        self.engine.counters().nobody_ids.add(person + session);
        turn
    }

    /// Says once per plugin why nothing is linked, with what to write.
    fn say_claimed(&self, plugin: &str) {
        let mut told = self.claims_told.lock().unwrap_or_else(PoisonError::into_inner);
        if !told.insert(plugin.to_owned()) {
            return;
        }
        drop(told);
        tracing::warn!(
            plugin,
            "webhook: nothing was linked: who wrote is only what a visitor says of himself, and the platform vouches for none of it; where the plugin has the setting, switch the platform's identity verification on and say so, or accept what visitors say of themselves; further ones are counted (sidenote_webhooks_unlinked_total) {}:\n{}",
            See::ClaimsOnly,
            plugin::manifest::belief(plugin)
        );
    }

    /// How the turn names the session. A product that the plugin doesn't serve names nothing.
    fn who(&self, plugin: &str, turn: &WebhookTurn) -> Option<Who> {
        let settings = self.engine.settings();
        let mut products = settings.products_of(plugin);
        if let Some(id) = &turn.product_id {
            let id = ProductId::new(id.as_str()).ok()?;
            if !settings.serves(plugin, &id) {
                return None;
            }
            products = vec![id];
        }
        if let Some(session) = turn.session_id.as_deref().filter(|id| !id.is_empty()) {
            return Some(Who::SessionOf(products, SessionId::new(session).ok()?));
        }
        let (user_id, email) = (turn.external_user_id.clone(), turn.email.clone());
        (user_id.is_some() || email.is_some()).then_some(Who::Person { products, user_id, email })
    }

    pub(super) fn check_open(&self) -> Result<(), LedgerError> {
        if self.closed.get() { Err(engine::Closed.into()) } else { Ok(()) }
    }

    pub(super) fn stream(&self, status: &Status) -> StreamReadiness {
        let now = status.get();
        let last = now.last_interruption.map(Interruption::without_addresses);
        let (state, cause, retry_at) = match now.state {
            // While it is asked again, what was wrong is still what is known.
            State::Connecting => {
                (StreamState::Connecting, last.map(|cause| cause.to_string()), None)
            }
            State::Connected => (StreamState::Connected, None, None),
            State::Waiting { retry_at } => {
                let refused = last.as_ref().is_some_and(Interruption::is_refusal);
                let state = if refused { StreamState::Refused } else { StreamState::Waiting };
                (state, last.map(|cause| cause.to_string()), Some(retry_at))
            }
            State::Stopped { reason } => {
                (StreamState::Stopped, reason.map(|reason| reason.to_string()), None)
            }
        };
        StreamReadiness {
            next_attempt: retry_at.map(|at| at.since(self.clock.now())),
            name: status.stream().to_string(),
            state,
            last_event_age: now.last_event_at.map(|at| self.clock.now().since(at)),
            cause,
        }
    }
}

#[async_trait::async_trait]
impl Backend for ApiBackend {
    fn refuses_webhook(&self, plugin: &str) -> Option<WebhookAnswer> {
        if self.closed.get() {
            return Some(WebhookAnswer::Unavailable { retry_after: RETRY_AFTER });
        }
        match self.registry.reads_webhooks(plugin) {
            Ok(()) if !self.engine.may_ask(plugin) => {
                Some(WebhookAnswer::Unavailable { retry_after: RETRY_DISABLED_AFTER })
            }
            Ok(()) => None,
            Err(ReceiveError::NoSuchPlugin | ReceiveError::NoWebhook) => {
                Some(WebhookAnswer::UnknownPlugin)
            }
            Err(
                ReceiveError::Unavailable
                | ReceiveError::UnderWay
                | ReceiveError::Rejected { .. }
                | ReceiveError::Crashed { .. },
            ) => Some(WebhookAnswer::Unavailable { retry_after: RETRY_AFTER }),
        }
    }

    fn refuses_push(&self, product: &str, signed: bool) -> Option<PushAnswer> {
        if self.closed.get() {
            return Some(PushAnswer::Unavailable { retry_after: RETRY_AFTER });
        }
        self.ingest.refuses(product, signed)
    }

    fn source_rules(&self, name: &str) -> Option<PluginSource> {
        self.sources.rules(name)
    }

    fn refuses_source(&self, name: &str) -> Option<Refusal> {
        if self.closed.get() {
            return Some(Refusal::Unavailable { retry_after: RETRY_AFTER });
        }
        self.sources.refuses(name)
    }

    async fn receive(&self, sent: Sent) -> Reply {
        if self.closed.get() {
            return Reply::Refused(Refusal::Unavailable { retry_after: RETRY_AFTER });
        }
        self.sources.receive(sent).await
    }

    fn keys(&self) -> Option<Keys> {
        Some(self.keys.clone())
    }

    async fn change_keys(&self, change: KeyChange, by: &Actor) -> Result<KeyRow, KeyError> {
        if self.closed.get() {
            return Err(KeyError::Unavailable);
        }
        self.engine.on_behalf_of(by.clone()).change_keys(change).await
    }

    async fn switch_plugin(
        &self,
        switch: PluginSwitch,
        by: &Actor,
    ) -> Result<Switched, SwitchError> {
        if self.closed.get() {
            return Err(SwitchError::Unavailable);
        }
        let plugin = switch.plugin.clone();
        let switched = self.engine.on_behalf_of(by.clone()).switch_plugin(switch).await?;
        match (&switched.disabled, switched.changed) {
            (Some(_), true) => {
                tracing::warn!(%plugin, by = by.words(), "plugins: a person has it not called any more; what is for it waits");
            }
            (None, true) => {
                tracing::info!(%plugin, by = by.words(), "plugins: a person has it called again");
            }
            (_, false) => {}
        }
        Ok(switched)
    }

    async fn plugin_kv(&self, want: &KvWant) -> Result<KvListing, StoreError> {
        kv::list(&*self.store, want).await
    }

    async fn clear_plugin_kv(&self, plugin: PluginName, by: &Actor) -> Option<u64> {
        if self.closed.get() {
            return None;
        }
        let values = self.engine.on_behalf_of(by.clone()).clear_kv(plugin.clone()).await.ok()?;
        tracing::warn!(%plugin, by = by.words(), values, "plugins: a person removed what it kept");
        Some(values)
    }

    async fn start_shadow(
        &self,
        plugin: &str,
        file: &str,
        by: &Actor,
    ) -> Result<ShadowReport, ShadowError> {
        let started = self.registry.shadow(plugin, file).await;
        let version = started.as_ref().ok().map(|report| report.version.clone());
        let act = Act::ShadowStarted { plugin: plugin.into(), version };
        record(&self.engine, by, act, shadow_outcome(started.as_ref().err())).await;
        started
    }

    fn shadow(&self, plugin: &str) -> Option<ShadowReport> {
        self.registry.shadow_report(plugin)
    }

    async fn promote_shadow(&self, plugin: &str, by: &Actor) -> Result<Promoted, ShadowError> {
        let promoted = self.registry.promote_shadow(plugin).await;
        let version = promoted.as_ref().ok().map(|promoted| promoted.version.clone());
        let act = Act::ShadowPromoted { plugin: plugin.into(), version };
        record(&self.engine, by, act, shadow_outcome(promoted.as_ref().err())).await;
        promoted
    }

    async fn drop_shadow(&self, plugin: &str, by: &Actor) -> Result<(), ShadowError> {
        let dropped = self.registry.drop_shadow(plugin).await;
        let act = Act::ShadowDropped { plugin: plugin.into() };
        record(&self.engine, by, act, shadow_outcome(dropped.as_ref().err())).await;
        dropped
    }

    async fn plugin_timers(&self, want: &TimersWant) -> Result<TimerListing, StoreError> {
        let listing = timers::list(&*self.store, want).await?;
        Ok(TimerListing { timers: self.registry.timers_of(&want.plugin), ..listing })
    }

    async fn remove_plugin_timers(&self, plugin: PluginName, by: &Actor) -> Option<u64> {
        if self.closed.get() {
            return None;
        }
        let timers = self.engine.on_behalf_of(by.clone()).remove_timers(&plugin).await.ok()?;
        tracing::warn!(%plugin, by = by.words(), timers, "plugins: a person removed its timers");
        Some(timers)
    }

    async fn backup(&self, by: &Actor) -> Result<Backup, BackupFailure> {
        if self.closed.get() {
            return Err(BackupFailure::OffRecord);
        }
        self.backups.make(&self.engine.on_behalf_of(by.clone())).await
    }

    async fn audited(
        &self,
        limit: usize,
        after: Option<AuditCursor>,
    ) -> Result<AuditPage, StoreError> {
        audited(&*self.store, limit, after).await
    }

    fn refusals(&self) -> Option<&Refusals> {
        Some(self.ingest.refusals())
    }

    async fn webhook(&self, plugin: &str, request: WebhookRequest) -> WebhookAnswer {
        // Somebody may have disabled it while the body was read.
        if let Some(refused) = self.refuses_webhook(plugin) {
            return refused;
        }
        let mut received = match self.registry.receive_once(plugin, request).await {
            Ok(received) => received,
            Err(ReceiveError::NoSuchPlugin | ReceiveError::NoWebhook) => {
                return WebhookAnswer::UnknownPlugin;
            }
            Err(ReceiveError::Rejected { status, code, message }) => {
                // The reason is the operator's: whoever sent the request may be anyone.
                self.ingest.refusals().say("webhook", plugin, &code, || {
                    tracing::warn!(
                        plugin,
                        status,
                        code,
                        said = message,
                        "webhook: refused by the plugin {}",
                        See::WebhookRefused
                    );
                });
                let message = "the plugin refuses the request".to_owned();
                return WebhookAnswer::Rejected { status, code, message };
            }
            Err(ReceiveError::Unavailable | ReceiveError::UnderWay) => {
                return WebhookAnswer::Unavailable { retry_after: RETRY_AFTER };
            }
            Err(ReceiveError::Crashed { code, message }) => {
                self.ingest.refusals().say("webhook", plugin, &code, || {
                    tracing::warn!(plugin, code, said = message, "webhook: the plugin failed");
                });
                return WebhookAnswer::PluginFailed { code };
            }
        };
        let (mut answer, mut is_success) = (WebhookAnswer::Accepted, true);
        let events = std::mem::take(&mut received.events);
        for event in events {
            let linked = match event {
                WebhookEvent::Opened(_) | WebhookEvent::Replied(_) if received.is_repeat() => {
                    Ok(())
                }
                WebhookEvent::Opened(turn) => self.turn(plugin, turn, LinkMode::Auto).await,
                WebhookEvent::Replied(turn) => self.turn(plugin, turn, LinkMode::Reply).await,
                WebhookEvent::Challenge(challenge) => {
                    is_success = (200..300).contains(&challenge.status);
                    answer = WebhookAnswer::Answer {
                        status: challenge.status,
                        content_type: challenge.content_type,
                        body: challenge.body.into(),
                    };
                    Ok(())
                }
                WebhookEvent::Ignored => Ok(()),
            };
            if linked.is_err() {
                return WebhookAnswer::Unavailable { retry_after: RETRY_AFTER };
            }
        }
        if is_success {
            received.accepted();
        }
        answer
    }

    async fn ingest(&self, push: PushRequest) -> PushAnswer {
        // Who takes part in what comes in is known when the plugins' files were read.
        if self.closed.get() || !self.registry.is_surveyed() {
            return PushAnswer::Unavailable { retry_after: RETRY_AFTER };
        }
        self.ingest.accept(push).await
    }

    async fn link(&self, request: LinkRequest, by: &Actor) -> Result<Linked, LinkError> {
        if self.closed.get() {
            return Err(LinkError::Closed);
        }
        let settings = self.engine.settings();
        let (plugin, who) = match request.product_id {
            Some(product) => {
                let configured = settings.product(&product);
                let configured =
                    configured.ok_or(LinkError::NotFound("the product isn't configured"))?;
                let plugin = request.plugin.or_else(|| {
                    configured.plugins.iter().find(|name| self.registry.writes(name)).cloned()
                });
                let plugin: PluginName =
                    plugin.ok_or(LinkError::NotFound("the product has no plugin"))?;
                if !configured.plugins.contains(&plugin) {
                    return Err(LinkError::NotFound("the plugin doesn't serve the product"));
                }
                (plugin, Who::Session(SessionKey { product, session: request.session_id }))
            }
            None => {
                let missing = LinkError::NotFound("neither a product nor a plugin is named");
                let plugin = request.plugin.ok_or(missing)?;
                let products = settings.products_of(&plugin);
                (plugin, Who::SessionOf(products, request.session_id))
            }
        };
        if !self.registry.writes(&plugin) {
            return Err(LinkError::NotFound("the plugin posts no notes"));
        }
        let command = LinkCommand {
            plugin,
            conversation: request.conversation_id,
            who,
            mode: request.mode,
            told: Identity::default(),
            word: Word::Operator,
        };
        self.engine.on_behalf_of(by.clone()).link(command).await
    }

    async fn outbox(&self, filter: &Filter, want: &Want) -> Result<Listing, LedgerError> {
        self.check_open()?;
        let listing = ledger::list(&*self.store, filter, want, self.clock.now()).await?;
        let accounts = self.engine.accounts().into_iter().map(Account::from).collect();
        Ok(Listing { accounts, ..listing })
    }

    async fn preview(&self, order: &Order) -> Result<Decided, LedgerError> {
        self.check_open()?;
        Ok(ledger::preview(&*self.store, order, self.clock).await?)
    }

    async fn decide(&self, order: &Order, by: &Actor) -> Result<Decided, LedgerError> {
        self.check_open()?;
        let engine = self.engine.on_behalf_of(by.clone());
        ledger::carry_out(&*self.store, &engine, order, self.clock, By::Api).await
    }

    async fn delivery(&self, id: &DeliveryId, text: bool) -> Result<Option<Delivery>, LedgerError> {
        self.check_open()?;
        Ok(ledger::delivery(&*self.store, id, text, self.clock.now()).await?)
    }

    async fn resend(
        &self,
        id: &DeliveryId,
        dry_run: bool,
        text: bool,
        by: &Actor,
    ) -> Result<Repeat, ResendFailure> {
        if self.closed.get() {
            return Err(engine::Closed.into());
        }
        let (store, now) = (&*self.store, self.clock.now());
        match dry_run {
            true => ledger::preview_resend(store, &self.engine.settings(), id, text, now).await,
            false => {
                let engine = self.engine.on_behalf_of(by.clone());
                ledger::resend(store, &engine, id, (text, By::Api), now).await
            }
        }
    }

    async fn timeline(
        &self,
        key: &SessionKey,
        want: &TimelineWant,
    ) -> Result<Option<Timeline>, LedgerError> {
        self.check_open()?;
        Ok(ledger::timeline(&*self.store, key, want, self.clock.now()).await?)
    }

    async fn erase(
        &self,
        erasure: &Erasure,
        dry_run: bool,
        by: &Actor,
    ) -> Result<Erased, EraseError> {
        if self.closed.get() {
            return Err(engine::Closed.into());
        }
        match dry_run {
            true => self.engine.preview_erase(erasure).await,
            false => {
                let erased = self.engine.on_behalf_of(by.clone()).erase(erasure).await?;
                self.sources.forget(erasure).await?;
                Ok(erased)
            }
        }
    }

    async fn kept(
        &self,
        filter: &KeptFilter,
        limit: usize,
        after: Option<KeptCursor>,
    ) -> Result<KeptList, EraseError> {
        if self.closed.get() {
            return Err(engine::Closed.into());
        }
        Ok(kept::list(&*self.store, filter, limit, after).await?)
    }

    fn replies(&self) -> Option<Replies> {
        self.shown().readers.replies.clone()
    }

    async fn helped(&self, key: &SessionKey) -> Result<Option<Helped>, StoreError> {
        self.engine.helped(key, self.clock.now()).await
    }

    async fn change_help(&self, command: HelpCommand, by: &Actor) -> Result<Standing, HelpError> {
        if self.closed.get() {
            return Err(HelpError::Unavailable);
        }
        self.engine.on_behalf_of(by.clone()).change_help(command).await
    }

    async fn offer_decisions(
        &self,
        after: Option<&SessionKey>,
        within: Option<&BTreeSet<ProductId>>,
    ) -> Result<Decisions, StoreError> {
        self.engine.offer_decisions(after, within).await
    }

    fn tap(&self) -> Result<Follower, TooMany> {
        self.engine.tap()
    }

    fn launches(&self, key: &SessionKey) -> BoxStream<'static, LaunchEvent> {
        let (feed, key) = (self.engine.feed(), key.clone());
        let launches = stream::unfold((feed, key), |(mut feed, key)| async move {
            loop {
                match feed.next().await {
                    Ok(Next::Committed(committed)) if committed.key == key => {
                        if let What::Launch(launch) = &committed.what {
                            return Some((launch.clone(), (feed, key)));
                        }
                    }
                    // Who falls behind isn't shown what was for that moment.
                    Ok(Next::Committed(_) | Next::Behind) => {}
                    Err(engine::Closed) => return None,
                }
            }
        });
        launches.boxed()
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn recent(&self) -> Option<Recent> {
        self.shown().readers.recent.clone()
    }

    async fn reload(&self, by: &Actor) -> Reload {
        self.reloads.ask_for(by.clone()).await
    }

    fn reloads(&self) -> Reloads {
        self.reloads.record()
    }

    fn product(&self, named: Option<&str>) -> Result<Arc<str>, NoProduct> {
        let settings = self.engine.settings();
        let mut ids = settings.products();
        if let Some(named) = named {
            let known = ids.find(|id| id.as_str() == named);
            return known.map(ProductId::shared).ok_or(NoProduct::Unknown);
        }
        match (ids.next(), ids.next()) {
            (Some(only), None) => Ok(only.shared()),
            (None, _) => Err(NoProduct::Unknown),
            (Some(_), Some(_)) => {
                Err(NoProduct::Several(settings.products().map(ToString::to_string).collect()))
            }
        }
    }

    async fn reset(&self, product: &str, user: &str, by: &Actor) -> Result<Erased, EraseError> {
        if self.closed.get() {
            return Err(engine::Closed.into());
        }
        let engine = self.engine.on_behalf_of(by.clone());
        let mut erased = Erased::default();
        let Ok(product) = ProductId::new(product) else { return Ok(erased) };
        // The context knows users without the blanks around their ids.
        for id in BTreeSet::from([user, user.trim()]) {
            let subject = Subject::User(id.to_owned());
            let erasure = Erasure { product: product.clone(), subject, keep_notes: true };
            erased.add(engine.reset(&erasure).await?);
            self.sources.forget(&erasure).await?;
        }
        if let Some(recent) = self.recent() {
            recent.caught_up(self.engine.feed_position()).await;
        }
        Ok(erased)
    }

    fn readiness(&self) -> Readiness {
        let not_ready = |cause: &str| Part::NotReady { cause: cause.to_owned() };
        let store = match self.engine.store_state() {
            _ if self.closed.get() => not_ready("the host is shutting down"),
            StoreState::Serving | StoreState::Away => Part::Ready,
            StoreState::Full => not_ready("the disk is full"),
            StoreState::Refused => not_ready(
                "the store refuses what the host needs, and nothing is accepted; see the log",
            ),
        };
        let errors = self.last_errors();
        let plugin = |state: plugin::PluginState| {
            // The whole reason is in the log; it may name files.
            let last = errors.iter().find(|(name, _)| *name == state.name).map(|(_, last)| last);
            let part = match state.health {
                _ if self.engine.disabled(&state.name).is_some() => {
                    Part::NotReady { cause: BY_OPERATOR.to_owned() }
                }
                Health::Loaded => posts(last),
                Health::Compiling => Part::NotReady {
                    cause: "it is being compiled; its notes wait until it is".to_owned(),
                },
                Health::Failed | Health::NotConfigured => {
                    Part::NotReady { cause: "it could not be loaded; see the log".to_owned() }
                }
                Health::Unhealthy | Health::HeldBack => Part::NotReady {
                    cause: "it traps again and again and is held back; see the log".to_owned(),
                },
            };
            (state.name, part)
        };
        let (states, shown) = (self.registry.states().into_iter(), self.shown());
        // A file that no table names may be listed under any name.
        let configured = states.filter(|state| {
            state.health != Health::NotConfigured && shown.plugins.contains(&state.name)
        });
        Readiness {
            streams: shown.streams.iter().map(|status| self.stream(status)).collect(),
            store,
            plugins: configured.map(plugin).collect(),
        }
    }

    async fn retry_streams(&self, named: Option<&str>, by: &Actor) -> Option<Vec<StreamReadiness>> {
        let is_meant = |status: &&Status| named.is_none_or(|name| name == &**status.stream());
        let shown = self.shown();
        let meant: Vec<_> = shown.streams.iter().filter(is_meant).collect();
        if meant.is_empty() && named.is_some() {
            return None;
        }
        let ask = |status: &Status| {
            let before = self.stream(status);
            if status.ask_at_once() {
                tracing::info!(stream = %status.stream(), "stream: a person has it asked at once");
            }
            before
        };
        let before: Vec<_> = meant.into_iter().map(ask).collect();
        let act = Act::StreamsRetry { stream: named.map(str::to_owned) };
        let outcome = Outcome::Done { affected: Some(before.len() as u64) };
        record(&self.engine, by, act, outcome).await;
        Some(before)
    }

    fn last_errors(&self) -> Vec<(PluginName, LastError)> {
        let accounts = self.engine.accounts().into_iter();
        accounts.filter_map(|account| Some((account.plugin, account.last_error?))).collect()
    }

    async fn metrics(&self) -> Scrape {
        self.gather().await
    }

    fn plugin_lines(&self, plugin: &str, behind: u64, limit: usize) -> Option<Vec<plugin::Line>> {
        self.registry.lines(plugin, behind, limit)
    }

    fn plugins(&self) -> PluginsReport {
        let accounts = self.engine.accounts();
        let report = |state: plugin::PluginState| {
            // Nothing was posted yet where there is no account: its breaker is closed.
            let of_plugin = accounts.iter().find(|account| account.plugin == state.name);
            let breaker = of_plugin.map_or("closed", |account| account.breaker);
            let last_error = of_plugin.and_then(|account| account.last_error.clone());
            let disabled = of_plugin.and_then(|account| account.disabled.clone());
            let disabled = disabled.map(DisabledPlugin::from);
            PluginReport { state, breaker: Some(breaker.to_owned()), last_error, disabled }
        };
        PluginsReport {
            plugins: self.registry.states().into_iter().map(report).collect(),
            reloads: self.registry.reloads(),
            cache: self.registry.cache(),
        }
    }
}

fn shadow_outcome(error: Option<&ShadowError>) -> Outcome {
    match error {
        None => Outcome::Done { affected: None },
        Some(error) => Outcome::refused(error.code()),
    }
}

/// Puts on record what somebody did that no transaction holds. What can't be put there is in the log.
pub(super) async fn record(engine: &Handle, by: &Actor, act: Act, outcome: Outcome) {
    let name = act.name();
    if engine.on_behalf_of(by.clone()).put_on_record(act, outcome).await.is_err() {
        let by = by.words();
        tracing::warn!(
            by,
            act = name,
            "audit: the store takes nothing, so that this isn't on record"
        );
    }
}

/// Whether a plugin that runs gets anything through. What the platform refuses waits until a person acts, so
/// it isn't ready; what it can't take at the moment goes on by itself.
fn posts(last: Option<&LastError>) -> Part {
    match last.filter(|last| last.is_ongoing()) {
        Some(LastError { kind: FaultKind::Auth, code, .. }) => Part::NotReady {
            cause: format!("the platform refuses its credentials ({code}); see the log"),
        },
        Some(LastError { kind: FaultKind::Transient | FaultKind::Crashed, .. })
        | Some(LastError { kind: FaultKind::Refused, .. })
        | None => Part::Ready,
    }
}
