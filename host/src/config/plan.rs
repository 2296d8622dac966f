//! What one configuration changes of another, and what of that needs a restart.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::model::{Cache, Compile, Config, Mcp, Redis, Server, Store};
use super::registries::Supply;

/// What a configuration changes of the one that is in force.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Plan {
    /// `[plugins.NAME]`: one is changed where any of its keys is, or the value of a secret.
    pub plugins: Changes,
    /// `[products.ID]`: one is changed too where `[delivery]` is and it takes something from there.
    pub products: Changes,
    /// `[streams.NAME]`.
    pub streams: Changes,
    /// Other tables with something changed, for example `llm`.
    pub tables: Vec<String>,
}

/// The names that are new, others than before, or gone; each list sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Changes {
    /// Those that weren't there.
    pub added: Vec<String>,
    /// Those of which something is another.
    pub changed: Vec<String>,
    /// Those that aren't there any more.
    pub removed: Vec<String>,
}

/// Something is changed that a running host can't swap.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} can't be changed while the host runs, and nothing else of the configuration was taken over; restart the host, or undo the change",
    Listed(.keys)
)]
pub struct NeedsRestart {
    /// The keys, for example `listen of [server]`.
    pub keys: Vec<String>,
}

impl Config {
    /// What `next` changes of this one.
    ///
    /// # Errors
    /// It changes something that a running host can't swap.
    pub fn plan(&self, next: &Self) -> Result<Plan, NeedsRestart> {
        // Taken apart to the last field: a new one must be put on one of the two sides.
        let Self {
            server,
            dashboard,
            store,
            retention,
            context,
            delivery,
            streams,
            plugins_folder,
            cache,
            supply,
            compile,
            waiting_memory,
            plugins,
            products,
            ingest,
            llm,
            summary,
            operator_events,
            traces,
            prompts,
            tours,
            names,
            // Told, and nothing of it is in force.
            warnings: _,
        } = self;
        let mut fixed = Fixed::default();
        fixed.top("plugins_folder", *plugins_folder == next.plugins_folder);
        let Cache { folder, max_bytes } = cache;
        fixed.top("cache_folder", *folder == next.cache.folder);
        fixed.top("cache_max", *max_bytes == next.cache.max_bytes);
        let Supply { trusted_keys, registries } = supply;
        fixed.top("trusted_keys", *trusted_keys == next.supply.trusted_keys);
        fixed.top("[registries]", *registries == next.supply.registries);
        let Compile { memory_bytes, timeout } = compile;
        fixed.top("compile_memory", *memory_bytes == next.compile.memory_bytes);
        fixed.top("compile_timeout", *timeout == next.compile.timeout);
        fixed.top("[operator_events]", *operator_events == next.operator_events);
        fixed.top("[dashboard]", *dashboard == next.dashboard);
        fixed.top("[traces]", *traces == next.traces);
        fixed.server(server, &next.server);
        fixed.store(store, &next.store);
        if !fixed.0.is_empty() {
            return Err(NeedsRestart { keys: fixed.0 });
        }
        let tables = [
            ("waiting_memory", *waiting_memory == next.waiting_memory),
            ("retention", *retention == next.retention),
            ("context", *context == next.context),
            ("delivery", *delivery == next.delivery),
            ("llm", *llm == next.llm),
            ("summary", *summary == next.summary),
            ("prompts", *prompts == next.prompts),
            ("tours", *tours == next.tours),
            ("identity", *names == next.names),
        ];
        let same_product = |id: &_| {
            products.get(id) == next.products.get(id) && ingest.get(id) == next.ingest.get(id)
        };
        Ok(Plan {
            plugins: Changes::of(plugins, &next.plugins, |name| {
                plugins.get(name) == next.plugins.get(name)
            }),
            products: Changes::of(products, &next.products, same_product),
            streams: Changes::of(streams, &next.streams, |name| {
                streams.get(name) == next.streams.get(name)
            }),
            tables: tables
                .iter()
                .filter(|(_, same)| !same)
                .map(|(name, _)| (*name).to_owned())
                .collect(),
        })
    }
}

