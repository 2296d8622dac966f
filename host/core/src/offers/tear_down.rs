//! An offer that nobody answered is removed from the platform, where the platform can do that.
//!
//! Decided once and by one clock: the state ends and the offer goes by the same comparison, so that nothing is removed
//! of which the session still thinks that it stands. The removal is a call that takes its time. Whoever acts meanwhile
//! keeps the session as it is.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::session::fsm::{Fsm, State};
use crate::session::tour::TourRegistry;

/// An offer that is to be removed: what was decided, and what it was decided by.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TearDown {
    idle_since: Timestamp,
    cooldown_s: f64,
    /// When it was decided: the state ends as of this moment.
    pub decided_at: Timestamp,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Torn {
    /// The offer is gone and the state ended. What binds the session to it locally can go too.
    Completed,
    /// The platform didn't remove it. Nothing changed, the state ends by itself.
    RemovalFailed,
    /// The person acted meanwhile. The session stays as it is, and what binds it to its conversation stays. Where
    /// `removed`, the platform has removed what they answered to: it must be opened again or linked anew.
    Interrupted {
        /// Whether the platform removed it all the same.
        removed: bool,
    },
}

impl TearDown {
    /// Whether the offer of a session is to be removed: help was offered, and nothing happened for longer than
    /// `after_s` seconds. A tour under way decides by its own time-out.
    pub fn decide(
        fsm: &Fsm,
        registry: Option<&TourRegistry>,
        after_s: f64,
        now: Timestamp,
    ) -> Option<Self> {
        if fsm.state() != State::Proactive {
            return None;
        }
        let limits = fsm.limits_with(registry, after_s);
        fsm.is_idle_for(limits.interaction_timeout_s, now).then(|| Self {
            idle_since: fsm.idle_since(),
            cooldown_s: limits.cooldown_period_s,
            decided_at: now,
        })
    }

    /// Moves its times back with those of the session, for a clock that was set back by so many microseconds.
    pub(crate) fn set_back(&mut self, micros: i64) {
        for time in [&mut self.idle_since, &mut self.decided_at] {
            *time = Timestamp(time.0.saturating_sub(micros));
        }
    }

    /// The call is over. `removed`: the platform says so. Looks again: what was decided holds only where nothing
    /// happened since.
    pub fn finish(self, fsm: &mut Fsm, removed: bool) -> Torn {
        if fsm.idle_since() != self.idle_since || fsm.state() == State::Reactive {
            return Torn::Interrupted { removed };
        }
        if !removed {
            return Torn::RemovalFailed;
        }
        // The session's own timer may have ended it meanwhile.
        if fsm.state() == State::Proactive {
            fsm.end_idle(self.cooldown_s, self.decided_at);
        }
        Torn::Completed
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::session::fsm::{Interaction, Limits};

    const T: Timestamp = Timestamp(1_700_000_000_000_000);
    const S: Duration = Duration::from_secs(1);

    fn proactive() -> Fsm {
        let mut fsm = Fsm::new(Limits::default(), T);
        assert_eq!(fsm.to_proactive(T), Ok(true));
        fsm
    }

    #[test]
    fn an_offer_is_removed_when_nothing_happened_for_longer_and_its_state_ends_with_it() {
        let mut fsm = proactive();
        assert_eq!(TearDown::decide(&fsm, None, 20.0, T + S * 20), None, "not longer yet");
        let decided = TearDown::decide(&fsm, None, 20.0, T + S * 21).unwrap();
        assert_eq!(fsm.state(), State::Proactive, "deciding changes nothing");
        assert_eq!(decided.finish(&mut fsm, true), Torn::Completed);
        assert_eq!(fsm.state(), State::Thinking);
        let cooldown = fsm.cooldown().unwrap();
        assert_eq!((cooldown.started_at, cooldown.period_s), (T + S * 21, Some(60.0)));
    }

    #[test]
    fn nothing_is_removed_where_nothing_was_offered() {
        let mut fsm = Fsm::new(Limits::default(), T);
        assert_eq!(TearDown::decide(&fsm, None, 20.0, T + S * 99), None);
        fsm.to_reactive(T).unwrap();
        assert_eq!(TearDown::decide(&fsm, None, 20.0, T + S * 99), None);
    }

    #[test]
    fn a_removal_that_fails_changes_nothing() {
        let mut fsm = proactive();
        let before = fsm.clone();
        let decided = TearDown::decide(&fsm, None, 20.0, T + S * 21).unwrap();
        assert_eq!(decided.finish(&mut fsm, false), Torn::RemovalFailed);
        assert_eq!(fsm, before);
    }

    #[test]
    fn who_acts_during_the_call_keeps_the_session() {
        for removed in [true, false] {
            let mut fsm = proactive();
            let decided = TearDown::decide(&fsm, None, 20.0, T + S * 21).unwrap();
            fsm.record(Interaction::Message, T + S * 22);
            let acted = fsm.clone();
            assert_eq!(decided.finish(&mut fsm, removed), Torn::Interrupted { removed });
            assert_eq!(fsm, acted);
        }
    }

    #[test]
    fn who_asks_for_help_after_the_state_ended_by_itself_keeps_the_session_too() {
        let mut fsm = proactive();
        let decided = TearDown::decide(&fsm, None, 5.0, T + S * 19).unwrap();
        fsm.tick(None, T + S * 21);
        fsm.to_reactive(T + S * 22).unwrap();
        assert_eq!(decided.finish(&mut fsm, true), Torn::Interrupted { removed: true });
        assert_eq!(fsm.state(), State::Reactive);
    }

    #[test]
    fn a_timer_that_ended_the_state_during_the_call_has_its_way() {
        let mut fsm = proactive();
        let decided = TearDown::decide(&fsm, None, 20.0, T + S * 21).unwrap();
        fsm.tick(None, T + S * 22);
        let ended = fsm.clone();
        assert_eq!(decided.finish(&mut fsm, true), Torn::Completed);
        assert_eq!(fsm, ended);
    }

    #[test]
    fn the_tour_under_way_decides_by_its_own_time_out() {
        let tours = json!({"tours": [{"id": "a", "user_tour_id": "flow", "interaction_timeout_s": 30, "cooldown_period_s": 90}]});
        let registry = TourRegistry::from_value(&tours).unwrap().registry;
        let mut fsm = proactive();
        fsm.start_guidance(Some("flow".to_owned()), T).unwrap();
        assert_eq!(TearDown::decide(&fsm, Some(&registry), 20.0, T + S * 30), None);
        let decided = TearDown::decide(&fsm, Some(&registry), 20.0, T + S * 31).unwrap();
        assert_eq!(decided.finish(&mut fsm, true), Torn::Completed);
        assert_eq!(fsm.cooldown().unwrap().period_s, Some(90.0));
        assert_eq!(fsm.guidance(), None);
    }
}
