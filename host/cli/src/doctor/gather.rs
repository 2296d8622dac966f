//! Gathers the facts: from files, from the hosts of the configuration, from the host that runs.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use futures_util::future::join_all;
use reqwest::Url;
use serde::Deserialize;
use sidenote::clock::Clock;
use sidenote::config::{Access, Config, Store};
use sidenote::keys::ListedKey;
use sidenote::plugin::{Finding as PluginFinding, review};
use sidenote::store::RedisStore;

use super::facts::{
    Disk, Facts, Folder, HostFacts, Metrics, PATIENCE, Public, RedisFacts, Running,
};
use super::reach;
use crate::client::{HostArgs, Presence};

/// Free space that a store or a journal should have, in bytes.
const WANTED: u64 = 256 << 20;

/// Gathers everything. What can't be asked is left out: the checks say so.
pub(super) async fn facts(args: &HostArgs, offline: bool) -> Facts {
    let clock = Clock::system();
    let mut facts = Facts { offline, now: clock.now().as_secs_f64(), ..Facts::default() };
    facts.running = running(args).await;
    let config = match Config::load(&args.config) {
        Ok(config) => config,
        Err(errors) => {
            facts.problems = errors.problems().iter().map(ToString::to_string).collect();
            return facts;
        }
    };
    facts.folders = folders(&config);
    facts.disks = disks(&config);
    facts.plugins = plugins(&config);
    if !offline {
        facts.redis = redis(&config, clock).await;
        facts.public = match &config.server.public_url {
            Some(url) => public(url).await,
            None => None,
        };
    }
    let asked = named(&config).into_iter().map(async |((host, port), named)| {
        let (way, ahead) = match offline {
            true => Default::default(),
            false => reach::reach(&host, port, named.tls, clock).await,
        };
        let by: Vec<_> = named.by.into_iter().collect();
        let name = format!("{host}:{port} ({})", by.join(", "));
        HostFacts { name, is_stream: named.is_stream, way, ahead }
    });
    facts.hosts = join_all(asked).await;
    facts.config = Some(config);
    facts
}

/// How a host is named by the configuration.
#[derive(Default)]
struct Named {
    tls: bool,
    is_stream: bool,
    by: BTreeSet<String>,
}

/// Every host of the configuration, once.
fn named(config: &Config) -> BTreeMap<(String, u16), Named> {
    let mut all: BTreeMap<(String, u16), Named> = BTreeMap::new();
    let mut add = |text: &str, by: String, is_stream: bool| {
        let text = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
        let Ok(url) = Url::parse(&text) else { return };
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return;
        };
        let named = all.entry((host.to_owned(), port)).or_default();
        named.tls |= url.scheme() == "https";
        named.is_stream |= is_stream;
        named.by.insert(by);
    };
    for (name, stream) in &config.streams {
        add(&stream.url, format!("stream {name}"), true);
    }
    if let Some(llm) = &config.llm
        && let Some(url) = llm.base_url.as_deref().or(llm.provider.default_url())
    {
        add(url, "[llm]".to_owned(), false);
    }
    if let Some(traces) = &config.traces {
        add(traces.endpoint.as_str(), "[traces]".to_owned(), false);
    }
    if let Some(webhook) = &config.operator_events.webhook {
        add(webhook.url.as_str(), "[operator_events]".to_owned(), false);
    }
    for (name, plugin) in &config.plugins {
        for host in &plugin.hosts {
            add(host, format!("plugin {name}"), false);
        }
        // What was pulled once is never asked for again.
        if let Some(pinned) = &plugin.registry
            && !config.plugin_path(plugin).is_file()
        {
            let host = &pinned.reference.host;
            let local = pinned.reference.is_on_this_machine();
            let plain = local || config.supply.access(host).plain_http;
            let scheme = if plain { "http" } else { "https" };
            add(&format!("{scheme}://{host}"), format!("registry of plugin {name}"), false);
        }
    }
    all
}