impl Plan {
    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether something of one of these tables is changed.
    pub fn touches(&self, tables: &[&str]) -> bool {
        self.tables.iter().any(|changed| tables.contains(&&**changed))
    }
}

impl Changes {
    fn of<K: Ord + ToString, V>(
        before: &BTreeMap<K, V>,
        after: &BTreeMap<K, V>,
        is_same: impl Fn(&K) -> bool,
    ) -> Self {
        let mut changes = Self::default();
        for name in after.keys() {
            if !before.contains_key(name) {
                changes.added.push(name.to_string());
            } else if !is_same(name) {
                changes.changed.push(name.to_string());
            }
        }
        let gone = before.keys().filter(|name| !after.contains_key(*name));
        changes.removed.extend(gone.map(ToString::to_string));
        changes
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Those that are new or others than before.
    pub fn to_load(&self) -> impl Iterator<Item = &str> {
        self.added.iter().chain(&self.changed).map(String::as_str)
    }

    /// Those that are gone or others than before.
    pub fn to_end(&self) -> impl Iterator<Item = &str> {
        self.removed.iter().chain(&self.changed).map(String::as_str)
    }
}

/// What is changed and can't be swapped.
#[derive(Default)]
struct Fixed(Vec<String>);

impl Fixed {
    fn top(&mut self, key: &str, same: bool) {
        if !same {
            self.0.push(key.to_owned());
        }
    }

    fn key(&mut self, table: &str, key: &str, same: bool) {
        if !same {
            self.0.push(format!("{key} of [{table}]"));
        }
    }

    fn server(&mut self, old: &Server, new: &Server) {
        let Server {
            listen,
            token,
            header_timeout,
            max_body_bytes,
            max_connections,
            max_connections_per_peer,
            public_url,
            event_origins,
            mcp,
        } = old;
        let keys = [
            ("listen", *listen == new.listen),
            ("token", *token == new.token),
            ("header_timeout", *header_timeout == new.header_timeout),
            ("max_body", *max_body_bytes == new.max_body_bytes),
            ("max_connections", *max_connections == new.max_connections),
            ("max_connections_per_peer", *max_connections_per_peer == new.max_connections_per_peer),
            ("public_url", *public_url == new.public_url),
            ("event_origins", *event_origins == new.event_origins),
        ];
        keys.iter().for_each(|(key, same)| self.key("server", key, *same));
        let on = (mcp.is_some(), new.mcp.is_some());
        self.key("mcp", "enabled", on.0 == on.1);
        if let (Some(Mcp { hosts, origins }), Some(new)) = (mcp, &new.mcp) {
            self.key("mcp", "hosts", *hosts == new.hosts);
            self.key("mcp", "origins", *origins == new.origins);
        }
    }

    fn store(&mut self, old: &Store, new: &Store) {
        match (old, new) {
            (Store::Memory, Store::Memory) => {}
            (
                Store::Embedded { path, reserve },
                Store::Embedded { path: other, reserve: space },
            ) => {
                self.key("store", "path", path == other);
                self.key("store", "reserve", reserve == space);
            }
            (Store::Redis(old), Store::Redis(new)) => self.redis(old, new),
            (Store::Memory | Store::Embedded { .. } | Store::Redis(_), _) => {
                self.key("store", "kind", false);
            }
        }
    }

    fn redis(&mut self, old: &Redis, new: &Redis) {
        let Redis {
            url,
            user,
            password,
            namespace,
            session_ttl,
            sdk_sessions,
            timeout,
            journal,
            journal_max_bytes,
        } = old;
        let keys = [
            ("url", *url == new.url),
            ("user", *user == new.user),
            ("password", *password == new.password),
            ("namespace", *namespace == new.namespace),
            ("session_ttl", *session_ttl == new.session_ttl),
            ("sdk_sessions", *sdk_sessions == new.sdk_sessions),
            ("timeout", *timeout == new.timeout),
            ("journal", *journal == new.journal),
            ("journal_max", *journal_max_bytes == new.journal_max_bytes),
        ];
        keys.iter().for_each(|(key, same)| self.key("store", key, *same));
    }
}

struct Listed<'a>(&'a [String]);

impl std::fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}
