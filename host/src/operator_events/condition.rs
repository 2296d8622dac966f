//! What a person must see to, and when it begins and ends. Pure: looks and `now` in, events out.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::clock::Timestamp;

/// So long it must have stayed away to be over.
const AWAY: Duration = Duration::from_secs(30);

/// What it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Kind {
    /// A plugin isn't called: it can't be loaded, traps again and again, or somebody disabled it.
    #[serde(rename = "plugin.disabled")]
    PluginDisabled,
    /// The platform refuses a plugin's credentials.
    #[serde(rename = "credentials.refused")]
    CredentialsRefused,
    /// A connector refuses a stream or has ended it.
    #[serde(rename = "stream.stopped")]
    StreamStopped,
    /// The store takes nothing: it is full, away, or refuses the host.
    #[serde(rename = "store.unavailable")]
    StoreUnavailable,
    /// There are more dead letters than `dead_letters` in `[operator_events]`.
    #[serde(rename = "dead_letters.above")]
    DeadLetters,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::PluginDisabled,
        Self::CredentialsRefused,
        Self::StreamStopped,
        Self::StoreUnavailable,
        Self::DeadLetters,
    ];

    /// Its name in events.
    pub fn name(self) -> &'static str {
        match self {
            Self::PluginDisabled => "plugin.disabled",
            Self::CredentialsRefused => "credentials.refused",
            Self::StreamStopped => "stream.stopped",
            Self::StoreUnavailable => "store.unavailable",
            Self::DeadLetters => "dead_letters.above",
        }
    }

    /// What to do about it.
    pub fn next(self) -> &'static str {
        match self {
            Self::PluginDisabled => {
                "look at `sidenote plugin list` and put a version that works in its file; what somebody disabled is called again after `sidenote plugin enable`"
            }
            Self::CredentialsRefused => {
                "renew the plugin's secret; the notes wait and go out by themselves"
            }
            Self::StreamStopped => {
                "check the stream's `url` and `token`, then `sidenote stream retry`"
            }
            Self::StoreUnavailable => {
                "free disk space, or bring the server back; the host goes on by itself"
            }
            Self::DeadLetters => {
                "look at `sidenote outbox list --state dead`, then `sidenote outbox retry`"
            }
        }
    }
}

/// Something that a person must see to, as it is at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// What it is about.
    pub kind: Kind,
    /// The plugin or stream; the state of the store; empty where there is one only.
    pub subject: String,
    /// Why, for people. Nothing that people did, and no secret.
    pub reason: String,
}

/// What is told of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) condition: Condition,
    /// When it began.
    pub(super) since: Timestamp,
    /// When it was over; `None`: it has begun.
    pub(super) over: Option<Timestamp>,
}

/// What holds.
#[derive(Debug, Default)]
pub(super) struct Standing(BTreeMap<(Kind, String), Held>);

#[derive(Debug)]
struct Held {
    condition: Condition,
    since: Timestamp,
    seen: Timestamp,
}

impl Standing {
    /// What has begun and what is over, now that these hold.
    pub(super) fn look(&mut self, now: Timestamp, holding: Vec<Condition>) -> Vec<Event> {
        let mut events = Vec::new();
        for condition in holding {
            let key = (condition.kind, condition.subject.clone());
            let held = self.0.entry(key).or_insert_with(|| {
                events.push(Event { condition: condition.clone(), since: now, over: None });
                Held { condition: condition.clone(), since: now, seen: now }
            });
            *held = Held { condition, since: held.since, seen: now };
        }
        self.0.retain(|_, held| {
            let over = now.since(held.seen) >= AWAY;
            if over {
                let condition = held.condition.clone();
                events.push(Event { condition, since: held.since, over: Some(now) });
            }
            !over
        });
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp(secs * 1_000_000)
    }

    fn stopped(stream: &str, reason: &str) -> Condition {
        let (subject, reason) = (stream.to_owned(), reason.to_owned());
        Condition { kind: Kind::StreamStopped, subject, reason }
    }

    #[test]
    fn each_subject_is_told_once_until_it_has_stayed_away() {
        let mut standing = Standing::default();
        let begun = standing.look(at(0), vec![stopped("a", "401"), stopped("b", "401")]);
        let subjects: Vec<_> = begun.iter().map(|it| it.condition.subject.as_str()).collect();
        assert_eq!(subjects, ["a", "b"]);
        assert!(begun.iter().all(|event| event.over.is_none()));
        // Its reason may change, and it may be away for a moment.
        assert_eq!(standing.look(at(10), vec![stopped("a", "403")]), []);
        assert_eq!(standing.look(at(20), vec![stopped("a", "403"), stopped("b", "401")]), []);
        assert_eq!(standing.look(at(45), vec![stopped("b", "401")]), []);
        let over = standing.look(at(50), vec![stopped("b", "401")]);
        let expected = Event { condition: stopped("a", "403"), since: at(0), over: Some(at(50)) };
        assert_eq!(over, [expected]);
        // From then on it is a new one.
        let again = standing.look(at(60), vec![stopped("a", "500"), stopped("b", "401")]);
        assert_eq!((again.len(), again[0].since, again[0].over), (1, at(60), None));
    }

    #[test]
    fn a_clock_that_is_set_back_ends_nothing() {
        let mut standing = Standing::default();
        standing.look(at(1000), vec![stopped("a", "401")]);
        assert_eq!(standing.look(at(10), Vec::new()), []);
        assert_eq!(standing.look(at(20), vec![stopped("a", "401")]), []);
    }

    #[test]
    fn the_name_in_events_is_the_name() {
        for kind in Kind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }
}
