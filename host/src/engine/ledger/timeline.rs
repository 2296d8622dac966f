//! What is known of a session, in the order of time.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::attempt::AttemptEntry;
use super::delivery::{
    Delivery, DeliveryState, NOTE_TABLES, RedactionEntry, SINK_TABLES, TIMER_TABLES, dead_letter,
    delivered, ended, message, redacted, waiting,
};
use super::entry::{Listed, Text};
use super::rows::SessionRows;
use crate::clock::Timestamp;
use crate::engine::core::history::{KeptBatch, KeptSummary, SUMMARY};
use crate::engine::core::rows::read;
use crate::ids::{ConversationId, PluginName, ProductId, SessionId, SessionKey};
use crate::offers::log::{Decided, Log};
use crate::outbox::delivery_id::{DeliveryId, DeliveryKind};
use crate::outbox::due_timer::DueTimer;
use crate::outbox::ended::{EndedDelivery, MessageEnd, What as Ended};
use crate::outbox::lane::{DeadLetter, Progress};
use crate::outbox::message::Job as MessageJob;
use crate::outbox::note::{Note, SentNote};
use crate::outbox::redaction::{Job, Why};
use crate::outbox::sink_delivery::SinkDelivery;
use crate::session::batch::StoredEntry;
use crate::session::identity::Basis;
use crate::session::payload::Action;
use crate::session::state::Record;
use crate::session::wording::worded;
use crate::store::{Rows, Store, StoreError, Table};

/// Rows of a table that hold whole notes or batches that are looked at, the first ones.
const MOST_ROWS: usize = 256;
/// Where in its group the decisions of a session's offers stand.
const LOG: u64 = 1;

/// What is to be told of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelineWant {
    /// At most so many moments.
    pub limit: usize,
    /// With what people did.
    pub text: bool,
    /// Those behind this one.
    pub after: Option<MomentCursor>,
}

/// What is known of a session, the oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Timeline {
    /// The product.
    pub product: ProductId,
    /// The session.
    pub session: SessionId,
    /// Actions that wait for a note at this moment.
    pub waiting_actions: u64,
    /// What happened.
    pub moments: Vec<Moment>,
    /// For the next ones, where there are more.
    pub next: Option<MomentCursor>,
    /// Whether there is so much that not all of it was looked at.
    pub cut: bool,
}

/// Something that happened, in seconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Moment {
    /// When, by the host's clock.
    pub at: f64,
    /// What.
    #[serde(flatten)]
    pub what: Happened,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum Happened {
    /// Actions were accepted.
    Actions {
        /// The ordinal of the first of them; `None` of those that wait where no history is kept.
        first: Option<u64>,
        /// How many.
        count: u64,
        /// What was done, as notes say it, where the texts were asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        texts: Option<Vec<Text>>,
    },
    /// A summary was accepted.
    Summary {
        /// It covers all actions up to this ordinal.
        covers: u64,
        /// What it says, where the texts were asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<Text>,
    },
    /// The session was linked to the conversation that it goes to now.
    Linked {
        /// The plugin.
        plugin: PluginName,
        /// The conversation.
        conversation: ConversationId,
        /// What the link rests on.
        basis: Basis,
        /// How often the session was moved before.
        moves: u32,
    },
    /// A delivery was made.
    Made {
        /// Its id.
        id: DeliveryId,
        /// As of [`Delivery`].
        kind: String,
        /// As of [`Delivery`].
        plugin: PluginName,
        /// As of [`Delivery`].
        conversation: Option<ConversationId>,
        /// As of [`Delivery`].
        actions: Option<u64>,
        /// The note that it repeats.
        resent_of: Option<DeliveryId>,
    },
    /// An attempt was made.
    Attempt {
        /// The delivery's id.
        id: DeliveryId,
        /// How it went.
        #[serde(flatten)]
        attempt: AttemptEntry,
    },
    /// A note was found to be delivered, of which an earlier version kept no attempts.
    Delivered {
        /// Its id.
        id: DeliveryId,
    },
    /// A delivery became a dead letter.
    Dead {
        /// Its id.
        id: DeliveryId,
        /// Why.
        reason: Option<String>,
    },
    /// A note was to be redacted from then on.
    Redact {
        /// Its id.
        id: DeliveryId,
        /// Why.
        why: Why,
    },
    /// An attempt to redact a note was made.
    RedactAttempt {
        /// Its id.
        id: DeliveryId,
        /// How it went.
        #[serde(flatten)]
        attempt: AttemptEntry,
    },
    /// A delivery ended otherwise: a note was redacted, or a message didn't come to the person.
    Ended {
        /// Its id.
        id: DeliveryId,
        /// How.
        state: DeliveryState,
    },
    /// Something was decided of an offer.
    Offer {
        /// Of which trigger.
        trigger: String,
        /// What: `made`, `delivered` and the like, or why none was made.
        decision: String,
        /// Whether it was made.
        made: bool,
        /// The message's id, where it was made.
        id: Option<DeliveryId>,
        /// Until when none is made for that reason.
        until: Option<f64>,
        /// How many alike there were in a row.
        times: u64,
        /// Why the platform refused it.
        failure: Option<String>,
    },
}

