//! What holds for all that one plugin sends: the breaker, and the platform's limit for the account.

use serde::{Deserialize, Serialize};

use crate::backoff::Backoff;
use crate::clock::Timestamp;
use crate::ids::PluginName;
use crate::outbox::breaker::{Breaker, Health, State, Turn};
use crate::outbox::note::{FailureKind, LimitScope, Pause, PostError, Posted, Redaction};
use crate::outbox::sink_delivery::Roles;
use crate::outbox::trouble::{Fault, LastError, Told};
use crate::rules::Breaker as Rules;

/// One plugin's standing with its platform. A plugin is one account: two accounts are two names with
/// the same file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Whether calls are made at all; `None` for a plugin without one.
    pub breaker: Option<Breaker>,
    /// The pause that the platform asked for last.
    limit: Option<Limit>,
    /// How often the platform refused on account of its limit since it took something last: the pauses
    /// grow with it, whatever the platform says of their length.
    #[serde(default)]
    refusals: u32,
    /// What the plugin was found to do when it was asked last; kept of sinks, so that one that can't be
    /// loaded misses nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Roles>,
    /// Since when a person has the plugin not called; `None`: nobody has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    disabled: Option<Disabled>,
}

/// That a person has a plugin not called, until a person has it called again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disabled {
    /// Since when.
    pub since: Timestamp,
    /// Why, in the person's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A pause that a platform asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Limit {
    since: Timestamp,
    until: Timestamp,
}

/// An account's standing, for people.
#[derive(Debug, Clone, PartialEq, Serialize)]
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
    /// The last failure since the start of the process.
    pub last_error: Option<LastError>,
    /// Since when a person has the plugin not called.
    pub disabled: Option<Disabled>,
}

impl Account {
    /// An account of which nothing is known; with a breaker where there are rules for it.
    pub fn new(rules: Option<&Rules>, now: Timestamp) -> Self {
        let breaker = rules.map(|_| Breaker::new(now));
        Self { breaker, limit: None, refusals: 0, roles: None, disabled: None }
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
        Self { breaker, limit, ..self }
    }

    /// The same under other rules; without any there is no breaker.
    pub fn change_rules(&mut self, rules: Option<&Rules>, now: Timestamp) {
        let before = self.breaker.take();
        self.breaker = rules.map(|_| before.unwrap_or_else(|| Breaker::new(now)));
    }

    /// Whether a call may be made at `now`.
    pub fn allows(&self, now: Timestamp) -> bool {
        self.disabled.is_none()
            && self.limit.is_none_or(|limit| limit.until <= now)
            && self.breaker.as_ref().is_none_or(|breaker| breaker.allows(now))
    }

    /// When [`Account::allows`] may say something else by itself, if it says no at `now`.
    pub fn next_timer(&self, now: Timestamp) -> Option<Timestamp> {
        if self.disabled.is_some() || self.allows(now) {
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
        self.hear(&Heard::of(outcome), probe, now, rules, random)
    }

    /// As [`Account::end`], for the outcome of any call.
    pub fn hear(
        &mut self,
        heard: &Heard,
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
        let limited = self.limit.is_some_and(|limit| limit.until > now);
        if !heard.refused && heard.health == Health::Up && !limited && self.refusals > 0 {
            self.refusals = 0;
            ended.changed = true;
        }
        if let Some(Pause { time, scope: LimitScope::Account }) = heard.pause {
            // Calls that were begun before the limit was known of are one refusal together.
            if heard.refused && !limited {
                self.refusals = self.refusals.saturating_add(1);
            }
            let pause = match heard.refused {
                true => pauses(rules).pause(self.refusals, Some(time), random),
                // It took what it was sent: nothing but its own wish holds the next call back.
                false => Backoff { initial: time, max: time }.pause(1, Some(time), random),
            };
            let until = now + pause;
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

    /// Has no call made until [`Account::open_again`]. `true`: that is another state than before, and the row must be
    /// stored.
    pub fn shut(&mut self, reason: Option<String>, now: Timestamp) -> bool {
        let since = self.disabled.as_ref().map_or(now, |disabled| disabled.since);
        let disabled = Some(Disabled { since, reason });
        std::mem::replace(&mut self.disabled, disabled.clone()) != disabled
    }

    /// Has calls made again, where a person or the breaker had them not made. `true`: as above.
    pub fn open_again(&mut self, now: Timestamp) -> bool {
        let waited = self.is_disabled();
        if self.breaker.as_ref().is_some_and(|breaker| breaker.state() == State::Disabled) {
            self.enable(now);
        }
        self.disabled = None;
        waited
    }

    /// That a person has no call made, where one has.
    pub fn disabled(&self) -> Option<&Disabled> {
        self.disabled.as_ref()
    }

    /// Whether a person must enable it.
    pub fn is_disabled(&self) -> bool {
        self.disabled.is_some()
            || self.breaker.as_ref().is_some_and(|breaker| breaker.state() == State::Disabled)
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
            last_error: None,
            disabled: self.disabled.clone(),
        }
    }
}

/// What an outcome says of the platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Whether it is well.
    pub health: Health,
    /// Whether it refused the call on account of a limit.
    pub refused: bool,
    /// The pause that it asks for.
    pub pause: Option<Pause>,
    /// What people are to be told of it.
    pub told: Told,
}

impl Heard {
    /// What the outcome of a post says.
    pub fn of(outcome: &Result<Posted, PostError>) -> Self {
        let told = match outcome {
            Ok(_) => Told::Success,
            Err(error) => Fault::of(error).map_or(Told::Nothing, Told::Fault),
        };
        Self {
            health: Health::of(outcome),
            refused: is_limit(outcome),
            pause: pause(outcome),
            told,
        }
    }

    /// What the outcome of a redaction says. A plugin may answer that it can't without asking anybody.
    pub fn of_redaction(outcome: &Result<Redaction, PostError>) -> Self {
        match outcome {
            Ok(Redaction::Removed | Redaction::Overwritten) => {
                Self { health: Health::Up, refused: false, pause: None, told: Told::Success }
            }
            Ok(Redaction::Unsupported) => {
                Self { health: Health::Unknown, refused: false, pause: None, told: Told::Nothing }
            }
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

/// The pauses after refusals on account of a limit: those of the breaker.
fn pauses(rules: Option<&Rules>) -> Backoff {
    let rules = rules.copied().unwrap_or_default();
    Backoff { initial: rules.pause_initial, max: rules.pause_max }
}

fn is_limit(outcome: &Result<Posted, PostError>) -> bool {
    outcome.as_ref().is_err_and(PostError::is_limit)
}

/// The pause that a platform asks for; of no length where it refuses for its limit without naming one.
pub fn pause(outcome: &Result<Posted, PostError>) -> Option<Pause> {
    match outcome {
        Ok(posted) => posted.pause,
        Err(PostError::Failed(failure)) if failure.kind == FailureKind::RateLimited => {
            Some(Pause { time: failure.retry_after.unwrap_or_default(), scope: failure.scope })
        }
        Err(PostError::Failed(_) | PostError::Crashed { .. } | PostError::Unavailable { .. }) => {
            None
        }
    }
}
