//! What the rest of the host gets, and the default of every key that has one.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use sidenote_core::rules::{Breaker, DeadHead, Delivery, History, Offers, Product, Retention};

use super::error::Warning;
use super::llm::{Llm, Summary};
use super::operator_events::OperatorEvents;
use super::origin::PageOrigin;
use super::plugin_source::PluginSource;
use super::registries::{Pinned, Supply};
use super::secret::Secret;
use super::sha256::Sha256;
use super::traces::Traces;
use crate::ids::{PluginName, ProductId};
use crate::offers::tours::Tours;
use crate::prompts::Prompts;
use crate::session::identity::{Belief, Names};

/// A validated configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// `[server]`.
    pub server: Server,
    /// `[dashboard]`; `None` where it is off.
    pub dashboard: Option<Dashboard>,
    /// `[store]`.
    pub store: Store,
    /// `[retention]`.
    pub retention: Retention,
    /// `[context]`; `None` where it is off.
    pub context: Option<Context>,
    /// `[delivery]`.
    pub delivery: Delivery,
    /// `[streams.NAME]`.
    pub streams: BTreeMap<String, Stream>,
    /// The folder of `.wasm` files (`plugins_folder`).
    pub plugins_folder: PathBuf,
    /// Where compiled plugins are kept (`cache_folder`, `cache_max`).
    pub cache: Cache,
    /// Where plugins come from, and whose signatures they must have (`trusted_keys`, `[registries."HOST"]`).
    pub supply: Supply,
    /// Within which bounds plugins are compiled (`compile_memory`, `compile_timeout`).
    pub compile: Compile,
    /// Bytes of memory that what waits for its note may take (`waiting_memory`); what is more is in the store alone.
    pub waiting_memory: usize,
    /// `[plugins.NAME]`.
    pub plugins: BTreeMap<PluginName, Plugin>,
    /// `[products.ID]`.
    pub products: BTreeMap<ProductId, Product>,
    /// The products that a connector pushes to, with the secret that it signs with
    /// (`[products.ID] ingest_secret`).
    pub ingest: BTreeMap<ProductId, Secret>,
    /// `[llm]`, where it is there.
    pub llm: Option<Llm>,
    /// `[summary]`.
    pub summary: Summary,
    /// `[operator_events]`.
    pub operator_events: OperatorEvents,
    /// `[traces]`, where it is there.
    pub traces: Option<Traces>,
    /// What models are asked (`[prompts]`).
    pub prompts: Prompts,
    /// `[tours.PRODUCT]`.
    pub tours: BTreeMap<ProductId, Tours>,
    /// Which names mean somebody (`[identity]`).
    pub names: Arc<Names>,
    /// What is to be told of it although it can be used.
    pub warnings: Vec<Warning>,
}

impl Config {
    /// The file of a plugin: in the plugins folder, or where what was pulled from a registry is kept.
    pub fn plugin_path(&self, plugin: &Plugin) -> PathBuf {
        match &plugin.registry {
            None => self.plugins_folder.join(&plugin.file),
            Some(pinned) => self.cache.pulled().join(format!("{}.wasm", pinned.digest)),
        }
    }
}

/// Where compiled plugins are kept, so that a start needn't compile them again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    /// The folder. Nobody else may write in it.
    pub folder: PathBuf,
    /// Most bytes in it; what wasn't used for longest is removed.
    pub max_bytes: usize,
}

impl Cache {
    /// This folder, with the default size.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), max_bytes: 1 << 30 }
    }

    /// Where what was pulled from registries is kept.
    pub fn pulled(&self) -> PathBuf {
        self.folder.join("pulled")
    }

    /// Where the components of shadows are kept.
    pub fn shadows(&self) -> PathBuf {
        self.folder.join("shadows")
    }
}

/// Within which bounds a plugin is compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compile {
    /// Most memory that a compiler may have, in bytes.
    pub memory_bytes: usize,
    /// How long it may work on one plugin.
    pub timeout: Duration,
}

impl Default for Compile {
    fn default() -> Self {
        Self { memory_bytes: 1 << 30, timeout: Duration::from_secs(180) }
    }
}

