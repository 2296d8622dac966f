//! What a sink is sent: the batches and summaries of a session, as they came in.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::clock::Timestamp;
use crate::ids::{ConversationId, PluginName, SessionKey};
use crate::outbox::lane::Item;
use crate::outbox::note::NoteKind;
use crate::session::payload::{ActionsPayload, SummaryPayload};

/// What one sink is sent at once. Its key never changes, and from the first attempt on neither does its
/// content; until then, further actions can join it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct SinkDelivery {
    /// The session that it is of.
    pub key: SessionKey,
    /// Its place among the session's sink deliveries, of all sinks, from 1.
    pub seq: u64,
    /// The sink.
    pub plugin: PluginName,
    /// What is sent.
    pub content: Content,
    /// The same for every attempt; no two sink deliveries share it.
    pub idempotency_key: String,
    /// When it was made.
    pub sealed_at: Timestamp,
}

/// What a sink delivery holds.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// A batch.
    Actions(ActionsPayload),
    /// A summary.
    Summary(SummaryPayload),
}

/// What a plugin can do with what people do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roles {
    /// It posts notes.
    pub writer: bool,
    /// It takes batches and summaries.
    pub sink: bool,
}

impl Roles {
    /// Of a plugin for a chat platform.
    pub const WRITER: Self = Self { writer: true, sink: false };
}

impl Item for SinkDelivery {
    fn key(&self) -> &SessionKey {
        &self.key
    }

    fn seq(&self) -> u64 {
        self.seq
    }

    fn plugin(&self) -> &PluginName {
        &self.plugin
    }

    fn conversation(&self) -> Option<&ConversationId> {
        None
    }

    fn idempotency_key(&self) -> &str {
        &self.idempotency_key
    }

    fn sealed_at(&self) -> Timestamp {
        self.sealed_at
    }

    /// It is made of what came in when that is accepted.
    fn waits_since(&self) -> Option<Timestamp> {
        Some(self.sealed_at)
    }
}

impl SinkDelivery {
    /// A sink delivery, with the key that is its own.
    pub fn new(
        key: &SessionKey,
        seq: u64,
        plugin: &PluginName,
        content: Content,
        now: Timestamp,
    ) -> Self {
        Self {
            key: key.clone(),
            seq,
            plugin: plugin.clone(),
            content,
            idempotency_key: idempotency_key(key, seq, plugin, now),
            sealed_at: now,
        }
    }

    /// What it is made of.
    pub fn kind(&self) -> NoteKind {
        match self.content {
            Content::Actions(_) => NoteKind::Actions,
            Content::Summary(_) => NoteKind::Summary,
        }
    }

    /// How many actions it holds.
    pub fn actions(&self) -> usize {
        match &self.content {
            Content::Actions(batch) => batch.actions.len(),
            Content::Summary(_) => 0,
        }
    }

    /// The same with the actions of a later batch of its session behind its own, where both are of one
    /// person and conversation and no more than `most` actions come together. The actions are numbered
    /// anew, from 0.
    pub fn joined(&self, later: &ActionsPayload, most: usize) -> Option<Self> {
        let Content::Actions(batch) = &self.content else { return None };
        let fits = batch.actions.len() + later.actions.len() <= most;
        let same = batch.user_id == later.user_id
            && batch.email == later.email
            && batch.conversation_id == later.conversation_id;
        if !fits || !same {
            return None;
        }
        let joined = ActionsPayload::merge(vec![batch.clone(), later.clone()]).ok()?;
        Some(Self { content: Content::Actions(joined), ..self.clone() })
    }

    /// Who it tells of, as far as it says: user id and e-mail address.
    pub fn person(&self) -> (Option<&str>, Option<&str>) {
        match &self.content {
            Content::Actions(batch) => (batch.user_id.as_deref(), batch.email.as_deref()),
            Content::Summary(_) => (None, None),
        }
    }

    /// Its content as text: a line per action, or the summary.
    pub fn text(&self) -> String {
        match &self.content {
            Content::Actions(batch) => batch.to_text(),
            Content::Summary(summary) => summary.to_text().to_owned(),
        }
    }
}

/// The moment is part of it, so that a session whose rows were removed and that comes back doesn't use a
/// key again; the sink's name is, so that no key of a note is among them.
fn idempotency_key(key: &SessionKey, seq: u64, plugin: &PluginName, now: Timestamp) -> String {
    let mut hash = Sha256::new();
    for part in [key.product.as_str(), key.session.as_str(), plugin] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.update(seq.to_be_bytes());
    hash.update(now.0.to_be_bytes());
    hex::encode(&hash.finalize()[..16])
}

impl std::fmt::Debug for SinkDelivery {
    /// The content is left out: it is customers' data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SinkDelivery")
            .field("key", &self.key)
            .field("seq", &self.seq)
            .field("plugin", &self.plugin)
            .field("kind", &self.kind())
            .field("actions", &self.actions())
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Content {
    /// The text is left out: it is customers' data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Actions(_) => "Actions(..)",
            Self::Summary(_) => "Summary(..)",
        })
    }
}
