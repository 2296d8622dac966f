//! What the checks judge: everything that was gathered, as plain values.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use sidenote::config::Config;
use sidenote::keys::ListedKey;

/// Everything that was gathered.
#[derive(Default)]
pub(crate) struct Facts {
    /// The moment, in seconds since the Unix epoch.
    pub(crate) now: f64,
    /// Nothing beyond this machine was asked.
    pub(crate) offline: bool,
    /// What is wrong with the configuration; then there is none.
    pub(crate) problems: Vec<String>,
    pub(crate) config: Option<Config>,
    /// The hosts that the configuration names.
    pub(crate) hosts: Vec<HostFacts>,
    /// What the store's server says; `None` where the store is none, or it wasn't asked.
    pub(crate) redis: Option<Result<RedisFacts, String>>,
    pub(crate) disks: Vec<Disk>,
    pub(crate) folders: Vec<Folder>,
    /// What the plugins' files say, held against their tables: whether it must be seen to, and what.
    pub(crate) plugins: BTreeMap<String, Vec<(bool, String)>>,
    /// The host that runs with this configuration.
    pub(crate) running: Option<Running>,
    /// `public_url`, asked from here.
    pub(crate) public: Option<Public>,
}

/// A host that the configuration names.
#[derive(Debug, Default)]
pub(crate) struct HostFacts {
    /// Which, and what names it: `connector.example.com:443 (stream main)`.
    pub(crate) name: String,
    /// Whether a stream is read from there: its clock is the one that counts.
    pub(crate) is_stream: bool,
    /// How the way there is.
    pub(crate) way: Way,
    /// By how much its clock is ahead of ours, in seconds; `None` where it didn't say.
    pub(crate) ahead: Option<f64>,
}

/// How the way to a host is.
#[derive(Debug, Default)]
pub(crate) enum Way {
    /// Nobody tried.
    #[default]
    NotTried,
    /// The name leads nowhere.
    NoName(String),
    /// No connection is made.
    NoConnection(String),
    /// A connection, and no TLS: the certificate isn't valid, or what answers isn't TLS.
    NoTls(String),
    /// A connection without TLS.
    Plain,
    /// A connection with TLS, and the certificate is valid for at least so many whole days (30: or longer).
    Tls { days: u64 },
}

/// What the Redis server says.
#[derive(Debug, Default)]
pub(crate) struct RedisFacts {
    pub(crate) warnings: Vec<String>,
    pub(crate) ahead: Option<f64>,
}

/// Where something grows.
#[derive(Debug)]
pub(crate) struct Disk {
    pub(crate) what: &'static str,
    pub(crate) path: PathBuf,
    /// Free for us, in bytes; `None` where that couldn't be told.
    pub(crate) free: Option<u64>,
    /// What it had better have.
    pub(crate) wanted: u64,
}

/// A folder of ours.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) what: &'static str,
    pub(crate) path: PathBuf,
    /// Its rights; `None`: it isn't there.
    pub(crate) mode: Option<u32>,
    /// The rights that it should have where it is made.
    pub(crate) wanted: u32,
}

/// A host that runs.
#[derive(Debug, Default)]
pub(crate) struct Running {
    /// `GET /readyz`.
    pub(crate) ready: Value,
    /// `GET /metrics`; the reason where they couldn't be read.
    pub(crate) metrics: Option<Metrics>,
    /// `GET /keys`; `None` where we may not ask.
    pub(crate) keys: Option<Vec<ListedKey>>,
}

/// `public_url`, asked without a token.
#[derive(Debug)]
pub(crate) struct Public {
    /// What `/healthz` is answered; the reason where nothing answers.
    pub(crate) health: Result<u16, String>,
    /// What `/outbox` is answered.
    pub(crate) outbox: Option<u16>,
}

/// A scrape of a host: samples by name, with their labels as they are written.
#[derive(Debug, Default)]
pub(crate) struct Metrics(Vec<(String, String, f64)>);

impl Metrics {
    /// Reads the text form.
    pub(crate) fn read(text: &str) -> Self {
        let sample = |line: &str| {
            let (head, value) = line.rsplit_once(' ')?;
            let (name, labels) = head.split_once('{').unwrap_or((head, ""));
            Some((name.to_owned(), labels.trim_end_matches('}').to_owned(), value.parse().ok()?))
        };
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        Self(lines.filter_map(sample).collect())
    }

    /// The sum of a metric's samples that have a label; all of them where it is empty.
    pub(crate) fn sum(&self, name: &str, label: &str) -> f64 {
        let meant = |it: &&(String, String, f64)| it.0 == name && it.1.contains(label);
        self.0.iter().filter(meant).map(|it| it.2).sum()
    }

    /// The largest of a metric's samples.
    pub(crate) fn most(&self, name: &str) -> f64 {
        self.0.iter().filter(|it| it.0 == name).map(|it| it.2).fold(0.0, f64::max)
    }
}

/// So long a request of the doctor may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
