//! One delivery as people see it: what it is, where it stands, and every attempt at it.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::attempt::{AttemptEntry, entries};
use super::entry::{Entry, EntryKind, EntryState, Listed, Text};
use super::rows::SessionRows;
use crate::clock::Timestamp;
use crate::ids::{ConversationId, PluginName, ProductId, SessionId, SessionKey};
use crate::outbox::attempt::Attempts;
use crate::outbox::delivery_id::{DeliveryId, DeliveryKind};
use crate::outbox::due_timer::DueTimer;
use crate::outbox::ended::{
    self, EndedDelivery, EndedKind, MessageEnd, MessageKind, What as Ended,
};
use crate::outbox::lane::{DeadLetter, Progress};
use crate::outbox::message::{Content, Job as MessageJob, State as MessageState};
use crate::outbox::note::{Note, Redaction, SentNote};
use crate::outbox::redaction::{Job, State as RedactionState, Why};
use crate::outbox::sink_delivery::SinkDelivery;
use crate::store::{Store, StoreError, Table};

/// A delivery: one that waits, was delivered, or is a dead letter. Times are seconds since the Unix epoch.
///
/// Neither the text nor the person is in it, unless the text was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Delivery {
    /// Its name, everywhere.
    pub id: DeliveryId,
    /// Where it stands.
    pub state: DeliveryState,
    /// The product.
    pub product: ProductId,
    /// The session.
    pub session: SessionId,
    /// Its number among those of its session.
    pub seq: u64,
    /// What is delivered: a note, something for a sink, a message.
    pub delivery: DeliveryKind,
    /// What it is made of: `actions`, `summary`, `for_people`; of a message `offer`, `question`, `reply`, `removal`.
    pub kind: String,
    /// The plugin that delivers it.
    pub plugin: PluginName,
    /// The conversation that it is for; `None` for what goes to a sink.
    pub conversation: Option<ConversationId>,
    /// When it was made. A note that an earlier version sent doesn't say.
    pub made_at: Option<f64>,
    /// How many actions it tells of. As above.
    pub actions: Option<u64>,
    /// The ordinal, among the actions of its session, of the last one that it tells of or covers.
    pub through: Option<u64>,
    /// The same for every attempt.
    pub idempotency_key: String,
    /// What the platform calls it, where it said.
    pub note_id: Option<String>,
    /// When it was found to be delivered.
    pub delivered_at: Option<f64>,
    /// When it became a dead letter.
    pub dead_lettered_at: Option<f64>,
    /// When it is tried again, where a moment is set.
    pub waits_until: Option<f64>,
    /// From when on it isn't sent any more, of a message.
    pub expires_at: Option<f64>,
    /// Why it became a dead letter, or why the last attempt failed, as `code: message`.
    pub reason: Option<String>,
    /// The note that it repeats.
    pub resent_of: Option<DeliveryId>,
    /// Whether it should have been redacted and can't be.
    pub stays: bool,
    /// The attempts, the oldest first.
    pub attempts: Vec<AttemptEntry>,
    /// How many are left out, behind the first three.
    pub attempts_left_out: u32,
    /// That it is to be redacted.
    pub redaction: Option<RedactionEntry>,
    /// The text, where it was asked for and is kept: that of a delivered note isn't.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Text>,
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
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
    /// The platform has it.
    Delivered,
    /// The platform has it, or may, and it is to be redacted.
    Redacting,
    /// It was to be redacted, and that isn't tried any more.
    RedactionGivenUp,
    /// It was redacted: it isn't at the platform any more, or its text isn't.
    Redacted,
    /// A message that wasn't sent in time.
    Late,
    /// A message that certainly isn't there and isn't tried any more.
    Failed,
    /// A message of which nobody knows whether it is there.
    Unknown,
    /// A message that wasn't wanted any more.
    Cancelled,
}

impl DeliveryState {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::InFlight => "in_flight",
            Self::RetryAt => "retry_at",
            Self::HeldUntil => "held_until",
            Self::GivenUp => "given_up",
            Self::Dead => "dead",
            Self::Delivered => "delivered",
            Self::Redacting => "redacting",
            Self::RedactionGivenUp => "redaction_given_up",
            Self::Redacted => "redacted",
            Self::Late => "late",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Cancelled => "cancelled",
        }
    }
}

impl From<EntryState> for DeliveryState {
    fn from(state: EntryState) -> Self {
        match state {
            EntryState::Due => Self::Due,
            EntryState::InFlight => Self::InFlight,
            EntryState::RetryAt => Self::RetryAt,
            EntryState::HeldUntil => Self::HeldUntil,
            EntryState::GivenUp => Self::GivenUp,
            EntryState::Dead => Self::Dead,
        }
    }
}

