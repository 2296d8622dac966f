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
