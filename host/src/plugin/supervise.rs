//! Holds back a plugin that does nothing but trap: pure. The host's own calls and webhooks have one each.

use std::time::Duration;

use tokio::time::Instant;

/// A plugin is held back after so many traps and failed starts in a row.
const PATIENCE: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Watches the calls of one version of a plugin.
#[derive(Debug)]
pub(super) struct Supervisor {
    state: State,
    /// A pause never gets longer.
    longest: Duration,
}

#[derive(Debug)]
enum State {
    /// So many calls in a row ended in a trap.
    Sound { traps: u32 },
    /// Calls are held back, but for one after each pause.
    Held {
        /// Calls that began before don't count.
        since: Instant,
        pause: Duration,
        until: Instant,
    },
}

/// How a plugin is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    /// It answers.
    Sound,
    /// It trapped too often, and is held back until then.
    HeldBack(Instant),
    /// It trapped too often; the next call shows whether it has recovered.
    OnTrial,
}

impl Supervisor {
    /// A plugin that nothing is known against.
    pub(super) fn new() -> Self {
        Self { state: State::Sound { traps: 0 }, longest: LONGEST_PAUSE }
    }

    /// The same with pauses that are all of this length.
    pub(super) fn with_pause(pause: Duration) -> Self {
        Self { longest: pause, ..Self::new() }
    }

    /// Whether nothing holds its calls back.
    pub(super) fn is_sound(&self) -> bool {
        matches!(self.state, State::Sound { .. })
    }

    /// How the plugin is.
    pub(super) fn condition(&self, now: Instant) -> Condition {
        match self.state {
            State::Sound { .. } => Condition::Sound,
            State::Held { until, .. } if now < until => Condition::HeldBack(until),
            State::Held { .. } => Condition::OnTrial,
        }
    }

    /// Whether a call may begin. After a pause one may; the others wait for its result, and where
    /// nothing does (it was cancelled), for as long as the pause was.
    pub(super) fn admit(&mut self, now: Instant) -> bool {
        match &mut self.state {
            State::Sound { .. } => true,
            State::Held { until, .. } if now < *until => false,
            State::Held { pause, until, .. } => {
                *until = now + *pause;
                true
            }
        }
    }

    /// A call was answered, in whatever way.
    pub(super) fn answered(&mut self) {
        self.state = State::Sound { traps: 0 };
    }

    /// A call that began at `began` ended in a trap, or no instance came up for it. Returns the pause
    /// where one begins.
    pub(super) fn trapped(&mut self, began: Instant, now: Instant) -> Option<Duration> {
        let pause = match &mut self.state {
            State::Sound { traps } if *traps + 1 < PATIENCE => {
                *traps += 1;
                return None;
            }
            State::Sound { .. } => FIRST_PAUSE.min(self.longest),
            // Several were under way when the pause began.
            State::Held { since, .. } if began < *since => return None,
            State::Held { pause, .. } => (*pause * 2).min(self.longest),
        };
        self.state = State::Held { since: now, pause, until: now + pause };
        Some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[tokio::test(start_paused = true)]
    async fn five_traps_in_a_row_hold_a_plugin_back_and_the_pause_doubles_to_its_cap() {
        let mut now = Instant::now();
        let mut supervisor = Supervisor::new();
        for _ in 0..4 {
            assert_eq!(supervisor.trapped(now, now), None);
            assert!(supervisor.admit(now));
        }
        let mut pauses = vec![supervisor.trapped(now, now).unwrap()];
        for _ in 0..7 {
            let pause = *pauses.last().unwrap();
            assert!(!supervisor.admit(now + pause / 2));
            assert_eq!(supervisor.condition(now), Condition::HeldBack(now + pause));
            now += pause;
            assert_eq!(supervisor.condition(now), Condition::OnTrial);
            assert!(supervisor.admit(now), "one");
            assert!(!supervisor.admit(now), "and no other");
            pauses.push(supervisor.trapped(now, now).unwrap());
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60].map(secs));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_never_gets_longer_than_it_may() {
        let mut now = Instant::now();
        let mut supervisor = Supervisor::with_pause(secs(1));
        for _ in 0..4 {
            assert_eq!(supervisor.trapped(now, now), None);
        }
        for _ in 0..8 {
            assert_eq!(supervisor.trapped(now, now), Some(secs(1)));
            now += secs(1);
            assert!(supervisor.admit(now));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_answer_clears_it() {
        let now = Instant::now();
        let mut supervisor = Supervisor::new();
        for _ in 0..4 {
            supervisor.trapped(now, now);
        }
        supervisor.answered();
        for _ in 0..4 {
            assert_eq!(supervisor.trapped(now, now), None);
        }
        assert_eq!(supervisor.trapped(now, now), Some(secs(1)));
        assert!(supervisor.admit(now + secs(1)));
        supervisor.answered();
        assert_eq!(supervisor.condition(now), Condition::Sound);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_under_way_when_the_pause_began_makes_it_no_longer() {
        let began = Instant::now();
        let now = began + secs(1);
        let mut supervisor = Supervisor::new();
        let pauses: Vec<_> = (0..16).map(|_| supervisor.trapped(began, now)).collect();
        assert_eq!(pauses.iter().flatten().count(), 1);
        assert_eq!(supervisor.condition(now), Condition::HeldBack(now + secs(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_trial_that_never_ends_is_followed_by_another() {
        let now = Instant::now();
        let mut supervisor = Supervisor::new();
        for _ in 0..5 {
            supervisor.trapped(now, now);
        }
        assert!(supervisor.admit(now + secs(1)));
        assert!(!supervisor.admit(now + secs(1)));
        assert!(supervisor.admit(now + secs(2)));
    }
}