/// That a note is to be redacted, or was to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RedactionEntry {
    /// Why.
    pub why: Why,
    /// When that was decided.
    pub since: f64,
    /// When it ended, and how.
    pub ended: Option<RedactionEnd>,
    /// When it is tried again, where a moment is set.
    pub waits_until: Option<f64>,
    /// Why the last attempt failed.
    pub reason: Option<String>,
    /// The attempts, the oldest first.
    pub attempts: Vec<AttemptEntry>,
    /// How many are left out, behind the first three.
    pub attempts_left_out: u32,
}

/// How a redaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RedactionEnd {
    /// When.
    pub at: f64,
    /// What the platform answered.
    pub how: Redaction,
}

/// Looks for a delivery. `text`: with its text, where that is kept. `None`: nothing is known of it, or nothing any more.
///
/// # Errors
/// The store can't be read.
pub async fn delivery(
    store: &dyn Store,
    id: &DeliveryId,
    text: bool,
    now: Timestamp,
) -> Result<Option<Delivery>, StoreError> {
    let rows = Found { store, id, now, text };
    match id.kind {
        DeliveryKind::Sink => match rows.in_lanes::<SinkDelivery>(SINK_TABLES).await? {
            Some(delivery) => Ok(Some(delivery)),
            None => Ok(rows.ended(EndedKind::Sink).await?.map(|row| ended(&id.key, &row))),
        },
        DeliveryKind::Timer => match rows.in_lanes::<DueTimer>(TIMER_TABLES).await? {
            Some(delivery) => Ok(Some(delivery)),
            None => Ok(rows.ended(EndedKind::Timer).await?.map(|row| ended(&id.key, &row))),
        },
        DeliveryKind::Message => rows.message().await,
        DeliveryKind::Note => match rows.in_lanes::<Note>(NOTE_TABLES).await? {
            Some(delivery) => Ok(Some(delivery)),
            None => rows.at_platform().await,
        },
    }
}

/// What waits, how far the attempts are, and dead letters.
pub(super) const NOTE_TABLES: [Table; 3] = [Table::Outbox, Table::Attempt, Table::Dead];
pub(super) const SINK_TABLES: [Table; 3] = [Table::SinkQueue, Table::SinkAttempt, Table::SinkDead];
pub(super) const TIMER_TABLES: [Table; 3] =
    [Table::TimerQueue, Table::TimerAttempt, Table::TimerDead];

struct Found<'a> {
    store: &'a dyn Store,
    id: &'a DeliveryId,
    now: Timestamp,
    text: bool,
}

impl Found<'_> {
    async fn row<T: DeserializeOwned>(&self, table: Table) -> Result<Option<T>, StoreError> {
        SessionRows { store: self.store, key: &self.id.key }.one(table, self.id.seq).await
    }

    async fn in_lanes<T: Listed + DeserializeOwned>(
        &self,
        [queued, attempts, dead]: [Table; 3],
    ) -> Result<Option<Delivery>, StoreError> {
        if let Some(letter) = self.row::<DeadLetter<T>>(dead).await? {
            return Ok(Some(dead_letter(&self.id.key, &letter, self.text, self.now)));
        }
        let Some(item) = self.row::<Arc<T>>(queued).await? else { return Ok(None) };
        let progress = self.row::<Progress>(attempts).await?;
        Ok(Some(waiting(&self.id.key, &*item, progress, self.text, self.now)))
    }

    async fn at_platform(&self) -> Result<Option<Delivery>, StoreError> {
        let key = &self.id.key;
        if let Some(job) = self.row::<Job>(Table::Redact).await? {
            return Ok(Some(redacted(key, self.id.seq, &job)));
        }
        let row = self.ended(EndedKind::Redaction).await?;
        let redacted = row.map(|row| ended(key, &row));
        let Some(sent) = self.row::<SentNote>(Table::Sent).await? else { return Ok(redacted) };
        // One that could not be redacted.
        let redaction = redacted.and_then(|redacted| redacted.redaction);
        Ok(Some(Delivery { redaction, ..delivered(key, self.id.seq, &sent) }))
    }

    async fn ended(&self, kind: EndedKind) -> Result<Option<EndedDelivery>, StoreError> {
        let number = ended::number(kind, self.id.seq);
        SessionRows { store: self.store, key: &self.id.key }.one(Table::Ended, number).await
    }

    async fn message(&self) -> Result<Option<Delivery>, StoreError> {
        if let Some(job) = self.row::<MessageJob>(Table::Message).await? {
            return Ok(Some(message(&job, self.text)));
        }
        Ok(self.ended(EndedKind::Message).await?.map(|row| ended(&self.id.key, &row)))
    }
}

