//! What was decided of offers, kept for a while: made, refused and why, delivered or not.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::refusal::Refusal;
use crate::clock::Timestamp;

/// So many decisions of a session are kept.
const MOST: usize = 32;
/// Longest reason of a failure, in bytes.
const MAX_REASON: usize = 200;

/// The latest decisions of a session, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Log(VecDeque<Decision>);

/// A decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// When it was made; of several alike, the last one.
    pub at: Timestamp,
    /// Of which trigger.
    pub trigger: String,
    /// What was decided.
    #[serde(flatten)]
    pub what: Decided,
    /// How many alike there were in a row.
    pub times: u64,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "decided")]
pub enum Decided {
    /// The offer is on its way.
    Made {
        /// Its number among the messages of its session.
        seq: u64,
    },
    /// The platform took it.
    Delivered {
        /// Its number.
        seq: u64,
    },
    /// It wasn't delivered in time, and isn't any more.
    Late {
        /// Its number.
        seq: u64,
    },
    /// The platform refused it.
    Failed {
        /// Its number.
        seq: u64,
        /// Why, as the plugin says.
        failure: String,
    },
    /// Nobody knows whether the platform has it. It isn't made again.
    Unknown {
        /// Its number.
        seq: u64,
    },
    /// Nobody answered it in its time, and the platform removed it.
    TornDown {
        /// Its number.
        seq: u64,
    },
    /// Nobody answered it in its time, and the platform didn't remove it.
    TearDownFailed {
        /// Its number.
        seq: u64,
    },
    /// The person acted while it was to be removed: the session is as they left it.
    Interrupted {
        /// Its number.
        seq: u64,
    },
    /// No offer is made.
    Refused(Refusal),
}

impl Decided {
    /// A failure, its reason cut.
    pub fn failed(seq: u64, mut failure: String) -> Self {
        failure.truncate(failure.floor_char_boundary(MAX_REASON));
        Self::Failed { seq, failure }
    }

    /// A short word for lists: `made`, `delivered`, `late`, `failed`, `unknown`, `torn_down`, `tear_down_failed`,
    /// `interrupted`, or the reason of a refusal.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Made { .. } => "made",
            Self::Delivered { .. } => "delivered",
            Self::Late { .. } => "late",
            Self::Failed { .. } => "failed",
            Self::Unknown { .. } => "unknown",
            Self::TornDown { .. } => "torn_down",
            Self::TearDownFailed { .. } => "tear_down_failed",
            Self::Interrupted { .. } => "interrupted",
            Self::Refused(refusal) => refusal.code(),
        }
    }
}

impl Log {
    /// Puts a decision down. One like the last only counts. What is older than `keep` goes.
    pub fn push(
        &mut self,
        trigger: &str,
        what: Decided,
        keep: Duration,
        now: Timestamp,
    ) -> &Decision {
        let oldest = now - keep;
        self.0.retain(|decision| decision.at >= oldest);
        let alike =
            self.0.back().is_some_and(|last| last.trigger == trigger && same(&last.what, &what));
        match self.0.back_mut().filter(|_| alike) {
            Some(last) => {
                *last = Decision {
                    at: now,
                    what,
                    times: last.times + 1,
                    trigger: last.trigger.clone(),
                };
            }
            None => {
                if self.0.len() >= MOST {
                    self.0.pop_front();
                }
                self.0.push_back(Decision { at: now, trigger: trigger.to_owned(), what, times: 1 });
            }
        }
        self.0.back().expect("it was put there")
    }

    /// The decisions, the oldest first.
    pub fn decisions(&self) -> impl Iterator<Item = &Decision> {
        self.0.iter()
    }
}

/// Whether two are refusals for the same reason.
fn same(a: &Decided, b: &Decided) -> bool {
    matches!((a, b), (Decided::Refused(a), Decided::Refused(b)) if a.code() == b.code())
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Timestamp = Timestamp(1_700_000_000_000_000);
    const S: Duration = Duration::from_secs(1);

    #[test]
    fn decisions_are_kept_for_a_while_and_those_alike_are_one() {
        let mut log = Log::default();
        let soon = |n| Decided::Refused(Refusal::TooSoon { until: T + S * n });
        log.push("a", soon(1), S * 60, T);
        log.push("a", soon(2), S * 60, T + S);
        log.push("b", soon(2), S * 60, T + S * 2);
        log.push("b", Decided::Made { seq: 1 }, S * 60, T + S * 3);
        let kept: Vec<_> =
            log.decisions().map(|it| (&*it.trigger, it.what.word(), it.times)).collect();
        assert_eq!(kept, [("a", "min_interval", 2), ("b", "min_interval", 1), ("b", "made", 1)]);
        log.push("c", Decided::Late { seq: 1 }, S * 60, T + S * 90);
        assert_eq!(log.decisions().count(), 1);
        (0..100).for_each(|n| {
            log.push(&n.to_string(), soon(1), S * 600, T + S * 90);
        });
        assert_eq!(log.decisions().count(), MOST);
    }

    #[test]
    fn a_decision_is_stored_and_read_as_it_was() {
        let mut log = Log::default();
        log.push(
            "a",
            Decided::Refused(Refusal::State { state: crate::session::fsm::State::Reactive }),
            S,
            T,
        );
        log.push("a", Decided::failed(3, "é".repeat(500)), S, T);
        let stored = serde_json::to_string(&log).unwrap();
        assert_eq!(serde_json::from_str::<Log>(&stored).unwrap(), log);
    }
}
