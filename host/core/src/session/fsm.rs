//! The state machine of a session: may help be offered, and is someone being helped?
//!
//! ```text
//!                 to_proactive (not while cooling down)
//!   THINKING  ────────────────────────────────────────▶ PROACTIVE
//!      ▲   │                                               │
//!      │   └──────── to_reactive (ends a cooldown) ───▶ REACTIVE
//!      └───────────── tick, idle for too long ◀────────────┘   (starts a cooldown)
//! ```
//!
//! One timer decides: how long nothing happened. Interactions and the start of a tour reset it. Times come
//! in as `now`; a clock that steps back makes the session idle for less than nothing, nothing else.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

pub use super::limits::Limits;
use super::tour::TourRegistry;

/// A session's state machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fsm {
    pub(super) state: State,
    pub(super) limits: Limits,
    /// The timer: the last interaction, or the start of the tour if that was later.
    pub(super) idle_since: Timestamp,
    /// The last interaction, or the start of the state: what [`Assistance::idle_s`] counts from.
    pub(super) acted_at: Timestamp,
    pub(super) guidance: Option<Guidance>,
    pub(super) cooldown: Option<Cooldown>,
    pub(super) option_clicked: bool,
    pub(super) proactive: Assistance,
    pub(super) reactive: Assistance,
}

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nobody is being helped.
    Thinking,
    /// Help was offered.
    Proactive,
    /// The person asked for help.
    Reactive,
}

impl State {
    /// The name as stored and as it shows in [`NotDeliverable`].
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Thinking => "thinking",
            Self::Proactive => "proactive_assistance",
            Self::Reactive => "reactive_assistance",
        }
    }
}

/// A tour that the person is being shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guidance {
    /// Which one (`user_tour_id` of the registry), where it is known.
    pub tour_id: Option<String>,
}

/// A time without offers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Cooldown {
    /// When it started.
    pub started_at: Timestamp,
    /// How long it lasts, in seconds; `None`: the session's own period, as it is when it is asked for.
    pub period_s: Option<f64>,
}

/// What is known of one of the two ways of helping; it outlives the state.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Assistance {
    /// The last message, or the start of the state. A record: nothing is decided by it.
    pub last_message_at: Timestamp,
    /// Seconds since the last interaction, as of the last tick.
    pub idle_s: f64,
}

/// Something the person did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Interaction {
    /// Wrote a message.
    Message,
    /// Clicked one of the offered options.
    OptionClick,
    /// Reacted to a message.
    Reaction,
    /// Took a step of the tour.
    TourStep,
    /// Anything else that shows that the person is there.
    Other,
}

impl Fsm {
    /// A session of which nothing is known yet.
    pub fn new(limits: Limits, now: Timestamp) -> Self {
        let fresh = Assistance { last_message_at: now, idle_s: 0.0 };
        Self {
            state: State::Thinking,
            limits,
            idle_since: now,
            acted_at: now,
            guidance: None,
            cooldown: None,
            option_clicked: false,
            proactive: fresh,
            reactive: fresh,
        }
    }

    /// Lets time pass: ends help that was left, and cooldowns that are over.
    ///
    /// A tour has the limits of `registry`, where that knows it.
    pub fn tick(&mut self, registry: Option<&TourRegistry>, now: Timestamp) {
        match self.state {
            State::Thinking => {
                if self.cooldown.is_some_and(|cooldown| now >= self.cooldown_end(cooldown)) {
                    self.cooldown = None;
                }
            }
            State::Proactive | State::Reactive => {
                let limits = self.limits_in_force(registry);
                if self.is_idle_for(limits.interaction_timeout_s, now) {
                    self.end_idle(limits.cooldown_period_s, now);
                } else {
                    let idle_s = secs_since(self.acted_at, now);
                    if let Some(assistance) = self.assistance_mut() {
                        assistance.idle_s = idle_s;
                    }
                }
            }
        }
    }

    /// As [`Self::tick`], for whoever ticks at no moment of its own: each change counts from the moment at which it was
    /// due, however late it is looked at. So a restart changes nothing. Returns whether anything ended.
    pub fn advance(&mut self, registry: Option<&TourRegistry>, now: Timestamp) -> bool {
        let mut ended = false;
        while let Some(due) = self.poll_timeout(registry).filter(|due| *due <= now) {
            let before = (self.state, self.cooldown);
            self.tick(registry, due);
            if before == (self.state, self.cooldown) {
                break;
            }
            ended = true;
        }
        self.tick(registry, now);
        ended
    }