fn folders(config: &Config) -> Vec<Folder> {
    let one = |what, path: &Path, wanted| {
        let mode = std::fs::metadata(path).ok().map(|about| about.permissions().mode());
        Folder { what, path: path.to_owned(), mode, wanted }
    };
    vec![
        one("plugins folder", &config.plugins_folder, 0o755),
        one("cache folder", &config.cache.folder, 0o700),
    ]
}

fn disks(config: &Config) -> Vec<Disk> {
    let one = |what, path: &Path| {
        let path = existing(path);
        let free = rustix::fs::statvfs(&path).ok();
        let free = free.map(|of| of.f_bavail.saturating_mul(of.f_frsize));
        Disk { what, path, free, wanted: WANTED }
    };
    match &config.store {
        Store::Memory => Vec::new(),
        Store::Embedded { path, .. } => vec![one("store", path)],
        Store::Redis(redis) => vec![one("journal", &redis.journal)],
    }
}

/// The nearest folder above that is there.
fn existing(path: &Path) -> PathBuf {
    let mut above = path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty());
    above.find(|folder| folder.is_dir()).unwrap_or(Path::new(".")).to_owned()
}

fn plugins(config: &Config) -> BTreeMap<String, Vec<(bool, String)>> {
    let said = |finding: PluginFinding| match &finding {
        PluginFinding::Harmless(_) => None,
        PluginFinding::Refused(_)
        | PluginFinding::ToBePulled(_)
        | PluginFinding::Useless(_)
        | PluginFinding::Odd(_) => Some((finding.is_problem(), finding.to_string())),
    };
    let one = |(name, plugin)| {
        let told = review(config, name, plugin).into_iter().filter_map(said).collect();
        (name.to_string(), told)
    };
    config.plugins.iter().map(one).collect()
}

async fn redis(config: &Config, clock: Clock) -> Option<Result<RedisFacts, String>> {
    let Store::Redis(redis) = &config.store else { return None };
    let store = match RedisStore::open(redis).await {
        Ok(store) => store,
        Err(error) => return Some(Err(error.to_string())),
    };
    let ahead = store.time().await.ok();
    let ahead = ahead.map(|theirs| theirs.as_secs_f64() - clock.now().as_secs_f64());
    let warnings = store.warnings().iter().map(ToString::to_string).collect();
    Some(Ok(RedisFacts { warnings, ahead }))
}

#[derive(Deserialize)]
struct Keys {
    keys: Vec<ListedKey>,
}

/// The host of the configuration, or the one that is named; its token is sent to it alone.
async fn running(args: &HostArgs) -> Option<Running> {
    let client = match &args.host {
        Some(_) => args.client(),
        None => Access::load(&args.config).map_err(Into::into).and_then(|it| args.client_of(&it)),
    };
    let client = client.ok()?;
    if client.presence().await == Presence::Nobody {
        return None;
    }
    let (_, ready) = client.look("/readyz").await.ok()?;
    let metrics = match client.look("/metrics").await {
        Ok((200, text)) => Some(Metrics::read(&String::from_utf8_lossy(&text))),
        Ok(_) | Err(_) => None,
    };
    let keys = client.get::<Keys>("/keys", &[]).await.ok().map(|listed| listed.keys);
    Some(Running { ready: serde_json::from_slice(&ready).unwrap_or_default(), metrics, keys })
}

/// Asks `public_url` as anybody would: without a token.
async fn public(url: &str) -> Option<Public> {
    let client = reach::client(&Url::parse(url).ok()?)?;
    let ask = async |path: &str| {
        let address = format!("{}{path}", url.trim_end_matches('/'));
        let answer = client.get(address).timeout(PATIENCE).send().await;
        answer.map(|it| it.status().as_u16()).map_err(|error| reach::cause(&error.without_url()))
    };
    Some(Public { health: ask("/healthz").await, outbox: ask("/outbox").await.ok() })
}
