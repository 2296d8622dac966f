//! What is shown of a note.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::engine::core::LaneKind;
use crate::ids::{ConversationId, PluginName, ProductId, SessionId, SessionKey};
use crate::outbox::delivery_id::DeliveryId;
use crate::outbox::due_timer::DueTimer;
use crate::outbox::lane::{DeadLetter, Item, Progress, State};
use crate::outbox::note::{Note, NoteKind};
use crate::outbox::sink_delivery::SinkDelivery;

/// A note that waits, or a dead letter. Times are seconds since the Unix epoch.
///
/// Neither the text nor the person is in it, unless the text was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Entry {
    /// Its name, everywhere.
    pub id: DeliveryId,
    /// The product.
    pub product: ProductId,
    /// The session that the note tells of.
    pub session: SessionId,
    /// What it is: a note, a batch or summary for a sink, or a due timer.
    #[serde(default)]
    pub lane: LaneKind,
    /// Its number among those of the session, from 1.
    pub seq: u64,
    /// The plugin that posts it, or the sink, or the plugin that set the timer.
    pub plugin: PluginName,
    /// The conversation that it goes to; `None` for what goes to a sink.
    pub conversation: Option<ConversationId>,
    /// What it is made of.
    pub kind: EntryKind,
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
    /// When it became a dead letter.
    pub dead_lettered_at: Option<f64>,
    /// The length of its text.
    pub bytes: usize,
    /// How many actions it tells of.
    pub actions: usize,
    /// Why it became a dead letter, or why the last attempt failed, as `code: message`.
    pub reason: Option<String>,
    /// The same for every attempt.
    pub idempotency_key: String,
    /// The text, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Text>,
}

/// What an entry is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// Raw actions.
    Actions,
    /// A summary of actions.
    Summary,
    /// A note of the host's own for the people who answer.
    ForPeople,
    /// A timer of a plugin.
    Timer,
}

impl From<NoteKind> for EntryKind {
    fn from(kind: NoteKind) -> Self {
        match kind {
            NoteKind::Actions => Self::Actions,
            NoteKind::Summary => Self::Summary,
            NoteKind::ForPeople => Self::ForPeople,
        }
    }
}

/// Where a note stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
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
    /// It is a dead letter and holds those behind it until a person decides.
    GivenUp,
    /// It is a dead letter and those behind it went on.
    Dead,
}

/// A note's text: what people did.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
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
    pub(super) fn waiting<T: Listed>(
        key: SessionKey,
        note: &T,
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

    /// A dead letter.
    pub(super) fn dead<T: Listed>(key: SessionKey, letter: &DeadLetter<T>, now: Timestamp) -> Self {
        let state = if letter.holds_lane { EntryState::GivenUp } else { EntryState::Dead };
        Self {
            attempts: letter.attempts,
            dead_lettered_at: Some(letter.at.as_secs_f64()),
            reason: Some(letter.reason.clone()),
            ..Self::of(key, &*letter.note, state, now)
        }
    }

    fn of<T: Listed>(key: SessionKey, item: &T, state: EntryState, now: Timestamp) -> Self {
        Self {
            id: DeliveryId { key: key.clone(), kind: T::LANE.into(), seq: item.seq() },
            product: key.product,
            session: key.session,
            lane: T::LANE,
            seq: item.seq(),
            plugin: item.plugin().clone(),
            conversation: item.conversation().cloned(),
            kind: item.kind(),
            state,
            attempts: 0,
            crashes: None,
            waits_until: None,
            sealed_at: item.sealed_at().as_secs_f64(),
            age_seconds: now.since(item.sealed_at()).as_secs_f64(),
            dead_lettered_at: None,
            bytes: item.text().len(),
            actions: item.actions(),
            reason: None,
            idempotency_key: item.idempotency_key().to_owned(),
            text: None,
        }
    }

    /// How much it weighs in an answer, in bytes, roughly.
    pub(super) fn weight(&self) -> usize {
        let conversation = self.conversation.as_ref().map_or("", ConversationId::as_str);
        let texts = [self.product.as_str(), self.session.as_str(), conversation];
        let reason = self.reason.as_ref().map_or(0, String::len);
        let text = self.text.as_ref().map_or(0, |text| text.0.len());
        400 + texts.iter().map(|text| text.len()).sum::<usize>() + reason + text
    }
}

/// What is listed: a note, what a sink is sent, or a due timer.
pub(super) trait Listed: Item {
    /// What stands in the lanes of its kind.
    const LANE: LaneKind;

    fn kind(&self) -> EntryKind;
    fn actions(&self) -> usize;
    /// The ordinal of the last action; 0 where that isn't known.
    fn through(&self) -> u64 {
        0
    }
    /// The number of the note that it repeats.
    fn resent_of(&self) -> Option<u64> {
        None
    }
    fn text(&self) -> Cow<'_, str>;
}

impl Listed for Note {
    const LANE: LaneKind = LaneKind::Note;

    fn kind(&self) -> EntryKind {
        self.kind.into()
    }

    fn actions(&self) -> usize {
        self.actions.len()
    }

    fn through(&self) -> u64 {
        self.through
    }

    fn resent_of(&self) -> Option<u64> {
        self.resent_of
    }

    fn text(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.body)
    }
}

impl Listed for SinkDelivery {
    const LANE: LaneKind = LaneKind::Sink;

    fn kind(&self) -> EntryKind {
        Self::kind(self).into()
    }

    fn actions(&self) -> usize {
        Self::actions(self)
    }

    fn text(&self) -> Cow<'_, str> {
        Cow::Owned(Self::text(self))
    }
}

impl Listed for DueTimer {
    const LANE: LaneKind = LaneKind::Timer;

    fn kind(&self) -> EntryKind {
        EntryKind::Timer
    }

    fn actions(&self) -> usize {
        0
    }

    fn text(&self) -> Cow<'_, str> {
        Cow::Owned(Self::text(self))
    }
}
