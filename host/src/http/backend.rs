//! What is behind the routes.

use std::collections::BTreeSet;
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use serde::{Deserialize, Serialize};

use super::reload_record::{
    AskedBy, RefusalCode, Reload, ReloadOutcome, ReloadProblem, ReloadRefusal, Reloads,
};
use crate::access::Actor;
use crate::clock::Timestamp;
use crate::config::PluginSource;
use crate::context::Recent;
use crate::engine::core::resend::ResendError;
use crate::engine::erase::kept::{KeptCursor, KeptFilter, KeptList};
use crate::engine::erase::{EraseError, Erased, Erasure};
use crate::engine::helping::commands::{HelpCommand, HelpError};
use crate::engine::helping::{Decisions, Helped};
use crate::engine::kv::{KvListing, KvWant};
use crate::engine::ledger::{
    Decided, Delivery, Filter, LedgerError, Listing, Order, Repeat, ResendFailure, Timeline,
    TimelineWant, Want,
};
use crate::engine::link::{LinkError, LinkMode, Linked};
use crate::engine::people::{AuditCursor, AuditPage, PluginSwitch, SwitchError, Switched};
use crate::engine::tap::{Follower, TooMany};
use crate::engine::timers::{TimerListing, TimersWant};
use crate::ids::{ConversationId, PluginName, ProductId, SessionId, SessionKey};
use crate::keys::{KeyChange, KeyError, KeyRow, Keys};
use crate::llm::Replies;
use crate::metrics::Scrape;
use crate::offers::help::Standing;
use crate::offers::launch::LaunchEvent;
use crate::outbox::account::Disabled;
use crate::outbox::delivery_id::DeliveryId;
use crate::outbox::trouble::LastError;
use crate::plugin::{
    CacheTotals, Line, PluginState, Promoted, ReloadTotals, ShadowError, ShadowReport,
    WebhookRequest,
};
use crate::sources::{Refusal, Reply, Request as Sent};
use crate::store::{BackupError, StoreError};
use crate::stream::push::PushError;
use crate::telemetry::Refusals;