impl Happened {
    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Actions { .. } => "actions",
            Self::Summary { .. } => "summary",
            Self::Linked { .. } => "linked",
            Self::Made { .. } => "made",
            Self::Attempt { .. } => "attempt",
            Self::Delivered { .. } => "delivered",
            Self::Dead { .. } => "dead",
            Self::Redact { .. } => "redact",
            Self::RedactAttempt { .. } => "redact_attempt",
            Self::Ended { .. } => "ended",
            Self::Offer { .. } => "offer",
        }
    }

    /// Of what happened in the same moment, what came first.
    fn rank(&self) -> u8 {
        match self {
            Self::Linked { .. } => 0,
            Self::Actions { .. } => 1,
            Self::Summary { .. } => 2,
            Self::Made { .. } => 3,
            Self::Attempt { .. } => 4,
            Self::Delivered { .. } => 5,
            Self::Dead { .. } => 6,
            Self::Redact { .. } => 7,
            Self::RedactAttempt { .. } => 8,
            Self::Ended { .. } => 9,
            Self::Offer { .. } => 10,
        }
    }
}

/// A place in a timeline: behind so many moments of one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(with = "String")]
#[serde(try_from = "String", into = "String")]
pub struct MomentCursor {
    micros: i64,
    passed: usize,
}

/// Text that is no place in a timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it isn't a place in a timeline; send `next` of the answer before, unchanged")]
pub struct InvalidMoment;

impl From<MomentCursor> for String {
    fn from(MomentCursor { micros, passed }: MomentCursor) -> Self {
        format!("{micros}.{passed}")
    }
}

impl TryFrom<String> for MomentCursor {
    type Error = InvalidMoment;

    fn try_from(text: String) -> Result<Self, InvalidMoment> {
        let (micros, passed) = text.split_once('.').ok_or(InvalidMoment)?;
        let (micros, passed) = (micros.parse(), passed.parse());
        Ok(Self {
            micros: micros.map_err(|_| InvalidMoment)?,
            passed: passed.map_err(|_| InvalidMoment)?,
        })
    }
}

/// Tells what is known of a session. `None`: nothing is.
///
/// # Errors
/// The store can't be read.
pub async fn timeline(
    store: &dyn Store,
    key: &SessionKey,
    want: &TimelineWant,
    now: Timestamp,
) -> Result<Option<Timeline>, StoreError> {
    let mut told = Told {
        rows: SessionRows { store, key },
        now,
        text: want.text,
        moments: Vec::new(),
        known: false,
        waiting_actions: 0,
        cut: false,
    };
    told.session().await?;
    told.history().await?;
    told.lanes::<Note>(NOTE_TABLES).await?;
    told.lanes::<SinkDelivery>(SINK_TABLES).await?;
    told.lanes::<DueTimer>(TIMER_TABLES).await?;
    told.at_platform().await?;
    told.ended().await?;
    told.help().await?;
    let Told { mut moments, known, waiting_actions, cut, .. } = told;
    if !known && moments.is_empty() {
        return Ok(None);
    }
    moments.sort_by(|(one, what), (other, that)| {
        one.cmp(other).then_with(|| what.rank().cmp(&that.rank()))
    });
    let (moments, next) = page(moments, want);
    let (product, session) = (key.product.clone(), key.session.clone());
    Ok(Some(Timeline { product, session, waiting_actions, moments, next, cut }))
}

/// The moments of an answer, and where the next one goes on.
fn page(
    moments: Vec<(Timestamp, Happened)>,
    want: &TimelineWant,
) -> (Vec<Moment>, Option<MomentCursor>) {
    let begin = want.after.map_or(0, |MomentCursor { micros, passed }| {
        let before = moments.partition_point(|(at, _)| at.0 < micros);
        let same = moments.partition_point(|(at, _)| at.0 <= micros) - before;
        before + passed.min(same)
    });
    let end = begin.saturating_add(want.limit).min(moments.len());
    let next = moments[begin..end].last().filter(|_| end < moments.len()).map(|(at, _)| {
        let before = moments.partition_point(|(other, _)| other < at);
        MomentCursor { micros: at.0, passed: end - before }
    });
    let moments = moments.into_iter().skip(begin).take(end - begin);
    let moments = moments.map(|(at, what)| Moment { at: at.as_secs_f64(), what });
    (moments.collect(), next)
}