/// What waits in a lane.
pub(super) fn waiting<T: Listed>(
    key: &SessionKey,
    item: &T,
    progress: Option<Progress>,
    text: bool,
    now: Timestamp,
) -> Delivery {
    let progress = progress.unwrap_or_else(|| item.first_progress()).by_the_clock_at(now);
    let tries = progress.tries.clone();
    in_lane(item, Entry::waiting(key.clone(), item, progress, now), &tries, text)
}

/// A dead letter.
pub(super) fn dead_letter<T: Listed>(
    key: &SessionKey,
    letter: &DeadLetter<T>,
    text: bool,
    now: Timestamp,
) -> Delivery {
    in_lane(&*letter.note, Entry::dead(key.clone(), letter, now), &letter.tries, text)
}

fn in_lane<T: Listed>(item: &T, entry: Entry, tries: &Attempts, text: bool) -> Delivery {
    let key = SessionKey { product: entry.product.clone(), session: entry.session.clone() };
    Delivery {
        id: entry.id,
        state: entry.state.into(),
        product: entry.product,
        session: entry.session,
        seq: entry.seq,
        delivery: entry.lane.into(),
        kind: kind(entry.kind).to_owned(),
        plugin: entry.plugin,
        conversation: entry.conversation,
        made_at: Some(entry.sealed_at),
        actions: Some(entry.actions as u64),
        through: Some(item.through()).filter(|through| *through > 0),
        idempotency_key: entry.idempotency_key,
        note_id: None,
        delivered_at: None,
        dead_lettered_at: entry.dead_lettered_at,
        waits_until: entry.waits_until,
        expires_at: None,
        reason: entry.reason,
        resent_of: item.resent_of().map(|of| DeliveryId::note(key, of)),
        stays: false,
        attempts: entries(tries),
        attempts_left_out: tries.left_out(),
        redaction: None,
        text: text.then(|| Text(item.text().into_owned())),
    }
}

/// A note that was delivered.
pub(super) fn delivered(key: &SessionKey, seq: u64, sent: &SentNote) -> Delivery {
    Delivery {
        kind: kind(sent.kind).to_owned(),
        conversation: Some(sent.conversation.clone()),
        made_at: sent.made.map(Timestamp::as_secs_f64),
        actions: sent.made.map(|_| sent.actions.into()),
        through: Some(sent.through).filter(|through| *through > 0),
        idempotency_key: sent.idempotency_key.clone(),
        note_id: sent.note_id.clone(),
        delivered_at: Some(sent.at.as_secs_f64()),
        resent_of: sent.resent_of.map(|of| DeliveryId::note(key.clone(), of)),
        stays: sent.stays,
        attempts: entries(&sent.tries),
        attempts_left_out: sent.tries.left_out(),
        ..bare(key, DeliveryKind::Note, seq, &sent.plugin, DeliveryState::Delivered)
    }
}

/// A note that is to be redacted.
pub(super) fn redacted(key: &SessionKey, seq: u64, job: &Job) -> Delivery {
    let (state, waits_until) = match job.state {
        RedactionState::GivenUp => (DeliveryState::RedactionGivenUp, None),
        RedactionState::Until(at) => (DeliveryState::Redacting, Some(at.as_secs_f64())),
        RedactionState::Posting | RedactionState::Due | RedactionState::InFlight => {
            (DeliveryState::Redacting, None)
        }
    };
    let redaction = RedactionEntry { waits_until, ..redaction(job) };
    let known = job.note.note_id.is_some();
    let note = delivered(key, seq, &job.note);
    let delivered_at = note.delivered_at.filter(|_| known);
    Delivery { state, delivered_at, redaction: Some(redaction), ..note }
}

fn redaction(job: &Job) -> RedactionEntry {
    RedactionEntry {
        why: job.why,
        since: job.since.as_secs_f64(),
        ended: None,
        waits_until: None,
        reason: job.failure.clone(),
        attempts: entries(&job.tries),
        attempts_left_out: job.tries.left_out(),
    }
}

