//! A timer that is due, on its way to its plugin.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::bytes::Bytes;
use crate::clock::Timestamp;
use crate::ids::{ConversationId, PluginName, SessionKey};
use crate::outbox::lane::Item;

/// A due timer. It never changes.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct DueTimer {
    /// The session that it is of.
    pub key: SessionKey,
    /// Its place among what the session's sinks and timers are given, from 1.
    pub seq: u64,
    /// The plugin that set it, and is called.
    pub plugin: PluginName,
    /// What the plugin calls it.
    pub name: Arc<str>,
    /// What the plugin is given back.
    pub payload: Bytes,
    /// When it was to be due.
    pub at: Timestamp,
    /// The session's conversation, where the plugin is the one that it is linked by.
    pub conversation: Option<ConversationId>,
    /// The person, where known.
    pub user_id: Option<String>,
    /// The person's e-mail address, where known.
    pub email: Option<String>,
    /// The same for every attempt; nothing else that is delivered shares it.
    pub idempotency_key: String,
    /// When it was found to be due.
    pub sealed_at: Timestamp,
}

impl DueTimer {
    /// The key of a session's delivery of this number that is made at this moment, which is part of it, as for a sink's.
    pub fn idempotency_key(
        key: &SessionKey,
        seq: u64,
        plugin: &PluginName,
        now: Timestamp,
    ) -> String {
        let mut hash = Sha256::new();
        for part in ["timer", key.product.as_str(), key.session.as_str(), plugin] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.update(seq.to_be_bytes());
        hash.update(now.0.to_be_bytes());
        hex::encode(&hash.finalize()[..16])
    }

    /// Its name and what the plugin is given back, for people.
    pub fn text(&self) -> String {
        let payload = String::from_utf8_lossy(&self.payload.0);
        if payload.is_empty() { self.name.to_string() } else { format!("{}: {payload}", self.name) }
    }
}

impl Item for DueTimer {
    fn key(&self) -> &SessionKey {
        &self.key
    }

    fn seq(&self) -> u64 {
        self.seq
    }

    fn plugin(&self) -> &PluginName {
        &self.plugin
    }

    /// The platform may limit a conversation: that holds for what is sent there, and nobody knows what a timer is for.
    fn conversation(&self) -> Option<&ConversationId> {
        None
    }

    fn idempotency_key(&self) -> &str {
        &self.idempotency_key
    }

    fn sealed_at(&self) -> Timestamp {
        self.sealed_at
    }

    fn waits_since(&self) -> Option<Timestamp> {
        Some(self.sealed_at)
    }
}

impl std::fmt::Debug for DueTimer {
    /// What the plugin says of it is left out: it may tell of people.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DueTimer")
            .field("key", &self.key)
            .field("seq", &self.seq)
            .field("plugin", &self.plugin)
            .finish_non_exhaustive()
    }
}