/// What the routes ask of the rest of the host.
///
/// A call may be dropped before it ends: when the client goes away, and after a minute. What changes something is told who
/// has it changed (`by`), and puts it on record.
#[async_trait::async_trait]
pub trait Backend: Send + Sync + 'static {
    /// Whether a webhook of `plugin` is refused whatever it holds: told before its body is read. Must not wait
    /// for anything. As it is here, none is.
    fn refuses_webhook(&self, _plugin: &str) -> Option<WebhookAnswer> {
        None
    }

    /// Whether an event for `product` is refused whatever it holds, as above; `signed` is whether it has a
    /// signature at all.
    fn refuses_push(&self, _product: &str, _signed: bool) -> Option<PushAnswer> {
        None
    }

    /// What a source accepts, as it is configured; `None` where there is none of this name, as by default. Must not wait
    /// for anything.
    fn source_rules(&self, _name: &str) -> Option<PluginSource> {
        None
    }

    /// Whether a request to a source is refused whatever it holds, as above.
    fn refuses_source(&self, _name: &str) -> Option<Refusal> {
        None
    }

    /// Has a source read a request, and accepts what it brings. Returns after the commit. As it is here, there is no
    /// source.
    async fn receive(&self, _sent: Sent) -> Reply {
        Reply::Refused(Refusal::NoSource)
    }

    /// The keys by which somebody may ask; `None` where there is nothing but the token, as by default.
    fn keys(&self) -> Option<Keys> {
        None
    }

    /// Makes a key or revokes one. Returns after the commit. By default none can be.
    async fn change_keys(&self, _change: KeyChange, _by: &Actor) -> Result<KeyRow, KeyError> {
        Err(KeyError::Unavailable)
    }

    /// Has a plugin not called any more, or called again. Returns after the commit. By default there is none.
    async fn switch_plugin(
        &self,
        _switch: PluginSwitch,
        _by: &Actor,
    ) -> Result<Switched, SwitchError> {
        Err(SwitchError::Unknown)
    }

    /// What a plugin keeps under keys. By default nothing.
    async fn plugin_kv(&self, _want: &KvWant) -> Result<KvListing, StoreError> {
        Ok(KvListing::default())
    }

    /// Removes what a plugin keeps under keys, but for what it keeps of sessions. Returns after the commit: how many values
    /// there were; `None` where nothing can be removed at the moment. By default there are none.
    async fn clear_plugin_kv(&self, _plugin: PluginName, _by: &Actor) -> Option<u64> {
        Some(0)
    }

    /// Starts a shadow of a plugin with a file of the plugins folder. By default there is no plugin.
    async fn start_shadow(
        &self,
        _plugin: &str,
        _file: &str,
        _by: &Actor,
    ) -> Result<ShadowReport, ShadowError> {
        Err(ShadowError::Unknown)
    }

    /// How the shadow of a plugin is. By default there is none. Must not wait for anything.
    fn shadow(&self, _plugin: &str) -> Option<ShadowReport> {
        None
    }

    /// Has the shadow of a plugin take its place. By default there is none.
    async fn promote_shadow(&self, _plugin: &str, _by: &Actor) -> Result<Promoted, ShadowError> {
        Err(ShadowError::None)
    }

    /// Ends the shadow of a plugin. By default there is none.
    async fn drop_shadow(&self, _plugin: &str, _by: &Actor) -> Result<(), ShadowError> {
        Err(ShadowError::None)
    }

    /// Timers of a plugin that aren't due. By default there are none.
    async fn plugin_timers(&self, _want: &TimersWant) -> Result<TimerListing, StoreError> {
        Ok(TimerListing::default())
    }

    /// Removes the timers of a plugin that aren't due. Returns after the commits: how many there were; `None` where nothing
    /// can be removed at the moment. By default there are none.
    async fn remove_plugin_timers(&self, _plugin: PluginName, _by: &Actor) -> Option<u64> {
        Some(0)
    }

    /// What people changed, the newest first. By default nothing is known.
    async fn audited(
        &self,
        _limit: usize,
        _after: Option<AuditCursor>,
    ) -> Result<AuditPage, StoreError> {
        Ok(AuditPage::default())
    }

    /// What was refused lately, so that the log isn't filled with it. As it is here, everything is logged.
    fn refusals(&self) -> Option<&Refusals> {
        None
    }

    /// Has `plugin` verify and read a request, and acts on what it means. Returns after the commit:
    /// the platform is told that a webhook was accepted only when it was.
    async fn webhook(&self, plugin: &str, request: WebhookRequest) -> WebhookAnswer;

    /// Accepts an event that a connector pushed. Returns after the commit. As it is here, no product is pushed
    /// to.
    async fn ingest(&self, push: PushRequest) -> PushAnswer {
        drop(push);
        PushAnswer::Refused(PushError::NoProduct)
    }

    /// Links a session. Returns after the commit.
    async fn link(&self, request: LinkRequest, by: &Actor) -> Result<Linked, LinkError>;

    /// Lists notes that wait and dead letters, and how the plugins' accounts stand.
    async fn outbox(&self, filter: &Filter, want: &Want) -> Result<Listing, LedgerError>;

    /// Says what an order would mean; changes nothing.
    async fn preview(&self, order: &Order) -> Result<Decided, LedgerError>;

    /// Carries a person's order out. Returns after the last commit, or when it takes too long.
    async fn decide(&self, order: &Order, by: &Actor) -> Result<Decided, LedgerError>;

    /// What a delivery is, where it stands, and the attempts at it; `None` where nothing is known of it, as by default.
    async fn delivery(
        &self,
        _id: &DeliveryId,
        _text: bool,
    ) -> Result<Option<Delivery>, LedgerError> {
        Ok(None)
    }

    /// Has a delivered note sent once more, or only says what that would be. Returns after the commit. By default no
    /// note is known.
    async fn resend(
        &self,
        _id: &DeliveryId,
        _dry_run: bool,
        _text: bool,
        _by: &Actor,
    ) -> Result<Repeat, ResendFailure> {
        Err(ResendError::NotFound.into())
    }

    /// What is known of a session, in the order of time; `None` where nothing is, as by default.
    async fn timeline(
        &self,
        _key: &SessionKey,
        _want: &TimelineWant,
    ) -> Result<Option<Timeline>, LedgerError> {
        Ok(None)
    }

    /// Erases somebody, or only counts what that would be. Returns after the last commit.
    async fn erase(
        &self,
        erasure: &Erasure,
        dry_run: bool,
        by: &Actor,
    ) -> Result<Erased, EraseError>;

    /// Lists up to `limit` notes that stay at the platforms though they were to go. By default there are
    /// none.
    async fn kept(
        &self,
        _filter: &KeptFilter,
        _limit: usize,
        _after: Option<KeptCursor>,
    ) -> Result<KeptList, EraseError> {
        Ok(KeptList::default())
    }

    /// How a session is helped; `None` where nothing is known of it, as by default.
    async fn helped(&self, _key: &SessionKey) -> Result<Option<Helped>, StoreError> {
        Ok(None)
    }

    /// Changes how a session is helped. Returns after the commit. By default no session is known.
    async fn change_help(&self, _command: HelpCommand, _by: &Actor) -> Result<Standing, HelpError> {
        Err(HelpError::NotFound)
    }

    /// What was decided of offers lately, of some sessions of these products. By default nothing was.
    async fn offer_decisions(
        &self,
        _after: Option<&SessionKey>,
        _within: Option<&BTreeSet<ProductId>>,
    ) -> Result<Decisions, StoreError> {
        Ok(Decisions::default())
    }

    /// The tours that the browser of a session is to show from here on. By default there are none.
    fn launches(&self, _key: &SessionKey) -> BoxStream<'static, LaunchEvent> {
        stream::pending().boxed()
    }

    /// Follows what happens, for an operator who watches.
    ///
    /// # Errors
    /// As many follow as may; as it is here, nobody may.
    fn tap(&self) -> Result<Follower, TooMany> {
        Err(TooMany)
    }

    /// The moment, for what is told in seconds from it. The epoch by default.
    fn now(&self) -> Timestamp {
        Timestamp::default()
    }

    /// What people did lately; `None` where none of it is kept, as by default.
    fn recent(&self) -> Option<Recent> {
        None
    }

    /// Who answers questions; `None` where there is no language model, as by default.
    fn replies(&self) -> Option<Replies> {
        None
    }

    /// The product of this name; without a name the only one. By default there is none.
    fn product(&self, _named: Option<&str>) -> Result<Arc<str>, NoProduct> {
        Err(NoProduct::Unknown)
    }

    /// Erases the sessions of a user of a product, and what was known of them lately; notes that were posted
    /// stay. Returns when nobody is told of them any more. By default there is nobody to erase.
    async fn reset(&self, _product: &str, _user: &str, _by: &Actor) -> Result<Erased, EraseError> {
        Ok(Erased::default())
    }

    /// Has the configuration read again, and returns the result. It goes on when nobody waits for
    /// it. As it is here, there is no file that could be read.
    async fn reload(&self, _by: &Actor) -> Reload {
        let problem = ReloadProblem::of("", "this host reads no file");
        let refusal = ReloadRefusal { code: RefusalCode::NoFile, problems: vec![problem] };
        let outcome = ReloadOutcome::Refused(refusal);
        Reload { at: 0.0, seconds: 0.0, by: AskedBy::Api, outcome }
    }

    /// Copies the store, while everything goes on. On record before it is answered. As it is here, there is no file.
    async fn backup(&self, _by: &Actor) -> Result<Backup, BackupFailure> {
        Err(BackupFailure::Store(BackupError::NoFile))
    }

    /// The results of reloads so far. By default there were none.
    fn reloads(&self) -> Reloads {
        Reloads::default()
    }

    /// How things stand. Must not wait for anything.
    fn readiness(&self) -> Readiness;

    /// Has streams that wait connect at once: the one of this name, or all. Answers how each of them stood;
    /// `None` where there is no stream of this name, as by default.
    async fn retry_streams(
        &self,
        _named: Option<&str>,
        _by: &Actor,
    ) -> Option<Vec<StreamReadiness>> {
        None
    }

    /// The last failure of each plugin's calls, where there was one. Must not wait for anything. By default
    /// there was none.
    fn last_errors(&self) -> Vec<(PluginName, LastError)> {
        Vec::new()
    }

    /// What is counted and measured. Waits for little. As it is here, nothing is.
    async fn metrics(&self) -> Scrape {
        Scrape::default()
    }

    /// The latest lines that a plugin wrote, behind the one of this number; `None` where there is no such plugin, as by
    /// default. Must not wait for anything.
    fn plugin_lines(&self, _plugin: &str, _behind: u64, _limit: usize) -> Option<Vec<Line>> {
        None
    }

    /// How every plugin is. Must not wait for anything.
    fn plugins(&self) -> PluginsReport;
}