/// What was found.
struct Told<'a> {
    rows: SessionRows<'a>,
    now: Timestamp,
    text: bool,
    moments: Vec<(Timestamp, Happened)>,
    known: bool,
    waiting_actions: u64,
    cut: bool,
}

impl Told<'_> {
    fn add(&mut self, at: Timestamp, what: Happened) {
        self.moments.push((at, what));
    }

    async fn session(&mut self) -> Result<(), StoreError> {
        let rows = self.rows.all(Table::Session).await?;
        let record = rows.iter().find(|(number, _)| *number == 0);
        let record = record.and_then(|(n, value)| read::<Record>(Table::Session, *n, value));
        let Some(record) = record else { return Ok(()) };
        self.known = true;
        if let Some(link) = record.link {
            let (plugin, conversation) = (link.plugin, link.conversation);
            let (basis, moves) = (link.basis, link.moves);
            self.add(link.since, Happened::Linked { plugin, conversation, basis, moves });
        }
        Ok(())
    }

    /// What was accepted: by the history, and where that has nothing, by what waits.
    async fn history(&mut self) -> Result<(), StoreError> {
        let mut batches = false;
        for (number, value) in self.rows.all(Table::History).await? {
            if number == SUMMARY {
                let kept = read::<KeptSummary>(Table::History, number, &value);
                let Some(KeptSummary { text, covers, at }) = kept else { continue };
                let text = self.text.then_some(Text(text));
                self.add(at, Happened::Summary { covers, text });
            } else if let Some(kept) = read::<KeptBatch>(Table::History, number, &value) {
                batches = true;
                self.actions(kept.at, Some(number), &kept.batch.actions);
            }
        }
        // Its rows are bounded with the batch.
        let open = self.rows.all(Table::Open).await?;
        for (_, entry) in each::<StoredEntry>(Table::Open, open) {
            self.waiting_actions += entry.count() as u64;
            if let Some(actions) = entry.actions.as_ref().filter(|_| !batches) {
                self.actions(entry.arrived, None, &actions.unpack());
            }
        }
        Ok(())
    }

    fn actions(&mut self, at: Timestamp, first: Option<u64>, actions: &[Action]) {
        let texts = self.text.then(|| {
            worded(actions.to_vec()).into_iter().map(|action| Text(action.description)).collect()
        });
        self.add(at, Happened::Actions { first, count: actions.len() as u64, texts });
    }

    /// What waits in the lanes of a kind, and its dead letters.
    async fn lanes<T: Listed + DeserializeOwned>(
        &mut self,
        [queued, attempts, dead]: [Table; 3],
    ) -> Result<(), StoreError> {
        let waits = self.first(queued).await?;
        let mut progress: Vec<_> = match waits.is_empty() {
            true => Vec::new(),
            false => each::<Progress>(attempts, self.rows.all(attempts).await?).collect(),
        };
        let letters = self.first(dead).await?;
        let letters: Vec<_> = each::<DeadLetter<T>>(dead, letters).collect();
        for (seq, item) in each::<T>(queued, waits) {
            // One that holds its lane is met as the dead letter that it is.
            if letters.iter().any(|(number, _)| *number == seq) {
                continue;
            }
            let place = progress.iter().position(|(number, _)| *number == seq);
            let progress = place.map(|place| progress.swap_remove(place).1);
            let delivery = waiting(self.rows.key, &item, progress, false, self.now);
            self.delivery(item.sealed_at(), delivery);
        }
        for (_, letter) in letters {
            let delivery = dead_letter(self.rows.key, &letter, false, self.now);
            let (id, reason) = (delivery.id.clone(), delivery.reason.clone());
            self.delivery(letter.note.sealed_at(), delivery);
            self.add(letter.at, Happened::Dead { id, reason });
        }
        Ok(())
    }

    /// Notes that are at the platform, and those that are to be redacted.
    async fn at_platform(&mut self) -> Result<(), StoreError> {
        let key = self.rows.key;
        for (seq, sent) in each::<SentNote>(Table::Sent, self.rows.all(Table::Sent).await?) {
            self.sent(&sent, delivered(key, seq, &sent));
        }
        let jobs = self.rows.all(Table::Redact).await?;
        for (seq, job) in each::<Job>(Table::Redact, jobs) {
            let mut delivery = redacted(key, seq, &job);
            let redaction = delivery.redaction.take();
            let id = delivery.id.clone();
            if job.why == Why::Replaced {
                self.sent(&job.note, delivery);
            }
            self.redaction(&id, redaction);
        }
        Ok(())
    }

    /// What ended and has no other row.
    async fn ended(&mut self) -> Result<(), StoreError> {
        let rows = self.rows.all(Table::Ended).await?;
        for (_, row) in each::<EndedDelivery>(Table::Ended, rows) {
            let mut delivery = ended(self.rows.key, &row);
            let (id, state) = (delivery.id.clone(), delivery.state);
            match &row.what {
                Ended::Sink(sink) => self.delivery(sink.made, delivery),
                Ended::Timer(timer) => self.delivery(timer.made, delivery),
                Ended::Message(message) => {
                    self.delivery(message.made, delivery);
                    if message.how != MessageEnd::Delivered {
                        self.add(row.at, Happened::Ended { id, state });
                    }
                }
                Ended::Redaction(redaction) => {
                    let told = delivery.redaction.take();
                    // One that stays is met as the note that it is.
                    if !delivery.stays {
                        self.sent(&redaction.job.note, delivery);
                        self.add(row.at, Happened::Ended { id: id.clone(), state });
                    }
                    self.redaction(&id, told);
                }
            }
        }
        Ok(())
    }

    fn redaction(&mut self, id: &DeliveryId, redaction: Option<RedactionEntry>) {
        let Some(RedactionEntry { why, since, attempts, .. }) = redaction else { return };
        self.add(Timestamp::from_secs_f64(since), Happened::Redact { id: id.clone(), why });
        for attempt in attempts {
            let at = Timestamp::from_secs_f64(attempt.began_at);
            self.add(at, Happened::RedactAttempt { id: id.clone(), attempt });
        }
    }

    fn sent(&mut self, sent: &SentNote, delivery: Delivery) {
        if sent.tries.is_empty() {
            self.add(sent.at, Happened::Delivered { id: delivery.id.clone() });
        }
        self.delivery(sent.made.unwrap_or(sent.at), delivery);
    }

    /// The messages on their way, and what was decided of offers.
    async fn help(&mut self) -> Result<(), StoreError> {
        let jobs = self.rows.all(Table::Message).await?;
        for (_, job) in each::<MessageJob>(Table::Message, jobs) {
            self.delivery(job.message.made_at, message(&job, false));
        }
        let rows = self.rows.all(Table::Help).await?;
        let log = rows.iter().find(|(number, _)| *number == LOG);
        let log = log.and_then(|(n, value)| read::<Log>(Table::Help, *n, value));
        for decision in log.iter().flat_map(Log::decisions) {
            let (seq, until, failure) = match &decision.what {
                Decided::Refused(refusal) => (None, refusal.until(), None),
                Decided::Failed { seq, failure } => (Some(*seq), None, Some(failure.clone())),
                Decided::Made { seq }
                | Decided::Delivered { seq }
                | Decided::Late { seq }
                | Decided::Unknown { seq }
                | Decided::TornDown { seq }
                | Decided::TearDownFailed { seq }
                | Decided::Interrupted { seq } => (Some(*seq), None, None),
            };
            let (key, kind) = (self.rows.key, DeliveryKind::Message);
            let what = Happened::Offer {
                trigger: decision.trigger.clone(),
                decision: decision.what.word().to_owned(),
                made: seq.is_some(),
                id: seq.map(|seq| DeliveryId { key: key.clone(), kind, seq }),
                until: until.map(Timestamp::as_secs_f64),
                times: decision.times,
                failure,
            };
            self.add(decision.at, what);
        }
        Ok(())
    }

    /// That a delivery was made, and the attempts at it.
    fn delivery(&mut self, made: Timestamp, delivery: Delivery) {
        let Delivery { id, kind, plugin, conversation, actions, resent_of, attempts, .. } =
            delivery;
        let what =
            Happened::Made { id: id.clone(), kind, plugin, conversation, actions, resent_of };
        self.add(made, what);
        for attempt in attempts {
            let at = Timestamp::from_secs_f64(attempt.began_at);
            self.add(at, Happened::Attempt { id: id.clone(), attempt });
        }
    }

    /// The first rows of a table whose rows hold whole notes or batches.
    async fn first(&mut self, table: Table) -> Result<Rows, StoreError> {
        let rows = self.rows.first(table, 0, MOST_ROWS).await?;
        self.cut |= rows.len() >= MOST_ROWS;
        Ok(rows)
    }
}

/// The rows that can be read.
fn each<T: DeserializeOwned>(table: Table, rows: Rows) -> impl Iterator<Item = (u64, T)> {
    rows.into_iter().filter_map(move |(n, value)| Some((n, read(table, n, &value)?)))
}
