//! The store that a host under test runs on.

/// Which store a host keeps its rows in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum StoreKind {
    /// In memory: nothing survives the host's end.
    Memory,
    /// One file in the rig's folder.
    #[default]
    Embedded,
    /// A Redis server that runs already.
    Redis {
        /// Its address, `redis://127.0.0.1:PORT`.
        url: String,
    },
}

impl StoreKind {
    /// Its name in the configuration.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Embedded => "embedded",
            Self::Redis { .. } => "redis",
        }
    }

    /// The keys of `[store]`.
    pub(crate) fn keys(&self) -> String {
        let kind = format!("kind = \"{}\"", self.name());
        match self {
            Self::Memory => kind,
            Self::Embedded => format!("{kind}\npath = \"{FILE}\""),
            Self::Redis { url } => format!("{kind}\nurl = \"{url}\"\njournal = \"{FILE}\""),
        }
    }
}

/// The one file, in the rig's folder, that a store may keep.
pub(crate) const FILE: &str = "sidenote.store";

/// What a program is told of the store.
#[derive(Debug, Clone, clap::Args)]
pub struct StoreArgs {
    /// Where the host keeps its rows.
    #[arg(long, default_value = "embedded", value_parser = ["memory", "embedded", "redis"])]
    store: String,
    /// The server for `--store redis`.
    #[arg(long, value_name = "URL", default_value = "redis://127.0.0.1:6379")]
    redis: String,
}

impl StoreArgs {
    /// The store that was asked for.
    pub fn kind(&self) -> StoreKind {
        match self.store.as_str() {
            "memory" => StoreKind::Memory,
            "redis" => StoreKind::Redis { url: self.redis.clone() },
            _ => StoreKind::Embedded,
        }
    }
}
