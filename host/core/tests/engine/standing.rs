//! How a session stands, worked out anew from what was told: an independent model of thinking, proactive and reactive,
//! with its time-outs and cooldowns. It shares no code with the state machine that it judges.

use std::time::Duration;

use sidenote_core::clock::Timestamp;

/// The smallest step of time: help ends when nothing happened for longer than its time-out.
const STEP: Duration = Duration::from_micros(1);
/// The session's own time-out and cooldown, where no offer brings others.
const OWN: Times = Times { timeout: Duration::from_secs(20), cooldown: Duration::from_secs(60) };

/// How long help waits for the person, and how long none is offered afterwards.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Times {
    pub(crate) timeout: Duration,
    pub(crate) cooldown: Duration,
}

/// What a session is in.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Is {
    /// Nobody is helped; no offers before this moment.
    Thinking(Option<Timestamp>),
    /// Help was offered, or asked for; nothing happened since this moment.
    Helped { proactive: bool, since: Timestamp, times: Times },
}

/// One session, as it must be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Model(Is);

impl Model {
    pub(crate) fn new() -> Self {
        Self(Is::Thinking(None))
    }

    /// Its state, when that ends, and whether it cools down.
    pub(crate) fn at(&self, now: Timestamp) -> (&'static str, Option<Timestamp>, bool) {
        match self.passed(now).0 {
            Is::Thinking(until) => ("thinking", until, until.is_some()),
            Is::Helped { proactive, since, times } => {
                let word = if proactive { "proactive_assistance" } else { "reactive_assistance" };
                (word, Some(since + times.timeout + STEP), false)
            }
        }
    }

    pub(crate) fn is_thinking(&self, now: Timestamp) -> bool {
        self.at(now).0 == "thinking"
    }

    pub(crate) fn is_proactive(&self, now: Timestamp) -> bool {
        self.at(now).0 == "proactive_assistance"
    }

    /// Whether an offer may be made as far as this is concerned.
    pub(crate) fn is_free(&self, now: Timestamp) -> bool {
        self.passed(now).0 == Is::Thinking(None)
    }

    /// The platform took an offer at this moment. What ended a moment later has ended.
    pub(crate) fn take(&mut self, times: Times, at: Timestamp, now: Timestamp) {
        self.pass(now);
        if let Is::Thinking(_) = self.0 {
            self.0 = Is::Helped { proactive: true, since: at, times };
            self.pass(now);
        }
    }

    /// Nobody knows whether the person has an offer: they are left alone as after one, and no shorter than before.
    pub(crate) fn lose(&mut self, times: Times, now: Timestamp) {
        self.pass(now);
        if let Is::Thinking(until) = &mut self.0 {
            *until = Some((*until).unwrap_or(now).max(now + times.cooldown));
        }
    }

    /// Help was offered elsewhere. `false`: it cools down, or somebody is helped already.
    pub(crate) fn offer(&mut self, now: Timestamp) -> bool {
        let free = self.is_free(now);
        if free {
            self.0 = Is::Helped { proactive: true, since: now, times: OWN };
        }
        free
    }

    /// The person asked for help. `false`: they are helped already.
    pub(crate) fn ask(&mut self, now: Timestamp) -> bool {
        self.pass(now);
        let thinking = self.is_thinking(now);
        if thinking {
            self.0 = Is::Helped { proactive: false, since: now, times: OWN };
        }
        thinking
    }

    /// The person is there.
    pub(crate) fn act(&mut self, now: Timestamp) {
        self.pass(now);
        if let Is::Helped { since, .. } = &mut self.0 {
            *since = now;
        }
    }

    /// No offers for so long; while somebody is helped that has no effect, for the end of it begins a cooldown.
    pub(crate) fn cool(&mut self, period: Option<Duration>, now: Timestamp) {
        self.pass(now);
        if let Is::Thinking(until) = &mut self.0 {
            *until = Some(now + period.unwrap_or(OWN.cooldown));
        }
    }

    pub(crate) fn warm(&mut self, now: Timestamp) {
        self.pass(now);
        if let Is::Thinking(until) = &mut self.0 {
            *until = None;
        }
    }

    /// The clock was set back: as much remains of everything as did.
    pub(crate) fn set_back(&mut self, by: Duration) {
        match &mut self.0 {
            Is::Thinking(until) => *until = until.map(|until| until - by),
            Is::Helped { since, .. } => *since = *since - by,
        }
    }

    fn pass(&mut self, now: Timestamp) {
        *self = self.passed(now);
    }

    /// The same at a later moment: each end counts from when it was due.
    fn passed(&self, now: Timestamp) -> Self {
        let ended = match self.0 {
            Is::Helped { since, times, .. } if since + times.timeout < now => {
                Is::Thinking(Some(since + times.timeout + STEP + times.cooldown))
            }
            is @ (Is::Helped { .. } | Is::Thinking(_)) => is,
        };
        Self(match ended {
            Is::Thinking(Some(until)) if until <= now => Is::Thinking(None),
            is @ (Is::Thinking(_) | Is::Helped { .. }) => is,
        })
    }
}