/// A copy of the store.
#[derive(Debug)]
pub struct Backup {
    /// It has no name, and is read from its beginning.
    pub file: File,
    /// Its length.
    pub bytes: u64,
    /// What its bytes hash to.
    pub sha256: [u8; 32],
}

/// Why there is no copy of the store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackupFailure {
    /// The store made none.
    #[error(transparent)]
    Store(#[from] BackupError),
    /// Another one is being made.
    #[error("another copy is being made")]
    Busy,
    /// It couldn't be put on record, and nobody was given it.
    #[error("the store takes nothing, so that the copy couldn't be put on record")]
    OffRecord,
}

impl BackupFailure {
    /// In one word.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Store(BackupError::NoFile) => "no_file",
            Self::Store(BackupError::Full(_)) => "disk_full",
            Self::Store(BackupError::Failed(_)) => "failed",
            Self::Busy => "busy",
            Self::OffRecord => "store_unavailable",
        }
    }
}

/// Why no product is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoProduct {
    /// None of this name is configured.
    Unknown,
    /// None is named, and there are several.
    Several(Vec<String>),
}

/// How the plugins are, as `GET /plugins` answers it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PluginsReport {
    /// Every plugin, by name.
    pub plugins: Vec<PluginReport>,
    /// The results of files that changed.
    pub reloads: ReloadTotals,
    /// What the cache of compiled plugins did.
    pub cache: CacheTotals,
}

