//! What is shown of a note.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::ids::{ConversationId, PluginName, ProductId, SessionId, SessionKey};
use crate::outbox::lane::{DeadLetter, Progress, State};
use crate::outbox::note::{Note, NoteKind};

/// A note that waits or was given up. Times are seconds since the Unix epoch.
///
/// Neither the text nor the person is in it, unless the text was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The product.
    pub product: ProductId,
    /// The session that the note tells of.
    pub session: SessionId,
    /// Its number among the session's notes, from 1.
    pub seq: u64,
    /// The plugin that posts it.
    pub plugin: PluginName,
    /// The conversation that it goes to.
    pub conversation: ConversationId,
    /// What it is made of.
    pub kind: NoteKind,
    /// Where it stands.
    pub state: EntryState,
    /// Attempts that count.
    pub attempts: u32,
    /// Attempts in which the plugin or the host crashed; `None` for a dead letter, which doesn't say.
    pub crashes: Option<u32>,
    /// When it is tried again, where a moment is set.
    pub waits_until: Option<f64>,
    /// When it was sealed.
    pub sealed_at: f64,
    /// How long ago that was, in seconds.
    pub age_seconds: f64,
    /// When it was given up.
    pub given_up_at: Option<f64>,
    /// The length of its text.
    pub bytes: usize,
    /// How many actions it tells of.
    pub actions: usize,
    /// Why it was given up, or why the last attempt failed, as `code: message`.
    pub reason: Option<String>,
    /// The same for every attempt.
    pub idempotency_key: String,
    /// The text, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Text>,
}

/// Where a note stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryState {
    /// It waits for its turn.
    Due,
    /// An attempt is under way, or its outcome isn't known because the host ended meanwhile.
    InFlight,
    /// It waits for a moment that the host chose.
    RetryAt,
    /// It waits for a moment that the platform asked for.
    HeldUntil,
    /// It was given up and holds those behind it until a person decides.
    GivenUp,
    /// It was given up and those behind it went on.
    Dead,
}

/// A note's text: what people did.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Text(pub String);

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Text({} bytes)", self.0.len())
    }
}

impl EntryState {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Due, Self::InFlight, Self::RetryAt, Self::HeldUntil, Self::GivenUp, Self::Dead];

    /// Its name, as it is written and read.
    pub fn name(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::InFlight => "in_flight",
            Self::RetryAt => "retry_at",
            Self::HeldUntil => "held_until",
            Self::GivenUp => "given_up",
            Self::Dead => "dead",
        }
    }

    /// The state of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

impl Entry {
    /// A note in its lane. `progress` is as a host whose clock shows `now` understands it.
    pub(super) fn waiting(
        key: SessionKey,
        note: &Note,
        progress: Progress,
        now: Timestamp,
    ) -> Self {
        let (state, waits_until) = match progress.state {
            State::Due => (EntryState::Due, None),
            State::InFlight => (EntryState::InFlight, None),
            State::RetryAt(at) => (EntryState::RetryAt, Some(at)),
            State::HeldUntil(at) => (EntryState::HeldUntil, Some(at)),
            State::GivenUp => (EntryState::GivenUp, None),
        };
        Self {
            attempts: progress.attempts,
            crashes: Some(progress.crashes),
            waits_until: waits_until.map(Timestamp::as_secs_f64),
            reason: progress.failure,
            ..Self::of(key, note, state, now)
        }
    }

    /// A note that was given up.
    pub(super) fn dead(key: SessionKey, letter: &DeadLetter, now: Timestamp) -> Self {
        Self {
            attempts: letter.attempts,
            given_up_at: Some(letter.at.as_secs_f64()),
            reason: Some(letter.reason.clone()),
            ..Self::of(key, &letter.note, Self::state_of(letter), now)
        }
    }

    fn state_of(letter: &DeadLetter) -> EntryState {
        if letter.holds_lane { EntryState::GivenUp } else { EntryState::Dead }
    }

    fn of(key: SessionKey, note: &Note, state: EntryState, now: Timestamp) -> Self {
        Self {
            product: key.product,
            session: key.session,
            seq: note.seq,
            plugin: note.plugin.clone(),
            conversation: note.conversation.clone(),
            kind: note.kind,
            state,
            attempts: 0,
            crashes: None,
            waits_until: None,
            sealed_at: note.sealed_at.as_secs_f64(),
            age_seconds: now.since(note.sealed_at).as_secs_f64(),
            given_up_at: None,
            bytes: note.body.len(),
            actions: note.actions.len(),
            reason: None,
            idempotency_key: note.idempotency_key.clone(),
            text: None,
        }
    }

    /// How much it weighs in an answer, in bytes, roughly.
    pub(super) fn weight(&self) -> usize {
        let texts = [self.product.as_str(), self.session.as_str(), self.conversation.as_str()];
        let reason = self.reason.as_ref().map_or(0, String::len);
        let text = self.text.as_ref().map_or(0, |text| text.0.len());
        400 + texts.iter().map(|text| text.len()).sum::<usize>() + reason + text
    }
}
