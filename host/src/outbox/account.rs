//! What holds for all that one plugin sends: the breaker, and the platform's limit for the account.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::config::Breaker as Rules;
use crate::ids::PluginName;
use crate::outbox::breaker::{Breaker, Health, State, Turn};
use crate::outbox::note::{FailureKind, LimitScope, Pause, PostError, Posted, Redaction};
use crate::outbox::parcel::Roles;

/// One plugin's standing with its platform. A plugin is one account: two accounts are two names with
/// the same file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Whether calls are made at all; `None` for a plugin without one.
    pub breaker: Option<Breaker>,
    /// The pause that the platform asked for last.
    limit: Option<Limit>,
    /// What the plugin was found to do when it was asked last; kept of sinks, so that one that can't be
    /// loaded misses nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Roles>,
}

/// A pause that a platform asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Limit {
    since: Timestamp,
    until: Timestamp,
}

/// An account's standing, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AccountState {
    /// The plugin.
    pub plugin: PluginName,
    /// `closed`, `open`, `probing`, `disabled`.
    pub breaker: &'static str,
    /// When the next probe may be made, in milliseconds since the Unix epoch.
    pub until: Option<u64>,
    /// Until when the platform takes nothing, in milliseconds since the Unix epoch.
    pub limited_until: Option<u64>,
    /// Failures since the last success.
    pub failures: u32,
}

impl Account {
    /// An account of which nothing is known; with a breaker where there are rules for it.
    pub fn new(rules: Option<&Rules>, now: Timestamp) -> Self {
        Self { breaker: rules.map(|_| Breaker::new(now)), limit: None, roles: None }
    }

    /// The same at a start of the host, whose clock may have been set back since.
    #[must_use]
    pub fn taken_up(self, rules: Option<&Rules>, now: Timestamp) -> Self {
        let breaker = rules.map(|rules| match self.breaker {
            Some(breaker) => breaker.taken_up(now, rules),
            None => Breaker::new(now),
        });
        let limit = self.limit.map(|limit| match limit.since > now {
            true => Limit { since: now, until: now + limit.until.since(limit.since) },
            false => limit,
        });
        Self { breaker, limit, roles: self.roles }
    }

    /// Whether a call may be made at `now`.
    pub fn allows(&self, now: Timestamp) -> bool {
        self.limit.is_none_or(|limit| limit.until <= now)
            && self.breaker.as_ref().is_none_or(|breaker| breaker.allows(now))
    }

    /// When [`Account::allows`] may say something else by itself, if it says no at `now`.
    pub fn next_timer(&self, now: Timestamp) -> Option<Timestamp> {
        if self.allows(now) {
            return None;
        }
        let breaker = match self.breaker.as_ref().map(Breaker::state) {
            Some(State::Probing | State::Disabled) => return None,
            Some(State::Open(until)) => Some(until),
            Some(State::Closed) | None => None,
        };
        breaker.into_iter().chain(self.limit.map(|limit| limit.until)).max()
    }

    /// A call is begun. `true`: it is a probe.
    pub fn begin(&mut self) -> bool {
        self.breaker.as_mut().is_some_and(Breaker::begin)
    }

    /// Takes an outcome: what it says of the platform's health and of its limits. The row must be stored
    /// where it says so; a limit of one conversation is the lane's.
    pub fn end(
        &mut self,
        outcome: &Result<Posted, PostError>,
        probe: bool,
        now: Timestamp,
        rules: Option<&Rules>,
        random: f64,
    ) -> Ended {
        self.hear(Heard::of(outcome), probe, now, rules, random)
    }

    /// As [`Account::end`], for the outcome of any call.
    pub fn hear(
        &mut self,
        heard: Heard,
        probe: bool,
        now: Timestamp,
        rules: Option<&Rules>,
        random: f64,
    ) -> Ended {
        let turn = match (&mut self.breaker, rules) {
            (Some(breaker), Some(rules)) => breaker.end(heard.health, probe, now, rules, random),
            (None, _) | (_, None) => None,
        };
        let mut ended = Ended { turn, changed: probe || turn.is_some() };
        if let Some(Pause { time, scope: LimitScope::Account }) = heard.pause {
            // A tenth on top: not all that wait begin in the same moment.
            let until = now + time + time.mul_f64(random.clamp(0.0, 1.0) / 10.0);
            if self.limit.is_none_or(|limit| limit.until < until) {
                self.limit = Some(Limit { since: now, until });
                ended.changed = true;
            }
        }
        ended
    }

    /// A person lets calls be made again. What the platform asked for is kept.
    pub fn enable(&mut self, now: Timestamp) {
        if let Some(breaker) = &mut self.breaker {
            breaker.enable(now);
        }
    }

    /// Whether a person must enable it.
    pub fn is_disabled(&self) -> bool {
        self.breaker.as_ref().is_some_and(|breaker| breaker.state() == State::Disabled)
    }

    /// The standing, for people.
    pub fn state(&self, plugin: &PluginName, now: Timestamp) -> AccountState {
        let state = self.breaker.as_ref().map_or(State::Closed, Breaker::state);
        let until = self.breaker.as_ref().and_then(Breaker::next_timer);
        let limited = self.limit.map(|limit| limit.until).filter(|at| *at > now);
        AccountState {
            plugin: plugin.clone(),
            breaker: match state {
                State::Closed => "closed",
                State::Open(_) => "open",
                State::Probing => "probing",
                State::Disabled => "disabled",
            },
            until: until.map(Timestamp::as_millis),
            limited_until: limited.map(Timestamp::as_millis),
            failures: self.breaker.as_ref().map_or(0, Breaker::failures),
        }
    }
}

/// What an outcome says of the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// Whether it is well.
    pub health: Health,
    /// The pause that it asks for.
    pub pause: Option<Pause>,
}

impl Heard {
    /// What the outcome of a post says.
    pub fn of(outcome: &Result<Posted, PostError>) -> Self {
        Self { health: Health::of(outcome), pause: pause(outcome) }
    }

    /// What the outcome of a redaction says. A plugin may answer that it can't without asking anybody.
    pub fn of_redaction(outcome: &Result<Redaction, PostError>) -> Self {
        match outcome {
            Ok(Redaction::Removed | Redaction::Overwritten) => {
                Self { health: Health::Up, pause: None }
            }
            Ok(Redaction::Unsupported) => Self { health: Health::Unknown, pause: None },
            Err(error) => Self::of(&Err(error.clone())),
        }
    }
}

/// What an outcome did to an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// What the breaker did.
    pub turn: Option<Turn>,
    /// Whether the row must be stored.
    pub changed: bool,
}

/// The pause that a platform asks for, where it names its length.
pub fn pause(outcome: &Result<Posted, PostError>) -> Option<Pause> {
    match outcome {
        Ok(posted) => posted.pause,
        Err(PostError::Failed(failure)) if failure.kind == FailureKind::RateLimited => {
            failure.retry_after.map(|time| Pause { time, scope: failure.scope })
        }
        Err(PostError::Failed(_) | PostError::Crashed { .. } | PostError::Unavailable { .. }) => {
            None
        }
    }
}
