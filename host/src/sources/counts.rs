//! What is counted of sources.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use sidenote_sources::Reason;

/// The outcomes of a request, in the order of their counters.
pub(crate) const REQUESTS: [&str; 5] =
    ["accepted", "keyless", "refused", "unusable", "unavailable"];

/// Why an event has no line, in the order of its counters: by the plugin, by the host, by the words.
pub(crate) const REASONS: [&str; 10] = [
    "plugin",
    "repeated",
    "product",
    "identity",
    "folded",
    "rule",
    "sensitive",
    "nameless",
    "old",
    "nobody",
];

/// The outcome of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Accepted,
    Keyless,
    Refused,
    Unusable,
    Unavailable,
}

/// Why an event was left out before it came to its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// The plugin left it out.
    Plugin,
    /// It was accepted before.
    Repeated,
    /// It is another product's than the key's.
    Product,
}

/// Running totals since the start.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    requests: [AtomicU64; REQUESTS.len()],
    accepted: AtomicU64,
    left_out: [AtomicU64; REASONS.len()],
    /// Questions to sources, those that failed too.
    polls: AtomicU64,
    polls_failed: AtomicU64,
}

impl Counts {
    pub(super) fn request(&self, outcome: Outcome) {
        self.requests[outcome as usize].fetch_add(1, Relaxed);
    }

    /// Events that have a line.
    pub(super) fn accept(&self, events: u64) {
        self.accepted.fetch_add(events, Relaxed);
    }

    pub(super) fn leave_out(&self, why: Left, events: u64) {
        self.left_out[why as usize].fetch_add(events, Relaxed);
    }

    pub(super) fn unsaid(&self, reason: Reason, events: u64) {
        let at = REASONS.iter().position(|word| *word == reason.word());
        self.left_out[at.expect("each reason has its word")].fetch_add(events, Relaxed);
    }

    pub(super) fn polled(&self, failed: bool) {
        self.polls.fetch_add(1, Relaxed);
        self.polls_failed.fetch_add(u64::from(failed), Relaxed);
    }

    /// The totals: requests, events with a line, events without one, questions, those that failed.
    pub(crate) fn totals(&self) -> Totals {
        Totals {
            requests: std::array::from_fn(|n| self.requests[n].load(Relaxed)),
            accepted: self.accepted.load(Relaxed),
            left_out: std::array::from_fn(|n| self.left_out[n].load(Relaxed)),
            polls: self.polls.load(Relaxed),
            polls_failed: self.polls_failed.load(Relaxed),
        }
    }
}

/// The totals at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Totals {
    /// By [`REQUESTS`].
    pub(crate) requests: [u64; REQUESTS.len()],
    /// Events that have a line.
    pub(crate) accepted: u64,
    /// By [`REASONS`].
    pub(crate) left_out: [u64; REASONS.len()],
    /// Questions to sources.
    pub(crate) polls: u64,
    /// Those of them that failed.
    pub(crate) polls_failed: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_counted_under_its_word() {
        let counts = Counts::default();
        let all = [
            Reason::Identity,
            Reason::Folded,
            Reason::Rule,
            Reason::Sensitive,
            Reason::Nameless,
            Reason::Old,
            Reason::Nobody,
        ];
        all.iter().for_each(|reason| counts.unsaid(*reason, 1));
        for left in [Left::Plugin, Left::Repeated, Left::Product] {
            counts.leave_out(left, 1);
        }
        assert_eq!(counts.totals().left_out, [1; REASONS.len()]);
        counts.request(Outcome::Unavailable);
        assert_eq!(counts.totals().requests, [0, 0, 0, 0, 1]);
    }
}
