//! What is counted of one plugin since the start, whatever its version. Nothing is decided by it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::bindings::v0_1::sidenote::plugin::types as wit;
use super::interface::Interface;
use super::state::LastTrap;
use super::stopped::Stopped;
use crate::egress::{Incoming, SendError};
use crate::histogram::{Distribution, Histogram};
use crate::outbox::note::Crash;

/// The counters of one plugin.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) calls: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) traps: AtomicU64,
    pub(super) repeats: AtomicU64,
    /// Instances that were started beside the one that is tried out when a version is admitted.
    pub(super) starts: AtomicU64,
    last_trap: Mutex<Option<Trapped>>,
    ended: [Ended; Interface::ALL.len()],
    requests: [AtomicU64; REQUEST_OUTCOMES.len()],
}

/// A call that was stopped or ended in a trap.
struct Trapped {
    at: Instant,
    crash: Crash,
    version: String,
    functions: Vec<String>,
}

/// The calls of one export that have ended.
#[derive(Default)]
struct Ended {
    outcomes: [AtomicU64; CALL_OUTCOMES.len()],
    times: Histogram,
}

/// How a call of an export can end, in a word: `answered` and `rejected` (a webhook that the plugin refuses) are answers, as
/// are the kinds of failure; `busy` and `not_started` never reached the guest; the others stopped it.
pub const CALL_OUTCOMES: [&str; 14] = [
    "answered",
    "transient",
    "rate_limited",
    "auth",
    "not_found",
    "invalid",
    "permanent",
    "rejected",
    "busy",
    "not_started",
    "trap",
    "timeout",
    "cpu",
    "memory",
];

/// How a request of a plugin can end, in a word: the class of its status; `unanswered` where the platform took too long or
/// broke it off, `unreachable` where there was no connection, `refused` where the host didn't send it.
pub const REQUEST_OUTCOMES: [&str; 8] =
    ["2xx", "3xx", "4xx", "5xx", "other", "unanswered", "unreachable", "refused"];

/// The exports of plugins that the host calls, by their short names.
pub const CALLED: [&str; Interface::ALL.len()] = {
    let mut names = [""; Interface::ALL.len()];
    let mut n = 0;
    while n < names.len() {
        names[n] = Interface::ALL[n].short();
        n += 1;
    }
    names
};

/// What was counted of a plugin at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginTotals {
    /// What came of the calls of each export that was called.
    pub calls: Vec<CallTotals>,
    /// What came of its requests: one of [`REQUEST_OUTCOMES`], and how many.
    pub requests: Vec<(&'static str, u64)>,
    /// Calls that may be under way at the same time, and that are: the host's own, then webhooks.
    pub slots: [Slots; 2],
    /// Instances that were started anew.
    pub starts: u64,
}

/// What came of the calls of one export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallTotals {
    /// One of [`CALLED`].
    pub interface: &'static str,
    /// One of [`CALL_OUTCOMES`], and how many; those that there were.
    pub outcomes: Vec<(&'static str, u64)>,
    /// How long they took, waiting for an instance included.
    pub times: Distribution,
}

/// How many calls may be under way at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slots {
    /// So many at most.
    pub all: usize,
    /// So many are.
    pub busy: usize,
}

impl Counters {
    /// A call of an export has ended.
    pub(super) fn ended(&self, interface: Interface, outcome: &str, took: Duration) {
        let ended = &self.ended[interface as usize];
        add(&CALL_OUTCOMES, &ended.outcomes, outcome);
        ended.times.observe(took);
    }

    /// A call of this version was stopped or ended in a trap, in these functions.
    pub(super) fn trapped(&self, crash: Crash, version: &str, functions: Vec<String>) {
        let trapped = Trapped { at: Instant::now(), crash, version: version.to_owned(), functions };
        *self.last_trap.lock().unwrap_or_else(PoisonError::into_inner) = Some(trapped);
    }

    /// The last call that was stopped or ended in a trap; `when` tells the time of a moment.
    pub(super) fn last_trap(&self, when: impl FnOnce(Instant) -> f64) -> Option<LastTrap> {
        let last = self.last_trap.lock().unwrap_or_else(PoisonError::into_inner);
        let Trapped { at, crash, version, functions } = last.as_ref()?;
        Some(LastTrap {
            at: when(*at),
            code: crash.code().into(),
            version: version.clone(),
            backtrace: functions.clone(),
        })
    }

    /// How long a call took in the mean.
    pub(super) fn mean_call(&self) -> Option<Duration> {
        let all = self.ended.iter().map(|ended| ended.times.distribution());
        let (sum, count) =
            all.fold((0.0, 0), |(sum, count), of| (sum + of.seconds(), count + of.count()));
        (count > 0).then(|| Duration::from_secs_f64(sum / count as f64))
    }