/// What ended and has no other row.
pub(super) fn ended(key: &SessionKey, row: &EndedDelivery) -> Delivery {
    let at = row.at.as_secs_f64();
    match &row.what {
        Ended::Sink(sink) => Delivery {
            kind: kind(sink.kind).to_owned(),
            made_at: Some(sink.made.as_secs_f64()),
            actions: Some(sink.actions.into()),
            idempotency_key: sink.idempotency_key.clone(),
            delivered_at: Some(at),
            attempts: entries(&sink.tries),
            attempts_left_out: sink.tries.left_out(),
            ..bare(key, DeliveryKind::Sink, sink.seq, &sink.plugin, DeliveryState::Delivered)
        },
        Ended::Timer(timer) => Delivery {
            kind: kind(EntryKind::Timer).to_owned(),
            made_at: Some(timer.made.as_secs_f64()),
            idempotency_key: timer.idempotency_key.clone(),
            delivered_at: Some(at),
            attempts: entries(&timer.tries),
            attempts_left_out: timer.tries.left_out(),
            ..bare(key, DeliveryKind::Timer, timer.seq, &timer.plugin, DeliveryState::Delivered)
        },
        Ended::Message(message) => {
            let state = match message.how {
                MessageEnd::Delivered => DeliveryState::Delivered,
                MessageEnd::Late => DeliveryState::Late,
                MessageEnd::Failed => DeliveryState::Failed,
                MessageEnd::Unknown => DeliveryState::Unknown,
                MessageEnd::Cancelled => DeliveryState::Cancelled,
            };
            Delivery {
                kind: message.kind.name().to_owned(),
                conversation: Some(message.conversation.clone()),
                made_at: Some(message.made.as_secs_f64()),
                idempotency_key: message.idempotency_key.clone(),
                note_id: message.note_id.clone(),
                delivered_at: (message.how == MessageEnd::Delivered).then_some(at),
                expires_at: Some(message.expires.as_secs_f64()),
                reason: message.failure.clone(),
                attempts: entries(&message.tries),
                attempts_left_out: message.tries.left_out(),
                ..bare(key, DeliveryKind::Message, message.seq, &message.plugin, state)
            }
        }
        Ended::Redaction(ended) => {
            let note = delivered(key, ended.seq, &ended.job.note);
            let (state, stays) = match ended.redaction {
                Redaction::Removed | Redaction::Overwritten => (DeliveryState::Redacted, false),
                Redaction::Unsupported => (DeliveryState::Delivered, true),
            };
            let end = Some(RedactionEnd { at, how: ended.redaction });
            let redaction = Some(RedactionEntry { ended: end, ..redaction(&ended.job) });
            Delivery { state, stays, redaction, ..note }
        }
    }
}

/// A delivery of which no more is known than this.
fn bare(
    key: &SessionKey,
    kind: DeliveryKind,
    seq: u64,
    plugin: &PluginName,
    state: DeliveryState,
) -> Delivery {
    Delivery {
        id: DeliveryId { key: key.clone(), kind, seq },
        state,
        product: key.product.clone(),
        session: key.session.clone(),
        seq,
        delivery: kind,
        kind: String::new(),
        plugin: plugin.clone(),
        conversation: None,
        made_at: None,
        actions: None,
        through: None,
        idempotency_key: String::new(),
        note_id: None,
        delivered_at: None,
        dead_lettered_at: None,
        waits_until: None,
        expires_at: None,
        reason: None,
        resent_of: None,
        stays: false,
        attempts: Vec::new(),
        attempts_left_out: 0,
        redaction: None,
        text: None,
    }
}

/// A message on its way.
pub(super) fn message(job: &MessageJob, text: bool) -> Delivery {
    let message = &*job.message;
    let (state, waits_until) = match job.state {
        MessageState::Due => (DeliveryState::Due, None),
        MessageState::Until(at) => (DeliveryState::RetryAt, Some(at.as_secs_f64())),
        MessageState::InFlight => (DeliveryState::InFlight, None),
    };
    let said = match &message.content {
        Content::Offer(offer) | Content::Question(offer) => Some(offer.text().to_owned()),
        Content::Reply(reply) => Some(reply.text.as_str().to_owned()),
        Content::Removal { .. } => None,
    };
    let key = &message.key;
    let failure = job.tries.kept().iter().rev().find_map(|attempt| attempt.fault.as_ref());
    Delivery {
        kind: MessageKind::of(&message.content).name().to_owned(),
        conversation: Some(message.conversation.clone()),
        made_at: Some(message.made_at.as_secs_f64()),
        idempotency_key: message.idempotency_key.clone(),
        waits_until,
        expires_at: Some(message.expires_at.as_secs_f64()),
        reason: failure.map(|fault| fault.reason()),
        attempts: entries(&job.tries),
        attempts_left_out: job.tries.left_out(),
        text: said.filter(|_| text).map(Text),
        ..bare(key, DeliveryKind::Message, message.seq, &message.plugin, state)
    }
}

fn kind(kind: impl Into<EntryKind>) -> &'static str {
    match kind.into() {
        EntryKind::Actions => "actions",
        EntryKind::Summary => "summary",
        EntryKind::ForPeople => "for_people",
        EntryKind::Timer => "timer",
    }
}

#[cfg(test)]
mod tests;