/// How one plugin is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PluginReport {
    /// What the plugin runtime knows.
    #[serde(flatten)]
    pub state: PluginState,
    /// Whether the outbox posts through it, where that is known.
    pub breaker: Option<String>,
    /// The last failure of its calls since the start of the host.
    #[serde(default)]
    pub last_error: Option<LastError>,
    /// Since when a person has it not called, and why; `None`: nobody has.
    #[serde(default)]
    pub disabled: Option<DisabledPlugin>,
}

/// That a person has a plugin not called.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DisabledPlugin {
    /// Since when, in seconds since the Unix epoch.
    pub since: f64,
    /// Why, in the person's words.
    pub reason: Option<String>,
}

impl From<Disabled> for DisabledPlugin {
    fn from(Disabled { since, reason }: Disabled) -> Self {
        Self { since: since.as_secs_f64(), reason }
    }
}

/// What to answer to a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebhookAnswer {
    /// What it means is committed, or it means nothing: 200.
    Accepted,
    /// The plugin answers itself, for example to a challenge.
    Answer {
        /// 200 to 599.
        status: u16,
        /// The value of `content-type`; empty for none.
        content_type: String,
        /// The body.
        body: Bytes,
    },
    /// The plugin refuses it.
    Rejected {
        /// 400 to 599; anything else is answered 400.
        status: u16,
        /// A short word: `signature`, `timestamp`, `body`.
        code: String,
        /// Why, for people; no secrets and nothing that people wrote.
        message: String,
    },
    /// No such plugin, or it reads no webhooks: 404.
    UnknownPlugin,
    /// The plugin trapped, was stopped at a limit, or answered nonsense: 502.
    PluginFailed {
        /// `trap`, `timeout`, `cpu`, `memory` and the like.
        code: String,
    },
    /// Nothing can be accepted at the moment; the platform shall send it again: 503.
    Unavailable {
        /// When to send it again at the earliest.
        retry_after: Duration,
    },
}

