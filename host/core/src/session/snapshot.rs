//! The stored form of a session: reads autoplay-sdk's `_v: 1` and writes `_v: 2`.
//!
//! Version 1 has monotonic times of the host that wrote it; version 2 has wall-clock times, so that a
//! restart leaves every timer with the time that truly remains. Both are validated when read: a record
//! that can't be trusted gives a typed error, and whoever read it keeps the record.

mod fields;

use std::fmt;

use serde_json::{Map, Value, json};

use self::fields::Fields;
use super::fsm::{Assistance, Cooldown, Fsm, Guidance, Limits, State};
use crate::clock::Timestamp;
use crate::ids::{ConversationId, InvalidId, SessionId};

/// The version that is written.
pub const VERSION: u64 = 2;

/// Everything of a session that autoplay-sdk stores.
#[derive(Clone, PartialEq)]
pub struct Snapshot {
    /// The session.
    pub session_id: SessionId,
    /// What the application keeps with the session; `None` where it was stored as null.
    pub metadata: Option<Map<String, Value>>,
    /// Whether the session is linked.
    pub conversation_linked: bool,
    /// The conversation; it only counts while linked.
    pub conversation_id: Option<ConversationId>,
    /// The state machine.
    pub fsm: Fsm,
}

impl Snapshot {
    /// A session of which nothing is known yet.
    pub fn new(session_id: SessionId, fsm: Fsm) -> Self {
        let metadata = Some(Map::new());
        Self { session_id, metadata, conversation_linked: false, conversation_id: None, fsm }
    }

    /// The conversation that the session is linked to.
    pub fn link(&self) -> Option<&ConversationId> {
        self.conversation_id.as_ref().filter(|_| self.conversation_linked)
    }

    /// Reads a stored session.
    ///
    /// `mono_secs` is this host's monotonic clock at `now`, for version 1; without it, and where a time
    /// of version 1 can't be of this host's clock (it lies ahead, or further back than
    /// [`MAX_V1_AGE_SECS`]), the time counts as `now`: nothing expires by a time that means nothing.
    ///
    /// No time of version 2 is later than `now`. If the record was saved later than `now`, the clock was
    /// set back: every time moves along, so that as much remains as did when it was saved.
    ///
    /// # Errors
    /// The record is not to be used, and not to be overwritten either.
    pub fn read(
        stored: &Value,
        now: Timestamp,
        mono_secs: Option<f64>,
    ) -> Result<Self, SnapshotError> {
        let record = Fields::of(stored)?;
        match version(record.get("_v"))? {
            1 => read(&record, &V1 { now, mono_secs }),
            _ => {
                let saved_at = record.required_seconds("saved_at")?;
                read(&record, &V2 { now, saved_at: wall(saved_at) })
            }
        }
    }

    /// The stored form, version 2. All times are seconds since the epoch.
    pub fn write(&self, now: Timestamp) -> Value {
        let fsm = &self.fsm;
        let secs = |at: Timestamp| at.as_secs_f64();
        json!({
            "_v": VERSION,
            "saved_at": secs(now),
            "session_id": self.session_id,
            "metadata": self.metadata,
            "current_state": fsm.state.as_str(),
            "last_interaction_at": secs(fsm.idle_since),
            "acted_at": secs(fsm.acted_at),
            "interaction_timeout_s": fsm.limits.interaction_timeout_s,
            "cooldown_period_s": fsm.limits.cooldown_period_s,
            "visual_guidance_active": fsm.guidance.is_some(),
            "active_tour_id": fsm.guidance.as_ref().and_then(|guidance| guidance.tour_id.as_deref()),
            "conversation_linked": self.conversation_linked,
            "conversation_id": self.conversation_id,
            "thinking": {
                "cooldown_active": fsm.cooldown.is_some(),
                "cooldown_started_at": fsm.cooldown.map_or(0.0, |cooldown| secs(cooldown.started_at)),
                "active_cooldown_period_s": fsm.cooldown.and_then(|cooldown| cooldown.period_s),
            },
            "proactive": {
                "user_clicked_option": fsm.option_clicked,
                "time_since_last_interaction_s": fsm.proactive.idle_s,
                "last_message_at": secs(fsm.proactive.last_message_at),
            },
            "reactive": {
                "time_since_last_interaction_s": fsm.reactive.idle_s,
                "last_message_at": secs(fsm.reactive.last_message_at),
            },
        })
    }
}

impl fmt::Debug for Snapshot {
    /// The metadata is left out: it is customers' data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("session_id", &self.session_id)
            .field("conversation_linked", &self.conversation_linked)
            .field("conversation_id", &self.conversation_id)
            .field("fsm", &self.fsm)
            .finish_non_exhaustive()
    }
}

/// Older than this a time of version 1 can't be: autoplay-sdk keeps a record for a day at most.
pub const MAX_V1_AGE_SECS: f64 = 86_400.0;