    /// Moves all times back, for a clock that was set back by so many microseconds while nobody looked: as much
    /// remains of everything as did before.
    pub(crate) fn set_back(&mut self, micros: i64) {
        let times = [
            &mut self.idle_since,
            &mut self.acted_at,
            &mut self.proactive.last_message_at,
            &mut self.reactive.last_message_at,
        ];
        let cooldown = self.cooldown.as_mut().map(|cooldown| &mut cooldown.started_at);
        for time in times.into_iter().chain(cooldown) {
            *time = Timestamp(time.0.saturating_sub(micros));
        }
    }

    /// When [`Self::tick`] has something to do next; `None`: not before something else happens.
    pub fn poll_timeout(&self, registry: Option<&TourRegistry>) -> Option<Timestamp> {
        match self.state {
            State::Thinking => self.cooldown.map(|cooldown| self.cooldown_end(cooldown)),
            State::Proactive | State::Reactive => {
                let timeout_s = self.limits_in_force(registry).interaction_timeout_s;
                // Idle for exactly the time-out isn't too long yet.
                Some(Timestamp(later(self.idle_since, timeout_s).0.saturating_add(1)))
            }
        }
    }

    /// Whether help may be offered at this moment. A cooldown that is over counts until the next tick.
    ///
    /// # Errors
    /// Why not.
    pub fn can_deliver_proactive(&self) -> Result<(), NotDeliverable> {
        match (self.state, self.cooldown) {
            (State::Thinking, None) => Ok(()),
            (State::Thinking, Some(_)) => Err(NotDeliverable::CoolingDown),
            (state @ (State::Proactive | State::Reactive), _) => Err(NotDeliverable::State(state)),
        }
    }

    /// Help is offered. `false`: not while cooling down, nothing changed; a cooldown that is over ends first.
    ///
    /// # Errors
    /// Someone is being helped already. Nothing changed.
    pub fn to_proactive(&mut self, now: Timestamp) -> Result<bool, FsmError> {
        self.require_thinking(State::Proactive)?;
        self.tick(None, now);
        if self.cooldown.is_some() {
            return Ok(false);
        }
        self.enter(State::Proactive, now);
        self.option_clicked = false;
        Ok(true)
    }

    /// The person asked for help. That is always heard: it ends a cooldown.
    ///
    /// # Errors
    /// Someone is being helped already. Nothing changed.
    pub fn to_reactive(&mut self, now: Timestamp) -> Result<(), FsmError> {
        self.require_thinking(State::Reactive)?;
        self.cooldown = None;
        self.enter(State::Reactive, now);
        Ok(())
    }

    /// The person did something: the session isn't idle.
    pub fn record(&mut self, interaction: Interaction, now: Timestamp) {
        self.idle_since = now;
        self.acted_at = now;
        let is_message = match interaction {
            Interaction::Message | Interaction::Reaction | Interaction::TourStep => true,
            Interaction::OptionClick => self.state == State::Proactive,
            Interaction::Other => false,
        };
        if interaction == Interaction::OptionClick && self.state == State::Proactive {
            self.option_clicked = true;
        }
        if let Some(assistance) = self.assistance_mut() {
            assistance.idle_s = 0.0;
            if is_message {
                assistance.last_message_at = now;
            }
        }
    }

    /// A tour starts, or another one takes its place. That resets the timer.
    ///
    /// # Errors
    /// Nobody is being helped. Nothing changed.
    pub fn start_guidance(
        &mut self,
        tour_id: Option<String>,
        now: Timestamp,
    ) -> Result<(), FsmError> {
        self.require_helping()?;
        self.guidance = Some(Guidance { tour_id });
        self.idle_since = now;
        Ok(())
    }

    /// The tour ends, if there is one. That doesn't reset the timer.
    ///
    /// # Errors
    /// Nobody is being helped. Nothing changed.
    pub fn stop_guidance(&mut self) -> Result<(), FsmError> {
        self.require_helping()?;
        self.guidance = None;
        Ok(())
    }

    /// No offers for `period_s` seconds, or for the session's own period. Replaces a cooldown under way.
    pub fn start_cooldown(&mut self, period_s: Option<f64>, now: Timestamp) {
        self.cooldown = Some(Cooldown { started_at: now, period_s });
    }

    /// Ends a cooldown.
    pub fn clear_cooldown(&mut self) {
        self.cooldown = None;
    }

    /// Changes the session's own limits. A cooldown with a period of its own keeps it.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Where the session stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// The session's own limits.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The tour under way.
    pub fn guidance(&self) -> Option<&Guidance> {
        self.guidance.as_ref()
    }