/// A request to `/ingest/{product_id}` as it came in; nothing of it was checked.
#[derive(Clone, PartialEq, Eq)]
pub struct PushRequest {
    /// The product in the address.
    pub product: String,
    /// The values of all signature headers, in the order received.
    pub signatures: Vec<Vec<u8>>,
    /// The raw bytes.
    pub body: Bytes,
}

impl std::fmt::Debug for PushRequest {
    /// Signatures and body are left out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PushRequest")
            .field("product", &self.product)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// What to answer to a pushed event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushAnswer {
    /// It is committed: 200.
    Accepted {
        /// Actions left out of it because they can't be used.
        dropped_actions: usize,
    },
    /// It was accepted before: 200.
    Repeat,
    /// It isn't the connector's, or can't be used: 400 to 422.
    Refused(PushError),
    /// Nothing can be accepted at the moment; the connector shall send it again: 503.
    Unavailable {
        /// When to send it again at the earliest.
        retry_after: Duration,
    },
}

/// A link, as `POST /sessions/link` takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkRequest {
    /// The product; where it is left out, any product that the plugin serves.
    pub product_id: Option<ProductId>,
    /// The session.
    pub session_id: SessionId,
    /// The conversation.
    pub conversation_id: ConversationId,
    /// The plugin that posts into the conversation; where it is left out, the product's first one.
    pub plugin: Option<PluginName>,
    /// What to do when the session is linked to another conversation already.
    pub mode: LinkMode,
}

/// How things stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    /// Every configured stream.
    pub streams: Vec<StreamReadiness>,
    /// Whether the store takes commits.
    pub store: Part,
    /// Every configured plugin.
    pub plugins: Vec<(PluginName, Part)>,
}

impl Readiness {
    /// Whether everything is ready.
    pub fn is_ready(&self) -> bool {
        self.streams.iter().all(|stream| stream.state == StreamState::Connected)
            && self.store == Part::Ready
            && self.plugins.iter().all(|(_, part)| *part == Part::Ready)
    }
}

/// How a stream stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamReadiness {
    /// The name in the configuration.
    pub name: String,
    /// Where the connection stands.
    pub state: StreamState,
    /// How long ago the last good event came, heartbeats included; `None` before the first.
    pub last_event_age: Option<Duration>,
    /// Why it isn't connected, where that is known. Anyone can read it: no addresses, no tokens.
    pub cause: Option<String>,
    /// When the next attempt to connect is due, while it waits for that.
    pub next_attempt: Option<Duration>,
}

/// Where a stream's connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamState {
    /// Being made.
    Connecting,
    /// Good events can come.
    Connected,
    /// Lost, and made again after a pause.
    Waiting,
    /// The connector refuses: a person must act. It is asked again slowly.
    Refused,
    /// Not tried any more: a person must act.
    Stopped,
}

/// How a part of the host stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// It works.
    Ready,
    /// It doesn't.
    NotReady {
        /// Why. Anyone can read it: no addresses, no tokens, no file names.
        cause: String,
    },
}
