//! When a plugin's calls are held back, so that a platform that is down is asked by one call at a time.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::backoff::Backoff;
use crate::clock::Timestamp;
use crate::outbox::note::{FailureKind, PostError, Posted, Sent};
use crate::rules::Breaker as Rules;

/// Outcomes that the failure rate is taken over.
const WINDOW: u32 = 32;
/// A failure that comes so long after the one before it begins a new row.
const ROW: Duration = Duration::from_secs(24 * 3600);

/// The breaker of one plugin, which is one account at a platform. Stored, so that a restart asks a
/// platform that is down no more often than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaker {
    state: State,
    /// Failures since the last success.
    in_a_row: u32,
    /// The last of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_failure: Option<Timestamp>,
    /// The last outcomes, the latest in the lowest bit; a failure is a 1.
    window: u32,
    /// How many of them there are.
    seen: u32,
    /// How often it was opened since it was closed last.
    openings: u32,
    /// When a call succeeded last; before the first one, when the breaker was made.
    last_success: Timestamp,
}

/// How a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Calls are made.
    Closed,
    /// No calls are made before this moment; then one, as a probe.
    Open(Timestamp),
    /// The probe is under way; no other calls are made.
    Probing,
    /// No calls are made until a person enables the plugin.
    Disabled,
}

/// What a call's outcome says of the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It answers, be it with a refusal of this note.
    Up,
    /// It doesn't answer as it should, or the plugin can't ask it.
    Down,
    /// Nothing: the call never left.
    Unknown,
}

/// What changed by an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It was closed and is open.
    Opened,
    /// A probe failed.
    StillOpen,
    /// Calls are made again.
    Closed,
    /// A person must act.
    Disabled,
}

impl Health {
    /// What an outcome says.
    pub fn of(outcome: &Result<Posted, PostError>) -> Self {
        let failure = match outcome {
            Ok(_) => return Self::Up,
            Err(PostError::Crashed { .. } | PostError::Unavailable { .. }) => return Self::Down,
            Err(PostError::Failed(failure)) => failure,
        };
        match failure.kind {
            FailureKind::Transient | FailureKind::Auth => Self::Down,
            FailureKind::RateLimited if failure.sent == Sent::NotSent => Self::Unknown,
            FailureKind::RateLimited
            | FailureKind::NotFound
            | FailureKind::Invalid
            | FailureKind::Permanent => Self::Up,
        }
    }
}

impl Breaker {
    /// A closed breaker.
    pub fn new(now: Timestamp) -> Self {
        Self {
            state: State::Closed,
            in_a_row: 0,
            last_failure: None,
            window: 0,
            seen: 0,
            openings: 0,
            last_success: now,
        }
    }

    /// The same at a start of the host: whether a probe under way at its end went through isn't known,
    /// and a pause that a clock set back since has made longer is cut.
    #[must_use]
    pub fn taken_up(mut self, now: Timestamp, rules: &Rules) -> Self {
        if let State::Open(_) | State::Probing = self.state {
            let until = if let State::Open(until) = self.state { until } else { now };
            self.state = State::Open(until.min(now + rules.pause_max));
        }
        self.last_success = self.last_success.min(now);
        self.last_failure = self.last_failure.map(|at| at.min(now));
        self
    }

    /// How it stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// Failures since the last success.
    pub fn failures(&self) -> u32 {
        self.in_a_row
    }

    /// Whether a call may be made at `now`.
    pub fn allows(&self, now: Timestamp) -> bool {
        match self.state {
            State::Closed => true,
            State::Open(until) => until <= now,
            State::Probing | State::Disabled => false,
        }
    }

    /// When [`Breaker::allows`] says something else by itself.
    pub fn next_timer(&self) -> Option<Timestamp> {
        match self.state {
            State::Open(until) => Some(until),
            State::Closed | State::Probing | State::Disabled => None,
        }
    }

    /// A call is begun. `true`: it is a probe.
    pub fn begin(&mut self) -> bool {
        let probe = matches!(self.state, State::Open(_));
        if probe {
            self.state = State::Probing;
        }
        probe
    }

    /// Takes what an outcome says. `probe` is what [`Breaker::begin`] said of the call, `random` is in
    /// `0.0..=1.0`.
    pub fn end(
        &mut self,
        health: Health,
        probe: bool,
        now: Timestamp,
        rules: &Rules,
        random: f64,
    ) -> Option<Turn> {
        match health {
            Health::Unknown if probe => {
                self.state = State::Open(now + rules.pause_initial);
                None
            }
            Health::Unknown => None,
            Health::Up => self.succeed(probe, now),
            Health::Down => {
                if self.last_failure.is_some_and(|last| now.since(last) >= ROW) {
                    self.in_a_row = 0;
                }
                self.last_failure = Some(now);
                self.in_a_row = self.in_a_row.saturating_add(1);
                self.remember(true);
                self.fail(probe, now, rules, random)
            }
        }
    }

    /// A person lets calls be made again.
    pub fn enable(&mut self, now: Timestamp) {
        *self = Self::new(now);
    }

    fn succeed(&mut self, probe: bool, now: Timestamp) -> Option<Turn> {
        self.last_success = now;
        self.in_a_row = 0;
        self.last_failure = None;
        if !probe && self.state != State::Closed {
            // A call from before the opening: the probe decides.
            return None;
        }
        if probe {
            self.enable(now);
            return Some(Turn::Closed);
        }
        self.remember(false);
        None
    }

    fn fail(&mut self, probe: bool, now: Timestamp, rules: &Rules, random: f64) -> Option<Turn> {
        let often = self.seen >= WINDOW && self.window.count_ones() * 2 >= WINDOW;
        let opens = self.state == State::Closed
            && rules.failures > 0
            && (self.in_a_row >= rules.failures || often);
        if !(probe || opens) {
            return None;
        }
        if probe && now.since(self.last_success) >= rules.disable_after {
            self.state = State::Disabled;
            return Some(Turn::Disabled);
        }
        self.openings = self.openings.saturating_add(1);
        let backoff = Backoff { initial: rules.pause_initial, max: rules.pause_max };
        let pause = backoff.pause(self.openings, None, random);
        self.state = State::Open(now + pause);
        Some(if probe { Turn::StillOpen } else { Turn::Opened })
    }

    fn remember(&mut self, failed: bool) {
        self.window = self.window << 1 | u32::from(failed);
        self.seen = (self.seen + 1).min(WINDOW);
    }
}