/// `[server]`: where the host listens.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// Address; 127.0.0.1:8787 by default.
    pub listen: SocketAddr,
    /// Bearer token of everything but health and webhooks.
    pub token: Option<Secret>,
    /// How long a client may take to send its request head.
    pub header_timeout: Duration,
    /// Largest request body, in bytes.
    pub max_body_bytes: usize,
    /// Connections at the same time; 64 further ones are there for health and the API alone.
    pub max_connections: usize,
    /// Of them at most so many of one other machine (in IPv6, of one network of 64 bits). This machine isn't
    /// counted: a proxy on it stands for everybody.
    pub max_connections_per_peer: usize,
    /// The address under which chat platforms reach the host, for example `https://notes.example.com`:
    /// what a signature over the whole URL is checked with. The `Host` header isn't trusted for it.
    pub public_url: Option<String>,
    /// Web pages that may be told what to show, by their origins. By default none may.
    pub event_origins: Vec<PageOrigin>,
    /// `[mcp]`: whether agents may ask over the Model Context Protocol.
    pub mcp: Option<Mcp>,
}

/// `[mcp]`: the Model Context Protocol.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mcp {
    /// Names, with or without a port, that the `Host` header may have beside those of this machine and that
    /// of `public_url`.
    pub hosts: Vec<String>,
    /// Web pages whose scripts may ask, by their origins. By default none may.
    pub origins: Vec<PageOrigin>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8787)),
            token: None,
            header_timeout: Duration::from_secs(10),
            max_body_bytes: 1 << 20,
            max_connections: 512,
            max_connections_per_peer: 128,
            public_url: None,
            event_origins: Vec::new(),
            mcp: None,
        }
    }
}

/// `[store]`: where rows are kept.
#[derive(Debug, Clone, PartialEq)]
pub enum Store {
    /// In memory: lost when the process ends.
    Memory,
    /// One file, durable with no server.
    Embedded {
        /// The file.
        path: PathBuf,
        /// Space kept free beside it, in bytes, so that what is under way can be recorded when the disk
        /// is full.
        reserve: usize,
    },
    /// A Redis server.
    Redis(Redis),
}

/// `[store]` of kind `redis`.
#[derive(Debug, Clone, PartialEq)]
pub struct Redis {
    /// The server: `redis://host:port/db`, or `rediss://` for TLS. Without credentials.
    pub url: String,
    /// The user, where the server has several.
    pub user: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// The first part of every key of ours: two hosts with the same one share what is stored.
    pub namespace: String,
    /// Whether sessions are shared with applications of autoplay-sdk, under its own keys.
    pub sdk_sessions: bool,
    /// How long a session's shared snapshot is kept after its last activity.
    pub session_ttl: Duration,
    /// How long one command may take.
    pub timeout: Duration,
    /// The file in which actions are accepted while the server is away.
    pub journal: PathBuf,
    /// Largest journal, in bytes; the streams are paused when it is full.
    pub journal_max_bytes: usize,
}

impl Redis {
    /// A server at `url` with the defaults for everything else.
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            user: None,
            password: None,
            namespace: "sidenote".to_owned(),
            sdk_sessions: true,
            session_ttl: Duration::from_secs(24 * 3600),
            timeout: Duration::from_secs(2),
            journal: PathBuf::from("sidenote.journal"),
            journal_max_bytes: 256 << 20,
        }
    }
}

/// `[context]`: what people did lately, kept for whoever answers them.
#[derive(Debug, Clone, PartialEq)]
pub struct Context {
    /// How far back is shown what somebody did.
    pub lookback: Duration,
    /// At most so many actions of a session are shown, the latest; `None` for all.
    pub max_actions: Option<usize>,
    /// At most so many sessions are in memory, those that were asked for or active last.
    pub max_sessions: usize,
    /// About so many bytes of them are in memory.
    pub max_bytes: usize,
    /// At most so many users of a product are in memory.
    pub max_users: usize,
    /// At most so many sessions of one user are shown, the latest.
    pub max_sessions_per_user: usize,
    /// Whether summaries are shown.
    pub include_summary: bool,
    /// Whether actions are shown.
    pub include_actions: bool,
    /// `keep`, `keep_actions`, `keep_bytes`.
    pub history: History,
}

