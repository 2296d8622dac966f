//! What is posted, and what can come of it.

use std::time::Duration;

use hex::FromHex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::clock::Timestamp;
use crate::ids::{ConversationId, PluginName, SessionKey};
use crate::kv::CallKv;
use crate::outbox::attempt::Attempts;
use crate::session::packed::Packed;
use crate::short::{Reader, Short, Writer, flags, is_set, short_but_in_json};

pub use crate::outbox::outcome::{
    Crash, Failure, FailureKind, Found, LimitScope, Pause, PostError, Posted, Redaction, Sent,
};

/// A sealed note: its key and body never change again.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Note {
    /// The session that it tells of.
    pub key: SessionKey,
    /// Its place among the session's notes, from 1.
    pub seq: u64,
    /// The plugin that posts it.
    pub plugin: PluginName,
    /// The conversation that it is posted beside.
    pub conversation: ConversationId,
    /// The user, where known.
    pub user_id: Option<String>,
    /// The user's e-mail address, where known.
    pub email: Option<String>,
    /// What the note is made of.
    pub kind: NoteKind,
    /// The ready text.
    pub body: String,
    /// The actions of it, for platforms that render better than text.
    pub actions: Packed,
    /// Ordinal, among the actions of the session, of the last one that it tells of; of a summary, of the
    /// last one that it covers. 0 for a note that was sealed before actions were counted.
    #[serde(default)]
    pub through: u64,
    /// The same for every attempt; no two notes share it.
    pub idempotency_key: String,
    /// When it was sealed.
    pub sealed_at: Timestamp,
    /// Since when its oldest action could have been posted, where it is made of actions: it was accepted, and its
    /// session linked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_since: Option<Timestamp>,
    /// Whether the first attempt at it began when it was sealed: no row of its own says so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub begun: bool,
    /// The number of the note that it repeats, where an operator had one sent once more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resent_of: Option<u64>,
}

impl Note {
    /// The key of a session's `seq`-th note. The moment of sealing is part of it, so that a session
    /// whose rows were removed and that comes back doesn't use a key again.
    pub fn idempotency_key(key: &SessionKey, seq: u64, sealed_at: Timestamp) -> String {
        let mut hash = Sha256::new();
        for part in [key.product.as_str(), key.session.as_str()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.update(seq.to_be_bytes());
        hash.update(sealed_at.0.to_be_bytes());
        hex::encode(&hash.finalize()[..16])
    }
}

/// What a note is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoteKind {
    /// Raw actions.
    Actions,
    /// A summary of actions.
    Summary,
    /// Something that the people in the conversation are to know: a draft, or that somebody waits for them. It takes no
    /// note's place, and none takes its.
    ForPeople,
}

/// One attempt at posting a note.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The note's idempotency key.
    pub idempotency_key: String,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// How long the attempt may take.
    pub timeout: Duration,
    /// W3C trace context of the attempt.
    pub traceparent: String,
    /// What the plugin may read and write of what it keeps.
    pub kv: CallKv,
}

/// A note that the platform took, as it is remembered so that it can be redacted.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct SentNote {
    /// The plugin that posted it.
    pub plugin: PluginName,
    /// The conversation that it stands beside.
    pub conversation: ConversationId,
    /// Its key.
    pub idempotency_key: String,
    /// What the platform calls it, where it says.
    pub note_id: Option<String>,
    /// When it was found to be sent.
    pub at: Timestamp,
    /// What it is made of.
    #[serde(default = "actions")]
    pub kind: NoteKind,
    /// As [`Note::through`].
    #[serde(default)]
    pub through: u64,
    /// Whether it should have been redacted, and can't be: it stays where it is, and isn't asked for
    /// again on account of a summary.
    #[serde(default)]
    pub stays: bool,
    /// When it was sealed. A row of an earlier version doesn't say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<Timestamp>,
    /// How many actions it tells of, the last of them [`Note::through`]. As above.
    #[serde(default, rename = "n", skip_serializing_if = "is_zero")]
    pub actions: u32,
    /// As [`Note::resent_of`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resent_of: Option<u64>,
    /// The attempts at it.
    #[serde(default, rename = "log", skip_serializing_if = "Attempts::is_empty")]
    pub tries: Attempts,
}

short_but_in_json!(SentNote);

/// Bytes of a key, which has two digits for each.
const KEY: usize = 16;