/// Why a stored session can't be used. It is to be kept as it is and reported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// It is no JSON object.
    #[error("reading a stored session: it is no object; the record is kept, not used")]
    NotAnObject,
    /// Its version is missing or not one of 1 and 2, perhaps written by a later release.
    #[error(
        "reading a stored session: its version is neither 1 nor 2; the record is kept, not used"
    )]
    UnknownVersion,
    /// A field is missing or of the wrong type.
    #[error("reading a stored session: `{field}` must be {expected}; the record is kept, not used")]
    Field {
        /// The field, with the object that it is in.
        field: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// An id can't be used.
    #[error("reading a stored session: {0}; the record is kept, not used")]
    Id(#[from] InvalidId),
}

/// `1.0` and `true` are autoplay-sdk's 1: they are equal to it in Python.
fn version(stored: Option<&Value>) -> Result<u64, SnapshotError> {
    match stored {
        Some(Value::Bool(true)) => Ok(1),
        Some(Value::Number(number)) if number.as_f64() == Some(1.0) => Ok(1),
        Some(Value::Number(number)) if number.as_u64() == Some(VERSION) => Ok(VERSION),
        _ => Err(SnapshotError::UnknownVersion),
    }
}

/// How the times of a version become ours.
trait Times {
    /// The time stored as `secs`.
    fn at(&self, secs: f64) -> Timestamp;
    /// What a missing time counts as.
    fn missing(&self) -> Option<Timestamp>;
}

struct V1 {
    now: Timestamp,
    mono_secs: Option<f64>,
}

impl Times for V1 {
    fn at(&self, secs: f64) -> Timestamp {
        let age = self
            .mono_secs
            .map(|mono| mono - secs)
            .filter(|age| (0.0..=MAX_V1_AGE_SECS).contains(age));
        Timestamp(self.now.0.saturating_sub((age.unwrap_or(0.0) * 1e6).round() as i64))
    }

    fn missing(&self) -> Option<Timestamp> {
        Some(self.now)
    }
}

struct V2 {
    now: Timestamp,
    saved_at: Timestamp,
}

impl Times for V2 {
    fn at(&self, secs: f64) -> Timestamp {
        let set_back = self.saved_at.0.saturating_sub(self.now.0).max(0);
        Timestamp(wall(secs).0.saturating_sub(set_back)).min(self.now)
    }

    fn missing(&self) -> Option<Timestamp> {
        None
    }
}

fn wall(secs: f64) -> Timestamp {
    Timestamp::from_secs_f64(secs)
}

fn read(record: &Fields<'_>, times: &impl Times) -> Result<Snapshot, SnapshotError> {
    let session_id = SessionId::new(record.required_text("session_id")?)?;
    let conversation_id = record.id("conversation_id")?.map(ConversationId::new).transpose()?;
    let thinking = record.object("thinking")?;
    let proactive = record.object("proactive")?;
    let reactive = record.object("reactive")?;

    let time = |fields: &Fields<'_>, field: &'static str| match fields.seconds(field)? {
        Some(secs) => Ok(times.at(secs)),
        None => {
            times.missing().ok_or(SnapshotError::Field { field, expected: "a time in seconds" })
        }
    };
    let idle_since = time(record, "last_interaction_at")?;
    let default = Limits::default();
    let period_s = thinking.optional_seconds("active_cooldown_period_s")?;
    let cooldown = match thinking.seconds("cooldown_started_at")? {
        _ if !thinking.flag("cooldown_active")? => None,
        // A cooldown that never started is over.
        None | Some(0.0) => Some(Cooldown { started_at: Timestamp(0), period_s }),
        Some(secs) => Some(Cooldown { started_at: times.at(secs), period_s }),
    };
    let tour_id = record.optional_text("active_tour_id")?;
    let assistance = |fields: &Fields<'_>| {
        Ok::<_, SnapshotError>(Assistance {
            last_message_at: time(fields, "last_message_at")?,
            idle_s: fields.seconds("time_since_last_interaction_s")?.unwrap_or(0.0),
        })
    };
    Ok(Snapshot {
        session_id,
        metadata: record.metadata()?,
        conversation_linked: record.flag("conversation_linked")?,
        conversation_id,
        fsm: Fsm {
            state: state(record.get("current_state")),
            limits: Limits {
                interaction_timeout_s: record
                    .seconds("interaction_timeout_s")?
                    .unwrap_or(default.interaction_timeout_s),
                cooldown_period_s: record
                    .seconds("cooldown_period_s")?
                    .unwrap_or(default.cooldown_period_s),
            },
            idle_since,
            acted_at: record.seconds("acted_at")?.map_or(idle_since, |secs| times.at(secs)),
            guidance: record
                .flag("visual_guidance_active")?
                .then(|| Guidance { tour_id: tour_id.map(str::to_owned) }),
            cooldown,
            option_clicked: proactive.flag("user_clicked_option")?,
            proactive: assistance(&proactive)?,
            reactive: assistance(&reactive)?,
        },
    })
}

/// What isn't a known state is thinking: nobody is kept in help that can't be named.
fn state(stored: Option<&Value>) -> State {
    match stored.and_then(Value::as_str) {
        Some("proactive_assistance") => State::Proactive,
        Some("reactive_assistance") => State::Reactive,
        _ => State::Thinking,
    }
}

#[cfg(test)]
mod tests;