impl Default for Context {
    fn default() -> Self {
        Self {
            lookback: Duration::from_secs(300),
            max_actions: Some(20),
            max_sessions: 10_000,
            max_bytes: 256 << 20,
            max_users: 10_000,
            max_sessions_per_user: 20,
            include_summary: true,
            include_actions: true,
            history: History::default(),
        }
    }
}

/// `[streams.NAME]`: a connector.
#[derive(Debug, Clone, PartialEq)]
pub struct Stream {
    /// The SSE address.
    pub url: String,
    /// Bearer token.
    pub token: Option<Secret>,
    /// The connection is ended when nothing at all came for this long.
    pub idle_timeout: Duration,
    /// First pause before a reconnect; it doubles.
    pub retry_initial: Duration,
    /// Longest pause before a reconnect.
    pub retry_max: Duration,
    /// First pause before a connector that refused is asked again; it doubles.
    pub refused_retry_initial: Duration,
    /// Longest pause before a connector that refused is asked again.
    pub refused_retry_max: Duration,
    /// Largest event, in bytes; a larger one is counted and skipped.
    pub max_event_bytes: usize,
}

impl Stream {
    /// A stream at `url` without a token and with the defaults for everything else.
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            token: None,
            idle_timeout: Duration::from_secs(90),
            retry_initial: Duration::from_secs(1),
            retry_max: Duration::from_secs(30),
            refused_retry_initial: Duration::from_secs(5),
            refused_retry_max: Duration::from_secs(300),
            max_event_bytes: 1 << 20,
        }
    }
}

/// `[plugins.NAME]`: one use of a component.
#[derive(Debug, Clone, PartialEq)]
pub struct Plugin {
    /// File name in the plugins folder; `NAME.wasm` by default.
    pub file: String,
    /// Where in a registry `file` lies, where it doesn't lie in the plugins folder.
    pub registry: Option<Pinned>,
    /// The SHA-256 that the file must have, where it is pinned.
    pub sha256: Option<Sha256>,
    /// What `config.get` answers.
    pub config: BTreeMap<String, String>,
    /// Secrets by name.
    pub secrets: BTreeMap<String, PluginSecret>,
    /// Hosts that the plugin may reach: `host`, `host:port`, `http://host:port`.
    pub hosts: Vec<String>,
    /// Whether private and loopback addresses may be reached.
    pub allow_private: bool,
    /// Whether what it prints goes to the host's standard output, and not to the log.
    pub allow_stdout: bool,
    /// Whether it may keep something under keys (`kv`).
    pub allow_kv: bool,
    /// Whether it may set timers (`timer`).
    pub allow_timer: bool,
    /// How long an instance lives.
    pub isolation: Isolation,
    /// Limits of the plugin.
    pub limits: PluginLimits,
    /// When its calls are held back.
    pub breaker: Breaker,
    /// What its platform is believed (`user_ids`, `accept_claims`).
    pub belief: Belief,
    /// What is accepted at `/sources/NAME`; `None` where it isn't one.
    pub source: Option<PluginSource>,
}

impl Plugin {
    /// A use of `file` with nothing set, nothing granted, and the defaults for everything else.
    pub fn of(file: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            registry: None,
            sha256: None,
            config: BTreeMap::new(),
            secrets: BTreeMap::new(),
            hosts: Vec::new(),
            allow_private: false,
            allow_stdout: false,
            allow_kv: false,
            allow_timer: false,
            isolation: Isolation::default(),
            limits: PluginLimits::default(),
            breaker: Breaker::default(),
            belief: Belief::default(),
            source: None,
        }
    }
}

/// How long an instance of a plugin lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Isolation {
    /// Kept warm and called again, one call at a time, until it is old or was called often enough.
    #[default]
    Instance,
    /// One call: nothing of it is there in the next one.
    Call,
}

/// A secret and where it may go.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginSecret {
    /// The value.
    pub value: Secret,
    /// Hosts that the value may be sent to; empty: none (it serves to sign and verify only).
    pub hosts: Vec<String>,
}