impl Short for SentNote {
    fn write(&self, to: &mut Writer) {
        let Self { plugin, conversation, idempotency_key, note_id, at, kind, .. } = self;
        let Self { through, stays, made, actions, resent_of, tries, .. } = self;
        // A key that is none of ours is written as it is.
        let key = <[u8; KEY]>::from_hex(idempotency_key).ok();
        let key = key.filter(|key| hex::encode(key) == *idempotency_key);
        let there = flags([
            note_id.is_some(),
            *stays,
            made.is_some(),
            resent_of.is_some(),
            key.is_some(),
            !tries.is_empty(),
        ]);
        to.put(&(there | kind.code() << 6));
        to.put(&(plugin, conversation));
        match &key {
            Some(key) => to.put(key),
            None => to.put(idempotency_key),
        }
        to.put_some(note_id.as_ref());
        to.put(at);
        if let Some(made) = made {
            to.put_since(*made, *at);
        }
        to.put(&(through, actions));
        to.put_some(resent_of.as_ref());
        if !tries.is_empty() {
            tries.write(to, *at);
        }
    }

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        let flags: u8 = from.take()?;
        let kind = NoteKind::coded(flags >> 6)?;
        let (plugin, conversation) = from.take()?;
        let idempotency_key = match is_set(flags, 4) {
            true => hex::encode(from.take::<[u8; KEY]>()?),
            false => from.take()?,
        };
        let note_id = from.take_if(is_set(flags, 0))?;
        let at = from.take()?;
        let made = if is_set(flags, 2) { Some(from.take_since(at)?) } else { None };
        let (through, actions) = from.take()?;
        let resent_of = from.take_if(is_set(flags, 3))?;
        let tries = if is_set(flags, 5) { Attempts::read(from, at)? } else { Attempts::NONE };
        Some(Self {
            plugin,
            conversation,
            idempotency_key,
            note_id,
            at,
            kind,
            through,
            stays: is_set(flags, 1),
            made,
            actions,
            resent_of,
            tries,
        })
    }

    fn read_named<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::deserialize(deserializer)
    }
}

impl NoteKind {
    /// As a number of two bits, for rows.
    fn code(self) -> u8 {
        match self {
            Self::Actions => 0,
            Self::Summary => 1,
            Self::ForPeople => 2,
        }
    }

    fn coded(code: u8) -> Option<Self> {
        [Self::Actions, Self::Summary, Self::ForPeople].into_iter().find(|it| it.code() == code)
    }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

fn actions() -> NoteKind {
    NoteKind::Actions
}

impl SentNote {
    /// A note that was accepted under this id.
    pub fn of(note: &Note, note_id: Option<String>, at: Timestamp) -> Self {
        Self {
            plugin: note.plugin.clone(),
            conversation: note.conversation.clone(),
            idempotency_key: note.idempotency_key.clone(),
            note_id,
            at,
            kind: note.kind,
            through: note.through,
            stays: false,
            made: Some(note.sealed_at),
            actions: u32::try_from(note.actions.len()).unwrap_or(u32::MAX),
            resent_of: note.resent_of,
            tries: Attempts::NONE,
        }
    }

    /// The same with the attempts at it.
    #[must_use]
    pub fn with_tries(self, tries: Attempts) -> Self {
        Self { tries, ..self }
    }

    /// What is left of it while somebody is being erased: what it takes to redact it.
    #[must_use]
    pub fn without_its_story(self) -> Self {
        let (made, actions, resent_of, tries) = (None, 0, None, Attempts::NONE);
        Self { made, actions, resent_of, tries, ..self }
    }

    /// Whether `summary`, which is on record as sent too, takes the place of this note: beside the same
    /// conversation, all actions of a raw note, and summaries before it. `seq` and `of_summary` are their
    /// places among the notes of the session.
    pub fn is_replaced_by(&self, seq: u64, summary: &Self, of_summary: u64) -> bool {
        let same = self.plugin == summary.plugin && self.conversation == summary.conversation;
        let covered = match self.kind {
            NoteKind::Actions => self.through > 0 && self.through <= summary.through,
            NoteKind::Summary => seq < of_summary,
            NoteKind::ForPeople => false,
        };
        summary.kind == NoteKind::Summary && same && seq != of_summary && covered
    }
}

impl std::fmt::Debug for SentNote {
    /// The conversation and what the platform calls the note are left out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SentNote")
            .field("plugin", &self.plugin)
            .field("kind", &self.kind)
            .field("through", &self.through)
            .field("stays", &self.stays)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Note {
    /// The text, the actions and the person are left out: they are customers' data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Note")
            .field("key", &self.key)
            .field("seq", &self.seq)
            .field("plugin", &self.plugin)
            .field("body_bytes", &self.body.len())
            .field("actions", &self.actions.len())
            .finish_non_exhaustive()
    }
}