    /// The cooldown under way.
    pub fn cooldown(&self) -> Option<Cooldown> {
        self.cooldown
    }

    /// Seconds since something happened; negative where the clock stepped back.
    pub fn idle_s(&self, now: Timestamp) -> f64 {
        secs_since(self.idle_since, now)
    }

    /// Whether an option of the last offer was clicked.
    pub fn option_clicked(&self) -> bool {
        self.option_clicked
    }

    /// What is known of the last offer of help.
    pub fn proactive(&self) -> Assistance {
        self.proactive
    }

    /// What is known of the last help asked for.
    pub fn reactive(&self) -> Assistance {
        self.reactive
    }

    fn enter(&mut self, state: State, now: Timestamp) {
        self.state = state;
        self.idle_since = now;
        self.acted_at = now;
        if let Some(assistance) = self.assistance_mut() {
            *assistance = Assistance { last_message_at: now, idle_s: 0.0 };
        }
    }

    fn assistance_mut(&mut self) -> Option<&mut Assistance> {
        match self.state {
            State::Thinking => None,
            State::Proactive => Some(&mut self.proactive),
            State::Reactive => Some(&mut self.reactive),
        }
    }

    fn limits_in_force(&self, registry: Option<&TourRegistry>) -> Limits {
        self.limits_with(registry, self.limits.interaction_timeout_s)
    }

    /// The limits in force where the session's own time-out is `timeout_s` seconds.
    pub(crate) fn limits_with(&self, registry: Option<&TourRegistry>, timeout_s: f64) -> Limits {
        let own = Limits { interaction_timeout_s: timeout_s, ..self.limits };
        let tour_id = self.guidance.as_ref().and_then(|guidance| guidance.tour_id.as_deref());
        match (registry, tour_id) {
            (Some(registry), Some(tour_id)) => registry.limits(tour_id, own),
            (None, _) | (_, None) => own,
        }
    }

    /// Whether nothing happened for longer than this: the one comparison by which help ends.
    pub(crate) fn is_idle_for(&self, timeout_s: f64, now: Timestamp) -> bool {
        now > later(self.idle_since, timeout_s)
    }

    /// What [`Self::is_idle_for`] counts from.
    pub(crate) fn idle_since(&self) -> Timestamp {
        self.idle_since
    }

    /// Help ends by nothing having happened.
    pub(crate) fn end_idle(&mut self, cooldown_s: f64, now: Timestamp) {
        self.state = State::Thinking;
        self.guidance = None;
        self.cooldown = Some(Cooldown { started_at: now, period_s: Some(cooldown_s) });
    }

    fn cooldown_end(&self, cooldown: Cooldown) -> Timestamp {
        later(cooldown.started_at, cooldown.period_s.unwrap_or(self.limits.cooldown_period_s))
    }

    fn require_thinking(&self, to: State) -> Result<(), FsmError> {
        match self.state {
            State::Thinking => Ok(()),
            from @ (State::Proactive | State::Reactive) => Err(FsmError::Transition { from, to }),
        }
    }

    fn require_helping(&self) -> Result<(), FsmError> {
        match self.state {
            State::Thinking => Err(FsmError::Guidance),
            State::Proactive | State::Reactive => Ok(()),
        }
    }
}

/// A change that the state doesn't allow. Nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum FsmError {
    /// Help starts only while nobody is being helped.
    #[error("session: can't go from {} to {}; help ends by itself when the session is idle", from.as_str(), to.as_str())]
    Transition {
        /// The state that the session is in.
        from: State,
        /// The state asked for.
        to: State,
    },
    /// A tour belongs to help.
    #[error("session: a tour can't start or end in thinking; offer help or answer first")]
    Guidance,
}

/// Why no help may be offered. The text is the reason code that clients of autoplay-sdk know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotDeliverable {
    /// Someone is being helped already.
    #[error("v2_state_{}", .0.as_str())]
    State(State),
    /// Help was offered or given a short time ago.
    #[error("v2_cooldown_active")]
    CoolingDown,
}

fn secs_since(earlier: Timestamp, now: Timestamp) -> f64 {
    now.0.saturating_sub(earlier.0) as f64 / 1e6
}

/// `secs` after `since`, to the microsecond: all times are compared as whole microseconds.
fn later(since: Timestamp, secs: f64) -> Timestamp {
    Timestamp(since.0.saturating_add((secs * 1e6).round() as i64))
}

#[cfg(test)]
mod tests;
