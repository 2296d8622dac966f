//! What stays at the platforms of an erasure, and of notes that a summary was to replace: a row per note, so that it
//! can be looked up and counted afterwards. It tells plugin, conversation and note, and nothing of the person.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::rows::{conversation_group, delete, put};
use crate::clock::Timestamp;
use crate::ids::{PluginName, ProductId, SessionKey};
use crate::outbox::note::SentNote;
use crate::outbox::redaction::{ErasureId, Job, Why};
use crate::rows::{Change, Table};
use crate::session::state::Target;

/// Why a note stays.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The operator wished it (`keep_notes`).
    Wished,
    /// The plugin exports no `redactor`.
    NoRedactor,
    /// The plugin was asked and answered that the platform can't.
    Unsupported,
    /// The platform gave the note no id by which it could be redacted.
    NoNoteId,
    /// It isn't known whether the platform has the note, and the plugin has no `finder` to ask with.
    OutcomeUnknown,
    /// Redacting it failed until it wasn't tried any more.
    GivenUp,
    /// Older than the latest notes of its session that are remembered: at most so many.
    Forgotten,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 7] = [
        Self::Wished,
        Self::NoRedactor,
        Self::Unsupported,
        Self::NoNoteId,
        Self::OutcomeUnknown,
        Self::GivenUp,
        Self::Forgotten,
    ];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wished => "wished",
            Self::NoRedactor => "no_redactor",
            Self::Unsupported => "unsupported",
            Self::NoNoteId => "no_note_id",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::GivenUp => "given_up",
            Self::Forgotten => "forgotten",
        }
    }

    /// In words, behind "for".
    pub fn words(self) -> &'static str {
        match self {
            Self::Wished => "they are to be kept (keep_notes)",
            Self::NoRedactor => "the plugin exports no `redactor`",
            Self::Unsupported => "the platform can't redact them, as the plugin answers",
            Self::NoNoteId => "the platform gave them no id",
            Self::OutcomeUnknown => {
                "it isn't known whether the platform has them, and the plugin has no `finder`"
            }
            Self::GivenUp => "redacting them failed until it wasn't tried any more",
            Self::Forgotten => {
                "they are older than the latest 1024 of their session; at most so many"
            }
        }
    }
}

/// So many notes of a plugin stay for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct KeptCount {
    /// The plugin that posted them.
    pub plugin: PluginName,
    /// Why they stay.
    pub reason: Reason,
    /// How many.
    pub notes: u64,
}

/// Adds notes to their count.
pub fn count(counts: &mut Vec<KeptCount>, plugin: &PluginName, reason: Reason, notes: u64) {
    if notes == 0 {
        return;
    }
    let of_this = |count: &&mut KeptCount| count.plugin == *plugin && count.reason == reason;
    match counts.iter_mut().find(of_this) {
        Some(count) => count.notes += notes,
        None => counts.push(KeptCount { plugin: plugin.clone(), reason, notes }),
    }
}

/// The row of a note that stays.
#[derive(Serialize, Deserialize)]
pub struct KeptRow {
    /// Of which product it is.
    pub product: ProductId,
    /// What the platform calls it; `None` where it doesn't say, and for those that aren't remembered.
    pub note_id: Option<String>,
    /// Why it was to go.
    pub why: Why,
    /// Why it stays.
    pub reason: Reason,
    /// When it was found to stay.
    pub at: Timestamp,
    /// The erasure that it is left of.
    pub erasure: Option<ErasureId>,
    /// How many notes are meant: 1, but for those that aren't remembered one by one.
    pub notes: u64,
}

/// Why notes were to go, and when that was.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    pub(super) why: Why,
    pub(super) erasure: Option<ErasureId>,
    pub(super) now: Timestamp,
}

impl Wanted {
    /// As a job says.
    pub(super) fn by(job: &Job, now: Timestamp) -> Self {
        Self { why: job.why, erasure: job.erasure, now }
    }
}

/// Puts a note that stays on record.
pub(super) fn row(product: &ProductId, note: &SentNote, reason: Reason, wanted: Wanted) -> Change {
    let row = KeptRow {
        product: product.clone(),
        note_id: note.note_id.clone(),
        why: wanted.why,
        reason,
        at: wanted.now,
        erasure: wanted.erasure,
        notes: 1,
    };
    put(Table::Kept, conversation_group(&note.plugin, &note.conversation), number(note), &row)
}

/// Takes a note off the record: it went in the end.
pub(super) fn gone(note: &SentNote) -> Change {
    delete(Table::Kept, conversation_group(&note.plugin, &note.conversation), number(note))
}

/// Puts notes of a session on record that aren't remembered one by one.
pub(super) fn forgotten(
    key: &SessionKey,
    (plugin, conversation): &Target,
    notes: u64,
    reason: Reason,
    wanted: Wanted,
) -> Change {
    let row = KeptRow {
        product: key.product.clone(),
        note_id: None,
        why: wanted.why,
        reason,
        at: wanted.now,
        erasure: wanted.erasure,
        notes,
    };
    let number = hashed(&["forgotten", key.product.as_str(), key.session.as_str()]);
    put(Table::Kept, conversation_group(plugin, conversation), number, &row)
}

fn number(note: &SentNote) -> u64 {
    hashed(&["note", &note.idempotency_key])
}

fn hashed(parts: &[&str]) -> u64 {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    u64::from_be_bytes(hash.finalize()[..8].try_into().expect("a hash has more than 8 bytes"))
}