/// Limits of one plugin. Those on memory and handles are for one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginLimits {
    /// Linear memory, all memories together, in bytes.
    pub memory_bytes: usize,
    /// Elements of all tables together.
    pub table_elements: usize,
    /// Memories that the modules of a component may have together.
    pub memories: usize,
    /// Tables that the modules of a component may have together.
    pub tables: usize,
    /// Instances of core modules that make up one of the component.
    pub core_instances: usize,
    /// Handles held at a time: streams, requests, responses.
    pub handles: usize,
    /// How long a call may take, waiting included.
    pub call_timeout: Duration,
    /// How long a call may compute.
    pub cpu_time: Duration,
    /// Calls at the same time.
    pub concurrency: usize,
    /// Instances kept between calls.
    pub warm_instances: usize,
    /// An instance is replaced after so many calls.
    pub calls_per_instance: u64,
    /// An instance is replaced when it is so old.
    pub instance_age: Duration,
    /// Largest request body to the network, in bytes.
    pub max_request_bytes: usize,
    /// Largest response body from the network, in bytes.
    pub max_response_bytes: usize,
    /// Most header names and values of one request to the network, in bytes.
    pub max_header_bytes: usize,
    /// Most that the guest hands to the host at once, its answer included, in bytes.
    pub max_handover_bytes: usize,
    /// Most log text of one call, in bytes.
    pub max_log_bytes: usize,
    /// What it may keep under keys.
    pub kv: KvLimits,
    /// Which timers it may set.
    pub timer: TimerLimits,
}

/// Which timers a plugin may set. Calls at the same time may go past the numbers together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimerLimits {
    /// Timers of all sessions that wait.
    pub timers: usize,
    /// Timers of each session that wait.
    pub of_session: usize,
    /// Largest payload, in bytes.
    pub payload_bytes: usize,
    /// So far ahead at most.
    pub ahead: Duration,
}

impl Default for TimerLimits {
    fn default() -> Self {
        Self {
            timers: 10_000,
            of_session: 8,
            payload_bytes: 4 << 10,
            ahead: Duration::from_secs(24 * 3600),
        }
    }
}

/// What a plugin may keep under keys. Keys count as well as values; calls at the same time may go past it together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KvLimits {
    /// Keys of the plugin's, those of sessions left out.
    pub keys: usize,
    /// Bytes of those keys and their values.
    pub bytes: usize,
    /// Largest value, in bytes.
    pub value_bytes: usize,
    /// Keys of each session.
    pub session_keys: usize,
    /// Bytes of those keys and their values.
    pub session_bytes: usize,
}

impl Default for KvLimits {
    fn default() -> Self {
        Self {
            keys: 1000,
            bytes: 1 << 20,
            value_bytes: 16 << 10,
            session_keys: 32,
            session_bytes: 32 << 10,
        }
    }
}

impl Default for PluginLimits {
    fn default() -> Self {
        Self {
            memory_bytes: 128 << 20,
            table_elements: 200_000,
            memories: 32,
            // A component made of linked modules (Python) has dozens of these.
            tables: 512,
            core_instances: 512,
            handles: 64,
            call_timeout: Duration::from_secs(20),
            cpu_time: Duration::from_secs(2),
            concurrency: 16,
            warm_instances: 16,
            calls_per_instance: 1000,
            instance_age: Duration::from_secs(3600),
            max_request_bytes: 4 << 20,
            max_response_bytes: 1 << 20,
            max_header_bytes: 64 << 10,
            max_handover_bytes: (4 << 20) + (128 << 10),
            max_log_bytes: 64 << 10,
            kv: KvLimits::default(),
            timer: TimerLimits::default(),
        }
    }
}

/// `[dashboard]`: the operators' pages, on a listener of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dashboard {
    /// Address; 127.0.0.1:8788 by default.
    pub listen: SocketAddr,
    /// The address under which browsers reach it, where a proxy is between: its name is one that requests may name, and
    /// cookies are for https alone where it is one.
    pub public_url: Option<String>,
}

impl Default for Dashboard {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 8788)), public_url: None }
    }
}
