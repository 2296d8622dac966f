//! What `[plugins.NAME.source]` holds.

use std::collections::BTreeMap;
use std::time::Duration;

use sidenote_sources::Settings;

use super::origin::PageOrigin;
use super::secret::Secret;
use crate::ids::ProductId;

/// What a source may do, and who may send to it.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginSource {
    /// Whose events are accepted, by a name for people. Without any, nothing that is sent is.
    pub keys: BTreeMap<String, WriteKey>,
    /// The product of what the plugin finds when it is asked, and of keys that name none.
    pub product: Option<ProductId>,
    /// The web pages that may send.
    pub origins: Origins,
    /// Largest body in bytes, packed and unpacked.
    pub max_body_bytes: usize,
    /// So many requests of one key are accepted a second, and as many more at once.
    pub max_requests: u32,
    /// So many bytes of one key's bodies are accepted a second, and as many more at once.
    pub max_bytes: usize,
    /// How often the plugin is asked for everything; `None`: never.
    pub poll_every: Option<Duration>,
    /// Whether it is asked for what a person did when they open a conversation.
    pub ask_when_opened: bool,
    /// How long after that it is asked once more: what they did may still be on its way to whoever is asked.
    pub ask_again_after: Duration,
    /// What the words are made by.
    pub words: Settings,
}

impl Default for PluginSource {
    fn default() -> Self {
        Self {
            keys: BTreeMap::new(),
            product: None,
            origins: Origins::Listed(Vec::new()),
            max_body_bytes: 8 << 20,
            max_requests: 200,
            max_bytes: 16 << 20,
            poll_every: None,
            ask_when_opened: false,
            ask_again_after: Duration::from_secs(30),
            words: Settings::default(),
        }
    }
}

/// A key that programs and pages send with what they tell. It opens nothing but that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteKey {
    /// The key.
    pub key: Secret,
    /// The product whose events come with it.
    pub product: ProductId,
}

/// Web pages, by their origins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// All, those without an origin of their own too.
    Any,
    /// These.
    Listed(Vec<PageOrigin>),
}

impl Origins {
    /// Whether a page may send that has this origin, as browsers send it.
    pub fn allow(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(listed) => {
                PageOrigin::parse(origin).is_some_and(|origin| listed.contains(&origin))
            }
        }
    }
}