    /// A request has ended. Returns how, in a word.
    pub(super) fn requested(&self, outcome: &Result<Incoming, SendError>) -> &'static str {
        let word = request_outcome(outcome);
        add(&REQUEST_OUTCOMES, &self.requests, word);
        word
    }

    /// What was counted so far.
    pub(super) fn totals(&self, slots: [Slots; 2]) -> PluginTotals {
        let of = |interface: &Interface| {
            let ended = &self.ended[*interface as usize];
            let outcomes = counted(&CALL_OUTCOMES, &ended.outcomes);
            let outcomes: Vec<_> = outcomes.filter(|(_, count)| *count > 0).collect();
            let times = ended.times.distribution();
            let interface = interface.short();
            (!outcomes.is_empty()).then_some(CallTotals { interface, outcomes, times })
        };
        PluginTotals {
            calls: Interface::ALL.iter().filter_map(of).collect(),
            requests: counted(&REQUEST_OUTCOMES, &self.requests).collect(),
            slots,
            starts: self.starts.load(Relaxed),
        }
    }
}

/// The word for what an export answered.
pub(super) fn answer_outcome<R>(answer: &Result<R, wit::Failure>) -> &'static str {
    match answer.as_ref().map_err(|failure| failure.kind) {
        Ok(_) => "answered",
        Err(wit::FailureKind::Transient) => "transient",
        Err(wit::FailureKind::RateLimited) => "rate_limited",
        Err(wit::FailureKind::Auth) => "auth",
        Err(wit::FailureKind::NotFound) => "not_found",
        Err(wit::FailureKind::Invalid) => "invalid",
        Err(wit::FailureKind::Permanent) => "permanent",
    }
}

/// The word for why there is no answer.
pub(super) fn stopped_outcome(stopped: &Stopped) -> &'static str {
    match stopped {
        Stopped::Busy { .. } => "busy",
        Stopped::Start { .. } => "not_started",
        Stopped::Crashed { crash: Crash::Trap, .. } => "trap",
        Stopped::Crashed { crash: Crash::Timeout, .. } => "timeout",
        Stopped::Crashed { crash: Crash::Cpu, .. } => "cpu",
        Stopped::Crashed { crash: Crash::Memory, .. } => "memory",
    }
}

fn request_outcome(outcome: &Result<Incoming, SendError>) -> &'static str {
    match outcome {
        Ok(response) => match response.status {
            200..300 => "2xx",
            300..400 => "3xx",
            400..500 => "4xx",
            500..600 => "5xx",
            _ => "other",
        },
        Err(SendError::Timeout { .. } | SendError::Broken { .. }) => "unanswered",
        Err(SendError::Connect { .. }) => "unreachable",
        Err(
            SendError::Denied(_)
            | SendError::Secret(_)
            | SendError::Invalid(_)
            | SendError::TooLarge { .. },
        ) => "refused",
    }
}

fn add(words: &[&str], counts: &[AtomicU64], word: &str) {
    let place = words.iter().position(|it| *it == word);
    debug_assert!(place.is_some(), "{word} isn't counted");
    if let Some(place) = place {
        counts[place].fetch_add(1, Relaxed);
    }
}

fn counted<'a>(
    words: &'a [&'static str],
    counts: &'a [AtomicU64],
) -> impl Iterator<Item = (&'static str, u64)> {
    words.iter().copied().zip(counts.iter().map(|count| count.load(Relaxed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_is_counted_under_its_word() {
        let counters = Counters::default();
        for (n, outcome) in CALL_OUTCOMES.into_iter().enumerate() {
            (0..=n).for_each(|_| counters.ended(Interface::Writer, outcome, Duration::ZERO));
        }
        let status =
            |status| Ok(Incoming { status, headers: Default::default(), body: Default::default() });
        let words = [200, 204, 302, 404, 503, 600].map(|it| counters.requested(&status(it)));
        assert_eq!(words, ["2xx", "2xx", "3xx", "4xx", "5xx", "other"]);
        counters.requested(&Err(SendError::Invalid(String::new())));
        let slots = [Slots { all: 8, busy: 1 }, Slots { all: 2, busy: 0 }];
        let PluginTotals { calls, requests, .. } = counters.totals(slots);
        let [CallTotals { interface: "writer", outcomes, times }] = &calls[..] else {
            panic!("what wasn't called isn't told: {calls:?}")
        };
        assert_eq!(*outcomes, CALL_OUTCOMES.into_iter().zip(1..).collect::<Vec<_>>());
        assert_eq!(times.count(), (1..=14).sum::<u64>());
        let told: Vec<_> = requests.into_iter().map(|(_, count)| count).collect();
        assert_eq!(told, [2, 1, 1, 1, 1, 0, 0, 1]);
    }
}
