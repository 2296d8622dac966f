//! When a platform says no: limits, and trouble of its own.

use std::collections::VecDeque;

use sidenote::clock::Timestamp;

/// What a limit is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All calls.
    Account,
    /// The calls about one conversation.
    Conversation(String),
}

impl Scope {
    fn covers(&self, conversation: Option<&str>) -> bool {
        match self {
            Self::Account => true,
            Self::Conversation(id) => conversation == Some(id),
        }
    }
}

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// What the caller sees.
    pub trouble: Trouble,
    /// Whether the platform does what it was asked for all the same.
    pub taken: bool,
}

/// What the caller sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// This status, in the platform's words.
    Status(u16),
    /// No answer, ever.
    Hang,
}

/// The limits and faults that are set.
#[derive(Debug, Default)]
pub(super) struct Limits {
    limits: Vec<Limit>,
    faults: VecDeque<Fault>,
}

#[derive(Debug)]
struct Limit {
    scope: Scope,
    /// So many calls pass before it holds.
    left: u64,
    until: Timestamp,
    /// The latest moment that a caller was told to wait until.
    told: Option<Timestamp>,
}

/// What the limits say of a call.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It passes.
    Passes,
    /// It passes, and there is a limit that it counts for: calls left, and until when.
    Counted { left: u64, until: Timestamp },
    /// It doesn't: until when, what the limit is for, and whether the caller had been told to wait.
    Limited { until: Timestamp, scope: Scope, early: bool },
}

impl Limits {
    pub(super) fn set(&mut self, scope: Scope, left: u64, until: Timestamp) {
        self.limits.push(Limit { scope, left, until, told: None });
    }

    pub(super) fn break_next(&mut self, calls: usize, fault: Fault) {
        self.faults.extend(std::iter::repeat_n(fault, calls));
    }

    pub(super) fn fault(&mut self) -> Option<Fault> {
        self.faults.pop_front()
    }

    pub(super) fn judge(&mut self, conversation: Option<&str>, now: Timestamp) -> Verdict {
        self.limits.retain(|limit| now < limit.told.unwrap_or(limit.until).max(limit.until));
        let Some(limit) = self.limits.iter_mut().find(|limit| limit.scope.covers(conversation))
        else {
            return Verdict::Passes;
        };
        if limit.left > 0 {
            limit.left -= 1;
            return Verdict::Counted { left: limit.left, until: limit.until };
        }
        let early = limit.told.is_some_and(|told| now < told);
        let until = limit.told.unwrap_or(limit.until).max(limit.until);
        Verdict::Limited { until, scope: limit.scope.clone(), early }
    }

    /// A caller was told to wait until then.
    pub(super) fn told(&mut self, conversation: Option<&str>, until: Timestamp) {
        for limit in self.limits.iter_mut().filter(|limit| limit.scope.covers(conversation)) {
            limit.told = Some(limit.told.map_or(until, |told| told.max(until)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp(second * 1_000_000)
    }

    #[test]
    fn a_call_is_early_only_after_somebody_was_told() {
        let mut limits = Limits::default();
        limits.set(Scope::Conversation("c".to_owned()), 1, at(10));
        assert_eq!(limits.judge(Some("other"), at(1)), Verdict::Passes);
        assert_eq!(limits.judge(Some("c"), at(1)), Verdict::Counted { left: 0, until: at(10) });
        let scope = Scope::Conversation("c".to_owned());
        let limited =
            |until, early| Verdict::Limited { until: at(until), scope: scope.clone(), early };
        assert_eq!(limits.judge(Some("c"), at(2)), limited(10, false));
        limits.told(Some("c"), at(12));
        assert_eq!(limits.judge(Some("c"), at(11)), limited(12, true));
        assert_eq!(limits.judge(Some("c"), at(12)), Verdict::Passes);
    }
}
