//! An attempt as it is shown. Nothing that a note says is in it: the platform's code, and its words under the rule of
//! the reasons of dead letters.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::outbox::attempt::{Asked, Attempt, Attempts, Because, FIRST, Status, Then};
use crate::outbox::note::Sent;

/// One attempt at a delivery. Times are seconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AttemptEntry {
    /// 1 for the first. Those between the first and the latest ones may be left out.
    pub attempt: u32,
    /// When it went on record, before anything was sent.
    pub began_at: f64,
    /// How long its call took; `None` while it is under way, and where it was cut off.
    pub duration_ms: Option<u64>,
    /// The version of the plugin, where it is known.
    pub version: Option<String>,
    /// How it ended.
    pub status: Status,
    /// What the platform said of an earlier attempt without an outcome, where it was asked first.
    pub asked_first: Option<Asked>,
    /// The platform's own code, or the plugin's, of a failure.
    pub code: Option<String>,
    /// Why it failed, as `code: message`.
    pub reason: Option<String>,
    /// Whether bytes of the request left the host.
    pub bytes_left: BytesLeft,
    /// What was decided.
    pub decision: Decision,
    /// When it is tried again at the earliest, where that was decided.
    pub again_at: Option<f64>,
    /// Why it isn't tried any more, where that was decided.
    pub because: Option<Because>,
}

/// Whether bytes of a request left the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BytesLeft {
    /// Certainly not.
    NotSent,
    /// Perhaps.
    Unknown,
    /// Yes, and the platform answered.
    Sent,
}

/// What was decided after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Nothing yet: it is under way.
    Waits,
    /// It is delivered.
    Delivered,
    /// It is tried again; where nobody knows whether it arrived, the platform is asked first.
    Again,
    /// It isn't tried any more.
    Dead,
}

impl Decision {
    /// A word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Waits => "waits",
            Self::Delivered => "delivered",
            Self::Again => "again",
            Self::Dead => "dead",
        }
    }
}

/// The attempts of a log that are kept.
pub(super) fn entries(attempts: &Attempts) -> Vec<AttemptEntry> {
    let number = |place: usize| {
        let left_out = if place < FIRST { 0 } else { attempts.left_out() };
        u32::try_from(place + 1).unwrap_or(u32::MAX).saturating_add(left_out)
    };
    let entry = |(place, attempt): (usize, &Attempt)| {
        let fault = attempt.fault.as_ref();
        let (decision, again_at, because) = match (attempt.status, fault.map(|fault| fault.then)) {
            (_, Some(Then::Again(at))) => (Decision::Again, Some(at), None),
            (_, Some(Then::End(because))) => (Decision::Dead, None, Some(because)),
            (Status::UnderWay, None) => (Decision::Waits, None, None),
            (Status::CutOff, None) => (Decision::Again, None, None),
            (Status::Sent, None) => (Decision::Delivered, None, None),
            (_, None) => (Decision::Dead, None, None),
        };
        let bytes_left = match (fault.map(|fault| fault.sent), decision) {
            (Some(Sent::NotSent), _) => BytesLeft::NotSent,
            (Some(Sent::Sent), _) | (None, Decision::Delivered) => BytesLeft::Sent,
            (Some(Sent::Unknown), _) | (None, _) => BytesLeft::Unknown,
        };
        AttemptEntry {
            attempt: number(place),
            began_at: attempt.began.as_secs_f64(),
            duration_ms: attempt
                .took
                .map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
            version: Some(&attempt.version)
                .filter(|version| !version.is_empty())
                .map(ToString::to_string),
            status: attempt.status,
            asked_first: attempt.asked,
            code: fault.map(|fault| fault.code.clone()),
            reason: fault.map(|fault| fault.reason()),
            bytes_left,
            decision,
            again_at: again_at.map(Timestamp::as_secs_f64),
            because,
        }
    };
    attempts.kept().iter().enumerate().map(entry).collect()
}
